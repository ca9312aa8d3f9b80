"""Queries of the history: past offers, trends, and how cheap an offer is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.frames.arrays import array_of
from vastnb.market.frames.terms import rental_types
from vastnb.market.history.arguments import (
    Kind,
    Moment,
    check_column,
    day_of,
    kind_of,
    moment_of,
    shares_of,
    values_of,
)
from vastnb.market.history.columns import KEPT, frame_from
from vastnb.market.history.results import Percentile, Prices, diff_frame, priced, trend_frame
from vastnb.market.history.sql import (
    BOUGHT,
    DAY,
    Which,
    diff_sql,
    need,
    own_sql,
    rows_sql,
    sample_sql,
    trend_sql,
)
from vastnb.market.query.spans import days_of, step_of
from vastnb.market.tables import gpus
from vastnb.wording import refusal

if TYPE_CHECKING:
    from vastnb.clock import Clock
    from vastnb.market.history.days import Days
    from vastnb.market.history.store import Store
    from vastnb.market.service_figures import Hosting, Verified

QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
OF_PRICES: Final = (
    "seen_at", "gpu_name", "gpu_ram_gb", "machine_id", "num_gpus", "dph_base", "min_bid", "query",
    "restricted", "truncated",
)  # fmt: skip
"""Columns that questions about prices read."""
CHOOSING: Final = ("seen_at", "type", "gpu_name", "restricted")
"""Columns that every question may choose by."""
OF_MACHINE: Final = (
    "seen_at", "type", "gpu_name", "gpu_ram_gb", "num_gpus", "dph_base", "min_bid", "storage_cost",
    "dlperf", "reliability", "verified", "host_id", "query",
)  # fmt: skip


class Questions:
    """Queries of the history. A part of `History`."""

    _clock: Clock

    if TYPE_CHECKING:

        @property
        def simulated(self) -> bool:
            """Whether this is the history of a simulated market."""

        def _open(self) -> Days: ...
        def _store(self) -> Store: ...
        def _about(self, more: Mapping[str, Any]) -> dict[str, Any]: ...

    def frame(
        self,
        gpu: str | Sequence[str] | None = None,
        since: Moment = None,
        until: Moment = None,
        *,
        type: Kind | None = None,
        columns: Sequence[str] | None = None,
        limit: int | None = None,
        sql: str | None = None,
        **equal: Any,
    ) -> pd.DataFrame:
        """Return past offers, as your searches recorded them.

        Parameters
        ----------
        gpu : str or list of str, optional
            GPU model, in any spelling; a family (``"H100"``) is all of its models.
        since, until : datetime, date, text, timedelta or number, optional
            Start and end (UTC); a timedelta or a number of days counts back from now.
        type : {"on-demand", "bid", "interruptible", "reserved"}, optional
            Kind of search.
        columns : list of str, optional
            Which columns; by default all of them.
        limit : int, optional
            Maximum number of rows; the newest are returned.
        sql : str, optional
            Your own query in DuckDB's SQL, on a table ``history`` with the rows chosen by the
            other arguments: ``"select country, count(*) from history group by 1"``.
            Its time zone is always UTC; a time that you convert to another zone
            (``seen_at at time zone 'Europe/Oslo'``) comes back without one.
        **equal
            Values of columns: ``num_gpus=8``, ``country=["SE", "NO"]``, ``verified=True``.

        Returns
        -------
        DataFrame
            One row per offer and snapshot, oldest first: ``seen_at`` (UTC), ``machine_id``,
            ``gpu_name``, ``num_gpus``, ``dph_base`` ($/h, without disk) and so on; see
            `vastnb.market.history.columns`. ``attrs["vastnb"]`` says where it comes from and
            whether it is `simulated`.

        Raises
        ------
        QueryError
            If a GPU, column or time cannot be understood.
        ImportError
            Without the extra ``history``.
        """
        need()
        which = self._which(gpu, since, until, type, equal)
        if sql is not None:
            return self._told(self._own(which, sql), {})
        names = list(columns) if columns is not None else list(KEPT)
        for name in names:
            check_column(name)
        found = self._asked(which, rows_sql(which, names, limit), tuple(KEPT))
        return self._told(frame_from(found), {})

    def trend(
        self,
        gpu: str | Sequence[str],
        days: float = 90,
        every: str | timedelta = "1d",
        type: Kind = "on-demand",
        quantiles: Sequence[float] = QUANTILES,
        *,
        restricted: bool = False,
        **equal: Any,
    ) -> pd.DataFrame:
        """Return how the price of a GPU changed over time.

        Parameters
        ----------
        gpu : str or list of str
            GPU model, in any spelling; a family (``"H100"``) is all of its models.
        days : float
            How far to look back.
        every : str or timedelta
            Length of a span: ``"1d"``, ``"6h"``, ``"30min"``; spans begin at midnight UTC or a
            whole multiple after it.
        type : {"on-demand", "bid", "interruptible", "reserved"}
            Kind of rental. For bids the price is the lowest bid; on-demand searches record it too.
        quantiles : sequence of float
            Shares of the machines, 0 to 1.
        restricted : bool
            Also count searches that filter by price (such as ``dph<0.4``, or a limit that cut the
            result): they show cheap machines only, and bias the figures downwards.
        **equal
            Values of columns: ``num_gpus=8``, ``country=["SE", "NO"]``, ``verified=True``.

        Returns
        -------
        DataFrame
            One row per model, VRAM and span with offers: ``at`` (UTC, start of the span),
            ``gpu_name``, ``gpu_ram_gb``, ``low``, one column per quantile (``q10``, ``q25``,
            ``median``, ...), ``high`` (all in $/h for one GPU, without disk), ``machines``,
            ``offers`` and ``snapshots`` (the counts behind them). Each machine counts once per
            span, with its mean price. These figures also depend on what you searched for;
            ``matched_index`` does not: it follows the prices of the ``matched`` machines that were
            also in the span before (the first span is 100; it restarts at 100 where there are
            none). ``attrs["vastnb"]`` says which searches it is based on, and how many were left
            out because they filter by price.

        Raises
        ------
        QueryError
            If an argument cannot be understood.
        ImportError
            Without the extra ``history``.
        """
        need()
        kind, step = kind_of(type), step_of(every)
        shares = shares_of(quantiles)
        which = self._sampled(gpu, days, kind, restricted, equal)
        found = self._asked(which, trend_sql(which, kind, step, shares))
        frame, rests_on = trend_frame(found, step, shares)
        return self._told(frame, {"type": kind, "days": days, **rests_on})

    def diff(
        self,
        day1: Moment,
        day2: Moment = 0,
        gpu: str | Sequence[str] | None = None,
        type: Kind = "on-demand",
        *,
        restricted: bool = False,
        **equal: Any,
    ) -> pd.DataFrame:
        """Return what changed between two days, machine by machine.

        Parameters
        ----------
        day1, day2 : date, text or number
            Days (UTC): ``"2026-11-01"``, or a number of days back; today by default.
        gpu, type, restricted, **equal
            As for `trend`.

        Returns
        -------
        DataFrame
            One row per machine and number of GPUs: ``gpu_name``, ``gpu_ram_gb``, ``machine_id``,
            ``num_gpus``, ``price1`` and ``price2`` (mean of the day, $/h for one GPU without disk;
            missing if it was not seen), ``change`` ($/h), ``change_percent``, and ``what``:
            "cheaper", "more expensive", "same", "new" or "gone". "gone" means not seen: rented,
            taken off the market, or not in your searches.

        Raises
        ------
        QueryError
            If an argument cannot be understood.
        ImportError
            Without the extra ``history``.
        """
        need()
        kind, now = kind_of(type), self._now()
        days = (day_of("day1", day1, now), day_of("day2", day2, now))
        chosen = self._which(gpu, min(days), max(days) + timedelta(days=1), None, equal)
        which = replace(chosen, types=BOUGHT[kind][1], restricted=restricted)
        frame = diff_frame(self._asked(which, diff_sql(which, kind, days)))
        return self._told(frame, {"type": kind, "days": [f"{day:%Y-%m-%d}" for day in days]})

    def machine(self, machine_id: int, since: Moment = None, until: Moment = None) -> pd.DataFrame:
        """Return all recorded offers of one machine.

        Parameters
        ----------
        machine_id : int
            The machine (``machine_id`` of an offer, not its ``id``).
        since, until : datetime, date, text, timedelta or number, optional
            Start and end, as for `frame`.

        Returns
        -------
        DataFrame
            One row per snapshot and offer, oldest first: ``seen_at``, ``type``, ``gpu_name``,
            ``gpu_ram_gb``, ``num_gpus``, ``price`` ($/h for one GPU without disk, on demand),
            ``dph_base``, ``min_bid``, ``storage_cost``, ``dlperf``, ``reliability``, ``verified``,
            ``host_id``, ``query``.

        Raises
        ------
        QueryError
            If an argument cannot be understood.
        ImportError
            Without the extra ``history``.
        """
        frame = self.frame(since=since, until=until, columns=OF_MACHINE, machine_id=machine_id)
        gpus_ = frame["num_gpus"].astype("Float64")
        price = frame["dph_base"] / gpus_.where(gpus_ > 0)
        frame.insert(frame.columns.get_loc("dph_base"), "price", price)  # type: ignore[arg-type]
        return frame

    def percentiles(
        self,
        offers: pd.DataFrame,
        days: float = 14,
        type: Kind | None = None,
        *,
        restricted: bool = False,
    ) -> pd.Series[float]:
        """Return how cheap offers are, compared with recent prices of the same GPUs.

        Parameters
        ----------
        offers : DataFrame
            Offers, as a search returns them.
        days : float
            How far to look back.
        type : {"on-demand", "bid", "interruptible", "reserved"}, optional
            Kind of rental; by default that of each row (``rental_type``), else of the search.
        restricted : bool
            Also count searches that filter by price, see `trend`.

        Returns
        -------
        Series of Float64, on the frame's index
            ``percentile``: the percentage of prices that were higher. It compares $/h for one
            GPU without disk with the same model, VRAM and number of GPUs, one price for each
            machine and day; if there are fewer than five such machines, with any number of GPUs.
            Missing where there is nothing to compare.

        Raises
        ------
        QueryError
            If the frame lacks a column, or an argument is not valid.
        ImportError
            Without the extra ``history``.
        """
        need()
        kinds = _kinds_of(offers, type)
        found = np.full(len(offers), np.nan)
        for kind in dict.fromkeys(kinds):
            mine = np.array([one == kind for one in kinds], dtype=bool)
            wanted = priced(offers[mine], kind)
            prices = self._prices(wanted["gpu_name"], days, kind, restricted)
            found[mine] = [
                prices.of(name, _int(size), _int(count)).percent(price)
                for name, size, count, price in zip(
                    *(wanted[name].tolist() for name in wanted), strict=True
                )
            ]
        series = pd.Series(
            pd.arrays.FloatingArray(found, np.isnan(found)), index=offers.index, name="percentile"
        )
        about = self._about({"type": next(iter(kinds), kind_of(type or "on-demand")), "days": days})
        series.attrs["vastnb"] = about
        return series

    def percentile(
        self,
        offer: Any,
        days: float = 14,
        type: Kind | None = None,
        *,
        restricted: bool = False,
    ) -> Percentile:
        """Return how cheap an offer is, compared with recent prices of the same GPU.

        Parameters
        ----------
        offer : row of a frame, or dict
            An offer with its price.
        days, type, restricted
            As for `percentiles`.

        Returns
        -------
        Percentile
            ``float(...)`` is the percentage of prices that were higher, ``str(...)`` says it in
            words: "cheaper than 83 % of the last 14 days (412 machines)".

        Raises
        ------
        QueryError
            If `offer` is not an offer with a price.
        ImportError
            Without the extra ``history``.
        """
        need()
        row = _row(offer)
        (kind,) = _kinds_of(row, type)
        name, size, count, price = priced(row, kind).iloc[0].tolist()
        if pd.isna(name) or pd.isna(price):
            raise refusal(
                "This offer has no GPU name, or no credible price, to compare with others."
            )
        sampled = self._prices([name], days, kind, restricted).of(name, _int(size), _int(count))
        covered, median = 0.0, math.nan
        if len(sampled.prices):
            covered = min(days, self._clock.time() / 86_400 - sampled.oldest)
            median = float(np.median(sampled.prices))
        return Percentile(
            sampled.percent(price), float(price), median, name, _int(size), kind, days, covered,
            sampled.machines, len(sampled.prices), self.simulated, sampled.num_gpus,
        )  # fmt: skip

    def metrics(
        self,
        gpu: str | Sequence[str] | None = None,
        *,
        days: float = 90,
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> pd.DataFrame:
        """Return Vast.ai's own figures that were imported with `import_metrics`.

        Parameters
        ----------
        gpu : str or list of str, optional
            GPU models in any spelling; by default all.
        days : float
            How far to look back.
        verified, hosting_type, num_gpus
            Which machines are counted, as they were imported.

        Returns
        -------
        DataFrame
            As from ``client.gpu_trends``; each model and moment once, as last imported.

        Raises
        ------
        QueryError, InvalidRequest
            If an argument is not valid.
        ImportError
            Without the extra ``history``.
        """
        from vastnb.market.service_figures import OVER_TIME, population

        whom = population(verified, hosting_type, num_gpus)
        since = self._now() - timedelta(days=days_of(days))
        names = self._names(gpu)
        self._open()
        rows = self._store().metrics(names, whom, since)
        cells = [*zip(*rows, strict=True)] or [()] * (2 + len(OVER_TIME))
        at: Any = pd.array(np.array(cells[0], dtype="int64").view("M8[us]"), copy=False)
        frame = pd.DataFrame(
            {
                "at": at.tz_localize(UTC),
                "gpu_name": array_of(cells[1], "string")[0],
                **{
                    name: array_of(values, dtype)[0]
                    for (name, dtype), values in zip(OVER_TIME.items(), cells[2:], strict=True)
                },
            }
        )
        return self._told(frame, {**whom, "days": days})

    # -- in private ----------------------------------------------------------------------------

    def _asked(
        self,
        which: Which,
        question: tuple[str, Mapping[str, Any]],
        columns: Sequence[str] = OF_PRICES,
    ) -> dict[str, Any]:
        names = dict.fromkeys((*CHOOSING, *columns, *which.equal))
        return self._open().ask(which, *question, tuple(names))

    def _told(self, frame: pd.DataFrame, more: Mapping[str, Any]) -> pd.DataFrame:
        frame.attrs["vastnb"] = self._about(more)
        return frame

    def _prices(self, names: Iterable[Any], days: float, kind: str, restricted: bool) -> Prices:
        since = moment_of("days", days_of(days), self._now())
        # Without a name nothing fits, which is what an empty frame needs.
        known = tuple(dict.fromkeys(name for name in names if isinstance(name, str))) or ("",)
        which = Which(known, BOUGHT[kind][1], since, None, restricted)
        return Prices(self._asked(which, sample_sql(which, kind, DAY)))

    def _own(self, which: Which, sql: str) -> pd.DataFrame:
        import duckdb

        try:
            return self._open().ask_freely(which, *own_sql(which, sql))
        except duckdb.Error as error:
            raise refusal(f"DuckDB cannot answer this SQL: {error}") from None

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.time(), UTC)

    def _which(
        self,
        gpu: str | Sequence[str] | None,
        since: Moment,
        until: Moment,
        kind: str | None,
        equal: Mapping[str, Any],
    ) -> Which:
        now = self._now()
        return Which(
            gpus=self._names(gpu),
            types=() if kind is None else (kind_of(kind),),
            since=moment_of("since", since, now),
            until=moment_of("until", until, now),
            equal={name: values_of(name, value) for name, value in equal.items()},
        )

    def _sampled(
        self,
        gpu: str | Sequence[str] | None,
        days: float,
        kind: str,
        restricted: bool,
        equal: Mapping[str, Any],
    ) -> Which:
        chosen = self._which(gpu, days_of(days), None, None, equal)
        return Which(chosen.gpus, BOUGHT[kind][1], chosen.since, None, restricted, chosen.equal)

    def _names(self, gpu: str | Sequence[str] | None) -> tuple[str, ...]:
        if gpu is None:
            return ()
        spellings = [gpu] if isinstance(gpu, str) else list(gpu)
        names: dict[str, None] = {}
        for spelling in spellings:
            try:
                found = gpus.resolve(spelling)
            except QueryError:
                # A card that is newer than this package, and was seen all the same.
                found = gpus.resolve(spelling, self._seen_names())
            names.update(dict.fromkeys(found))
        return tuple(names)

    def _seen_names(self) -> list[str]:
        found = self._asked(Which(), ("SELECT DISTINCT gpu_name FROM {rows}", {}), ["gpu_name"])
        return [name for name in np.ma.getdata(found["gpu_name"]) if isinstance(name, str)]


def _row(offer: Any) -> pd.DataFrame:
    if isinstance(offer, pd.DataFrame) and len(offer) == 1:
        return offer
    if isinstance(offer, pd.Series):
        row = pd.DataFrame([offer.to_dict()])
        row.attrs = dict(offer.attrs)
        return row
    if isinstance(offer, Mapping):
        return pd.DataFrame([dict(offer)])
    raise refusal("Give an offer with its price: a row of a frame (df.iloc[0]), or a dict.")


def _kinds_of(offers: pd.DataFrame, kind: str | None) -> list[str]:
    """Return the kind of rental of each row: as asked, as the row says, or as searched for."""
    searched = offers.attrs.get("vastnb", {}).get("type") or "on-demand"
    said = [kind] * len(offers) if kind is not None else rental_types(offers).tolist()
    return [kind_of(one or searched) for one in said]


def _int(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


__all__ = ["QUANTILES", "Questions"]
