"""The money guard: what is owed to the user is done while a kernel lives.

Machines end at their deadlines; attempts that are unknown are found out; machines that were
destroyed are looked after until they have stayed gone, and destroyed again if they come back; a
budget follows what a machine really costs. One daemon thread for each client, only while there is
something to see to. It waits for nothing long: what is due is destroyed first, all at once, and one
list of instances then serves everything else.

What is owed stands in the journal (`vastnb.fleet.rent.obligations`). The thread reads it before it
acts, so that another kernel may move a deadline, and now and then, for what a dead kernel has left.
It belongs to the process that made it: a fork has none, and guards nothing of its parent's.

It is long because its thread has one owner: what is due, doing it, and saying it stay together.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import math
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from vastnb.api.text import seconds
from vastnb.api.transport import Transport
from vastnb.clock import Steady
from vastnb.errors import JournalError, VastError
from vastnb.fleet.costs import dph_meant
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.rent.deadline import in_words, repriced
from vastnb.fleet.rent.entry import CONFIRMED, FOUND, Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import (
    NEGLECTED,
    Holder,
    due_at,
    is_sought,
    match,
    may_come_late,
    needs_care,
    obligation,
)
from vastnb.fleet.rent.plan import LIVE, OPEN, UNSETTLED, AttemptState, Sightings
from vastnb.fleet.rent.settle import Case, Settler, in_flight

SLICE: Final = 30.0
"""Seconds of sleep at a time: a computer that was suspended wakes with its clock moved on."""

FIRST_AGAIN: Final = 15.0
LONGEST_AGAIN: Final = 300.0
"""Seconds until a destroy that failed is tried again: at first, and at most."""

PRICED_FIRST: Final = 30.0
PRICED_EVERY: Final = 300.0
"""Seconds from a rental to the first look at what it really costs, and to every later one."""

BUSY: Final = 5.0
"""Seconds until an attempt that another thread is settling is looked at again."""

REREAD: Final = 60.0
"""Seconds from one reading of the journal to the next, for what other kernels have left."""

SET_BY: Final = 60.0
"""Seconds by which the clock and what really passed may drift apart before proofs begin anew."""

CONFIRMED_IN_VAIN: Final = 4
"""Confirmed destroys of a machine that is still listed, until that counts as a failure."""

log = logging.getLogger("vastnb.fleet")

Tell = Callable[[str, int, bool], object]
"""Told in words what happened, of which machine, and whether it is bad."""


class Awaited(NamedTuple):
    """A row whose machine may appear, and when to look next whether it has.

    One of another key, whose machine may be this account's; or an attempt that was called absent.
    """

    entry: Entry
    look_at: float
    """Steady seconds."""
    pause: float = REREAD

    def later(self, now: float) -> Awaited:
        """Return it after a list that did not show its machine."""
        return Awaited(self.entry, now + self.pause, min(NEGLECTED, 2 * self.pause))


@dataclass(frozen=True, slots=True)
class Guarded:
    """An attempt that is seen to.

    Parameters
    ----------
    id : int
        The instance; 0 if it is not known yet.
    marker : str
        Its row of the journal.
    deadline : float
        Epoch seconds; infinite if there is none.
    on_machine : bool
        Whether the machine ends itself as well.
    again_at : float
        Not before this moment: after a destroy that failed, or until the next look.
    failures : int
        Destroys that failed.
    latest : float
        The deadline in steady seconds (`Clock.steady`): a clock that is set back puts nothing off.
    open : bool
        Whether it is to be settled: found out, or seen to stay gone.
    priced_at : float
        When to look what it costs.
    case : Case or None
        Where it stands.
    """

    id: int
    marker: str
    deadline: float
    on_machine: bool = False
    again_at: float = 0.0
    failures: int = 0
    latest: float = math.inf
    open: bool = False
    priced_at: float = math.inf
    case: Case | None = field(default=None, repr=False, compare=False)

    def ends_at(self, now: float, ahead: float = 0.0) -> float:
        """Return when it is to be destroyed or settled; `ahead` is the clock less steady."""
        again = self.again_at if self.again_at - now <= LONGEST_AGAIN else now
        return again if self.open else max(min(self.deadline, self.latest + ahead), again)

    def due_at(self, now: float, ahead: float = 0.0) -> float:
        """Return when something is to be done about it."""
        return min(self.ends_at(now, ahead), self.priced_at)

    @classmethod
    def of(cls, one: Entry | Case) -> Guarded | None:
        """Return what an attempt has to be seen to for, if for anything."""
        # Its own: whoever hands one in may go on with it.
        case = Case.of(one) if isinstance(one, Entry) else replace(one, destroyed=[*one.destroyed])
        entry = case.entry
        if case.state in OPEN:
            marker = f"instance {case.contract}" if entry is None else entry.marker
            return cls(case.contract or 0, marker, math.inf, open=True, case=case)
        deadline = None if entry is None else due_at(entry)
        if entry is None or deadline is None:
            return None
        return cls(entry.contract or 0, entry.marker, deadline, bool(entry.on_machine), case=case)


class Due(NamedTuple):
    """What the thread does next: see to `due`, or sleep `wait` seconds; None is to end."""

    due: tuple[Guarded, ...]
    wait: float | None


def due_of(guarded: Iterable[Guarded], now: float, ahead: float = 0.0) -> Due:
    """Say what is due, and how long to sleep otherwise.

    Parameters
    ----------
    guarded : iterable of Guarded
        What is guarded.
    now : float
        Epoch seconds.
    ahead : float
        How much that is more than the steady seconds.
    """
    guarded = sorted(guarded, key=lambda one: (one.due_at(now, ahead), one.id))
    due = tuple(one for one in guarded if one.due_at(now, ahead) <= now)
    if due:
        return Due(due, 0.0)
    return Due((), min(SLICE, guarded[0].due_at(now, ahead) - now) if guarded else None)


def failed(guarded: Guarded, now: float) -> Guarded:
    """Return a machine whose destroy has failed once more."""
    pause = min(LONGEST_AGAIN, FIRST_AGAIN * 2 ** min(guarded.failures, 20))
    return replace(guarded, failures=guarded.failures + 1, again_at=now + pause)


_guards: weakref.WeakSet[Guard] = weakref.WeakSet()


class Guard:
    """Destroys machines at their deadlines.

    Parameters
    ----------
    transport : Transport
        Asks the service: for whom, by whose clock.
    journal : Journal
        What is written down of attempts.
    tell : callable, optional
        Told in words what happened; by default it is written to the standard error.
    expect : callable, optional
        Told of each machine that is being destroyed.
    outlasted : bool
        Whether its machines go on when this kernel ends; those of a simulated service do not.
    threaded : bool
        Whether it has a thread; without one, somebody calls `step`.
    """

    def __init__(
        self,
        transport: Transport,
        journal: Journal,
        tell: Tell | None = None,
        *,
        expect: Callable[[int], object] = lambda id: None,
        outlasted: bool = True,
        threaded: bool = True,
    ) -> None:
        self.outlasted = outlasted
        self._expect = expect
        self._transport = transport
        self._clock = transport.clock
        self._journal = journal
        self._threaded = threaded
        self._tell: Tell = tell or _write
        # Proofs are made by a clock that nobody sets; deadlines hold by the one on the wall, too.
        self._steady = Steady(transport.clock)
        self._settler = Settler(transport.call, self._steady, journal, FOUND)
        self._reset()
        _guards.add(self)

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._changed = threading.Condition()
        self._guarded: dict[str, Guarded] = {}
        self._ended: set[int] = set()
        self._read_at = -math.inf
        self._asked = False
        self._awaited: dict[str, Awaited] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def arm(self, attempts: Iterable[Entry | Case]) -> None:
        """See to attempts from now on, as they stand now; forget those that need nothing more."""
        self._ours()
        attempts = list(attempts)
        found = [guarded for guarded in map(Guarded.of, attempts) if guarded is not None]
        over = {_marker(one) for one in attempts} - {one.marker for one in found}
        with self._changed:
            closed = self._closed
            for marker in over:
                self._guarded.pop(marker, None)
            if not closed:
                self._guarded.update({one.marker: self._lasting(one) for one in found})
        absent = [one for one in attempts if one.state is AttemptState.ABSENT]
        for one in absent:
            entry = one if isinstance(one, Entry) else one.entry
            if entry is not None:
                later = Awaited(entry, self._clock.steady() + REREAD, 2 * REREAD)
                self._awaited.setdefault(entry.marker, later)
        if found or absent:
            self._start()
        ending = [one for one in found if not one.open]
        if ending and closed and self.outlasted:  # while it was being rented
            now = self._clock.time()
            self._say(
                unguarded(ending, now, "The client is closed"), ending[0].id, True, ends=False
            )

    def take_up(self) -> None:
        """See to what this process has left behind, and dead ones: by the table of obligations.

        Raises
        ------
        VastError
            If the journal cannot be read, or the instances cannot be listed that would tell
            whether rows of another key are of this account.
        """
        self._ours()
        now, self._read_at = self._clock.time(), self._clock.steady()
        found: list[Entry] = []
        others: dict[str, Entry] = {}
        for entry, holder in owed(self._transport, self._journal):
            if holder is Holder.OTHER or entry.state is AttemptState.ABSENT:
                others[entry.marker] = entry
            elif holder is Holder.HERE:
                found.append(entry)
            elif (mine := self._journal.take_over(entry, now, self._transport.account)) is not None:
                found.append(mine)
        self.arm(found)
        # One list proves nothing: it may be empty, or its machine too new. Later ones are rarer.
        were, first = self._awaited, self._read_at
        awaited = self._awaited = {
            marker: were[marker]._replace(entry=entry)
            if marker in were
            else Awaited(entry, first + REREAD * (entry.state is AttemptState.ABSENT))
            for marker, entry in others.items()
        }
        if awaited:
            self._start()
        if any(one.look_at <= self._read_at for one in awaited.values()):
            listing = list_instances(self._transport.call, self._clock, within=20.0)
            for marker, one in tuple(awaited.items()):
                if one.look_at <= self._read_at:
                    awaited[marker] = one.later(self._read_at)
            self.saw(listing)

    def saw(self, listing: Listing) -> None:
        """Look for the machines that may appear in a list, whoever has asked for it."""
        self._ours()
        waiting = [one.entry for one in tuple(self._awaited.values())]
        for entry in recognised(self._transport, self._journal, waiting, listing):
            self._awaited.pop(entry.marker, None)
            case = Case.of(entry)
            if case.state is AttemptState.ABSENT:
                self._settler.take(case, listing)
                if _is_found(case):
                    self._say(_adopted(case), case.contract or 0, True, ends=False)
            self.arm([case])

    def take_up_soon(self) -> None:
        """Do so in the background."""
        self._ours()
        self._asked = True
        self._start()

    def _start(self) -> None:
        with self._changed:
            alive = self._thread is not None and self._thread.is_alive()
            if self._threaded and not self._closed and not alive:
                self._thread = threading.Thread(target=self._run, name="vastnb-guard", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def guards(self, marker: str) -> bool:
        """Say whether the machine of an attempt is guarded here."""
        self._ours()
        return marker in self._guarded and (self.alive or not self._threaded)

    def ended(self, id: int) -> bool:
        """Say whether a machine was destroyed at its deadline, and seen gone."""
        self._ours()
        return id in self._ended

    @property
    def guarded(self) -> tuple[Guarded, ...]:
        """The machines that have a deadline, the next one first."""
        self._ours()
        with self._changed:
            held = [one for one in self._guarded.values() if not one.open]
        return tuple(sorted(held, key=lambda one: (one.deadline, one.id)))

    @property
    def unfinished(self) -> tuple[Guarded, ...]:
        """What has still to be found out, or to be destroyed and seen gone."""
        self._ours()
        with self._changed:
            return tuple(
                one
                for one in self._guarded.values()
                if one.open and one.case is not None and not _is_confirmed(one.case)
            )

    def case_of(self, contract: int) -> Case | None:
        """Return what is known of a machine without the journal."""
        self._ours()
        with self._changed:
            known = [one.case for one in self._guarded.values() if one.id == contract]
        return next((one for one in known if one is not None), None)

    def look_at_prices(self) -> None:
        """Look soon what machines with a budget cost: something was done about it."""
        now = self._clock.time()
        with self._changed:
            for marker, one in self._guarded.items():
                if math.isfinite(one.priced_at):
                    self._guarded[marker] = replace(one, priced_at=now)
            self._changed.notify_all()

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

    def close(self) -> tuple[Guarded, ...]:
        """End the thread; return what nobody in this kernel guards any longer."""
        self._ours()
        left = (*self.guarded, *self.unfinished)
        with self._changed:
            self._closed = True
            self._guarded.clear()
            self._awaited.clear()
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        return left

    # -- the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                todo = self._due()
                if (todo.wait is None and not self._asked) or self._closed:
                    self._thread = None
                    return
                if not todo.due and not self._asked:
                    self._changed.wait(todo.wait)
            self.step()

    def step(self) -> float | None:
        """Do what is due; return the seconds until something else is, None if nothing is left."""
        self._follow_the_clock()
        with self._changed:
            todo = self._due()
            if self._closed:
                return None
        try:
            now, ahead = self._time()
            ends = tuple(x for x in todo.due if not x.open and x.ends_at(now, ahead) <= now)
            if ends:
                self._end(ends)
            turns = [one for one in todo.due if one.open]
            if turns:
                self._turn(turns)
            priced = tuple(x for x in todo.due if x.priced_at <= now and x not in ends)
            if priced:
                self._price(priced)
        except Exception as error:  # noqa: BLE001 - the thread must live, and go on trying
            self._put_off(todo.due, error)
        self._read()
        with self._changed:
            todo = self._due()
            return todo.wait

    def _read(self) -> None:
        """Read the journal now and then, for what other kernels have left."""
        if not self._asked and self._clock.steady() - self._read_at < REREAD:
            return
        self._asked, self._read_at = False, self._clock.steady()
        try:
            self.take_up()
        except VastError:
            pass  # what is known is seen to all the same
        except Exception:
            log.exception("the rental journal could not be read")

    def _follow_the_clock(self) -> None:
        """Begin proofs anew when the clock was set, or the computer has slept.

        Their own clock is steady, and would lag behind what is written down for hours.
        """
        clock = Steady(self._clock)
        with self._changed:
            if abs(clock.time() - self._steady.time()) <= SET_BY:
                return
            self._steady = clock
            self._settler = Settler(self._transport.call, clock, self._journal, FOUND)
            for one in self._guarded.values():
                if one.open and one.case is not None:
                    one.case.since, one.case.seen = clock.time(), Sightings()

    def _due(self) -> Due:
        todo = due_of(self._guarded.values(), *self._time())
        return Due((), SLICE) if todo.wait is None and self._awaited else todo

    def _time(self) -> tuple[float, float]:
        now = self._clock.time()
        return now, now - self._clock.steady()

    def _end(self, due: tuple[Guarded, ...]) -> None:
        """Ask for machines to be destroyed. That they are gone is seen later."""
        due = self._as_written(due)
        now = self._clock.time()
        cases = []
        for one in due:
            set_back = " (the clock has been set back since)" if one.deadline > now else ""
            self._say(
                f"The deadline of instance {one.id} was {in_words(one.deadline, now)}{set_back}: "
                "it is being destroyed.",
                one.id,
                False,
            )
            assert one.case is not None
            cases.append(one.case)
        if cases:
            self._settler.destroy_all(cases)
            self._sort(due)

    def _turn(self, turns: list[Guarded]) -> None:
        """Look once for everything that is open, and that nobody is settling just now."""
        busy, now = in_flight(), self._clock.time()
        with self._changed:
            for one in turns:
                if one.marker in busy and one.marker in self._guarded:
                    self._guarded[one.marker] = replace(one, again_at=now + BUSY)
        turns = [one for one in turns if one.marker not in busy]
        cases = [one.case for one in turns if one.case is not None]
        were = {id(case): case.state for case in cases}
        sure = {id(case): _is_confirmed(case) for case in cases}
        dead = [
            case for case in cases if case.state is AttemptState.DESTROYING and not case.accepted
        ]
        if len(dead) > 1:
            self._settler.destroy_all(dead)
        self._settler.turn(cases)
        for case in cases:
            if sure[id(case)] and not _is_confirmed(case) and case.state is AttemptState.DESTROYING:
                self._say(
                    f"Instance {case.contract} came back after it was destroyed: it is being "
                    "destroyed again.",
                    case.contract or 0,
                    True,
                )
            elif were[id(case)] in UNSETTLED and _is_found(case):
                self._say(_adopted(case), case.contract or 0, True, ends=False)
        self._sort(turns)

    def _sort(self, guarded: Iterable[Guarded]) -> None:
        """Put down what is left to be done about each, and say what is new."""
        now = self._clock.time()
        for one in guarded:
            case = one.case
            assert case is not None
            if case.state not in OPEN:
                self.arm([case])
                if case.state is AttemptState.DESTROYED:
                    self._ended.add(case.contract or 0)
                continue
            later = replace(one, id=case.contract or 0, open=True, priced_at=math.inf)
            unsure = case.state is AttemptState.DESTROYING and not case.accepted
            if unsure and (case.refusal is not None or case.error):
                self._put_off([later], None)
                continue
            listed = case.state is AttemptState.DESTROYING and bool(case.seen.found)
            if listed and one.failures >= CONFIRMED_IN_VAIN:
                case.error = "Vast.ai confirmed it but still lists the machine"
                self._put_off([later], None)
                continue
            if _is_confirmed(case) and case.contract not in self._ended:
                self._ended.add(case.contract or 0)
                self._settler.record(case, note=CONFIRMED)
                if math.isfinite(one.deadline):
                    self._say(
                        f"Instance {case.contract} was destroyed at its deadline.",
                        case.contract or 0,
                        False,
                    )
            in_vain = case.error or case.seen.maybe  # more looks will hardly tell more
            quiet = min(LONGEST_AGAIN, 2.0 ** min(case.seen.looks, 9)) if in_vain else 0.0
            with self._changed:
                self._guarded[one.marker] = replace(
                    later,
                    failures=one.failures + 1 if listed else 0,
                    again_at=now + max(case.look_in, quiet, BUSY * unsure),
                )

    def _price(self, guarded: tuple[Guarded, ...]) -> None:
        """Have budgets follow what machines really cost."""
        guarded = self._as_written(guarded)  # another kernel may have lifted a budget
        now = self._clock.time()
        try:
            listing = list_instances(self._transport.call, self._clock, within=20.0)
        except VastError:
            listing = None
        if listing is not None:
            self.saw(listing)
        for one in guarded:
            case = one.case
            assert case is not None
            record = listing.record(one.id) if listing is not None else None
            if record is not None and case.entry is not None:
                self._reprice(case, record, now)
            with self._changed:
                if one.marker in self._guarded and case.entry is not None:
                    again = Guarded.of(case)
                    if again is not None:
                        later = replace(self._lasting(again), priced_at=now + PRICED_EVERY)
                        self._guarded[one.marker] = later

    def _reprice(self, case: Case, record: Mapping[str, object], now: float) -> None:
        entry = case.entry
        assert entry is not None
        price = dph_meant(record)
        if price is None or entry.budget is None or entry.deadline is None:
            return
        since = entry.created_at if entry.priced_at is None else entry.priced_at
        deadline, left = repriced(entry.deadline, entry.budget, since, price, now)
        if deadline < entry.deadline - 60.0:
            self._say(
                f"Instance {case.contract} costs ${price:.4f}/h, more than agreed. To stay within "
                f"its budget, it will be destroyed at {in_words(deadline, now)}.",
                case.contract or 0,
                True,
                ends=False,
            )
        self._settler.record(case, deadline=deadline, budget=left, priced_at=now)

    def _as_written(self, due: tuple[Guarded, ...]) -> tuple[Guarded, ...]:
        """Return what is still due by the journal, which another kernel may have changed."""
        try:
            entries = self._journal.entries(self._transport.account)
        except JournalError:
            return due  # what is known must do
        rows = {one.marker: one for one in entries}
        now, still = self._clock.time(), []
        with self._changed:
            for one in due:
                row = rows.get(one.marker)
                # One that somebody has begun to destroy goes on: it may have failed.
                if row is not None and not needs_care(row):
                    self._guarded.pop(one.marker, None)
                elif (
                    row is not None
                    and row.deadline is not None
                    and (row.deadline > now and row.deadline != one.deadline)
                ):
                    moved = Guarded.of(row)
                    if moved is not None:
                        self._guarded[one.marker] = self._lasting(moved)
                else:
                    still.append(one)
        return tuple(still)

    def _lasting(self, guarded: Guarded) -> Guarded:
        """Return a machine with the steady moment at which its deadline comes."""
        clock = self._clock
        case = guarded.case
        budget = case is not None and case.entry is not None and case.entry.budget is not None
        return replace(
            guarded,
            latest=clock.steady() + guarded.deadline - clock.time(),
            priced_at=clock.time() + PRICED_FIRST if budget and not guarded.open else math.inf,
        )

    def _put_off(self, due: Iterable[Guarded], error: Exception | None) -> None:
        if self._closed:
            return  # whoever closed the client has been told
        now = self._clock.time()
        for one in due:
            what = (one.case.error if one.case else "").rstrip(".")
            if error is not None:
                what = error.message if isinstance(error, VastError) else type(error).__name__
            later = failed(one, now)
            with self._changed:
                if one.marker in self._guarded:
                    self._guarded[one.marker] = later
            if one.case is not None and one.case.state in UNSETTLED:
                continue
            why = "IS PAST ITS DEADLINE" if math.isfinite(one.deadline) else "IS NOT DESTROYED YET"
            self._say(
                f"INSTANCE {one.id} {why} AND MAY STILL BILL: destroying it has failed "
                f"{_times(later.failures)}{what and f' ({what})'}. vastnb tries again in "
                f"{seconds(later.again_at - now)}. You can also destroy it at "
                "https://cloud.vast.ai/instances/.",
                one.id,
                True,
            )

    def _say(self, text: str, id: int, bad: bool, *, ends: bool = True) -> None:
        # Whoever listens may fail, and machines must end all the same.
        with contextlib.suppress(Exception):
            if ends:
                self._expect(id)
            self._tell(text, id, bad)

    def _ours(self) -> None:
        """In a fork, begin anew: the thread and its machines are the parent's."""
        if self._pid != os.getpid():
            self._reset()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _marker(one: Entry | Case) -> str:
    return one.marker or "" if isinstance(one, Entry) or one.entry else f"instance {one.contract}"


def _is_confirmed(case: Case) -> bool:
    """Say whether a machine was destroyed and seen gone, and nothing has spoken against it."""
    if case.state is not AttemptState.DESTROYING or not case.accepted:
        return False
    confirmed = case.entry is not None and case.entry.is_confirmed
    return not case.seen.found and (confirmed or case.seen.clean > 0)


def _is_found(case: Case) -> bool:
    """Say whether the guard has found the machine, and nobody was quicker."""
    return case.state in LIVE and case.entry is not None and case.entry.note == FOUND


def _adopted(case: Case) -> str:
    entry = case.entry
    cost = "" if entry is None or entry.price is None else f" and bills ${entry.price:.4f}/h"
    return (
        f"Instance {case.contract} exists{cost}: it was created by a request whose answer was "
        "lost. client.show_instance(id) returns its handle, client.destroy_instance(id) destroys "
        "it."
    )


def owed(transport: Transport, journal: Journal) -> list[tuple[Entry, Holder]]:
    """Return what this process has to see to, and does not yet, with who holds it."""
    account, now, busy = transport.account, transport.clock.time(), in_flight()
    found = []
    for entry in journal.entries_at(transport.base_url):
        holder = journal.holder(entry, account, now)
        settler = obligation(entry, holder).settler
        if settler == "who sees it" and not is_sought(entry, holder, now):
            continue
        late = may_come_late(entry, holder, now)
        if settler not in ("we", "who sees it") or not (late or needs_care(entry)):
            continue
        if entry.marker not in busy and not is_guarded(entry.marker):
            found.append((entry, holder))
    return found


def recognised(
    transport: Transport, journal: Journal, entries: Iterable[Entry], listing: Listing
) -> list[Entry]:
    """Return what another key of the same account has written: its machines are in our list."""
    ours = [one for one in entries if any(match(one, row) == "ours" for row in listing.records)]
    taken = [journal.take_over(one, transport.clock.time(), transport.account) for one in ours]
    return [one for one in taken if one is not None]


def is_guarded(marker: str) -> bool:
    """Say whether a guard of this process looks after the machine of an attempt."""
    return any(one.guards(marker) for one in tuple(_guards))


def in_words_of(guarded: Iterable[Guarded], now: float) -> str:
    """Name machines with their deadlines: ``"instance 5 (ends 14:05 UTC (in 2 h))"``."""
    return ", ".join(
        f"instance {one.id} (deadline "
        f"{in_words(one.deadline, now)}{', it also destroys itself' if one.on_machine else ''})"
        for one in guarded
    )


def unguarded(guarded: Iterable[Guarded], now: float, why: str) -> str:
    """Return the warning for machines that no kernel guards any longer."""
    return (
        f"{why}: the deadlines of these machines are no longer enforced, and they are billing: "
        f"{in_words_of(guarded, now)}. The next client enforces them from its first use (a client "
        "in another kernel: once this one has ended, or 15 minutes after the deadline). Until "
        "then, only deadline_on_machine=True does. client.destroy_instance(id) destroys one."
    )


def _write(text: str, id: int, bad: bool) -> None:
    sys.stderr.write(f"{text}\n")


def _at_exit() -> None:
    """Say what is left to itself when the kernel ends."""
    for guard in tuple(_guards):
        left, unfinished = guard.guarded, guard.unfinished
        if left and guard.outlasted:
            now = guard._clock.time()
            sys.stderr.write(f"{unguarded(left, now, 'This kernel ends')}\n")
        if unfinished and guard.outlasted:
            sys.stderr.write(f"{undone(unfinished, 'This kernel ends')}\n")


def undone(guarded: Iterable[Guarded], why: str) -> str:
    """Return the warning for what may bill and is not settled."""
    named = ", ".join(
        f"instance {one.id}" if one.id else "an unanswered rent request" for one in guarded
    )
    return (
        f"{why}: not resolved yet, and may bill: {named}. The next client continues at its first "
        "use; client.reconcile() reports the current state."
    )


atexit.register(_at_exit)
