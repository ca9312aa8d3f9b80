"""Renting: candidates in the order given, one machine for each that is wanted.

`Rental.run` does what `plan.next_move` decides. Each machine is a create of its own, with a marker
of its own. The service also takes up to 64 offers in one request, and that is not used: all of its
machines would carry one marker, and one lost answer would leave up to 64 of them to be told apart
by guesswork.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import pandas as pd

from vastnb.errors import (
    InstanceFailed,
    InvalidRequest,
    JournalError,
    OfferGone,
    OutcomeUnknown,
    VastError,
)
from vastnb.fleet.rent.attempt import Attempt, Sender, created_stopped, still_there
from vastnb.fleet.rent.candidates import Candidates, Offer, PassedOver, bid_for
from vastnb.fleet.rent.deadline import HOUR, Limits, Priced, in_words, repriced
from vastnb.fleet.rent.events import Kind, Listener, RentEvent, Reporter, warn
from vastnb.fleet.rent.plan import (
    LIVE,
    UNSETTLED,
    AttemptState,
    Candidate,
    Finish,
    Send,
    Settle,
    Tried,
    next_move,
)
from vastnb.fleet.rent.settle import DESTROY_BUDGET, Case
from vastnb.fleet.rent.spec import Spec
from vastnb.html import ours
from vastnb.market.frames.records import frame_of_columns
from vastnb.market.tables.schema import Dtype

T = TypeVar("T")

DEARER: Final = 1.005
"""How many times the agreed price is more than rounding."""

MOST_LOST: Final = 4
"""Creates that never arrived, after which the network is to blame and not the offers."""


@dataclass
class Rental:
    """One call of `Client.rent`.

    Parameters
    ----------
    sender : Sender
        Sends and settles.
    spec : Spec
        What for, without a price.
    offers : list of Offer
        Candidates, best first.
    count : int
        How many machines.
    max_dph : float or None
        The most that one may cost, $/h with its disk.
    bid : float, str or None
        A bid in $/h, a strategy, or on demand.
    checked_at : float or None
        When the offers' prices were asked for with this disk; None if they must be asked for.
    limits : Limits
        Hours and dollars after which the machines end.
    on_event : callable or None
        Told of every step.
    line : bool
        Whether to show a line of progress.
    say : callable
        Told in words what runs when the call is interrupted.
    """

    sender: Sender
    spec: Spec
    offers: Sequence[Offer]
    count: int = 1
    max_dph: float | None = None
    bid: float | str | None = None
    checked_at: float | None = None
    limits: Limits = field(default_factory=Limits)
    on_event: Listener | None = None
    line: bool = False
    say: Callable[[str], object] = field(default=lambda text: print(text, file=sys.stderr))
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reporter = Reporter(self.count, self.sender.clock, self.on_event, line=self.line)
        self.candidates = Candidates(
            self.sender.call,
            self.sender.clock,
            self.spec,
            self.offers,
            max_dph=self.max_dph,
            bid=self.bid,
            price_needed=self.limits.budget_usd is not None,
            over=self._pass_over,
        )
        if self.checked_at is not None:
            self.candidates.take_as_checked(self.checked_at)

    @property
    def rented(self) -> list[Attempt]:
        """The attempts that gave a machine which is still ours."""
        return [one for one in self.attempts if one.state in LIVE and not self._is_over(one)]

    def minding(self, work: Callable[[], T]) -> T:
        """Do the work, up to the handles; if it ends without them, say what runs.

        Raises
        ------
        BaseException
            What the work raises, with a note; a Ctrl-C after having said it.
        """
        try:
            try:
                return work()
            finally:
                for one in self.attempts:  # an interruption may have come before
                    self.sender.guard_machine(one)
                self._reporter.close()
        except KeyboardInterrupt:
            self.say(f"Interrupted. {self.what_runs()}")
            raise
        except BaseException as error:
            # What is not known a VastError says itself.
            if self.rented or (self._open and not isinstance(error, VastError)):
                error.add_note(self.what_runs())
            raise

    def run(self) -> Finish:
        """Rent, and return why it ended.

        Raises
        ------
        OutcomeUnknown
            If a machine may exist that nobody holds. Nothing more was sent then.
        VastError
            If nothing can be sent at all.
        """
        try:
            finish = self._run_all()
        finally:
            self._see_the_stillborn_gone()
        self._tell("done", self.what_runs())
        return finish

    def run_one(self) -> Attempt:
        """Make one attempt at the one offer, and see what came of it."""
        attempt = Attempt(self.candidates.at_hand[0])
        try:
            self._attempt(attempt, self.spec, settle=True)
        finally:
            self._see_the_stillborn_gone()
        self._tell("done", self.what_runs())
        return self.attempts[-1]

    def check(self) -> None:
        """Ask for the prices now, and keep the offers that may be rented."""
        self._tell("checking", f"checking the prices of {len(self.offers)} offers")
        self.candidates.check_some()

    def what_runs(self) -> str:
        """Return in words which machines of this call exist, or may."""
        now = self.sender.clock.time()
        runs = [
            f"instance {one.instance_id} (${one.price or 0:.4f}/h{_until(one, now)})"
            for one in self.rented
        ]
        open_ = [str(one.offer) for one in self._open]
        text = f"Rented by this call and billing: {', '.join(runs)}." if runs else ""
        if open_:
            text += f" A machine may exist for {', '.join(open_)}: run client.reconcile()."
        if runs:
            text += (
                " client.destroy_instance(id) destroys one; client.show_instance(id) returns "
                "its handle."
            )
        return text.strip() or "This call rented nothing."

    def frame(self) -> pd.DataFrame:
        """Return one row per offer that was considered, in the order of the candidates."""
        places = {one.id: place for place, one in enumerate(self.offers)}
        rows = [
            {
                "offer_id": one.offer.id,
                "machine_id": one.offer.machine_id,
                "gpu": one.offer.gpu or None,
                "dph": one.price,
                "outcome": _outcome(one),
                "instance_id": one.instance_id,
                "reason": one.error.message if one.error else one.passed_over or None,
            }
            for one in sorted(self.attempts, key=lambda one: places.get(one.offer.id, -1))
        ]
        return ours(frame_of_columns(rows, _DTYPES)[0])

    def failure(self) -> VastError:
        """Return the error for a call that rented nothing, or less than was wanted."""
        tried = [one for one in self.attempts if one.case is not None]
        fatal = [one.error for one in tried if one.error is not None and self._fatal(one)]
        if fatal:
            return fatal[-1]
        errors = [one.error for one in tried if one.error is not None]
        if len(errors) == 1 and len(self.attempts) == 1:
            return errors[0]
        over = len(self.attempts) - len(tried)
        last = (
            errors[-1].message
            if errors
            else next((one.passed_over for one in reversed(self.attempts)), "there was no offer.")
        )
        how_many = "No more" if self.rented else "None"
        kind = InstanceFailed if errors and isinstance(errors[-1], InstanceFailed) else OfferGone
        return kind(
            f"{how_many} of {len(self.offers)} offers could be rented ({len(tried)} tried, {over} "
            f"skipped).{' This call rented nothing.' * (not self.rented)} Last reason: {last}",
            code="no_offer_left",
        )

    # -- in private --------------------------------------------------------------------------

    @property
    def _open(self) -> list[Attempt]:
        return [one for one in self.attempts if one.state in UNSETTLED]

    def _run_all(self) -> Finish:
        while True:
            sent = [one for one in self.attempts if one.case is not None]
            tried = [self._tried(one) for one in sent]
            at_hand = [Candidate(one.id, one.machine_id) for one in self.candidates.at_hand]
            if any(self._is_over(one) for one in sent):
                return self._end_together(Finish("deadline"))
            match next_move(self.count, tried, at_hand):
                case Settle(index):
                    self._find_out(sent[index])
                    if sent[index].state in UNSETTLED:
                        assert sent[index].error is not None
                        raise sent[index].error  # type: ignore[misc]
                case Send(candidate):
                    self._send(candidate.offer_id)
                case Finish(why):
                    if why != "no more offers" or not self.candidates.are_left:
                        return self._end_together(Finish(why))
                    self.check()

    def _send(self, offer_id: int) -> None:
        if not self.candidates.are_fresh:
            self._tell("checking", "checking the prices again")
            self.candidates.check_again(self._may_be_tried)
            return
        offer = self.candidates.offer(offer_id)
        spec = self.spec
        if self.bid is not None:
            spec = replace(spec, price=bid_for(offer, self.bid))
        self._attempt(Attempt(offer), spec)

    def _attempt(self, attempt: Attempt, spec: Spec, *, settle: bool = False) -> None:
        if self._take_earlier(spec):
            return
        self.attempts.append(attempt)
        attempt.price = attempt.offer.dph(spec.disk, spec.price)
        self._tell("sending", f"renting {attempt.offer}", attempt)
        try:
            self.sender.send(attempt.offer, spec, attempt, self.limits)
        except BaseException:
            if attempt.case is None:
                self.attempts.remove(attempt)
            raise
        case = attempt.case
        if attempt.state is AttemptState.CREATED:
            self._tell("created", f"instance {attempt.instance_id} created", attempt)
            self._check_price(attempt)
        elif attempt.state is AttemptState.REFUSED:
            self._tell("refused", f"{attempt.offer}: {attempt.error}", attempt)
            if isinstance(attempt.error, OfferGone):
                self._doubt(attempt)
        elif (
            case is not None and case.state is AttemptState.STILLBORN and case.contract is not None
        ):
            # Its end is confirmed after the others have been sent.
            self.sender.settler.end_stillborn(case)
            self._refused_by_name(attempt)
        elif settle:
            self._find_out(attempt)

    def _refused_by_name(self, attempt: Attempt) -> None:
        if attempt.state is AttemptState.REFUSED:
            attempt.error = _named_another(attempt)

    def _take_earlier(self, spec: Spec) -> bool:
        """Settle what is open before a create is sent; take what was made for the same spec."""
        own = [one.case.marker for one in self.attempts if one.case and one.case.marker]
        found = self.sender.clear_the_way(spec, own)
        for case in found:
            assert case.entry is not None
            offer = Offer(case.entry.offer_id, case.entry.machine_id)
            one = Attempt(offer, case.entry.price, case)
            self.attempts.append(one)
            self._tell(
                "adopted",
                f"instance {case.contract} was created by an earlier request whose answer was "
                "lost: using it",
                one,
            )
        return bool(found)

    def _doubt(self, attempt: Attempt) -> None:
        """Look again for a machine that was called absent: now its offer is said to be rented."""
        for entry in self.sender.doubted(attempt.offer.id):
            case = Case.of(entry)
            before = next(
                (x for x in self.attempts if x.case and x.case.marker == case.marker), None
            )
            if before is None:
                self.sender.arm([case])
            else:
                before.case = case  # the next move settles it

    def _check_price(self, attempt: Attempt) -> None:
        """See what a machine really costs, where a limit depends on it."""
        case = attempt.case
        budget = self.limits.budget_usd is not None
        if case is None or case.entry is None or (self.max_dph is None and not budget):
            return
        dph = self.sender.dph_of(case)
        if dph is None:
            return
        attempt.price = max(attempt.price or 0.0, dph)
        if self.max_dph is not None and dph > self.max_dph * DEARER:
            self.sender.settler.destroy(case)
            attempt.error = InstanceFailed(
                f"Instance {case.contract} costs ${dph:.4f}/h, more than max_dph "
                f"${self.max_dph:.4f}/h, although its offer was cheaper. It is being destroyed.",
                code="too_expensive",
            )
            return
        entry = case.entry
        if entry.budget is not None and entry.deadline is not None:
            now = self.sender.clock.time()
            deadline, left = repriced(entry.deadline, entry.budget, entry.created_at, dph, now)
            self.sender.settler.record(case, deadline=deadline, budget=left, priced_at=now)
            self.sender.guard_machine(attempt)

    def _find_out(self, attempt: Attempt) -> None:
        self._tell(
            "finding out",
            f"the answer for {attempt.offer} was lost: checking whether a machine was created",
            attempt,
        )
        self.sender.find_out(attempt)
        number = attempt.instance_id
        if attempt.state in LIVE:
            self._tell("adopted", f"instance {number} was created: using it", attempt)
        elif attempt.state is AttemptState.ABSENT:
            self._tell("absent", f"nothing was created for {attempt.offer}", attempt)
        elif attempt.state is AttemptState.DESTROYED:
            self._tell("destroyed", f"instance {number} was created stopped: destroyed", attempt)

    def _see_the_stillborn_gone(self) -> None:
        ends = (AttemptState.DESTROYING, AttemptState.STILLBORN)
        dying = [one for one in self.attempts if one.state in ends]
        cases = [one.case for one in dying if one.case is not None]
        if not cases:
            return
        self.sender.settler.settle(cases, DESTROY_BUDGET)
        for one in dying:
            self.sender.guard_machine(one)
            assert one.case is not None
            if one.case.state is AttemptState.REFUSED:
                one.error = _named_another(one)
            elif one.case.is_ended or one.case.state is AttemptState.GONE:
                one.error = one.error or created_stopped(one)
                self._tell("destroyed", one.error.message, one)
            else:
                one.error = still_there([one.case])
                raise one.error

    def _tried(self, one: Attempt) -> Tried:
        assert one.case is not None
        return Tried(
            Candidate(one.offer.id, one.offer.machine_id), one.case.state, fatal=self._fatal(one)
        )

    def _may_be_tried(self, offer: Offer) -> bool:
        states = [one.state for one in self.attempts if one.offer.id == offer.id]
        return all(state in (None, AttemptState.ABSENT) for state in states)

    def _fatal(self, one: Attempt) -> bool:
        """Say whether a refusal holds for every offer."""
        error = one.error
        if error is not None and error.code == "deadline":
            return True
        if error is None or isinstance(error, OfferGone | InstanceFailed | OutcomeUnknown):
            return False
        if error.code == "proved_absent":
            return sum(x.state is AttemptState.ABSENT for x in self.attempts) >= MOST_LOST
        return True

    # -- deadlines ---------------------------------------------------------------------------

    def _is_over(self, one: Attempt) -> bool:
        """Say whether a machine has reached its deadline, and say so in its attempt."""
        deadline = one.deadline
        if one.state not in LIVE or deadline is None or self.sender.clock.time() < deadline:
            return False
        when = in_words(deadline, self.sender.clock.time())
        one.error = InstanceFailed(
            f"Instance {one.instance_id} reached its deadline, {when}, while machines were still "
            "being rented. It is being destroyed, and nothing more was rented. Allow more hours "
            "or a larger budget.",
            code="deadline",
        )
        return True

    def _end_together(self, finish: Finish) -> Finish:
        """Give the machines the deadlines that they have as a fleet."""
        entries = [one.case.entry for one in self.rented if one.case and one.case.entry]
        known = [
            (one.case.entry, one.price)
            for one in self.rented
            if one.case and one.case.entry and one.price is not None
        ]
        # What stands in a start script cannot be changed: with that, each keeps its share.
        if self.limits.budget_usd is None or self.limits.on_machine or len(known) < len(entries):
            return finish
        machines = [Priced(entry.created_at, price) for entry, price in known]
        moments = self.limits.together(machines)
        deadlines = {entry.marker: at for entry, at in zip(entries, moments, strict=True)}
        budgets = {
            entry.marker: max(0.0, deadlines[entry.marker] - (entry.priced_at or 0.0)) * dph / HOUR
            for entry, dph in known
        }
        try:
            self.sender.journal.set_deadlines(deadlines, budgets)
        except JournalError as error:
            warn(error.message)  # they hold in this kernel
        for one in self.rented:
            if one.case and one.case.entry:
                marker = one.case.entry.marker
                one.case.entry = replace(
                    one.case.entry, deadline=deadlines[marker], budget=budgets[marker]
                )
                self.sender.guard_machine(one)
        return finish

    # -- telling -----------------------------------------------------------------------------

    def _tell(self, kind: Kind, text: str, attempt: Attempt | None = None) -> None:
        offer = None if attempt is None else attempt.offer.id
        number = None if attempt is None else attempt.instance_id
        price = None if attempt is None else attempt.price
        self._reporter.tell(RentEvent(kind, offer, number, price, text))

    def _pass_over(self, over: Sequence[PassedOver]) -> None:
        """Note offers, and tell of all of them at once: a limit may rule out hundreds."""
        new = [Attempt(one.offer, one.price, passed_over=one.why) for one in over]
        lost = {one.offer.id for one in self.attempts if one.state is AttemptState.ABSENT}
        for one in new:
            if one.offer.id in lost:  # the create that was called absent may have rented it
                self._doubt(one)
        self.attempts += new
        first = f"{new[0].offer}: {new[0].passed_over}"
        more = f" (and {len(new) - 1} more, see .attempts)" if new[1:] else ""
        self._tell("passed over", f"{first}{more}", new[0])


def _outcome(attempt: Attempt) -> str:
    if attempt.case is None:
        return "passed over"
    return "destroyed" if attempt.case.is_ended else str(attempt.case.state)


def _until(attempt: Attempt, now: float) -> str:
    return "" if attempt.deadline is None else f", ends {in_words(attempt.deadline, now)}"


def _named_another(attempt: Attempt) -> InvalidRequest:
    note = attempt.case.entry.note if attempt.case and attempt.case.entry else ""
    return InvalidRequest(
        f"Vast.ai refused {attempt.offer}; {note}. Nothing was rented by this request, and that "
        "machine was left alone.",
        code="refused",
    )


_DTYPES: Final[dict[str, Dtype]] = {
    "offer_id": "Int64",
    "machine_id": "Int64",
    "gpu": "string",
    "dph": "Float64",
    "outcome": "string",
    "instance_id": "Int64",
    "reason": "string",
}
