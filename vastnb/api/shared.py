"""Small pieces of state that all of a user's kernels share: lanes, and rows used today.

Everything is a text under a key, changed by `State.update`: read, apply a function, write, all in
one short transaction. `FileState` keeps it in SQLite; `KeptState` puts memory behind it, which
takes over for a while when the file is locked, broken or gone. It has seen every state that this
process has seen, so pacing goes on where it was.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from vastnb.api.files import private_file, write_ahead

log = logging.getLogger("vastnb.api")

T = TypeVar("T")
Change = Callable[[str | None], tuple[str | None, T]]

PATIENCE = 2.0
"""Seconds to wait for a locked file."""

REST = 30.0
"""Real seconds for which memory stands in before the file is tried again."""

KEEP = 3 * 86400.0
"""Seconds after which an untouched text is dropped."""


class State(Protocol):
    """Texts by key, each changed by one caller at a time."""

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""

    def close(self) -> None:
        """Let go of the file or connection."""


class MemoryState:
    """For one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._texts: dict[str, str | None] = {}

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        with self._lock:
            self._texts[key], result = change(self._texts.get(key))
            return result

    def close(self) -> None:
        """Nothing to let go of."""


class FileState:
    """For all processes that open the same file.

    Parameters
    ----------
    path : Path
        The SQLite file.
    now : callable
        Seconds since the epoch, for the age of texts.

    Raises
    ------
    OSError, sqlite3.Error
        If the file cannot be used.
    """

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self.update("probe", lambda text: (None, text))
        with self._lock:
            self._open().execute("DELETE FROM state WHERE touched < ?", (now() - KEEP,))

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        if not self._lock.acquire(timeout=2 * PATIENCE):
            raise sqlite3.OperationalError("another thread holds the file")
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                row = connection.execute("SELECT text FROM state WHERE key=?", (key,)).fetchone()
                old = row[0] if row else None
                new, result = change(old)
                if new is not None and new != old:
                    connection.execute(
                        "INSERT OR REPLACE INTO state (key, text, touched) VALUES (?, ?, ?)",
                        (key, new, self._now()),
                    )
                connection.execute("COMMIT")
            except BaseException:
                # Ctrl-C included: a transaction left open would stop every other kernel.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            return result
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and not self._path.exists():
            # Somebody emptied the cache: the other kernels are about to make a new file.
            self._connection.close()
            self._connection = None
        if self._connection is None:
            private_file(self._path)
            connection = sqlite3.connect(
                self._path, isolation_level=None, timeout=PATIENCE, check_same_thread=False
            )
            try:
                write_ahead(connection, PATIENCE)
                # A lost second of pacing after a power cut harms nobody.
                connection.execute("PRAGMA synchronous=OFF")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS state"
                    " (key TEXT PRIMARY KEY, text TEXT, touched REAL)"
                )
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


class KeptState:
    """A shared state with memory behind it.

    Parameters
    ----------
    opener : callable
        Opens the shared state; called again after a failure, at most every `REST` seconds.
    errors : tuple of exception classes
        What the shared state raises when it fails.
    name : str
        What to call it in the warning.
    """

    def __init__(
        self,
        opener: Callable[[], State],
        *,
        errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError),
        name: str = "pace file",
    ) -> None:
        self._opener = opener
        self._errors = errors
        self._name = name
        self._memory = MemoryState()
        self._shared: State | None = None
        self._retry_at = 0.0
        self._warned = False

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        if time.monotonic() >= self._retry_at:
            try:
                if self._shared is None:
                    self._shared = self._opener()
                seen: list[str | None] = []
                result = self._shared.update(key, _watched(change, seen))
            except self._errors as error:
                self._trouble(error)
            else:
                self._memory.update(key, lambda _: (seen[-1], None))
                return result
        return self._memory.update(key, change)

    def close(self) -> None:
        """Let go of the shared state."""
        if self._shared is not None:
            try:
                self._shared.close()
            except self._errors as error:
                log.debug("Closing the %s: %s", self._name, type(error).__name__)
            self._shared = None

    def _trouble(self, error: Exception) -> None:
        log.debug("The %s failed: %s", self._name, error)
        self._retry_at = time.monotonic() + REST
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"The {self._name} cannot be used ({type(error).__name__}: {str(error)[:120]}); "
                "this kernel paces itself, without knowing of your other kernels. Set "
                "VASTNB_CACHE_DIR to a directory that can be written.",
                stacklevel=2,
            )


def _watched(change: Change[T], seen: list[str | None]) -> Change[T]:
    def both(text: str | None) -> tuple[str | None, T]:
        new, result = change(text)
        seen.append(new)
        return new, result

    return both


def file_state(path: os.PathLike[str], now: Callable[[], float]) -> KeptState:
    """Return the shared state in the file `path`, with memory behind it."""
    return KeptState(lambda: FileState(Path(path), now))


__all__ = ["Change", "FileState", "KeptState", "MemoryState", "State", "file_state"]
