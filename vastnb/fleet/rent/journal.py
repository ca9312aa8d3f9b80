"""What was sent to the service for money, kept on disk before it is sent.

One row per attempt, in SQLite in the user's *data* directory: a cache may be emptied, this may
not. Every write is on the disk (``synchronous=FULL``) before anything is sent, and if it cannot be
written, nothing is sent. Rows hold no secrets: the account is a fingerprint, and neither
environment nor start script is kept.

With an attempt stands the deadline of its machine, if it has one, so that the kernel which takes
the machine up also takes up its end.

A row belongs to the process that wrote it. Another process takes it over with `Journal.claim`,
which succeeds once, so that two kernels that start together do not both settle it.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, fields, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from vastnb.api.files import damaged, data_dir, private_file
from vastnb.clock import Clock
from vastnb.errors import JournalError
from vastnb.fleet.rent.deadline import LATEST
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.obligations import Holder, due_at, is_neglected, known_contracts
from vastnb.fleet.rent.plan import OVER, AttemptState
from vastnb.fleet.rent.process import Process, this_process
from vastnb.values import number

T = TypeVar("T")

FILE: Final = "rentals.sqlite"
PATIENCE: Final = 10.0
"""Seconds to wait for another kernel that is writing."""


_COLUMNS: Final = tuple(one.name for one in fields(Entry))
_INSERT: Final = (
    f"INSERT INTO attempts ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' for _ in _COLUMNS)})"
)
_TYPES: Final = {
    "marker": "TEXT PRIMARY KEY",
    "price": "REAL",
    "bid": "REAL",
    "disk": "REAL",
    "deadline": "REAL",
    "on_machine": "INTEGER NOT NULL DEFAULT 0",
    "image": "TEXT NOT NULL DEFAULT ''",
    "budget": "REAL",
    "priced_at": "REAL",
    "not_its": "TEXT NOT NULL DEFAULT ''",
}


class Journal:
    """The record of all attempts, shared by the user's kernels.

    Parameters
    ----------
    path : Path, optional
        The SQLite file; by default in `data_dir`.
    me : Process, optional
        The process that writes; by default this one.
    is_dead : callable
        Whether a process is dead, given for how many seconds it has been silent.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        me: Process | None = None,
        is_dead: Callable[[Process, float], bool] = Process.is_dead,
    ) -> None:
        self._path = path
        self._me = me
        self._is_dead = is_dead

    @property
    def me(self) -> Process:
        """The process that writes."""
        return self._me or this_process()

    @property
    def path(self) -> Path:
        """The file."""
        return self._path or data_dir() / FILE

    def begin(self, entry: Entry) -> None:
        """Write a new attempt down. When this returns, it is on the disk.

        Raises
        ------
        JournalError
            If it cannot be written; then nothing may be sent.
        """
        self._write("Nothing was sent or rented.", _INSERT, [astuple(entry)])

    def update(self, entry: Entry, was: AttemptState | None = None, **changes: Any) -> Entry:
        """Write what has become of an attempt, and return the entry as it is now.

        Parameters
        ----------
        entry : Entry
            The attempt.
        was : AttemptState, optional
            Nothing is written if the row stands anywhere else: somebody was quicker, and knows
            more. The entry that is returned is theirs.
        **changes
            New values by column.

        Raises
        ------
        JournalError
            If it cannot be written. The row then says less than is known; it is not wrong.
        """
        new = replace(entry, **changes)
        names = [*changes]
        sets = ", ".join(f"{name}=?" for name in names)
        values = [*(getattr(new, name) for name in names), entry.marker]

        def work(connection: sqlite3.Connection) -> Entry:
            row = connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM attempts WHERE marker=?", (entry.marker,)
            ).fetchone()
            if row is None:  # the file was taken away
                connection.execute(_INSERT, astuple(new))
            elif was is not None and row[_COLUMNS.index("state")] != was:
                return _entry(row)
            else:
                connection.execute(f"UPDATE attempts SET {sets} WHERE marker=?", values)
            return new

        return self._transact(
            "Rented machines are not affected, but a new kernel will have to find them again.", work
        )

    def set_deadlines(
        self, deadlines: Mapping[str, float], budgets: Mapping[str, float] | None = None
    ) -> None:
        """Write the deadlines of several machines down, all or none.

        Parameters
        ----------
        deadlines : dict of str to float
            By marker, seconds since the epoch.
        budgets : dict of str to float, optional
            By marker, what is left of a budget, $; without it there is none any longer.

        Raises
        ------
        JournalError
            If it cannot be written; the earlier deadlines hold.
        """
        left = budgets or {}
        rows = [(moment, left.get(marker), marker) for marker, moment in deadlines.items()]

        def work(connection: sqlite3.Connection) -> None:
            sql = "UPDATE attempts SET deadline=?, budget=? WHERE marker=?"
            if connection.executemany(sql, rows).rowcount < len(rows):
                raise OSError("it no longer contains these rentals: the file was replaced")

        self._transact("The deadlines are unchanged.", work)

    def claim(self, entry: Entry, now: float, account: str | None = None) -> Entry | None:
        """Make the entry of a dead process ours; None if another kernel was quicker.

        Parameters
        ----------
        entry : Entry
            As it was read.
        now : float
            Seconds since the epoch.
        account : str, optional
            The account that it turned out to belong to, for a row that another key has written.

        Raises
        ------
        JournalError
            If it cannot be written.
        """
        me, account = self.me, account or entry.account
        changed = self._write(
            "Nothing was changed.",
            "UPDATE attempts SET account=?, host=?, pid=?, began=?, updated_at=?"
            " WHERE marker=? AND host=? AND pid=? AND began=? AND state=?",
            [(account, *me, now, entry.marker, *entry.owner, entry.state)],
        )
        if not changed:
            return None
        return replace(
            entry, account=account, host=me.host, pid=me.pid, began=me.began, updated_at=now
        )

    def take_over(self, entry: Entry, now: float, account: str) -> Entry | None:
        """Make what a dead process or another key has left ours; None if another was quicker.

        Where that cannot be written down, it is seen to all the same: by two, rather than by
        nobody.
        """
        try:
            return self.claim(entry, now, account)
        except JournalError:
            return entry

    def holder(self, entry: Entry, account: str, now: float) -> Holder:
        """Say to whom an entry belongs, as seen from this process and account."""
        if entry.owner == self.me:
            return Holder.HERE if entry.account == account else Holder.OTHER
        if not self._is_dead(entry.owner, now - entry.updated_at) and not is_neglected(entry, now):
            return Holder.ALIVE
        return Holder.DEAD if entry.account == account else Holder.OTHER

    def entries(self, account: str, states: Iterable[AttemptState] | None = None) -> list[Entry]:
        """Return the attempts of an account, oldest first.

        Parameters
        ----------
        account : str
            The fingerprint.
        states : iterable of AttemptState, optional
            Only those that stand there.

        Raises
        ------
        JournalError
            If the file is there and cannot be read.
        """
        wanted = set(AttemptState if states is None else states)
        return [one for one in self._read("account=?", account) if one.state in wanted]

    def entries_at(self, base_url: str) -> list[Entry]:
        """Return the attempts of every key at a server, oldest first."""
        return self._read("base_url=?", base_url)

    def of_contract(self, account: str, contract: int) -> Entry | None:
        """Return the attempt that made a machine, if this package made it."""
        found = [one for one in self.entries(account) if one.contract == contract]
        return found[-1] if found else None

    def _read(self, where: str, value: str) -> list[Entry]:
        if not self.path.exists():
            return []
        rows = self._transact(
            "Nothing was changed.",
            lambda connection: connection.execute(
                f"SELECT {', '.join(_COLUMNS)} FROM attempts WHERE {where}"
                " ORDER BY created_at, rowid",
                (value,),
            ).fetchall(),
        )
        entries = [_entry(row) for row in rows]
        return [one for one in entries if one.marker]  # without one, it would be any machine's

    def _write(self, so_far: str, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Do one statement for several rows, for all or none; return how many it changed."""
        return self._transact(so_far, lambda open_: open_.executemany(sql, rows).rowcount)

    def _transact(self, so_far: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Open the file for one transaction. A connection never outlives it, so a fork is safe.

        One frame from opening to closing, and no context manager: a Ctrl-C on the way out of one
        would leave the file locked, for every kernel, as long as its traceback is kept.
        """
        connection = None
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            result = work(connection)
            connection.execute("COMMIT")
            return result
        except (sqlite3.Error, OSError) as error:
            advice = (
                "The file is damaged: check client.show_instances() for machines that it no longer "
                "tells of, then rename it."
                if damaged(error)
                else "Free space on the disk, fix the permissions of the directory, or set "
                "VASTNB_DATA_DIR to a writable one."
            )
            raise JournalError(
                f"The rental journal {self.path} cannot be used ({error}). {so_far} {advice}",
                code="journal",
            ) from None
        finally:
            if connection is not None:
                connection.close()  # what was not committed is undone

    def _open(self) -> sqlite3.Connection:
        private_file(self.path)
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=PATIENCE, check_same_thread=False
        )
        try:
            # No WAL: a home directory may lie on a network, where it does not work.
            connection.execute("PRAGMA synchronous=FULL")
            _make_table(connection)
        except BaseException:
            connection.close()
            raise
        return connection


def _make_table(connection: sqlite3.Connection) -> None:
    """Make the table, and give that of an earlier version the columns it does not have."""
    if set(_COLUMNS) <= _columns_there(connection):
        return
    connection.execute("BEGIN IMMEDIATE")  # two kernels may meet the same old file
    there = _columns_there(connection)
    if not there:
        columns = ", ".join(_column(name) for name in _COLUMNS)
        connection.execute(f"CREATE TABLE attempts ({columns})")
    else:
        for name in _COLUMNS:
            if name not in there:
                connection.execute(f"ALTER TABLE attempts ADD COLUMN {_column(name)}")
    connection.execute("COMMIT")


def _columns_there(connection: sqlite3.Connection) -> set[str]:
    # All rows at once: a cursor that is left half way, by a Ctrl-C, holds on to the file.
    return {row[1] for row in connection.execute("PRAGMA table_info(attempts)").fetchall()}


def _column(name: str) -> str:
    return f"{name} {_TYPES.get(name, '')}".strip()


def _entry(row: tuple[Any, ...]) -> Entry:
    """Return a row as an entry; nothing that stands in the file may break a start."""
    sound = {name: _sound(_KINDS[name], one) for name, one in zip(_COLUMNS, row, strict=True)}
    contract = sound["contract"] if (sound["contract"] or 0) > 0 else None
    try:
        state = AttemptState(sound["state"])
    except ValueError:  # of a later version: it may bill
        state = AttemptState.UNKNOWN if contract is None else AttemptState.CREATED
    moments = {name: _moment(sound[name]) for name in ("created_at", "since", "updated_at")}
    sound.update(moments, state=state, contract=contract)
    if sound["deadline"] is not None:
        sound["deadline"] = _moment(sound["deadline"])
    return Entry(**sound)


_KINDS: Final = {one.name: str(one.type) for one in fields(Entry)}


def _sound(kind: str, value: Any) -> Any:
    """Return a value of a row, or what stands for none if it is not of its column's kind."""
    if kind.startswith("float"):
        if (found := number(value)) is not None:
            return found
    elif kind.startswith("int"):
        if type(value) is int:
            return value
    elif isinstance(value, str):
        return value
    if kind.endswith("None"):
        return None
    return {"float": 0.0, "int": 0}.get(kind, "")


def _moment(value: float) -> float:
    return min(max(value, 0.0), LATEST)


class Written(NamedTuple):
    """What is written down of the rental that made a machine.

    Parameters
    ----------
    price : float or None
        $/h with its disk, as agreed; None for a bid, which may be changed.
    given_up : str
        How the attempt ended, if it ended without a machine or with one that is gone; empty
        otherwise.
    """

    price: float | None
    given_up: str = ""


FRESH: Final = 15.0
"""Seconds for which what was read holds."""


class JournalView:
    """What the journal says of machines, at hand for whoever looks often.

    The watcher asks for the deadline and the rental of every machine with every look. The journal
    is a file that other kernels write too, so it is read again, once for all machines, when what
    was read has grown old. May be called from several threads.

    Parameters
    ----------
    account : str
        Fingerprint of key and server.
    clock : Clock
        The time.
    """

    def __init__(self, account: str, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._entries: dict[str, Entry] = {}
        self._deadlines: dict[int, float] = {}
        self._known: dict[int, Entry] = {}

    def deadline(self, id: int) -> float | None:
        """Return when a machine is to be destroyed, epoch seconds; None if that is not known."""
        with self._lock:
            self._refresh()
            return self._deadlines.get(id)

    def rental(self, marker: str, asked_at: float) -> Written | None:
        """Return what is known of the rental behind a marker; None if it is not of this computer.

        Parameters
        ----------
        marker : str
            What the machine carries.
        asked_at : float
            When the list that shows it was asked for, epoch seconds: what was given up later
            could still be in it.
        """
        with self._lock:
            self._refresh()
            entry = self._entries.get(marker)
        if entry is None:
            return None
        over = entry.state in OVER and entry.updated_at < asked_at
        return Written(
            None if entry.bid is not None else entry.price, str(entry.state) if over else ""
        )

    def is_known(self, id: int) -> bool:
        """Say whether a machine was rented by vastnb on this computer."""
        with self._lock:
            self._refresh()
            return id in self._known

    def _refresh(self) -> None:
        now = self._clock.time()
        if self._read_at is not None and 0 <= now - self._read_at < FRESH:
            return
        self._read_at = now
        # Whoever rents is told of it; looking goes on with what was read before.
        with contextlib.suppress(JournalError):
            entries = Journal().entries(self._account)
            self._entries = {entry.marker: entry for entry in entries}
            self._known = known_contracts(entries)
            self._deadlines = {
                entry.contract: due_at(entry) or 0.0
                for entry in entries
                if entry.contract is not None and due_at(entry) is not None
            }
