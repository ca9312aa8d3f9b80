"""An offer as whoever rents it sees it: an id, and what is known of its price.

A user hands over what is at hand: an id, a row of a frame, a dict. A row of a bid search is
recognised by the provenance of its frame, so that it is never rented on demand by accident.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.fleet.order import PRICE_MAX, PRICE_MIN
from vastnb.market.cost import HOURS_PER_MONTH


@dataclass(frozen=True, slots=True)
class Offer:
    """What is known of an offer.

    Parameters
    ----------
    id : int
        The offer.
    machine_id : int or None
        Its machine.
    dph_base : float or None
        $/h of its GPUs.
    storage_cost : float or None
        $/GB/month.
    min_bid : float or None
        $/h.
    gpu : str
        For messages: ``"2x RTX 4090"``; empty if not known.
    is_bid : bool
        Whether it comes from a search for interruptible machines.
    """

    id: int
    machine_id: int | None = None
    dph_base: float | None = None
    storage_cost: float | None = None
    min_bid: float | None = None
    gpu: str = ""
    is_bid: bool = False

    def dph(self, disk: float, bid: float | None = None) -> float | None:
        """Return $/h with a disk of so many GB; None if the offer's prices are not known.

        Parameters
        ----------
        disk : float
            GB.
        bid : float, optional
            $/h for the GPUs; what is charged at most.
        """
        gpus = self.dph_base if bid is None else bid
        if gpus is None or self.storage_cost is None:
            return None
        return gpus + self.storage_cost * disk / HOURS_PER_MONTH

    def __str__(self) -> str:
        return f"offer {self.id}" + (f" ({self.gpu})" if self.gpu else "")


def offer_of(thing: Any) -> Offer:
    """Return the offer that the user means.

    Parameters
    ----------
    thing : int, Series, mapping or Offer
        An offer's id, a row of a frame of offers, or an offer as the service gives it.

    Raises
    ------
    InvalidRequest
        If no offer can be read from it.
    """
    if isinstance(thing, Offer):
        return thing
    if isinstance(thing, bool):
        raise _no_offer(thing)
    if isinstance(thing, numbers.Integral):
        return Offer(int(thing))
    if isinstance(thing, pd.DataFrame) and len(thing) == 1:
        return offers_of(thing)[0]
    if isinstance(thing, pd.Series):
        kind = thing.attrs.get("vastnb", {}).get("type")
        return _read(thing.to_dict(), is_bid=kind == "bid")
    if isinstance(thing, Mapping):
        return _read(thing, is_bid=thing.get("is_bid") is True)
    raise _no_offer(thing)


def offers_of(things: Any) -> list[Offer]:
    """Return the offers of a frame, or of a sequence of what `offer_of` reads, in their order."""
    if isinstance(things, pd.DataFrame):
        is_bid = things.attrs.get("vastnb", {}).get("type") == "bid"
        return [_read(row, is_bid=is_bid) for row in things.to_dict("records")]
    if isinstance(things, Iterable) and not isinstance(things, str | Mapping | pd.Series):
        return [offer_of(one) for one in things]
    return [offer_of(things)]


_BID: Final = re.compile(r"min(?:\s*\+\s*(\d+(?:\.\d+)?)\s*(%?))?")


def bid_for(offer: Offer, bid: float | str) -> float | None:
    """Return what to bid for an offer, $/h; None if its least bid is not known.

    Parameters
    ----------
    offer : Offer
        With ``min_bid``.
    bid : float or str
        $/h, or a strategy: ``"min"``, ``"min+10%"``, ``"min+0.05"`` ($/h).

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    if isinstance(bid, int | float) and not isinstance(bid, bool):
        return float(bid)
    found = _BID.fullmatch(bid.strip().lower()) if isinstance(bid, str) else None
    if found is None:
        raise InvalidRequest(
            f'bid={bid!r} is neither a price in $/h nor a strategy such as "min+10%" or '
            '"min+0.05". Nothing was sent, and nothing was rented.',
            code="invalid_price",
        )
    if offer.min_bid is None:
        return None
    more = float(found.group(1) or 0.0)
    price = offer.min_bid * (1 + more / 100) if found.group(2) else offer.min_bid + more
    price = min(PRICE_MAX, price)
    # Rounded up: a bid below the least one makes a stopped machine that bills its disk.
    return max(PRICE_MIN, math.ceil(round(price * 1e4, 6)) / 1e4)


def _read(row: Mapping[Any, Any], *, is_bid: bool) -> Offer:
    number = _float(row.get("id", row.get("ask_contract_id")))
    if number is None or number != int(number):
        raise _no_offer(row.get("id"))
    machine = _float(row.get("machine_id"))
    name, count = row.get("gpu_name"), _float(row.get("num_gpus"))
    gpu = f"{int(count)}x {name}" if isinstance(name, str) and count else ""
    return Offer(
        id=int(number),
        machine_id=None if machine is None else int(machine),
        dph_base=_float(row.get("dph_base")),
        storage_cost=_float(row.get("storage_cost")),
        min_bid=_float(row.get("min_bid")),
        gpu=gpu,
        is_bid=is_bid,
    )


def _float(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None  # pandas' NA included
    number = float(value)
    return number if math.isfinite(number) else None


def _no_offer(thing: Any) -> InvalidRequest:
    return InvalidRequest(
        f"{type(thing).__name__} is no offer: give an offer's id, a row of a frame of offers "
        "(df.iloc[0]), or an offer as a dict. Nothing was sent, and nothing was rented.",
        code="no_offer",
    )


__all__ = ["Offer", "bid_for", "offer_of", "offers_of"]
