"""Reading a 429 in every form that the service has been seen to use.

The time to wait stands in ``Retry-After`` (seconds or an HTTP date), in the body's
``retry_after``, in ``X-RateLimit-Reset`` (a moment or a number of seconds), or only as a threshold
in plain text. The seconds between requests stand in that text, or as ``limit``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from vastnb.api.pacing import Refusal

LONGEST = 7 * 86400.0
"""Seconds. A longer Retry-After is a mistake, and is read as none."""

_OWN = re.compile(r"requests too frequent|HTTPTooManyRequests|rate_limit_exceeded", re.IGNORECASE)
"""What the service's own 429s say. A proxy's may come after the request has run."""

_THRESHOLD = re.compile(r"threshold\s*[:=]?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)


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
    return status == 429 and _OWN.search(text) is not None


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
        if wait is not None and 0 < wait <= 25 * 3600:
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
    return value if value is not None and 0 <= value <= LONGEST else None


def _positive(value: float | None) -> float | None:
    return value if value is not None and 0 < value <= 3600 else None


__all__ = ["is_own_limit", "next_midnight", "quota_reset", "read_refusal"]
