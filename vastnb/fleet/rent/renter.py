"""From what a user hands to `rent` to candidates, and from a rental to handles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import pandas as pd

from vastnb.api.progress import wait_line
from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.guarding import guard_of
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.rent.account import require_ssh_key, warn_of_credit
from vastnb.fleet.rent.attempt import Desk
from vastnb.fleet.rent.deadline import HOUR, LATEST, LONGEST, Bounds
from vastnb.fleet.rent.events import Listener
from vastnb.fleet.rent.offer import (
    Offer,
    bid_for,
    check_kinds,
    is_query,
    offer_of,
    offers_of,
    with_disk,
)
from vastnb.fleet.rent.on_machine import with_line
from vastnb.fleet.rent.outcomes import Attempt
from vastnb.fleet.rent.plan import LIVE
from vastnb.fleet.rent.rental import Rental
from vastnb.fleet.rent.replacement import keep
from vastnb.fleet.rent.spec import Order
from vastnb.fleet.warned import warn
from vastnb.values import number

if TYPE_CHECKING:
    from vastnb.fleet.verbs import InstanceVerbs

T = TypeVar("T")

MOST: Final = 256
"""Machines in one call."""

DISK_SLACK: Final = 0.98
"""The share of a disk that has to be there: what is left goes to its file system."""

JUST_NOW: Final = 20.0
"""Seconds for which the prices of a search need not be asked for again."""


class Terms(NamedTuple):
    """What a rental is bound by, and who hears of it.

    Parameters
    ----------
    bounds : Bounds
        Hours and dollars after which the machines end.
    check_ssh_key : bool
        Whether the account must have an SSH key, if one will be needed.
    on_event : callable or None
        Told of every step.
    """

    bounds: Bounds
    check_ssh_key: bool = True
    on_event: Listener | None = None


def prepare(
    client: InstanceVerbs,
    order: Order,
    offers: Any,
    *,
    count: int,
    max_dph: float | None,
    bid: float | str | None,
    terms: Terms,
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
    _check_on_machine(order, terms.bounds)
    desk = client._fleet(acting=True)
    if is_query(offers):
        offers = client.search_offers(  # type: ignore[attr-defined]
            with_disk(offers, order.disk),
            type="on-demand" if bid is None else "bid",
            order="dph_total",
            storage=order.disk,
            refresh=True,
        )
    candidates = list({one.id: one for one in offers_of(offers)}.values())
    check_kinds(candidates, bid=bid is not None)
    if not candidates:
        raise _wrong("there is no offer to try; the search found none")
    _about_to_rent(client, desk, order, terms)
    _warn_of_credit(desk, order, candidates[:count], terms.bounds, bid)
    return Rental(
        desk,
        order,
        candidates,
        count=count,
        max_dph=max_dph,
        bid=bid,
        checked_at=_asked_at(offers, candidates, bid, desk),
        bounds=terms.bounds,
        on_event=terms.on_event,
        line=desk.rights.on_wait is wait_line,
    )


def result_of(client: InstanceVerbs, rental: Rental) -> Instance | Fleet:
    """Run a rental, and return handles for what it rented."""
    return _minding(client, rental, lambda: _result_of(client, rental))


def _minding(client: InstanceVerbs, rental: Rental, work: Callable[[], T]) -> T:
    """Do the work; an error carries the machines that were rented before it."""
    try:
        return rental.minding(work)
    except VastError as error:
        frame = rental.frame()
        error.machines = tuple(_handle(client, one, frame, rental) for one in rental.rented)
        raise


def _result_of(client: InstanceVerbs, rental: Rental) -> Instance | Fleet:
    rental.run()
    rented, attempts = rental.rented, rental.frame()
    if not rented:
        raise rental.failure()
    handles = [_handle(client, one, attempts, rental) for one in rented]
    if rental.count == 1:
        return handles[0]
    if len(handles) < rental.count:
        warn(
            f"{len(handles)} of {rental.count} machines were rented: {rental.failure().message} "
            "Those that were rented bill; see .attempts.",
            stacklevel=7,
        )
    return Fleet(client, handles, wanted=rental.count, attempts=attempts)


def one_instance(client: InstanceVerbs, order: Order, offer: Any, terms: Terms) -> Instance:
    """Make one attempt at one offer, see what came of it, and return its handle."""
    chosen = offer_of(offer)
    check_kinds([chosen], bid=order.price is not None)
    _check_on_machine(order, terms.bounds)
    desk = client._fleet(acting=True)
    _about_to_rent(client, desk, order, terms)
    # A price that was seen a while ago may have risen since. Of a bare id none was seen.
    budget = terms.bounds.budget_usd is not None
    checked_at = _asked_at(offer, [chosen], order.price, desk)
    check = budget or (checked_at is None and chosen.kind is not None)
    rental = Rental(
        desk,
        order,
        [chosen],
        bid=order.price if check else None,
        checked_at=None if check else desk.clock.time(),
        bounds=terms.bounds,
        on_event=terms.on_event,
        line=desk.rights.on_wait is wait_line,
    )
    if check:
        rental.check()
    if not rental.candidates.at_hand:
        raise rental.failure()
    return _minding(client, rental, lambda: _result_of_one(client, rental))


def _result_of_one(client: InstanceVerbs, rental: Rental) -> Instance:
    attempt = rental.run_one()
    if attempt.state in LIVE:
        return _handle(client, attempt, rental.frame(), rental)
    assert attempt.error is not None
    raise attempt.error


def _about_to_rent(client: InstanceVerbs, desk: Desk, order: Order, terms: Terms) -> None:
    """See to what must be there before the first create is sent."""
    if terms.check_ssh_key:
        require_ssh_key(desk.account, order)
    guard_of(client, desk)


def _check_on_machine(order: Order, bounds: Bounds) -> None:
    """See that a machine can end itself: that its start script runs, and has room for it."""
    if not bounds.on_machine:
        return
    if "args" in (order.wire_runtype or "").split():
        raise _wrong(
            "deadline_on_machine needs a start script, and with the run type args none is run"
        )
    if order.template_hash is not None and order.onstart is None:
        raise _wrong(
            "deadline_on_machine would take the place of the template's own start script; give "
            "onstart= with what is to be run"
        )
    # For its length; the real one has the real deadline and server.
    replace(order, onstart=with_line(order.onstart, LATEST, "https://console.vast.ai"))


def _warn_of_credit(
    desk: Desk, order: Order, offers: Sequence[Offer], bounds: Bounds, bid: float | str | None
) -> None:
    prices = [
        one.dph(order.disk, None if bid is None else bid_for(one, bid) or one.min_bid)
        for one in offers
    ]
    known = [price for price in prices if price is not None]
    if len(known) < len(prices) or not known:
        return
    hours = min(bounds.max_hours or 1.0, LONGEST / HOUR)
    dollars = sum(known) * hours
    if bounds.budget_usd is not None:
        dollars = min(dollars, bounds.budget_usd) if bounds.max_hours else bounds.budget_usd
    machines = "one machine" if len(known) == 1 else f"{len(known)} machines"
    warn_of_credit(desk.account, dollars, f"{hours:g} h of {machines}")


def _handle(
    client: InstanceVerbs, attempt: Attempt, attempts: pd.DataFrame, rental: Rental
) -> Instance:
    assert attempt.case is not None
    assert attempt.case.contract is not None
    _look_at_disk(client, attempt.case.contract, attempt.offer, rental.order.disk)
    keep(client, attempt.case.contract, rental)
    return Instance(client, attempt.case.contract, wanted="running", attempts=attempts)


def _look_at_disk(client: InstanceVerbs, id: int, offer: Offer, disk: float) -> None:
    """Warn of a disk that the service has cut without a word, where the offer did not rule it out.

    A machine that exists is never lost for a look that fails.
    """
    if offer.disk_space is not None and offer.disk_space >= disk:
        return
    try:
        record = client._record_of(id) or {}
    except VastError:
        return
    got = number(record.get("disk_space"))
    if got is not None and got < disk * DISK_SLACK:
        warn(
            f"Instance {id} has a disk of {got:g} GB instead of {disk:g} GB: its offer has no "
            f"more. It runs and bills. If that is too small, client.destroy_instance({id}) ends "
            f'it; search with "disk_space>={disk:g}" for others.',
            stacklevel=7,
        )


def _asked_at(
    offers: Any, candidates: Sequence[Offer], bid: float | str | None, desk: Desk
) -> float | None:
    """Return when these prices were asked for, if it was just now and they are all there."""
    if not isinstance(offers, pd.DataFrame | pd.Series):
        return None
    if any(one.dph(0.0, None if bid is None else one.min_bid) is None for one in candidates):
        return None
    origin = offers.attrs.get("vastnb", {})
    kind = "on-demand" if bid is None else "bid"
    if origin.get("type") != kind:
        return None
    try:
        asked = datetime.fromisoformat(origin["fetched_at"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    return asked if 0 <= desk.clock.time() - asked <= JUST_NOW else None


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"This cannot be rented: {what}. Nothing was sent, nothing was rented.")


__all__ = [
    "Terms",
    "one_instance",
    "prepare",
    "result_of",
]
