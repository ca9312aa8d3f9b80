"""The past of a simulated market, written as if its searches had been recorded."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.market.history.columns import Sample, sorted_table, table_of
from vastnb.market.history.dataset import SUFFIX, Dataset, write
from vastnb.market.offers import frame_of_offers

if TYPE_CHECKING:
    import pyarrow as pa

    from vastnb.sim.past import Found
    from vastnb.sim.world import World

DAY: Final = 86_400.0
MOST: Final = 96
"""Snapshots a day."""


def write_past(world: World, dataset: Dataset, now: float, days: float, a_day: int) -> int:
    """Write what searches would have found, one file for each day.

    Doing it again writes the same files over.

    Parameters
    ----------
    world : World
        The simulated world.
    dataset : Dataset
        Where to.
    now : float
        Seconds since the epoch.
    days : float
        How far back.
    a_day : int
        Snapshots a day, at the same times of each day.

    Returns
    -------
    int
        Rows written.
    """
    from vastnb.sim.past import past

    if not 1 <= a_day <= MOST:
        raise InvalidRequest(f"a_day={a_day}: 1 to {MOST} are possible. Nothing was written.")
    step = DAY / a_day
    first, last = math.ceil((now - days * DAY) / step), math.ceil(now / step)
    moments = [step * number for number in range(first, last)]
    offers, found = past(world, moments)
    frame = frame_of_offers(offers)
    rows = 0
    for day, pairs in groupby(zip(moments, found, strict=True), key=lambda pair: _day(pair[0])):
        whole = sorted_table([_seen(frame, moment, then) for moment, then in pairs])
        write(whole, dataset.day(day), f"past-{a_day}{SUFFIX}", durable=False)
        rows += whole.num_rows
    return rows


def _seen(frame: pd.DataFrame, moment: float, then: Found) -> pa.Table:
    sample = Sample(
        seen_at=datetime.fromtimestamp(moment, UTC),
        type="on-demand",
        query="",
        restricted=False,
        truncated=False,
        simulated=True,
    )
    prices = {name: pd.array(getattr(then, name), "Float64") for name in ("dph_base", "min_bid")}
    return table_of(frame.take(then.offers).assign(**prices), sample)


def _day(moment: float) -> date:
    return datetime.fromtimestamp(moment, UTC).date()


__all__ = ["write_past"]
