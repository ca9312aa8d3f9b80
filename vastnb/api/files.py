"""Where files are kept, and that nobody else reads them.

Directories that are made here are 0700, files 0600, from their first moment: a file is made with
that mode before SQLite opens it, and SQLite gives the same mode to the files it puts beside it. The
mode of an existing directory is its owner's business.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from vastnb.api.text import bare_url
from vastnb.errors import InvalidRequest

log = logging.getLogger("vastnb.api")

ANSWERS = "answers.sqlite"
PACE = "pace.sqlite"


def cache_dir() -> Path:
    """Return the directory of answers and pace: ``VASTNB_CACHE_DIR``, or the system's usual one."""
    chosen = os.environ.get("VASTNB_CACHE_DIR")
    return at_home(chosen) if chosen else _usual(platformdirs.user_cache_path)


def data_dir() -> Path:
    """Return where rentals are recorded: ``VASTNB_DATA_DIR``, or the system's usual place."""
    chosen = os.environ.get("VASTNB_DATA_DIR")
    if not chosen:
        return _usual(platformdirs.user_data_path)
    # A relative one stays where it was at first, whichever directory the kernel changes to.
    return _chosen.setdefault(chosen, at_home(chosen).absolute())


_chosen: dict[str, Path] = {}


def at_home(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` filled in, or as it stands if nobody knows where home is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def _usual(place: Callable[[str], Path]) -> Path:
    """Return the system's usual place; one for this user alone if the user has no home.

    Many containers run under a number that has no name and no home directory.
    """
    with suppress(RuntimeError):
        path = place("vastnb")
        if path.is_absolute():
            return path
    return _homeless() / place.__name__.removeprefix("user_").removesuffix("_path")


def _homeless() -> Path:
    uid = os.getuid() if hasattr(os, "getuid") else 0
    try:
        there = tempfile.gettempdir()
    except FileNotFoundError:  # it tries to write, and the disk is full
        there = os.environ.get("TMPDIR") or "/tmp"
    return Path(there) / f"vastnb-{uid}"


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
    named = os.fspath(cache) if isinstance(cache, str | os.PathLike) else ""
    if not named or "://" in str(named):
        shown = repr(bare_url(str(named)) if named else cache)
        raise InvalidRequest(
            f'cache={shown}: use "sqlite", "memory", a path, "redis://..." or None. '
            "Nothing was sent."
        )
    path = at_home(cache)
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
    wal, index = (path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))
    # SQLite makes these three in this order and deletes them in the reverse one. So what is there
    # without its predecessor was left behind by somebody who deleted the file, or the log. Asked
    # in the reverse order, a kernel that opens or closes the file just now is not taken for that.
    if wal.exists() and not path.exists():
        wal.unlink(missing_ok=True)
    if index.exists() and not wal.exists():
        index.unlink(missing_ok=True)
    # Only a file that is new is opened here: closing any descriptor of a file takes away the locks
    # that SQLite holds on it in this process, and then two kernels write at once.
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for one in (path, wal, index):
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


Inodes = tuple[tuple[int, int] | None, ...]


def inodes(path: Path) -> Inodes:
    """Return device and inode of a SQLite file and of the two beside it; None for one not there.

    Whoever holds a file open that somebody has deleted works on alone: others have made a new one.
    """
    name = str(path)  # this is done for every read and write, and paths are slow to put together
    return _inode(name), _inode(f"{name}-wal"), _inode(f"{name}-shm")


def _inode(name: str) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - half of the time of a Path's
    except OSError:
        return None
    return found.st_dev, found.st_ino


_abandoned: list[sqlite3.Connection] = []


def abandon(connection: sqlite3.Connection) -> None:
    """Keep a connection untouched until the process ends.

    SQLite, closing one, writes to its file and deletes the file beside it *by name*: by now they
    may be a parent process's, or new ones that other kernels have made.
    """
    _abandoned.append(connection)


def leave(connection: sqlite3.Connection, before: Inodes, after: Inodes) -> None:
    """Let go of a connection of which a file has been deleted, or replaced.

    As long as the main file is the same, its locks tell SQLite whether others use it.
    """
    if before[:1] == after[:1]:
        connection.close()
    else:
        abandon(connection)


def damaged(error: BaseException | None) -> bool:
    """Say whether an error means that a SQLite file is damaged, or is none."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


@contextmanager
def sound(path: Path, opened: Callable[[], Inodes]) -> Iterator[None]:
    """Set a file of ours aside when it turns out to be damaged: whoever opens it makes a new one.

    Parameters
    ----------
    path : Path
        The file. One that the user has named otherwise is left as it is.
    opened : callable
        The inodes that are open, if any: what others have made anew is not set aside again.
    """
    found = () if opened() else inodes(path)[:1]
    try:
        yield
    except sqlite3.DatabaseError as error:
        mine = opened()[:1] or found
        ours = damaged(error) and path.name in (ANSWERS, PACE)
        if ours and mine == inodes(path)[:1]:
            try:
                path.replace(path.with_name(f"{path.name}.damaged"))  # the latest one only
            except OSError as refused:
                log.warning("%s is damaged (%s) and cannot be set aside: %s", path, error, refused)
            else:
                log.warning(
                    "%s is damaged (%s) and was set aside; nothing in it is needed", path, error
                )
        raise


def _private_dir(path: Path) -> None:
    if path.is_relative_to(_homeless()):
        # In a directory that everybody may write to, anybody may have made it.
        _homeless().mkdir(mode=0o700, exist_ok=True)
        if hasattr(os, "getuid") and _homeless().lstat().st_uid != os.getuid():
            raise PermissionError(f"{_homeless()} belongs to another user")
    if not path.exists():
        # Parents get the system's usual mode; the directory itself is ours.
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)


def _tighten(path: Path, mode: int) -> None:
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(mode)
    except FileNotFoundError:
        return
    except OSError as error:
        log.debug("Mode of %s unchanged: %s", path.name, type(error).__name__)
