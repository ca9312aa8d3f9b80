"""Where files are kept, and that nobody else reads them.

Directories are 0700 and files 0600 from their first moment: a file is made with that mode before
SQLite opens it, and SQLite gives the same mode to the files it puts beside it. An existing
directory is tightened only if it holds nothing but our own files, because a user may well point
us at one that is shared on purpose.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import time
from pathlib import Path

import platformdirs

from vastnb.errors import InvalidRequest

log = logging.getLogger("vastnb.api")

ANSWERS = "answers.sqlite"
PACE = "pace.sqlite"


def cache_dir() -> Path:
    """Return the directory of answers and pace: ``VASTNB_CACHE_DIR``, or the system's usual one."""
    chosen = os.environ.get("VASTNB_CACHE_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("vastnb")


def data_dir() -> Path:
    """Return where rentals are recorded: ``VASTNB_DATA_DIR``, or the system's usual place."""
    chosen = os.environ.get("VASTNB_DATA_DIR")
    return Path(chosen).expanduser() if chosen else platformdirs.user_data_path("vastnb")


def answers_file(cache: str | os.PathLike[str]) -> Path:
    """Return the file that a client's `cache` argument means.

    Parameters
    ----------
    cache : str or path
        ``"sqlite"`` for the usual place; otherwise a file, or a directory to keep it in.

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    if cache == "sqlite":
        return cache_dir() / ANSWERS
    if not isinstance(cache, str | os.PathLike) or not os.fspath(cache):
        raise InvalidRequest(
            f'cache={cache!r}: there are "sqlite", "memory", a path, "redis://..." and None. '
            "Nothing was sent."
        )
    path = Path(cache).expanduser()
    is_file = path.is_file() or (bool(path.suffix) and not path.is_dir())
    return path if is_file else path / ANSWERS


def private_file(path: Path) -> Path:
    """Make sure that `path` exists, in an existing directory, and is nobody else's to read.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    _private_dir(path.parent)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for one in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        _tighten(one, 0o600)
    return path


def write_ahead(connection: sqlite3.Connection, patience: float) -> None:
    """Switch a file to SQLite's write-ahead log, waiting at most `patience` seconds.

    SQLite's own time-out does not cover this switch: while several kernels open a new file at
    once, all but one are refused on the spot.
    """
    until = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _private_dir(path: Path) -> None:
    if not path.exists():
        # Parents get the system's usual mode; the directory itself is ours.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    if all(one.name.startswith((ANSWERS, PACE)) for one in path.iterdir()):
        _tighten(path, 0o700)


def _tighten(path: Path, mode: int) -> None:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(mode)
    except FileNotFoundError:
        return
    except OSError as error:
        log.debug("Mode of %s unchanged: %s", path.name, type(error).__name__)


__all__ = [
    "ANSWERS",
    "PACE",
    "answers_file",
    "cache_dir",
    "data_dir",
    "private_file",
    "write_ahead",
]
