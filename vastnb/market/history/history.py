"""`History`: what the market was like, from the searches that were made anyway."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.market.history.alerts import Alert, Alerts, Hit, Per, told, watch_of
from vastnb.market.history.asked import Kind, days_of, kind_of
from vastnb.market.history.asking import Asking
from vastnb.market.history.columns import Sample, frame_from, table_of
from vastnb.market.history.needs import need
from vastnb.market.history.place import Place
from vastnb.market.history.questions import Which
from vastnb.market.history.upkeep import Upkeep
from vastnb.market.query import QueryLike
from vastnb.recording import Keep, Line

if TYPE_CHECKING:
    from vastnb.clock import Clock
    from vastnb.market.metrics import Hosting, Verified
    from vastnb.sim.world import World

log = logging.getLogger("vastnb.history")


class History(Asking):
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
    line : Line
        The way to the service. If the market turns out to be simulated, everything is kept in a
        temporary directory, which ends with `close`; it never mixes with a real market's past.
    keep : Keep, optional
        How much is kept.

    Attributes
    ----------
    world : vastnb.sim.World or None
        The simulated world, if this process runs it.
    """

    def __init__(
        self, folder: Path, source: str, clock: Clock, line: Line, *, keep: Keep | None = None
    ) -> None:
        self._place = Place(folder, source, line)
        self._clock = clock
        self._line = line
        self._keep = keep or Keep()
        self._lock = threading.Lock()
        self._upkeep: dict[Path, Upkeep] = {}
        place = self._place
        self._alerts = Alerts(lambda: place.alerts)
        self._callbacks: dict[int, tuple[Callable[[Hit], object], int]] = {}
        self.world: World | None = None

    # -- where it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The directory with the Parquet files, for others to open as it is.

        ``duckdb.sql(f"from read_parquet('{client.history.path}/**/*.parquet')")``; Polars, Dask,
        Spark and pyarrow take the directory or the same pattern.
        """
        return self._place.offers.folder

    @property
    def simulated(self) -> bool:
        """Whether this is the past of a simulated market."""
        return self._place.simulated

    def info(self) -> dict[str, Any]:
        """Return how much is kept, and where.

        Returns
        -------
        dict
            ``path``, ``rows``, ``snapshots``, ``days``, ``files``, ``bytes``, ``first`` and
            ``last`` (when something was seen, UTC, or None), ``simulated``.

        Raises
        ------
        ImportError
            Without the extra ``history``.
        """
        need()
        sql = (
            "SELECT count(*) AS n, count(DISTINCT seen_at) AS snapshots, min(seen_at) AS first,"
            " max(seen_at) AS last FROM {rows}"
        )
        found = frame_from(*self._place.ask(Which(), (sql, {}))).iloc[0]
        paths = self._place.offers.files()
        return {
            "path": str(self.path),
            "rows": int(found["n"]),
            "snapshots": int(found["snapshots"]),
            "days": len(self._place.offers.days()),
            "files": len(paths),
            "bytes": sum(path.stat().st_size for path in paths if path.exists()),
            "first": None if pd.isna(found["first"]) else found["first"].to_pydatetime(),
            "last": None if pd.isna(found["last"]) else found["last"].to_pydatetime(),
            "simulated": self._place.simulated,
        }

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
        path = self._place.offers.add(table_of(frame, sample), sample.seen_at)
        if path is not None:
            self._keeper().added()
        return path

    def tidy(self) -> None:
        """Put the files of each finished day together, and drop what is too much, now.

        It happens by itself, a little after searches; there is no need to call this.
        """
        need("pyarrow")
        keeper = self._keeper()
        keeper.wait()
        keeper.tidy()

    def _keeper(self) -> Upkeep:
        dataset = self._place.offers
        with self._lock:
            return self._upkeep.setdefault(dataset.folder, Upkeep(dataset, self._keep, self._clock))

    def simulate(self, days: float = 30, a_day: int = 4) -> int:
        """Give a simulated market its past, as if it had been searched all the time.

        Parameters
        ----------
        days : float
            How far back.
        a_day : int
            Searches a day.

        Returns
        -------
        int
            Offers that were written.

        Raises
        ------
        InvalidRequest
            If this is not the history of a market from `vastnb.demo`.
        """
        need()
        if self.world is None:
            raise InvalidRequest(
                "Only the past of a simulated market can be made up, and only by the client that "
                "runs it: vastnb.demo(history_days=30). Nothing was written."
            )
        from vastnb.market.history.made_up import write_past

        return write_past(
            self.world, self._place.offers, self._clock.time(), days_of(days), int(a_day)
        )

    # -- alerts --------------------------------------------------------------------------------

    def watch(
        self,
        query: QueryLike = None,
        *,
        below: float,
        per: Per = "gpu",
        type: Kind = "on-demand",
        storage: float = 10,
        callback: Callable[[Hit], object] | None = None,
        **keywords: Any,
    ) -> Alert:
        """Be told when a search finds an offer below a price.

        It rides on the searches that you, your kernels and their widgets make anyway: nothing is
        sent for it, and it sees no more than they return. A machine is told of once, until it was
        seen at or above the price again.

        Parameters
        ----------
        query : str, dict or Query, optional
            Which offers, as for a search.
        below : float
            $/h.
        per : {"gpu", "offer"}
            Whether `below` is for one GPU or for the whole offer.
        type : {"on-demand", "bid", "interruptible", "reserved"}
            Kind of rental; only searches of the same kind are looked through.
        storage : float
            Disk in GB that the price includes.
        callback : callable, optional
            ``callback(hit)`` is called in the thread of a search; also for what your other kernels
            found meanwhile.
        **keywords
            Filters, as for a search.

        Returns
        -------
        Alert
            ``alert.hits`` is a frame of what was found, ``alert.stop()`` ends it. It is kept on
            disk, in all your kernels, until it is stopped; the same watch again is the same alert.

        Raises
        ------
        QueryError, InvalidRequest
            If the query or a number makes no sense, or if only the service can work a filter out.
        """
        watch = watch_of(query, below, per, kind_of(type), storage, **keywords)
        number = self._alerts.add(watch, self._clock.time())
        if callback is not None:
            seen = max((hit for hit, _ in self._alerts.hits(number)), default=0)
            self._callbacks[number] = (callback, seen)
        return Alert(self._alerts, number, watch)

    @property
    def alerts(self) -> Sequence[Alert]:
        """All alerts that are set, by this kernel or another."""
        return [Alert(self._alerts, number, one) for number, one in self._alerts.watches().items()]

    def look_for_alerts(self, frame: pd.DataFrame, sample: Sample) -> None:
        """Look through an answer for alerts. Searches call it themselves.

        Parameters
        ----------
        frame : DataFrame
            Offers, as a search returns them.
        sample : Sample
            How they came about.
        """
        for _, watch, hits in self._alerts.check(frame, sample.type, sample.seen_at):
            text = told(watch, hits)
            log.info(text)
            try:
                warnings.warn(text, UserWarning, stacklevel=6)
            except UserWarning:  # somebody made errors of warnings
                log.warning(text)
        for number, (callback, seen) in list(self._callbacks.items()):
            for hit_number, hit in self._alerts.hits(number, seen):
                self._callbacks[number] = (callback, hit_number)
                try:
                    callback(hit)
                except Exception:
                    log.exception("The callback of price alert %s failed.", number)

    # -- the service's own figures -------------------------------------------------------------

    def import_metrics(
        self,
        gpu: str | Sequence[str] = "all",
        *,
        days: float = 30,
        every: str | None = "6h",
        verified: Verified = "yes",
        hosting_type: Hosting = "all",
        num_gpus: int | str = "all",
    ) -> int:
        """Fetch the service's own figures on GPU models and keep them, if the account may.

        One paced call. They stand apart from what searches saw, see `metrics`.

        Parameters
        ----------
        gpu : str or list of str
            GPU models in any spelling, or ``"all"``.
        days : float
            How far back.
        every : str, optional
            Time between two points.
        verified, hosting_type, num_gpus
            Which machines are counted, as for ``client.gpu_metrics``.

        Returns
        -------
        int
            Rows that were kept, one for each model and moment.

        Raises
        ------
        AuthError
            Without a key, or if this account may not see them.
        InvalidRequest
            If an argument makes no sense.
        ImportError
            Without the extra ``history``.
        """
        need("pyarrow")
        from vastnb.market.history.imported import table_of_metrics
        from vastnb.market.metrics import history_frame, over_time, population

        now = self._clock.time()
        whom = population(verified, hosting_type, num_gpus)
        answer = self._line.call(
            "gpu_metrics_history", params=over_time(gpu, days, every, whom, now)
        )
        table = table_of_metrics(history_frame(answer.data), whom, answer.fetched_at)
        self._place.metrics.add(table, datetime.fromtimestamp(now, UTC))
        return int(table.num_rows)

    # -- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Forget connections; a simulated market's history is removed."""
        for upkeep in self._upkeep.values():
            upkeep.close()
        self._place.close()

    def __repr__(self) -> str:
        what = "a simulated market" if self.simulated else self._place.source
        return f"<price history of {what}: {self.path}>"


__all__ = ["History"]
