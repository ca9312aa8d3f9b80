"""The money guard: machines end at their deadlines while a kernel lives.

One daemon thread for each client, and only while it has something to guard. It sleeps until the
next deadline, destroys what is due through the same path as everybody (asked for, seen gone, asked
again if it comes back), says so, and ends when nothing is left. A destroy that fails is tried
again, at longer and longer intervals, and loudly.

The deadlines themselves stand in the journal. The thread reads them there before it acts, so that
another kernel may move them, and a kernel that starts later takes up what this one leaves. The
thread belongs to the process that made it: a fork has none, and guards nothing of its parent's.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from vastnb.errors import JournalError, VastError
from vastnb.fleet.deadline import in_words
from vastnb.fleet.desk import Desk
from vastnb.fleet.ending import destroy
from vastnb.fleet.journal import Entry
from vastnb.fleet.plan import LIVE, State

SLICE: Final = 30.0
"""Seconds of sleep at a time: a computer that was suspended wakes with its clock moved on."""

FIRST_AGAIN: Final = 15.0
LONGEST_AGAIN: Final = 300.0
"""Seconds until a destroy that failed is tried again: at first, and at most."""

Tell = Callable[[str, int, bool], object]
"""Told in words what happened, of which machine, and whether it is bad."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A machine that is guarded.

    Parameters
    ----------
    id : int
        The instance.
    marker : str
        Its row of the journal.
    deadline : float
        Epoch seconds.
    on_machine : bool
        Whether the machine ends itself as well.
    again_at : float
        Not before this moment, after a destroy that failed.
    failures : int
        Destroys that failed.
    latest : float
        The deadline in steady seconds (`Clock.steady`): a clock that is set back puts nothing off.
    """

    id: int
    marker: str
    deadline: float
    on_machine: bool = False
    again_at: float = 0.0
    failures: int = 0
    latest: float = math.inf

    def due_at(self, now: float, ahead: float = 0.0) -> float:
        """Return when something is to be done about it; `ahead` is the clock's time less steady."""
        again = self.again_at if self.again_at - now <= LONGEST_AGAIN else now
        return max(min(self.deadline, self.latest + ahead), again)

    @classmethod
    def of(cls, entry: Entry) -> Charge | None:
        """Return what a row of the journal has to be guarded for, if for anything."""
        if entry.deadline is None or entry.contract is None or entry.state not in LIVE:
            return None
        return cls(entry.contract, entry.marker, entry.deadline, bool(entry.on_machine))


class Plan(NamedTuple):
    """What the thread does next: destroy `due`, or sleep `wait` seconds; None is to end."""

    due: tuple[Charge, ...]
    wait: float | None


def plan(charges: Iterable[Charge], now: float, ahead: float = 0.0) -> Plan:
    """Say what is due, and how long to sleep otherwise.

    Parameters
    ----------
    charges : iterable of Charge
        What is guarded.
    now : float
        Epoch seconds.
    ahead : float
        How much that is more than the steady seconds.
    """
    charges = sorted(charges, key=lambda one: (one.due_at(now, ahead), one.id))
    due = tuple(one for one in charges if one.due_at(now, ahead) <= now)
    if due:
        return Plan(due, 0.0)
    return Plan((), min(SLICE, charges[0].due_at(now, ahead) - now) if charges else None)


def failed(charge: Charge, now: float) -> Charge:
    """Return a machine whose destroy has failed once more."""
    pause = min(LONGEST_AGAIN, FIRST_AGAIN * 2**charge.failures)
    return replace(charge, failures=charge.failures + 1, again_at=now + pause)


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


class Guard:
    """Destroys machines at their deadlines.

    Parameters
    ----------
    desk : Desk
        Who asks, by whose clock.
    tell : callable, optional
        Told in words what happened; by default it is written to the standard error.
    outlasted : bool
        Whether its machines go on when this kernel ends; those of a simulated service do not.
    """

    def __init__(self, desk: Desk, tell: Tell | None = None, *, outlasted: bool = True) -> None:
        self.outlasted = outlasted
        self._desk = desk
        self._tell: Tell = tell or _write
        self._reset()
        _guards.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._charges: dict[str, Charge] = {}
        self._ended: set[int] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def arm(self, entries: Iterable[Entry]) -> None:
        """Guard machines from now on, or with the deadlines that they have now."""
        self._ours()
        found = [charge for charge in map(Charge.of, entries) if charge is not None]
        if not found:
            return
        with self._changed:
            closed = self._closed
            if not closed:
                self._charges.update({one.marker: self._lasting(one) for one in found})
            if not closed and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._run, name="vastnb-guard", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        if closed and self.outlasted:  # while it was being rented
            self._say(
                unguarded(found, self._desk.clock.time(), "The client is closed"), found[0].id, True
            )

    def forget(self, ids: Iterable[int]) -> None:
        """Guard machines no longer: they are gone."""
        self._ours()
        gone = set(ids)
        with self._changed:
            kept = {k: one for k, one in self._charges.items() if one.id not in gone}
            self._charges = kept
            self._changed.notify_all()

    def guards(self, marker: str) -> bool:
        """Say whether the machine of an attempt is guarded here."""
        self._ours()
        return marker in self._charges and self.alive

    def ended(self, id: int) -> bool:
        """Say whether a machine was destroyed at its deadline, and seen gone."""
        self._ours()
        return id in self._ended

    @property
    def charges(self) -> tuple[Charge, ...]:
        """What is guarded, next deadline first."""
        self._ours()
        with self._changed:
            return tuple(sorted(self._charges.values(), key=lambda one: (one.deadline, one.id)))

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        self._ours()
        thread = self._thread
        return thread is not None and thread.is_alive()

    def wake(self) -> None:
        """Have the thread look at the clock now."""
        self._ours()
        with self._changed:
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether it has ended, and guards nothing any more."""
        self._ours()
        return self._closed

    def close(self) -> tuple[Charge, ...]:
        """End the thread; return what nobody in this kernel guards any longer."""
        self._ours()
        left = self.charges
        with self._changed:
            self._closed = True
            self._charges.clear()
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        return left

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                now = self._desk.clock.time()
                ahead = now - self._desk.clock.steady()
                todo = plan(self._charges.values(), now, ahead)
                if todo.wait is None or self._closed:
                    self._thread = None
                    return
                if not todo.due:
                    self._changed.wait(todo.wait)
                    continue
            try:
                self._end(todo.due)
            except Exception as error:  # noqa: BLE001 - the thread must live, and go on trying
                self._put_off(todo.due, error)

    def _end(self, due: tuple[Charge, ...]) -> None:
        due = self._as_written(due)
        if not due:
            return
        now = self._desk.clock.time()
        for one in due:
            set_back = " by a clock that was set back since" if one.deadline > now else ""
            self._say(
                f"The deadline of instance {one.id} was {in_words(one.deadline, now)}{set_back}: "
                "it is destroyed now.",
                one.id,
                False,
            )
        try:
            destroy(self._desk, [one.id for one in due])
        except VastError as error:
            gone = self._gone(due)
            self._over([one for one in due if one.marker in gone])
            self._put_off([one for one in due if one.marker not in gone], error)
        else:
            self._over(due)

    def _as_written(self, due: tuple[Charge, ...]) -> tuple[Charge, ...]:
        """Return what is still due by the journal, which another kernel may have changed."""
        try:
            rows = self._rows()
        except JournalError:
            return due  # what is known must do
        now, still = self._desk.clock.time(), []
        with self._changed:
            for one in due:
                row = rows.get(one.marker)
                # One that somebody has begun to destroy goes on: it may have failed.
                if row is not None and not _exists(row):
                    self._charges.pop(one.marker, None)
                elif (
                    row is not None
                    and row.deadline is not None
                    and (row.deadline > now and row.deadline != one.deadline)
                ):
                    moved = replace(one, deadline=row.deadline, again_at=0.0)
                    self._charges[one.marker] = self._lasting(moved)
                else:
                    still.append(one)
        return tuple(still)

    def _lasting(self, charge: Charge) -> Charge:
        """Return a machine with the steady moment at which its deadline comes."""
        clock = self._desk.clock
        return replace(charge, latest=clock.steady() + charge.deadline - clock.time())

    def _gone(self, due: Iterable[Charge]) -> set[str]:
        try:
            rows = self._rows()
        except JournalError:
            return set()
        return {one.marker for one in due if one.marker in rows and not _exists(rows[one.marker])}

    def _rows(self) -> Mapping[str, Entry]:
        entries = self._desk.journal.entries(self._desk.rights.account)
        return {one.marker: one for one in entries}

    def _over(self, due: Iterable[Charge]) -> None:
        for one in due:
            with self._changed:
                self._charges.pop(one.marker, None)
                self._ended.add(one.id)
            self._say(f"Instance {one.id} is gone: its deadline is kept.", one.id, False)

    def _put_off(self, due: Iterable[Charge], error: Exception) -> None:
        if self._closed:
            return  # whoever closed the client has been told
        now = self._desk.clock.time()
        what = error.message if isinstance(error, VastError) else f"{type(error).__name__}"
        for one in due:
            later = failed(one, now)
            with self._changed:
                if one.marker in self._charges:
                    self._charges[one.marker] = later
            self._say(
                f"INSTANCE {one.id} IS PAST ITS DEADLINE AND MAY STILL BILL: destroying it has "
                f"failed {later.failures} times ({what}). It is tried again in "
                f"{later.again_at - now:.0f} s. Or destroy it at "
                "https://cloud.vast.ai/instances/.",
                one.id,
                True,
            )

    def _say(self, text: str, id: int, bad: bool) -> None:
        # Whoever listens may fail, and machines must end all the same.
        with contextlib.suppress(Exception):
            self._tell(text, id, bad)

    def _ours(self) -> None:
        """In a fork, begin anew: the thread and its machines are the parent's."""
        if self._pid != os.getpid():
            self._reset()


def _exists(entry: Entry) -> bool:
    # That lists did not show it for a while is no reason to let it run past its deadline.
    return entry.is_open or entry.state in LIVE or entry.state is State.GONE


def guarded(marker: str) -> bool:
    """Say whether a guard of this process looks after the machine of an attempt."""
    return any(one.guards(marker) for one in tuple(_guards))


def in_words_of(charges: Iterable[Charge], now: float) -> str:
    """Name machines with their deadlines: ``"instance 5 (ends 14:05 UTC (in 2 h))"``."""
    return ", ".join(
        f"instance {one.id} (deadline {in_words(one.deadline, now)}"
        f"{', it also ends itself' if one.on_machine else ''})"
        for one in charges
    )


def unguarded(charges: Iterable[Charge], now: float, why: str) -> str:
    """Return the warning for machines that no kernel guards any longer."""
    return (
        f"{why}: nobody enforces the deadlines of machines that bill: {in_words_of(charges, now)}. "
        "The next client takes them up at its first use (one in another kernel: when this one has "
        "ended, or a quarter of an hour after the deadline); until then only a machine that ends "
        "itself does. client.destroy_instance(id) ends one."
    )


def _write(text: str, id: int, bad: bool) -> None:
    sys.stderr.write(f"{text}\n")


def _at_exit() -> None:
    """Say what is left to itself when the kernel ends."""
    for guard in tuple(_guards):
        left = guard.charges
        if left and guard.outlasted:
            now = guard._desk.clock.time()
            sys.stderr.write(f"{unguarded(left, now, 'This kernel ends')}\n")


atexit.register(_at_exit)


__all__ = ["Charge", "Guard", "Plan", "failed", "guarded", "in_words_of", "plan", "unguarded"]
