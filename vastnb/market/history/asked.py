"""Arguments of questions to the history: read, or refused in clear words."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import numpy as np
import pandas as pd

from vastnb.market.history.columns import KEPT
from vastnb.market.history.questions import BOUGHT
from vastnb.market.problems import nearest, refusal

Kind = Literal["on-demand", "bid", "interruptible", "reserved"]
Moment = str | date | datetime | timedelta | float | None
_SHORTEST = 60_000_000


def kind_of(kind: str) -> str:
    """Return a kind of rental in the service's word."""
    name = "bid" if kind == "interruptible" else kind
    if name not in BOUGHT:
        raise refusal(
            f'type={kind!r}: there are "on-demand", "bid" (or "interruptible") and "reserved".'
        )
    return name


def step_of(every: str | timedelta) -> int:
    """Return the length of a span in microseconds."""
    if isinstance(every, str):
        every = re.sub(r"(?<=\d)\s*d$", "D", every.strip())  # pandas wants a large one
    try:
        step = pd.Timedelta(every) // pd.Timedelta(microseconds=1)
    except (ValueError, TypeError):
        step = 0
    if not step >= _SHORTEST:
        raise refusal(
            f'every={every!r}: a length such as "1d", "6h" or "30min" is needed, from a minute on.'
        )
    return int(step)


def days_of(days: float) -> float:
    """Return a number of days."""
    if isinstance(days, bool) or not isinstance(days, int | float | np.number):
        raise refusal(f"days={days!r}: a number is needed.")
    if not (days > 0 and math.isfinite(days)):
        raise refusal(f"days={days!r}: a number above 0 is needed.")
    return float(days)


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


def check_column(name: str) -> None:
    """Refuse a column that the history does not have."""
    if name not in KEPT:
        raise refusal(
            f"The history has no column {name!r}; it has {', '.join(KEPT)}.",
            suggestions=nearest(name, KEPT),
        )


__all__ = ["Kind", "Moment", "check_column", "days_of", "kind_of", "moment_of", "shares_of",
           "step_of"]  # fmt: skip
