"""``df.vast``: what a frame of offers knows about itself, and what a job would cost.

Importing this module registers the accessor with pandas. Its methods only pass the frame on; what
they need is imported when they are called.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.market.frames.terms import disk_of
from vastnb.market.money.cost import Amount, cost, hourly
from vastnb.market.tables.schema import UNITS

if TYPE_CHECKING:
    from vastnb.market.money.explain import Explanation
    from vastnb.market.query.query import QueryLike


@pd.api.extensions.register_dataframe_accessor("vast")
class VastAccessor:
    """Units, provenance, costs and comparisons of a frame of offers, as ``df.vast``.

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
        """Where the frame comes from: query, disk size, time, cache, truncation (a copy)."""
        return copy.deepcopy(self._frame.attrs.get("vastnb", {}))

    def where(self, query: QueryLike = None, /, **keywords: Any) -> pd.DataFrame:
        """Return the rows that match a query, evaluated locally: no request is sent.

        Parameters
        ----------
        query : str, dict or Query, optional
            As for ``client.search_offers``, without its defaults: ``"gpu_name=RTX_4090 dph<1"``.
            Other columns of this frame may be compared too, in their own unit: ``"dph_gpu<0.5"``,
            ``"rental_type=interruptible"``.
        **keywords
            Filters, as for ``client.search_offers``.

        Returns
        -------
        DataFrame
            Rows with their index labels. A missing value matches no comparison, not even ``!=``.

        Raises
        ------
        QueryError
            If the query cannot be understood.
        InvalidRequest
            If this frame lacks a column for it, or only Vast.ai can apply it (``external``,
            ``driver_version``).
        """
        from vastnb.market.query.query import parse_query
        from vastnb.market.tables.fields import FIELDS, NOMINAL_VRAM

        own = [str(name) for name in self._frame.columns if name not in (*FIELDS, NOMINAL_VRAM)]
        parsed = parse_query(query, known_fields=own, **keywords)
        return self._frame[parsed.matches(self._frame)]

    def machines(self) -> pd.DataFrame:
        """Return one row for each machine (and GPU model): its cheapest offer per GPU.

        Returns
        -------
        DataFrame
            In front: ``machine_id``, ``gpu_name``, ``offers`` (how many of its offers are here),
            ``slices`` (their numbers of GPUs, ``"1, 2, 4"``) and ``gpus`` (the largest of them);
            then the columns of that offer, each row with its index label. See
            `vastnb.market.money.machines`.
        """
        from vastnb.market.money.machines import machines

        return machines(self._frame)

    def plain(self) -> pd.DataFrame:
        """Return the frame for Excel, NumPy and scikit-learn: plain dtypes, NaN, naive times.

        Returns
        -------
        DataFrame
            Numbers as float64 with NaN, whole numbers and flags as int64 and bool where none is
            missing, times without time zone (UTC), text as Python strings. A whole number that
            float64 cannot hold stays exact, in a column of objects.
        """
        from vastnb.market.money.machines import plain

        return plain(self._frame)

    def cost(
        self,
        hours: Amount,
        disk: Amount | None = None,
        download_gb: float = 0,
        upload_gb: float = 0,
        lifetime_hours: float | None = None,
        setup_hours: float = 0,
    ) -> pd.DataFrame:
        """Return what a job would cost on each offer.

        Parameters
        ----------
        hours : float, Series or ndarray
            Hours during which it runs; or one number for each offer (such as from `job_hours`).
        disk : float or Series, optional
            GB; by default ``storage_gb`` of each row, the disk of its search.
        download_gb, upload_gb : float
            Traffic to and from the machine, GB.
        lifetime_hours : float, optional
            Hours during which the instance exists, running or stopped; by default while it runs.
        setup_hours : float
            Hours that are billed before work begins; added to `hours`.

        Returns
        -------
        DataFrame of Float64, on this frame's index
            ``gpu_usd``, ``storage_usd``, ``download_usd``, ``upload_usd``, ``total_usd``, in $.

        Raises
        ------
        InvalidRequest
            If a price column is missing or an amount is negative.
        """
        size = self._disk(disk)
        return cost(self._frame, hours, size, download_gb, upload_gb, lifetime_hours, setup_hours)

    def hourly(self, disk: Amount | None = None) -> pd.Series[float]:
        """Return $/h of each offer with a disk of `disk` GB (by default its ``storage_gb``)."""
        return hourly(self._frame, self._disk(disk))

    def stopped(self, hours: float = 24, disk: Amount | None = None) -> pd.Series[float]:
        """Return $ for `hours` hours while stopped: the disk is billed, the GPUs are not."""
        from vastnb.market.money.cost import stopped

        return stopped(self._frame, self._disk(disk), hours)

    def job_hours(self, hours: float, on: str | float) -> pd.Series[float]:
        """Return how long a job takes on each offer, from its hours on one known GPU.

        Parameters
        ----------
        hours : float
            Hours on the known GPU.
        on : str or float
            A model in this frame (one GPU at its median DLPerf), or a DLPerf.

        Returns
        -------
        Series of Float64, on this frame's index
            Hours, in inverse proportion to DLPerf: an estimate. For `cost`.

        Raises
        ------
        QueryError
            If no benchmark of that model is in the frame.
        """
        from vastnb.market.money.cost import job_hours

        return job_hours(self._frame, hours, on)

    def interruptible(
        self,
        hours: float,
        *,
        interruptions: float | None = None,
        every: float | None = None,
        setup_hours: float = 0,
        lost_hours: float = 0,
        wait_hours: float = 0,
        again_gb: float = 0,
        disk: Amount | None = None,
        download_gb: float = 0,
        upload_gb: float = 0,
    ) -> pd.DataFrame:
        """Compare each offer's lowest bid with its on-demand price, for a job.

        Parameters
        ----------
        hours : float
            Hours of work.
        interruptions : float, optional
            How many to expect; or
        every : float, optional
            running hours between them on average. By default none.
        setup_hours : float
            Billed hours at *each* start before work begins.
        lost_hours : float
            Hours of work repeated after each interruption.
        wait_hours : float
            Hours stopped at each, while the disk is billed.
        again_gb : float
            GB downloaded again after each.
        disk : float or Series, optional
            GB; by default ``storage_gb`` of each row, the disk of its search.
        download_gb, upload_gb : float
            Traffic of the job, GB.

        Returns
        -------
        DataFrame of Float64, on this frame's index
            ``on_demand_usd``, ``bid_usd``, ``saving_usd``, ``interruptions``,
            ``break_even_interruptions``, ``break_even_lost_hours``, ``break_even_bid`` ($/h). The
            formulas are in `vastnb.market.money.bids`.

        Raises
        ------
        InvalidRequest
            If the frame is from an interruptible search, or an amount is negative.
        """
        from vastnb.market.money.bids import Interruptions, interruptible

        return interruptible(
            self._frame,
            Interruptions(hours, setup_hours, lost_hours, wait_hours, again_gb),
            disk=self._disk(disk),
            interruptions=interruptions,
            every=every,
            download_gb=download_gb,
            upload_gb=upload_gb,
        )

    def rank(
        self,
        by: str = "price",
        *,
        ascending: bool | None = None,
        keep: bool = False,
        hours: Amount | None = None,
        disk: Amount | None = None,
        download_gb: float = 0,
        upload_gb: float = 0,
        setup_hours: float = 0,
    ) -> pd.DataFrame:
        """Sort the offers by a formula of columns, best first, and say how.

        Parameters
        ----------
        by : str
            ``"price"`` (per GPU), ``"offer"``, ``"dlperf"``, ``"tflops"``, ``"vram"``, ``"job"``,
            or a formula with ``+ - * /``, numbers and brackets: ``"dph_total / dlperf"``.
        ascending : bool, optional
            Whether low scores are better; by default this follows from what the formula measures.
        keep : bool
            Keep offers without a score, at the end and without a rank.
        hours, disk, download_gb, upload_gb, setup_hours
            A job as for `cost`. With `hours`, the terms of its cost (``total_usd`` and so on) are
            columns that the formula may use, and of the result.

        Returns
        -------
        DataFrame
            Columns ``rank`` and ``score`` in front (the service's own score becomes
            ``service_score``). ``attrs["vastnb"]["ranking"]`` explains it: formula, unit, who was
            left out and why.

        Raises
        ------
        QueryError
            If the formula cannot be understood, or names a missing column.
        """
        from vastnb.market.money.ranking import rank

        job = None
        if hours is not None:
            job = self.cost(hours, disk, download_gb, upload_gb, setup_hours=setup_hours)
        return rank(self._frame, by, ascending=ascending, keep=keep, job=job)

    def pareto(self, price: str = "dph_total", performance: str = "dlperf") -> pd.DataFrame:
        """Return the offers that no other beats in price and performance, cheapest first.

        Parameters
        ----------
        price, performance : str
            Columns or formulas of columns.

        Returns
        -------
        DataFrame
            The same columns. Offers whose price or performance is not credible take no part.
        """
        from vastnb.market.money.pareto import pareto

        return pareto(self._frame, price, performance)

    def summary(self, by: str | Sequence[str] = "gpu_name") -> pd.DataFrame:
        """Sum up the offers by group: counts, and quantiles of $/h per GPU over machines.

        Parameters
        ----------
        by : str or list of str
            Columns to group by.

        Returns
        -------
        DataFrame
            One row a group, most machines first: ``offers``, ``machines``, ``hosts``,
            ``countries``, ``gpus``, ``verified`` (0-1), ``dph_gpu_min``, ``dph_gpu_q10`` to
            ``dph_gpu_q90`` ($/h per GPU; each machine counts once), ``dlperf_gpu``.

        Raises
        ------
        QueryError
            If a column is missing.
        """
        from vastnb.market.money.summary import summary

        return summary(self._frame, by)

    def explain(
        self,
        offer: int | Mapping[str, Any] | pd.Series[Any],
        *,
        hours: float = 1,
        disk: Amount | None = None,
        download_gb: float = 0,
        upload_gb: float = 0,
        history: Any = None,
    ) -> Explanation:
        """Explain an offer in words and numbers.

        Parameters
        ----------
        offer : int, Series or dict
            Its id, or its row.
        hours, disk, download_gb, upload_gb
            A job as for `cost`.
        history : History, optional
            ``client.history``, to compare its price with earlier ones.

        Returns
        -------
        Explanation
            Prints well, as text and in a notebook: each term of the cost, and what is unusual
            about the offer among the machines with that GPU in this frame.

        Raises
        ------
        InvalidRequest
            If the offer is not in this frame, or an amount is negative.
        """
        from vastnb.market.money.explain import explain

        return explain(
            self._frame,
            offer,
            hours=hours,
            disk=self._disk(disk),
            download_gb=download_gb,
            upload_gb=upload_gb,
            history=history,
        )

    def _disk(self, given: Amount | None) -> Amount:
        return disk_of(self._frame) if given is None else given
