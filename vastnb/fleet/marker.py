"""The marker that ties an attempt to the machine it may have made.

The service has no idempotency key. What it does have is the environment of an instance, which its
list of instances gives back as pairs. Every attempt therefore carries an entry of its own there,
and a machine whose maker never heard the answer is still recognised.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

MARKER: Final = "VASTNB_ATTEMPT"
"""Name of the environment variable. On the machine it is harmless."""


def new_marker() -> str:
    """Return a marker that no other attempt has: 32 hexadecimal digits."""
    return secrets.token_hex(16)


def with_marker(env: Mapping[str, str], marker: str) -> dict[str, str]:
    """Return `env` with the marker in it."""
    return {**env, MARKER: marker}


def marker_of(record: Mapping[str, Any]) -> str | None:
    """Return the marker of an instance record; None if it was not rented by this package.

    Parameters
    ----------
    record : mapping
        As the service lists it: ``extra_env`` is a list of pairs (an object in older answers, and
        null for an instance without any).
    """
    for name, value in _pairs(record.get("extra_env")):
        if name == MARKER:
            return value
    return None


def _pairs(env: Any) -> Iterator[tuple[str, str]]:
    if isinstance(env, Mapping):
        env = list(env.items())
    if not isinstance(env, Sequence) or isinstance(env, str):
        return
    for pair in env:
        if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
            yield str(pair[0]), str(pair[1])


__all__ = ["MARKER", "marker_of", "new_marker", "with_marker"]
