"""Files on disk: one for each snapshot, one for each finished day.

A file is written under a hidden name, flushed to the disk and then renamed, so it is there as a
whole or not at all, and any number of kernels write at once without knowing of each other. A file
that was put together from others (`compaction`) names them in its footer; whoever reads leaves the
named ones out. So at every moment each row counts once: before the rename, after it, and after a
crash between the rename and the deletion.

::

    <folder>/day=2026-11-24/20261124T081750.123456Z-4711-9f86d081.parquet    a snapshot
    <folder>/day=2026-11-23/whole-20261124T000301.5Z-4711-60303ae2.parquet   a finished day
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIX: Final = ".parquet"
WHOLE: Final = "whole-"
"""Begins the name of a file that was put together from others."""
REPLACES: Final = b"vastnb.replaces"
"""Key in the footer of such a file: a JSON list of the names that it replaces."""
ROWS_A_GROUP: Final = 16_384
"""Rows that share statistics: small enough that a question about one GPU reads little else."""


class Listing(Protocol):
    """A way to list files."""

    def __call__(self, again: bool = False) -> list[str]:
        """Return the files; `again` if an earlier listing has proved to be out of date."""


class Dataset:
    """A directory of Parquet files, partitioned by day (UTC).

    Parameters
    ----------
    folder : Path
        Where; made with the first write.
    durable : bool
        Whether what was written is to outlive a power failure.
    """

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable

    def add(self, table: pa.Table, moment: datetime) -> Path | None:
        """Write a snapshot, and return its file; None if it has no row.

        Raises
        ------
        OSError
            If it cannot be written. Nothing of it is left then.
        """
        if not table.num_rows:
            return None
        moment = moment.astimezone(UTC)
        folder, name = self.day(moment.date()), file_name(moment)
        return write(table, folder, name, durable=self.durable)

    def day(self, day: date) -> Path:
        """Return the directory of a day."""
        return self.folder / f"day={day.isoformat()}"

    def days(self) -> list[tuple[date, Path]]:
        """Return the days that there are, oldest first, with their directories."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self.folder) as entries:
            for entry in entries:
                name, _, value = entry.name.partition("=")
                with contextlib.suppress(ValueError):
                    if name == "day":
                        found.append((date.fromisoformat(value), Path(entry.path)))
        return sorted(found)

    def files(self, since: date | None = None, until: date | None = None) -> list[Path]:
        """Return the files that count, of the days from `since` to `until` (both included)."""
        return [Path(path) for path in self.listing(since, until)()]

    def listing(self, since: date | None = None, until: date | None = None) -> Listing:
        """Return a way to list those files, as text: the first listing stands until asked anew."""
        kept: list[str] | None = None

        def listed(again: bool = False) -> list[str]:
            nonlocal kept
            if kept is None or again:
                kept = [
                    f"{folder}{os.sep}{name}"
                    for folder in self._folders(since, until)
                    for name in _current(folder)
                ]
            return kept

        return listed

    def _folders(self, since: date | None, until: date | None) -> list[str]:
        first = "" if since is None else f"day={since.isoformat()}"
        last = "day=~" if until is None else f"day={until.isoformat()}"
        try:
            names = os.listdir(self.folder)  # noqa: PTH208  (names alone, and quickly)
        except FileNotFoundError:
            return []
        inside = sorted(name for name in names if first <= name <= last and _is_day(name))
        return [f"{self.folder}{os.sep}{name}" for name in inside]


def _is_day(name: str) -> bool:
    return len(name) == 14 and name.startswith("day=") and name[4:].replace("-", "").isdigit()


def file_name(moment: datetime) -> str:
    """Return a name that nobody else gives: time, process, and chance."""
    stamp = moment.strftime("%Y%m%dT%H%M%S.%fZ")
    return f"{stamp}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"


def write(
    table: pa.Table,
    folder: Path,
    name: str,
    replaces: Iterable[str] = (),
    *,
    level: int = 1,
    durable: bool = True,
) -> Path:
    """Write a file so that it is there as a whole or not at all.

    Parameters
    ----------
    table : pyarrow.Table
        Its rows.
    folder : Path
        Made if it is not there, for nobody else to read.
    name : str
        Its name.
    replaces : iterable of str
        Names of files in `folder` that no longer count once this one is there.
    level : int
        Of compression.
    durable : bool
        Whether it is flushed to the disk before it gets its name.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import pyarrow.parquet as pq

    named = sorted(replaces)
    if named:
        footer = {**(table.schema.metadata or {}), REPLACES: json.dumps(named).encode()}
        table = table.replace_schema_metadata(footer)
    _private(folder)
    hidden = folder / f".{name}.part"
    try:
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            pq.write_table(
                table, out, compression="zstd", compression_level=level,
                row_group_size=ROWS_A_GROUP,
            )  # fmt: skip
            if durable:
                out.flush()
                os.fsync(out.fileno())
        path = folder / name
        hidden.replace(path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    return path


def current(folder: Path) -> list[Path]:
    """Return the files of one day that count, sorted by name."""
    return [folder / name for name in _current(str(folder))]


def _current(folder: str) -> list[str]:
    while True:
        names = names_in(folder)
        if len(names) < 2:
            return names
        try:
            gone = replaced(Path(folder), names)
        except FileNotFoundError:  # put together once more, meanwhile
            continue
        return [name for name in names if name not in gone]


def replaced(folder: Path, names: Iterable[str]) -> set[str]:
    """Return those of `names`, the files of a day, that others of them replace.

    Raises
    ------
    FileNotFoundError
        If one that replaces others is gone.
    """
    names = set(names)
    gone: set[str] = set()
    if len(names) > 1:
        for name in names:
            if name.startswith(WHOLE):
                gone |= _named_by(folder / name)
    return gone & names


@lru_cache(maxsize=4096)
def _named_by(path: Path) -> frozenset[str]:
    """Return what a file replaces; files never change, so it is read once."""
    import pyarrow.parquet as pq

    with path.open("rb") as source:
        footer = pq.read_metadata(source).metadata or {}
    return frozenset(json.loads(footer.get(REPLACES, b"[]")))


def names_in(folder: str | Path) -> list[str]:
    """Return the names of a day's files, those included that no longer count.

    The directory is listed until two listings agree: one is no snapshot, and while files are
    replaced it may miss both the old and the new.
    """
    before = None
    while (names := sorted(_names(folder))) != before:
        before = names
    return names


def _names(folder: str | Path) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):  # noqa: PTH208  (names alone, and quickly)
            if name.endswith(SUFFIX) and not name.startswith("."):
                yield name


def _private(folder: Path) -> None:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)


__all__ = ["REPLACES", "SUFFIX", "WHOLE", "Dataset", "Listing", "current", "file_name", "names_in",
           "replaced", "write"]  # fmt: skip
