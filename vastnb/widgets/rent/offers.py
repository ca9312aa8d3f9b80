"""From what a user hands to the rent form to candidates, with their prices.

A frame is taken as it is, in its order. Ids, and rows without prices, are searched for, whatever
their machines' verification. A query gives its cheapest few: the form confirms the price of the
dearest candidate, so a whole market of candidates would confirm any price.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

import pandas as pd

from vastnb.fleet.rent.candidates import is_query, offers_of, with_disk
from vastnb.market.query.query import OfferType

if TYPE_CHECKING:
    from vastnb.client import Client

OF_A_QUERY: Final = 8
"""Candidates of a query: the cheapest ones."""

_NEEDED: Final = {"id", "dph_base", "storage_cost"}


def candidates(
    client: Client, offers: Any, *, type: str, disk: float, refresh: bool = False
) -> pd.DataFrame:
    """Return candidates with prices, best first, of whatever `rent_form` takes.

    What has to be searched for is searched as `type`, with a `disk` of so many GB; with `refresh`
    that is everything, past the cache.

    Raises
    ------
    InvalidRequest
        If it is no offer.
    VastError
        If it cannot be searched for.
    """
    if offers is None:
        return pd.DataFrame()
    if is_query(offers):
        return client.search_offers(
            with_disk(offers, disk),
            type=cast(OfferType, type),
            order="dph_total",
            storage=disk,
            refresh=refresh,
        ).head(OF_A_QUERY)
    frame = _frame(offers)
    if frame is not None and len(frame) == 0:
        return frame.reset_index(drop=True)
    if frame is not None and frame.columns.is_unique and set(frame.columns) >= _NEEDED:
        if not refresh:
            return frame.drop_duplicates("id").reset_index(drop=True)
        type = "bid" if are_interruptible(frame) else type
    ids = [one.id for one in offers_of(offers if frame is None else frame)]
    return _search(client, list(dict.fromkeys(ids)), type=type, disk=disk, refresh=refresh)


def are_interruptible(offers: Any) -> bool:
    """Say whether there are interruptible ones among offers, which need a bid."""
    return any(one.is_bid for one in offers_of(offers))


def _search(
    client: Client, ids: list[int], *, type: str, disk: float, refresh: bool
) -> pd.DataFrame:
    anything = dict.fromkeys(("verified", "external", "rentable", "rented"), "any")
    found = client.search_offers(
        {"id": {"in": ids}, **anything},
        type=cast(OfferType, type),
        storage=disk,
        refresh=refresh,
    )
    places = pd.Series(range(len(ids)), index=ids)
    return found.sort_values("id", key=lambda one: one.map(places), ignore_index=True)


def _frame(offers: Any) -> pd.DataFrame | None:
    if isinstance(offers, pd.DataFrame):
        return offers
    if isinstance(offers, pd.Series) and "id" in offers.index:
        frame = pd.DataFrame([offers.to_dict()])
        frame.attrs = dict(offers.attrs)
        return frame
    if isinstance(offers, Mapping):
        return pd.DataFrame([dict(offers)])
    return None
