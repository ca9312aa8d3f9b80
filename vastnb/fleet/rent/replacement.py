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

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vastnb.fleet.rent.candidates import Offer, bid_for
from vastnb.fleet.rent.deadline import Priced, spent_by
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.rental import Rental
from vastnb.values import number

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


def dollars_left(entry: Entry | None, now: float) -> float | None:
    """Return what is left of a machine's share of a budget; None if it has none."""
    if entry is None or entry.budget is None:
        return None
    since = entry.created_at if entry.priced_at is None else entry.priced_at
    return entry.budget - spent_by(now, [Priced(since, entry.price or 0.0)])


def machines_of(rental: Rental, id: int, record: Mapping[str, Any]) -> set[int]:
    """Return the machine that an instance ran on, as far as it is known."""
    found = {one.offer.machine_id for one in rental.attempts if one.instance_id == id}
    return {one for one in (*found, record.get("machine_id")) if type(one) is int}


def untried(rental: Rental, given_up: Collection[int]) -> list[Offer]:
    """Return the offers of a rental that were not tried, on machines that have not failed."""
    tried = {one.offer.id for one in rental.attempts}
    return [one for one in rental.offers if one.id not in tried and one.machine_id not in given_up]


def limit_of(rental: Rental, id: int, record: Mapping[str, Any], left: list[Offer]) -> float | None:
    """Return what the next machine may cost: what the user has said, or else a little more.

    An offer that comes next in the user's own list may cost more than that; it was meant too.

    Parameters
    ----------
    rental : Rental
        What the old machine was rented by.
    id : int
        The old machine.
    record : mapping
        What the service shows of it.
    left : list of Offer
        What is untried.
    """
    if rental.max_dph is not None:
        return rental.max_dph
    price = number(record.get("dph_total"))
    if price is None:
        price = next((one.price for one in rental.attempts if one.instance_id == id), None)
    if price is None:
        return None
    bid = bid_for(left[0], rental.bid) if left and rental.bid is not None else None
    listed = left[0].dph(rental.spec.disk, bid) if left else None
    return max(price * DEARER, listed or 0.0)
