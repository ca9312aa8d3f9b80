"""The watcher: one picture of all instances, for every widget, wait and handle of a client.

Nothing here runs by itself. There is no thread, no timer and no task: whoever wants a fresh picture
calls `Watcher.look`, and gets the one at hand if the next look is not due. A look is one list call
(with its pages); who comes while it is under way joins it. So any number of widgets and waits ask
once, and when nobody looks, nothing is sent.

What is decided is decided elsewhere, by pure functions: when the next look is worth while
(`vastnb.fleet.tempo`), whether a list is to be believed and what it makes of the picture
(`vastnb.fleet.picture`), what has changed (`vastnb.fleet.changes`), what costs money and must be
said (`vastnb.fleet.notices`). Here it is done, kept and told.
"""

from __future__ import annotations

import logging
import random
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from vastnb.clock import Clock
from vastnb.errors import AuthError, InvalidRequest, RateLimited, VastError
from vastnb.fleet import changes as news
from vastnb.fleet import tempo as pace
from vastnb.fleet.changes import Change
from vastnb.fleet.diary import Diary
from vastnb.fleet.history import number
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.notices import Said, notices
from vastnb.fleet.picture import (
    WATCH_COLUMNS,
    Doubt,
    Known,
    Meant,
    Watched,
    doubt,
    moved,
    take_list,
    take_one,
    trimmed,
)
from vastnb.fleet.status import Wanted
from vastnb.fleet.tempo import Tempo
from vastnb.searching import Call

log = logging.getLogger("vastnb.fleet")

ONE_LIST: Final = 20.0
"""Seconds that a list may take, with its pages, turns and repetitions."""
CREDIT_FRESH: Final = 300.0
"""Seconds for which the account's credit is not asked for again."""
MEANT_KEPT: Final = 1024
"""Instances of which it is remembered what they are meant to be."""

Subscriber = Callable[[Sequence[Change], "Snapshot"], None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All instances, as they were when somebody last looked.

    Parameters
    ----------
    instances : tuple of Watched
        In the order in which they appeared.
    asked_at : float or None
        When the last whole list was asked for, epoch seconds.
    next_at : float
        When the next look is worth while, epoch seconds.
    interval : float
        Seconds between looks.
    error : str
        Why the last look failed; empty if it did not.
    doubted : str
        Why the last list is not believed yet; empty if it is.
    credit : float or None
        What the account has left, $, as last known.
    looks : int
        Looks that were made, failed ones included.
    """

    instances: tuple[Watched, ...] = ()
    asked_at: float | None = None
    next_at: float = 0.0
    interval: float = pace.QUICK
    error: str = ""
    doubted: str = ""
    credit: float | None = None
    looks: int = 0

    def of(self, id: int) -> Watched | None:
        """Return one instance; None if it is not among them."""
        return next((one for one in self.instances if one.id == id), None)


class _Flight:
    """A look that is under way."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.thread = threading.get_ident()


@dataclass
class _State:
    """What the watcher knows. Changed under the lock, replaced and not altered."""

    picture: Mapping[int, Known] = field(default_factory=dict)
    asked_at: float | None = None
    tempo: Tempo = field(default_factory=Tempo)
    error: str = ""
    doubt: Doubt | None = None
    credit: float | None = None
    credit_at: float | None = None
    looks: int = 0
    said: frozenset[Said] = frozenset()


class Watcher:
    """One picture of all instances of an account.

    `vastnb.Client.watcher` is the one to use. It may be called from several threads.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    deadline_of : callable, optional
        From an instance's id to when it should end, epoch seconds, or None.
    chance : callable, optional
        Random numbers from 0 to 1.
    """

    def __init__(
        self,
        call: Call,
        clock: Clock,
        *,
        deadline_of: Callable[[int], float | None] | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._call = call
        self._clock = clock
        self._deadline_of = deadline_of
        self._chance = chance
        self._lock = threading.Lock()
        self._taking = threading.RLock()  # one list at a time is taken in, and told of
        self._flight: _Flight | None = None
        self._nudged = False
        self._closed = False
        self._columns: Sequence[str] = WATCH_COLUMNS
        self._meant: dict[int, Meant] = {}
        self._acted: set[int] = set()
        self._pending: list[Change] = []
        self._subscribers: dict[object, Subscriber] = {}
        self._diary = Diary()
        self._state = _State()
        self._snapshot = Snapshot()

    # -- looking -----------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """What is known now. Asks nothing, and waits for nobody."""
        return self._snapshot

    def due_in(self) -> float:
        """Return the seconds until a look is worth while, 0 if it is due."""
        if self._closed:
            return pace.CEILING
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
            flight.done.wait(ONE_LIST * 4)
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
        with self._taking:
            with self._lock:
                state = self._state
                before = state.picture.get(id)
                kept = trimmed(record) if record else None
                known = take_one(
                    before, id, kept, self._meant.get(id), asked_at=asked_at, credit=state.credit
                )
                first = before is None
                after = {**state.picture, id: known}
                found = news.changes_between(
                    state.picture, after, self._meant, asked_at, first=first
                )
                state.picture = after
                found = self._publish(found)
            self._tell(found)
        return known.watched

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
            Whether something was asked of the service; otherwise it is only known now.
        """
        now = self._clock.time()
        with self._lock:
            before = self._meant.pop(id, None)
            self._meant[id] = Meant(wanted, now, before.then(now) if before else None)
            while len(self._meant) > MEANT_KEPT:
                del self._meant[next(iter(self._meant))]
            if acted:
                self._acted.add(id)
                self._note_action(id, news.ASKED[wanted], now)
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

    def wanted(self, id: int) -> Wanted | None:
        """Return what an instance is meant to be, if anybody has said so."""
        meant = self._meant.get(id)
        return meant.wanted if meant else None

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
        """Have `callback` called with each notice: what costs money that it should not.

        Outbid, stuck, failed, not to be reached, credit that runs low, past its deadline. Each is
        said once, and not again until it has been well.

        Parameters
        ----------
        callback : callable
            ``callback(change)``, in the thread that looked.

        Returns
        -------
        callable
            Ends it.
        """

        def each(found: Sequence[Change], snapshot: Snapshot) -> None:
            for change in found:
                if change.kind == "notice":
                    callback(change)

        return self.subscribe(each)

    def events(self) -> pd.DataFrame:
        """Return what has changed since the watcher began, oldest first.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``kind``, ``before``, ``after``, ``level``, ``text``;
            see `vastnb.fleet.changes.Change`. The newest 2,000.
        """
        return self._diary.events()

    def history(self) -> pd.DataFrame:
        """Return a sample of each instance per look, oldest first.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``state``, ``gpu_util`` and ``cpu_util`` (%),
            ``gpu_temp`` (°C), ``mem_usage``, ``vmem_usage`` and ``disk_usage`` (GB), ``dph_now``
            ($/h, as charged at that moment, without traffic). The newest 20,000.
        """
        return self._diary.history()

    def close(self) -> None:
        """End it: nothing is asked from now on. Machines stay as they are."""
        with self._lock:
            self._closed = True
            self._subscribers.clear()

    def __repr__(self) -> str:
        shown = self._snapshot
        trouble = f", {shown.error or shown.doubted}" if shown.error or shown.doubted else ""
        return f"<Watcher: {len(shown.instances)} instances, {shown.looks} looks{trouble}>"

    # -- in private --------------------------------------------------------------------------

    def _look(self) -> None:
        try:
            listing = self._list()
        except Exception as error:  # noqa: BLE001  (it would die silently in a worker; the snapshot shows it)
            self._failed(error)
            return
        try:
            self._take(listing, asked=True)
        except Exception as error:  # noqa: BLE001  (as above)
            self._failed(error)

    def _list(self) -> Listing:
        try:
            return list_instances(self._call, self._clock, columns=self._columns, within=ONE_LIST)
        except InvalidRequest as error:
            if error.status is None or "*" in self._columns:
                raise
            # A service that does not know one of the columns is asked for all of them.
            listing = list_instances(self._call, self._clock, columns=["*"], within=ONE_LIST)
            self._columns = ("*",)
            return listing

    def _take(self, listing: Listing, *, asked: bool = False) -> None:
        """Take a list in, and tell of it."""
        if asked:
            self._ask_credit(listing)
        with self._taking:
            with self._lock:
                state = self._state
                if state.asked_at is not None and listing.asked_at < state.asked_at:
                    return  # an older one that came later
                found = self._taken(state, listing)
                state.looks += asked
                found = self._publish(found)
            self._diary.sample(listing.asked_at, self._state.picture.values())
            self._tell(found)

    def _taken(self, state: _State, listing: Listing) -> list[Change]:
        at, now = listing.asked_at, self._clock.time()
        before = state.picture
        ids = {int(record["id"]) for record in listing.records}
        doubted = doubt(before, ids, self._meant, state.doubt, asked_at=at)
        after = take_list(
            before, listing.records, self._meant, asked_at=at, doubted=doubted, credit=state.credit
        )
        first = state.asked_at is None
        found = news.changes_between(before, after, self._meant, at, first=first and not before)
        was, is_ = state.error or state.doubt, doubted
        if doubted and not state.doubt:
            found.append(news.trouble(at, doubted.text))
        elif was and not is_:
            found.append(news.recovered(at, "The list of instances is whole again."))
        soon = bool(found) or doubted is not None or moved(before, after)
        state.tempo = pace.after_look(state.tempo, now, moved=soon)
        state.picture, state.asked_at = after, at
        state.error, state.doubt = "", doubted
        if self._nudged:
            state.tempo = pace.after_action(state.tempo, now)
        return found

    def _failed(self, error: Exception) -> None:
        known = isinstance(error, VastError)
        text = error.message if isinstance(error, VastError) else f"{type(error).__name__}: {error}"
        if not known:
            log.error("a look at the instances failed", exc_info=error)
        with self._taking:
            with self._lock:
                if self._closed:
                    return
                state, now = self._state, self._clock.time()
                found = [] if state.error else [news.trouble(now, text)]
                state.tempo = pace.after_failure(
                    state.tempo,
                    now,
                    chance=self._chance(),
                    retry_after=error.retry_after if isinstance(error, RateLimited) else None,
                    hopeless=isinstance(error, AuthError | InvalidRequest),
                )
                state.error = text
                state.looks += 1
                found = self._publish(found)
            self._tell(found)

    def _publish(self, found: list[Change]) -> list[Change]:
        """Make the snapshot of the state; return the changes with notices and actions added."""
        state, now = self._state, self._clock.time()
        deadlines = {}
        for one in state.picture:
            deadline = self._deadline_of(one) if self._deadline_of else None
            if deadline is not None:
                deadlines[one] = deadline
        state.said, fresh = notices(
            state.said,
            state.picture,
            at=now,
            credit=state.credit,
            deadlines=deadlines,
            acted=self._acted,
        )
        self._acted.clear()
        pending, self._pending = self._pending, []
        self._show()
        self._diary.note([*found, *fresh])
        return [*pending, *found, *fresh]

    def _show(self) -> None:
        state = self._state
        self._snapshot = Snapshot(
            instances=tuple(one.watched for one in state.picture.values()),
            asked_at=state.asked_at,
            next_at=state.tempo.next_at,
            interval=state.tempo.interval,
            error=state.error,
            doubted=state.doubt.text if state.doubt else "",
            credit=state.credit,
            looks=state.looks,
        )

    def _tell(self, found: Sequence[Change]) -> None:
        with self._lock:
            callbacks, snapshot = list(self._subscribers.values()), self._snapshot
        for callback in callbacks:
            try:
                callback(tuple(found), snapshot)
            except Exception as error:  # noqa: BLE001  (one listener must not cost the others their news)
                warnings.warn(
                    f"A function that listens to the watcher failed: {type(error).__name__}: "
                    f"{error}. The others were told.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _note_action(self, id: int, text: str, now: float) -> None:
        known = self._state.picture.get(id)
        change = news.asked(now, id, known.watched if known else None, text)
        self._pending.append(change)
        self._diary.note([change])

    def _quicken(self, now: float) -> None:
        self._nudged = True
        self._state.tempo = pace.after_action(self._state.tempo, now)
        self._show()

    def _ask_credit(self, listing: Listing) -> None:
        state = self._state
        if not listing.records:
            return
        if state.credit_at is not None and listing.asked_at - state.credit_at < CREDIT_FRESH:
            return
        state.credit_at = listing.asked_at
        try:
            answer = self._call("show_user", max_wait=pace.QUICK)
        except VastError as error:
            log.debug("the credit could not be asked for: %s", error.message)
            return
        credit = number(answer.data.get("credit")) if isinstance(answer.data, Mapping) else None
        if credit is not None:
            state.credit = credit


__all__ = [
    "Change",
    "Snapshot",
    "Watched",
    "Watcher",
]
