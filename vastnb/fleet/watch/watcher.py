"""The watcher: one picture of all instances, for every widget, wait and handle of a client.

Nothing here runs by itself. There is no thread, no timer and no task: whoever wants a fresh picture
calls `Watcher.look`, and gets the one at hand if the next look is not due. A look is one list call
(with its pages); who comes while it is under way joins it. So any number of widgets and waits ask
once, and when nobody looks, nothing is sent.

What is decided is decided elsewhere, by pure functions: when the next look is due (`tempo`),
whether a list is to be believed and what it makes of the picture (`picture`), what has changed
(`changes`), what costs money and must be said (`notices`); `state` puts them together. Here it is
done, kept and told.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from vastnb.api.answers import Call
from vastnb.clock import Clock
from vastnb.errors import AuthError, InvalidRequest, RateLimited, VastError, bare
from vastnb.fleet.env import marker_of
from vastnb.fleet.listing import Listing
from vastnb.fleet.rent.journal import JournalView, Written
from vastnb.fleet.status import Wanted
from vastnb.fleet.watch.changes import ACTIONS, Change, action
from vastnb.fleet.watch.eventlog import EventLog
from vastnb.fleet.watch.look import ONE_LIST, Looker
from vastnb.fleet.watch.picture import Desired, Watched, relabelled, take_one, trimmed
from vastnb.fleet.watch.state import (
    Snapshot,
    WatchState,
    with_action,
    with_failure,
    with_list,
    with_notices,
    with_tracked,
)
from vastnb.fleet.watch.tempo import CEILING, QUICK

log = logging.getLogger("vastnb.fleet")

DESIRED_KEPT: Final = 1024
"""Instances of which it is remembered what they are meant to be."""

Subscriber = Callable[[Sequence[Change], Snapshot], None]


class _Flight:
    """A look that is under way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.thread = threading.get_ident()


class Watcher:
    """One picture of all instances of an account.

    `vastnb.Client.watcher` is the one to use. It may be called from several threads.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    journal : JournalView, optional
        What is written down of machines: their deadlines, their rentals, and which of them vastnb
        has rented on this computer; without it, a marker says so.
    local : bool
        Whether the service, and so its machines, are on this computer: what may be probed.
    chance : callable, optional
        Random numbers from 0 to 1.

    Attributes
    ----------
    also : callable
        Told of every list that comes in, whoever has asked for it.
    """

    def __init__(
        self,
        call: Call,
        clock: Clock,
        journal: JournalView | None = None,
        *,
        local: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.also: Callable[[Listing], object] = lambda listing: None
        self._looker = Looker(call, clock, local=local)
        self._clock = clock
        self._journal = journal
        self._chance = chance
        self._lock = threading.Lock()  # held for moments, never while anybody is asked or told
        self._taking = threading.RLock()  # one list at a time is taken in, and told of
        self._state = WatchState()
        self._snapshot = Snapshot()
        self._flight: _Flight | None = None
        self._nudged = False
        self._closed = False
        self._failure: Exception | None = None
        self._acted: set[int] = set()
        self._subscribers: dict[object, Subscriber] = {}
        self._events = EventLog()
        self._pending: list[Change] = []

    # -- looking -----------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What is known now. Asks nothing, and waits for nobody."""
        return self._snapshot

    @property
    def is_recent(self) -> bool:
        """Whether the picture is a few seconds old, and nothing was done or went wrong since."""
        state = self._state
        if state.asked_at is None or state.error or state.doubt or self._nudged:
            return False
        return -1.0 < self._clock.time() - state.asked_at < QUICK

    @property
    def failure(self) -> Exception | None:
        """The error that makes looking again useless; None while there is none."""
        if self._closed:
            return InvalidRequest("This client is closed and no longer watches your instances.")
        return self._failure

    @property
    def closed(self) -> bool:
        """Whether it has ended with its client: what it shows grows old."""
        return self._closed

    def due_in(self) -> float:
        """Return the seconds until a look is worth while, 0 if it is due."""
        if self._closed:
            return CEILING
        return self._state.tempo.due_in(self._clock.time())

    def look(self, *, at_once: bool = False) -> Snapshot:
        """Look, if that is due: at most one list call.

        Parameters
        ----------
        at_once : bool
            Even if it is not due.

        Returns
        -------
        Snapshot
            A list that could not be had is no error here: ``error`` says what happened, and
            ``next_at`` when it is tried again.
        """
        with self._lock:
            if self._closed:
                return self._snapshot
            flight, mine = self._flight, False
            if flight is None:
                if not at_once and self.due_in() > 0:
                    return self._snapshot
                flight = self._flight = _Flight()
                mine, self._nudged = True, False
        if mine:
            try:
                self._look()
            finally:
                with self._lock:
                    self._flight = None
                flight.done.set()
        elif flight.thread != threading.get_ident():  # a subscriber that looks waits for nobody
            flight.done.wait(4 * ONE_LIST)
        return self._snapshot

    def feed(self, listing: Listing) -> Snapshot:
        """Take in a list that somebody else has asked for, with all columns."""
        self._take(listing)
        return self._snapshot

    def saw(self, id: int, record: Mapping[str, Any] | None, asked_at: float) -> Watched:
        """Take in one record that somebody else has asked for.

        Parameters
        ----------
        id : int
            The instance.
        record : mapping or None
            What the service shows of it; only what is needed is kept.
        asked_at : float
            When it was asked for, epoch seconds.
        """
        kept = trimmed(record) if record else None
        ours = self._known_in([id])
        with self._taking:
            with self._lock:
                state = self._state
                before, desired = state.picture.get(id), state.desired.get(id)
                tracked = take_one(
                    before, id, kept, desired, asked_at=asked_at, credit=state.credit, ours=ours
                )
                self._state, found = with_tracked(state, tracked, asked_at)
            self._publish(found)
        return tracked.watched

    # -- acting ------------------------------------------------------------------------------

    def expect(self, id: int, wanted: Wanted, *, acted: bool = True) -> None:
        """Say what an instance is meant to be, after something was done for it.

        Parameters
        ----------
        id : int
            The instance.
        wanted : {"running", "stopped", "gone"}
            What it is meant to be.
        acted : bool
            Whether something was asked of the service. Otherwise this is somebody's belief, which
            counts only where nothing is known.
        """
        now = self._clock.time()
        with self._lock:
            before = self._state.desired.get(id)
            if before is not None and not acted:
                return
            others = {n: m for n, m in self._state.desired.items() if n != id}
            while len(others) >= DESIRED_KEPT:
                del others[next(iter(others))]
            desired = Desired(wanted, now, before.then(now) if before else None)
            self._state = replace(self._state, desired={**others, id: desired})
            if acted:
                self._acted.add(id)
                self._note_action(id, ACTIONS[wanted], now)
            self._quicken(now)

    def nudge(self, id: int | None = None, text: str = "") -> None:
        """Look soon and be quick again, after something was done.

        Parameters
        ----------
        id : int, optional
            The instance.
        text : str
            What was done, in words, for the list of events.
        """
        now = self._clock.time()
        with self._lock:
            if id is not None and text:
                self._note_action(id, text, now)
            self._quicken(now)

    def relabel(self, id: int, label: str | None) -> None:
        """Show another label from now on; the service has accepted it."""
        now = self._clock.time()
        with self._lock:
            state = self._state
            tracked = state.picture.get(id)
            if tracked is not None:
                self._state = replace(
                    state, picture={**state.picture, id: relabelled(tracked, label)}
                )
            self._note_action(id, "label changed" if label else "label removed", now)
            self._quicken(now)

    def wanted(self, id: int) -> Wanted | None:
        """Return what an instance is meant to be, if anybody has said so."""
        desired = self._state.desired.get(id)
        return desired.wanted if desired else None

    @property
    def probe(self) -> bool:
        """Whether each look also tries whether SSH answers on what is shown as running.

        Off unless somebody asks for it: it is traffic to the machines themselves.
        """
        return self._looker.probe

    @probe.setter
    def probe(self, on: bool) -> None:
        self._looker.probe = on

    def probing(self, ids: Sequence[int]) -> AbstractContextManager[None]:
        """Try, inside the block, whether SSH answers on these instances, with each look."""
        return self._looker.probing(ids)

    def deadline(self, id: int) -> float | None:
        """Return when an instance should end, epoch seconds; None if nobody has said so."""
        return self._journal.deadline(id) if self._journal else None

    # -- telling -----------------------------------------------------------------------------

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have `callback` called with what has changed, after each look that was made.

        Parameters
        ----------
        callback : callable
            ``callback(changes, snapshot)``, in the thread that looked. It should be quick.

        Returns
        -------
        callable
            Ends it.
        """
        token = object()
        with self._lock:
            self._subscribers[token] = callback

        def end() -> None:
            with self._lock:
                self._subscribers.pop(token, None)

        return end

    def on_notice(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Have `callback` called with each notice: what costs money and should not.

        Outbid, stuck, failed, not to be reached, back after it was destroyed, past its deadline,
        credit that runs low. Each is said once, and not again until it has been well.

        Parameters
        ----------
        callback : callable
            ``callback(change)``, in the thread that looked.

        Returns
        -------
        callable
            Ends it.
        """

        def each(found: Sequence[Change], shown: Snapshot) -> None:
            for change in found:
                if change.kind == "notice":
                    callback(change)

        return self.subscribe(each)

    def events(self) -> pd.DataFrame:
        """Return what has happened, oldest first; the newest 2,000.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``kind``, ``before``, ``after``, ``level``, ``text``;
            see `vastnb.fleet.watch.changes.Change`.
        """
        return self._events.events()

    def history(self) -> pd.DataFrame:
        """Return a sample of each instance per look, oldest first.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``state``, ``gpu_util`` and ``cpu_util`` (%),
            ``gpu_temp`` (°C), ``mem_usage``, ``vmem_usage`` and ``disk_usage`` (GB), ``dph_now``
            ($/h, as charged at that moment, without traffic). The newest 20,000.
        """
        return self._events.history()

    # -- itself ------------------------------------------------------------------------------

    def close(self) -> None:
        """End it: nothing is asked or told from now on. Machines stay as they are."""
        with self._lock:
            self._closed = True
            self._subscribers.clear()

    def __repr__(self) -> str:
        shown = self._snapshot
        trouble = f", {shown.error or shown.doubted}" if shown.error or shown.doubted else ""
        return f"<Watcher: {len(shown.instances)} instances, {shown.looks} updates{trouble}>"

    # -- in private: a look ------------------------------------------------------------------

    def _look(self) -> None:
        try:
            listing, credit, reached = self._looker.fetch()
            self._take(listing, credit=credit, reached=reached, looked=True)
        except Exception as error:  # noqa: BLE001  (a worker would die silently; the snapshot shows it)
            self._failed(error)

    def _take(
        self,
        listing: Listing,
        *,
        credit: float | None = None,
        reached: Mapping[int, bool] | None = None,
        looked: bool = False,
    ) -> None:
        """Take a list in, and tell of it."""
        self.also(listing)
        deadlines, rentals = self._noted(listing)  # reads a file: before anything is held
        listed = [int(record["id"]) for record in listing.records]
        known = self._known_in([*listed, *self._state.desired])
        with self._taking:
            with self._lock:
                state, now = self._state, self._clock.time()
                if self._closed or listing.asked_at < (state.asked_at or -math.inf):
                    return  # closed meanwhile, or an older list that came later
                self._state, found = with_list(
                    replace(state, looks=state.looks + looked),
                    listing,
                    now=now,
                    credit=credit,
                    reached=reached,
                    nudged=self._nudged,
                    ours=known,
                )
                self._failure = None
            self._events.sample(listing.asked_at, self._state.picture.values())
            self._publish(found, deadlines, rentals)

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, VastError)
        text = error.message if isinstance(error, VastError) else f"{type(error).__name__}: {error}"
        hopeless = not known or isinstance(error, AuthError | InvalidRequest)
        if not known:
            log.error("updating the instances failed", exc_info=error)
        with self._taking:
            with self._lock:
                if self._closed:
                    return
                self._state, found = with_failure(
                    self._state,
                    text,
                    now=self._clock.time(),
                    chance=self._chance(),
                    retry_after=error.retry_after if isinstance(error, RateLimited) else None,
                    hopeless=hopeless,
                )
                self._failure = bare(error) if hopeless else None
            self._publish(found)

    # -- in private: telling -----------------------------------------------------------------

    def _publish(
        self,
        found: list[Change],
        deadlines: Mapping[int, float] | None = None,
        rentals: Mapping[int, Written] | None = None,
    ) -> None:
        """Show the state, and tell what has changed."""
        with self._lock:
            acted, self._acted = self._acted, set()
            self._state, fresh = with_notices(
                self._state,
                now=self._clock.time(),
                deadlines=deadlines or {},
                rentals=rentals or {},
                acted=acted,
            )
            self._snapshot = self._state.shown()
            told = (*self._pending, *found, *fresh)
            self._pending = []
            shown = self._snapshot
            subscribers = list(self._subscribers.values())
        self._events.add([*found, *fresh])
        for callback in subscribers:
            try:
                callback(told, shown)
            except Exception as error:  # noqa: BLE001  (it is somebody else's; the others must be told)
                warnings.warn(
                    f"A callback of client.watcher failed: {type(error).__name__}: {error}. The "
                    "other callbacks were called.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _noted(self, listing: Listing) -> tuple[dict[int, float], dict[int, Written]]:
        """Return deadlines and rentals of the machines in a list, as far as they are known."""
        deadlines: dict[int, float] = {}
        rentals: dict[int, Written] = {}
        journal = self._journal
        for record in listing.records if journal else ():
            assert journal is not None
            id, mark = int(record["id"]), marker_of(record)
            if (deadline := journal.deadline(id)) is not None:
                deadlines[id] = deadline
            if mark and (rental := journal.rental(mark, listing.asked_at)) is not None:
                rentals[id] = rental
        return deadlines, rentals

    def _known_in(self, ids: Sequence[int]) -> frozenset[int] | None:
        journal = self._journal
        return frozenset(id for id in ids if journal.is_known(id)) if journal else None

    def _note_action(self, id: int, text: str, now: float) -> None:
        tracked = self._state.picture.get(id)
        change = action(now, id, tracked.watched if tracked else None, text)
        self._pending.append(change)
        self._events.add([change])

    def _quicken(self, now: float) -> None:
        self._nudged = True
        self._state = with_action(self._state, now)
        self._snapshot = self._state.shown()
