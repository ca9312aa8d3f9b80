"""The frames behind the charts of prices, one function each.

What a chart shows can always be had: these frames are what it is drawn from. Prices are read
through `market.sane`, so that nonsense is in none of them; counted per GPU, a machine appears once
for each of its GPU models, however many overlapping slices of it are offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.market.frames.credible import believed, once_a_machine
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.money.formula import measured
from vastnb.market.money.pareto import unbeaten

NEEDED: Final = frozenset({"gpu_name", "num_gpus", "dph_total", "dlperf", "machine_id"})
_BESIDE: Final = ("id", "machine_id", "host_id", "num_gpus", "gpu_ram_gb", "country",
                  "verification")  # fmt: skip
_TREND: Final = ("low", "q10", "q25", "median", "q75", "q90", "high")


def distribution(frame: pd.DataFrame, per: str = "gpu") -> pd.DataFrame:
    """Return a price for each machine (``per="gpu"``) or each offer (``per="offer"``).

    Returns
    -------
    DataFrame
        ``gpu_name``, ``price`` ($/h per GPU, or of the whole offer) and what identifies the
        offer: ``id``, ``machine_id``, ``host_id``, ``num_gpus``, ``gpu_ram_gb``, ``country``,
        ``verification``. Models with more machines first, cheapest first within a model.
    """
    frame = _offers(frame)
    rows, price = _priced(frame, per)
    out = _picked(frame, rows)
    out.insert(1, "price", pd.array(price[rows], dtype="Float64"))
    ranks = {name: at for at, name in enumerate(by_machines(frame))}
    order = pd.DataFrame({"at": out["gpu_name"].map(ranks), "price": out["price"]})
    order = order.sort_values(["at", "price"], kind="stable")
    return _attrs(out.iloc[order.index].reset_index(drop=True), frame)


def performance(frame: pd.DataFrame, per: str = "gpu") -> pd.DataFrame:
    """Return price and DLPerf of each machine or offer, and whether nothing beats it.

    Returns
    -------
    DataFrame
        As `distribution`, with ``dlperf`` (of one GPU, or of the whole offer) and ``pareto``
        (boolean: no other here is cheaper and as fast, or faster and as cheap), cheapest first.
        What has no credible DLPerf is left out.
    """
    frame = _offers(frame)
    rows, price = _priced(frame, per)
    speed = measured(frame, "dlperf / num_gpus" if per == "gpu" else "dlperf")
    rows = rows[~np.isnan(speed[rows])]
    out = _picked(frame, rows)
    out.insert(1, "price", pd.array(price[rows], dtype="Float64"))
    out.insert(2, "dlperf", pd.array(speed[rows], dtype="Float64"))
    front = pd.Series(unbeaten(price[rows], speed[rows]), dtype="boolean")
    out.insert(3, "pareto", front)
    out = out.sort_values(["price", "dlperf"], kind="stable", ignore_index=True)
    return _attrs(out, frame)


def countries(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what GPUs cost in each country, against the same GPUs elsewhere.

    Returns
    -------
    DataFrame
        One row a country, most machines first: ``country``, ``machines``, ``gpus``,
        ``against_market`` (the median, over its machines, of price per GPU divided by the median
        price of that model in the whole frame: 0.9 is 10 % cheaper) and ``dph_gpu_q50`` ($/h per
        GPU, the median). Machines without a known country are left out.
    """
    frame = _offers(frame)
    rows, price = _priced(frame, "gpu")
    facts = pd.DataFrame({
        "country": frame["country"].array[rows] if "country" in frame else pd.NA,
        "gpu_name": frame["gpu_name"].array[rows],
        "gpus": believed(frame, "num_gpus").values[rows],
        "price": price[rows],
    })  # fmt: skip
    facts["against"] = facts["price"] / facts.groupby("gpu_name")["price"].transform("median")
    groups = facts.groupby("country", sort=True)
    out = pd.DataFrame({
        "machines": groups.size().astype("Int64"),
        "gpus": groups["gpus"].sum().astype("Int64"),
        "against_market": groups["against"].median().astype("Float64"),
        "dph_gpu_q50": groups["price"].median().astype("Float64"),
    })  # fmt: skip
    out = out.reset_index().sort_values(
        ["machines", "country"], ascending=[False, True], kind="stable", ignore_index=True
    )
    return _attrs(out, frame)


def by_machines(frame: pd.DataFrame) -> dict[str, int]:
    """Return how many machines each GPU model of a frame has, those with most first."""
    frame = _offers(frame)
    rows, _ = _priced(frame, "gpu")
    counts = pd.Series(frame["gpu_name"].array[rows]).dropna().value_counts()
    pairs = [(str(name), int(count)) for name, count in counts.items()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def empty_trend() -> pd.DataFrame:
    """Return a trend without points, with the columns of ``client.history.trend``."""
    columns: dict[str, Any] = {
        "at": pd.Series(dtype="datetime64[us, UTC]"),
        "gpu_name": pd.Series(dtype=pd.StringDtype("python")),
        "gpu_ram_gb": pd.Series(dtype="Int64"),
        **{name: pd.Series(dtype="Float64") for name in _TREND},
        **{name: pd.Series(dtype="Int64") for name in ("machines", "offers", "snapshots")},
        "matched_index": pd.Series(dtype="Float64"),
        "matched": pd.Series(dtype="Int64"),
    }
    return pd.DataFrame(columns)


def of_models(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some GPU models; of all for an empty sequence."""
    if not names or "gpu_name" not in frame.columns:
        return frame
    return frame[frame["gpu_name"].isin(list(names))].reset_index(drop=True)


def _priced(frame: pd.DataFrame, per: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows to show, and the price of every row."""
    if per == "offer":
        price = believed(frame, "dph_total").values
        return np.flatnonzero(~np.isnan(price)), price
    price = measured(frame, "dph_total / num_gpus")
    return once_a_machine(frame, price), price


def _offers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame`, or an empty answer if it is none (nothing has been answered yet)."""
    return frame if set(frame.columns) >= NEEDED else frame_of_offers([])


def _picked(frame: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    names = ["gpu_name", *(name for name in _BESIDE if name in frame.columns)]
    picked: pd.DataFrame = frame[names].iloc[rows].reset_index(drop=True)
    return picked


def _attrs(out: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    out.attrs["vastnb"] = dict(frame.attrs.get("vastnb", {}))
    return out
