"""Finding out what became of attempts, and seeing to it that what must go is gone.

`settle` does what `plan.next_step` decides, for any number of cases at once: one list of instances
serves them all. `turn` does one round of it, for the guard. Every change is in the journal before
it is sent, so that it may be interrupted anywhere; a journal that cannot be written is told of, and
keeps no machine alive.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vastnb.api.answers import Call
from vastnb.api.progress import Tick
from vastnb.clock import Clock, Steady
from vastnb.errors import AuthError, InvalidRequest, JournalError, VastError
from vastnb.fleet.env import label_of
from vastnb.fleet.listing import Listing, list_instances, record_of
from vastnb.fleet.rent.entry import CONFIRMED, Entry
from vastnb.fleet.rent.events import warn
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import UNRENTED, known_contracts, listed_by, match
from vastnb.fleet.rent.plan import (
    ABSENT_BEHIND_GATEWAY,
    LISTED_WITHIN,
    Adopt,
    AttemptState,
    Close,
    Destroy,
    Facts,
    Leave,
    LookAgain,
    Sightings,
    Step,
    next_step,
)

BUDGET: Final = ABSENT_BEHIND_GATEWAY + 30.0
"""Seconds for finding out what became of an attempt."""

DESTROY_BUDGET: Final = 120.0
"""Seconds for seeing that machines are gone and stay away."""

BULK: Final = 64
"""Machines in one request, as for the service's bulk create."""

CLOSED: Final = "closed"
"""Why a case is left if the client was closed: whatever is tried again fails as well."""

REFUSED: Final = "refused"
"""Why a case is left if the service refuses to destroy its machine: it is tried again later."""

ONE_LIST: Final = 20.0
"""Seconds for one list, with its pages, turns and repetitions."""

ONE_DESTROY: Final = 40.0
"""Seconds for one request to destroy a machine."""

ONE_OF_MANY: Final = 10.0
"""... while others wait behind it: one that hangs must not make them late."""

GATEWAY: Final = "answer lost behind a gateway"
"""The note of an attempt that a gateway answered for the service."""

DOUBTED: Final = "doubted: its offer was rented by somebody"
"""The note of an attempt that was called absent, and is looked for once more, for longer."""

JOURNAL_PAUSE: Final = 30.0
"""Seconds for which a journal that cannot be written is not tried again."""


FLYING: dict[str, threading.Thread] = {}
"""Markers of attempts that are being sent or settled, and by which thread."""


def in_flight() -> frozenset[str]:
    """Return the markers of the attempts that other threads of this process are busy with.

    Whoever asks is not busy with one: a marker of its own was left behind by a Ctrl-C.
    """
    me = threading.current_thread()
    return frozenset(
        marker for marker, one in tuple(FLYING.items()) if one is not me and one.is_alive()
    )


@contextmanager
def flying(cases: Sequence[Case]) -> Iterator[None]:
    """Keep others of this process from settling these attempts, inside the block."""
    markers = [one.marker or "" for one in cases]
    try:
        FLYING.update(dict.fromkeys(markers, threading.current_thread()))
        yield
    finally:
        for marker in markers:
            FLYING.pop(marker, None)


@dataclass
class Case:
    """One attempt, or one machine, while it is being settled.

    Parameters
    ----------
    state : AttemptState
        Where it stands.
    since : float
        Nothing was sent for it after this moment, seconds since the epoch.
    entry : Entry or None
        Its row of the journal; None for a machine that is not written down.
    contract : int or None
        Its machine.
    """

    state: AttemptState
    since: float
    entry: Entry | None = None
    contract: int | None = None
    seen: Sightings = field(default_factory=Sightings)
    record: Mapping[str, Any] | None = field(default=None, repr=False)
    left: str = ""
    """Why it was left as it is; empty while it is being settled."""
    error: str = ""
    """What went wrong last, in words."""
    destroyed: list[int] = field(default_factory=list)
    """Machines that were asked to be destroyed."""
    accepted: bool = False
    """Whether the service has confirmed the last request to destroy it."""
    refusal: VastError | None = None
    """Why the service refuses to destroy it."""
    foreign: bool = False
    """Whether the machine that the answer named is somebody else's."""
    missing: bool = False
    """Whether nobody here knows of its machine, neither the journal nor the service."""
    created_by: float = math.inf
    """Its machine, if there is one, was made by this moment, whatever the clock said then."""
    look_in: float = 0.0
    """Seconds until the next look is due."""
    written: AttemptState | None = None
    """Where its row stands, as far as is known here."""

    @property
    def marker(self) -> str | None:
        """What its machine carries."""
        return self.entry.marker if self.entry else None

    @property
    def is_ended(self) -> bool:
        """Whether its machine was destroyed and seen gone, whether or not it has to stay gone."""
        return self.state is AttemptState.DESTROYED or self.left == "confirmed"

    @property
    def facts(self) -> Facts:
        """What is known of it, for `next_step`."""
        return Facts(
            self.since,
            self.contract,
            never_ran(self.record),
            -math.inf
            if self.state is AttemptState.DESTROYED
            else min(listed_by(self.entry), self.created_by + LISTED_WITHIN),
            gateway=self.entry is not None and self.entry.note in (GATEWAY, DOUBTED),
            accepted=self.accepted,
            foreign=self.foreign,
        )

    @classmethod
    def of(cls, entry: Entry) -> Case:
        """Return the case of a row of the journal."""
        return cls(
            entry.state,
            entry.since,
            entry,
            entry.contract,
            accepted=entry.is_confirmed,
            written=entry.state,
        )


class Settler:
    """Settles cases.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    journal : Journal
        Where it is written down.
    found : str
        The note of an attempt whose machine is found.
    """

    def __init__(self, call: Call, clock: Clock, journal: Journal, found: str = "") -> None:
        self._call = call
        self._clock = clock
        self._journal = journal
        self._found = found
        self._journal_failed = -math.inf

    def settle(
        self,
        cases: Sequence[Case],
        budget: float = BUDGET,
        first: Listing | None = None,
        *,
        stays: bool = False,
        tick: Tick = lambda passed: None,
    ) -> None:
        """Settle cases, as far as the time allows. Changes them in place.

        Parameters
        ----------
        cases : sequence of Case
            Of this process, or claimed by it.
        budget : float
            Seconds.
        first : Listing, optional
            A list that has just been asked for.
        stays : bool
            Whether to look until a destroyed machine has stayed gone, or once only.
        tick : callable
            Told of the seconds that pass.
        """
        # By a clock that nobody sets meanwhile: what is proved is proved by the time that passes.
        settler = Settler(self._call, Steady(self._clock), self._journal)
        settler._settle(cases, budget, first, stays, tick)

    def take(self, case: Case, listing: Listing) -> None:
        """Do what a list that was asked for anyway says about a case."""
        self._show([case], listing)
        self._act([case], math.inf, stays=True, once=True)

    def turn(self, cases: Sequence[Case]) -> None:
        """Do what is due about cases once: one list, and what follows.

        `Case.look_in` says when the next turn is due; `Case.left` is set where none is.
        """
        now = self._begin(cases)
        self._act(cases, math.inf, stays=True)
        due = [case for case in cases if not case.left]
        if due:
            self._look(due, now + ONE_LIST)
            self._act(due, math.inf, stays=True)

    def _settle(
        self,
        cases: Sequence[Case],
        budget: float,
        first: Listing | None,
        stays: bool,
        tick: Tick,
    ) -> None:
        deadline = self._begin(cases) + budget
        if first is not None:
            self._show(cases, first)
        while True:
            wait = self._act(cases, deadline, stays=stays)
            if wait is None:
                return
            before = self._clock.time()
            self._clock.sleep(wait)
            self._look([case for case in cases if not case.left], deadline, alone=not stays)
            tick(self._clock.time() - before)

    def _begin(self, cases: Sequence[Case]) -> float:
        """Return the time, with nothing in these cases later than that: the clock was set back."""
        now = self._clock.time()
        for case in cases:
            case.left = ""
            case.since, case.created_by = min(case.since, now), min(case.created_by, now)
        return now

    def record(self, case: Case, **changes: Any) -> None:
        """Write down what has become of a case; if that fails, say so and go on.

        What is in memory is changed first: a guard must know of a machine that could not be
        written down. The attempt itself is in the journal since before it was sent, so whoever
        reads the older row finds the machine again by its marker. If somebody else has written
        meanwhile what became of it, that holds; but a destroy always does.
        """
        now = self._clock.time()
        for name in ("contract", "since", "state"):  # interrupted, none is live without its id
            if name in changes:
                setattr(case, name, changes[name])
        if case.entry is None:
            return
        case.entry = replace(case.entry, **changes, updated_at=now)
        if 0 <= now - self._journal_failed < JOURNAL_PAUSE:
            return
        written = {**changes, "state": case.state, "contract": case.contract, "since": case.since}
        was = None if changes.get("state") is AttemptState.DESTROYING else case.written
        try:
            entry = self._journal.update(case.entry, was, **written, updated_at=now)
            case.written = entry.state
            if entry.state is not case.state:
                case.entry, case.contract, case.since = entry, entry.contract, entry.since
                case.state, case.seen = entry.state, Sightings()
                case.accepted = entry.is_confirmed
        except JournalError as error:
            self._journal_failed = self._clock.time()
            warn(error.message, stacklevel=3)

    def journal_failed(self) -> None:
        """Do not wait for the journal for a while: machines come first."""
        self._journal_failed = self._clock.time()

    def destroy(self, case: Case, id: int | None = None) -> None:
        """Ask for a case's machine to be destroyed, once. Whether it is gone is seen later."""
        contract = case.contract if id is None else id
        assert contract is not None
        case.accepted, case.error = False, ""
        self.record(
            case,
            state=AttemptState.DESTROYING,
            since=self._clock.time(),
            contract=contract,
            note="",
        )
        self._delete(case)
        # Counted from the answer: what was listed before it proves nothing.
        case.since, case.seen = self._clock.time(), Sightings()

    def destroy_all(self, cases: Sequence[Case]) -> None:
        """Ask for the machines of several cases to be destroyed, with as few requests as possible.

        Where the service does not take several at once, or not these, or its answer is lost, each
        is asked for by itself. Whatever is still listed is asked for again.

        Parameters
        ----------
        cases : sequence of Case
            Each with its machine.
        """
        if len(cases) == 1:
            self.destroy(cases[0])
            return
        # All are written down first, so that an interruption forgets none.
        for case in cases:
            case.accepted, case.error = False, ""
            self.record(case, state=AttemptState.DESTROYING, since=self._clock.time(), note="")
        for first in range(0, len(cases), BULK):
            some = cases[first : first + BULK]
            if not self._delete_at_once(some):
                for case in some:
                    self._delete(case, ONE_OF_MANY)
            for case in some:
                case.since, case.seen = self._clock.time(), Sightings()

    def end_stillborn(self, case: Case) -> None:
        """Destroy the machine that a refusal has named, if it is ours."""
        assert case.contract is not None
        try:
            record = record_of(self._call, case.contract, ONE_LIST)
        except VastError as error:
            case.error = _trouble("listing your instances", error)
            return
        if record is not None:
            self._show([case], Listing((record,), self._clock.time()))
            self._act([case], math.inf, stays=True, once=True)

    # -- in private --------------------------------------------------------------------------

    def _delete_at_once(self, cases: Sequence[Case]) -> bool:
        """Send one request for all; False if the service is not known to have taken it."""
        ids = [case.contract for case in cases]
        try:
            answer = self._call(
                "destroy_instances", body={"instance_ids": ids}, max_wait=ONE_OF_MANY
            )
        except VastError:
            # One of them may be gone already, or hang, or the key may do this one by one only.
            return False
        if isinstance(answer.data, Mapping) and answer.data.get("success") is False:
            return False
        for case in cases:
            case.destroyed.append(case.contract or 0)
            case.accepted, case.refusal = True, None
        return True

    def _act(
        self, cases: Sequence[Case], deadline: float, *, stays: bool, once: bool = False
    ) -> float | None:
        """Do what is due; return the seconds until the next look, None if none is needed."""
        waits: list[float] = []
        for case in cases:
            while not case.left:
                step = next_step(
                    case.state,
                    case.seen,
                    case.facts,
                    now=self._clock.time(),
                    deadline=deadline,
                    stays=stays,
                )
                if isinstance(step, LookAgain):
                    case.look_in = step.seconds
                    waits.append(step.seconds)
                    break
                self._do(case, step)
                if once:
                    break
        return min(waits) if waits else None

    def _do(self, case: Case, step: Step) -> None:
        match step:
            case Leave(why):
                case.left = why
                if why == "confirmed":
                    self.record(case, note=CONFIRMED)
            case Adopt(keep):
                self.record(case, state=AttemptState.ADOPTED, contract=keep, note=self._found)
            case Destroy(id):
                self.destroy(case, id)
                if case.refusal is not None:
                    case.left = REFUSED
            case Close(AttemptState.REFUSED):
                note = f"the answer named instance {case.contract}, which is not from this request"
                self.record(case, state=AttemptState.REFUSED, contract=None, note=note)
                case.left = "settled"
            case Close(state):
                if self._is_certain(case):
                    self.record(case, state=state)
                    case.left = "settled"

    def _is_certain(self, case: Case) -> bool:
        """Ask a second witness before a machine is called gone or absent: lists may be wrong."""
        looks = case.seen.looks
        try:
            if case.contract is not None:
                record = record_of(self._call, case.contract, ONE_LIST)
                found = [] if record is None else [case.contract]
            else:
                found = self._labelled(case)
        except VastError as error:
            case.seen, case.error = (
                Sightings(looks=looks),
                _trouble("listing your instances", error),
            )
            case.left = _end_of(error)
            return False
        if found:
            case.seen = Sightings(tuple(found), looks=looks)
        return not found

    def _labelled(self, case: Case) -> list[int]:
        """Return the machines with the label that was made from a case's marker."""
        if case.entry is None or case.entry.label is not None:
            return []
        body = {"label": label_of(case.entry.marker)}
        try:
            data = self._call("fetch_contracts", body=body, max_wait=ONE_LIST).data
        except InvalidRequest:
            return []  # not every server has it
        rows = data.get("contracts") if isinstance(data, Mapping) else None
        return [
            row["id"]
            for row in rows or ()
            if isinstance(row, Mapping)
            and row.get("label") == body["label"]
            and type(row.get("id")) is int
        ]

    def _delete(self, case: Case, within: float = ONE_DESTROY) -> None:
        number = case.contract or 0
        if number not in case.destroyed:
            case.destroyed.append(number)
        case.refusal = None
        try:
            answer = self._call("destroy_instance", path={"id": number}, body={}, max_wait=within)
        except InvalidRequest as error:
            if error.status == 404:
                # There is no such machine: not any more, or it is too new to be shown.
                now = self._clock.time()
                case.created_by = min(case.created_by, now)
                case.accepted = now >= case.facts.listed_by
                case.missing = case.entry is not None and case.entry.offer_id == UNRENTED
                return
            case.error, case.left = _trouble("destroying it", error), _end_of(error)
            case.refusal = None if error.code == CLOSED else error
        except AuthError as error:
            case.error, case.refusal = _trouble("destroying it", error), error
        except VastError as error:
            case.error = _trouble("destroying it", error)
        else:
            data = answer.data
            if isinstance(data, Mapping) and data.get("success") is False:
                said = str(data.get("msg") or data.get("error") or "no reason given")[:200]
                case.error = f'destroying it failed ("{said}").'
                case.refusal = InvalidRequest(
                    f'Vast.ai refused to destroy instance {number} ("{said}").',
                    code=str(data.get("error") or "refused"),
                )
            else:
                case.accepted, case.missing = True, False

    def _look(self, cases: Sequence[Case], deadline: float, *, alone: bool = False) -> None:
        # The last look may end a little late; it is never cut short.
        within = max(min(ONE_LIST, deadline - self._clock.time()), ONE_LIST / 2)
        now = self._clock.time()
        try:
            if alone and len(cases) == 1 and cases[0].state is AttemptState.DESTROYING:
                record = record_of(self._call, cases[0].contract or 0, ONE_LIST)
                listing = Listing(() if record is None else (record,), now)
            else:
                listing = list_instances(self._call, self._clock, within=within)
        except VastError as error:
            for case in cases:
                case.seen = case.seen.failed()
                case.error = _trouble("listing your instances", error)
                case.left = _end_of(error)
            return
        for case in cases:
            case.error = ""
        self._show(cases, listing)

    def _show(self, cases: Sequence[Case], listing: Listing) -> None:
        for case in cases:
            found, maybe = self._of(case, listing.records)
            case.seen = case.seen.saw(found, listing.asked_at, maybe)
            case.record = listing.record(found[0]) if found else None

    def _of(self, case: Case, records: Iterable[Mapping[str, Any]]) -> tuple[list[int], list[int]]:
        """Return which machines of a list are a case's, and which may be."""
        if case.entry is None:
            return [case.contract or 0] * any(one["id"] == case.contract for one in records), []
        entry = replace(case.entry, state=case.state, contract=case.contract)
        found, maybe = [], []
        for record in records:
            says = match(entry, record)
            if says == "ours":
                found.append(int(record["id"]))
            elif says == "maybe":
                maybe.append(int(record["id"]))
            elif case.state is AttemptState.STILLBORN and record["id"] == case.contract:
                case.foreign = True
        if maybe:
            try:
                known = known_contracts(self._journal.entries_at(entry.base_url))
            except JournalError:
                known = {}
            maybe = [one for one in maybe if one not in known]
        return found, maybe


def _end_of(error: VastError) -> str:
    """Return why a case is left after this error; empty if it is gone on with."""
    return CLOSED if error.code == CLOSED else ""


def _trouble(doing: str, error: VastError) -> str:
    """Say what went wrong, without what the error says of that one request's cost."""
    return f"{doing} failed ({error.message.partition('. ')[0].rstrip('.')})."


def never_ran(record: Mapping[str, Any] | None) -> bool:
    """Say whether a record is of a machine that is meant to be stopped and has never been up."""
    if record is None or record.get("intended_status") != "stopped":
        return False
    return record.get("actual_status") in (None, "created", "loading")
