"""One attempt, from the journal to its outcome.

`Desk.send` writes the attempt down, sends the create once, and reads the answer. Whatever is not a
clear answer leaves the attempt unknown, and `Desk.find_out` settles that before anything else is
sent. What an answer means is decided in `vastnb.fleet.outcomes`, from values only.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vastnb.api.progress import WaitHook, silent
from vastnb.api.transport import Call
from vastnb.clock import Clock
from vastnb.errors import (
    AuthError,
    InvalidRequest,
    JournalError,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    ServerError,
)
from vastnb.fleet.account import Account
from vastnb.fleet.deadline import Bounds
from vastnb.fleet.journal import Entry, Journal
from vastnb.fleet.marker import new_marker
from vastnb.fleet.offer import Offer
from vastnb.fleet.onmachine import with_line
from vastnb.fleet.order import Order
from vastnb.fleet.outcomes import Attempt, outcome, read_answer, unknown
from vastnb.fleet.plan import ABSENT_AFTER, GONE_AFTER, UNSETTLED, State
from vastnb.fleet.settle import BUDGET, DESTROY_BUDGET, Case, Settler

if TYPE_CHECKING:
    from vastnb.fleet.guard import Guard

PATIENCE: Final = 120.0
"""Seconds that a create may wait for its turn, other kernels and refusals (429) included."""

GONE: Final = (GONE_AFTER, "confirming that it stays destroyed")
"""What the last part of a destroy takes at least, seconds; and what it is."""

_flying: dict[str, threading.Thread] = {}
"""Markers of attempts that are being sent or settled, and by which thread."""


def in_flight() -> frozenset[str]:
    """Return the markers of the attempts that other threads of this process are busy with.

    Whoever asks is not busy with one: a marker of its own was left behind by a Ctrl-C.
    """
    me = threading.current_thread()
    return frozenset(
        marker for marker, one in tuple(_flying.items()) if one is not me and one.is_alive()
    )


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
    on_wait : WaitHook
        Shows waits.
    """

    account: str
    base_url: str
    clock: Clock
    timeout: float
    on_wait: WaitHook = silent


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

    Attributes
    ----------
    guard : Guard or None
        Ends machines at their deadlines; there is none until something has a deadline.
    account : Account
        Who pays.
    """

    def __init__(self, call: Call, rights: Rights, journal: Journal) -> None:
        self.call = call
        self.rights = rights
        self.journal = journal
        self.settler = Settler(call, rights.clock, journal)
        self.account = Account(call, rights.clock)
        self.guard: Guard | None = None

    @property
    def clock(self) -> Clock:
        """The time."""
        return self.rights.clock

    def send(
        self,
        offer: Offer,
        order: Order,
        attempt: Attempt | None = None,
        bounds: Bounds | None = None,
    ) -> Attempt:
        """Write an attempt down, send it, and read its answer.

        Parameters
        ----------
        offer : Offer
            What is rented.
        order : Order
            What for; `Order.price` is this offer's bid.
        attempt : Attempt, optional
            Filled in as it goes, for a caller that must know of it even if this is interrupted.
        bounds : Bounds, optional
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
        price = offer.dph(order.disk, order.price)
        deadline = bounds.alone(now, price) if bounds else None
        on_machine = bool(bounds and bounds.on_machine and deadline is not None)
        if on_machine and deadline is not None:
            script = with_line(order.onstart, deadline, self.rights.base_url)
            order = replace(order, onstart=script)
        entry = Entry(
            marker=new_marker(),
            account=self.rights.account,
            base_url=self.rights.base_url,
            offer_id=offer.id,
            machine_id=offer.machine_id,
            price=price,
            bid=order.price,
            disk=float(order.disk),
            label=order.label,
            created_at=now,
            since=now + PATIENCE + self.rights.timeout,
            updated_at=now,
            deadline=deadline,
            on_machine=int(on_machine),
        )
        attempt = attempt or Attempt(offer)
        try:
            _flying[entry.marker] = threading.current_thread()
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
            _flying.pop(entry.marker, None)
            self._guard(attempt)
        if attempt.state is State.UNKNOWN and attempt.error is None:
            attempt.error = unknown(attempt)
        return attempt

    def guard_machine(self, entry: Entry) -> None:
        """Have a machine end at its deadline, if it has one and there is a guard."""
        if self.guard is not None:
            self.guard.arm([entry])

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
        seconds, what = (ABSENT_AFTER, "finding out what became of it") if unsettled else GONE
        try:
            if case.marker:
                _flying[case.marker] = threading.current_thread()
            with self.rights.on_wait("create_instance", seconds, what) as tick:
                self.settler.settle([case], budget if unsettled else DESTROY_BUDGET, tick=tick)
        finally:
            _flying.pop(case.marker or "", None)
        attempt.error = outcome(attempt, was)
        self._guard(attempt)

    def _guard(self, attempt: Attempt) -> None:
        if attempt.case is not None and attempt.case.entry is not None:
            self.guard_machine(attempt.case.entry)

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


__all__ = ["GONE", "PATIENCE", "Desk", "Rights", "in_flight"]
