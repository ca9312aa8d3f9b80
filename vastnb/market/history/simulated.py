"""The past of a simulated market, written as if its searches had been recorded."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any, Final, Protocol

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.history.columns import OF_OFFER, OF_SNAPSHOT, Sample, cells_of, frame_of_cells
from vastnb.market.history.days import Days
from vastnb.market.history.store import micros

DAY: Final = 86_400.0
MOST: Final = 96
"""Snapshots a day."""


class Found(Protocol):
    """What could be rented at one moment: positions in the rows, and their prices then, $/h."""

    offers: list[int]
    dph_base: list[float | None]
    min_bid: list[float | None]


Past = Callable[[Sequence[float]], tuple[list[dict[str, Any]], Sequence[Found]]]
"""From moments to all offers that were ever there, and what was found at each moment."""


def write_past(past: Past, days: Days, now: float, back: float, a_day: int) -> int:
    """Write what searches would have found.

    Doing it again changes nothing.

    Parameters
    ----------
    past : callable
        The simulated market's past, see `Past`.
    days : Days
        Where to.
    now : float
        Seconds since the epoch.
    back : float
        How many days back.
    a_day : int
        Snapshots a day, at the same times of each day.

    Returns
    -------
    int
        Rows, whether or not they were there before.
    """
    if not 1 <= a_day <= MOST:
        raise InvalidRequest(f"a_day={a_day}: 1 to {MOST} are possible. Nothing was written.")
    step = DAY / a_day
    first, last = math.ceil((now - back * DAY) / step), math.ceil(now / step)
    moments = [step * number for number in range(first, last)]
    offers, found = past(moments)
    frame = frame_of_offers(offers)
    today, rows = _day(now), 0
    for day, pairs in groupby(zip(moments, found, strict=True), key=lambda pair: _day(pair[0])):
        whole = pd.concat([_seen(frame, moment, then) for moment, then in pairs])
        days.adopt(day, whole.reset_index(drop=True), finished=day < today)
        rows += len(whole)
    return rows


def _seen(frame: pd.DataFrame, moment: float, then: Found) -> pd.DataFrame:
    sample = Sample(
        seen_at=datetime.fromtimestamp(moment, UTC),
        type="on-demand",
        query="",
        restricted=False,
        truncated=False,
        simulated=True,
    )
    prices = {name: pd.array(getattr(then, name), "Float64") for name in ("dph_base", "min_bid")}
    offers = frame.take(then.offers).assign(**prices)
    about = {c.name: getattr(sample, c.name) for c in OF_SNAPSHOT} | {
        "seen_at": micros(sample.seen_at)
    }
    cells = {name: [value] * len(offers) for name, value in about.items()}
    cells |= {c.name: values for c, values in zip(OF_OFFER, cells_of(offers), strict=True)}
    return frame_of_cells(cells)


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


__all__ = ["Past", "write_past"]
