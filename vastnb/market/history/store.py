"""Today's searches, in a small SQLite file that the user's kernels share.

A search is one transaction, on the disk when it returns. Snapshots are numbered in the order of
their commits, and a number is never given twice: the file of a finished day says in its name up to
which number it holds that day's rows, so rows that are still here do not count twice (`days`).
The service's own figures and the wish of how much to keep lie here as well.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.api.files import private_file, write_ahead
from vastnb.errors import HistoryError
from vastnb.market.history.columns import (
    KEPT,
    OF_OFFER,
    OF_SNAPSHOT,
    Sample,
    cells_of,
    frame_of_cells,
    writable,
)
from vastnb.market.history.keep import Keep
from vastnb.market.service_figures import OVER_TIME

PATIENCE: Final = 2.0
"""Seconds to wait for another kernel; a search must not be held up."""
REMEMBERED: Final = 20_000
"""Rows that are kept in memory, for the case that the same is asked again."""
NAME: Final = "today.sqlite"
NUMBER: Final = "number"
"""The column with a snapshot's number, beside the kept ones."""
WHOM: Final = ("verified", "hosting_type", "num_gpus")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _names(columns: Sequence[Any]) -> str:
    return ", ".join(column.name for column in columns)


_TABLES: Final = (
    f"CREATE TABLE IF NOT EXISTS snapshots (number INTEGER PRIMARY KEY AUTOINCREMENT, day,"
    f" {_names(OF_SNAPSHOT)})",
    "CREATE INDEX IF NOT EXISTS by_day ON snapshots (day)",
    f"CREATE TABLE IF NOT EXISTS offers (number INTEGER, {_names(OF_OFFER)})",
    "CREATE TABLE IF NOT EXISTS kept (one INTEGER PRIMARY KEY CHECK (one = 1), days, gb)",
    f'CREATE TABLE IF NOT EXISTS metrics ("at" INTEGER, gpu_name, {", ".join(WHOM)},'
    f" {', '.join(OVER_TIME)}, imported_at INTEGER,"
    f' PRIMARY KEY ({", ".join(WHOM)}, gpu_name, "at")) WITHOUT ROWID',
)
_ADD_SNAPSHOT: Final = (
    f"INSERT INTO snapshots (day, {_names(OF_SNAPSHOT)})"
    f" VALUES ({', '.join('?' * (1 + len(OF_SNAPSHOT)))})"
)
_ADD_OFFER: Final = (
    f"INSERT INTO offers (number, {_names(OF_OFFER)})"
    f" VALUES ({', '.join('?' * (1 + len(OF_OFFER)))})"
)


def micros(moment: datetime) -> int:
    """Return microseconds since the epoch, exactly."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


class Store:
    """The SQLite file. May be used by several threads, and by forks.

    Parameters
    ----------
    path : Path
        Where; made with the first write.
    durable : bool
        Whether what was written is to outlive a power failure.
    first : callable
        Returns the number after which a new file goes on.
    """

    def __init__(self, path: Path, *, durable: bool, first: Callable[[], int]) -> None:
        self.path = path
        self._durable = durable
        self._first = first
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._latest: tuple[Any, pd.DataFrame] | None = None
        self._ended = False

    # -- snapshots -----------------------------------------------------------------------------

    def add(self, frame: pd.DataFrame, sample: Sample) -> None:
        """Keep an answer; it is on the disk when this returns.

        Raises
        ------
        OSError, HistoryError
            If it cannot be written. Nothing of it is left then.
        """
        rows = list(zip(*cells_of(frame), strict=True))
        with self._writing() as connection:
            number = connection.execute(_ADD_SNAPSHOT, _of_snapshot(sample)).lastrowid
            connection.executemany(_ADD_OFFER, [(number, *row) for row in rows])

    def days(self) -> list[date]:
        """Return the days of which there are rows here, oldest first."""
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute("SELECT DISTINCT day FROM snapshots ORDER BY day")
            return [date.fromisoformat(day) for (day,) in found]

    def rows(
        self,
        since: date | None = None,
        until: date | None = None,
        gpus: Sequence[str] = (),
        columns: Sequence[str] = tuple(KEPT),
    ) -> pd.DataFrame | None:
        """Return rows of the days from `since` to `until` (both included); None if there is none.

        Parameters
        ----------
        since, until : date, optional
            Days.
        gpus : sequence of str
            GPU names; empty is any.
        columns : sequence of str
            Which of the kept columns; `NUMBER` comes on top. The frame is shared: not to be
            changed.
        """
        days, values = ["day IS NOT NULL"], list[Any]()
        for op, day in ((">=", since), ("<=", until)):
            if day is not None:
                days.append(f"day {op} ?")
                values.append(day.isoformat())
        searches = f"FROM snapshots WHERE {' AND '.join(days)}"
        offers = f"FROM offers WHERE number IN (SELECT number {searches})"
        if gpus:
            offers += f" AND gpu_name IN ({', '.join('?' * len(gpus))})"
        whole = [column.name for column in OF_SNAPSHOT if column.name in columns]
        each = [name for name in columns if name not in whole]
        with self._reading() as connection:
            if connection is None:
                return None
            version = connection.execute("PRAGMA data_version").fetchone()  # others' writes
            state = (version, connection.total_changes, since, until, tuple(gpus), tuple(columns))
            if self._latest is not None and self._latest[0] == state:
                return self._latest[1]
            connection.execute("BEGIN")  # both as of one moment
            try:
                # Apart: what is true of a search is the same in hundreds of rows.
                sql = f"SELECT {', '.join([NUMBER, *whole])} {searches} ORDER BY {NUMBER}"
                snapshots = connection.execute(sql, values).fetchall()
                sql = f"SELECT {', '.join([NUMBER, *each])} {offers}"
                found = connection.execute(sql, [*values, *gpus]).fetchall()
            finally:
                connection.execute("COMMIT")
            frame = _joined(snapshots, found, whole, each, columns) if found else None
            if frame is not None and len(frame) <= REMEMBERED:  # a widget asks again and again
                self._latest = state, frame
            return frame

    def tick(self) -> int:
        """Return a number above all that were given so far; it is given to nothing else."""
        with self._writing() as connection:
            number = connection.execute("INSERT INTO snapshots DEFAULT VALUES").lastrowid
            connection.execute("DELETE FROM snapshots WHERE number = ?", (number,))
        assert number is not None
        return number

    def forget(self, day: date, number: int) -> None:
        """Remove the rows of a day up to a number: they are in its file."""
        numbers = "SELECT number FROM snapshots WHERE day = ? AND number <= ?"
        with self._writing() as connection:
            for table in ("offers", "snapshots"):
                connection.execute(
                    f"DELETE FROM {table} WHERE number IN ({numbers})", (day.isoformat(), number)
                )

    def add_rows(self, rows: pd.DataFrame) -> int:
        """Keep rows of snapshots that are not here yet; return how many snapshots came in.

        Parameters
        ----------
        rows : DataFrame
            With all kept columns.
        """
        key = ["seen_at", "type", "query"]
        added = 0
        with self._writing() as connection:
            for _, part in rows.groupby(key, dropna=False, sort=True):
                cells = {
                    column.name: part[column.name].array.to_numpy(object, na_value=None).tolist()
                    for column in OF_OFFER
                }
                first = part.iloc[0]
                about = Sample(**{c.name: first[c.name] for c in OF_SNAPSHOT})
                values = _of_snapshot(about)
                known = connection.execute(
                    "SELECT 1 FROM snapshots WHERE day=? AND seen_at=? AND type=? AND query=?",
                    values[:4],
                ).fetchone()
                if known:
                    continue
                number = connection.execute(_ADD_SNAPSHOT, values).lastrowid
                connection.executemany(
                    _ADD_OFFER, [(number, *row) for row in zip(*cells.values(), strict=True)]
                )
                added += 1
        return added

    # -- how much is kept ----------------------------------------------------------------------

    def wish(self, keep: Keep, *, asked: bool) -> Keep:
        """Take note of how much a kernel wants to keep, and return what counts.

        That is the largest wish of all kernels; or this one alone, if the user `asked`.
        """
        with self._writing() as connection:
            row = connection.execute("SELECT days, gb FROM kept").fetchone()
            counts = keep if asked or row is None else keep.larger(Keep(*row))
            if row is None or counts != Keep(*row):
                connection.execute("INSERT OR REPLACE INTO kept VALUES (1, ?, ?)", counts)
        return counts

    # -- the service's own figures -------------------------------------------------------------

    def add_metrics(self, frame: pd.DataFrame, whom: Mapping[str, Any], at: datetime) -> None:
        """Keep the service's figures: each model and moment once, as last imported.

        Parameters
        ----------
        frame : DataFrame
            As ``client.gpu_trends`` returns them.
        whom : dict
            Which machines are counted.
        at : datetime
            When the service answered.
        """
        moments = [micros(moment.to_pydatetime()) for moment in frame["at"]]
        figures = [frame[name].array.to_numpy(object, na_value=None).tolist() for name in OVER_TIME]
        about = tuple(str(whom[name]) for name in WHOM)
        rows = [
            (moment, writable(name), *about, *values, micros(at))
            for moment, name, *values in zip(moments, frame["gpu_name"], *figures, strict=True)
        ]
        marks = ", ".join("?" * (3 + len(WHOM) + len(OVER_TIME)))
        with self._writing() as connection:
            connection.executemany(
                f"INSERT INTO metrics VALUES ({marks}) ON CONFLICT DO UPDATE SET"
                f" {', '.join(f'{name} = excluded.{name}' for name in (*OVER_TIME, 'imported_at'))}"
                " WHERE excluded.imported_at >= imported_at", rows,
            )  # fmt: skip

    def metrics(
        self, names: Sequence[str], whom: Mapping[str, Any], since: datetime
    ) -> list[tuple[Any, ...]]:
        """Return the service's figures: ``at`` (microseconds), ``gpu_name`` and `OVER_TIME`."""
        parts = ['"at" >= ?', *(f"{name} = ?" for name in WHOM)]
        values = [micros(since), *(str(whom[name]) for name in WHOM), *names]
        if names:
            parts.append(f"gpu_name IN ({', '.join('?' * len(names))})")
        with self._reading() as connection:
            if connection is None:
                return []
            return connection.execute(
                f'SELECT "at", gpu_name, {", ".join(OVER_TIME)} FROM metrics'
                f' WHERE {" AND ".join(parts)} ORDER BY gpu_name, "at"', values,
            ).fetchall()  # fmt: skip

    # -- the file ------------------------------------------------------------------------------

    def close(self, *, ends: bool = False) -> None:
        """Forget the connection; if it `ends`, nothing is read or written any more."""
        with self._lock:
            self._ended = self._ended or ends
            connection, self._connection = self._connection, None
            self._latest = None
            if connection is not None and self._opened and self._opened[0] == os.getpid():
                connection.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told():
            if self._ended:
                raise HistoryError("This simulated market has ended, and its history with it.")
            connection = self._connect()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._lock, self._told():
            yield self._connect() if self.path.exists() and not self._ended else None

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise HistoryError(
                f"{self.path} cannot be used now ({error}). Another kernel may be using it, or the "
                "disk may be full. Try again; the price history is not damaged."
            ) from error
        except sqlite3.DatabaseError as error:
            raise HistoryError(
                f"{self.path}, which holds the searches of the latest day, is damaged ({error}). "
                f"Move it away (with {self.path.name}-wal and {self.path.name}-shm) and vastnb "
                "creates a new one; finished days have their own files and are not affected."
            ) from error

    def _connect(self) -> sqlite3.Connection:
        try:
            here = (os.getpid(), self.path.stat().st_ino)
        except FileNotFoundError:
            here = (os.getpid(), -1)
        if self._connection is None or self._opened != here:
            self.close()  # the file was removed, or this is a fork
            connection = sqlite3.connect(
                private_file(self.path), timeout=PATIENCE, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            self._opened = (os.getpid(), self.path.stat().st_ino)
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        write_ahead(connection, PATIENCE)
        connection.execute(f"PRAGMA synchronous={'FULL' if self._durable else 'OFF'}")
        connection.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            connection.execute(statement)
        if not connection.execute("SELECT 1 FROM sqlite_sequence").fetchone():
            connection.execute(
                "INSERT INTO sqlite_sequence VALUES ('snapshots', ?)", (self._first(),)
            )
        connection.execute("COMMIT")


def _joined(
    snapshots: Sequence[tuple[Any, ...]],
    offers: Sequence[tuple[Any, ...]],
    whole: Sequence[str],
    each: Sequence[str],
    columns: Sequence[str],
) -> pd.DataFrame:
    """Return offers with what is true of their snapshot; both begin with its number."""
    known, *of_snapshot = zip(*snapshots, strict=True)
    numbers, *of_offer = zip(*offers, strict=True)
    place = np.searchsorted(np.array(known), np.array(numbers))
    about = frame_of_cells(dict(zip(whole, of_snapshot, strict=True)))
    rows = frame_of_cells(dict(zip(each, of_offer, strict=True)))
    out = {name: about[name].array.take(place) if name in about else rows[name].array
           for name in columns}  # fmt: skip
    return pd.DataFrame({**out, NUMBER: list(numbers)}, copy=False)


def _of_snapshot(sample: Sample) -> tuple[Any, ...]:
    moment = pd.Timestamp(sample.seen_at).to_pydatetime().astimezone(UTC)
    return (
        moment.date().isoformat(), micros(moment), writable(sample.type), writable(sample.query),
        bool(sample.restricted), bool(sample.truncated), bool(sample.simulated),
    )  # fmt: skip


__all__ = ["NAME", "NUMBER", "Store", "micros"]
