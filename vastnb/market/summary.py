"""The market in one row a group: how many machines, and what a GPU-hour costs on them.

One machine appears as several overlapping offers at one price per GPU. Quantiles are therefore
over machines, each counted once with its cheapest offer per GPU; offers are counted beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.pareto import measured
from vastnb.market.sane import once_a_machine, require

QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the price per GPU-hour, in every summary and every chart."""


def summary(frame: pd.DataFrame, by: str | Sequence[str] = "gpu_name") -> pd.DataFrame:
    """Sum up offers by group.

    Parameters
    ----------
    frame : DataFrame
        Offers.
    by : str or list of str
        Columns to group by, such as ``"country"`` or ``["gpu_name", "datacenter"]``.

    Returns
    -------
    DataFrame
        One row a group, most machines first, with a RangeIndex: the columns of `by`; ``offers``,
        ``machines``, ``hosts``, ``countries`` (counts); ``gpus``, all GPUs of these machines as
        far as offered; ``verified``, the share (0-1) of machines; ``dph_gpu_min`` and
        ``dph_gpu_q10``, ``_q25``, ``_q50``, ``_q75``, ``_q90``, $/h per GPU, **over machines**
        (each counts once, with its cheapest offer per GPU); ``dlperf_gpu``, the median DLPerf of
        one GPU. Offers without a credible price count in ``offers`` only;
        ``attrs["vastnb"]["summary"]`` says how many.

    Raises
    ------
    QueryError
        If a column is not there.
    """
    names = [by] if isinstance(by, str) else list(by)
    if not names:
        raise QueryError("summary(by=[]): there is nothing to group by. Nothing was worked out.")
    require(frame, [*names, "dph_total", "num_gpus"])
    price = measured(frame, "dph_total / num_gpus")
    rows = once_a_machine(frame, price)
    columns = {
        "price": price,
        "dlperf": _optional(frame, "dlperf / num_gpus"),
        "gpus": _gpus_of_machine(frame),
    }
    facts = pd.DataFrame(columns)
    for name in names:
        facts[name] = frame[name].array
    for name in ("machine_id", "host_id", "country", "verification"):
        facts[f"_{name}"] = frame[name].array if name in frame.columns else pd.NA
    every = facts.groupby(names, sort=True, dropna=False, observed=True)
    once = facts.iloc[rows].groupby(names, sort=True, dropna=False, observed=True)
    out = pd.DataFrame({"offers": every.size()})
    out["machines"] = once.size()
    out["hosts"] = once["_host_id"].nunique()
    out["countries"] = once["_country"].nunique()
    out["gpus"] = once["gpus"].sum()
    verified = facts["_verification"].eq("verified").astype("Float64")
    out["verified"] = verified.iloc[rows].groupby([facts[n].iloc[rows] for n in names],
                                                  sort=True, dropna=False).mean()  # fmt: skip
    out["dph_gpu_min"] = once["price"].min()
    for q in QUANTILES:
        out[f"dph_gpu_q{round(q * 100)}"] = once["price"].quantile(q)
    out["dlperf_gpu"] = once["dlperf"].median()
    counts = ["offers", "machines", "hosts", "countries", "gpus"]
    out[counts] = out[counts].fillna(0).astype("Int64")
    rest = [name for name in out.columns if name not in counts]
    out[rest] = out[rest].astype("Float64")
    out = out.reset_index().sort_values(
        ["machines", "offers"], ascending=False, kind="stable", ignore_index=True
    )
    unpriced = int(np.isnan(price).sum())
    told = (
        "Quantiles of $/h per GPU are over machines: each counts once, with its cheapest offer "
        "per GPU."
    )
    if unpriced:
        told += f" {unpriced:,} offers without a credible price are only counted."
    out.attrs["vastnb"] = {**frame.attrs.get("vastnb", {}), "summary": told}
    return out


def _optional(frame: pd.DataFrame, formula: str) -> Any:
    try:
        return measured(frame, formula)
    except QueryError:
        return np.full(len(frame), np.nan)


def _gpus_of_machine(frame: pd.DataFrame) -> Any:
    """Return, for each row, the largest slice of its machine (with that GPU)."""
    gpus = pd.Series(measured(frame, "num_gpus"))
    if "machine_id" not in frame.columns:
        return gpus.to_numpy()
    keys = [pd.Series(frame["machine_id"].array)]
    if "gpu_name" in frame.columns:
        keys.append(pd.Series(frame["gpu_name"].array))
    largest = gpus.groupby(keys).transform("max")
    return largest.fillna(gpus).to_numpy()
