"""What the prices of a row are for: its kind of rental, and the disk that they include.

Both are columns of every frame of offers (``rental_type``, ``storage_gb``), so that they stay with
their rows when frames are put together, sorted or saved. Whatever works with prices reads them
here, row by row. ``attrs`` repeats them for the eye, and stands in only where somebody has taken
the columns away.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

RENTAL_TYPES: Final[dict[str, str]] = {
    "on-demand": "on-demand",
    "bid": "interruptible",
    "reserved": "reserved",
}
"""The word in ``rental_type`` for each word that a request carries: one word for each kind."""

DISK_GB: Final = 10.0
"""Disk of a search that says nothing."""


def rental_type(kind: Any) -> str | None:
    """Return the word in ``rental_type`` for a kind of rental, `None` for an unknown one."""
    return RENTAL_TYPES.get({"interruptible": "bid", "ondemand": "on-demand"}.get(kind, kind))


def rental_types(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the kind of rental of each row as an object array of str, `None` if unknown."""
    if "rental_type" in frame.columns:
        cells = frame["rental_type"].astype(object)
        return cells.where(cells.notna(), None).to_numpy(dtype=object)
    said = rental_type(frame.attrs.get("vastnb", {}).get("type"))
    return np.full(len(frame), said, dtype=object)


def interruptible_rows(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows have the prices of interruptible rentals."""
    return np.asarray(rental_types(frame) == "interruptible", dtype=bool)


def disk_of(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the disk (GB) that the prices of each row include; 10, the default, if unknown."""
    if "storage_gb" in frame.columns:
        cells = frame["storage_gb"].astype("Float64")
        sizes = cells.to_numpy(dtype="float64", na_value=np.nan)
        return np.where(np.isnan(sizes), DISK_GB, sizes)
    said = frame.attrs.get("vastnb", {}).get("storage_gb")
    return np.full(len(frame), DISK_GB if said is None else float(said))


__all__ = ["DISK_GB", "RENTAL_TYPES", "disk_of", "interruptible_rows", "rental_type",
           "rental_types"]  # fmt: skip
