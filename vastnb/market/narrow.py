"""What can be worked out here instead of being asked: narrower filters, another disk.

An answer that holds every offer of its query also holds the answer to each narrower query, and the
price with another disk follows from each offer's own numbers. `local_filters` decides, from the
two requests alone; `reprice` and `evaluable` do the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from vastnb.market.money.cost import hourly
from vastnb.market.query.local import column_of, is_local, narrowing

_PRICED = ("dph_total", "dlperf_per_dphtotal", "flops_per_dphtotal")
REPRICED = ("dph_total", "dph_gpu", "dlperf_per_dphtotal", "flops_per_dphtotal")
"""Columns that are shown and whose values depend on the size of the disk."""


def local_filters(
    held: Mapping[str, Any], wanted: Mapping[str, Any], *, complete: bool, columns: Any = None
) -> dict[str, dict[str, Any]] | None:
    """Return the filters that lead from the answer to `held` to the one to `wanted`.

    Parameters
    ----------
    held, wanted : mapping
        Request bodies.
    complete : bool
        Whether the answer holds every offer that fits `held`.
    columns : container of str, optional
        Columns at hand.

    Returns
    -------
    dict or None
        `None` when the service must be asked.
    """
    if held.get("allocated_storage") != wanted.get("allocated_storage"):
        if any(name in held for name in _PRICED):
            return None  # which offers fitted depended on the disk
        wanted = {**wanted, "allocated_storage": held.get("allocated_storage")}
    rest = narrowing(held, wanted, columns)
    return rest if complete or not rest else None


def evaluable(body: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """Return those filters of a request body that can be worked out on `frame`."""
    found = {}
    for field, ops in body.items():
        if isinstance(ops, Mapping) and is_local(field, ops) and column_of(field) in frame.columns:
            found[field] = ops
    return found


def reprice(frame: pd.DataFrame, disk_gb: float) -> pd.DataFrame:
    """Return `frame` with the prices of a disk of `disk_gb` GB.

    Parameters
    ----------
    frame : DataFrame
        Offers; not changed.
    disk_gb : float
        GB.

    Returns
    -------
    DataFrame
        A shallow copy with other values in every column whose value depends on the disk. A frame
        without ``dph_base`` and ``storage_cost`` is returned as it is.
    """
    if not {"dph_base", "storage_cost", "dph_total"} <= set(frame.columns):
        return frame
    total = hourly(frame, disk_gb)
    ratio = frame["dph_total"] / total.where(total > 0)
    new = {
        "dph_total": total,
        "discounted_dph_total": total,
        "storage_total_cost": total - frame["dph_base"],
        "storage_gb": pd.Series(float(disk_gb), frame.index),
        "dph_gpu": total / frame["num_gpus"].where(frame["num_gpus"] > 0),
    }
    for per_dollar in ("dlperf_per_dphtotal", "flops_per_dphtotal"):
        if per_dollar in frame.columns:
            new[per_dollar] = frame[per_dollar] * ratio
    out = frame.copy(deep=False)
    for name, values in new.items():
        if name in frame.columns:
            out[name] = values.astype(frame[name].dtype)
    return out
