"""From what a user hands to `rent` to candidates, and from a rental to handles."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.fleet.again import keep
from vastnb.fleet.desk import Attempt, Desk
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.offer import Offer, bid_for, offers_of
from vastnb.fleet.order import Order
from vastnb.fleet.plan import LIVE, OPEN
from vastnb.fleet.rent import Rental

if TYPE_CHECKING:
    from vastnb.fleet.verbs import InstanceVerbs

MOST: Final = 256
"""Machines in one call."""

JUST_NOW: Final = 20.0
"""Seconds for which the prices of a search with the same disk need not be asked for again."""


def prepare(
    client: InstanceVerbs,
    order: Order,
    offers: Any,
    *,
    count: int,
    max_dph: float | None,
    bid: float | str | None,
) -> Rental:
    """Check what was asked for, find the candidates, and return the rental that is to be run.

    Raises
    ------
    InvalidRequest
        If it makes no sense, or if offers of a bid search were to be rented on demand.
    """
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise _wrong(f"count={count!r}: a whole number from 1 to {MOST} is needed")
    if max_dph is not None and not (
        isinstance(max_dph, int | float) and not isinstance(max_dph, bool) and max_dph > 0
    ):
        raise _wrong(f"max_dph={max_dph!r}: a price in $/h is needed")
    if bid is not None:
        bid_for(Offer(0), bid)  # a strategy that is no strategy is refused before anything is sent
        if not isinstance(bid, str):
            Order(image="any", price=bid)
    desk = client._fleet(acting=True)
    if _is_query(offers):
        offers = client.search_offers(  # type: ignore[attr-defined]
            offers,
            type="on-demand" if bid is None else "bid",
            order="dph_total",
            storage=order.disk,
            refresh=True,
        )
    candidates = list({one.id: one for one in offers_of(offers)}.values())
    if bid is None and any(one.is_bid for one in candidates):
        raise _wrong(
            "these offers come from a search for interruptible machines, and there is no bid: "
            'they would be rented on demand, at a higher price. Give bid="min+10%" or a price'
        )
    if not candidates:
        raise _wrong("there is no offer to try; the search found none")
    return Rental(
        desk,
        order,
        candidates,
        count=count,
        max_dph=max_dph,
        bid=bid,
        checked_at=_asked_at(offers, order, bid, desk),
    )


def result_of(client: InstanceVerbs, rental: Rental) -> Instance | Fleet:
    """Run a rental, and return handles for what it rented."""
    rental.run()
    rented, attempts = rental.rented, rental.frame()
    if not rented:
        raise rental.failure()
    handles = [_handle(client, one, attempts, rental) for one in rented]
    if rental.count == 1:
        return handles[0]
    if len(handles) < rental.count:
        warnings.warn(
            f"{len(handles)} of {rental.count} machines were rented: {rental.failure().message} "
            "Those that were rented bill; see .attempts.",
            RuntimeWarning,
            stacklevel=3,
        )
    return Fleet(client, handles, wanted=rental.count, attempts=attempts)


def one_instance(
    client: InstanceVerbs, rental: Rental, desk: Desk, offer: Offer, attempt: Attempt
) -> Instance:
    """Make one attempt at one offer, see what came of it, and return its handle."""
    rental.attempts.append(attempt)
    try:
        desk.send(offer, rental.order, attempt)
        if attempt.state in OPEN:
            desk.find_out(attempt)
    except KeyboardInterrupt:
        rental.say(f"Interrupted. {rental.what_runs()}")
        raise
    if attempt.state in LIVE:
        return _handle(client, attempt, rental.frame(), rental)
    assert attempt.error is not None
    raise attempt.error


def _handle(
    client: InstanceVerbs, attempt: Attempt, attempts: pd.DataFrame, rental: Rental
) -> Instance:
    assert attempt.case is not None
    assert attempt.case.contract is not None
    keep(client, attempt.case.contract, rental)
    return Instance(client, attempt.case.contract, wanted="running", attempts=attempts)


def _is_query(offers: Any) -> bool:
    from vastnb.market.query import Query

    if offers is None or isinstance(offers, str | Query):
        return True
    # An offer is a dict too; its id is a number, where a query has a condition.
    return isinstance(offers, Mapping) and not isinstance(
        offers.get("id", offers.get("ask_contract_id")), int
    )


def _asked_at(offers: Any, order: Order, bid: float | str | None, desk: Desk) -> float | None:
    """Return when these prices were asked for, if it was just now and with this disk."""
    if not isinstance(offers, pd.DataFrame):
        return None
    origin = offers.attrs.get("vastnb", {})
    kind = "on-demand" if bid is None else "bid"
    if origin.get("storage_gb") != order.disk or origin.get("type") != kind:
        return None
    try:
        asked = datetime.fromisoformat(origin["fetched_at"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    return asked if 0 <= desk.clock.time() - asked <= JUST_NOW else None


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"This cannot be rented: {what}. Nothing was sent, nothing was rented.")


__all__ = ["one_instance", "prepare", "result_of"]
