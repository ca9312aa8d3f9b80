"""Candidates and their prices, as they are at the last moment.

Just before offers are tried they are searched again by their ids, past the cache and with the
user's disk, so that what is compared with `max_dph` (and reckoned with for a budget) is what the
service asks now. If that fails nothing is rented: a price may have risen since it was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from vastnb.api.answers import Answer
from vastnb.api.transport import Call
from vastnb.clock import Clock
from vastnb.errors import RateLimited, ServerError, VastError
from vastnb.fleet.rent.offer import Kind, Offer, bid_for, found_offer
from vastnb.fleet.rent.spec import Order

CHUNK: Final = 32
"""Offers that are searched again at a time: their rows count against the day's quota."""

FRESH: Final = 60.0
"""Seconds for which a price is the price of the last moment. Ten creates take forty."""

PATIENCE: Final = 60.0
AGAIN: Final = 10.0
"""Seconds for which a check that fails is tried again, and from one try to the next."""

RISEN: Final = 1.2
"""How many times the price that the user has seen an offer may cost, without a `max_dph`."""


class PassedOver(NamedTuple):
    """An offer that is not tried: the offer, its price ($/h with the disk), and why."""

    offer: Offer
    price: float | None
    why: str


Over = Callable[[Sequence[PassedOver]], object]
"""Told of the offers that a check has ruled out, all at once."""


class Candidates:
    """The offers of one rental, best first.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    order : Order
        With the disk that prices include.
    offers : sequence of Offer
        Best first.
    max_dph : float or None
        The most that one may cost, $/h with its disk.
    bid : float, str or None
        A bid in $/h, a strategy, or on demand.
    price_needed : bool
        Whether an offer without a price is none.
    over : callable
        Told of offers that are passed over.

    Attributes
    ----------
    at_hand : list of Offer
        Those that may be rented at their present price.
    """

    def __init__(
        self,
        call: Call,
        clock: Clock,
        order: Order,
        offers: Sequence[Offer],
        *,
        max_dph: float | None,
        bid: float | str | None,
        price_needed: bool,
        over: Over,
    ) -> None:
        self._call = call
        self._clock = clock
        self._order = order
        self._max_dph = max_dph
        self._bid = bid
        self._price_needed = price_needed or max_dph is not None
        self._over = over
        self._waiting = list(offers)
        self._handed = {one.id: one for one in offers}
        self._checked_at: float | None = None
        self.at_hand: list[Offer] = []

    @property
    def are_left(self) -> bool:
        """Whether there are some that have not been searched again yet."""
        return bool(self._waiting)

    @property
    def are_fresh(self) -> bool:
        """Whether the prices at hand are those of the last moment."""
        return self._checked_at is not None and self._clock.time() - self._checked_at <= FRESH

    def take_as_checked(self, at: float) -> None:
        """Take the offers as they are: their prices were asked for at that moment."""
        offers, self._waiting = self._waiting, []
        self._checked_at = at
        self._sort_out(offers, {one.id: one for one in offers})

    def check_again(self, may_be_tried: Callable[[Offer], bool]) -> None:
        """Search again what is at hand and may still be tried."""
        self._waiting = [one for one in self.at_hand if may_be_tried(one)] + self._waiting
        self.at_hand = []
        self.check_some()

    def check_some(self) -> None:
        """Search the next offers again, and keep those that may be rented at this price.

        Raises
        ------
        VastError
            If the prices cannot be asked for. Nothing was sent for these offers.
        """
        some, self._waiting = self._waiting[:CHUNK], self._waiting[CHUNK:]
        now = self._search(some)
        self._checked_at = self._clock.time()
        self._sort_out(some, now)

    def offer(self, offer_id: int) -> Offer:
        """Return one that is at hand."""
        return next(one for one in self.at_hand if one.id == offer_id)

    # -- in private --------------------------------------------------------------------------

    def _sort_out(self, offers: Sequence[Offer], now: Mapping[int, Offer]) -> None:
        self.at_hand = []
        over: list[PassedOver] = []
        for offer in offers:
            found = now.get(offer.id)
            why = "it is no longer offered" if found is None else self._unacceptable(found)
            if found is None or why:
                price = found.dph(self._order.disk) if found else offer.dph(self._order.disk)
                over.append(PassedOver(found or offer, price, why))
            else:
                self.at_hand.append(found)
        if over:
            self._over(over)

    def _search(self, offers: Sequence[Offer]) -> dict[int, Offer]:
        """Return the offers as they are now."""
        if not offers:
            return {}
        body: dict[str, Any] = {
            "id": {"in": [one.id for one in offers]},
            "rentable": {"eq": True},
            "disable_bundling": True,
            "order": [["dph_total", "asc"]],
            "type": "on-demand" if self._bid is None else "bid",
            "limit": len(offers),
            "allocated_storage": self._order.disk,
        }
        answer = self._asked(body)
        kind: Kind = "on-demand" if self._bid is None else "interruptible"
        rows = [found_offer(row, kind, self._order.disk) for row in answer.data["offers"]]
        return {one.id: one for one in rows}

    def _asked(self, body: Mapping[str, Any]) -> Answer:
        """Ask for prices, again and again for a while; an older answer is none."""
        until = self._clock.steady() + PATIENCE
        while True:
            error: VastError
            try:
                answer = self._call("search_offers", body=body, refresh=True)
            except (RateLimited, ServerError) as failed:
                error = failed
            else:
                if not answer.stale:
                    return answer
                error = ServerError(f"Only an older answer is at hand ({answer.stale_reason}).")
            if isinstance(error, RateLimited) or self._clock.steady() + AGAIN > until:
                error.message = (
                    "The price could not be checked at the last moment, so no create was sent and "
                    f"nothing was rented by this. Try again in a while. {error.message}"
                )
                error.args, error.code = (error.message,), error.code or "price_not_checked"
                raise error
            self._clock.sleep(AGAIN)

    def _unacceptable(self, offer: Offer) -> str:
        disk = self._order.disk
        why = self._too_expensive(offer, disk)
        if not why and offer.disk_space is not None and disk > offer.disk_space:
            # The service would cut the disk without a word.
            return f"its largest disk has {offer.disk_space:g} GB, and {disk:g} GB are wanted"
        return why

    def _too_expensive(self, offer: Offer, disk: float) -> str:
        bid = None
        if self._bid is not None:
            bid = bid_for(offer, self._bid)
            if bid is None:
                return "its least bid is not known"
            if offer.min_bid is not None and bid < offer.min_bid:
                return f"a bid of ${bid:.4f}/h is below its least one, ${offer.min_bid:.4f}/h"
        price = offer.dph(disk, bid)
        if price is None:
            return "its price is not known" if self._price_needed else ""
        if self._max_dph is not None:
            if price <= self._max_dph:
                return ""
            return (
                f"it costs ${price:.4f}/h with {disk:g} GB, more than max_dph "
                f"${self._max_dph:.4f}/h"
            )
        seen = self._seen_price(offer)
        if seen is None or price <= seen * RISEN:
            return ""
        return (
            f"its price has risen from ${seen:.4f}/h to ${price:.4f}/h with {disk:g} GB. Search "
            "again, or say with max_dph= what you would pay"
        )

    def _seen_price(self, offer: Offer) -> float | None:
        """Return what the user has seen that an offer costs, with this disk and bid, $/h."""
        handed = self._handed.get(offer.id)
        if handed is None:
            return None
        bid = None if self._bid is None else bid_for(handed, self._bid)
        if self._bid is not None and bid is None:
            return None
        if bid is None and handed.kind not in ("on-demand", None):
            return None
        return handed.dph(self._order.disk, bid)


__all__ = ["CHUNK", "FRESH", "RISEN", "Candidates", "PassedOver"]
