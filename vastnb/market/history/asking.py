"""What can be asked of the history: offers as they were seen, trends, and how cheap one is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market import gpus
from vastnb.market.history.asked import (
    Kind,
    Moment,
    check_column,
    days_of,
    kind_of,
    moment_of,
    shares_of,
    step_of,
)
from vastnb.market.history.columns import KEPT, frame_from
from vastnb.market.history.figures import (
    Behind,
    Percentile,
    Prices,
    priced,
    trend_frame,
)
from vastnb.market.history.needs import need
from vastnb.market.history.questions import (
    BOUGHT,
    Which,
    behind_sql,
    own_sql,
    rows_sql,
    sample_sql,
    trend_sql,
)
from vastnb.market.problems import refusal

if TYPE_CHECKING:
    from vastnb.clock import Clock
    from vastnb.market.history.place import Place
    from vastnb.market.metrics import Hosting, Verified

QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
DAY: Final = 86_400_000_000
"""Microseconds."""


class Asking:
    """Questions to the history. A part of `History`."""

    _place: Place
    _clock: Clock

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
        """Return offers as they were seen.

        Parameters
        ----------
        gpu : str or list of str, optional
            GPU model, in any spelling; a family (``"H100"``) is all of its models.
        since, until : datetime, date, text, timedelta or number, optional
            From when and until when (UTC); a timedelta or a number of days counts back from now.
        type : {"on-demand", "bid", "interruptible", "reserved"}, optional
            Kind of search.
        columns : list of str, optional
            Which columns; by default all of them.
        limit : int, optional
            Most rows to return, the newest.
        sql : str, optional
            A question of your own, in DuckDB's SQL, to a table ``history`` that holds the rows
            chosen by the other arguments: ``"select country, count(*) from history group by 1"``.
        **equal
            Values of columns: ``num_gpus=8``, ``country="SE"``, ``verified=True``.

        Returns
        -------
        DataFrame
            One row per offer and snapshot, oldest first: ``seen_at`` (UTC), ``machine_id``,
            ``gpu_name``, ``num_gpus``, ``dph_base`` ($/h, without disk) and so on; all of them in
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
            return self._place.told(frame_from(self._own(which, sql)), {})
        names = list(columns) if columns is not None else list(KEPT)
        for name in names:
            check_column(name)
        return self._place.told(
            frame_from(*self._place.ask(which, rows_sql(which, names, limit))), {}
        )

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
        """Return how the price of a GPU moved.

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
            Kind of rental. For bids the price is the least bid, which searches on demand tell too.
        quantiles : sequence of float
            Shares of the machines, 0 to 1.
        restricted : bool
            Count searches too that chose by price (a filter such as ``dph<0.4``, or a limit that
            cut the answer): they show cheap machines only, and draw the figures down.
        **equal
            Values of columns: ``num_gpus=8``, ``country="SE"``, ``verified=True``.

        Returns
        -------
        DataFrame
            One row per model, VRAM and span in which one was seen: ``at`` (UTC, its beginning),
            ``gpu_name``, ``gpu_ram_gb``, ``low``, one column per quantile (``q10``, ``q25``,
            ``median``, ...), ``high`` (all in $/h for one GPU, without disk), ``machines``,
            ``offers`` and ``snapshots`` (how many stand behind it). Each machine counts once in a
            span, with the mean of what was seen of it. ``attrs["vastnb"]`` tells which searches
            it was sampled from, and how many were left out because they chose by price.

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
        found, behind = self._place.ask(
            which, trend_sql(which, kind, step, shares), behind_sql(which, step)
        )
        rest = Behind(behind)
        frame = trend_frame(found, rest, step, shares)
        return self._place.told(frame, {"type": kind, "days": days, **rest.figures()})

    def percentiles(
        self,
        offers: pd.DataFrame,
        days: float = 14,
        type: Kind | None = None,
        *,
        restricted: bool = False,
    ) -> pd.Series[float]:
        """Return how cheap offers are, compared with what was seen of their GPUs lately.

        Parameters
        ----------
        offers : DataFrame
            Offers, as a search returns them.
        days : float
            How far to look back.
        type : {"on-demand", "bid", "interruptible", "reserved"}, optional
            Kind of rental; by default that of the search.
        restricted : bool
            Count searches too that chose by price, see `trend`.

        Returns
        -------
        Series of Float64, on the frame's index
            ``percentile``: how many percent of the prices were higher. Compared is $/h for one
            GPU without disk, with those of the same model and VRAM, one for each machine and day.
            Missing where there is nothing to compare.

        Raises
        ------
        QueryError
            If the frame lacks a column, or an argument makes no sense.
        ImportError
            Without the extra ``history``.
        """
        kind = kind_of(type or offers.attrs.get("vastnb", {}).get("type") or "on-demand")
        wanted = priced(offers, kind)
        names = wanted["gpu_name"].dropna().unique().tolist()
        prices = self._prices(names, days, kind, restricted)
        found = [
            prices.percent(prices.of(name, None if pd.isna(size) else size), price)
            for name, size, price in zip(
                wanted["gpu_name"].tolist(),
                wanted["gpu_ram_gb"].tolist(),
                wanted["price"].to_numpy("float64", na_value=np.nan),
                strict=True,
            )
        ]
        series = pd.Series(found, index=offers.index, name="percentile", dtype="Float64")
        series.attrs["vastnb"] = self._place.about({"type": kind, "days": days})
        return series

    def percentile(
        self,
        offer: Any,
        days: float = 14,
        type: Kind | None = None,
        *,
        restricted: bool = False,
    ) -> Percentile:
        """Return how cheap an offer is, compared with what was seen of its GPU lately.

        Parameters
        ----------
        offer : row of a frame, or dict
            An offer with its price.
        days, type, restricted
            As for `percentiles`.

        Returns
        -------
        Percentile
            ``float(...)`` is how many percent of the prices were higher, ``str(...)`` says so in
            words: "cheaper than 83 % of the last 14 days (412 machines)".

        Raises
        ------
        QueryError
            If `offer` is no offer with a price.
        ImportError
            Without the extra ``history``.
        """
        row, kind = _row(offer), kind_of(type or _kind_of_row(offer))
        wanted = priced(row, kind)
        name, size, price = wanted.iloc[0].tolist()
        if pd.isna(name) or pd.isna(price):
            raise refusal("This offer has no GPU name or no price to compare with others.")
        prices = self._prices([name], days, kind, restricted)
        size = None if pd.isna(size) else int(size)
        where = prices.of(name, size)
        median, count, machines, oldest = prices.about(where)
        covered = 0.0
        if oldest is not None:
            covered = min(days, self._clock.time() / 86_400 - oldest)
        return Percentile(
            prices.percent(where, price), float(price), median, name, size, kind, days, covered,
            machines, count, self._place.simulated,
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
        """Return the service's own figures that were imported with `import_metrics`.

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
            If an argument makes no sense.
        ImportError
            Without the extra ``history``.
        """
        need()
        from vastnb.market.history.imported import COLUMNS, metrics_sql
        from vastnb.market.metrics import population

        whom = population(verified, hosting_type, num_gpus)
        sql, params = metrics_sql(self._names(gpu), whom)
        params["since"] = moment_of("days", days_of(days), self._now())
        listing = self._place.metrics.listing()
        found = self._place.engine.ask(listing, sql, params, COLUMNS)
        return self._place.told(frame_from(found), {**whom, "days": days})

    # -- in private ----------------------------------------------------------------------------

    def _prices(self, names: Sequence[str], days: float, kind: str, restricted: bool) -> Prices:
        need()
        since = moment_of("days", days_of(days), self._now())
        # Without a name nothing fits, which is what an empty frame needs.
        which = Which(tuple(names) or ("",), BOUGHT[kind][1], since, None, restricted)
        return Prices(*self._place.ask(which, sample_sql(which, kind, DAY)))

    def _own(self, which: Which, sql: str) -> dict[str, Any]:
        import duckdb

        try:
            return self._place.ask(which, own_sql(which, sql))[0]
        except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
            raise refusal(f"DuckDB does not understand this SQL: {error}") from None

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
        for name in equal:
            check_column(name)
        return Which(
            gpus=self._names(gpu),
            types=() if kind is None else (kind_of(kind),),
            since=moment_of("since", since, now),
            until=moment_of("until", until, now),
            equal=dict(equal),
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
        (found,) = self._place.ask(Which(), ("SELECT DISTINCT gpu_name FROM {rows}", {}))
        return [name for name in np.ma.getdata(found["gpu_name"]) if isinstance(name, str)]


def _row(offer: Any) -> pd.DataFrame:
    if isinstance(offer, pd.DataFrame) and len(offer) == 1:
        return offer
    if isinstance(offer, pd.Series):
        return pd.DataFrame([offer.to_dict()])
    if isinstance(offer, Mapping):
        return pd.DataFrame([dict(offer)])
    raise refusal("An offer with its price is needed: a row of a frame (df.iloc[0]), or a dict.")


def _kind_of_row(offer: Any) -> str:
    about = getattr(offer, "attrs", {}).get("vastnb", {})
    return str(about.get("type") or "on-demand")


__all__ = ["QUANTILES", "Asking"]
