"""Finding out what became of attempts, and seeing to it that what must go is gone.

`settle` does what `vastnb.fleet.plan.next_step` decides, for any number of cases at once: one list
of instances serves them all. Every change is in the journal before it is sent, so that it may be
interrupted anywhere.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vastnb.api.progress import Tick
from vastnb.api.transport import Call
from vastnb.clock import Clock, Steady
from vastnb.errors import AuthError, InvalidRequest, JournalError, VastError
from vastnb.fleet.journal import Entry, Journal
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.plan import (
    UNSETTLED,
    Adopt,
    Close,
    Destroy,
    Leave,
    Look,
    Sightings,
    State,
    Step,
    next_step,
)

BUDGET: Final = 60.0
"""Seconds for finding out what became of an attempt."""

DESTROY_BUDGET: Final = 120.0
"""Seconds for seeing that machines are gone and stay away."""

BULK: Final = 64
"""Machines in one request, as for the service's bulk create."""

CLOSED: Final = "closed"
"""Why a case is left if the client was closed: whatever is tried again fails as well."""

ONE_LIST: Final = 20.0
"""Seconds for one list, with its pages, turns and repetitions."""


@dataclass
class Case:
    """One attempt, or one machine, while it is being settled.

    Parameters
    ----------
    state : State
        Where it stands.
    since : float
        Nothing was sent for it after this moment, seconds since the epoch.
    entry : Entry or None
        Its row of the journal; None for a machine that this package did not rent.
    contract : int or None
        Its machine.
    """

    state: State
    since: float
    entry: Entry | None = None
    contract: int | None = None
    seen: Sightings = field(default_factory=Sightings)
    record: Mapping[str, Any] | None = None
    left: str = ""
    """Why it was left as it is; empty while it is being settled."""
    error: str = ""
    """What went wrong last, in words."""
    destroyed: list[int] = field(default_factory=list)
    """Machines that were asked to be destroyed."""

    @property
    def marker(self) -> str | None:
        """What its machine carries."""
        return self.entry.marker if self.entry else None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to find out or to do."""
        return self.state not in UNSETTLED and self.left in ("", "settled")

    @classmethod
    def of(cls, entry: Entry) -> Case:
        """Return the case of a row of the journal."""
        return cls(entry.state, entry.since, entry, entry.contract)


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
    """

    def __init__(self, call: Call, clock: Clock, journal: Journal) -> None:
        self._call = call
        self._clock = clock
        self._journal = journal

    def settle(
        self,
        cases: Sequence[Case],
        budget: float = BUDGET,
        first: Listing | None = None,
        *,
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
        tick : callable
            Told of the seconds that pass.
        """
        # By a clock that nobody sets meanwhile: what is proved is proved by the time that passes.
        settler = Settler(self._call, Steady(self._clock), self._journal)
        settler._settle(cases, budget, first, tick)

    def _settle(
        self, cases: Sequence[Case], budget: float, first: Listing | None, tick: Tick
    ) -> None:
        now = self._clock.time()
        deadline = now + budget
        for case in cases:
            case.left = ""
            case.since = min(case.since, now)  # the clock was set back
        if first is not None:
            self._show(cases, first)
        while True:
            wait = self._act(cases, deadline)
            if wait is None:
                return
            before = self._clock.time()
            self._clock.sleep(wait)
            self._look([case for case in cases if not case.left], deadline)
            tick(self._clock.time() - before)

    def record(self, case: Case, **changes: Any) -> None:
        """Write down what has become of a case; if that fails, say so and go on.

        The attempt itself is in the journal since before it was sent, so whoever reads the older
        row finds the machine again by its marker.
        """
        now = self._clock.time()
        for name in ("contract", "since", "state"):  # interrupted, none is live without its id
            if name in changes:
                setattr(case, name, changes[name])
        if case.entry is None:
            return
        try:
            case.entry = self._journal.update(case.entry, **changes, updated_at=now)
        except JournalError as error:
            warnings.warn(error.message, RuntimeWarning, stacklevel=2)

    def destroy(self, case: Case, ids: Iterable[int]) -> None:
        """Ask for machines to be destroyed, once each. Whether they are gone is seen later."""
        now = self._clock.time()
        ids = list(ids)
        contract = case.contract if case.contract is not None or not ids else ids[0]
        self.record(case, state=State.DESTROYING, since=now, contract=contract)
        self._delete(case, ids)
        # Counted from the answer: what was listed before it proves nothing.
        self.record(case, since=self._clock.time())
        case.seen = Sightings()

    def destroy_all(self, cases: Sequence[Case]) -> None:
        """Ask for the machines of several cases to be destroyed, with as few requests as possible.

        Where the service does not take several at once, or not these, each is asked for by itself.
        An answer that is lost changes nothing: whatever is still listed is asked for again.

        Parameters
        ----------
        cases : sequence of Case
            Each with its machine.
        """
        if len(cases) == 1:
            self.destroy(cases[0], [cases[0].contract or 0])
            return
        # All are written down first, so that an interruption forgets none.
        for case in cases:
            self.record(case, state=State.DESTROYING, since=self._clock.time())
        for first in range(0, len(cases), BULK):
            some = cases[first : first + BULK]
            if not self._delete_at_once(some):
                for case in some:
                    self._delete(case, [case.contract or 0])
            for case in some:
                self.record(case, since=self._clock.time())
                case.seen = Sightings()

    # -- in private --------------------------------------------------------------------------

    def _delete_at_once(self, cases: Sequence[Case]) -> bool:
        """Send one request for all; False if the service does not take it."""
        ids = [case.contract for case in cases]
        try:
            answer = self._call("destroy_instances", body={"instance_ids": ids})
        except (InvalidRequest, AuthError):
            return False  # one of them may be gone already, or the key may do this one by one only
        except VastError as error:
            for case in cases:
                case.error = _trouble("destroying it", error)
            return True
        if isinstance(answer.data, Mapping) and answer.data.get("success") is False:
            return False
        for case in cases:
            case.destroyed.append(case.contract or 0)
        return True

    def _act(self, cases: Sequence[Case], deadline: float) -> float | None:
        """Do what is due; return the seconds until the next look, None if none is needed."""
        waits: list[float] = []
        for case in cases:
            while not case.left:
                step = next_step(
                    case.state,
                    case.seen,
                    since=case.since,
                    now=self._clock.time(),
                    deadline=deadline,
                    contract=case.contract,
                    never_ran=never_ran(case.record),
                )
                if isinstance(step, Look):
                    waits.append(step.seconds)
                    break
                self._do(case, step)
        return min(waits) if waits else None

    def _do(self, case: Case, step: Step) -> None:
        match step:
            case Leave(why):
                case.left = why
            case Adopt(keep, others):
                self.record(case, state=State.ADOPTED, contract=keep)
                if others:
                    self._delete(case, others)
                    case.seen = Sightings()
            case Destroy(ids):
                self.destroy(case, ids)
            case Close(state):
                self.record(case, state=state)
                case.left = "settled"

    def _delete(self, case: Case, ids: Iterable[int]) -> None:
        for number in ids:
            if number not in case.destroyed:
                case.destroyed.append(number)
            try:
                self._call("destroy_instance", path={"id": number}, body={})
            except VastError as error:
                # That there is no such machine is what was wanted. Otherwise it is still listed,
                # and is destroyed again.
                if not (isinstance(error, InvalidRequest) and error.status == 404):
                    case.error = _trouble("destroying it", error)
                    case.left = _end_of(error)

    def _look(self, cases: Sequence[Case], deadline: float) -> None:
        # The last look may end a little late; it is never cut short.
        within = max(min(ONE_LIST, deadline - self._clock.time()), ONE_LIST / 2)
        try:
            listing = list_instances(self._call, self._clock, within=within)
        except VastError as error:
            for case in cases:
                case.seen = case.seen.failed()
                case.error = _trouble("looking", error)
                case.left = _end_of(error)
            return
        self._show(cases, listing)

    def _show(self, cases: Sequence[Case], listing: Listing) -> None:
        for case in cases:
            found = listing.ids_of(case.marker, case.contract)
            case.seen = case.seen.saw(found, listing.asked_at)
            case.record = listing.record(found[0]) if found else None


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


__all__ = ["BUDGET", "CLOSED", "DESTROY_BUDGET", "Case", "Settler", "never_ran"]
