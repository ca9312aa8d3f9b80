"""What an answer means, decided by its body.

The service answers a wrong key with 404, an offer that is gone with 404, 410 or 400, and a
deprecated address with 410 or even 200: the status alone decides little. `judge` takes one reply
(or the failure to get one) and returns one of five verdicts; what is then done about it is
decided in `vastnb.api.retry`.

It is long because every form of a refusal, and every shape of an answer, is decided here alone.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from vastnb.api.endpoints import Endpoint
from vastnb.api.text import bare_url, plain
from vastnb.api.wire import Failure, Response
from vastnb.errors import (
    AuthError,
    BadTemplate,
    InvalidRequest,
    NoCredit,
    NoSSHKey,
    OfferGone,
    ServerError,
    SpendLimit,
    VastError,
)

SIMULATED = "x-vastnb-simulated"

MOST_VALUES = 750_000
"""Values in one answer. 6,000 offers of 100 columns have 600,000; decoded they take 100 MB."""

MOST_ROWS = 20_000
MOST_COLUMNS = 500
"""Rows in one list, and different names in them, of which a frame is made."""

_NO_SSH_KEY = re.compile(r"no_ssh_key(?!.*provided)|no ssh keys? found")
_NO_CREDIT = re.compile(
    r"missing_billing|insufficient[_ ](credit|funds|balance)|not enough credit"
    r"|\black(s|ing)? (any |enough |of )?credit"
)
_SPEND_LIMIT = re.compile(r"spend(ing)?[ _-]?(limit|cap)|limit on spending")
_BAD_TEMPLATE = re.compile(
    r"\b(no|no such|no_such|invalid|unknown|bad)[ _]template"
    r"|template\b.{0,80}\b(not found|does not exist|not exist|is invalid|no longer)"
)
"""Words of refusals whose codes nobody has published, in lower case."""

_CREATE_CODES = frozenset(
    [
        "invalid_args",
        "invalid_price",
        "invalid_request",
        "bad_request",
        "no_ssh_key",
        "unauthorized",
        "forbidden",
    ]
)
_OWN_MESSAGE = re.compile(r"error 4\d\d/\d+|input should be ")
"""With what `_known` knows, the words of the service's own refusals to create a machine."""

_NEVER_REFUSALS = frozenset([408, 425, 429, 499])
"""Statuses below 500 that a gateway gives for a request which may have run."""

LONGEST_QUOTA = 25 * 3600.0
"""Seconds until a day's quota begins anew at most."""

LONGEST_WAIT = 7 * 86400.0
"""Seconds. A longer Retry-After is a mistake, and is read as none."""

_OWN_LIMIT = re.compile(
    r"requests too frequent|HTTPTooManyRequests|rate_limit_exceeded", re.IGNORECASE
)
"""What the service's own 429s say. A proxy's may come after the request has run."""

_THRESHOLD = re.compile(r"threshold\s*[:=]?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """An answer of the service, fresh or kept.

    Parameters
    ----------
    status : int
        HTTP status.
    body : bytes
        As received.
    fetched_at : datetime
        When it came from the service (UTC).
    from_cache : bool
        Whether it was kept from an earlier call, of this kernel or another.
    stale : bool
        Whether it is older than it should be, because the service could not be asked; and
        `stale_reason`, why, in words.
    simulated : bool
        Whether it comes from the simulated market.
    key : str
        With `fetched_at` it identifies the content.
    made : bytes or None
        What the caller had made of this answer earlier and kept beside it, in place of `body`,
        which is empty then.
    """

    status: int
    body: bytes = field(repr=False)
    fetched_at: datetime
    from_cache: bool = False
    stale: bool = False
    stale_reason: str | None = None
    simulated: bool = False
    key: str = ""
    made: bytes | None = field(default=None, repr=False)

    @cached_property
    def data(self) -> Any:
        """The decoded JSON; None for an empty body. Shared: copy before changing it."""
        return decode(self.body)

    def decoded(self, data: Any) -> Answer:
        """Take over the JSON that was decoded already, to be judged; return itself."""
        self.__dict__["data"] = data
        return self


class Call(Protocol):
    """Asks the service, or the cache."""

    def __call__(
        self,
        endpoint: str,
        *,
        path: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        refresh: bool = False,
        max_wait: float | None = None,
        made: str | None = None,
    ) -> Answer:
        """Return the answer of an endpoint."""


class Good(NamedTuple):
    """An answer that can be used; `data` is its decoded JSON."""

    data: Any


class Refusal(NamedTuple):
    """What a 429 said.

    Parameters
    ----------
    retry_after : float or None
        Seconds until it may be asked again.
    threshold : float or None
        Seconds between requests, as the text says.
    limit : float or None
        A number called "limit", which is the interval in what was observed, but may not be.
    """

    retry_after: float | None = None
    threshold: float | None = None
    limit: float | None = None


class Refused(NamedTuple):
    """A 429: the request did not run, and may be sent again."""

    said: Refusal


class QuotaSpent(NamedTuple):
    """No more rows today; `reset_at` in seconds since the epoch."""

    reset_at: float


class Definite(NamedTuple):
    """A clear no. Sending it again changes nothing."""

    error: VastError


class Trouble(NamedTuple):
    """The service or the way to it failed.

    Parameters
    ----------
    what : str
        In words.
    ran : bool
        Whether the request may have had its effect.
    status : int or None
        HTTP status, where there was an answer.
    retry_after : float or None
        Seconds that the service asks for.
    """

    what: str
    ran: bool
    status: int | None = None
    retry_after: float | None = None


Verdict = Good | Refused | QuotaSpent | Definite | Trouble


def judge(
    endpoint: Endpoint,
    outcome: Response | Failure,
    now: float,
) -> Verdict:
    """Say what came of one exchange.

    Parameters
    ----------
    endpoint : Endpoint
        What was asked.
    outcome : Response or Failure
        What came back.
    now : float
        Seconds since the epoch.
    """
    if isinstance(outcome, Failure):
        if outcome.kind == "unsendable":
            return Definite(_invalid(f"the request cannot be sent: {outcome.what}", None, None))
        return Trouble(outcome.what, ran=outcome.kind != "unsent")
    status, headers = outcome.status, outcome.headers
    try:
        data = decode(outcome.body)
        is_json = True
    except ValueError:
        data, is_json = None, False
    raw = "" if is_json else outcome.body[:2000].decode("utf-8", "replace")
    # An error page may hold any word; only the service's own JSON and plain text are read.
    own = "" if raw.lstrip().startswith("<") else raw
    code, msg = (plain(part) for part in _words(data, own))
    succeeded = 200 <= status < 300
    limited = is_own_limit(status, f"{code} {msg}") and not _may_name_a_machine(data or raw)
    if limited and not endpoint.repeatable:
        return Refused(read_refusal(headers, data, f"{raw} {msg}", now))
    if endpoint.creates:
        return _judge_create(status, data)
    if status == 429 and not endpoint.repeatable:
        return Trouble("an answer that is not Vast.ai's own (HTTP 429)", True, status)
    if not succeeded or (isinstance(data, dict) and data.get("success") is False):
        if "search_quota_exceeded" in f"{code} {msg}":
            return QuotaSpent(quota_reset(headers, data, now))
        if status == 429 or (endpoint.repeatable and "requests too frequent" in msg.lower()):
            return Refused(read_refusal(headers, data, f"{raw} {msg}", now))
    if succeeded:
        return _judge_success(endpoint, status, data, is_json, code, msg, outcome)
    if 300 <= status < 400:
        return Definite(_redirected(status, headers.get("Location", "")))
    if status >= 500 or status in {408, 425}:
        known = _known(status, code, msg)
        if known:
            return Definite(known)
        wait = read_refusal(headers, data, "", now).retry_after
        said = f" ({msg})" if msg and is_json else ""
        return Trouble(f"Vast.ai failed with HTTP {status}{said}", True, status, wait)
    return Definite(_known(status, code, msg) or _refusal(status, code, msg, is_json=is_json))


def own_refusal(status: int, data: Any) -> VastError | None:
    """Return the error for a create that the service itself has refused; None for anything else.

    Parameters
    ----------
    status : int
        HTTP status.
    data : Any
        The decoded body.
    """
    if not isinstance(data, Mapping) or _may_name_a_machine(data):
        return None
    said = data.get("success")
    refuses = 400 <= status < 500 and status not in _NEVER_REFUSALS and said in (None, False)
    if not (refuses or (status == 200 and said is False)):
        return None
    code, msg = (plain(part) for part in _words(data, ""))
    known = _known(status, code, msg)
    if known is None and not (code in _CREATE_CODES or _OWN_MESSAGE.search(msg.lower())):
        return None
    return known or _refusal(status, code, msg, is_json=True)


def decode(body: bytes) -> Any:
    """Return the JSON in `body`, None if it is empty.

    Raises
    ------
    ValueError
        If it is not JSON, or too much of it. (Bytes that are not UTF-8, in a text, are replaced:
        one host's odd name must not cost the user the market.)
    """
    if not body.strip():
        return None
    marks = np.frombuffer(body, dtype=np.uint8)  # counts six times as fast as bytes do
    if sum(np.count_nonzero(marks == ord(mark)) for mark in ",[{") > MOST_VALUES:
        raise ValueError("more values than an answer has")
    try:
        # Three to eight times as fast; what it takes it reads alike. What it refuses (NaN, a lone
        # surrogate, a number beyond floats) is left to the standard library.
        with suppress(msgspec.MsgspecError, ValueError):
            return msgspec.json.decode(body)
        try:
            return json.loads(body)
        except UnicodeDecodeError:
            return json.loads(body.decode("utf-8", "replace"))
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def misshapen(endpoint: Endpoint, data: Any) -> str:
    """Say what is wrong with the shape of an answer; nothing if it is what the table promises.

    Parameters
    ----------
    endpoint : Endpoint
        What was asked.
    data : Any
        The decoded JSON of a 200.
    """
    name = endpoint.expects
    if name is None:
        sound = isinstance(data, dict) or (endpoint.holds == "any" and isinstance(data, list))
        return "" if sound else "an answer of the wrong type"
    if not isinstance(data, dict) or name not in data:
        return f"an answer without '{name}'"
    held = data[name]
    if endpoint.holds == "record":
        sound = held is None or isinstance(held, dict)
        return "" if sound else f"an answer whose '{name}' is not an object"
    if endpoint.holds == "rows":
        if not isinstance(held, list) or not all(isinstance(row, dict) for row in held):
            return f"an answer whose '{name}' is not a list of objects"
        if len(held) > MOST_ROWS or len(set().union(*held)) > MOST_COLUMNS:
            return f"an answer with too many rows or columns in '{name}'"
    return ""


def _judge_create(status: int, data: Any) -> Good | Definite | Trouble:
    """Judge the answer to a create: a machine, a refusal of the service's own, or unknown."""
    if isinstance(data, Mapping) and data.get("new_contract") is not None:
        return Good(data)  # whatever the status says, a machine may exist
    refusal = own_refusal(status, data)
    if refusal is not None:
        return Definite(refusal)
    if 200 <= status < 300 and isinstance(data, Mapping):
        return Good(data)
    return Trouble(f"an answer that is not Vast.ai's own (HTTP {status})", True, status)


def _may_name_a_machine(data: Any) -> bool:
    """Say whether ``new_contract`` stands anywhere but, empty, where it belongs."""
    text = data if isinstance(data, str) else json.dumps(data)
    belongs = isinstance(data, Mapping) and "new_contract" in data and data["new_contract"] is None
    return text.count("new_contract") > belongs


def _judge_success(
    endpoint: Endpoint,
    status: int,
    data: Any,
    is_json: bool,
    code: str,
    msg: str,
    outcome: Response,
) -> Verdict:
    if status == 204 and endpoint.expects is None and endpoint.method != "GET":
        return Good({})  # a command that was carried out
    if not is_json or data is None:
        kind = "an empty answer" if not outcome.body.strip() else "an answer that is not JSON"
        return Trouble(f"{kind} (HTTP {status})", True, status)
    if isinstance(data, dict) and data.get("success") is False and "new_contract" not in data:
        known = _known(status, code, msg)
        if known:
            return Definite(known)
        # What a command answers is its caller's to read ("queued"); a question has no answer.
        if endpoint.method == "GET" or endpoint.expects:
            return Definite(_refusal(status, code, msg, is_json=True))
    wrong = misshapen(endpoint, data)
    return Trouble(f"{wrong} (HTTP {status})", True, status) if wrong else Good(data)


def _words(data: Any, raw: str) -> tuple[str, str]:
    """Return the service's code and message, each possibly empty."""
    if not isinstance(data, dict):
        return "", raw or (data if isinstance(data, str) else "")
    code = data.get("error")
    msg = data.get("msg") or data.get("message") or data.get("detail") or ""
    if isinstance(code, Mapping):
        msg = msg or code.get("msg") or code.get("message") or ""
        code = code.get("error") or code.get("code") or ""
    if isinstance(msg, list):
        msg = "; ".join(_validation(one) for one in msg[:5])
    return str(code or ""), str(msg)


def _validation(one: Any) -> str:
    if not isinstance(one, dict):
        return str(one)
    where = one.get("loc")
    place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    return f"{place}: {one.get('msg', '')}" if place else str(one.get("msg", ""))


def _known(status: int, code: str, msg: str) -> VastError | None:
    """Return the error for the words that have one meaning whatever the status."""
    text = f"{code} {msg}".lower()
    said = _quote(code, msg)
    if "auth_error" in text or "invalid user key" in text:
        return AuthError(
            f"Vast.ai does not accept this API key{said}. Nothing was done or charged. Check the "
            "key at https://cloud.vast.ai/manage-keys/.",
            status=status,
            code=code or "auth_error",
        )
    if "no_such_ask" in text:
        return OfferGone(
            f"The offer is no longer available{said}. Nothing was rented by this request. Search "
            "again, or try the next offer.",
            status=status,
            code="no_such_ask",
        )
    if _NO_CREDIT.search(text):
        return NoCredit(
            f"The account does not have enough credit{said}. Nothing was rented or charged. Add "
            "credit at https://cloud.vast.ai/billing/.",
            status=status,
            code=code or "insufficient_credit",
        )
    if "deprecated_endpoint" in text:
        return InvalidRequest(
            f"Vast.ai no longer serves this address{said}. Nothing was done. Update vastnb.",
            status=status,
            code="deprecated_endpoint",
        )
    if status >= 500:
        return None  # what looks like these words may be an error page's own; it may have run
    if _NO_SSH_KEY.search(text):
        return NoSSHKey(
            f"The account has no SSH key{said}. Nothing was rented or charged. Add one at "
            "https://cloud.vast.ai/manage-keys/.",
            status=status,
            code=code or "no_ssh_key",
        )
    if _SPEND_LIMIT.search(text):
        return SpendLimit(
            f"The spending limit is reached{said}. Nothing was rented or charged. Raise it at "
            "https://cloud.vast.ai/billing/, or rent less.",
            status=status,
            code=code or "spend_limit",
        )
    if _BAD_TEMPLATE.search(text):
        return BadTemplate(
            f"The template was not accepted{said}. Nothing was rented or charged. "
            "client.search_templates() lists the ones that exist.",
            status=status,
            code=code or "no_such_template",
        )
    return None


def _refusal(status: int, code: str, msg: str, *, is_json: bool) -> VastError:
    said = _quote(code, msg) if is_json else ", from a page that is not Vast.ai's API"
    if status == 401 or status == 403:
        return AuthError(
            f"Vast.ai refused this request (HTTP {status}){said}. Nothing was done or charged. "
            "The key may be missing, wrong, or not allowed to do it.",
            status=status,
            code=code or None,
        )
    hint = "" if is_json else " Check VAST_URL or base_url."
    return _invalid(f"HTTP {status}{said}", status, code or None, hint)


def _invalid(what: str, status: int | None, code: str | None, hint: str = "") -> InvalidRequest:
    return InvalidRequest(
        f"The request was not accepted: {what}. Nothing was done or charged; sending it again "
        f"will not help.{hint}",
        status=status,
        code=code,
    )


def _redirected(status: int, location: str) -> ServerError:
    where = bare_url(location) if location else "nowhere"
    return ServerError(
        f"The server redirects to {where} (HTTP {status}). vastnb does not follow redirects: they "
        "turn a POST into a GET, and would send your key to another server. Nothing was done or "
        "charged. If the service has moved, set base_url or VAST_URL.",
        status=status,
        code="redirect",
    )


def _quote(code: str, msg: str) -> str:
    said = ": ".join(part for part in (code, msg) if part)
    return f' ("{said}")' if said else ""


def utc(seconds: float) -> datetime:
    """Return a moment as an aware datetime."""
    return datetime.fromtimestamp(seconds, UTC)


# -- what a 429 says: the time to wait stands in a header, in the body, or only in its text ------


def read_refusal(headers: Mapping[str, str], data: Any, text: str, now: float) -> Refusal:
    """Read what a 429 says.

    Parameters
    ----------
    headers : mapping
        Response headers; look-ups ignore case.
    data : Any
        The decoded body; anything but a dict is ignored.
    text : str
        The body as text, or the message in it.
    now : float
        Seconds since the epoch.

    Returns
    -------
    Refusal
        Seconds to wait and between requests, as far as they are named.
    """
    body = data if isinstance(data, dict) else {}
    threshold = _THRESHOLD.search(text)
    limit = _number(body.get("limit"))
    return Refusal(
        retry_after=_retry_after(headers, body, now),
        threshold=_positive(_number(threshold.group(1))) if threshold else None,
        limit=_number(headers.get("X-RateLimit-Limit")) if limit is None else limit,
    )


def is_own_limit(status: int, text: str) -> bool:
    """Say whether an answer is a 429 of the service itself, which it gives before acting.

    Parameters
    ----------
    status : int
        HTTP status.
    text : str
        Its code and message, or a body in plain text.
    """
    return status == 429 and _OWN_LIMIT.search(text) is not None


def quota_reset(headers: Mapping[str, str], data: Any, now: float) -> float:
    """Return when the day's quota begins anew, in seconds since the epoch.

    The service's own word for it if it is within the next 25 hours, otherwise the next midnight
    UTC.
    """
    body = data if isinstance(data, dict) else {}
    named = [
        _until_reset(headers.get("X-RateLimit-Reset"), now),
        _number(body.get("retry_after")),
        _seconds_or_date(headers.get("Retry-After"), now),
    ]
    for wait in named:
        if wait is not None and 0 < wait <= LONGEST_QUOTA:
            return now + wait
    return next_midnight(now)


def next_midnight(now: float) -> float:
    """Return the next midnight UTC, in seconds since the epoch."""
    day = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=1)).timestamp()


def _retry_after(headers: Mapping[str, str], body: Mapping[str, Any], now: float) -> float | None:
    header = _seconds_or_date(headers.get("Retry-After"), now)
    said = _sane(_number(body.get("retry_after")))
    if header is not None and said is not None:
        return max(header, said)  # one of the two is rounded
    if header is not None or said is not None:
        return header if header is not None else said
    return _sane(_until_reset(headers.get("X-RateLimit-Reset"), now))


def _seconds_or_date(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    number = _number(text)
    if number is not None:
        return _sane(number)
    try:
        # (urllib3's `Retry.parse_retry_after` counts from the machine's clock, not from `now`.)
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _sane(max(0.0, moment.timestamp() - now))


def _until_reset(text: str | None, now: float) -> float | None:
    number = _number(text)
    if number is None:
        return None
    # A moment has ten digits; a number of seconds has not. Whole seconds are rounded down.
    return max(0.0, number - now + 1.0) if number > 1e8 else number


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _sane(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= LONGEST_WAIT else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value <= 3600 else None
