"""One search, whichever way it was written.

`parse_query` takes the query language of the official client, keywords, a dict, or several
of them together, and gives a `Query`; `Query.body` is the JSON that is sent for it. The same
comparison gives the same JSON in text and as a keyword (units included: memory in GB, durations
in days, as in the official client); a dict with operators is the JSON itself.

What contradicts itself, says a thing twice or cannot be understood is refused before anything is
sent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from vastnb.market.query.conditions import (
    Condition,
    Drop,
    Place,
    from_clause,
    from_python,
    in_regions,
)
from vastnb.market.query.doubts import doubts_of
from vastnb.market.query.extent import Extent
from vastnb.market.query.language import literal_word, split_query, write_word
from vastnb.market.tables.fields import (
    ALIASES,
    ANY,
    DEFAULTS,
    FIELDS,
    MULTIPLIER,
    RENAMED,
    SYMBOLS,
    canonical,
)
from vastnb.values import number
from vastnb.wording import nearest, refusal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_TYPES = {
    "on-demand": "on-demand",
    "ondemand": "on-demand",
    "bid": "bid",
    "interruptible": "bid",
    "reserved": "reserved",
}
OfferType = Literal["on-demand", "bid", "interruptible", "reserved"]
Order = str | Sequence[str | Sequence[str]]


@dataclass(frozen=True)
class Query:
    """A search that was understood.

    Parameters
    ----------
    conditions : tuple of Condition
        Its comparisons, in the order in which they were given.
    dropped : tuple of str
        Fields whose default filter it sets aside (``verified=any``).

    Examples
    --------
    >>> query = parse_query("num_gpus>=2", gpu_name="4090")
    >>> query.filters
    {'num_gpus': {'gte': 2}, 'gpu_name': {'eq': 'RTX 4090'}}
    >>> query.text
    'num_gpus>=2 gpu_name=RTX_4090'
    """

    conditions: tuple[Condition, ...] = ()
    dropped: tuple[str, ...] = ()

    @property
    def filters(self) -> dict[str, dict[str, Any]]:
        """Field, operator and plain value, in the columns' units (MB, seconds); no defaults."""
        filters: dict[str, dict[str, Any]] = {}
        for c in self.conditions:
            value = list(c.value) if isinstance(c.value, tuple) else c.value
            filters.setdefault(c.field, {})[c.op] = value
        return filters

    @property
    def text(self) -> str:
        """The query in the official client's language; `parse_query` reads the same from it."""
        parts = [_write(condition) for condition in self.conditions]
        return " ".join([*parts, *(f"{field}=any" for field in self.dropped)])

    @property
    def doubts(self) -> list[str]:
        """What is probably not meant: values in the wrong unit, filters without effect."""
        return doubts_of(self.conditions)

    def __str__(self) -> str:
        return self.text

    def body(
        self,
        type: str = "on-demand",
        order: Order | None = None,
        limit: int | None = None,
        storage: float = 10,
        defaults: bool = True,
    ) -> dict[str, Any]:
        """Return the JSON to be sent to ``POST /bundles/``.

        Parameters
        ----------
        type : str
            ``"on-demand"``, ``"bid"`` (also ``"interruptible"``) or ``"reserved"``.
        order : str or list, optional
            ``"dph_total,score-"`` (``-`` is descending), or ``[["dph_total", "asc"], ...]``. By
            default the service's score, best first, as in the official client.
        limit : int, optional
            Most offers to return. By default the service decides.
        storage : float
            Disk in GB that the prices are to include.
        defaults : bool
            Whether the default filters apply (verified, not external, rentable) where the query
            does not speak of the field or drops it with ``=any``. The service itself takes a
            missing ``rentable`` for true.

        Returns
        -------
        dict
            A new dict.

        Raises
        ------
        QueryError
            If an argument is none of the above.
        """
        body: dict[str, Any] = {}
        own: dict[str, dict[str, Any]] = {}
        for c in self.conditions:
            wire = list(c.wire) if isinstance(c.wire, list) else c.wire
            own.setdefault(c.field, {})[c.op] = wire
        if defaults:
            plain = self.filters
            for field, ops in DEFAULTS.items():
                # The official client merges. Where that could fit no offer, the query prevails.
                merged = _extent(field, {**ops, **plain.get(field, {})})
                if field not in self.dropped and not merged.is_empty():
                    body[field] = dict(ops)
        body.update({field: dict(ANY[field]) for field in self.dropped if field in ANY})
        for field, ops in own.items():
            body.setdefault(field, {}).update(ops)
        body["order"] = parse_order(order)
        body["type"] = parse_type(type)
        if limit is not None:
            if not _is_amount(limit) or int(limit) != limit or limit < 1:
                raise refusal(f"limit={limit!r}: a whole number from 1 is needed, or None.")
            body["limit"] = int(limit)
        if not _is_amount(storage):
            raise refusal(f"storage={storage!r}: the disk's size in GB is needed.")
        # Plain and in one spelling, whatever it came as: it stands in a cache key and in JSON.
        body["allocated_storage"] = int(storage) if int(storage) == storage else float(storage)
        return body

    def matches(self, frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Return which rows of a frame of offers fit, as the service would decide it.

        See `vastnb.market.query.local.matches`.
        """
        from vastnb.market.query.local import matches

        return matches(self.filters, frame)


QueryLike = str | Mapping[str, Any] | Query | None
"""Whatever `parse_query` takes as its first argument."""


def parse_query(
    query: QueryLike = None,
    /,
    *,
    known_gpus: Iterable[str] = (),
    known_fields: Iterable[str] = (),
    **keywords: Any,
) -> Query:
    """Understand a search.

    Parameters
    ----------
    query : str, dict or Query, optional
        The official client's language (``"gpu_name=RTX_4090 num_gpus>=2 dph<1"``), or a dict with
        the same entries as `keywords`.
    known_gpus : iterable of str
        GPU names beyond those this package was told of, in the service's spelling.
    known_fields : iterable of str
        Further fields to accept, whose values are sent as text, or raw in a dict of operators.
    **keywords
        ``field=value`` (equal), ``field=(low, high)`` (both included; `None` is open),
        ``field=[...]`` (any of them), ``field=None`` or ``"any"`` (no filter, and no default),
        ``field={"gte": 2}`` (the JSON, as it is sent: MB and seconds). Other numbers have the
        units of the query language: ``gpu_ram``, ``gpu_total_ram`` and ``cpu_ram`` GB of 1,000 MB,
        ``duration`` days. ``gpu_ram_gb`` is the size on the box: 24 finds every 24 GB card.

    Returns
    -------
    Query
        All of it together.

    Raises
    ------
    QueryError
        With the place and the nearest right names, if a part cannot be understood, says a thing
        twice, or contradicts another.

    Notes
    -----
    Text is taken as the official command line takes it (1.9.1), with exceptions where that would
    find nothing or something else: a GPU name that does not exist as written is looked for
    (``4090``, ``H100``), a country code may be in lower case, single quotes are quotes,
    ``rentable=any`` is sent (left out, it would mean true), and with ``georegion=true`` the codes
    AF, AS, EU, LC, NA and OC are regions of the world, by UN M49.
    """
    place = Place("", tuple(known_gpus), tuple(known_fields))
    parts: list[Condition | Drop] = []
    if isinstance(query, Query):
        parts += [*query.conditions, *(Drop(field, f"{field}=any") for field in query.dropped)]
    elif isinstance(query, str):
        parts += _from_text(query, place)
    elif isinstance(query, Mapping):
        parts += _from_mapping(query, place)
    elif query is not None:
        raise refusal(
            f"A query is text, a dict or keywords, not {type(query).__name__}. For example "
            '"gpu_name=RTX_4090 num_gpus>=2", or gpu_name="4090".'
        )
    parts += _from_mapping(keywords, place)
    return _combined(in_regions(parts))


def parse_order(order: Order | None) -> list[list[str]]:
    """Understand an order.

    Parameters
    ----------
    order : str or list, optional
        ``"dph_total,score-"``, a list of such names, or of pairs ``["score", "desc"]``.

    Returns
    -------
    list of [column, "asc" or "desc"]
        ``[["score", "desc"]]`` if there is none.

    Raises
    ------
    QueryError
        For a column that does not exist, or a direction that is none.
    """
    if order is None:
        return [["score", "desc"]]
    if not isinstance(order, str | Sequence):
        raise refusal(f'order={order!r}: write it like "dph_total,reliability-".')
    entries = order.split(",") if isinstance(order, str) else list(order)
    parsed = []
    for entry in entries:
        if isinstance(entry, str):
            name, direction = entry.strip(), "asc"
            if name.strip("-") != name:
                name, direction = name.strip("-"), "desc"
            elif name.strip("+") != name:
                name = name.strip("+")
            if not name:
                continue
            words = name.split()
            if len(words) == 2 and words[1].lower() in ("asc", "desc", "ascending", "descending"):
                way = "-" if words[1].lower().startswith("desc") else ""
                raise refusal(
                    f"order={order!r}: a name sorts ascending; add - to sort descending.",
                    suggestions=[f"{_sortable(words[0])}{way}"],
                )
        else:
            pair = list(entry) if isinstance(entry, Sequence) else []
            if len(pair) != 2 or pair[1] not in ("asc", "desc"):
                raise refusal(f'order={entry!r}: a pair of column and "asc" or "desc" is needed.')
            name, direction = str(pair[0]), pair[1]
        parsed.append([_sortable(name), direction])
    return parsed


def parse_type(type: str) -> str:
    """Return the service's word for a kind of rental; ``"interruptible"`` is ``"bid"``."""
    if not isinstance(type, str) or type not in _TYPES:
        raise refusal(
            f"type={type!r}: use on-demand, bid (interruptible) or reserved.",
            suggestions=nearest(str(type), _TYPES, 1),
        )
    return _TYPES[type]


def _is_amount(value: object) -> bool:
    amount = number(value)
    return amount is not None and amount >= 0


def _sortable(name: str) -> str:
    from vastnb.market.tables.schema import COLUMNS

    field = canonical(name)
    known = [*(n for n, column in COLUMNS.items() if column.derived is None), *FIELDS]
    if field in known:
        return field
    if field in COLUMNS:
        raise refusal(
            f"order={name!r}: this column is calculated by vastnb, so Vast.ai cannot sort by it. "
            f"Search without order=, then sort the frame: df.sort_values({name!r})."
        )
    if (right := RENAMED.get(name, "").partition("=")[0]) in known or canonical(right) in known:
        raise refusal(f"order={name!r}: there is no such column.", suggestions=[right])
    raise refusal(
        f"order={name!r}: there is no such column.",
        suggestions=nearest(name, [*known, *ALIASES]),
    )


@lru_cache(maxsize=64)
def _from_text(text: str, place: Place) -> tuple[Condition | Drop, ...]:
    return tuple(part for clause in split_query(text) for part in from_clause(clause, text, place))


def _from_mapping(given: Mapping[str, Any], place: Place) -> list[Condition | Drop]:
    parts: list[Condition | Drop] = []
    for name, value in given.items():
        here = Place(f"{name}={value!r}", place.gpus, place.fields)
        parts += from_python(str(name), value, here)
    return parts


def _combined(parts: list[Condition | Drop]) -> Query:
    dropped: dict[str, str] = {}
    seen: dict[tuple[str, str], Condition] = {}
    by_field: dict[str, dict[str, Condition]] = {}
    for part in parts:
        if isinstance(part, Drop):
            dropped.setdefault(part.field, part.written)
            continue
        earlier = seen.setdefault((part.field, part.op), part)
        if earlier is not part:
            raise refusal(
                f"{part.field!r} is compared twice: {_pair(earlier, part)}. Keep one of them."
            )
        by_field.setdefault(part.field, {})[part.op] = part
    for field, ops in by_field.items():
        if field in dropped:
            first = next(iter(ops.values()))
            raise refusal(
                f"{dropped[field]} sets no filter on {field!r}, but {first.written} does. "
                "Keep one of them."
            )
        if len(ops) > 1 and _extent(field, {op: c.value for op, c in ops.items()}).is_empty():
            raise refusal(f"No offer can match {_pair(*ops.values())}.")
    return Query(tuple(seen.values()), tuple(f for f in dropped if f in DEFAULTS))


def _pair(*conditions: Condition) -> str:
    return " and ".join(dict.fromkeys(c.written for c in conditions))


def _extent(field: str, ops: Mapping[str, Any]) -> Extent:
    """Read comparisons; texts that the service may compare in its own way bound nothing."""
    if FIELDS.get(field, "text") in ("text", "country"):
        ops = {op: value for op, value in ops.items() if op in ("eq", "in")}
    return Extent.of({op: tuple(v) if isinstance(v, list) else v for op, v in ops.items()})


def _write(condition: Condition) -> str:
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    wires = condition.wire if isinstance(condition.wire, list) else [condition.wire]
    words = [
        _write_value(condition.field, value, wire)
        for value, wire in zip(values, wires, strict=True)
    ]
    text = f"[{','.join(words)}]" if condition.op in ("in", "notin") else words[0]
    return f"{condition.field}{SYMBOLS[condition.op]}{text}"


def _write_value(field: str, value: Any, wire: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, bool) and not isinstance(wire, str):
        return str(value).lower()
    if field in MULTIPLIER and isinstance(value, (int, float)):
        return _undo(value, MULTIPLIER[field])
    if field == "driver_version" and isinstance(wire, int):
        return f"{wire // 10**6}.{wire // 1000 % 1000:02d}.{wire % 1000:02d}"
    if not isinstance(wire, str):
        return repr(wire)
    constant = wire in ("true", "True", "false", "False", "None", "null")
    if FIELDS.get(field, "text") == "text" and constant:
        return literal_word(wire)
    if field == "gpu_name":
        from vastnb.market.tables.gpus import GPU_NAMES

        return write_word(wire) if wire in GPU_NAMES else literal_word(wire)
    return write_word(wire)


def _undo(value: float, multiplier: float) -> str:
    """Return the shortest number that becomes `value` when multiplied."""
    guess = value / multiplier
    for candidate in (guess, math.nextafter(guess, math.inf), math.nextafter(guess, -math.inf)):
        if candidate * multiplier == value:
            return f"{candidate:.0f}" if candidate == int(candidate) else repr(candidate)
    return repr(guess)
