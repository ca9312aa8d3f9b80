"""The marker that ties an attempt to the machine it may have made.

The service has no idempotency key. What it does have is the environment of an instance, which its
list of instances gives back as pairs. Every attempt therefore carries an entry of its own there,
and a machine whose maker never heard the answer is still recognised.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vastnb.api.text import plain

MARKER: Final = "VASTNB_ATTEMPT"
"""Name of the environment variable. On the machine it is harmless."""

KVM: Final = re.compile(r"(^|/)vastai/kvm(:|@|$)")
"""Images that are run as a virtual machine, not as a container."""


def new_marker() -> str:
    """Return a marker that no other attempt has: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def with_marker(env: Mapping[str, str], marker: str) -> dict[str, str]:
    """Return `env` with the marker in it."""
    return {**env, MARKER: marker}


def label_of(marker: str) -> str:
    """Return the label of a machine for which the user has given none: a second way to find it."""
    return f"vastnb-{marker[:12]}"


def marker_of(record: Mapping[str, Any]) -> str | None:
    """Return the marker of an instance record; None if it shows none."""
    return read_marker(record) or None


def read_marker(record: Mapping[str, Any]) -> str | None:
    """Return the marker in the environment of an instance record.

    Parameters
    ----------
    record : mapping
        As the service lists it. ``extra_env`` is a list of pairs; an object, texts ``"K=V"`` and
        either of them as JSON text have been met as well.

    Returns
    -------
    str or None
        Empty if the environment has no marker; None if there is none or it is not understood,
        which proves nothing.
    """
    pairs, understood = _pairs(record.get("extra_env"))
    if not understood:
        return None
    return next((value for name, value in pairs if name == MARKER), "")


def env_names(extra_env: Any) -> list[str]:
    """Return the names in an instance's environment, without the values.

    Parameters
    ----------
    extra_env : Any
        In any of the forms that `read_marker` knows. Mapped ports stand among the names
        (``-p 8000:8000``).
    """
    # A name with a "=" in it was an assignment that somebody put in the wrong place.
    return [plain(name.partition("=")[0], 80) for name, _ in _pairs(extra_env)[0]]


def names_only(record: Mapping[str, Any]) -> list[list[str]]:
    """Return an instance's environment as pairs whose values are empty, but for our marker."""
    marker = marker_of(record) or ""
    names = env_names(record.get("extra_env"))
    return [[name, marker if name == MARKER else ""] for name in names]


def _pairs(env: Any) -> tuple[list[tuple[str, str]], bool]:
    """Return names and values, and whether all of it was understood."""
    if isinstance(env, str):
        text = env.strip()
        if text[:1] in ("[", "{"):
            try:
                return _pairs(json.loads(text))
            except ValueError:
                return [], False
        env = text.replace("-e ", " ").split()
    if isinstance(env, Mapping):
        return [(str(name), str(value)) for name, value in env.items()], True
    if not isinstance(env, Sequence):
        return [], False
    pairs, understood = [], True
    for one in env:
        if isinstance(one, str) and "=" in one:
            name, _, value = one.partition("=")
            pairs.append((name.strip(), value.strip().strip("'\"")))
        elif (
            not isinstance(one, str)
            and isinstance(one, Sequence)
            and one
            and isinstance(one[0], str)
        ):
            pairs.append((one[0], str(one[-1])))
            understood &= len(one) == 2
        else:
            understood = False
    return pairs, understood


def is_kvm(image: Any) -> bool:
    """Say whether an image is one that runs as a virtual machine."""
    return isinstance(image, str) and KVM.search(image) is not None
