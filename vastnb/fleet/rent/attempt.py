"""One attempt, from the journal to its outcome.

`Sender.send` writes the attempt down, sends the create once, and reads the answer. Whatever is not
a clear answer leaves the attempt unknown, and `Sender.find_out` settles that before anything else
is sent. What an answer means (`read_answer`) and what the user is told of it (`outcome`, `unknown`,
`blocked`, `still_there`) is decided from values only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from vastnb.api.answers import Call, own_refusal
from vastnb.api.text import plain
from vastnb.api.transport import Transport
from vastnb.errors import (
    AuthError,
    InstanceFailed,
    InvalidRequest,
    JournalError,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    VastError,
)
from vastnb.fleet.env import new_marker
from vastnb.fleet.listing import record_of
from vastnb.fleet.rent.candidates import Offer
from vastnb.fleet.rent.deadline import Limits
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import Holder, obligation
from vastnb.fleet.rent.on_machine import with_line
from vastnb.fleet.rent.plan import ABSENT_AFTER, LIVE, UNSETTLED, AttemptState
from vastnb.fleet.rent.settle import (
    BUDGET,
    DESTROY_BUDGET,
    DOUBTED,
    FLYING,
    GATEWAY,
    Case,
    Settler,
    flying,
    in_flight,
)
from vastnb.fleet.rent.spec import Spec
from vastnb.values import number


class CreateAnswer(NamedTuple):
    """What an answer to a create says: where the attempt stands, the machine, and why."""

    state: AttemptState
    contract: int | None = None
    why: str = ""


def read_answer(data: Any) -> CreateAnswer:
    """Say what the answer to a create means.

    A machine that exists is one that the answer names. A refusal is one that says so in words
    that the service is known to use. Anything else is unknown, and is found out.

    Parameters
    ----------
    data : Any
        The decoded JSON.
    """
    if not isinstance(data, Mapping):
        return CreateAnswer(AttemptState.UNKNOWN, None, "an answer in an unknown form")
    named = data.get("new_contract")
    contract = _id(named)
    if contract is not None:
        created = data.get("success") is not False
        return CreateAnswer(AttemptState.CREATED if created else AttemptState.STILLBORN, contract)
    if named is None and own_refusal(200, data) is not None:
        said = ": ".join(str(data[k]) for k in ("error", "msg") if data.get(k))
        return CreateAnswer(AttemptState.REFUSED, None, plain(said))
    return CreateAnswer(AttemptState.UNKNOWN, None, "an answer without an instance id")


@dataclass
class Attempt:
    """What came of one offer.

    Parameters
    ----------
    offer : Offer
        What was asked for.
    price : float or None
        $/h with the disk, as known when it was sent.
    case : Case or None
        Where it stands; None if it was passed over.
    error : VastError or None
        Why there is no machine.
    passed_over : str
        Why it was not tried, in words.
    """

    offer: Offer
    price: float | None = None
    case: Case | None = None
    error: VastError | None = None
    passed_over: str = ""

    @property
    def state(self) -> AttemptState | None:
        """Where it stands."""
        return self.case.state if self.case else None

    @property
    def instance_id(self) -> int | None:
        """The machine that came of it, be it destroyed by now."""
        return self.case.contract if self.case else None

    @property
    def deadline(self) -> float | None:
        """When the machine is to end, epoch seconds."""
        return self.case.entry.deadline if self.case and self.case.entry else None


def outcome(attempt: Attempt, was: AttemptState) -> VastError | None:
    """Return the error that says what came of an attempt that was settled; None for a machine.

    Parameters
    ----------
    attempt : Attempt
        After settling.
    was : AttemptState
        Before it.
    """
    case = attempt.case
    if case is None or case.state in LIVE:
        return None
    if case.state in UNSETTLED:
        return unknown(attempt)
    if case.state is AttemptState.ABSENT:
        return ServerError(
            f"The answer to the request to rent {attempt.offer} was lost, but {case.seen.clean} "
            "complete lists of your instances show that no machine was created. Nothing was "
            "rented or charged. You can try again.",
            code="proved_absent",
        )
    if case.is_ended and was in (*UNSETTLED, AttemptState.STILLBORN, AttemptState.DESTROYING):
        return created_stopped(attempt)
    if case.state in (AttemptState.DESTROYING, AttemptState.STILLBORN):
        return still_there([case])
    return attempt.error


def created_stopped(attempt: Attempt) -> InstanceFailed:
    """Return the error for a machine that was created stopped, and is destroyed."""
    return InstanceFailed(
        f"The machine of {attempt.offer} was created stopped (instance {attempt.instance_id}) and "
        "would have billed its disk: the bid was too low, or its GPUs were just taken. It was "
        "destroyed. Bid more, or try the next offer.",
        code="created_stopped",
    )


def unknown(attempt: Attempt) -> OutcomeUnknown:
    """Return the error for an attempt that may have made a machine, with what it may cost."""
    case = attempt.case
    assert case is not None
    assert case.entry is not None
    return OutcomeUnknown(
        f"A request to rent {attempt.offer} was sent, but its answer was lost. {_may_exist(case)} "
        "It was not sent again. Run client.reconcile() to find the machine or confirm that there "
        f"is none, or check https://cloud.vast.ai/instances/.{_last(case)}",
        code="unsettled",
    )


def blocked(case: Case) -> OutcomeUnknown:
    """Return the error for a create that was not sent, because an earlier one is open."""
    assert case.entry is not None
    return OutcomeUnknown(
        f"The outcome of an earlier request to rent offer {case.entry.offer_id} is still unknown, "
        f"so nothing was sent or rented. {_may_exist(case)} Run client.reconcile() until it is "
        f"resolved, then rent again.{_last(case)}",
        code="unsettled",
    )


def _may_exist(case: Case) -> str:
    entry = case.entry
    assert entry is not None
    cost = "an unknown price" if entry.price is None else f"${entry.price:.4f}/h"
    text = (
        f"One machine with a disk of {entry.disk:g} GB may exist and bill {cost}; it has "
        f"VASTNB_ATTEMPT={entry.marker} in its environment."
    )
    if case.seen.maybe:
        named = ", ".join(map(str, case.seen.maybe))
        text += (
            f" It may be instance {named}, which started after the request and shows no marker. "
            "If it is this machine, client.destroy_instance(id) destroys it. If it was rented in "
            f"another way, client.reconcile(not_mine=[{named}]) says so, and you can rent again."
        )
    return text


def _last(case: Case) -> str:
    return f" Last error: {case.error}" if case.error else ""


def still_there(cases: Sequence[Case]) -> OutcomeUnknown:
    """Return the error for machines that should be gone, and are not known to be."""
    ids = ", ".join(str(one.contract) for one in cases)
    what = f"Instance {ids} was" if len(cases) == 1 else f"Instances {ids} were"
    refused = next((one.refusal for one in cases if one.refusal is not None), None)
    if refused is not None:
        # Without the advice of a refusal: it is about a request that the user has made.
        why = refused.message.partition("Nothing was")[0].strip()
        return OutcomeUnknown(
            f"{what} not destroyed: {why} It may still bill. vastnb keeps trying in the "
            "background while this kernel runs, and so does the next one. You can also destroy it "
            "at https://cloud.vast.ai/instances/.",
            status=refused.status,
            code=refused.code or "destroy_refused",
        )
    return OutcomeUnknown(
        f"{what} asked to be destroyed, which is not confirmed yet: it may still bill. vastnb "
        "keeps trying in the background while this kernel runs, and so does the next one. "
        "client.reconcile() reports the current state; or check "
        f"https://cloud.vast.ai/instances/.{_last(cases[0])}",
        code="not_seen_gone",
    )


def _id(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


PATIENCE: Final = 120.0
"""Seconds that a create may wait for its turn, other kernels and refusals (429) included."""

DOUBTED_FOR: Final = 3600.0
"""Seconds for which an attempt that was proved absent is doubted if its offer turns out rented."""

CONFIRMING: Final = (2.0, "confirming that it is destroyed")
"""What the last part of a destroy takes, seconds; and what it is."""


class Sender:
    """Sends creates, and finds out what became of them.

    Parameters
    ----------
    transport : Transport
        Asks the service: for whom, by whose clock.
    journal : Journal
        Where it is written down first.

    arm : callable, optional
        Has the guard see to attempts from now on.
    """

    def __init__(
        self,
        transport: Transport,
        journal: Journal,
        arm: Callable[[list[Case]], object] = list,
    ) -> None:
        self.transport = transport
        self.clock = transport.clock
        self.journal = journal
        self.settler = Settler(transport.call, transport.clock, journal)
        self.arm = arm
        self.specs: dict[str, Spec] = {}
        """What unknown attempts of this process were for, by marker. May hold secrets."""

    @property
    def call(self) -> Call:
        """Asks the service."""
        return self.transport.call

    def send(
        self,
        offer: Offer,
        spec: Spec,
        attempt: Attempt | None = None,
        limits: Limits | None = None,
    ) -> Attempt:
        """Write an attempt down, send it, and read its answer.

        Parameters
        ----------
        offer : Offer
            What is rented.
        spec : Spec
            What for; `Spec.price` is this offer's bid.
        attempt : Attempt, optional
            Filled in as it goes, for a caller that must know of it even if this is interrupted.
        limits : Limits, optional
            From which the machine's deadline follows. It is written down with the attempt.

        Returns
        -------
        Attempt
            Created, refused, stillborn or unknown.

        Raises
        ------
        JournalError
            If it cannot be written down. Nothing was sent.
        BaseException
            A Ctrl-C, for one. The attempt stands in the journal as unknown then.
        """
        now = self.clock.time()
        price = offer.dph(spec.disk, spec.price)
        deadline = limits.alone(now, price) if limits else None
        on_machine = bool(limits and limits.on_machine and deadline is not None)
        wanted = replace(spec, price=None)
        if on_machine and deadline is not None:
            script = with_line(spec.onstart, deadline, self.transport.base_url)
            spec = replace(spec, onstart=script)
        entry = Entry(
            marker=new_marker(),
            account=self.transport.account,
            base_url=self.transport.base_url,
            offer_id=offer.id,
            machine_id=offer.machine_id,
            price=price,
            bid=spec.price,
            disk=float(spec.disk),
            label=spec.label,
            created_at=now,
            since=now + PATIENCE + self.transport.timeout,
            updated_at=now,
            deadline=deadline,
            on_machine=int(on_machine),
            image=spec.image or "",
            budget=limits.share if limits else None,
            priced_at=now,
            **self.journal.me._asdict(),
        )
        attempt = attempt or Attempt(offer)
        try:
            FLYING[entry.marker] = threading.current_thread()
            self.journal.begin(entry)
            self.specs[entry.marker] = wanted
            attempt.price, attempt.case = entry.price, Case.of(entry)
            self._send(attempt, spec, entry.marker)
        except JournalError:
            raise
        except BaseException:
            if attempt.case is not None:
                self._lost(attempt, "it was interrupted")
            raise
        finally:
            FLYING.pop(entry.marker, None)
            if attempt.state in LIVE:  # what is unknown is found out here first
                self.guard_machine(attempt)
        if attempt.state not in UNSETTLED:
            self.specs.pop(entry.marker, None)
        if attempt.state is AttemptState.UNKNOWN and attempt.error is None:
            attempt.error = unknown(attempt)
        return attempt

    def guard_machine(self, attempt: Attempt) -> None:
        """Have the guard see to an attempt: settle it, or end its machine at its deadline."""
        if attempt.case is not None:
            self.arm([attempt.case])

    def open_attempts(self, but: Collection[str] = ()) -> list[Case]:
        """Return the attempts that no create may be sent before, taken over if need be.

        Parameters
        ----------
        but : collection of str
            Markers of attempts that are seen to by the caller.
        """
        now, cases = self.clock.time(), []
        busy = {*but, *in_flight()}
        for entry in self.journal.entries(self.transport.account):
            holder = self.journal.holder(entry, self.transport.account, now)
            if entry.marker in busy or not obligation(entry, holder).blocks:
                continue
            taken = entry if holder is Holder.HERE else self.journal.claim(entry, now)
            if taken is not None:
                case = Case.of(taken)
                case.since = min(case.since, now)  # nothing is sent for it any more
                cases.append(case)
        return cases

    def clear_the_way(self, spec: Spec, but: Collection[str] = ()) -> list[Case]:
        """Settle every open attempt before a create is sent.

        Parameters
        ----------
        spec : Spec
            What the create is for.
        but : collection of str
            Markers of the caller's own attempts.

        Returns
        -------
        list of Case
            Machines that earlier attempts for the very same spec turn out to have made.

        Raises
        ------
        OutcomeUnknown
            If one cannot be settled. Nothing was sent.
        """
        cases = self.open_attempts(but)
        if cases:
            self._settle_first(cases)
        return self._made_for(replace(spec, price=None), but)

    def _settle_first(self, cases: list[Case]) -> None:
        waiting = (ABSENT_AFTER, "checking what happened to an earlier request")
        try:
            with flying(cases), self.transport.on_wait("create_instance", *waiting) as tick:
                self.settler.settle(cases, BUDGET, tick=tick)
        finally:
            self.arm(cases)
        for case in cases:
            if case.state in UNSETTLED:
                raise blocked(case)

    def _made_for(self, spec: Spec, but: Collection[str]) -> list[Case]:
        """Return the machines of lost creates for a spec that were found since, by anybody."""
        waiting = {marker for marker, one in self.specs.items() if one == spec} - {*but}
        found = []
        for entry in self.journal.entries(self.transport.account) if waiting else ():
            if entry.marker in waiting and entry.state not in UNSETTLED:
                del self.specs[entry.marker]
                if entry.state in LIVE:
                    case = Case.of(entry)
                    self.settler.record(case, note="")
                    found.append(case)
        return found

    def dph_of(self, case: Case) -> float | None:
        """Return what a machine costs, $/h with its disk; None if that cannot be seen yet."""
        try:
            record = record_of(self.call, case.contract or 0, max_wait=10.0)
        except VastError:
            return None  # the guard looks again
        return None if record is None else number(record.get("dph_total"))

    def doubted(self, offer_id: int) -> list[Entry]:
        """Return the attempts at an offer that were called absent, and may have rented it.

        Their state is unknown again: the service now says that the offer is not there.
        """
        now = self.clock.time()
        found = [
            entry
            for entry in self.journal.entries(self.transport.account, [AttemptState.ABSENT])
            if entry.offer_id == offer_id
            and now - entry.updated_at < DOUBTED_FOR
            and entry.note != DOUBTED
        ]
        return [
            self.journal.update(
                one, state=AttemptState.UNKNOWN, since=now, updated_at=now, note=DOUBTED
            )
            for one in found
        ]

    def find_out(self, attempt: Attempt, budget: float = BUDGET) -> None:
        """Settle an attempt whose outcome is unknown, or whose machine must go.

        Parameters
        ----------
        attempt : Attempt
            Changed in place: adopted, absent, destroyed; or as it was, if the time was too short.
        budget : float
            Seconds.
        """
        case = attempt.case
        if case is None:
            return
        was = case.state
        unsettled = was in UNSETTLED
        seconds, what = (
            (ABSENT_AFTER, "checking whether a machine was created") if unsettled else CONFIRMING
        )
        with flying([case]), self.transport.on_wait("create_instance", seconds, what) as tick:
            self.settler.settle([case], budget if unsettled else DESTROY_BUDGET, tick=tick)
        attempt.error = outcome(attempt, was)
        if case.state not in UNSETTLED:
            self.specs.pop(case.marker or "", None)
        self.guard_machine(attempt)

    def _send(self, attempt: Attempt, spec: Spec, marker: str) -> None:
        assert attempt.case is not None
        try:
            answer = self.call(
                "create_instance",
                path={"id": attempt.offer.id},
                body=spec.body(marker),
                max_wait=PATIENCE,
            )
        except OutcomeUnknown as error:
            behind = error.status is not None or "timed out" in error.message
            self._lost(attempt, error.message, GATEWAY if behind else "answer lost")
        except _CERTAINLY_NOT as error:
            attempt.error = error
            now = self.clock.time()
            note = error.code or type(error).__name__
            self.settler.record(attempt.case, state=AttemptState.REFUSED, since=now, note=note)
        else:
            self._read(attempt, answer.data)

    def _read(self, attempt: Attempt, data: Any) -> None:
        assert attempt.case is not None
        read = read_answer(data)
        if read.state is AttemptState.UNKNOWN:
            self._lost(attempt, read.why)
            return
        if read.contract is not None and self._is_known(read.contract):
            self._lost(attempt, f"the answer names instance {read.contract}, which existed before")
            return
        self.settler.record(
            attempt.case,
            state=read.state,
            since=self.clock.time(),
            contract=read.contract,
            note=read.why[:200],
        )
        if read.state is AttemptState.REFUSED:
            attempt.error = InvalidRequest(
                f'Vast.ai refused {attempt.offer} ("{read.why}"). Nothing was rented by this '
                "request.",
                code="refused",
            )

    def _is_known(self, contract: int) -> bool:
        """Say whether a contract was there before this attempt."""
        try:
            return self.journal.of_contract(self.transport.account, contract) is not None
        except JournalError:
            return False  # the machine exists: a journal that broke meanwhile must not hide it

    def _lost(self, attempt: Attempt, why: str, note: str = "answer lost") -> None:
        assert attempt.case is not None
        if attempt.case.state not in UNSETTLED:
            return  # interrupted after it was known
        now = self.clock.time()
        self.settler.record(attempt.case, state=AttemptState.UNKNOWN, since=now, note=note)
        attempt.case.error = why
        attempt.error = unknown(attempt)


_CERTAINLY_NOT = (OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited, ServerError)
"""What the transport raises only if the create had no effect; anything else is OutcomeUnknown."""
