"""Filters worked out here: which rows fit, and whether an answer at hand already holds another.

A search whose filters only *narrow* an earlier one, when that one's answer was complete, needs no
call: its offers are rows of the frame at hand. `narrowing` decides that from two request bodies
alone, cautiously (a `None` costs a call, a wrong filter costs the truth), and says which
comparisons remain; `matches` applies them as the service does. A missing value fits no comparison;
but whether the service has it so for ``neq`` and ``notin`` nobody has said, so these never stand in
for a call. On a frame of the user's own, every column may be compared.

Not every field can be worked out from the columns: how the service reads `external` (always null
in its answers, and yet false), or which form of the driver's version it compares, is its secret.
Such fields may stay unchanged between two searches, but they are never evaluated here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vastnb.errors import InvalidRequest
from vastnb.market.query.extent import ORDERING, Extent, Value, plain
from vastnb.market.tables.fields import ANY, DEFAULTS, FIELDS

if TYPE_CHECKING:
    import pandas as pd

Mask = np.ndarray[Any, np.dtype[np.bool_]]

_NOT_COLUMNS: Final = ("external", "driver_version", "cluster_id", "rented")
_COLUMN: Final[dict[str, str]] = {
    "verified": "verification",
    "datacenter": "datacenter",
    "ubuntu_version": "os_version",
    "geolocation": "geolocation",
}
_NOT_FILTERS: Final = ("type", "order", "limit", "allocated_storage")


def column_of(field: str) -> str | None:
    """Return the column that a field is worked out from, or `None` if it cannot be."""
    if field not in FIELDS or field in _NOT_COLUMNS:
        return None
    return _COLUMN.get(field, field)


def is_certain(field: str, ops: Mapping[str, Any]) -> bool:
    """Whether the service surely decides these comparisons as they are worked out here."""
    return is_local(field, ops) and not {"neq", "notin"} & ops.keys()


def is_local(field: str, ops: Mapping[str, Any]) -> bool:
    """Whether comparisons with a field can be worked out from a frame of offers."""
    if column_of(field) is None:
        return False
    values = [
        v for wire in ops.values() for v in (wire if isinstance(wire, (list, tuple)) else [wire])
    ]
    if any(value is None for value in values):
        return False  # whether null equals null there, nobody has said
    if FIELDS[field] in ("text", "country"):
        return not any(op in ORDERING for op in ops) and all(isinstance(v, str) for v in values)
    if FIELDS[field] == "number":
        return all(_is_number(plain("number", v)) for v in values)
    if FIELDS[field] == "flag":
        return all(isinstance(plain("flag", v), bool) for v in values)
    return all(isinstance(v, str) for v in values)


def matches(filters: Mapping[str, Mapping[str, Any]], frame: pd.DataFrame) -> Mask:
    """Return which rows of a frame of offers fit all the filters.

    Parameters
    ----------
    filters : dict
        ``{field: {op: value}}`` in the columns' units, as in ``Query.filters`` or a request body;
        entries of a body that are no filters (order, limit, ...) are passed over.
    frame : DataFrame
        Offers, as `frame_of_offers` gives them.

    Returns
    -------
    ndarray of bool, shape (len(frame),)
        Comparisons with a missing value are false, also ``neq`` and ``notin``. A field that the
        service does not know is a column of the frame, compared in the column's own unit.

    Raises
    ------
    InvalidRequest
        If a field cannot be worked out here, or its column is not in the frame.
    """
    mask: Mask = np.ones(len(frame), dtype=bool)
    for field, ops in filters.items():
        if field in _NOT_FILTERS or ops == ANY.get(field):
            continue
        if field not in FIELDS and field in frame.columns:
            for op, wire in ops.items():
                mask &= _compare_column(frame[field], field, op, wire)
            continue
        if not is_local(field, ops):
            raise InvalidRequest(
                f"Only Vast.ai can apply the filter on {field!r}. Search with it instead: "
                f"client.search_offers({field}=...). Nothing was rented."
            )
        column = column_of(field)
        if column not in frame.columns:
            raise InvalidRequest(
                f"The filter on {field!r} needs the column {column!r}, which this frame does not "
                'have. Nothing was rented. Search with columns="all".'
            )
        for op, wire in ops.items():
            mask &= _compare(field, frame[column], op, plain(FIELDS[field], wire))
    return mask


def narrowing(
    old: Mapping[str, Any], new: Mapping[str, Any], columns: Any = None
) -> dict[str, dict[str, Any]] | None:
    """Return the filters that lead from a complete answer to `old` to the answer to `new`.

    Parameters
    ----------
    old, new : dict
        Request bodies, as ``Query.body`` gives them.
    columns : container of str, optional
        Columns at hand, if the frame may lack some.

    Returns
    -------
    dict or None
        Filters for `matches`, empty if there is nothing to do; `None` if `new` may hold offers that
        `old` does not, or if it cannot be worked out here. The order of the rows is not looked at.
    """
    for key in ("type", "allocated_storage"):
        if old.get(key) != new.get(key):
            return None
    old_limit, new_limit = old.get("limit"), new.get("limit")
    if new_limit is not None and (old_limit is None or new_limit < old_limit):
        return None
    rest: dict[str, dict[str, Any]] = {}
    old, new = _in_full(old), _in_full(new)
    for field in dict.fromkeys([*old, *new]):
        if field in _NOT_FILTERS or field == "rented":  # the service filters nothing by it
            continue
        before, after = old.get(field, {}), new.get(field, {})
        if before == after:
            continue
        if not after or not _implies(field, after, before):
            return None
        if not is_certain(field, after):
            return None
        if columns is not None and column_of(field) not in columns:
            return None
        rest[field] = dict(after)
    return rest


def _in_full(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a body with the default that the service adds by itself, or without what lifts it."""
    full = {**{field: DEFAULTS[field] for field in ANY}, **body}
    return {field: ops for field, ops in full.items() if ops != ANY.get(field)}


def narrows(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether every offer that fits `new` surely fits `old`, and can be told apart here."""
    return narrowing(old, new) is not None


def _implies(field: str, after: Mapping[str, Any], before: Mapping[str, Any]) -> bool:
    kind = FIELDS.get(field)
    if kind is None:
        return False
    extent_ops: dict[str, Value] = {op: plain(kind, wire) for op, wire in after.items()}
    for op, wire in before.items():
        value = plain(kind, wire)
        if op in extent_ops and extent_ops[op] == value:
            continue
        if not (is_local(field, {op: wire}) and is_local(field, after)):
            return False
        if kind == "country" and (op not in ("eq", "in") or not _same_form(value, extent_ops)):
            return False  # "Texas, US" is no "US", and yet it is one
        if not Extent.of(extent_ops).implies(op, value):
            return False
    return True


def _same_form(value: Value, ops: Mapping[str, Value]) -> bool:
    return any(op in ops for op in ("eq", "in")) and value is not None


def _compare(field: str, series: pd.Series[Any], op: str, value: Any) -> Mask:
    kind = FIELDS[field]
    present: Mask = series.notna().to_numpy(dtype=bool)
    if kind in ("text", "gpu", "country") or field == "verified":
        texts = series.to_numpy(dtype=object, na_value="")
        many = value if isinstance(value, tuple) else (value,)
        if field == "verified":
            wanted = {flag for flag in (True, False) if flag in many}
            hit = np.array([(text == "verified") in wanted for text in texts], dtype=bool)
        else:
            wanted_texts = set(many)
            fits = {text: _text_fits(kind, text, wanted_texts) for text in set(texts)}
            hit = np.array([fits[text] for text in texts], dtype=bool)
        result: Mask = present & (~hit if op in ("neq", "notin") else hit)
        return result
    if op in ("in", "notin"):
        inside = np.zeros(len(series), dtype=bool)
        for item in value:
            inside |= _number_fits(series, "eq", item, present)
        chosen: Mask = present & (~inside if op == "notin" else inside)
        return chosen
    return _number_fits(series, op, value, present)


def _compare_column(series: pd.Series[Any], name: str, op: str, wire: Any) -> Mask:
    """Compare a column that is no field of the service, by what it holds."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    many = list(wire) if isinstance(wire, (list, tuple)) else [wire]
    values: list[Any] = [str(value) for value in many]
    if is_bool_dtype(series.dtype):
        values = [plain("flag", value) for value in many]
        good = all(isinstance(value, bool) for value in values) and op not in ORDERING
    elif is_numeric_dtype(series.dtype):
        values = [plain("number", value) for value in many]
        good = all(_is_number(value) for value in values)
    else:
        good = op not in ORDERING
    if not good:
        raise InvalidRequest(
            f"The column {name!r} ({series.dtype}) cannot be compared with "
            f"{', '.join(map(repr, many))} by {op!r}. Nothing was rented."
        )
    present: Mask = series.notna().to_numpy(dtype=bool)
    if op in ("in", "notin", "eq", "neq"):
        inside: Mask = series.isin(values).to_numpy(dtype=bool)
        return present & (~inside if op in ("notin", "neq") else inside)
    return _number_fits(series, op, values[0], present)


def _text_fits(kind: str, text: str, wanted: set[str]) -> bool:
    if text in wanted:
        return True
    return kind == "country" and text.rpartition(",")[2].strip() in wanted


def _number_fits(series: pd.Series[Any], op: str, value: Any, present: Mask) -> Mask:
    # Whole numbers stay whole: an id above 2**53 must not meet its neighbour.
    numbers = series.array if hasattr(series.array, "_mask") else series.convert_dtypes().array
    compared = {
        "eq": lambda: numbers == value,
        "neq": lambda: numbers != value,
        "gt": lambda: numbers > value,
        "gte": lambda: numbers >= value,
        "lt": lambda: numbers < value,
        "lte": lambda: numbers <= value,
    }[op]()
    result: Mask = np.asarray(compared.to_numpy(dtype=bool, na_value=False), dtype=bool)
    return result & present


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
