"""Another machine for the same purpose: destroy one that does not come up, and rent the next offer.

What a machine was rented for (image, environment, start script, candidates, price) is known only
in the kernel that rented it, for it may hold secrets and is written down nowhere. There, the same
rental goes on with the offers that it has not tried; when there are none left, with offers of the
same GPUs, cheapest first. Its limit of hours holds for the new machine anew; of a budget it has
what the old one has left.

The old machine is destroyed first, and has stayed gone, before anything is rented: so two are
never paid for, and if no offer can be had, there is no machine and no bill.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from vastnb.errors import InstanceFailed, InvalidRequest, OfferGone, VastError
from vastnb.fleet.guarding import guard_of
from vastnb.fleet.rent.deadline import Machine, spent_by
from vastnb.fleet.rent.ending import destroy
from vastnb.fleet.rent.offer import Offer, bid_for, offers_of
from vastnb.values import number

if TYPE_CHECKING:
    from vastnb.fleet.instance import Instance
    from vastnb.fleet.rent.attempt import Desk
    from vastnb.fleet.rent.rental import Rental
    from vastnb.fleet.verbs import InstanceVerbs

DEARER: Final = 1.1
"""How many times the old price the next machine may cost, if the rental has no limit of its own."""
KEPT: Final = 512
"""Rentals that a client remembers."""


@dataclass(frozen=True, slots=True)
class NextOffer:
    """What would be rented in the place of a machine.

    Parameters
    ----------
    left : int
        Offers of the same rental that were not tried; with 0, the market is searched again.
    max_dph : float or None
        The most that the next machine may cost, $/h with its disk; None if that is not known.
    image : str or None
        What it is rented for.
    """

    left: int
    max_dph: float | None
    image: str | None


def keep(client: InstanceVerbs, id: int, rental: Rental) -> None:
    """Remember what a machine was rented for, in this kernel only."""
    kept: dict[int, Rental] = client.__dict__.setdefault("_rented_here", {})
    kept[id] = rental
    while len(kept) > KEPT:
        del kept[next(iter(kept))]


def next_offer(
    client: InstanceVerbs, id: int, record: Mapping[str, Any] | None = None
) -> NextOffer | None:
    """Say what `rent_again` would rent. Asks nothing.

    Parameters
    ----------
    client : Client
        Who rented it.
    id : int
        The machine.
    record : mapping, optional
        What the service shows of it.

    Returns
    -------
    NextOffer or None
        None for a machine that this client has not rented itself.
    """
    rental = _kept(client, id)
    if rental is None:
        return None
    order = rental.order
    return NextOffer(
        len(_untried(client, rental)), _limit(client, rental, id, record or {}), order.image
    )


def rent_again(
    client: InstanceVerbs,
    id: int,
    record: Mapping[str, Any],
    *,
    max_dph: float | None = None,
) -> Instance:
    """Destroy a machine, see that it stays gone, and rent the next offer for the same purpose.

    Parameters
    ----------
    client : Client
        Who rented it, in this kernel.
    id : int
        The machine.
    record : mapping
        What the service shows of it: its GPUs are searched for when no offer is left.
    max_dph : float, optional
        The most that the next one may cost, $/h with its disk; by default the rental's own limit,
        else a tenth more than the old one, or what the next offer of its list costs.

    Returns
    -------
    Instance
        The new machine; it bills from now on.

    Raises
    ------
    InvalidRequest
        If it is not known what the machine was rented for. Nothing was sent.
    OutcomeUnknown
        If it was not seen gone; nothing was rented then.
    VastError
        As for `Client.rent`: the old machine is gone, and there is no new one.
    """
    rental = _kept(client, id)
    if rental is None:
        raise InvalidRequest(
            f"It is not known what instance {id} was rented for (its environment and start script "
            "are known only in the kernel that rented it). Nothing was sent. Destroy it, and rent "
            "with client.rent(...).",
            code="not_rented_here",
        )
    limit = max_dph if max_dph is not None else _limit(client, rental, id, record)
    if limit is None:
        raise InvalidRequest(
            f"It is not known what instance {id} costs, so there is no limit for the next one. "
            "Nothing was sent. Give max_dph=."
        )
    with _replacing(client, id):
        desk = client._fleet(acting=True)
        guard_of(client, desk)
        left = _dollars_left(desk, id)
        client.watcher.expect(id, "gone")
        try:
            destroy(desk, [id], stays=True)
        finally:
            client.watcher.nudge()
        # From here on the old machine is gone: whatever fails, it is not billed.
        client.__dict__["_rented_here"].pop(id, None)
        _left_behind(client).update(_machines(rental, id, record))
        if left is not None:
            if left <= 0:
                raise InstanceFailed(
                    f"Instance {id} was destroyed and is gone, and its budget is spent: nothing "
                    "was rented in its place. Rent with client.rent(...).",
                    code="budget_spent",
                )
            rental = replace(rental, bounds=replace(rental.bounds, budget_usd=left, count=1))
        try:
            return _rent(client, rental, record, limit)
        except VastError as error:
            error.add_note(f"Instance {id} was destroyed and is gone.")
            raise


@contextmanager
def _replacing(client: InstanceVerbs, id: int) -> Iterator[None]:
    """Replace a machine once: a second call for it, meanwhile, is refused."""
    under_way: set[int] = client.__dict__.setdefault("_replacing", set())
    with _lock:
        if id in under_way:
            raise InvalidRequest(
                f"Instance {id} is being replaced already. Nothing was sent.", code="under_way"
            )
        under_way.add(id)
    try:
        yield
    finally:
        with _lock:
            under_way.discard(id)


_lock = threading.Lock()


def _dollars_left(desk: Desk, id: int) -> float | None:
    """Return what is left of a machine's share of a budget; None if it has none."""
    entry = desk.journal.of_contract(desk.rights.account, id)
    if entry is None or entry.budget is None:
        return None
    since = entry.created_at if entry.priced_at is None else entry.priced_at
    spent = spent_by(desk.clock.time(), [Machine(since, entry.price or 0.0)])
    return entry.budget - spent


def _rent(
    client: InstanceVerbs, rental: Rental, record: Mapping[str, Any], limit: float
) -> Instance:
    from vastnb.fleet.rent.renter import result_of

    order, bid = rental.order, rental.bid
    if order.price is not None:  # rented by `create_instance`, where the bid is a part of the order
        order, bid = replace(order, price=None), order.price

    def run(offers: list[Offer]) -> Instance:
        again = replace(
            rental,
            order=order,
            offers=offers,
            count=1,
            bid=bid,
            max_dph=limit,
            checked_at=None,
            line=False,  # it is not the user's call that waits
            attempts=[],
        )
        return cast("Instance", result_of(client, again))

    untried = _untried(client, rental)
    if untried:
        try:
            return run(untried)
        except OfferGone:  # none of them; the market is asked for others
            pass
    found = _searched(client, record, bid, order.disk)
    if not found:
        raise OfferGone(
            f"No other machine with {record.get('num_gpus')}x {record.get('gpu_name')} is offered "
            "now, and nothing was rented.",
            code="no_offer_left",
        )
    return run(found)


def _kept(client: InstanceVerbs, id: int) -> Rental | None:
    return cast("Rental | None", client.__dict__.get("_rented_here", {}).get(id))


def _left_behind(client: InstanceVerbs) -> set[int]:
    """Return the machines that did not come up, and are not tried again."""
    return cast("set[int]", client.__dict__.setdefault("_left_behind", set()))


def _machines(rental: Rental, id: int, record: Mapping[str, Any]) -> set[int]:
    found = {one.offer.machine_id for one in rental.attempts if one.instance_id == id}
    return {one for one in (*found, record.get("machine_id")) if type(one) is int}


def _untried(client: InstanceVerbs, rental: Rental) -> list[Offer]:
    tried = {one.offer.id for one in rental.attempts}
    return [
        one
        for one in rental.offers
        if one.id not in tried and one.machine_id not in _left_behind(client)
    ]


def _searched(
    client: InstanceVerbs, record: Mapping[str, Any], bid: float | str | None, disk: float
) -> list[Offer]:
    """Return offers of the same GPUs on other machines, cheapest first."""
    name, count = record.get("gpu_name"), record.get("num_gpus")
    if not isinstance(name, str) or not isinstance(count, int):
        return []
    frame = client.search_offers(  # type: ignore[attr-defined]
        {"gpu_name": name, "num_gpus": count},
        type="on-demand" if bid is None else "bid",
        order="dph_total",
        storage=disk,
        refresh=True,
    )
    return [one for one in offers_of(frame) if one.machine_id not in _left_behind(client)]


def _limit(
    client: InstanceVerbs, rental: Rental, id: int, record: Mapping[str, Any]
) -> float | None:
    """Return what the next machine may cost: what the user has said, or else a little more.

    An offer that comes next in the user's own list may be dearer than that; it was meant too.
    """
    if rental.max_dph is not None:
        return rental.max_dph
    price = number(record.get("dph_total"))
    if price is None:
        price = next((one.price for one in rental.attempts if one.instance_id == id), None)
    if price is None:
        return None
    untried = _untried(client, rental)
    bid = bid_for(untried[0], rental.bid) if untried and rental.bid is not None else None
    listed = untried[0].dph(rental.order.disk, bid) if untried else None
    return max(price * DEARER, listed or 0.0)


__all__ = ["NextOffer", "keep", "next_offer", "rent_again"]
