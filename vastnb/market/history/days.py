"""Finished days: one Parquet file each, written by DuckDB, and all rows as one table.

::

    <folder>/day=2026-11-23/offers-0000000412.parquet

The file says in its name up to which number (`store`) it holds the searches of its day. It gets
that name when it is whole, and from then on it is the truth: rows of the store up to that number,
and files of the day with a smaller one, no longer count and are removed. Rows that arrive later (a
merge, a clock that was wrong) make a new file. Whoever is killed in between leaves nothing that
counts twice, and readers need no lock: they read the store first and list the files afterwards.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from vastnb.api.files import private_file
from vastnb.errors import HistoryError
from vastnb.market.history.columns import KEPT, SORTED_BY, frame_from
from vastnb.market.history.keep import Keep, surplus
from vastnb.market.history.sql import Engine, Source, Which
from vastnb.market.history.store import NUMBER, Store

if TYPE_CHECKING:
    pass

log = logging.getLogger("vastnb.history")

SUFFIX: Final = ".parquet"
COLUMNS: Final = {column.name: column.sql for column in KEPT.values()}
KEY: Final = ("seen_at", "type", "query")
"""What tells one snapshot from another."""
ROWS_A_GROUP: Final = 16_384
"""Rows that share statistics: small enough that a question about one GPU reads little else."""
TRIES: Final = 5
PATIENCE: Final = 60.0
"""Seconds to wait for another kernel that tidies up, where the user asked."""
ABANDONED: Final = 3600.0
"""Seconds after which a file that was never finished belongs to nobody."""

_NAME: Final = re.compile(r"offers-(\d{10,19})\.parquet")


class DayFile(NamedTuple):
    """The file of a day.

    Parameters
    ----------
    day : date
        UTC.
    number : int
        Up to which number it holds the searches of its day.
    path : Path
        Where it is.
    """

    day: date
    number: int
    path: Path


class Days:
    """All rows of a history: files of finished days, and the store.

    Parameters
    ----------
    folder : Path
        Where the files are; made with the first one.
    store : Store
        What is in no file yet.
    engine : Engine
        Reads and writes files.
    durable : bool
        Whether what was written is to outlive a power failure.
    """

    def __init__(self, folder: Path, store: Store, engine: Engine, *, durable: bool = True) -> None:
        self.folder = folder
        self.store = store
        self.engine = engine
        self._durable = durable

    # -- what is there -------------------------------------------------------------------------

    def files(self, since: date | None = None, until: date | None = None) -> list[DayFile]:
        """Return the files that count, of the days from `since` to `until` (both included)."""
        found = []
        for day, folder in folders(self.folder, since, until):
            newest = _newest(day, folder)
            if newest is not None:
                found.append(newest)
        return found

    def days(self) -> list[date]:
        """Return the days of which there is something, oldest first. Needs no DuckDB."""
        waiting = self.store.days()
        return sorted({*waiting, *(day for day, folder in folders(self.folder)
                                   if any(parquet_in(folder)))})  # fmt: skip

    def source(
        self,
        since: date | None = None,
        until: date | None = None,
        gpus: Sequence[str] = (),
        columns: Sequence[str] = tuple(KEPT),
    ) -> tuple[Source, list[DayFile]]:
        """Return the rows of the days from `since` to `until`, and the files among them."""
        waiting = self.store.rows(since, until, gpus, columns)  # first: files can only gain rows
        files = self.files(since, until)
        if waiting is not None:
            waiting = _uncounted(waiting, files)
        chosen = {name: COLUMNS[name] for name in columns}
        return Source(tuple(str(file.path) for file in files), waiting, chosen), files

    def ask(
        self, which: Which, sql: str, params: Mapping[str, Any], columns: Sequence[str]
    ) -> dict[str, Any]:
        """Return the columns of the answer to a question, see `Engine.ask`.

        Raises
        ------
        HistoryError
            If a file is damaged, which is set aside then, or cannot be read.
        """
        import duckdb

        try:
            found: dict[str, Any] = self._do(
                which, columns, lambda source: self.engine.ask(source, sql, params)
            )
        except duckdb.Error as error:
            raise HistoryError(
                f"The price history at {self.folder} cannot be read now: {error}. Nothing was "
                "changed. Try again."
            ) from error
        return found

    def ask_freely(self, which: Which, sql: str, params: Mapping[str, Any]) -> pd.DataFrame:
        """Return the frame of the answer to a question of the user's own.

        Raises
        ------
        HistoryError
            If a file is damaged, which is set aside then.
        duckdb.Error
            If the SQL is wrong.
        """
        types: dict[str, str] = {}

        def asked(source: Source) -> dict[str, Any]:
            types.update(self.engine.types(source, sql, params))
            return self.engine.ask(source, sql, params)

        return frame_from(self._do(which, tuple(KEPT), asked), types)

    def _do(self, which: Which, columns: Sequence[str], ask: Callable[[Source], Any]) -> Any:
        import duckdb

        since = None if which.since is None else which.since.date()
        until = None if which.until is None else which.until.date()
        for left in range(TRIES, 0, -1):
            source, files = self.source(since, until, which.gpus, columns)
            try:
                return ask(source)
            except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException):
                raise
            except duckdb.Error:
                if left > 1 and not all(file.path.exists() for file in files):
                    continue  # written anew meanwhile
                self.check(file.path for file in files)
                raise
        raise AssertionError("unreachable")

    def check(self, paths: Iterable[Path]) -> None:
        """Set files aside that cannot be read, and raise if there is one."""
        for path in paths:
            problem = self._problem(path)
            if problem is None:
                continue
            aside = path.with_name(f".{path.name}.unreadable")
            path.replace(aside)
            raise HistoryError(
                f"{path} is damaged ({problem}) and was set aside as {aside.name}. Its day is "
                "missing from the price history; the other days are not affected. Run the "
                "question again."
            )

    def _problem(self, path: Path) -> str | None:
        import duckdb

        if not path.exists():
            return None
        try:
            self.engine.run(
                Source((str(path),), None, COLUMNS), "SELECT bit_xor(hash(r)) FROM {raw} AS r"
            )
        except duckdb.OutOfMemoryException:
            return None
        except duckdb.Error as error:
            try:
                path.read_bytes()
            except OSError:  # what cannot be read just now is not damaged
                return None
            return str(error).partition("\n")[0]
        return None

    # -- writing days --------------------------------------------------------------------------

    def fold(self, day: date, others: Sequence[Path] = ()) -> None:
        """Write the file of a day anew, with its rows of the store and of other files.

        Only one process may do so at a time, see `sole`. Snapshots of `others` that are known
        already are left out.

        Raises
        ------
        OSError, HistoryError
            If it cannot be written. What was there before is untouched then.
        """
        number = self.store.tick()
        source, files = self.source(day, day)
        if source.waiting is not None:
            source = source._replace(
                waiting=source.waiting[source.waiting[NUMBER] <= number]
            )  # fmt: skip
        if not (files or others or (source.waiting is not None and len(source.waiting))):
            return
        folder = self.folder / f"day={day.isoformat()}"
        target = folder / day_file(number)
        self._write(target, day, source, others)
        self.store.forget(day, number)
        for file in files:
            unlink(file.path)

    def _write(self, target: Path, day: date, source: Source, others: Sequence[Path]) -> None:
        import duckdb

        names = ", ".join(COLUMNS)
        rows = f"SELECT {names} FROM {{rows}}"
        if others:
            key = ", ".join(KEY)
            more = Source(tuple(map(str, others)), None, {**COLUMNS, "filename": "VARCHAR"})
            rows = f"""
                WITH base AS ({rows}),
                more AS (SELECT * FROM {more.sql()} WHERE CAST(seen_at AS DATE) = '{day}'),
                firsts AS (SELECT {key}, min(filename) AS filename FROM more GROUP BY {key})
                SELECT * FROM base UNION ALL
                SELECT {names} FROM more JOIN firsts USING ({key}, filename)
                    ANTI JOIN (SELECT DISTINCT {key} FROM base) AS known USING ({key})
            """
        _private(target.parent)
        hidden = target.with_name(f".{target.name}.part")
        try:
            os.close(os.open(hidden, os.O_WRONLY | os.O_CREAT, 0o600))
            self.engine.copy(source, rows, hidden, SORTED_BY, ROWS_A_GROUP)
            if self._durable:
                _sync(hidden)
            hidden.replace(target)
            if self._durable and sys.platform != "win32":
                _sync(target.parent)
        except duckdb.Error as error:
            self.check([*map(Path, source.files), *others])
            raise HistoryError(f"{target} cannot be written: {error}. Nothing was lost.") from error
        finally:
            hidden.unlink(missing_ok=True)

    def adopt(self, day: date, rows: pd.DataFrame, *, finished: bool) -> None:
        """Take rows over that came about elsewhere; snapshots that are known are left out."""
        with sole(self.folder, PATIENCE) as alone:
            if not (alone and finished) or self.files(day, day) or day in self.store.days():
                self._take_rows(rows)
                if alone and finished:
                    self.fold(day)
            else:
                target = self.folder / f"day={day.isoformat()}" / day_file(self.store.tick())
                self._write(target, day, Source((), rows, COLUMNS), ())

    def export(self, which: Which, where: str, params: Mapping[str, Any], target: Path) -> int:
        """Write rows to one file for others, and return how many."""
        import duckdb

        hidden = target.with_name(f".{target.name}.part")
        kind = "csv" if target.suffix.lower() == ".csv" else "parquet"
        names = ", ".join(COLUMNS)
        sql = f"SELECT {names} FROM {{rows}} WHERE {where}"
        try:
            count: int = self._do(
                which, tuple(KEPT),
                lambda source: self.engine.copy(
                    source, sql, hidden, ("seen_at", *SORTED_BY[:2]), ROWS_A_GROUP, params, kind
                ),
            )  # fmt: skip
            hidden.replace(target)
        except duckdb.Error as error:
            raise HistoryError(f"{target} cannot be written: {error}.") from error
        finally:
            hidden.unlink(missing_ok=True)
        return count

    def merge(self, path: Path, today: date, *, simulated: bool) -> int:
        """Take over what another history or an exported file has; return how many snapshots."""
        if path.is_file():
            files = [path]
        else:
            files = sorted(one for one in path.rglob(f"*{SUFFIX}") if not one.name.startswith("."))
        stores = sorted(path.rglob(self.store.path.name)) if path.is_dir() else []
        if not files and not stores:
            raise HistoryError(f"There is no price history at {path}. Nothing was merged.")
        with sole(self.folder, PATIENCE) as alone:
            if not alone:
                raise HistoryError("Another kernel is tidying up. Try again in a minute.")
            before = self._snapshots()
            if files:
                self._take(files, today, simulated)
            for one in stores:
                other = Store(one, durable=False, first=lambda: 0)
                rows = other.rows()
                other.close()
                if rows is not None:
                    _same_kind(rows["simulated"].dropna().unique().tolist(), simulated, one)
                    self._take_rows(rows)
            return self._snapshots() - before

    def _take(self, files: Sequence[Path], today: date, simulated: bool) -> None:
        import duckdb

        source = Source(tuple(map(str, files)), None, {**COLUMNS, "filename": "VARCHAR"})
        try:
            found = self.engine.ask(
                source,
                "SELECT CAST(seen_at AS DATE) AS day, filename, bool_or(simulated) AS some,"
                " bool_and(simulated) AS every FROM {rows} WHERE seen_at IS NOT NULL GROUP BY 1, 2",
            )
        except duckdb.Error as error:
            raise HistoryError(
                f"The files at {files[0].parent} cannot be read: {error}. Nothing was merged."
            ) from error
        kinds = {*found["some"].tolist(), *found["every"].tolist()} - {None}
        _same_kind(list(kinds), simulated, files[0])
        by_day: dict[date, list[Path]] = {}
        for moment, name in zip(pd.DatetimeIndex(found["day"]), found["filename"], strict=True):
            by_day.setdefault(moment.date(), []).append(Path(name))
        if not by_day:
            raise HistoryError(
                f"{files[0]} was not written by client.history.export(). Nothing was merged."
            )
        for day, inside in sorted(by_day.items()):
            if day < today:
                self.fold(day, inside)
            else:
                rows = self.engine.ask(
                    Source(tuple(map(str, inside)), None, COLUMNS),
                    f"SELECT * FROM {{rows}} WHERE CAST(seen_at AS DATE) = '{day}'",
                )
                self._take_rows(frame_from(rows))

    def _take_rows(self, rows: pd.DataFrame) -> None:
        """Keep rows of snapshots that are neither in a file nor in the store."""
        days = rows["seen_at"].dt.floor("D")
        for midnight in days.drop_duplicates():
            part = rows[days == midnight]
            day = midnight.date()
            if self.files(day, day):
                source, _ = self.source(day, day)
                known = frame_from(
                    self.engine.ask(source, f"SELECT DISTINCT {', '.join(KEY)} FROM {{rows}}")
                )
                part = part.merge(known, on=list(KEY), how="left", indicator=True)
                part = part[part["_merge"] == "left_only"].drop(columns="_merge")
            self.store.add_rows(part)

    def _snapshots(self) -> int:
        source, _ = self.source()
        sql = f"SELECT count(*) AS n FROM (SELECT DISTINCT {', '.join(KEY)} FROM {{rows}})"
        return int(self.engine.run(source, sql)[0])

    # -- tidying up ----------------------------------------------------------------------------

    def tidy(
        self, today: date, keep: Keep, *, asked: bool = False, go_on: Callable[[], bool]
    ) -> bool:
        """Write finished days to their files, and drop the oldest if there is too much.

        Returns
        -------
        bool
            Whether nothing is left to do, or somebody else is at it.
        """
        with sole(self.folder, PATIENCE if asked else 0) as alone:
            if not alone:
                return True
            counts = self.store.wish(keep, asked=asked)
            self._sweep()
            for day in self.store.days():
                if day < today:
                    if not go_on():
                        return False
                    self.fold(day)
            finished = [file for file in self.files() if file.day < today]
            sizes = [(file, file.path.stat().st_size) for file in finished]
            for file in surplus(sizes, counts, asked=asked):
                log.info("The price history of %s is dropped: %s are kept.", file.day, counts)
                shutil.rmtree(file.path.parent, ignore_errors=True)
        return True

    def _sweep(self) -> None:
        """Remove files that a killed process did not finish, and what no longer counts."""
        waiting = set(self.store.days())
        for day, folder in folders(self.folder):
            newest = _newest(day, folder)
            for name in _names(folder):
                match = _NAME.fullmatch(name)
                if match and newest is not None and int(match[1]) < newest.number:
                    unlink(folder / name)
                elif name.startswith(".") and name.endswith(".part"):
                    with contextlib.suppress(OSError):
                        if time.time() - (folder / name).stat().st_mtime > ABANDONED:
                            (folder / name).unlink()
            if newest is not None and day in waiting:
                self.store.forget(day, newest.number)


def _same_kind(kinds: list[Any], simulated: bool, path: Path) -> None:
    if any(bool(kind) != simulated for kind in kinds):
        what = "a real" if simulated else "a simulated"
        raise HistoryError(
            f"{path} is the price history of {what} market, and this one is not: they never mix. "
            "Nothing was merged."
        )


def _uncounted(waiting: pd.DataFrame, files: Sequence[DayFile]) -> pd.DataFrame | None:
    """Return the rows of the store that are in no file."""
    days = waiting["seen_at"].dt.floor("D")
    for file in files:
        if pd.Timestamp(file.day, tz=UTC) >= days.min():
            inside = (days == pd.Timestamp(file.day, tz=UTC)) & (waiting[NUMBER] <= file.number)
            waiting, days = waiting[~inside], days[~inside]
            if waiting.empty:
                return None
    return waiting


def folders(
    folder: Path, since: date | None = None, until: date | None = None
) -> list[tuple[date, Path]]:
    """Return the days that have a directory, with it, oldest first."""
    found = []
    for name in sorted(_names(folder)):
        word, _, value = name.partition("=")
        with contextlib.suppress(ValueError):
            if word == "day" and len(value) == 10:
                day = date.fromisoformat(value)
                if (since is None or day >= since) and (until is None or day <= until):
                    found.append((day, folder / name))
    return found


def _newest(day: date, folder: Path) -> DayFile | None:
    """Return the file of a day that counts.

    A listing is no snapshot: while a file takes the place of another it may show neither, so one
    that shows none is made again.
    """
    for _ in range(2):
        numbers = [int(match[1]) for name in _names(folder) if (match := _NAME.fullmatch(name))]
        if numbers:
            number = max(numbers)
            return DayFile(day, number, folder / day_file(number))
    return None


def day_file(number: int) -> str:
    """Return the name of the file of a day that holds its searches up to a number."""
    return f"offers-{number:010d}{SUFFIX}"


def is_day_file(name: str) -> bool:
    """Return whether a file is one of a day, rather than of an earlier layout."""
    return _NAME.fullmatch(name) is not None


def parquet_in(folder: Path) -> list[str]:
    """Return the names of the Parquet files in a directory."""
    return [name for name in _names(folder) if name.endswith(SUFFIX) and name[0] != "."]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  (names alone, and quickly)
    except (FileNotFoundError, NotADirectoryError):
        return []


def unlink(path: Path) -> None:
    """Remove a file, unless the system does not let go of it."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:  # Windows: somebody reads it. It no longer counts.
        log.debug("%s cannot be removed yet: %s", path.name, type(error).__name__)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


@contextlib.contextmanager
def sole(folder: Path, patience: float = 0) -> Iterator[bool]:
    """Be the only one who writes files below `folder`; gives False if somebody else is at it.

    The lock is SQLite's: the system itself lets go of it when its holder ends, however that
    happens, so that there is no stale one to be recognised.
    """
    path = private_file(folder.with_name(f"{folder.name}.lock"))
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            yield False
        else:
            yield True
    finally:
        connection.close()


__all__ = [
    "COLUMNS", "KEY", "PATIENCE", "SUFFIX", "DayFile", "Days", "day_file", "folders", "is_day_file",
    "parquet_in", "sole", "unlink",
]  # fmt: skip
