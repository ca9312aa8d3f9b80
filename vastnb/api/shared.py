"""Small pieces of state that all of a user's kernels share: lanes, and rows used today.

Everything is a text under a key, changed by `SharedState.update`: read, apply a function, write,
all in one short transaction. `FileState` keeps it in SQLite; `KeptState` puts memory behind it,
which takes over for a while when the file is locked, broken or gone. It has seen every state that
this process has seen, so pacing goes on where it was; and what it learned is handed back to the
file.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from vastnb.api.files import (
    Inodes,
    damaged,
    inodes,
    leave,
    private_file,
    sound,
    write_ahead,
)
from vastnb.errors import bare

log = logging.getLogger("vastnb.api")

T = TypeVar("T")
Change = Callable[[str | None], tuple[str | None, T]]
Merge = Callable[[str, str | None, str | None, str | None], str | None]
"""From a key, the shared text, and the text in memory before and after it stood in: one text."""

PATIENCE = 2.0
"""Seconds to wait for a locked file, or for a server."""

REST = 30.0
"""Real seconds for which memory stands in before the file is tried again."""

KEEP = 3 * 86400.0
"""Seconds after which an untouched text is dropped."""


class Rest:
    """How long a file or server that failed is left alone, while memory stands in for it."""

    def __init__(self) -> None:
        self._until = 0.0
        self.error: Exception | None = None

    def begin(self, error: Exception) -> None:
        """Leave it alone for `REST` real seconds, because of `error`."""
        self.error = bare(error)
        self._until = time.monotonic() + REST

    def over(self) -> bool:
        """Say whether it may be tried."""
        return time.monotonic() >= self._until


class SharedState(Protocol):
    """Texts by key, each changed by one caller at a time."""

    def time(self) -> float:
        """Return seconds since the epoch by the clock that all who share the state go by."""

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""

    def close(self) -> None:
        """Let go of the file or connection."""


class MemoryState:
    """For one process.

    Parameters
    ----------
    now : callable
        Seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.time = now
        self._lock = threading.Lock()
        self._texts: dict[str, str | None] = {}

    def peek(self, key: str) -> str | None:
        """Return the text under `key`."""
        return self._texts.get(key)

    def texts(self) -> dict[str, str | None]:
        """Return all texts by key."""
        with self._lock:
            return dict(self._texts)

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
        self.time = now
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inodes: Inodes = ()
        self.update("probe", lambda text: (None, text))
        with self._held() as connection:
            connection.execute("DELETE FROM state WHERE touched < ?", (now() - KEEP,))

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        with self._held() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                row = connection.execute("SELECT text FROM state WHERE key=?", (key,)).fetchone()
                old = row[0] if row and isinstance(row[0], str) else None
                new, result = change(old)
                if new is not None and new != old:
                    connection.execute(
                        "INSERT OR REPLACE INTO state (key, text, touched) VALUES (?, ?, ?)",
                        (key, new, self.time()),
                    )
                connection.execute("COMMIT")
            finally:
                # A Ctrl-C while the file is waited for arrives when the transaction has begun; left
                # open, it would stop every other kernel.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return result

    @contextmanager
    def _held(self) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time."""
        if not self._lock.acquire(timeout=2 * PATIENCE):
            raise sqlite3.OperationalError("another thread holds the file")
        try:
            with sound(self._path, lambda: self._inodes if self._connection else ()):
                yield self._open()
        finally:
            self._lock.release()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and (found := inodes(self._path)) != self._inodes:
            # Somebody emptied the cache: the other kernels have made a new file, or will.
            left, self._connection = self._connection, None
            leave(left, self._inodes, found)
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
            self._connection, self._inodes = connection, inodes(self._path)
        return self._connection


class KeptState:
    """A shared state with memory behind it.

    Parameters
    ----------
    opener : callable
        Opens the shared state; called again after a failure, at most every `REST` seconds.
    errors : tuple of exception classes
        What the shared state raises when it fails.
    now : callable
        Seconds since the epoch by this machine's clock.
    merge : callable
        Puts together what the shared state and memory know of a key.
    name, advice : str
        What to call it in the warning, and what to do about it.
    rest : Rest, optional
        Shared with others that use the same server.
    """

    def __init__(
        self,
        opener: Callable[[], SharedState],
        now: Callable[[], float],
        merge: Merge,
        *,
        errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError),
        name: str = "pace file",
        advice: str = "Set VASTNB_CACHE_DIR to a writable directory.",
        rest: Rest | None = None,
    ) -> None:
        self._opener = opener
        self._errors = errors
        self._name = name
        self._advice = advice
        self._now = now
        self._merge = merge
        self._memory = MemoryState(self.time)
        self._shared: SharedState | None = None
        self._rest = rest or Rest()
        self._warned = False
        self._closed = False
        self._lock = threading.Lock()
        self._alone: dict[str, str | None] = {}

    def time(self) -> float:
        """Return seconds since the epoch by the clock that all who share the state go by."""
        shared = self._shared  # which another thread may close
        return self._now() if shared is None else shared.time()

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        if self._rest.over():
            try:
                return self._shared_update(key, change)
            except self._errors as error:
                if not damaged(error):
                    self._trouble(error)
            if self._rest.over():
                # The damaged file has been set aside, by us or by another kernel. All go on with
                # a new one, which is told what was known here.
                with self._lock:
                    self._alone = {**self._memory.texts(), **self._alone}
                try:
                    return self._shared_update(key, change)
                except self._errors as error:
                    self._trouble(error)
        if not self._warned and self._rest.error is not None:
            self._warn(self._rest.error)
        with self._lock:
            self._alone.setdefault(key, self._memory.peek(key))
        return self._memory.update(key, change)

    def _shared_update(self, key: str, change: Change[T]) -> T:
        shared = self._shared
        if shared is None:
            shared = self._shared = self._opener()
        if self._alone:
            self._hand_back(shared)
        seen: list[str | None] = []
        result = shared.update(key, _watched(change, seen))
        self._memory.update(key, lambda _: (seen[-1], None))
        if self._closed:  # by another thread, before this one told what it has learned
            with suppress(*self._errors):
                shared.close()
        return result

    def close(self) -> None:
        """Let go of the shared state; it is opened once more for what a call learns later."""
        self._closed = True
        shared, self._shared = self._shared, None
        if shared is not None:
            try:
                shared.close()
            except self._errors as error:
                log.debug("Closing the %s: %s", self._name, type(error).__name__)

    def _hand_back(self, shared: SharedState) -> None:
        """Tell the shared state what memory has learned while it stood in."""
        with self._lock:
            for key, before in list(self._alone.items()):
                ours = self._memory.peek(key)

                def both(
                    text: str | None, key: str = key, before: str | None = before
                ) -> tuple[str | None, None]:
                    return self._merge(key, text, before, ours), None  # noqa: B023 - called at once

                shared.update(key, both)
                del self._alone[key]

    def _trouble(self, error: Exception) -> None:
        log.debug("The %s failed: %s", self._name, error)
        self._rest.begin(error)

    def _warn(self, error: Exception) -> None:
        self._warned = True
        warnings.warn(
            f"The {self._name} cannot be used ({type(error).__name__}: {str(error)[:120]}); this "
            "kernel paces its own requests and does not know of your other kernels. "
            f"{self._advice}",
            stacklevel=3,
        )


def _watched(change: Change[T], seen: list[str | None]) -> Change[T]:
    def both(text: str | None) -> tuple[str | None, T]:
        new, result = change(text)
        seen.append(new)
        return new, result

    return both


def file_state(path: os.PathLike[str], now: Callable[[], float], merge: Merge) -> KeptState:
    """Return the shared state in the file `path`, with memory behind it."""
    return KeptState(lambda: FileState(Path(path), now), now, merge)
