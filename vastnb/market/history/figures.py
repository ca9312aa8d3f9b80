"""From what DuckDB found to frames and figures, with what stands behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.market import vram
from vastnb.market.history.columns import column_of
from vastnb.market.history.questions import BOUGHT
from vastnb.market.problems import refusal

SEARCHES_TOLD: Final = 20
_SAME: Final = 1e-9
"""Prices this near to each other, as a share, are one price."""


def trend_frame(
    found: Mapping[str, Any], behind: Behind, step: int, quantiles: Sequence[float]
) -> pd.DataFrame:
    """Return the frame of a trend.

    Parameters
    ----------
    found : dict
        Answer to `trend_sql`.
    behind : Behind
        What stands behind it.
    step : int
        Length of a span, microseconds.
    quantiles : sequence of float
        In the order in which they were asked for.
    """
    spans = np.ma.getdata(found["span"]).astype("int64")
    values = np.array([*map(list, np.ma.getdata(found["quantiles"]))], dtype="float64")
    values = values.reshape(len(spans), len(quantiles))
    keys = zip(*(_cells(found[name]) for name in ("gpu_name", "gpu_ram_gb", "span")), strict=True)
    starts: Any = pd.array((spans * step).view("M8[us]"), copy=False)
    columns = {name: column_of(name, found[name]) for name in ("gpu_name", "gpu_ram_gb")}
    out: dict[str, Any] = {
        "at": starts.tz_localize(UTC),
        **columns,
        "low": column_of("low", found["low"]),
        **{label(q): pd.arrays.FloatingArray(values[:, i].copy(), np.isnan(values[:, i]))
           for i, q in enumerate(quantiles)},
        "high": column_of("high", found["high"]),
        "machines": column_of("machines", found["machines"]),
        "offers": column_of("offers", found["offers"]),
        "snapshots": pd.array([behind.snapshots.get(key, 0) for key in keys], dtype="Int64"),
    }  # fmt: skip
    return pd.DataFrame(out, index=pd.RangeIndex(len(spans)), copy=False)


def label(share: float) -> str:
    """Return the name of a quantile's column: ``q10``, ``median``, ``q99_9``."""
    return "median" if share == 0.5 else f"q{100 * share:g}".replace(".", "_")


class Behind:
    """What stands behind figures.

    Parameters
    ----------
    found : dict
        Answer to `behind_sql`.

    Attributes
    ----------
    snapshots : dict
        How many searches, by GPU name, VRAM and span.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.snapshots: dict[tuple[Any, Any, Any], int] = {}
        self._searches: list[tuple[str, bool, int, int]] = []
        names = ("of_span", "gpu_name", "gpu_ram_gb", "span", "query", "truncated", "snapshots",
                 "found")  # fmt: skip
        for of_span, gpu, size, span, query, cut, used, seen in zip(
            *(_cells(found[name]) for name in names), strict=True
        ):
            if of_span == 0:
                self.snapshots[gpu, size, span] = used
            else:
                self._searches.append((query, bool(cut), used, seen))

    def figures(self) -> dict[str, Any]:
        """Return what is told with a frame, JSON-able.

        Returns
        -------
        dict
            ``snapshots`` (searches that were counted), ``truncated_snapshots`` (those of them that
            may have been cut short), ``left_out_snapshots`` (those that chose by price), and
            ``sampled_from``: how many of which search, the most frequent ones.
        """
        by_query: dict[str, int] = {}
        for query, _, used, _ in self._searches:
            if used:
                by_query[query] = by_query.get(query, 0) + used
        most = sorted(by_query.items(), key=lambda pair: -pair[1])[:SEARCHES_TOLD]
        return {
            "snapshots": sum(by_query.values()),
            "truncated_snapshots": sum(used for _, cut, used, _ in self._searches if cut),
            "left_out_snapshots": sum(seen - used for _, _, used, seen in self._searches),
            "sampled_from": dict(most),
        }


def _cells(values: Any) -> list[Any]:
    """Return an array of DuckDB's as Python values, None where one is missing."""
    cells: list[Any] = values.tolist()  # a masked one has None already
    return cells


@dataclass(frozen=True, slots=True, repr=False)
class Percentile:
    """Where a price stands among those of the last days.

    Parameters
    ----------
    percent : float
        How many percent of the prices were higher; NaN if nothing is known to compare with.
    price : float
        $/h of one GPU, without disk.
    median : float
        The middle of the prices, in the same unit.
    gpu_name : str
        GPU model.
    gpu_ram_gb : int or None
        VRAM; only the same size is compared.
    type : str
        Kind of rental.
    days : float
        How far was looked back.
    covered : float
        Days since the oldest price there: less than `days` in a young history.
    machines, prices : int
        Machines behind the figure, and their prices: one for each machine and day.
    simulated : bool
        Whether the market is a simulated one.
    """

    percent: float
    price: float
    median: float
    gpu_name: str
    gpu_ram_gb: int | None
    type: str
    days: float
    covered: float
    machines: int
    prices: int
    simulated: bool

    def __float__(self) -> float:
        return self.percent

    def __str__(self) -> str:
        if math.isnan(self.percent):
            return f"no {self.gpu_name} was seen in the last {_days(self.days)} to compare with"
        young = self.covered < 0.8 * self.days - 1
        span = (
            f"the {_days(max(1.0, math.ceil(self.covered)))} that were recorded"
            if young
            else f"the last {_days(self.days)}"
        )
        made_up = ", simulated" if self.simulated else ""
        many = "machine" if self.machines == 1 else "machines"
        return f"cheaper than {self.percent:.0f} % of {span} ({self.machines} {many}{made_up})"

    def __repr__(self) -> str:
        return f"<{self}>"


def _days(days: float) -> str:
    return "day" if days == 1 else f"{days:g} days"


class Prices:
    """Prices to compare with, one for each machine and day, by GPU model and VRAM.

    Parameters
    ----------
    found : dict
        Answer to `sample_sql`.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        names = np.ma.getdata(found["gpu_name"])
        sizes = np.ma.filled(found["gpu_ram_gb"], -1)
        prices = np.ma.getdata(found["price"])
        order: Any = np.lexsort((prices, sizes, names.astype(str)))
        names, sizes, self._prices = names[order], sizes[order], prices[order]
        self._machines = np.ma.getdata(found["machine_id"])[order]
        self._spans = np.ma.getdata(found["span"])[order]
        self._where: dict[tuple[Any, int], slice] = {}
        edges = [
            i for i in range(len(names))
            if i == 0 or names[i] != names[i - 1] or sizes[i] != sizes[i - 1]
        ]  # fmt: skip
        for begin, end in zip(edges, [*edges[1:], len(names)], strict=False):
            self._where[names[begin], int(sizes[begin])] = slice(begin, end)

    def of(self, gpu_name: Any, gpu_ram_gb: Any) -> slice:
        """Return where the prices of a GPU stand; empty if there are none."""
        size = -1 if gpu_ram_gb is None else int(gpu_ram_gb)
        return self._where.get((gpu_name, size), slice(0, 0))

    def percent(self, where: slice, price: float) -> float:
        """Return how many percent of the prices are higher; NaN if there are none."""
        known = self._prices[where]
        if not len(known) or not math.isfinite(price):
            return math.nan
        higher = len(known) - np.searchsorted(known, price * (1 + _SAME), side="right")
        return float(100.0 * higher / len(known))

    def about(self, where: slice) -> tuple[float, int, int, int | None]:
        """Return the median, how many prices and machines there are, and the oldest span."""
        known = self._prices[where]
        if not len(known):
            return math.nan, 0, 0, None
        machines = len(np.unique(self._machines[where]))
        return float(np.median(known)), len(known), machines, int(self._spans[where].min())


def priced(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return what is compared of offers: ``gpu_name``, ``gpu_ram_gb``, ``price`` ($/h per GPU).

    Raises
    ------
    QueryError
        If the frame lacks a column.
    """
    column = BOUGHT[kind][0]
    for name in ("gpu_name", "num_gpus", column):
        if name not in frame.columns:
            raise refusal(f"To compare prices, offers with the column {name!r} are needed.")
    if "gpu_ram_gb" in frame.columns:
        sizes = frame["gpu_ram_gb"].astype("Int64")
    elif "gpu_ram" in frame.columns:
        sizes = frame["gpu_ram"].map(vram.nominal, na_action="ignore").astype("Int64")
    else:
        raise refusal("To compare prices, offers with the column 'gpu_ram' are needed.")
    gpus = frame["num_gpus"].astype("Float64")
    price = frame[column].astype("Float64") / gpus.where(gpus > 0)
    return pd.DataFrame({"gpu_name": frame["gpu_name"], "gpu_ram_gb": sizes, "price": price})


__all__ = ["Behind", "Percentile", "Prices", "label", "priced", "trend_frame"]
