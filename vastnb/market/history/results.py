"""From what DuckDB found to frames and figures, and what they rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from vastnb.market.frames.arrays import STRING
from vastnb.market.frames.credible import believed
from vastnb.market.history.columns import column_of
from vastnb.market.history.sql import BOUGHT, PARTS
from vastnb.market.tables import vram
from vastnb.wording import refusal

SEARCHES_TOLD: Final = 20
_SAME: Final = 1e-9
"""Prices this near to each other, as a share, are one price."""


def trend_frame(
    found: Mapping[str, Any], step: int, quantiles: Sequence[float]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the frame of a trend, and what it rests on, see `Behind.figures`.

    Parameters
    ----------
    found : dict
        Answer to `trend_sql`.
    step : int
        Length of a span, microseconds.
    quantiles : sequence of float
        In the order in which they were asked for.
    """
    part = np.ma.getdata(found["part"])
    behind = Behind({name: values[part != PARTS.index("prices")] for name, values in found.items()})
    found = {name: values[part == PARTS.index("prices")] for name, values in found.items()}
    spans = np.ma.getdata(found["span"]).astype("int64")
    values = np.array([*map(list, np.ma.getdata(found["quantiles"]))], dtype="float64")
    values = values.reshape(len(spans), len(quantiles))
    keys = [*zip(*(_cells(found[name]) for name in ("gpu_name", "gpu_ram_gb", "span")),
                 strict=True)]  # fmt: skip
    starts: Any = pd.array((spans * step).view("M8[us]"), copy=False)
    out: dict[str, Any] = {
        "at": starts.tz_localize(UTC),
        **{name: column_of(found[name]) for name in ("gpu_name", "gpu_ram_gb", "low")},
        **{label(q): pd.arrays.FloatingArray(values[:, i].copy(), np.isnan(values[:, i]))
           for i, q in enumerate(quantiles)},
        **{name: column_of(found[name]) for name in ("high", "machines", "offers")},
        "snapshots": pd.array([behind.snapshots.get(key, 0) for key in keys], dtype="Int64"),
        "matched_index": pd.array(
            matched_index(keys, _cells(found["moved"])), dtype="Float64"
        ),
        "matched": pd.array([n or 0 for n in _cells(found["matched"])], dtype="Int64"),
    }  # fmt: skip
    return pd.DataFrame(out, index=pd.RangeIndex(len(spans)), copy=False), behind.figures()


def matched_index(
    keys: Sequence[tuple[Any, ...]], moved: Sequence[float | None]
) -> list[float | None]:
    """Return price levels that follow the same machines from span to span; 100 is the first one.

    Parameters
    ----------
    keys : sequence of (gpu_name, gpu_ram_gb, span)
        In order.
    moved : sequence of float or None
        Mean logarithm of the prices of machines against the span before. Without a machine in both
        spans nothing is known: the chain begins anew at 100.
    """
    levels: list[float | None] = []
    card: tuple[Any, ...] | None = None
    total = 0.0
    for key, step in zip(keys, moved, strict=True):
        known = key[:2] == card and step is not None and math.isfinite(step)
        total = total + step if known and step is not None else 0.0
        card = key[:2]
        levels.append(100.0 * math.exp(total))
    return levels


def diff_frame(found: Mapping[str, Any]) -> pd.DataFrame:
    """Return the frame of a comparison of two days, from the answer to `diff_sql`."""
    frame = pd.DataFrame({name: column_of(values) for name, values in found.items()})
    one, two = frame["price1"], frame["price2"]
    frame["change"] = two - one
    frame["change_percent"] = 100 * (two / one - 1)
    same = ((two - one).abs() <= _SAME * one).fillna(False)
    words = np.select(
        [one.isna(), two.isna(), same, (two < one).fillna(False)],
        ["new", "gone", "same", "cheaper"], "more expensive",
    )  # fmt: skip
    frame["what"] = pd.array(words.astype(object), dtype=STRING)
    return frame


def label(share: float) -> str:
    """Return the name of a quantile's column: ``q10``, ``median``, ``q99_9``."""
    return "median" if share == 0.5 else f"q{100 * share:g}".replace(".", "_")


class Behind:
    """What stands behind figures.

    Parameters
    ----------
    found : dict
        The parts of the answer to `trend_sql` that are no prices.

    Attributes
    ----------
    snapshots : dict
        How many searches, by GPU name, VRAM and span.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        self.snapshots: dict[tuple[Any, Any, Any], int] = {}
        self._searches: list[tuple[str, bool, int, int]] = []
        names = ("part", "gpu_name", "gpu_ram_gb", "span", "query", "truncated", "snapshots",
                 "found")  # fmt: skip
        for part, gpu, size, span, query, cut, used, seen in zip(
            *(_cells(found[name]) for name in names), strict=True
        ):
            if part == PARTS.index("spans"):
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
    """How a price compares with those of the last days.

    Parameters
    ----------
    percent : float
        Percentage of the prices that were higher; NaN if there is nothing to compare with.
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
        How far back the comparison goes.
    covered : float
        Days since the oldest price there: less than `days` in a young history.
    machines, prices : int
        Number of machines, and of their prices: one for each machine and day.
    simulated : bool
        Whether the market is a simulated one.
    num_gpus : int or None
        Number of GPUs of the offers compared with; None if any number, because there were too
        few with the same number.
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
    num_gpus: int | None = None

    def __float__(self) -> float:
        return self.percent

    def __str__(self) -> str:
        if math.isnan(self.percent):
            days = _days(self.days)
            return f"no {self.gpu_name} was seen in the last {days}: nothing to compare with"
        young = self.covered < 0.8 * self.days - 1
        span = (
            f"the {_days(max(1.0, math.ceil(self.covered)))} recorded so far"
            if young
            else f"the last {_days(self.days)}"
        )
        machines = "machine" if self.machines == 1 else "machines"
        gpus = "" if self.num_gpus is None else f", {self.num_gpus}x"
        simulated = ", simulated" if self.simulated else ""
        return (
            f"cheaper than {self.percent:.0f} % of {span} "
            f"({self.machines} {machines}{gpus}{simulated})"
        )

    def __repr__(self) -> str:
        return f"<{self}>"


def _days(days: float) -> str:
    return "day" if days == 1 else f"{days:g} days"


class Sampled(NamedTuple):
    """Prices that an offer is compared with.

    Parameters
    ----------
    prices : ndarray
        Ascending, $/h of one GPU; one for each machine and day.
    machines : int
        How many machines they are of.
    oldest : int
        The first day of them, since the epoch.
    num_gpus : int or None
        The number of GPUs of all of them; None if it differs.
    """

    prices: Any
    machines: int
    oldest: int
    num_gpus: int | None

    def percent(self, price: float) -> float:
        """Return how many percent of the prices are higher; NaN if there are none."""
        if not len(self.prices) or not math.isfinite(price):
            return math.nan
        higher = len(self.prices) - np.searchsorted(self.prices, price * (1 + _SAME), side="right")
        return float(100.0 * higher / len(self.prices))


class Prices:
    """Prices to compare with, by GPU model, VRAM and number of GPUs.

    Like is compared with like: an offer with those that have as many GPUs, if at least `LIKE`
    machines of that kind were seen; otherwise with those of any size, each machine once a day.

    Parameters
    ----------
    found : dict
        Answer to `sample_sql`.
    """

    def __init__(self, found: Mapping[str, Any]) -> None:
        sized = pd.DataFrame({name: column_of(values) for name, values in found.items()})
        sized["gpu_ram_gb"] = sized["gpu_ram_gb"].fillna(-1)
        # The mean over all of a machine's offers, of any size.
        sized["total"] = sized["price"] * sized["offers"]
        unsized = sized.groupby([*_CARD, "machine_id", "span"], as_index=False)[
            ["total", "offers"]
        ].sum()
        unsized["price"] = unsized["total"] / unsized["offers"]
        self._sampled = {
            **_by_key(unsized.assign(num_gpus=None)), **_by_key(sized)
        }  # fmt: skip

    def of(self, gpu_name: Any, gpu_ram_gb: int | None, num_gpus: int | None) -> Sampled:
        """Return what an offer is compared with; empty if there is nothing."""
        card = (gpu_name, -1 if gpu_ram_gb is None else int(gpu_ram_gb))
        like = self._sampled.get((*card, num_gpus))
        if like is not None and like.machines >= LIKE:
            return like
        return self._sampled.get((*card, None), Sampled(np.empty(0), 0, 0, None))


def _by_key(rows: pd.DataFrame) -> dict[tuple[Any, ...], Sampled]:
    """Return prices by GPU model, VRAM and number of GPUs."""
    names = [*_CARD, "num_gpus"]
    group = rows.groupby(names, dropna=False).ngroup().to_numpy()
    price = rows["price"].to_numpy("float64")
    order = np.lexsort((price, group))
    edges = [0, *(np.flatnonzero(np.diff(group[order])) + 1).tolist(), len(order)]
    machine, span = rows["machine_id"].to_numpy("int64"), rows["span"].to_numpy("int64")
    cells = [rows[name].tolist() for name in names]
    found = {}
    for begin, end in pairwise(edges):
        if begin < end:
            inside = order[begin:end]
            name, size, gpus = (values[inside[0]] for values in cells)
            found[name, size, gpus] = Sampled(
                price[inside], len(np.unique(machine[inside])), int(span[inside].min()), gpus
            )
    return found


_CARD: Final = ("gpu_name", "gpu_ram_gb")
LIKE: Final = 5
"""Machines with as many GPUs that are enough to compare with them alone."""


def priced(frame: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return what is compared of offers.

    ``gpu_name``, ``gpu_ram_gb``, ``num_gpus`` and ``price`` ($/h per GPU without disk; missing
    where it cannot be true).

    Raises
    ------
    QueryError
        If the frame lacks a column.
    """
    column = BOUGHT[kind][0]
    for name in ("gpu_name", "num_gpus", column):
        if name not in frame.columns:
            raise refusal(f"Comparing prices needs offers with the column {name!r}.")
    if "gpu_ram_gb" in frame.columns:
        sizes = frame["gpu_ram_gb"].astype("Int64")
    elif "gpu_ram" in frame.columns:
        sizes = frame["gpu_ram"].map(vram.nominal, na_action="ignore").astype("Int64")
    else:
        raise refusal("Comparing prices needs offers with the column 'gpu_ram'.")
    numbers = frame[["num_gpus", column]].astype("Float64")
    price = believed(numbers, column).values / believed(numbers, "num_gpus").values
    return pd.DataFrame(
        {
            "gpu_name": frame["gpu_name"],
            "gpu_ram_gb": sizes,
            "num_gpus": frame["num_gpus"].astype("Int64"),
            "price": pd.Series(price, index=frame.index),
        }
    )


__all__ = ["LIKE", "Behind", "Percentile", "Prices", "Sampled", "diff_frame", "label",
           "matched_index", "priced", "trend_frame"]  # fmt: skip
