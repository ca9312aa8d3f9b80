"""Renting: candidates in the order given, one machine for each that is wanted.

`Rental.run` does what `vastnb.fleet.plan.next_move` decides. Just before offers are tried, they are
searched again by their ids, past the cache and with the user's disk, so that what is compared
with `max_dph` is what the service asks now.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pandas as pd

from vastnb.errors import (
    AuthError,
    InstanceFailed,
    OfferGone,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    VastError,
)
from vastnb.fleet.desk import Attempt, Desk, still_there
from vastnb.fleet.offer import Offer, bid_for, offer_of
from vastnb.fleet.order import Order
from vastnb.fleet.plan import (
    LIVE,
    UNSETTLED,
    Candidate,
    Finish,
    Send,
    Settle,
    State,
    Tried,
    next_move,
)
from vastnb.fleet.settle import DESTROY_BUDGET, Case

CHUNK: Final = 32
"""Offers that are searched again at a time: their rows count against the day's quota."""

FRESH: Final = 60.0
"""Seconds for which a price is the price of the last moment. Ten creates take forty."""

MOST_LOST: Final = 4
"""Creates that never arrived, after which the network is to blame and not the offers."""


@dataclass
class Rental:
    """One call of `Client.rent`.

    Parameters
    ----------
    desk : Desk
        Sends and settles.
    order : Order
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
    say : callable
        Told in words what runs when the call is interrupted.
    """

    desk: Desk
    order: Order
    offers: Sequence[Offer]
    count: int = 1
    max_dph: float | None = None
    bid: float | str | None = None
    checked_at: float | None = None
    say: Callable[[str], object] = field(default=lambda text: print(text, file=sys.stderr))
    attempts: list[Attempt] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting = list(self.offers)
        self._at_hand: list[Offer] = []
        if self.checked_at is not None:
            self._waiting = []
            self._sort_out(self.offers, {one.id: one for one in self.offers})

    @property
    def rented(self) -> list[Attempt]:
        """The attempts that gave a machine which is still ours."""
        return [one for one in self.attempts if one.state in LIVE]

    def run(self) -> Finish:
        """Rent, and return why it ended.

        Raises
        ------
        OutcomeUnknown
            If a machine may exist that nobody holds. Nothing more was sent then.
        VastError
            If nothing can be sent at all.
        KeyboardInterrupt
            After having said what runs.
        """
        try:
            try:
                finish = self._run()
            finally:
                self._see_the_stillborn_gone()
        except KeyboardInterrupt:
            self.say(f"Interrupted. {self.what_runs()}")
            raise
        except VastError as error:
            if self.rented:
                error.add_note(self.what_runs())
            raise
        return finish

    def what_runs(self) -> str:
        """Return in words which machines of this call exist, or may."""
        runs = [f"instance {one.instance_id} (${one.price or 0:.4f}/h)" for one in self.rented]
        open_ = [str(one.offer) for one in self.attempts if one.state in UNSETTLED]
        text = f"Rented by this call and billing: {', '.join(runs)}." if runs else ""
        if open_:
            text += f" A machine may exist for {', '.join(open_)}: run client.reconcile()."
        if runs:
            text += " client.destroy_instance(id) ends one."
        return text.strip() or "This call has rented nothing."

    def frame(self) -> pd.DataFrame:
        """Return one row per offer that was considered, in the order of the candidates."""
        places = {one.id: place for place, one in enumerate(self.offers)}
        rows = [
            {
                "offer_id": one.offer.id,
                "machine_id": one.offer.machine_id,
                "gpu": one.offer.gpu or None,
                "dph": one.price,
                "outcome": str(one.state) if one.state else "passed over",
                "instance_id": one.instance_id,
                "reason": one.error.message if one.error else one.passed_over or None,
            }
            for one in sorted(self.attempts, key=lambda one: places[one.offer.id])
        ]
        return pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)

    def failure(self) -> VastError:
        """Return the error for a call that rented nothing."""
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
        kind = InstanceFailed if errors and isinstance(errors[-1], InstanceFailed) else OfferGone
        return kind(
            f"None of {len(self.offers)} offers could be rented ({len(tried)} tries, {over} "
            f"passed over). Nothing is rented or billed by this call. The last one: {last}",
            code="no_offer_left",
        )

    # -- in private --------------------------------------------------------------------------

    def _run(self) -> Finish:
        while True:
            tried = [self._tried(one) for one in self.attempts if one.case is not None]
            sent = [one for one in self.attempts if one.case is not None]
            at_hand = [Candidate(one.id, one.machine_id) for one in self._at_hand]
            match next_move(self.count, tried, at_hand):
                case Settle(index):
                    self.desk.find_out(sent[index])
                    if sent[index].state in UNSETTLED:
                        assert sent[index].error is not None
                        raise sent[index].error  # type: ignore[misc]
                case Send(candidate):
                    self._send(candidate.offer_id)
                case Finish(why):
                    if why != "no more offers" or not self._waiting:
                        return Finish(why)
                    self._check_some()

    def _send(self, offer_id: int) -> None:
        if not self._is_fresh():
            self._check_again()
            return
        offer = next(one for one in self._at_hand if one.id == offer_id)
        order = self.order
        if self.bid is not None:
            order = replace(order, price=bid_for(offer, self.bid))
        attempt = Attempt(offer)
        self.attempts.append(attempt)
        try:
            done = self.desk.send(offer, order, attempt)
        except BaseException:
            if attempt.case is None:
                self.attempts.remove(attempt)
            raise
        case = done.case
        if case is not None and case.state is State.STILLBORN and case.contract is not None:
            # Its end is watched after the others have been sent.
            self.desk.settler.destroy(case, [case.contract])

    def _see_the_stillborn_gone(self) -> None:
        dying = [one for one in self.attempts if one.state in (State.DESTROYING, State.STILLBORN)]
        cases = [one.case for one in dying if one.case is not None]
        if not cases:
            return
        self.desk.settler.settle(cases, DESTROY_BUDGET)
        for one in dying:
            assert one.case is not None
            if one.case.state is State.DESTROYED:
                one.error = _stillborn(one, one.case)
            else:
                one.error = still_there(one.case)
                raise one.error

    def _tried(self, one: Attempt) -> Tried:
        assert one.case is not None
        return Tried(
            Candidate(one.offer.id, one.offer.machine_id), one.case.state, fatal=self._fatal(one)
        )

    def _fatal(self, one: Attempt) -> bool:
        """Say whether a refusal holds for every offer."""
        error = one.error
        if error is None or isinstance(error, OfferGone | InstanceFailed | OutcomeUnknown):
            return False
        if error.code == "proved_absent":
            return sum(x.state is State.ABSENT for x in self.attempts) >= MOST_LOST
        # 403 with any other word: this machine may not be rented by this account.
        return not (
            isinstance(error, AuthError) and error.status == 403 and error.code != "auth_error"
        )

    # -- prices ------------------------------------------------------------------------------

    def _is_fresh(self) -> bool:
        return self.checked_at is not None and self.desk.clock.time() - self.checked_at <= FRESH

    def _check_again(self) -> None:
        """Put what is at hand and was not tried back, to be searched again."""
        sent = {one.offer.id: one for one in self.attempts if one.state is not None}
        again = [
            one for one in self._at_hand if one.id not in sent or sent[one.id].state is State.ABSENT
        ]
        self._waiting = again + self._waiting
        self._at_hand = []
        self._check_some()

    def _check_some(self) -> None:
        """Search the next offers again, and keep those that may be rented at this price."""
        some, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
        now = self._search(some)
        self.checked_at = self.desk.clock.time()
        self._sort_out(some, {one.id: one for one in some} if now is None else now)

    def _sort_out(self, offers: Sequence[Offer], now: Mapping[int, Offer]) -> None:
        self._at_hand = []
        for offer in offers:
            found = now.get(offer.id)
            why = "it is no longer offered" if found is None else self._unacceptable(found)
            if found is None or why:
                price = found.dph(self.order.disk) if found else offer.dph(self.order.disk)
                self.attempts.append(Attempt(found or offer, price, passed_over=why))
            else:
                self._at_hand.append(found)

    def _search(self, offers: Sequence[Offer]) -> dict[int, Offer] | None:
        """Return the offers as they are now; None if they cannot be asked for and need not be."""
        if not offers:
            return {}
        body: dict[str, Any] = {
            "id": {"in": [one.id for one in offers]},
            "rentable": {"eq": True},
            "disable_bundling": True,
            "order": [["dph_total", "asc"]],
            "type": "on-demand" if self.bid is None else "bid",
            "limit": len(offers),
            "allocated_storage": self.order.disk,
        }
        try:
            answer = self.desk.call("search_offers", body=body, refresh=True)
        except (RateLimited, ServerError) as error:
            if self.max_dph is None and not isinstance(self.bid, str):
                return None
            error.add_note("The price could not be checked again, so nothing was sent.")
            raise
        if answer.stale:
            if self.max_dph is None and not isinstance(self.bid, str):
                return None
            raise ServerError(
                "The price could not be checked again at the last moment "
                f"({answer.stale_reason}). Nothing was rented by this. Try again in a while.",
                code="price_not_checked",
            )
        rows = [offer_of({**row, "is_bid": False}) for row in answer.data["offers"]]
        return {one.id: one for one in rows}

    def _unacceptable(self, offer: Offer) -> str:
        bid = None
        if self.bid is not None:
            bid = bid_for(offer, self.bid)
            if bid is None:
                return "its least bid is not known"
            if offer.min_bid is not None and bid < offer.min_bid:
                return f"a bid of ${bid:.4f}/h is below its least one, ${offer.min_bid:.4f}/h"
        price = offer.dph(self.order.disk, bid)
        if self.max_dph is None:
            return ""
        if price is None:
            return "its price is not known"
        if price > self.max_dph:
            return (
                f"it costs ${price:.4f}/h with {self.order.disk:g} GB, more than max_dph "
                f"${self.max_dph:.4f}/h"
            )
        return ""


def _stillborn(attempt: Attempt, case: Case) -> InstanceFailed:
    return InstanceFailed(
        f"{attempt.offer} gave a stopped machine (instance {case.contract}), which would have "
        "billed its disk. It was destroyed and is gone.",
        code="created_stopped",
    )


_DTYPES: Final[dict[str, Any]] = {
    "offer_id": "Int64",
    "machine_id": "Int64",
    "gpu": pd.StringDtype("python"),
    "dph": "Float64",
    "outcome": pd.StringDtype("python"),
    "instance_id": "Int64",
    "reason": pd.StringDtype("python"),
}


__all__ = ["Rental"]
