"""The frames behind the charts of prices, one function each.

What a chart shows can always be had: these frames are what it is drawn from. Prices are read
through `market.frames.credible`, so that nonsense is in none of them; counted per GPU, a machine
appears once for each of its GPU models, however many overlapping slices of it are offered.
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
_BESIDE: Final = ["id", "machine_id", "host_id", "num_gpus", "gpu_ram_gb", "country",
                  "verification"]  # fmt: skip
_TREND: Final[dict[str, Any]] = {
    "at": "datetime64[us, UTC]",
    "gpu_name": pd.StringDtype("python"),
    "gpu_ram_gb": "Int64",
    **dict.fromkeys(("low", "q10", "q25", "median", "q75", "q90", "high"), "Float64"),
    **dict.fromkeys(("machines", "offers", "snapshots"), "Int64"),
    "matched_index": "Float64",
    "matched": "Int64",
}


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
    out = _priced(frame, per)
    machines = _counted(out if per == "gpu" else _priced(frame, "gpu"))
    ranks = {name: at for at, name in enumerate(machines)}
    out = out.assign(rank=out["gpu_name"].map(ranks))
    out = out.sort_values(["rank", "price"], kind="stable", ignore_index=True)
    return _attrs(out.drop(columns="rank"), frame)


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
    speed = measured(frame, "dlperf / num_gpus" if per == "gpu" else "dlperf")
    out = _priced(frame, per, dlperf=speed).dropna(subset="dlperf")
    front = unbeaten(*(out[name].to_numpy(dtype="float64") for name in ("price", "dlperf")))
    out.insert(3, "pareto", pd.Series(front, out.index, dtype="boolean"))
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
    facts = _priced(frame, "gpu", gpus=believed(frame, "num_gpus").values)
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
    return _counted(_priced(_offers(frame), "gpu"))


def empty_trend() -> pd.DataFrame:
    """Return a trend without points, with the columns of ``client.history.trend``."""
    return pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in _TREND.items()})


def of_models(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return the rows of some GPU models; of all for an empty sequence."""
    if not names or "gpu_name" not in frame.columns:
        return frame
    return frame[frame["gpu_name"].isin(list(names))].reset_index(drop=True)


def _priced(frame: pd.DataFrame, per: str, **more: np.ndarray) -> pd.DataFrame:
    """Return the rows to show: GPU model, price, the values of `more`, and what identifies them."""
    if per == "offer":
        price = believed(frame, "dph_total").values
        rows = np.flatnonzero(~np.isnan(price))
    else:
        price = measured(frame, "dph_total / num_gpus")
        rows = once_a_machine(frame, price)
    out = frame.reindex(columns=["gpu_name", *_BESIDE]).iloc[rows].reset_index(drop=True)
    for at, (name, values) in enumerate({"price": price, **more}.items(), 1):
        out.insert(at, name, pd.Series(values[rows], dtype="Float64"))
    return out


def _counted(priced: pd.DataFrame) -> dict[str, int]:
    counts = priced["gpu_name"].value_counts()
    pairs = [(str(name), int(count)) for name, count in counts.items()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))


def _offers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame`, or an empty answer if it is none (nothing has been answered yet)."""
    return frame if set(frame.columns) >= NEEDED else frame_of_offers([])


def _attrs(out: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    out.attrs["vastnb"] = dict(frame.attrs.get("vastnb", {}))
    return out
