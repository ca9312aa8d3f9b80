"""Putting the files of a day together, without a moment in which a row is missing or counted twice.

The new file names in its footer what it replaces, and is there from one moment to the next; from
then on readers leave the old ones out (`dataset.current`). Only then are they deleted. Whoever is
killed in between leaves files that no longer count, and the next one deletes them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vastnb.api.files import private_file
from vastnb.market.history.columns import schema, sorted_table
from vastnb.market.history.dataset import WHOLE, current, file_name, names_in, replaced, write

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("vastnb.history")

ROWS_A_FILE: Final = 1_000_000
"""Rows that are put into one file at most, so that it can be done in little memory."""
LOCK: Final = ".lock"
"""Ends the name of the lock, which lies beside the dataset: in it, others would trip over it."""


def compact(folder: Path, moment: datetime, *, durable: bool = True) -> bool:
    """Put the files of one day together. Only one process may do so at a time, see `sole`.

    Parameters
    ----------
    folder : Path
        Of the day.
    moment : datetime
        Now (UTC).
    durable : bool
        Whether it is to outlive a power failure.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    OSError
        If the new file cannot be written. The old ones are untouched then.
    """
    left_over = heal(folder)
    worked = False
    for paths in _portions(current(folder)):
        table = sorted_table([_read(path) for path in paths])
        gone = [path.name for path in paths]
        # What could not be deleted before (on Windows somebody may be reading it) stays replaced.
        name = WHOLE + file_name(moment)
        write(table, folder, name, [*gone, *left_over], level=3, durable=durable)
        if durable:
            _sync(folder)
        _delete(folder, gone)
        worked = True
    return worked


def heal(folder: Path) -> list[str]:
    """Delete the files of a day that no longer count; return those that cannot be deleted."""
    try:
        gone = replaced(folder, names_in(folder))
    except FileNotFoundError:
        return []
    return _delete(folder, sorted(gone))


def _portions(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Choose files that are put together, two at least, and not too many rows."""
    import pyarrow.parquet as pq

    portion: list[Path] = []
    rows = 0
    if len(paths) < 2:
        return
    for path in paths:
        with path.open("rb") as source:
            count = pq.read_metadata(source).num_rows
        if count > ROWS_A_FILE // 2:
            continue  # large enough
        if rows + count > ROWS_A_FILE and portion:
            if len(portion) > 1:
                yield portion
            portion, rows = [], 0
        portion.append(path)
        rows += count
    if len(portion) > 1:
        yield portion


def _read(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    with path.open("rb") as source:
        table = pq.ParquetFile(source).read()
    return table.select(schema().names).cast(schema())


def _delete(folder: Path, names: Sequence[str]) -> list[str]:
    kept = []
    for name in names:
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            log.debug("%s cannot be deleted yet: %s", name, type(error).__name__)
            kept.append(name)
    return kept


def _sync(folder: Path) -> None:
    """Make sure that the new name is on the disk before the old ones go."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def sole(folder: Path) -> Iterator[bool]:
    """Be the only one who tidies up below `folder`; gives False if somebody else is at it.

    The lock is SQLite's: the system itself lets go of it when its holder ends, however that
    happens, so that there is no stale one to be recognised.
    """
    path = private_file(folder.with_name(folder.name + LOCK))
    connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            yield False
        else:
            yield True
    finally:
        connection.close()


__all__ = ["LOCK", "ROWS_A_FILE", "compact", "heal", "sole"]
