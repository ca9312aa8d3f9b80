"""The store of answers: requests-cache's backends, without its policy and without its traps.

requests-cache keeps responses well; when to send, and when an old answer will do, it decides in
ways that do not fit here, so `transport` decides and this room only keeps. Every entry is written
and read by `_Format`, JSON and compressed bytes: nothing that is read from a file can run as code,
no request header is ever written, and of the response's headers only those that are needed.

A store never fails its caller. A file that is locked, broken, read-only or on a full disk costs at
most `PATIENCE` seconds and one warning: memory stands in for it, and it is left alone for a while.
Everything is bounded, by entries and by bytes.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from requests.structures import CaseInsensitiveDict
from requests_cache.backends.base import BaseCache, DictStorage
from requests_cache.backends.sqlite import SQLiteCache, SQLiteDict
from requests_cache.models.response import CachedResponse

from vastnb.api.answers import SIMULATED
from vastnb.api.files import (
    Inodes,
    abandon,
    answers_file,
    damaged,
    inodes,
    leave,
    private_file,
    sound,
    write_ahead,
)
from vastnb.api.shared import PATIENCE, Rest
from vastnb.api.wire import LARGEST_ANSWER

log = logging.getLogger("vastnb.api")

KEEP = 7 * 86400.0
"""Seconds for which an answer is kept, as something to fall back on."""

MOST_ENTRIES = 600
"""Answers, and what was made of them."""

MOST_KEPT = 256 * 2**20
"""Bytes of packed answers in a file or a Redis."""

MOST_IN_MEMORY = 48 * 2**20
MOST_UNPACKED = 16 * 2**20
"""Bytes of bodies that are kept in memory instead of a file, and beside it."""

PRUNE_EVERY = 50
"""Entries written until what is too old, or too much, is dropped."""

LONGEST_HEAD = 512
"""Bytes in which the head of an entry ends."""

KEPT_HEADERS = (SIMULATED,)
"""Everything else that a header says is a stranger's text."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A kept answer.

    Parameters
    ----------
    body : bytes
        As received.
    headers : mapping
        Lower-case names, only `KEPT_HEADERS`.
    created_at : float
        Seconds since the epoch, by the client's clock.
    """

    body: bytes = field(repr=False)
    headers: Mapping[str, str]
    created_at: float


class Store:
    """Answers by key.

    Parameters
    ----------
    backend : BaseCache
        A backend of requests-cache; its ``responses`` hold the entries.
    errors : tuple of exception classes
        What the backend raises when its file or server fails.
    rest : Rest, optional
        Shared with others that use the same server.
    """

    def __init__(
        self,
        backend: BaseCache,
        errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError),
        rest: Rest | None = None,
    ) -> None:
        self.backend = backend
        self._errors = errors
        # A file that somebody else is writing can still be read.
        self._reading, self._writing = rest or Rest(), rest or Rest()
        self._memory = _Memory()
        self._warned = False
        self._closed = False
        self._since_prune = PRUNE_EVERY  # an opened file is tidied by the first write to it

    def get(self, key: str) -> Entry | None:
        """Return the entry, however old, or None."""
        found = [self._memory.get(key)]
        if self._reading.over():
            try:
                found.append(self.backend.responses[key])  # None for one that cannot be read
            except KeyError:
                pass
            except self._errors as error:
                self._trouble("read", error, self._reading)
        entries = [_entry(one) for one in found if one is not None]
        return max(entries, key=lambda entry: entry.created_at, default=None)

    @property
    def shared(self) -> bool:
        """Whether other kernels see what is kept."""
        return hasattr(self.backend.responses, "with_start")

    def made(self, key: str, beside: str) -> Entry | None:
        """Return what was made of the shared entry under `key`, and is kept under `beside`.

        None if it is not as old as that entry, or if that is unsure.
        """
        if not self.shared or self._memory.get(key) is not None or not self._reading.over():
            return None
        try:
            responses: Any = self.backend.responses
            response, start = responses.with_start(beside, key, LONGEST_HEAD)
        except KeyError:
            return None
        except self._errors as error:
            self._trouble("read", error, self._reading)
            return None
        entry = _entry(response) if response is not None else None
        return entry if entry and FORMAT.dated(start) == entry.created_at else None

    def put(self, key: str, entry: Entry) -> None:
        """Keep `entry`, replacing what was there."""
        response = _response(entry)
        if self._writing.over():
            try:
                self.backend.responses[key] = response
                self._memory.pop(key, None)
                self._since_prune += 1
                if self._since_prune >= PRUNE_EVERY:
                    self.prune(entry.created_at)
            except self._errors as error:
                self._trouble("written", error, self._writing)
            else:
                return
        self._memory[key] = response

    def prune(self, now: float) -> None:
        """Drop what is older than `KEEP`, and the oldest beyond what may be kept."""
        self._since_prune = 0
        prune = getattr(self.backend.responses, "prune", None)
        try:
            if prune:
                prune(now)
        except self._errors as error:
            self._trouble("pruned", error, self._writing)

    def close(self) -> None:
        """Close the file or connection; what a call still keeps stays in memory."""
        self._closed = True
        try:
            self.backend.close()  # type: ignore[no-untyped-call]
        except self._errors as error:
            log.debug("Closing the answer cache: %s", type(error).__name__)

    def _trouble(self, doing: str, error: Exception, rest: Rest) -> None:
        log.debug("The answer cache could not be %s: %s", doing, error)
        rest.begin(error)
        if not self._warned and not self._closed:
            self._warned = True
            warnings.warn(
                f"The answer cache could not be {doing} ({_why(error)}). For now this kernel "
                "keeps answers in memory, and your other kernels do not see them.",
                stacklevel=2,
            )


def open_store(cache: str | os.PathLike[str] | None, now: float) -> Store | None:
    """Open the store that a client's `cache` argument means.

    Parameters
    ----------
    cache : str, path or None
        ``"sqlite"``, ``"memory"``, a path, or None for no store. (``redis://`` is opened by
        `vastnb.api.shared_redis`.)
    now : float
        Seconds since the epoch.

    Returns
    -------
    Store or None
        A store in memory, with one warning, where the file cannot be used.
    """
    if cache is None:
        return None
    if cache == "memory":
        return _in_memory()
    path = answers_file(cache)
    try:
        try:
            store = _opened(path, now)
        except sqlite3.DatabaseError as error:
            if not damaged(error) or path.exists():
                raise
            store = _opened(path, now)  # the damaged one has been set aside
    except (sqlite3.Error, OSError) as error:
        warnings.warn(
            f"The cache file {path} cannot be used ({_why(error)}); answers are kept in memory "
            "until this kernel ends. Set VASTNB_CACHE_DIR to a writable directory, or delete the "
            "file if it is damaged.",
            stacklevel=4,
        )
        return _in_memory()
    return store


def _opened(path: Path, now: float) -> Store:
    store = Store(_File(private_file(path)))
    _probe(store.backend, now)
    return store


def _in_memory() -> Store:
    backend = BaseCache()
    backend.responses = _Memory()
    return Store(backend)


class _Memory(DictStorage):
    """Answers in memory, the oldest of which make room for new ones."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._lock = threading.Lock()

    def __setitem__(self, key: str, response: CachedResponse) -> None:
        with self._lock:
            self.data.pop(key, None)
            self.data[key] = response
            # A list, since others may take one out meanwhile.
            sizes = {one: len(kept.content or b"") for one, kept in list(self.data.items())}
            total = sum(sizes.values())
            for oldest, size in sizes.items():
                if total <= MOST_IN_MEMORY and len(self.data) <= MOST_ENTRIES:
                    break
                self.data.pop(oldest, None)
                total -= size


def _probe(backend: BaseCache, now: float) -> None:
    """Write, read and remove a row: some network file systems open a file and then hang or fail."""
    key = f"probe-{os.getpid()}-{threading.get_ident()}"
    # Dated now: what looks old may be pruned by another kernel before it is read back.
    answers: Any = backend.responses
    with answers.connection(commit=True):
        answers[key] = _response(Entry(b"{}", {}, now))
        if answers.get(key) is None:
            raise sqlite3.DatabaseError("what was written could not be read")
        answers.pop(key, None)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:120]}"


# -- entries and requests-cache's responses ----------------------------------------------------


def _response(entry: Entry) -> CachedResponse:
    response = CachedResponse(
        content=entry.body,
        status_code=200,
        headers=CaseInsensitiveDict({k: v for k, v in entry.headers.items() if k in KEPT_HEADERS}),
        created_at=_utc(entry.created_at),
        expires=_utc(entry.created_at + KEEP),
        url="",
    )
    response.encoding = "utf-8"
    return response


def _entry(response: CachedResponse) -> Entry:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Entry(response.content or b"", headers, response.created_at.timestamp())


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


class _Format:
    """Entries as bytes: a length, a JSON head, and the compressed body.

    It is all that is ever read back, and reading it can make nothing but text, numbers and bytes.
    requests-cache's own format is pickle, which runs what a stranger wrote into the file.
    """

    MARK = b"vastnb1\n"

    def dumps(self, response: CachedResponse) -> bytes:
        entry = _entry(response)
        head = json.dumps({"created_at": entry.created_at, "headers": dict(entry.headers)}).encode()
        # JSON becomes a sixth. Arrays become a third, and unpacking them would take as long as
        # all else that makes a frame of them.
        level = 3 if entry.body.startswith((b"{", b"[")) else 0
        return self.MARK + len(head).to_bytes(4, "big") + head + zlib.compress(entry.body, level)

    def dated(self, start: Any) -> float | None:
        """Return when the entry was made that begins like this; None if it does not say."""
        try:
            return float(self._head(start)[0]["created_at"]) if start else None
        except Exception as error:  # noqa: BLE001 - as below
            log.debug("A cached answer has no header: %s", type(error).__name__)
            return None

    def _head(self, data: bytes) -> tuple[Any, int]:
        """Return the head, and where the body begins."""
        if not data.startswith(self.MARK):
            raise ValueError("not ours")
        start = len(self.MARK) + 4
        end = start + int.from_bytes(data[start - 4 : start], "big")
        return json.loads(data[start:end]), end

    def loads(self, data: Any) -> CachedResponse | None:
        """Return the response, or None for a row that is not ours or is damaged."""
        if not isinstance(data, bytes):
            return None
        try:
            head, end = self._head(data)
            unpack = zlib.decompressobj()
            body = unpack.decompress(data[end:], LARGEST_ANSWER)
            if not unpack.eof:
                return None
            headers = {str(k): str(v) for k, v in dict(head["headers"]).items()}
            return _response(Entry(body, headers, float(head["created_at"])))
        except Exception as error:  # noqa: BLE001 - a stranger's row may break anything, and is a miss
            log.debug("A cached answer cannot be read: %s", type(error).__name__)
            return None


FORMAT = _Format()


# -- the file ----------------------------------------------------------------------------------


class _Unpacked(NamedTuple):
    """A row that was read, and what was written in the file by then: by others, and by us."""

    state: tuple[int, int]
    head: tuple[Any, Any]
    response: CachedResponse | None


class _File(SQLiteCache):
    """requests-cache's SQLite backend on a table whose waits are bounded."""

    def __init__(self, path: Path) -> None:
        BaseCache.__init__(self, cache_name=str(path))
        self.responses = _Table(path)

    def _prune_redirects(self) -> None:
        """There are no redirects: none is ever followed."""


class _Table(SQLiteDict):
    """`SQLiteDict` with bounded waits, and a connection that is never shared with a child process.

    The original waits for another writer in an endless loop, and hides a failed commit.
    """

    def __init__(self, path: Path) -> None:
        self._pid = os.getpid()
        self._path = path
        self._unpacked: OrderedDict[str, _Unpacked] = OrderedDict()
        self._starts: dict[str, tuple[tuple[int, int], Any]] = {}
        self._closed = False
        self._writes = 0
        self._inodes: Inodes = ()
        super().__init__(
            path,
            table_name="answers",
            serializer=FORMAT,  # type: ignore[arg-type]  # has the two methods that are called
            wal=True,
            busy_timeout=int(PATIENCE * 1000),
        )

    @contextmanager
    def connection(self, commit: bool = False) -> Iterator[sqlite3.Connection]:
        """Give the connection to one thread at a time, in a transaction if `commit`."""
        if not self._lock.acquire(timeout=2 * PATIENCE):
            raise sqlite3.OperationalError("another thread holds the file")
        try:
            with sound(self._path, lambda: self._inodes if self._connection else ()):
                connection = self._open()
                if not commit or self._active_transaction:
                    yield connection
                    return
                self._writes += 1
                try:
                    # Waits for `busy_timeout`, then raises. A Ctrl-C in the wait arrives after it.
                    connection.execute("BEGIN IMMEDIATE")
                    self._active_transaction = True
                    yield connection
                    connection.execute("COMMIT")
                finally:
                    self._active_transaction = False
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
        finally:
            self._lock.release()

    def _open(self) -> sqlite3.Connection:
        if self._closed:
            raise sqlite3.ProgrammingError("the cache is closed")
        path = self._path
        if self._connection is not None and (found := inodes(path)) != self._inodes:
            # Somebody emptied the cache, and other kernels have made a new file.
            left, self._connection = self._connection, None
            self._unpacked.clear()
            self._starts.clear()
            leave(left, self._inodes, found)
        if self._connection is None:
            private_file(path)
            # No statement of the library's own set-up is bounded, so it is repeated here.
            connection = sqlite3.connect(
                self.db_path, isolation_level=None, timeout=PATIENCE, check_same_thread=False
            )
            try:
                write_ahead(connection, PATIENCE)
                connection.execute("PRAGMA synchronous=NORMAL")
                for statement in _TABLE:
                    connection.execute(statement)
            except BaseException:
                connection.close()
                raise
            self._connection, self._inodes = connection, inodes(path)
        return self._connection

    def init_db(self) -> None:
        """Open the file, which makes the table."""
        with self.connection():
            pass

    def __getitem__(self, key: str) -> Any:
        with self.connection() as connection:
            return self._read(connection, key, self._state(connection))

    def with_start(self, key: str, other: str, length: int) -> tuple[Any, Any]:
        """Return a row, as ``[key]`` does, and the first bytes of another one, None if missing."""
        with self.connection() as connection:
            state = self._state(connection)
            response = self._read(connection, key, state)
            known = self._starts.get(other)
            if known is None or known[0] != state:
                sql = "SELECT SUBSTR(value, 1, ?) FROM answers WHERE key=?"
                row = connection.execute(sql, (length, other)).fetchone()
                if len(self._starts) > MOST_ENTRIES:
                    self._starts.clear()
                known = self._starts[other] = state, row[0] if row else None
        return response, known[1]

    def _state(self, connection: sqlite3.Connection) -> tuple[int, int]:
        """Most reads repeat an earlier one. SQLite counts what others have written."""
        (others,) = connection.execute("PRAGMA data_version").fetchone()
        return others, self._writes

    def _read(self, connection: sqlite3.Connection, key: str, state: tuple[int, int]) -> Any:
        known = self._unpacked.get(key)
        if known is not None and known.state == state:
            return known.response
        # Reading and unpacking cost ten times as much as the head, which says when it was made.
        sql = "SELECT SUBSTR(value, 1, ?), LENGTH(value) FROM answers WHERE key=?"
        head = connection.execute(sql, (LONGEST_HEAD, key)).fetchone()
        if head is not None and known is not None and known.head == head:
            response = known.response
        else:
            row = connection.execute("SELECT value FROM answers WHERE key=?", (key,)).fetchone()
            if not row:
                raise KeyError(key)
            response = self.deserialize(key, row[0])
        self._unpacked[key] = _Unpacked(state, head, response)
        self._unpacked.move_to_end(key)
        while len(self._unpacked) > 1 and self._unpacked_bytes() > MOST_UNPACKED:
            self._unpacked.popitem(last=False)
        return response

    def _unpacked_bytes(self) -> int:
        return sum(
            len(one.response.content or b"") for one in self._unpacked.values() if one.response
        )

    def prune(self, now: float) -> None:
        """Drop what has expired by `now`, and the oldest beyond `MOST_ENTRIES`."""
        with self.connection(commit=True) as connection:
            connection.execute("DELETE FROM answers WHERE expires < ?", (now,))
            connection.execute(
                "DELETE FROM answers WHERE key IN (SELECT key FROM (SELECT key,"
                " ROW_NUMBER() OVER newest AS place, SUM(LENGTH(value)) OVER newest AS bytes"
                " FROM answers WINDOW newest AS (ORDER BY expires DESC, key))"
                " WHERE place > ? OR bytes > ?)",
                (MOST_ENTRIES, MOST_KEPT),
            )

    def close(self) -> None:
        """Close the connection, unless it belongs to the parent process.

        It waits for a thread that is using it: SQLite, closed under a statement that runs, takes
        the whole process down.
        """
        if self._pid != os.getpid():  # and the lock may be held by a thread of the parent
            left, self._connection = self._connection, None
            if left is not None:
                abandon(left)
            return
        with self._lock:
            self._closed = True
            self._unpacked.clear()
            self._starts.clear()
            if self._connection is not None:
                self._connection.close()
                self._connection = None


_TABLE = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, value BLOB, expires INTEGER)",
    "CREATE INDEX IF NOT EXISTS expires_idx ON answers(expires)",
)
