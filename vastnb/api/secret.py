"""A key that cannot be printed by accident.

The text lives in a closure, so that neither ``repr``, ``vars``, a debugger's table of locals nor a
verbose traceback shows it. Only `Secret.reveal` gives it back, and only the line that writes the
Authorization header calls that.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

HIDDEN = "<secret>"
_SECRET_NAME = re.compile(r"key|token|secret|password")


class Secret:
    """Text that is never shown.

    Parameters
    ----------
    text : str
        The secret.
    """

    __slots__ = ("_text",)

    _text: Callable[[], str]

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", lambda: text)

    def reveal(self) -> str:
        """Return the text. Do not bind the result to a name: tracebacks show names."""
        return self._text()

    def fingerprint(self, *context: str) -> str:
        """Return a short digest that tells two secrets apart and leads back to neither.

        Parameters
        ----------
        *context : str
            What the digest is bound to, so that it is of no use elsewhere.
        """
        digest = hashlib.blake2b(self.reveal().encode(), digest_size=12, person=b"vastnb")
        for part in context:
            digest.update(b"\0" + part.encode())
        return digest.hexdigest()

    def redact(self, text: str) -> str:
        """Return `text` with every occurrence of the secret replaced."""
        return text.replace(self.reveal(), HIDDEN) if self else text

    def found_in(self, data: bytes) -> bool:
        """Say whether the secret stands in `data`."""
        return bool(self) and self.reveal().encode() in data

    def __bool__(self) -> bool:
        return bool(self._text())

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError("A Secret does not change.")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("A Secret is not pickled: whoever opened the file would have the key.")


def without_secrets(data: Any) -> Any:
    """Return JSON without the entries, at any depth, that are named like a key or a token."""
    if isinstance(data, Mapping):
        return {
            name: without_secrets(value)
            for name, value in data.items()
            if not _SECRET_NAME.search(str(name).lower())
        }
    if isinstance(data, list):
        return [without_secrets(one) for one in data]
    return data


__all__ = ["HIDDEN", "Secret", "without_secrets"]
