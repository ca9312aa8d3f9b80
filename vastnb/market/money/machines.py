"""Other shapes of a frame of offers: one row for each machine, and plain dtypes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.market.frames.arrays import STRING
from vastnb.market.frames.credible import codes, machine_numbers, once_a_machine, require
from vastnb.market.money.formula import measured

_EXACT: Final = 2**53


def machines(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each machine and GPU model; see `VastAccessor.machines`.

    The row is the machine's cheapest offer per GPU that can be believed (the first of equals); a
    machine without a price is there with its first offer. A row without a machine id is a machine
    of its own.

    Raises
    ------
    QueryError
        If ``machine_id``, ``num_gpus`` or ``dph_total`` is missing.
    """
    require(frame, ["machine_id", "num_gpus", "dph_total"])
    rows = once_a_machine(frame, measured(frame, "dph_total / num_gpus"), unpriced=True)
    keys = [machine_numbers(frame)]
    if "gpu_name" in frame.columns:
        keys.append(codes(frame, "gpu_name"))
    gpus = pd.Series(measured(frame, "num_gpus"))
    groups = gpus.groupby(keys, sort=False)
    number = groups.ngroup().to_numpy()
    slices = gpus.groupby(number).agg(_listed) if len(frame) else pd.Series(dtype=STRING)
    mine = number[rows]
    front = {
        "offers": pd.array(np.bincount(number)[mine] if len(rows) else [], dtype="Int64"),
        "slices": pd.array(slices.loc[mine].tolist(), dtype=STRING),
        "gpus": pd.array(gpus.groupby(number).max().loc[mine].tolist(), dtype="Float64"),
    }
    out = frame.iloc[rows].drop(columns=list(front), errors="ignore")
    first = [name for name in ("machine_id", "gpu_name") if name in out.columns]
    out = out[[*first, *(name for name in out.columns if name not in first)]]
    for at, (name, values) in enumerate(front.items(), start=len(first)):
        out.insert(at, name, values.astype("Int64") if name == "gpus" else values)
    return out


def _listed(gpus: pd.Series[float]) -> str:
    return ", ".join(f"{size:.0f}" for size in sorted(set(gpus.dropna())))


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame of plain NumPy dtypes; see `VastAccessor.plain`."""
    out = {name: _plain(frame[name]) for name in frame.columns}
    result = pd.DataFrame(out, index=frame.index)
    result.attrs = dict(frame.attrs)
    return result


def _plain(column: pd.Series[Any]) -> Any:
    kinds = pd.api.types
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None)
    missing = column.isna().to_numpy(dtype=bool)
    if kinds.is_bool_dtype(column.dtype) or kinds.is_integer_dtype(column.dtype):
        if not missing.any():
            return column.to_numpy(dtype=bool if kinds.is_bool_dtype(column.dtype) else "int64")
        if kinds.is_integer_dtype(column.dtype) and (column.dropna().abs() > _EXACT).any():
            return column.astype(object).where(~missing, np.nan)
        return column.to_numpy(dtype="float64", na_value=np.nan)
    if kinds.is_numeric_dtype(column.dtype):
        return column.to_numpy(dtype="float64", na_value=np.nan)
    if isinstance(column.dtype, pd.StringDtype):
        return column.astype(object).where(~missing, np.nan)
    return column


__all__ = ["machines", "plain"]
