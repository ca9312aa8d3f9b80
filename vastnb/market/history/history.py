"""`History`: past prices, recorded from your searches."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import tempfile
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.api.files import private_file
from vastnb.errors import HistoryError, InvalidRequest
from vastnb.market.history.alerts import Alert, Alerts, Hit, Per, told, watch_of
from vastnb.market.history.arguments import Kind, Moment, kind_of
from vastnb.market.history.columns import Sample, frame_from
from vastnb.market.history.days import SUFFIX, Days
from vastnb.market.history.earlier import adopt_metrics, migrate
from vastnb.market.history.keep import Keep
from vastnb.market.history.questions import Questions
from vastnb.market.history.simulated import Past, write_past
from vastnb.market.history.sql import Engine, Which, need
from vastnb.market.history.store import NAME, Store
from vastnb.market.history.upkeep import Upkeep
from vastnb.market.query.query import QueryLike
from vastnb.market.query.spans import days_of

if TYPE_CHECKING:
    from vastnb.api.transport import Transport
    from vastnb.clock import Clock
    from vastnb.market.service_figures import Hosting, Verified

log = logging.getLogger("vastnb.history")

VERSION: Final = "v1"
ALERTS: Final = "alerts.sqlite"


class History(Questions):
    """The price history, recorded from your own searches.

    Every search that is sent adds its offers to files on this computer; no extra requests are
    sent for it. ``client.history`` is one of these.

    Parameters
    ----------
    folder : Path
        Where histories are kept, each server's in a directory of its own.
    source : str
        The server.
    clock : Clock
        The time.
    transport : Transport
        The way to the service. If the market turns out to be simulated, everything is kept in a
        temporary directory, which ends with `close`; it never mixes with a real market's past.
    keep : Keep, optional
        How much is kept.

    Attributes
    ----------
    past : callable or None
        The past of the simulated market, if this process runs it; see `simulate`.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        clock: Clock,
        transport: Transport,
        *,
        keep: Keep | None = None,
    ) -> None:
        self._folder = folder
        self._source = source
        self._clock = clock
        self._transport = transport
        self._keep = keep or Keep()
        self._lock = threading.RLock()
        self._engine = Engine()
        self._temporary: Path | None = None
        self._end: Callable[[], object] = lambda: None
        self._made: dict[Path, tuple[Days, Upkeep]] = {}
        self._migrated: set[Path] = set()
        self._alerts = Alerts(lambda: self._root / ALERTS)
        self._callbacks: dict[int, tuple[Callable[[Hit], object], int]] = {}
        self.past: Past | None = None

    # -- where it is ---------------------------------------------------------------------------

    @property
    def path(self) -> Path:
        """The directory with one Parquet file for each finished day, which other tools can open.

        ``duckdb.sql(f"from read_parquet('{client.history.path}/**/*.parquet')")``; Polars, Dask,
        Spark and pyarrow take the directory or the same pattern. The latest searches are not in it
        yet: `frame` has them, and `export` writes everything to one file.
        """
        return self._root / "offers"

    @property
    def simulated(self) -> bool:
        """Whether this is the history of a simulated market."""
        return self._transport.simulated

    @property
    def _root(self) -> Path:
        real = self._folder / VERSION / folder_name(self._source)
        if not self.simulated:
            return real
        with self._lock:
            if self._temporary is None:
                made = Path(tempfile.mkdtemp(prefix="vastnb-simulated-"))
                self._temporary = made / VERSION / "simulated"
                self._end = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
                if (real / ALERTS).exists():  # set before the market said that it is simulated
                    shutil.copyfile(real / ALERTS, private_file(self._temporary / ALERTS))
            return self._temporary

    def _parts(self) -> tuple[Days, Upkeep]:
        path = self.path
        with self._lock:
            if path not in self._made:
                # What ends with its client need not outlive a power failure.
                durable = not self.simulated
                store = Store(path.with_name(NAME), durable=durable, first=lambda: _highest(path))
                days = Days(path, store, self._engine, durable=durable)
                self._made[path] = days, Upkeep(days, self._keep, self._clock)
            return self._made[path]

    def _store(self) -> Store:
        return self._parts()[0].store

    def _open(self) -> Days:
        """Return the rows, once those of an earlier layout are among them."""
        days, upkeep = self._parts()
        with self._lock:
            if days.folder not in self._migrated:
                need()
                migrate(days, upkeep.today)
                adopt_metrics(self._root / "metrics", days.store, self._engine)
                self._migrated.add(days.folder)
        return days

    def _about(self, more: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "source": self._source,
            "path": str(self.path),
            "simulated": self.simulated,
            **more,
        }

    def days(self) -> list[date]:
        """Return the days (UTC) with recorded searches, oldest first."""
        return self._parts()[0].days()

    def info(self) -> dict[str, Any]:
        """Return how much is recorded, and where.

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
        days = self._open()
        sql = (
            "SELECT count(*) AS n, count(DISTINCT seen_at) AS snapshots, min(seen_at) AS first,"
            " max(seen_at) AS last FROM {rows}"
        )
        found = frame_from(days.ask(Which(), sql, {}, ["seen_at"])).iloc[0]
        paths = [file.path for file in days.files()]
        store = days.store.path
        return {
            "path": str(self.path),
            "rows": int(found["n"]),
            "snapshots": int(found["snapshots"]),
            "days": len(days.days()),
            "files": len(paths),
            "bytes": sum(
                one.stat().st_size
                for one in (*paths, store, store.with_name(f"{store.name}-wal"))
                if one.exists()
            ),
            "first": None if pd.isna(found["first"]) else found["first"].to_pydatetime(),
            "last": None if pd.isna(found["last"]) else found["last"].to_pydatetime(),
            "simulated": self.simulated,
        }

    # -- what was seen -------------------------------------------------------------------------

    def add(self, frame: pd.DataFrame, sample: Sample) -> None:
        """Keep an answer; it is on the disk when this returns. Searches call it themselves.

        Parameters
        ----------
        frame : DataFrame
            Offers, as a search returns them.
        sample : Sample
            How they came about.

        Raises
        ------
        OSError, HistoryError
            If it cannot be written.
        """
        if not len(frame):
            return
        days, upkeep = self._parts()
        days.store.add(frame, sample)
        upkeep.added()

    def tidy(self) -> None:
        """Write finished days to their files, and drop what exceeds this client's `Keep`, now.

        Both also happen automatically after searches, one day at a time and only down to the
        largest `Keep` of all your kernels. From this call on, this client's own `Keep` counts for
        all of them.
        """
        need()
        self._parts()[1].now()

    def export(
        self,
        path: str | Path,
        gpu: str | Sequence[str] | None = None,
        since: Moment = None,
        until: Moment = None,
        *,
        type: Kind | None = None,
        **equal: Any,
    ) -> int:
        """Write the history to one file, for other tools or for `merge` on another computer.

        Parameters
        ----------
        path : str or Path
            A new file, ``.parquet`` or ``.csv``.
        gpu, since, until, type, **equal
            Which rows, as for `frame`; by default all.

        Returns
        -------
        int
            Rows written.

        Raises
        ------
        QueryError, InvalidRequest
            If an argument is not valid, or the file exists already.
        HistoryError
            If it cannot be written.
        ImportError
            Without the extra ``history``.
        """
        need()
        target = Path(path).expanduser()
        if target.suffix.lower() not in (SUFFIX, ".csv"):
            raise InvalidRequest(
                f"export writes .parquet or .csv, and {target.name!r} is neither. Nothing was "
                "written."
            )
        if target.exists():
            raise InvalidRequest(
                f"{target} exists already. Remove it, or choose another name. Nothing was written."
            )
        if not target.parent.is_dir():
            raise InvalidRequest(f"There is no directory {target.parent}. Nothing was written.")
        which = self._which(gpu, since, until, type, equal)
        return self._open().export(which, *which.where(), target)

    def merge(self, path: str | Path) -> int:
        """Add what another history has, such as another computer's.

        Searches that are here already are skipped, so merging twice changes nothing.

        Parameters
        ----------
        path : str or Path
            A Parquet file that `export` wrote, or a copy of the directory of a history (the one
            above its `path`).

        Returns
        -------
        int
            Searches (snapshots) that were added.

        Raises
        ------
        HistoryError
            If nothing can be read, or one market is simulated and the other is not.
        ImportError
            Without the extra ``history``.
        """
        need()
        days = self._open()
        other = Path(path).expanduser()
        if other.resolve() in (self.path.resolve(), self._root.resolve()):
            raise HistoryError("This is the same history. Nothing was merged.")
        return days.merge(other, self._parts()[1].today, simulated=self.simulated)

    def simulate(self, days: float = 30, a_day: int = 4) -> int:
        """Make up the past of a simulated market, as if it had been searched regularly.

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
        if self.past is None:
            raise InvalidRequest(
                "A past can be made up only for a simulated market, by the client that runs it: "
                "vastnb.demo(history_days=30). Nothing was written."
            )
        return write_past(self.past, self._open(), self._clock.time(), days_of(days), int(a_day))

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
        """Set a price alert: be notified when a search finds an offer below a price.

        It checks the searches that you, your kernels and their widgets make: no extra requests
        are sent, and it sees only what they return. Each machine is reported once, until it has
        been at or above the price again.

        Parameters
        ----------
        query : str, dict or Query, optional
            Which offers, as for a search.
        below : float
            $/h.
        per : {"gpu", "offer"}
            Whether `below` is the price of one GPU or of the whole offer.
        type : {"on-demand", "bid", "interruptible", "reserved"}
            Kind of rental; only searches of the same kind are checked.
        storage : float
            Disk in GB that the price includes.
        callback : callable, optional
            ``callback(hit)`` is called in the thread of a search, also for hits of your other
            kernels.
        **keywords
            Filters, as for a search.

        Returns
        -------
        Alert
            ``alert.hits`` is a frame of what was found, ``alert.stop()`` ends it. It is stored on
            disk and works in all your kernels until it is stopped; the same arguments give the
            same alert.

        Raises
        ------
        QueryError, InvalidRequest
            If the query or a number is not valid, or if only Vast.ai can apply a filter.
        """
        watch = watch_of(query, below, per, kind_of(type), storage, **keywords)
        number = self._alerts.add(watch, self._clock.time())
        if callback is not None:
            seen = max((hit for hit, _ in self._alerts.hits(number)), default=0)
            self._callbacks[number] = (callback, seen)
        return Alert(self._alerts, number, watch)

    @property
    def alerts(self) -> Sequence[Alert]:
        """All active alerts, of this kernel and others."""
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
                warnings.warn(text, UserWarning, stacklevel=7)
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
        """Fetch Vast.ai's own figures on GPU models and store them, if the account may see them.

        One paced call. They are stored apart from your searches, see `service_figures`.

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
            Rows stored, one for each model and point in time.

        Raises
        ------
        AuthError
            Without a key, or if this account may not see these figures.
        InvalidRequest
            If an argument is not valid.
        """
        from vastnb.market.service_figures import history_frame, over_time, population

        now = self._clock.time()
        whom = population(verified, hosting_type, num_gpus)
        answer = self._transport.call(
            "gpu_metrics_history", params=over_time(gpu, days, every, whom, now)
        )
        frame = history_frame(answer.data)
        self._store().add_metrics(frame, whom, answer.fetched_at)
        return len(frame)

    # -- the end -------------------------------------------------------------------------------

    def close(self) -> None:
        """Forget connections; a simulated market's history is removed."""
        with self._lock:
            made = list(self._made.values())
        for days, upkeep in made:
            upkeep.close()
            # What a thread still writes would make the directory anew.
            days.store.close(ends=self._temporary is not None)
        self._engine.close()
        self._end()

    def __repr__(self) -> str:
        what = "a simulated market" if self.simulated else self._source
        return f"<price history of {what}: {self.path}>"


def folder_name(source: str) -> str:
    """Return the name of a server's directory: readable, and different for different servers."""
    host = re.sub(r"[^a-z0-9.-]+", "-", source.lower().partition("://")[2]).strip("-.") or "server"
    return f"{host[:60]}-{hashlib.blake2b(source.encode(), digest_size=4).hexdigest()}"


def _highest(folder: Path) -> int:
    """Return the highest number that a file of a day has."""
    numbers = (path.stem.partition("-")[2] for path in folder.glob(f"day=*/offers-*{SUFFIX}"))
    return max((int(number) for number in numbers if number.isdigit()), default=0)


__all__ = ["ALERTS", "History", "folder_name"]
