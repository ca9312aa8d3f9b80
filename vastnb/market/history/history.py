"""`History`: what the market was like, from the searches that were made anyway."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market import gpus
from vastnb.market.history.columns import KEPT, VERSION, Sample, frame_from, table_of
from vastnb.market.history.dataset import Dataset
from vastnb.market.history.engine import Engine
from vastnb.market.history.needs import need
from vastnb.market.history.questions import (
    BOUGHT,
    Which,
    behind_sql,
    own_sql,
    rows_sql,
    trend_sql,
)
from vastnb.market.problems import nearest, refusal

if TYPE_CHECKING:
    from vastnb.clock import Clock

QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
Kind = Literal["on-demand", "bid", "interruptible", "reserved"]
Moment = str | date | datetime | timedelta | float | None


class History:
    """The market's past, as your own searches have seen it.

    Every search that is really sent adds its offers to Parquet files on this machine; nothing is
    asked of the service for it. ``client.history`` is one of these.

    Parameters
    ----------
    folder : Path
        Where histories are kept, each server's in a directory of its own.
    source : str
        The server.
    clock : Clock
        The time.
    simulated : callable
        Tells whether the market is simulated. Then everything is kept in a temporary directory,
        which ends with `close`; it never mixes with what a real market was like.
    """

    def __init__(
        self, folder: Path, source: str, clock: Clock, simulated: Callable[[], bool]
    ) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock
        self._simulated = simulated
        self._engine = Engine()
        self._made_up: Path | None = None
        self._end: Callable[[], object] = lambda: None

    # -- where it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The directory with the Parquet files, for others to open as it is.

        ``duckdb.sql(f"from read_parquet('{client.history.path}/**/*.parquet')")``; Polars, Dask,
        Spark and pyarrow take the directory or the same pattern.
        """
        return self._root() / "offers"

    @property
    def simulated(self) -> bool:
        """Whether this is the past of a simulated market."""
        return self._simulated()

    def _root(self) -> Path:
        if not self.simulated:
            return self._folder / VERSION / folder_name(self._source)
        if self._made_up is None:
            made = Path(tempfile.mkdtemp(prefix="vastnb-simulated-"))
            self._made_up = made
            self._end = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
        return self._made_up / VERSION / "simulated"

    @property
    def _offers(self) -> Dataset:
        return Dataset(self.path)

    # -- what was seen -------------------------------------------------------------------------

    def add(self, frame: pd.DataFrame, sample: Sample) -> Path | None:
        """Keep an answer. Searches call it themselves.

        Parameters
        ----------
        frame : DataFrame
            Offers, as a search returns them.
        sample : Sample
            How they came about.

        Returns
        -------
        Path or None
            The new file; None for an empty answer.

        Raises
        ------
        ImportError
            Without pyarrow.
        OSError
            If it cannot be written.
        """
        need("pyarrow")
        return self._offers.add(table_of(frame, sample), sample.seen_at)

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
            return self._told(frame_from(self._own(which, sql)), {})
        names = list(columns) if columns is not None else list(KEPT)
        for name in names:
            _known_column(name)
        return self._told(frame_from(self._ask(which, *rows_sql(which, names, limit))), {})

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
        kind, step = _kind(type), _step(every)
        shares = _shares(quantiles)
        which = self._sampled(gpu, days, kind, restricted, equal)
        found = self._ask(which, *trend_sql(which, kind, step, shares))
        behind = frame_from(self._ask(which, *behind_sql(which, step)))
        return self._told(_trend(found, behind, step, shares), _behind(behind, days, kind))

    # -- in private ----------------------------------------------------------------------------

    def _ask(self, which: Which, sql: str, params: Mapping[str, Any]) -> dict[str, Any]:
        since = None if which.since is None else which.since.date()
        until = None if which.until is None else which.until.date()
        dataset = self._offers
        return self._engine.ask(lambda: dataset.files(since, until), sql, params)

    def _own(self, which: Which, sql: str) -> dict[str, Any]:
        import duckdb

        try:
            return self._ask(which, *own_sql(which, sql))
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
            _known_column(name)
        return Which(
            gpus=self._names(gpu),
            types=() if kind is None else (_kind(kind),),
            since=_moment("since", since, now),
            until=_moment("until", until, now),
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
        if not days > 0 or not math.isfinite(days):
            raise refusal(f"days={days!r}: a number above 0 is needed.")
        chosen = self._which(gpu, float(days), None, None, equal)
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
        found = self._ask(Which(), "SELECT DISTINCT gpu_name FROM {rows}", {})
        return [name for name in np.ma.getdata(found["gpu_name"]) if isinstance(name, str)]

    def _told(self, frame: pd.DataFrame, more: Mapping[str, Any]) -> pd.DataFrame:
        frame.attrs["vastnb"] = {
            "source": self._source,
            "path": str(self.path),
            "simulated": self.simulated,
            **more,
        }
        return frame

    def close(self) -> None:
        """Forget connections; a simulated market's history is removed."""
        self._engine.close()
        self._end()

    def __repr__(self) -> str:
        what = "a simulated market" if self.simulated else self._source
        return f"<price history of {what}: {self.path}>"


def folder_name(source: str) -> str:
    """Return the name of a server's directory: readable, and different for different servers."""
    import hashlib

    host = re.sub(r"[^a-z0-9.-]+", "-", source.lower().partition("://")[2]).strip("-.") or "server"
    return f"{host[:60]}-{hashlib.blake2b(source.encode(), digest_size=4).hexdigest()}"


def _trend(
    found: Mapping[str, Any], behind: pd.DataFrame, step: int, quantiles: Sequence[float]
) -> pd.DataFrame:
    spans = frame_from({k: v for k, v in found.items() if k != "quantiles"})
    values = np.array([*map(list, np.ma.getdata(found["quantiles"]))], dtype="float64")
    values = values.reshape(len(spans), len(quantiles))
    counted = behind[behind["of_span"] == 0]
    keys = ["gpu_name", "gpu_ram_gb", "span"]
    spans = spans.merge(counted[[*keys, "snapshots"]], on=keys, how="left")
    starts: Any = pd.array((spans["span"].to_numpy("int64") * step).view("M8[us]"), copy=False)
    out: dict[str, Any] = {
        "at": starts.tz_localize(UTC),
        "gpu_name": spans["gpu_name"].array,
        "gpu_ram_gb": spans["gpu_ram_gb"].array,
        "low": spans["low"].array,
        **{_label(q): pd.array(values[:, i], dtype="Float64") for i, q in enumerate(quantiles)},
        "high": spans["high"].array,
        **{name: spans[name].array for name in ("machines", "offers", "snapshots")},
    }
    return pd.DataFrame(out, index=pd.RangeIndex(len(spans)), copy=False)


SEARCHES_TOLD: Final = 20


def _behind(behind: pd.DataFrame, days: float, kind: str) -> dict[str, Any]:
    searches = behind[behind["of_span"] == 1].sort_values("found", ascending=False)
    used = searches[searches["snapshots"] > 0]
    left_out = int(searches["found"].sum() - searches["snapshots"].sum())
    return {
        "type": kind,
        "days": days,
        "snapshots": int(used["snapshots"].sum()),
        "truncated_snapshots": int(used.loc[used["truncated"].fillna(False), "snapshots"].sum()),
        "left_out_snapshots": left_out,
        "sampled_from": {
            str(query): int(count)
            for query, count in used.groupby("query")["snapshots"].sum()
            .sort_values(ascending=False).head(SEARCHES_TOLD).items()
        },
    }  # fmt: skip


def _label(share: float) -> str:
    return "median" if share == 0.5 else f"q{100 * share:g}".replace(".", "_")


def _shares(quantiles: Sequence[float]) -> tuple[float, ...]:
    shares = tuple(dict.fromkeys(float(q) for q in quantiles))
    for share in shares:
        if not 0 <= share <= 1:
            raise refusal(f"quantiles={share:g}: shares from 0 to 1 are needed.")
    return shares


def _kind(kind: str) -> str:
    name = "bid" if kind == "interruptible" else kind
    if name not in BOUGHT:
        raise refusal(
            f'type={kind!r}: there are "on-demand", "bid" (or "interruptible") and "reserved".'
        )
    return name


def _step(every: str | timedelta) -> int:
    try:
        step = pd.Timedelta(every) // pd.Timedelta(microseconds=1)
    except (ValueError, TypeError):
        step = 0
    if step < 60_000_000:
        raise refusal(f'every={every!r}: a length such as "1d", "6h" or "30min" is needed.')
    return int(step)


def _moment(name: str, value: Moment, now: datetime) -> datetime | None:
    if value is None:
        return None
    try:
        if isinstance(value, timedelta):
            return now - value
        if isinstance(value, int | float | np.number):
            return now - timedelta(days=float(value))
        moment = pd.Timestamp(value)
        moment = moment.tz_localize(UTC) if moment.tzinfo is None else moment.tz_convert(UTC)
        return moment.to_pydatetime()
    except (ValueError, TypeError, OverflowError, AttributeError):
        raise refusal(
            f'{name}={value!r}: a time such as "2026-11-01" is needed, or a number of days back.'
        ) from None


def _known_column(name: str) -> None:
    if name not in KEPT:
        raise refusal(
            f"The history has no column {name!r}; it has {', '.join(KEPT)}.",
            suggestions=nearest(name, KEPT),
        )


__all__ = ["QUANTILES", "History", "folder_name"]
