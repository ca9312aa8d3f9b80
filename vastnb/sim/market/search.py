"""Search: the service's reading of a query, and its answer.

The body of a search is the query object itself: columns with ``{operator: value}``, and beside
them ``type``, ``order``, ``limit`` and ``allocated_storage``. Whatever is wrong with it is said in
the manner of the service's own validation (`BadQuery`).

As with the service, a query that does not speak of ``rentable`` means true, and ``rented`` (by you)
filters nothing. Filters on lasting columns go first, and what depends on the moment is worked out
only for the offers that pass them. Where more offers match than an answer may have, the service
gives a random sample of them and puts *that* in order, so the cheapest may be missing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vastnb.sim.market.columns import (
    ALIASES,
    DEFAULT_STORAGE_GB,
    OF_THE_MOMENT,
    TYPES,
    VIRTUAL,
    country_of,
)
from vastnb.sim.market.listing import Listing
from vastnb.sim.operators import OPERATORS, Test, comparison
from vastnb.sim.refusal import Failure

KINDS = {
    "on-demand": "on-demand",
    "ondemand": "on-demand",
    "bid": "bid",
    "interruptible": "bid",
    "reserved": "reserved",
}
SETTINGS = frozenset(
    {
        "order",
        "limit",
        "type",
        "allocated_storage",
        "disable_bundling",
        "select_cols",
        "extra",
        "sort_option",
        "client_id",
    }
)


class BadQuery(Failure):
    """The query is wrong.

    Parameters
    ----------
    message : str
        What is wrong, in the service's words.
    error : str or None
        The service's code for it; where it gives none, its answer holds the words only.
    """

    def __init__(self, message: str, error: str | None = "bad_request") -> None:
        super().__init__(400, error, message)
        if error is None:
            del self.body["success"]


@dataclass(frozen=True)
class Search:
    """A query that was understood: conditions on what lasts, on whether it is free, on the rest."""

    kind: str = "on-demand"
    storage_gb: float = DEFAULT_STORAGE_GB
    limit: int | None = None
    bundled: bool = True
    order: tuple[tuple[str, bool], ...] = ()
    lasting: tuple[tuple[str, Test], ...] = ()
    availability: tuple[tuple[str, Test], ...] = ()
    momentary: tuple[tuple[str, Test], ...] = ()


@dataclass
class Found:
    """What a search found.

    Parameters
    ----------
    rows : list of (Listing, dict)
        Each offer and those of its columns that depend on the moment.
    matches : int
        How many matched before anything was cut off.
    """

    rows: list[tuple[Listing, dict[str, Any]]] = field(default_factory=list)
    matches: int = 0

    def to_json(self) -> bytes:
        """Encode it as the service's answer, ``{"offers": [...]}``."""
        offers = ",".join(listing.encode(moment) for listing, moment in self.rows)
        return ('{"offers":[' + offers + '],"simulated":true}').encode()

    def to_rows(self, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return it as dicts, with all columns or only those named."""
        full = [{**listing.shared, **listing.own, **moment} for listing, moment in self.rows]
        if columns is None or "*" in columns:
            return full
        return [{name: row.get(name) for name in columns} for row in full]


def parse(query: Any) -> Search:
    """Understand a query object.

    Raises
    ------
    BadQuery
        If it is not one.
    """
    if not isinstance(query, Mapping):
        raise BadQuery("Invalid json body", "invalid_request")
    scalars = [
        f"q.{name}: Input should be a valid dictionary"
        for name, value in query.items()
        if name not in SETTINGS and not isinstance(value, Mapping)
    ]
    if scalars:
        raise BadQuery("; ".join(scalars))
    lasting: list[tuple[str, Test]] = []
    availability: list[tuple[str, Test]] = []
    momentary: list[tuple[str, Test]] = []
    for name, conditions in query.items():
        if name in SETTINGS:
            continue
        column = ALIASES.get(name, name)
        if column not in TYPES and column not in VIRTUAL:
            raise BadQuery(
                f"Error in query parameters: {name} is not a valid search key", "invalid_request"
            )
        tests = [(column, _test(name, column, op, value)) for op, value in conditions.items()
                 if not (column == "rentable" and op == "eq" and value == "any")]  # fmt: skip
        if column == "rented":
            continue  # "rented by you": the service takes the filter, and filters nothing by it
        if column == "rentable":
            availability += tests
        else:
            (momentary if column in OF_THE_MOMENT else lasting).extend(tests)
    if "rentable" not in query:  # a default of the service's own, which only "any" lifts
        availability.append(("rentable", bool))
    return Search(
        kind=_kind(query.get("type", "on-demand")),
        storage_gb=_storage(query.get("allocated_storage", DEFAULT_STORAGE_GB)),
        limit=_limit(query.get("limit")),
        bundled=not query.get("disable_bundling"),
        order=_order(query.get("order") or []),
        lasting=tuple(lasting),
        availability=tuple(availability),
        momentary=tuple(momentary),
    )


def _kind(value: Any) -> str:
    kind = KINDS.get(value) if isinstance(value, str) else None
    if kind is None:
        raise BadQuery("type: Input should be 'on-demand', 'bid' or 'reserved'")
    return kind


def _storage(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise BadQuery("allocated_storage: Input should be a valid number")
    return float(value)


def _limit(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadQuery("limit: Input should be a valid integer", None)
    if value < 1:
        raise BadQuery("limit: Input should be greater than or equal to 1", None)
    return value


def _order(value: Any) -> tuple[tuple[str, bool], ...]:
    if not isinstance(value, list):
        raise BadQuery("order: Input should be a valid list")
    order = []
    for entry in value:
        if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)):
            raise BadQuery("order: Input should be a list of [column, direction] pairs")
        column = ALIASES.get(entry[0], entry[0])
        if column not in TYPES:
            raise BadQuery(
                f"Error in query parameters: {entry[0]} is not a valid search key",
                "invalid_request",
            )
        order.append((column, str(entry[1]).lower() == "desc"))
    return tuple(order)


# -- conditions


def _test(name: str, column: str, op: str, value: Any) -> Test:
    if op not in OPERATORS:
        raise BadQuery(
            f"Error in query parameters: {op} is not a valid operator for {name}",
            "invalid_request",
        )
    if op in ("in", "notin"):
        if not isinstance(value, list):
            raise BadQuery(f"q.{name}.{op}: Input should be a valid list")
        wanted: Any = [_coerce(name, column, item) for item in value]
    else:
        wanted = _coerce(name, column, value)
        if wanted is None and op not in ("eq", "neq"):
            raise BadQuery(f"q.{name}.{op}: Input should not be null")
    if column == "external" and op == "eq" and wanted is False:
        return lambda v: not v
    return comparison(op, wanted, country_of if column == "geolocation" else None)


def _coerce(name: str, column: str, value: Any) -> Any:
    """Turn a query's value into the column's type; queries often carry numbers as strings."""
    if value is None:
        return None
    kind = bool if column in ("verified", "datacenter") else TYPES.get(column, str)
    if column == "driver_version":
        if not isinstance(value, str):
            kind = float
        elif re.fullmatch(r"\d+\.\d+\.\d+", value) is None:
            raise BadQuery(f"q.{name}: invalid version {value!r}, X.Y.Z is needed")
    if kind is bool:
        if isinstance(value, bool):
            return value
        lowered = str(value).lower()
        if lowered in ("true", "1", "1.0"):
            return True
        if lowered in ("false", "0", "0.0"):
            return False
        raise BadQuery(f"q.{name}: Input should be a valid boolean")
    if kind in (int, float):
        try:
            return float(value)
        except (TypeError, ValueError):
            raise BadQuery(f"q.{name}: Input should be a valid number") from None
    if isinstance(value, (Mapping, list)):
        raise BadQuery(f"q.{name}: Input should be a valid string")
    return str(value)


def _reader(column: str, test: Test) -> Callable[[Listing], Any]:
    """Return how to read a lasting column (or one that exists in queries only) off an offer."""
    if column == "verified":
        return lambda offer: _lasting(offer, "verification") == "verified"
    if column == "datacenter":
        return lambda offer: _lasting(offer, "hosting_type") == 1
    if column == "country":
        return lambda offer: country_of(_lasting(offer, "geolocation"))
    if column == "driver_version":
        return lambda offer: _driver(offer, test)
    return lambda offer: _lasting(offer, column)


def _lasting(offer: Listing, column: str) -> Any:
    own = offer.own
    return own[column] if column in own else offer.shared.get(column)


def _driver(offer: Listing, test: Test) -> Any:
    """Read the driver as text or as a packed number, whichever the condition compares with."""
    text = _lasting(offer, "driver_version")
    try:
        test(text)
    except TypeError:
        return _lasting(offer, "driver_vers")
    return text


# -- finding


def find(
    search: Search,
    listings: Iterable[Listing],
    *,
    now: float,
    cap: int | None,
    rng: random.Random,
) -> Found:
    """Answer a search.

    Parameters
    ----------
    search : Search
        What is asked.
    listings : iterable of Listing
        The market as it is shown.
    now : float
        The present as answers show it, epoch seconds.
    cap : int or None
        Rows that an answer may have; above it a random sample is drawn.
    rng : random.Random
        What the sample is drawn with.
    """
    offers: list[Listing] = list(listings)
    for column, test in search.lasting:
        read = _reader(column, test)
        offers = [offer for offer in offers if test(read(offer))]
    for _, test in search.availability:
        offers = [offer for offer in offers if test(offer.available)]
    rows: list[tuple[Listing, dict[str, Any]]] = []
    if search.momentary:
        for offer in offers:
            moment = offer.moment(search.kind, search.storage_gb, now)
            if all(
                test(moment[column] if column in moment else _lasting(offer, column))
                for column, test in search.momentary
            ):
                rows.append((offer, moment))
        matches = len(rows)
        if cap is not None and matches > cap:
            rows = rng.sample(rows, cap)
    else:
        matches = len(offers)
        if cap is not None and matches > cap:
            offers = rng.sample(offers, cap)
        rows = [(o, o.moment(search.kind, search.storage_gb, now)) for o in offers]
    for column, descending in reversed(search.order):
        _sort(rows, column, descending)
    if search.limit is not None:
        del rows[search.limit :]
    return Found(rows, matches)


def _sort(rows: list[tuple[Listing, dict[str, Any]]], column: str, descending: bool) -> None:
    """Sort in place, stably; what is missing comes last either way."""

    def value(row: tuple[Listing, dict[str, Any]]) -> Any:
        listing, moment = row
        found = moment[column] if column in moment else _lasting(listing, column)
        return str(found) if isinstance(found, (list, dict)) else found

    present = [row for row in rows if value(row) is not None]
    missing = [row for row in rows if value(row) is None]
    present.sort(key=value, reverse=descending)
    rows[:] = present + missing


__all__ = ["BadQuery", "Found", "Search", "find", "parse"]
