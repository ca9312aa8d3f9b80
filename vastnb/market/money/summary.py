"""The market in one row a group: how many machines, and what a GPU-hour costs on them.

One machine appears as several overlapping offers at one price per GPU. Quantiles are therefore
over machines, each counted once in a group with its cheapest offer per GPU there; offers are
counted beside them. So a row says of its group what a summary of that group alone would say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.frames.credible import codes, machine_numbers, once_a_machine, require
from vastnb.market.money.formula import measured

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
        raise QueryError("summary(by=[]): there is nothing to group by. Nothing was calculated.")
    require(frame, [*names, "dph_total", "num_gpus"])
    price = measured(frame, "dph_total / num_gpus")
    rows = once_a_machine(frame, price, names)
    groups = frame.groupby(names, sort=True, dropna=False, observed=True)
    number = groups.ngroup().to_numpy()  # numbers from here on: keys may be missing
    every = pd.RangeIndex(groups.ngroups)
    facts = pd.DataFrame(
        {
            "price": price,
            "dlperf": _optional(frame, "dlperf / num_gpus"),
            "gpus": _gpus_of_machine(frame, names),
            **{name: frame[name].array if name in frame.columns else pd.NA
               for name in ("host_id", "country", "verification")},
        }
    ).iloc[rows]  # fmt: skip
    facts["verified"] = facts["verification"].eq("verified").astype("Float64")
    once = facts.groupby(number[rows])
    counts = {
        "offers": pd.Series(np.bincount(number, minlength=len(every))),
        "machines": once.size(),
        "hosts": once["host_id"].nunique(),
        "countries": once["country"].nunique(),
        "gpus": once["gpus"].sum(),
    }
    figures = {
        "verified": once["verified"].mean(),
        "dph_gpu_min": once["price"].min(),
        **{f"dph_gpu_q{round(q * 100)}": once["price"].quantile(q) for q in QUANTILES},
        "dlperf_gpu": once["dlperf"].median(),
    }
    first = np.unique(number, return_index=True)[1]
    out = frame[names].iloc[first].reset_index(drop=True)
    for name, values in counts.items():
        out[name] = values.reindex(every, fill_value=0).astype("Int64")
    for name, values in figures.items():
        out[name] = values.reindex(every).astype("Float64")
    out = out.sort_values(["machines", "offers"], ascending=False, kind="stable", ignore_index=True)
    unpriced = int(np.isnan(price).sum())
    told = (
        "Quantiles of $/h per GPU are over machines: each counts once in a group, with its "
        "cheapest offer per GPU."
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


def _gpus_of_machine(frame: pd.DataFrame, names: Sequence[str]) -> Any:
    """Return, for each row, the largest slice of its machine (with that GPU) in its group."""
    gpus = pd.Series(measured(frame, "num_gpus"))
    keys = [machine_numbers(frame), *(codes(frame, name) for name in names)]
    if "gpu_name" in frame.columns:
        keys.append(codes(frame, "gpu_name"))
    largest = gpus.groupby(keys).transform("max")
    return largest.fillna(gpus).to_numpy()


def median_per_gpu(frame: pd.DataFrame) -> float | None:
    """Return the median, over machines, of $/h per GPU; `None` if no price can be believed.

    This is what "the median price" means everywhere: each machine counts once, with its cheapest
    offer per GPU.
    """
    price = measured(frame, "dph_total / num_gpus")
    rows = once_a_machine(frame, price)
    return float(np.median(price[rows])) if len(rows) else None
