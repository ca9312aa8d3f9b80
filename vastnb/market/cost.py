"""What a rental costs, each term by itself.

GPU time is billed by the hour, the disk while the instance exists (a month has 720 hours),
traffic by the GB in either direction. These formulas give the recorded prices of every recorded
offer. A price that is missing makes its term missing, unless nothing of it is used.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.arrays import FloatingArray

from vastnb.errors import InvalidRequest

HOURS_PER_MONTH: Final = 720.0


def hourly(frame: pd.DataFrame, disk: float) -> pd.Series[float]:
    """Return the price of each offer with a disk of a given size.

    Parameters
    ----------
    frame : DataFrame
        Offers, with ``dph_base`` ($/h) and ``storage_cost`` ($/GB/month).
    disk : float
        GB.

    Returns
    -------
    Series of Float64, on the frame's index
        $/h of the whole offer: ``dph_base + storage_cost * disk / 720``.

    Raises
    ------
    InvalidRequest
        If a column is missing, or `disk` is no size.
    """
    disk = _amount("disk", disk)
    total = _term(frame, "dph_base", 1.0) + _term(frame, "storage_cost", disk / HOURS_PER_MONTH)
    return pd.Series(total, index=frame.index, name="dph_total")


def cost(
    frame: pd.DataFrame,
    hours: float,
    disk: float = 10,
    download_gb: float = 0,
    upload_gb: float = 0,
    lifetime_hours: float | None = None,
) -> pd.DataFrame:
    """Return what a job would cost on each offer.

    Parameters
    ----------
    frame : DataFrame
        Offers.
    hours : float
        Hours during which it runs.
    disk : float
        GB.
    download_gb, upload_gb : float
        Traffic to and from the machine, GB.
    lifetime_hours : float, optional
        Hours during which the instance exists, running or stopped; `hours` by default. The disk is
        billed for all of them.

    Returns
    -------
    DataFrame of Float64, on the frame's index
        ``gpu_usd``, ``storage_usd``, ``download_usd``, ``upload_usd``, ``total_usd``, in $. A term
        whose price is missing is missing, and so is then the total.

    Raises
    ------
    InvalidRequest
        If a column is missing, an amount is negative or no number, or `lifetime_hours` is shorter
        than `hours`.
    """
    hours = _amount("hours", hours)
    exists = hours if lifetime_hours is None else _amount("lifetime_hours", lifetime_hours)
    if exists < hours:
        raise InvalidRequest(
            f"lifetime_hours={exists:g} is less than hours={hours:g}: a job cannot run longer than "
            "its instance exists. Nothing was worked out or rented."
        )
    disk = _amount("disk", disk)
    terms = {
        "gpu_usd": _term(frame, "dph_base", hours),
        "storage_usd": _term(frame, "storage_cost", exists * disk / HOURS_PER_MONTH),
        "download_usd": _term(frame, "inet_down_cost", _amount("download_gb", download_gb)),
        "upload_usd": _term(frame, "inet_up_cost", _amount("upload_gb", upload_gb)),
    }
    total = terms["gpu_usd"] + terms["storage_usd"] + terms["download_usd"] + terms["upload_usd"]
    return pd.DataFrame({**terms, "total_usd": total}, index=frame.index)


def _term(frame: pd.DataFrame, column: str, amount: float) -> Any:
    if column not in frame.columns:
        raise InvalidRequest(
            f"The cost needs the column {column!r}, which this frame does not have. Nothing was "
            "rented. Use a frame of offers, as a search returns it."
        )
    if amount == 0:
        return FloatingArray(np.zeros(len(frame)), np.zeros(len(frame), dtype=bool))
    prices: Any = frame[column].astype("Float64").array
    return prices * amount


def _amount(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise InvalidRequest(f"{name}={value!r}: a number is needed. Nothing was rented.")
    if not (math.isfinite(value) and value >= 0):
        raise InvalidRequest(f"{name}={value!r}: it cannot be negative. Nothing was rented.")
    return float(value)
