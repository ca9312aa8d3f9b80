"""Interruptible or on-demand: what interruptions cost, and when a bid no longer pays off.

An interrupted job starts again: it sets up once more, repeats what it had done since its last
checkpoint, and waits for a machine while its disk is billed. With

    H  hours of work            s  hours of set-up at each start
    k  interruptions            l  hours of work lost at each
    w  hours stopped at each    D  $/h for the disk          r  $ for what is downloaded again

a rental at a price of p $/h for its GPUs costs, traffic of the first start aside,

    cost(p, k) = (p + D) * (H + s) + k * ((p + D) * (s + l) + D * w + r)          [$]

which is linear in k and in p, so every break-even has an exact answer. On demand k is 0. If
interruptions come at random, one in E running hours on average, then k = T / E and
T = H + s + k * (s + l) give

    T = (H + s) / (1 - (s + l) / E),   endless if E <= s + l                     [h]

A bid is charged the lesser of itself and the on-demand price.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.market.frames.credible import believed
from vastnb.market.frames.terms import interruptible_rows
from vastnb.market.money.cost import HOURS_PER_MONTH, Amount, each
from vastnb.values import number


@dataclass(frozen=True)
class Interruptions:
    """A job that may be interrupted.

    Parameters
    ----------
    hours : float
        H, hours of work.
    setup_hours : float
        s, billed hours at each start before work begins: copying data, installing, compiling.
    lost_hours : float
        l, work repeated after each interruption; half the time between checkpoints, say.
    wait_hours : float
        w, hours stopped at each interruption, while the disk is billed.
    again_gb : float
        GB downloaded again after each interruption (0 if the disk keeps the data).

    Raises
    ------
    InvalidRequest
        If an amount is negative or not a number.
    """

    hours: float
    setup_hours: float = 0.0
    lost_hours: float = 0.0
    wait_hours: float = 0.0
    again_gb: float = 0.0

    def __post_init__(self) -> None:
        for name in ("hours", "setup_hours", "lost_hours", "wait_hours", "again_gb"):
            amount = number(getattr(self, name))
            if amount is None or amount < 0:
                raise InvalidRequest(
                    f"{name}={getattr(self, name)!r}: a number of 0 or more is needed. Nothing was "
                    "rented."
                )

    def count(self, every: float) -> float:
        """Return the interruptions to expect if one comes in `every` running hours on average.

        Returns
        -------
        float
            Infinite if the job loses as much as it gains (``every <= setup + lost``).
        """
        again = self.setup_hours + self.lost_hours
        if math.isinf(every):
            return 0.0
        if every <= again or every <= 0:
            return math.inf
        return (self.hours + self.setup_hours) / (every - again)

    def cost(self, price: Any, count: Any, disk: Any = 0.0, traffic: Any = 0.0) -> Any:
        """Return what the job costs without the traffic of its first start.

        Parameters
        ----------
        price : float or array
            p, $/h for the GPUs.
        count : float or array
            k, interruptions.
        disk : float or array
            D, $/h for the disk.
        traffic : float or array
            $/GB to the machine.
        """
        first = (price + disk) * (self.hours + self.setup_hours)
        if np.ndim(count) == 0 and count == 0:
            return first
        return first + count * self._one(price, disk, traffic)

    def break_even(self, on_demand: Any, bid: Any, disk: Any = 0.0, traffic: Any = 0.0) -> Any:
        """Return how many interruptions make a bid as expensive as on demand.

        Returns
        -------
        float or array
            k*, 0 if the bid is no cheaper even without any; infinite if interruptions cost
            nothing.
        """
        saved = (np.asarray(on_demand) - bid) * (self.hours + self.setup_hours)
        one = self._one(np.asarray(bid, dtype="float64"), disk, traffic)
        with np.errstate(divide="ignore", invalid="ignore"):
            count = np.where(one > 0, saved / one, np.where(saved > 0, np.inf, 0.0))
        return np.where(np.isnan(saved), np.nan, np.maximum(count, 0.0))

    def break_even_bid(
        self, on_demand: Any, count: Any, disk: Any = 0.0, traffic: Any = 0.0
    ) -> Any:
        """Return the bid at which `count` interruptions make it as expensive as on demand, $/h.

        Returns
        -------
        float or array
            0 if even a bid of 0 would cost more; NaN for a job without hours.
        """
        again = self.setup_hours + self.lost_hours
        hours = self.hours + self.setup_hours + count * again
        spent = count * (disk * (again + self.wait_hours) + self.again_gb * traffic)
        with np.errstate(divide="ignore", invalid="ignore"):
            bid = (np.asarray(on_demand) * (self.hours + self.setup_hours) - spent) / hours
        return np.maximum(bid, 0.0)

    def lost_hours_to_break_even(self, on_demand: Any, bid: Any, disk: Any = 0.0) -> Any:
        """Return how many running hours may be lost in total before a bid costs more, h."""
        with np.errstate(divide="ignore", invalid="ignore"):
            lost = (np.asarray(on_demand) - bid) * (self.hours + self.setup_hours) / (bid + disk)
        return np.maximum(lost, 0.0)

    def _one(self, price: Any, disk: Any, traffic: Any) -> Any:
        again = self.setup_hours + self.lost_hours
        return (price + disk) * again + disk * self.wait_hours + self.again_gb * traffic


def interruptible(
    frame: pd.DataFrame,
    job: Interruptions,
    *,
    disk: Amount,
    interruptions: float | None = None,
    every: float | None = None,
    download_gb: float = 0.0,
    upload_gb: float = 0.0,
) -> pd.DataFrame:
    """Compare the lowest bid with the on-demand price of each offer, for a job.

    Parameters
    ----------
    frame : DataFrame
        Offers with on-demand prices. Interruptible rows have no on-demand price, so their
        result is missing; a frame with only such rows is refused.
    job : Interruptions
        The job.
    disk : float, Series or ndarray
        GB; or one number for each offer.
    interruptions : float, optional
        How many to expect, or
    every : float, optional
        running hours between them on average. By default none.
    download_gb, upload_gb : float
        Traffic, GB; the same either way.

    Returns
    -------
    DataFrame of Float64, on the frame's index
        ``on_demand_usd``, ``bid_usd`` (expected, traffic included), ``saving_usd`` (negative if
        the bid costs more), ``interruptions`` expected, ``break_even_interruptions`` (more than
        these make the bid cost more; infinite if they cost nothing), ``break_even_lost_hours``
        (running hours lost in all), ``break_even_bid`` ($/h for the offer). Missing where a price
        is missing or not credible. A bid above the on-demand price is charged as that.

    Raises
    ------
    InvalidRequest
        If all rows are interruptible, or an amount is not valid.
    """
    bids = interruptible_rows(frame)
    if len(bids) and bids.all():
        raise InvalidRequest(
            "These offers are from an interruptible search: their prices are bids, and the "
            "on-demand price is not among them. Search with type='on-demand'; its min_bid is the "
            "lowest bid. Nothing was rented."
        )
    if interruptions is not None and every is not None:
        raise InvalidRequest("Give interruptions= or every=, not both. Nothing was rented.")
    for name, value in (("interruptions", interruptions), ("every", every),
                        ("download_gb", download_gb), ("upload_gb", upload_gb)):  # fmt: skip
        if value is not None and not (value >= 0 and (math.isfinite(value) or name == "every")):
            raise InvalidRequest(f"{name}={value!r}: 0 or more is needed. Nothing was rented.")
    count = job.count(every) if every is not None else float(interruptions or 0)
    price = np.where(bids, np.nan, believed(frame, "dph_base").values)
    bid = np.minimum(believed(frame, "min_bid").values, price)
    per_hour = believed(frame, "storage_cost").values * each("disk", disk, frame) / HOURS_PER_MONTH
    down = _used(frame, "inet_down_cost", max(download_gb, job.again_gb))
    traffic = down * download_gb + _used(frame, "inet_up_cost", upload_gb) * upload_gb
    on_demand_usd = job.cost(price, 0, per_hour) + traffic
    bid_usd = job.cost(bid, count, per_hour, down) + traffic
    with np.errstate(invalid="ignore"):
        columns = {
            "on_demand_usd": on_demand_usd,
            "bid_usd": bid_usd,
            "saving_usd": on_demand_usd - bid_usd,
            "interruptions": np.where(np.isnan(bid_usd), np.nan, count),
            "break_even_interruptions": job.break_even(price, bid, per_hour, down),
            "break_even_lost_hours": job.lost_hours_to_break_even(price, bid, per_hour),
            "break_even_bid": job.break_even_bid(price, count, per_hour, down)
            if math.isfinite(count)
            else np.where(np.isnan(price), np.nan, 0.0),
        }
    return pd.DataFrame(
        {name: pd.array(values, dtype="Float64") for name, values in columns.items()},
        index=frame.index,
    )


def _used(frame: pd.DataFrame, column: str, amount: float) -> np.ndarray:
    return believed(frame, column).values if amount else np.zeros(len(frame))
