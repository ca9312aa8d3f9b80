"""Arguments of questions to the history: read, or refused in clear words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from vastnb.market.history.columns import KEPT
from vastnb.market.history.sql import BOUGHT
from vastnb.wording import nearest, refusal

Kind = Literal["on-demand", "bid", "interruptible", "reserved"]
Moment = str | date | datetime | timedelta | float | None


def kind_of(kind: str) -> str:
    """Return a kind of rental in the service's word."""
    name = "bid" if kind == "interruptible" else kind
    if name not in BOUGHT:
        raise refusal(f'type={kind!r}: use "on-demand", "bid" (or "interruptible") or "reserved".')
    return name


def shares_of(quantiles: Sequence[float]) -> tuple[float, ...]:
    """Return quantiles as shares, each once."""
    shares = tuple(dict.fromkeys(float(q) for q in quantiles))
    for share in shares:
        if not 0 <= share <= 1:
            raise refusal(f"quantiles={share:g}: shares from 0 to 1 are needed.")
    return shares


def moment_of(name: str, value: Moment, now: datetime) -> datetime | None:
    """Return a moment (UTC); numbers and timedeltas count back from now, numbers in days."""
    if value is None:
        return None
    try:
        if isinstance(value, timedelta):
            return now - value
        if isinstance(value, int | float | np.number):
            return now - timedelta(days=float(value))
        moment = pd.Timestamp(value)
        moment = moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)
        return moment.to_pydatetime()
    except (ValueError, TypeError, OverflowError, AttributeError):
        raise refusal(
            f'{name}={value!r}: a time such as "2026-11-01" is needed, or a number of days back.'
        ) from None


def values_of(name: str, value: Any) -> tuple[Any, ...]:
    """Return the values that a column may have: one, or several in a list."""
    check_column(name)
    kind = KEPT[name].dtype
    if kind.startswith("datetime"):
        raise refusal(f"{name}={value!r}: use since= and until= for times.")
    several = list(value) if isinstance(value, list | tuple | set | frozenset) else [value]
    out = []
    for one in several:
        plain = one.item() if isinstance(one, np.generic) else one
        fits = isinstance(plain, _TAKES[kind]) and (isinstance(plain, bool) == (kind == "boolean"))
        if not fits or (kind == "Int64" and not -(2**63) <= plain < 2**63):
            raise refusal(
                f"{name}={value!r}: {_WORDS[kind]} is needed, or a list of them, such as "
                f"{name}={_SAMPLES[kind]!r}."
            )
        out.append(plain)
    if not out:
        raise refusal(f"{name}=[]: an empty list matches nothing. Leave it out, or give a value.")
    return tuple(out)


_TAKES: Final[dict[str, Any]] = {
    "Int64": int, "Float64": (int, float), "boolean": bool, "string": str,
}  # fmt: skip
_WORDS: Final = {
    "Int64": "a whole number", "Float64": "a number", "boolean": "True or False", "string": "a text"
}  # fmt: skip
_SAMPLES: Final = {"Int64": [1, 2], "Float64": [0.5, 1.0], "boolean": True, "string": ["SE", "NO"]}


def day_of(name: str, value: Moment, now: datetime) -> datetime:
    """Return the midnight (UTC) that begins a day."""
    moment = moment_of(name, value, now)
    if moment is None:
        raise refusal(f'{name}={value!r}: a day such as "2026-11-01" is needed.')
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def check_column(name: str) -> None:
    """Refuse a column that the history does not have."""
    if name not in KEPT:
        raise refusal(
            f"The history has no column {name!r}; it has {', '.join(KEPT)}.",
            suggestions=nearest(name, KEPT),
        )


__all__ = ["Kind", "Moment", "check_column", "day_of", "kind_of", "moment_of", "shares_of",
           "values_of"]  # fmt: skip
