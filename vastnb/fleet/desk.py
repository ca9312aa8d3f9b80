"""One attempt, from the journal to its outcome.

`Desk.send` writes the attempt down, sends the create once, and reads the answer. Whatever is not a
clear answer leaves the attempt unknown, and `Desk.find_out` settles that before anything else is
sent. What an answer means is decided by `read_answer`, which takes values only.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from vastnb.api.text import plain
from vastnb.clock import Clock
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
from vastnb.fleet.journal import Entry, Journal
from vastnb.fleet.marker import new_marker
from vastnb.fleet.offer import Offer
from vastnb.fleet.order import Order
from vastnb.fleet.plan import LIVE, UNSETTLED, State
from vastnb.fleet.settle import BUDGET, DESTROY_BUDGET, Case, Settler
from vastnb.searching import Call

PATIENCE: Final = 120.0
"""Seconds that a create may wait for its turn, other kernels and refusals (429) included."""

_flying: set[str] = set()
"""Markers of attempts that a thread of this process is busy with."""

_flying_guard = threading.Lock()


def in_flight() -> frozenset[str]:
    """Return the markers of the attempts that this process is busy with."""
    with _flying_guard:
        return frozenset(_flying)


class Rights(NamedTuple):
    """Who rents, and with what.

    Parameters
    ----------
    account : str
        Fingerprint of key and server.
    base_url : str
        The server.
    clock : Clock
        The time.
    timeout : float
        Seconds for one exchange.
    """

    account: str
    base_url: str
    clock: Clock
    timeout: float


class Read(NamedTuple):
    """What an answer to a create says: where the attempt stands, the machine, and why."""

    state: State
    contract: int | None = None
    why: str = ""


def read_answer(data: Any) -> Read:
    """Say what the answer to a create means.

    A machine that exists is one that the answer names. A refusal is one that says so. Anything
    else is unknown, and is found out.

    Parameters
    ----------
    data : Any
        The decoded JSON.
    """
    if not isinstance(data, Mapping):
        return Read(State.UNKNOWN, None, "an answer that is not understood")
    contract = _id(data.get("new_contract"))
    success = data.get("success")
    if contract is not None:
        return Read(State.CREATED if success is not False else State.STILLBORN, contract)
    said = plain(": ".join(str(data[k]) for k in ("error", "msg") if data.get(k)))
    if success is False and said:
        return Read(State.REFUSED, None, said)
    return Read(State.UNKNOWN, None, "an answer without a contract")


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
    def state(self) -> State | None:
        """Where it stands."""
        return self.case.state if self.case else None

    @property
    def instance_id(self) -> int | None:
        """The machine that came of it, be it destroyed by now."""
        return self.case.contract if self.case else None


class Desk:
    """Sends creates, and finds out what became of them.

    Parameters
    ----------
    call : callable
        Asks the service.
    rights : Rights
        Who rents.
    journal : Journal
        Where it is written down first.
    """

    def __init__(self, call: Call, rights: Rights, journal: Journal) -> None:
        self.call = call
        self.rights = rights
        self.journal = journal
        self.settler = Settler(call, rights.clock, journal)

    @property
    def clock(self) -> Clock:
        """The time."""
        return self.rights.clock

    def send(self, offer: Offer, order: Order, attempt: Attempt | None = None) -> Attempt:
        """Write an attempt down, send it, and read its answer.

        Parameters
        ----------
        offer : Offer
            What is rented.
        order : Order
            What for; `Order.price` is this offer's bid.
        attempt : Attempt, optional
            Filled in as it goes, for a caller that must know of it even if this is interrupted.

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
        entry = Entry(
            marker=new_marker(),
            account=self.rights.account,
            base_url=self.rights.base_url,
            offer_id=offer.id,
            machine_id=offer.machine_id,
            price=offer.dph(order.disk, order.price),
            bid=order.price,
            disk=float(order.disk),
            label=order.label,
            created_at=now,
            since=now + PATIENCE + self.rights.timeout,
            updated_at=now,
        )
        attempt = attempt or Attempt(offer)
        with _flying_guard:
            _flying.add(entry.marker)
        try:
            self.journal.begin(entry)
            attempt.price, attempt.case = entry.price, Case.of(entry)
            self._send(attempt, order, entry.marker)
        except JournalError:
            raise
        except BaseException:
            if attempt.case is not None:
                self._lost(attempt, "it was interrupted")
            raise
        finally:
            with _flying_guard:
                _flying.discard(entry.marker)
        if attempt.state is State.UNKNOWN and attempt.error is None:
            attempt.error = unknown(attempt)
        return attempt

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
        with _flying_guard:
            if case.marker:
                _flying.add(case.marker)
        try:
            self.settler.settle([case], budget if was in UNSETTLED else DESTROY_BUDGET)
        finally:
            with _flying_guard:
                _flying.discard(case.marker or "")
        attempt.error = outcome(attempt, was)

    def _send(self, attempt: Attempt, order: Order, marker: str) -> None:
        assert attempt.case is not None
        try:
            answer = self.call(
                "create_instance",
                path={"id": attempt.offer.id},
                body=order.body(marker),
                max_wait=PATIENCE,
            )
        except OutcomeUnknown as error:
            self._lost(attempt, error.message)
        except _CERTAINLY_NOT as error:
            attempt.error = error
            now = self.clock.time()
            note = error.code or type(error).__name__
            self.settler.record(attempt.case, state=State.REFUSED, since=now, note=note)
        else:
            self._read(attempt, answer.data)

    def _read(self, attempt: Attempt, data: Any) -> None:
        assert attempt.case is not None
        read = read_answer(data)
        if read.state is State.UNKNOWN:
            self._lost(attempt, read.why)
            return
        self.settler.record(
            attempt.case,
            state=read.state,
            since=self.clock.time(),
            contract=read.contract,
            note=read.why[:200],
        )
        if read.state is State.REFUSED:
            attempt.error = InvalidRequest(
                f'The service refused {attempt.offer} ("{read.why}"). Nothing was rented by this '
                "request.",
                code="refused",
            )

    def _lost(self, attempt: Attempt, why: str) -> None:
        assert attempt.case is not None
        if attempt.case.state not in UNSETTLED:
            return  # interrupted after it was known
        now = self.clock.time()
        self.settler.record(attempt.case, state=State.UNKNOWN, since=now, note="answer lost")
        attempt.case.error = why
        attempt.error = unknown(attempt)


_CERTAINLY_NOT = (OfferGone, NoCredit, InvalidRequest, AuthError, RateLimited, ServerError)
"""What the transport raises only if the create had no effect; anything else is OutcomeUnknown."""


def outcome(attempt: Attempt, was: State) -> VastError | None:
    """Return the error that says what came of an attempt that was settled; None for a machine.

    Parameters
    ----------
    attempt : Attempt
        After settling.
    was : State
        Before it.
    """
    case = attempt.case
    if case is None or case.state in LIVE:
        return None
    if case.state in UNSETTLED:
        return unknown(attempt)
    if case.state is State.ABSENT:
        return ServerError(
            f"The answer to renting {attempt.offer} was lost; complete lists of your instances "
            f"over {case.seen.clean} looks show that nothing was created. Nothing was rented or "
            "charged. It may be tried again.",
            code="proved_absent",
        )
    if case.state is State.DESTROYED and was in (*UNSETTLED, State.STILLBORN, State.DESTROYING):
        return InstanceFailed(
            f"{attempt.offer} gave a stopped machine (instance {case.contract}) that would have "
            "billed its disk: the bid was too low, or its GPUs were just taken. It was destroyed "
            "and is gone. Bid more, or try the next offer.",
            code="created_stopped",
        )
    if case.state in (State.DESTROYING, State.STILLBORN):
        return still_there(case)
    return attempt.error


def unknown(attempt: Attempt) -> OutcomeUnknown:
    """Return the error for an attempt that may have made a machine, with what it may cost."""
    case = attempt.case
    assert case is not None
    assert case.entry is not None
    cost = "an unknown price" if attempt.price is None else f"${attempt.price:.4f}/h"
    last = f" Last trouble: {case.error}" if case.error else ""
    return OutcomeUnknown(
        f"A create for {attempt.offer} was sent and its answer was lost. One machine with a disk "
        f"of {case.entry.disk:g} GB may exist and bill {cost}; it carries VASTNB_ATTEMPT="
        f"{case.entry.marker} in its environment. Nothing else was sent for it. Run "
        "client.reconcile() to find it or to prove that it does not exist, or look at "
        f"https://cloud.vast.ai/instances/.{last}",
        code="unsettled",
    )


def still_there(case: Case) -> OutcomeUnknown:
    """Return the error for a machine that should be gone and was not seen to be."""
    seen = "is still listed" if case.seen.found else "has not been seen gone for long enough"
    last = f" Last trouble: {case.error}" if case.error else ""
    return OutcomeUnknown(
        f"Instance {case.contract} was asked to be destroyed and {seen}: it may still bill. Run "
        "client.reconcile(), which goes on with it, or look at https://cloud.vast.ai/instances/."
        f"{last}",
        code="not_seen_gone",
    )


def _id(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


__all__ = [
    "PATIENCE",
    "Attempt",
    "Desk",
    "Read",
    "Rights",
    "in_flight",
    "outcome",
    "read_answer",
    "still_there",
    "unknown",
]
