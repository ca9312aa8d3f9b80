"""``df.vast``: what a frame of offers knows about itself, and what a job on it would cost.

Importing this module registers the accessor with pandas.
"""

from __future__ import annotations

import copy
from typing import Any

import pandas as pd

from vastnb.market.cost import cost, hourly
from vastnb.market.schema import UNITS


@pd.api.extensions.register_dataframe_accessor("vast")
class VastAccessor:
    """Units, provenance and costs of a frame of offers, as ``df.vast``.

    Parameters
    ----------
    frame : DataFrame
        Given by pandas.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    @property
    def units(self) -> dict[str, str]:
        """Unit of each column that has one, for example ``{"gpu_ram": "MB"}``."""
        return {name: UNITS[name] for name in self._frame.columns if name in UNITS}

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the frame comes from: query, disk size, time, cache, truncation; a copy."""
        return copy.deepcopy(self._frame.attrs.get("vastnb", {}))

    def cost(
        self,
        hours: float,
        disk: float | None = None,
        download_gb: float = 0,
        upload_gb: float = 0,
        lifetime_hours: float | None = None,
    ) -> pd.DataFrame:
        """Return what a job would cost on each offer.

        Parameters
        ----------
        hours : float
            Hours during which it runs.
        disk : float, optional
            GB; by default the disk of the search.
        download_gb, upload_gb : float
            Traffic to and from the machine, GB.
        lifetime_hours : float, optional
            Hours during which the instance exists, running or stopped; `hours` by default.

        Returns
        -------
        DataFrame of Float64, on this frame's index
            ``gpu_usd``, ``storage_usd``, ``download_usd``, ``upload_usd``, ``total_usd``, in $.

        Raises
        ------
        InvalidRequest
            If a price column is missing or an amount is negative.
        """
        size = self._searched_disk() if disk is None else disk
        return cost(self._frame, hours, size, download_gb, upload_gb, lifetime_hours)

    def hourly(self, disk: float | None = None) -> pd.Series[float]:
        """Return $/h of each offer with a disk of `disk` GB (by default that of the search)."""
        return hourly(self._frame, self._searched_disk() if disk is None else disk)

    def _searched_disk(self) -> float:
        size = self._frame.attrs.get("vastnb", {}).get("storage_gb")
        return 10.0 if size is None else float(size)
