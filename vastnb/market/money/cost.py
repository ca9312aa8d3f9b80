"""What a rental costs, term by term.

GPU time is billed by the hour, the disk while the instance exists (a month has 720 hours),
traffic by the GB in either direction. These formulas give the recorded prices of every recorded
offer. A price that is missing, or that cannot be true (`credible`), makes its term missing, unless
nothing of it is used.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from pandas.arrays import FloatingArray

from vastnb.errors import InvalidRequest
from vastnb.market.frames.credible import believed, unknown
from vastnb.values import number

Amount = float | pd.Series | np.ndarray
"""One number, or one for each offer: a Series on the frame's index, or an array of its length."""

HOURS_PER_MONTH: Final = 720.0


def hourly(frame: pd.DataFrame, disk: Amount) -> pd.Series[float]:
    """Return the price of each offer with a disk of a given size.

    Parameters
    ----------
    frame : DataFrame
        Offers, with ``dph_base`` ($/h) and ``storage_cost`` ($/GB/month).
    disk : float, Series or ndarray
        GB; or one number for each offer.

    Returns
    -------
    Series of Float64, on the frame's index
        $/h of the whole offer: ``dph_base + storage_cost * disk / 720``.

    Raises
    ------
    InvalidRequest
        If a column is missing, or `disk` is not a size.
    """
    disk = each("disk", disk, frame)
    total = _term(frame, "dph_base", 1.0) + _term(frame, "storage_cost", disk / HOURS_PER_MONTH)
    return pd.Series(total, index=frame.index, name="dph_total")


def cost(
    frame: pd.DataFrame,
    hours: Amount,
    disk: Amount = 10,
    download_gb: float = 0,
    upload_gb: float = 0,
    lifetime_hours: float | None = None,
    setup_hours: float = 0,
) -> pd.DataFrame:
    """Return what a job would cost on each offer.

    Parameters
    ----------
    frame : DataFrame
        Offers.
    hours : float, Series or ndarray
        Hours during which it runs; or one for each offer (such as from `job_hours`).
    disk : float, Series or ndarray
        GB; or one number for each offer.
    download_gb, upload_gb : float
        Traffic to and from the machine, GB.
    lifetime_hours : float, optional
        Hours during which the instance exists, running or stopped; `hours` by default. The disk is
        billed for all of them.
    setup_hours : float
        Hours at the start that are billed before work begins: copying data, installing. (The
        service does not bill GPU time while the image loads.) Added to `hours`, and to the
        lifetime unless `lifetime_hours` says it.

    Returns
    -------
    DataFrame of Float64, on the frame's index
        ``gpu_usd``, ``storage_usd``, ``download_usd``, ``upload_usd``, ``total_usd``, in $. A term
        without a price is missing, and then so is the total.

    Raises
    ------
    InvalidRequest
        If a column is missing, an amount is negative or not valid, or `lifetime_hours` is shorter
        than `hours`.
    """
    runs = each("hours", hours, frame) + _amount("setup_hours", setup_hours)
    exists = runs if lifetime_hours is None else _amount("lifetime_hours", lifetime_hours)
    if np.any(longest := exists < runs):
        most = float(np.max(runs[longest])) if np.ndim(runs) else runs
        raise InvalidRequest(
            f"lifetime_hours={exists:g} is less than the {most:g} hours that it runs: a job "
            "cannot run longer than its instance exists. Nothing was calculated or rented."
        )
    disk = each("disk", disk, frame)
    terms = {
        "gpu_usd": _term(frame, "dph_base", runs),
        "storage_usd": _term(frame, "storage_cost", exists * disk / HOURS_PER_MONTH),
        "download_usd": _term(frame, "inet_down_cost", _amount("download_gb", download_gb)),
        "upload_usd": _term(frame, "inet_up_cost", _amount("upload_gb", upload_gb)),
    }
    total = terms["gpu_usd"] + terms["storage_usd"] + terms["download_usd"] + terms["upload_usd"]
    return pd.DataFrame({**terms, "total_usd": total}, index=frame.index)


def stopped(frame: pd.DataFrame, disk: Amount, hours: float = 24) -> pd.Series[float]:
    """Return what an instance costs while it is stopped: its disk is billed, its GPUs are not.

    Parameters
    ----------
    frame : DataFrame
        Offers, with ``storage_cost``.
    disk : float, Series or ndarray
        GB; or one number for each offer.
    hours : float
        Hours during which it is stopped.

    Returns
    -------
    Series of Float64, on the frame's index
        ``stopped_usd``, $: ``storage_cost * disk / 720 * hours``.

    Raises
    ------
    InvalidRequest
        If the column is missing, or an amount is not valid.
    """
    amount = _amount("hours", hours) * each("disk", disk, frame) / HOURS_PER_MONTH
    usd = _term(frame, "storage_cost", amount)
    return pd.Series(usd, index=frame.index, name="stopped_usd")


def job_hours(frame: pd.DataFrame, hours: float, on: str | float) -> pd.Series[float]:
    """Return how long a job takes on each offer, from how long it takes on one known GPU.

    Hours go down as DLPerf goes up. That is an estimate: DLPerf is one benchmark, and it counts
    all GPUs of an offer, as if the job used them all without loss.

    Parameters
    ----------
    frame : DataFrame
        Offers, with ``dlperf``.
    hours : float
        Hours on the known GPU.
    on : str or float
        The known GPU: a model in this frame (one of it, at its median DLPerf), or a DLPerf.

    Returns
    -------
    Series of Float64, on the frame's index
        ``hours``. Missing where DLPerf is missing or not credible.

    Raises
    ------
    QueryError
        If no credible DLPerf of that model is in the frame (with the nearest models).
    """
    speed = believed(frame, "dlperf").values
    if isinstance(on, str):
        per_gpu = speed / believed(frame, "num_gpus").values
        found = per_gpu[frame["gpu_name"].eq(on).fillna(False).to_numpy(dtype=bool)]
        found = found[~np.isnan(found)]
        if len(found) == 0:
            raise unknown("GPU with a benchmark", on, frame["gpu_name"].dropna().unique())
        known = float(np.median(found))
    else:
        known = _amount("on", on)
    took = _amount("hours", hours) * known / speed
    return pd.Series(FloatingArray(took, np.isnan(took)), index=frame.index, name="hours")


def each(name: str, given: Any, frame: pd.DataFrame) -> Any:
    """Return one number, or an array of float64 with one for each offer.

    Raises
    ------
    InvalidRequest
        If `given` is neither, or a number is negative or infinite.
    """
    if isinstance(given, pd.Series):
        if not given.index.equals(frame.index):
            if not given.index.is_unique or not frame.index.isin(given.index).all():
                raise InvalidRequest(
                    f"{name} is a Series with a different index from the frame's, so it is not "
                    f"clear which {name} belongs to which offer. Nothing was calculated or rented."
                )
            given = given.reindex(frame.index)  # sorted or filtered since: labels tell
        given = given.astype("Float64").to_numpy(dtype="float64", na_value=np.nan)
    elif not isinstance(given, np.ndarray):
        return _amount(name, given)
    if given.shape != (len(frame),):
        raise InvalidRequest(
            f"{name} has {given.size} numbers for {len(frame)} offers. Give one number, or one for "
            "each offer. Nothing was calculated or rented."
        )
    if np.any(given < 0) or np.any(np.isinf(given)):
        raise InvalidRequest(f"{name} cannot be negative or infinite. Nothing was rented.")
    return given.astype("float64")


def _term(frame: pd.DataFrame, column: str, amount: Any) -> Any:
    if column not in frame.columns:
        raise InvalidRequest(
            f"The cost needs the column {column!r}, which this frame does not have. Nothing was "
            "rented. Use a frame of offers as search_offers returns it."
        )
    prices = believed(frame, column).values
    used = np.broadcast_to(np.asarray(amount, dtype="float64"), prices.shape)
    usd = np.where(used == 0, 0.0, prices * used)  # what is not used costs nothing at any price
    return FloatingArray(usd, np.isnan(usd))


def _amount(name: str, value: float) -> float:
    amount = number(value)
    if amount is None:
        raise InvalidRequest(f"{name}={value!r}: a number is needed. Nothing was rented.")
    if amount < 0:
        raise InvalidRequest(f"{name}={value!r}: it cannot be negative. Nothing was rented.")
    return amount
