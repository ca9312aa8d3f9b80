"""What must not be printed by accident: the key, and what a request carries.

The text of a `Secret` lives in a closure, so that neither ``repr``, ``vars``, a debugger's table
of locals nor a verbose traceback shows it. Only `Secret.reveal` gives it back, and only the line
that writes the Authorization header calls that. `veil` hides the values of a request in the same
places, and `Redactor` takes both out of whatever the service says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn
from urllib.parse import quote

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
        raise AttributeError("A Secret cannot be changed.")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: Any) -> Secret:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "A Secret cannot be pickled: anyone who opened the file would have the key."
        )


class _VeiledText(str):
    __slots__ = ()

    def __repr__(self) -> str:
        return HIDDEN


class _VeiledDict(dict[Any, Any]):
    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name!r}: {HIDDEN}' for name in self)}}}"


class _VeiledList(list[Any]):
    def __repr__(self) -> str:
        return HIDDEN


def veil(value: Any) -> Any:
    """Return the same value, whose `repr` shows no text in it: tracebacks show arguments.

    Parameters
    ----------
    value : Any
        Texts, mappings and sequences are hidden, down to the last one; the names of a mapping
        stay, and anything else is returned as it is.
    """
    if isinstance(value, str):
        return _VeiledText(value)
    if isinstance(value, Mapping):
        return _VeiledDict({name: veil(one) for name, one in value.items()})
    if isinstance(value, list | tuple):
        return _VeiledList(veil(one) for one in value)
    return value


SECRET_FIELDS = frozenset(
    ["env", "onstart", "args", "args_str", "image_login", "extra", "ssh_key", "password", "token"]
)
"""Fields of a request's body whose texts are nobody else's business."""

KEPT_FIELDS = ("new_contract", "success")
"""Fields of an answer that money depends on: neither they nor their names are ever changed."""

_ESCAPED = re.compile(rb"\\u00[2-7]|\\/")
"""A key may be spelt with these in JSON, which have no need to be."""

_FIELD = re.compile(r"[a-z_]{1,24}")
_SHORT, _LONG = 3, 6
_WORDS = frozenset(["true", "false", "none", "null", "yes", "off"])


class Redactor:
    """Takes the key and the secrets of one request out of what the service says.

    Parameters
    ----------
    key : Secret
        The API key.
    body : bytes or None
        The JSON that is sent: see `SECRET_FIELDS`. A text of fewer than six characters is taken
        out where it stands as a word of its own, and one of fewer than three stays.
    """

    def __init__(self, key: Secret, body: bytes | None = None) -> None:
        secrets = {key.reveal()} if key else set()
        secrets |= set(_secrets_in(json.loads(body) if body else None))
        self._text, _ = _redaction(secrets)
        self._has_key = key.found_in
        self._all = body is not None

    def text(self, said: str) -> str:
        """Return a text without the secrets."""
        return self._text(said)

    def body(self, body: bytes) -> bytes:
        """Return an answer's body without the secrets; most are returned as they are.

        An answer to a question can only repeat the key, and is looked through for that alone.
        """
        if not (self._all or self._has_key(body) or _ESCAPED.search(body)):
            return body
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return self._text(body.decode("utf-8", "replace")).encode()
        clean = self._data(data)
        return body if clean == data else json.dumps(clean).encode()

    def _data(self, data: Any) -> Any:
        if isinstance(data, str):
            return self._text(data)
        if isinstance(data, dict):
            return {
                name if _FIELD.fullmatch(name) else self._text(name): (
                    one if name in KEPT_FIELDS else self._data(one)
                )
                for name, one in data.items()
            }
        return [self._data(one) for one in data] if isinstance(data, list) else data


class Memory:
    """Takes the secrets of earlier creates out of what the service says later.

    Only its prose is changed (see `PROSE`): an environment may hold the word ``running``, and what
    a state, an id or a marker says must be read as it is.
    """

    def __init__(self) -> None:
        self._known: Callable[[], frozenset[str]] = frozenset
        self._text, self._finds = _redaction(())

    def learn(self, body: bytes | None) -> None:
        """Remember the secrets of a create's body, until the process ends."""
        known = self._known()
        both = known.union(_secrets_in(json.loads(body) if body else None))
        if both != known:
            self._known = lambda: both
            self._text, self._finds = _redaction(both)

    def body(self, body: bytes) -> bytes:
        """Return an answer's body without them."""
        if not self._finds(body):
            return body
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            return self._text(body.decode("utf-8", "replace")).encode()
        clean = self._data(data, prose=isinstance(data, str))
        return body if clean == data else json.dumps(clean).encode()

    def _data(self, data: Any, *, prose: bool) -> Any:
        if isinstance(data, str):
            return self._text(data) if prose else data
        if isinstance(data, dict):
            return {
                name: self._data(one, prose=prose or name in PROSE) for name, one in data.items()
            }
        return [self._data(one, prose=prose) for one in data] if isinstance(data, list) else data


PROSE = frozenset(["msg", "message", "detail", "error", "reason", "status_msg"])
"""Fields of an answer in which the service speaks in sentences."""


def _redaction(secrets: Iterable[str]) -> tuple[Callable[[str], str], Callable[[bytes], bool]]:
    """Return what takes secrets out of a text, and what says whether a body may have any.

    They live in a closure: neither a debugger nor a traceback shows them.
    """
    found = {form for one in secrets for form in _forms(one)}
    ordered = sorted(found, key=len, reverse=True)
    whole = [re.escape(one) for one in ordered if len(one) >= _LONG]
    words = [rf"(?<!\w){re.escape(one)}(?!\w)" for one in ordered if len(one) < _LONG]
    pattern = re.compile("|".join([*KEPT_FIELDS, *whole, *words]))
    # A message may be cut in the middle of one.
    heads = {one[:_LONG].encode() for one in ordered}
    anywhere = re.compile(b"|".join(map(re.escape, heads))) if heads else None

    def text(said: str) -> str:
        said = pattern.sub(lambda m: m[0] if m[0] in KEPT_FIELDS else HIDDEN, said)
        return _without_cut_tail(said, ordered)

    def finds(body: bytes) -> bool:
        return anywhere is not None and bool(anywhere.search(body) or _ESCAPED.search(body))

    return text, finds


def _secrets_in(body: Any) -> Iterator[str]:
    """Yield the texts of a request's body that must not come back."""
    if not isinstance(body, dict):
        return
    for name, value in body.items():
        if name in SECRET_FIELDS:
            yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):  # an environment; "-p 80:80" is a port
        for name, one in value.items():
            if not name.startswith("-"):
                yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        # A service that refuses a script may repeat one line of it, or what a line assigns.
        for part in (value, *value.splitlines(), *re.findall(r"=\s*(\S+)", value)):
            for one in (part.strip(), part.strip("'\"; ")):
                if len(one) >= _SHORT and one.lower() not in _WORDS:
                    yield one
        if re.search(r"(^|\s)-\w\s", value):  # docker's flags, of a login for one
            yield from (one for one in value.split() if len(one) >= _LONG)


def _forms(secret: str) -> Iterable[str]:
    """Return how a text may be written in a message: as it is, in JSON, in an address."""
    return {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(secret), quote(secret, safe="")}  # fmt: skip


def _without_cut_tail(text: str, secrets: Iterable[str]) -> str:
    """Return a text that was cut in the middle of a secret, without its beginning."""
    end = text.rstrip(" .\N{HORIZONTAL ELLIPSIS}")
    for secret in secrets:
        at = end.rfind(secret[:_LONG]) if len(secret) > _LONG else -1
        if at >= 0 and secret.startswith(end[at:]):
            return end[:at] + HIDDEN
    return text


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
