"""What the filter panel says, as a value, and the query that it means.

The panel, a query and a line of code are one thing: `FilterState.query` gives the query of a
panel, `FilterState.from_query` the panel of a query. What the panel has no control for stays in
its text field, in the query language.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final, Self

from vastnb.errors import QueryError
from vastnb.market.query.conditions import Condition
from vastnb.market.query.query import Query, parse_query, parse_type
from vastnb.market.tables.vram import SIZES, at_least
from vastnb.values import number
from vastnb.widgets.explorer import words
from vastnb.widgets.explorer.regions import codes_of, region_of

DEFAULT_DISK_GB = 10.0
_NUMBERS: Final = {
    "num_gpus": ("num_gpus", "eq"),
    "min_vram": ("gpu_ram_gb", "gte"),
    "max_price": ("dph_total", "lte"),
    "min_reliability": ("reliability", "gte"),
    "min_down": ("inet_down", "gte"),
}
"""Controls that hold a number: the field that each compares, and how."""


@dataclass(frozen=True)
class FilterState:
    """The state of the panel. `None`, an empty tuple or "" means: any.

    Parameters
    ----------
    gpu_name : tuple of str
        GPU models, any of them.
    num_gpus : int, optional
        Exactly so many GPUs.
    min_vram : float, optional
        GB of one GPU, nominal (24 finds every 24 GB card).
    max_price : float, optional
        $ an hour for the whole offer, with the disk below.
    min_reliability : float, optional
        A fraction, 0 to 1.
    min_down : float, optional
        Mbit/s that the machine downloads at least.
    country : tuple of str
        Any of them: two-letter codes, names (``"Germany"``) or regions (``"EU"``, ``"Asia"``).
    datacenter : bool
        Only machines in datacenters.
    verified : bool
        Only verified machines (the service's own default).
    type : str
        ``on-demand``, ``bid`` or ``reserved``.
    disk : float
        GB of disk that prices include.
    text : str
        Anything else, in the query language.
    """

    gpu_name: tuple[str, ...] = ()
    num_gpus: int | None = None
    min_vram: float | None = None
    max_price: float | None = None
    min_reliability: float | None = None
    min_down: float | None = None
    country: tuple[str, ...] = ()
    datacenter: bool = False
    verified: bool = True
    type: str = "on-demand"
    disk: float = DEFAULT_DISK_GB
    text: str = ""

    def page(self) -> dict[str, Any]:
        """Return the state as JSON for the page."""
        lists = {"gpu_name": list(self.gpu_name), "country": list(self.country)}
        return {**asdict(self), **lists}

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """Return the state with `changes`, each checked.

        Parameters
        ----------
        changes : mapping
            Field names and values; what comes from a page is not trusted to be well formed.

        Raises
        ------
        QueryError
            For a field that does not exist or a value that it cannot have.
        """
        known = {field.name for field in fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise QueryError(
                words.NO_SUCH_FILTER.format(unknown=unknown[0], names=", ".join(sorted(known)))
            )
        return replace(self, **{name: _checked(name, value) for name, value in changes.items()})

    def query(self, known_gpus: Iterable[str] = ()) -> Query:
        """Return what the panel means.

        Raises
        ------
        QueryError
            When the text cannot be understood, or contradicts the other fields.
        """
        known_gpus = tuple(known_gpus)
        written = parse_query(self.text.strip() or None, known_gpus=known_gpus)
        spoken = {*written.filters, *written.dropped}
        wanted: dict[str, Any] = {}
        if self.gpu_name:
            wanted["gpu_name"] = _one_or_any(self.gpu_name)
        for name, (field, op) in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None:
                wanted[field] = {"eq": value, "gte": (value, None), "lte": (None, value)}[op]
        if self.country:
            wanted["geolocation"] = _one_or_any(codes_of(self.country))
        if self.datacenter:
            wanted["datacenter"] = True
        if not self.verified and "verified" not in spoken:
            wanted["verified"] = "any"
        return parse_query(written, known_gpus=known_gpus, **wanted)

    @classmethod
    def from_query(cls, query: Query, **others: Any) -> Self:
        """Return the panel of `query`; `others` sets what a query does not hold (type, disk)."""
        state: dict[str, Any] = {}
        rest = []
        counts = Counter(condition.field for condition in query.conditions)
        for condition in query.conditions:
            found = _control(condition) if counts[condition.field] == 1 else {}
            state |= found
            if not found:
                rest.append(condition)
        dropped = tuple(field for field in query.dropped if field != "verified")
        if "verified" in query.dropped:
            state["verified"] = False
        state["text"] = Query(tuple(rest), dropped).text
        return cls().changed({**state, **others})


def _control(condition: Condition) -> dict[str, Any]:
    """Return which control shows a comparison, and its value; nothing if none does."""
    field, op, value = condition.field, condition.op, condition.value
    if field in ("gpu_name", "geolocation") and op in ("eq", "in"):
        many = value if isinstance(value, (tuple, list)) else (value,)
        names = [word for word in many if isinstance(word, str)]
        if len(names) < len(many):
            return {}
        if field == "gpu_name":
            return {"gpu_name": names}
        region = region_of(names)
        return {"country": names if region is None else [region]}
    if field == "gpu_ram" and op == "gte":
        sizes = [size for size in SIZES if at_least(size) * 1000 == value]
        return {"min_vram": sizes[0]} if sizes else {}
    if field == "datacenter" and op == "eq" and value is True:
        return {"datacenter": True}
    shown = {pair: name for name, pair in _NUMBERS.items()}.get((field, op))
    return {shown: value} if shown and number(value) is not None else {}


def _one_or_any(names: Sequence[str]) -> Any:
    return list(names) if len(names) > 1 else names[0]


def _checked(name: str, value: Any) -> Any:
    if name in ("gpu_name", "country"):
        names = [value] if isinstance(value, str) else list(value or ())
        if not all(isinstance(word, str) for word in names):
            raise _wrong(name, value, words.A_LIST_OF_NAMES)
        names = [word.strip() for word in names]
        return tuple(dict.fromkeys(word for word in names if word))
    if name in ("datacenter", "verified"):
        if not isinstance(value, bool):
            raise _wrong(name, value, words.TRUE_OR_FALSE)
        return value
    if name == "type":
        return parse_type(str(value))
    if name == "text":
        return str(value or "")
    if value is None and name != "disk":
        return None
    known = number(value)
    if known is None:
        raise _wrong(name, value, "a number")
    if known < 0 or (name == "min_reliability" and known > 1):
        raise _wrong(name, value, "0 to 1" if name == "min_reliability" else words.ZERO_OR_MORE)
    if name != "num_gpus":
        return known
    if known < 1 or known != int(known):
        raise _wrong(name, value, words.WHOLE_NUMBER)
    return int(known)


def _wrong(name: str, value: Any, needed: str) -> QueryError:
    return QueryError(words.BAD_FILTER.format(name=name, value=value, needed=needed))
