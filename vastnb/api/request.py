"""From a call to the request that is sent, and to the key under which its answer is kept.

The key is a digest of everything that decides the answer: whose account, which server, method,
address with its parameters, and the JSON body in one canonical spelling. So the order of keys in a
query does not matter, and two accounts never see each other's answers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from vastnb.api.answers import SIMULATED, Answer, utc
from vastnb.api.cache import Entry
from vastnb.api.endpoints import Endpoint
from vastnb.api.secret import Secret
from vastnb.api.wire import Request
from vastnb.errors import InvalidRequest


class PendingCall(NamedTuple):
    """One call on its way.

    Parameters
    ----------
    endpoint : Endpoint
        What is request.
    request : Request
        What is sent.
    key : str
        Under which its answer is kept.
    ttl : float
        Seconds for which an answer is fresh.
    cached : bool
        Whether answers are kept at all.
    refresh : bool
        Whether the user request for a new answer.
    started : float
        When the call began, seconds since the epoch.
    deadline : float
        When its patience ends, by the clock that nobody sets (`Clock.steady`).
    made : str, optional
        The name of what may be kept beside the answer, and will do in its place.
    """

    endpoint: Endpoint
    request: Request
    key: str
    ttl: float
    cached: bool
    refresh: bool
    started: float
    deadline: float
    made: str | None = None

    def accepts(self, entry: Entry, now: float) -> bool:
        """Say whether a kept answer is good enough."""
        if self.refresh:
            return entry.created_at > self.started  # of another thread, after the user request
        # A little in the future is another machine's clock; more is a clock that was set back.
        return -5.0 <= now - entry.created_at < self.ttl


def kept_answer(call: PendingCall, entry: Entry, stale_reason: str | None = None) -> Answer:
    """Return a kept entry as an answer, marked if it is older than it should be."""
    return Answer(
        status=200,
        body=entry.body,
        fetched_at=utc(entry.created_at),
        from_cache=True,
        stale=stale_reason is not None,
        stale_reason=stale_reason,
        simulated=SIMULATED in entry.headers,
        key=call.key,
    )


def made_key(key: str, name: str) -> str:
    """Return the key of what was made of an answer, and is kept beside it."""
    return f"{key}-{name}"


def identity_of(key: Secret, base_url: str) -> str:
    """Return a name for an account on a server that does not lead back to the key."""
    return key.fingerprint(base_url) if key else "anonymous-" + _digest(base_url)[:12]


def key_of(identity: str, request: Request) -> str:
    """Return the key under which the answer to a request is kept. No header has a part in it."""
    params = sorted(request.params.items())
    return _digest(
        json.dumps([identity, request.method, request.url, params, _canonical(request.body)])
    )


def url_of(base_url: str, endpoint: Endpoint, path: Mapping[str, Any]) -> str:
    """Return the address of `endpoint`, its placeholders filled from `path`.

    Raises
    ------
    InvalidRequest
        If a placeholder has no value, or an empty one: ``/instances//`` means all of them.
    """
    values = {name: quote(str(value), safe="") for name, value in path.items()}
    try:
        filled = endpoint.path.format(**values)
    except (KeyError, IndexError) as missing:
        raise _unsendable(endpoint, f"it needs {missing}") from None
    if any(value in {"", ".", "..", "None"} for value in values.values()):
        raise _unsendable(endpoint, "an id is empty")
    return base_url + filled


def params_of(endpoint: Endpoint, params: Mapping[str, Any] | None) -> dict[str, str]:
    """Return query parameters as text; those that are None are left out, nested ones are JSON."""
    return {
        name: value if isinstance(value, str) else _json(endpoint, value)
        for name, value in (params or {}).items()
        if value is not None
    }


def body_of(endpoint: Endpoint, body: Any) -> bytes | None:
    """Return the JSON body as bytes, None for none.

    Raises
    ------
    InvalidRequest
        If it cannot be written as JSON (NaN and infinity cannot).
    """
    return None if body is None else _json(endpoint, body).encode()


def _json(endpoint: Endpoint, value: Any) -> str:
    try:
        return json.dumps(value, default=_plain_number, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        # The reason names a type or a number, never the body, which may hold passwords.
        reason = str(error) if isinstance(error, TypeError) else "a value has no JSON form"
        raise _unsendable(endpoint, reason) from None


def _plain_number(value: Any) -> Any:
    """Numbers that come out of a frame are numpy's."""
    item = getattr(value, "item", None)
    if callable(item) and getattr(value, "ndim", 0) == 0:
        return item()
    raise TypeError(f"a {type(value).__name__} has no JSON form")


def _canonical(body: bytes | None) -> str:
    return json.dumps(json.loads(body), sort_keys=True) if body else ""


def _unsendable(endpoint: Endpoint, why: str) -> InvalidRequest:
    return InvalidRequest(
        f"Could not {endpoint.words}: {why}. Nothing was sent or charged.", code="unsendable"
    )


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()
