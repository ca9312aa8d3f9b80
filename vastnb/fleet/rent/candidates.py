"""What is tried: offers as they were given, and candidates whose prices were just asked for.

A user hands over what is at hand: an id, a row of a frame, a dict, a query. A row says itself what
its prices are for; where that has been taken away, the frame's provenance says it, or else the
numbers do; what cannot be recognised is not rented, so that an interruptible offer is never rented
on demand by accident. Just before offers are tried they are searched again by their ids, past the
cache and with the user's disk. If that fails nothing is rented: a price may have risen.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

import pandas as pd

from vastnb.api.answers import Answer, Call
from vastnb.clock import Clock
from vastnb.errors import InvalidRequest, RateLimited, ServerError, VastError
from vastnb.fleet.rent.spec import PRICE_MAX, PRICE_MIN, Spec
from vastnb.market.frames.terms import DISK_GB, rental_type
from vastnb.market.money.cost import HOURS_PER_MONTH
from vastnb.market.query.query import Query, parse_query
from vastnb.values import number, whole

Kind = Literal["on-demand", "interruptible", "reserved", "unclear"]


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
    kind : str or None
        What its prices are for; ``"unclear"`` if a row does not tell, None for a bare id.
    storage_gb : float or None
        GB that the price which the user has seen includes.
    disk_space : float or None
        The largest disk available, GB.
    """

    id: int
    machine_id: int | None = None
    dph_base: float | None = None
    storage_cost: float | None = None
    min_bid: float | None = None
    gpu: str = ""
    kind: Kind | None = field(default=None, compare=False)
    storage_gb: float | None = field(default=None, compare=False)
    disk_space: float | None = field(default=None, compare=False)

    @property
    def is_bid(self) -> bool:
        """Whether its prices are those of an interruptible rental."""
        return self.kind == "interruptible"

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
        return _read(thing.to_dict(), thing.attrs.get("vastnb", {}))
    if isinstance(thing, Mapping):
        return _read(thing, {})
    raise _no_offer(thing)


def offers_of(things: Any) -> list[Offer]:
    """Return the offers of a frame, or of a sequence of what `offer_of` reads, in their order."""
    if isinstance(things, pd.DataFrame):
        said = things.attrs.get("vastnb", {})
        plain = things.set_axis(things.columns, axis=1)  # a shallow copy
        plain.attrs = {}  # pandas copies them deeply for every column that it takes out
        return [_read(row, said) for row in plain.to_dict("records")]
    if isinstance(things, Iterable) and not isinstance(things, str | Mapping | pd.Series):
        return [offer_of(one) for one in things]
    return [offer_of(things)]


def found_offer(row: Mapping[str, Any], kind: Kind, storage_gb: float) -> Offer:
    """Return an offer of an answer, whose search says what its prices are for."""
    return _read({**row, "rental_type": kind, "storage_gb": storage_gb}, {})


def check_kinds(offers: Iterable[Offer], *, bid: bool) -> None:
    """See that offers are rented as what they are.

    Parameters
    ----------
    offers : iterable of Offer
        What is to be rented.
    bid : bool
        Whether there is a bid.

    Raises
    ------
    InvalidRequest
        If there are reserved offers; or, without a bid, interruptible ones or rows of which it is
        not clear what they are. Nothing was sent.
    """
    kinds = {one.kind for one in offers}
    if "reserved" in kinds:
        raise _refused(
            "these are reserved offers, which are paid in advance; vastnb would rent them on "
            'demand, at a higher price. Search with type="on-demand"',
            "reserved_offer",
        )
    if not bid and "interruptible" in kinds:
        raise _refused(
            "these offers are interruptible, but no bid was given: they would be rented on "
            'demand, at a higher price. Give a bid (rent: bid="min+10%" or $/h; '
            'create_instance: price= in $/h), or search with type="on-demand"',
            "bid_without_price",
        )
    if not bid and "unclear" in kinds:
        raise _refused(
            "some rows do not show whether their prices are on-demand or interruptible. Keep the "
            "column rental_type (or dph_base and min_bid) in the frame, give a bid, or give ids",
            "unclear_offer",
        )


def disk_for(offers: Iterable[Offer], disk: float | None) -> float:
    """Return the disk to rent, GB: what was asked for, else what the offers were searched with.

    Raises
    ------
    InvalidRequest
        If they were searched with different disks. Nothing was sent.
    """
    if disk is not None:
        return disk
    sizes = sorted({round(one.storage_gb, 2) for one in offers if one.storage_gb is not None})
    if len(sizes) > 1:
        listed = ", ".join(f"{size:g}" for size in sizes[:4])
        raise _refused(f"their prices are for different disks ({listed} GB). Give disk=", None)
    return max(DISK_GB, *sizes) if sizes else DISK_GB


def as_given(offers: Any) -> Any:
    """Return what was given, in a form that can be read twice (an iterator cannot)."""
    plain = isinstance(offers, str | Mapping | pd.DataFrame | pd.Series)
    return list(offers) if isinstance(offers, Iterable) and not plain else offers


def is_query(offers: Any) -> bool:
    """Say whether what was given is a search, and not offers."""
    if offers is None or isinstance(offers, str | Query):
        return True
    # An offer is a dict too; its id is a number, where a query has a condition.
    return isinstance(offers, Mapping) and not isinstance(
        offers.get("id", offers.get("ask_contract_id")), numbers.Real
    )


def with_disk(offers: Any, disk: float) -> Query:
    """Return a query that finds only what has such a disk, unless it speaks of the disk itself."""
    query = parse_query(offers)
    if "disk_space" in query.filters:
        return query
    return parse_query(query, disk_space={"gte": disk})


_BID: Final = re.compile(r"min(?:\s*\+\s*(\d+(?:\.\d+)?)\s*(%?))?")


def bid_for(offer: Offer, bid: float | str) -> float | None:
    """Return what to bid for an offer, $/h; None if its lowest bid is not known.

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
            '"min+0.05". Nothing was sent or rented.',
            code="invalid_price",
        )
    if offer.min_bid is None:
        return None
    more = float(found.group(1) or 0.0)
    price = offer.min_bid * (1 + more / 100) if found.group(2) else offer.min_bid + more
    price = min(PRICE_MAX, price)
    # Rounded up: a bid below the least one makes a stopped machine that bills its disk.
    return max(PRICE_MIN, math.ceil(round(price * 1e4, 6)) / 1e4)


def _read(row: Mapping[Any, Any], said: Mapping[str, Any]) -> Offer:
    """Read a row; `said` is the provenance of its frame, for what the row itself does not say."""
    offer_id = whole(row.get("id", row.get("ask_contract_id")))
    if offer_id is None:
        raise _no_offer(row.get("id"))
    machine = number(row.get("machine_id"))
    name, count = row.get("gpu_name"), number(row.get("num_gpus"))
    gpu = f"{int(count)}x {name}" if isinstance(name, str) and count else ""
    return Offer(
        id=offer_id,
        machine_id=None if machine is None else int(machine),
        dph_base=number(row.get("dph_base")),
        storage_cost=number(row.get("storage_cost")),
        min_bid=number(row.get("min_bid")),
        gpu=gpu,
        kind=_kind(row, said),
        storage_gb=_storage(row, said),
        disk_space=number(row.get("disk_space")),
    )


def _kind(row: Mapping[Any, Any], said: Mapping[str, Any]) -> Kind | None:
    if row.get("is_bid") is True:
        return "interruptible"
    word = row.get("rental_type")
    kind = rental_type(word if isinstance(word, str) else said.get("type"))
    if kind is not None:
        return kind  # type: ignore[return-value]
    if set(row) <= {"id", "ask_contract_id"}:
        return None
    price, least = number(row.get("dph_base")), number(row.get("min_bid"))
    if price is None or least is None:
        return "unclear"
    return "interruptible" if math.isclose(price, least, rel_tol=1e-9) else "on-demand"


def _storage(row: Mapping[Any, Any], said: Mapping[str, Any]) -> float | None:
    size = number(row.get("storage_gb", said.get("storage_gb")))
    if size is not None:
        return size
    total, base, cost = (number(row.get(n)) for n in ("dph_total", "dph_base", "storage_cost"))
    if total is None or base is None or not cost or cost < 0 or total < base:
        return None
    size = (total - base) * HOURS_PER_MONTH / cost
    return round(size, 3) if size < 1e6 else None


def _refused(what: str, code: str | None) -> InvalidRequest:
    return InvalidRequest(f"This cannot be rented: {what}. Nothing was sent or rented.", code=code)


def _no_offer(thing: Any) -> InvalidRequest:
    return InvalidRequest(
        f"{type(thing).__name__} is not an offer: give an offer id, a row of a frame of offers "
        "(df.iloc[0]), or an offer as a dict. Nothing was sent or rented.",
        code="no_offer",
    )


CHUNK: Final = 32
"""Offers that are searched again at a time: their rows count against the day's quota."""

JUST_NOW: Final = 20.0
"""Seconds for which the prices of a search need not be asked for again."""

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
    spec : Spec
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
        spec: Spec,
        offers: Sequence[Offer],
        *,
        max_dph: float | None,
        bid: float | str | None,
        price_needed: bool,
        over: Over,
    ) -> None:
        self._call = call
        self._clock = clock
        self._spec = spec
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
            why = "it is no longer available" if found is None else self._unacceptable(found)
            if found is None or why:
                price = found.dph(self._spec.disk) if found else offer.dph(self._spec.disk)
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
            "allocated_storage": self._spec.disk,
        }
        answer = self._asked(body)
        kind: Kind = "on-demand" if self._bid is None else "interruptible"
        rows = [found_offer(row, kind, self._spec.disk) for row in answer.data["offers"]]
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
                error = ServerError(f"Only an older price is known ({answer.stale_reason}).")
            if isinstance(error, RateLimited) or self._clock.steady() + AGAIN > until:
                error.message = (
                    "The current price could not be checked, so nothing was sent or rented. Try "
                    f"again in a minute. {error.message}"
                )
                error.args, error.code = (error.message,), error.code or "price_not_checked"
                raise error
            self._clock.sleep(AGAIN)

    def _unacceptable(self, offer: Offer) -> str:
        disk = self._spec.disk
        why = self._too_expensive(offer, disk)
        if not why and offer.disk_space is not None and disk > offer.disk_space:
            # The service would cut the disk without a word.
            return f"its largest disk is {offer.disk_space:g} GB, but {disk:g} GB are needed"
        return why

    def _too_expensive(self, offer: Offer, disk: float) -> str:
        bid = None
        if self._bid is not None:
            bid = bid_for(offer, self._bid)
            if bid is None:
                return "its lowest bid is not known"
            if offer.min_bid is not None and bid < offer.min_bid:
                return f"a bid of ${bid:.4f}/h is below its lowest, ${offer.min_bid:.4f}/h"
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
            "again, or set max_dph= to what you would pay"
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
        return handed.dph(self._spec.disk, bid)


def asked_at(
    offers: Any, candidates: Sequence[Offer], bid: float | str | None, clock: Clock
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
    return asked if 0 <= clock.time() - asked <= JUST_NOW else None
