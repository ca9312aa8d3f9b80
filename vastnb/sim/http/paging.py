"""Filtering, sorting and paging of records, as the service's newer list calls do it.

``select_filters`` is an object of columns with operators, ``order_by`` a list of columns with
directions, ``select_cols`` a list of columns, and ``after_token`` the mark where the last page
ended: a list of the sort keys of its last row, in base64.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from vastnb.sim.operators import OPERATORS, Test, comparison
from vastnb.sim.refusal import Failure

Row = dict[str, Any]


def _bad(text: str) -> Failure:
    return Failure(400, "invalid_request", f"Error in query parameters: {text}")


def select(
    rows: Sequence[Row], filters: Any, *, allowed: Collection[str] | None = None
) -> list[Row]:
    """Return the rows that pass all conditions.

    Parameters
    ----------
    rows : sequence of dict
        Records.
    filters : Any
        The decoded ``select_filters``.
    allowed : collection of str, optional
        Columns that may be filtered on.

    Raises
    ------
    Failure
        A 400, if the filters are wrong.
    """
    if not isinstance(filters, Mapping):
        raise _bad("select_filters must be an object")
    kept = list(rows)
    for column, conditions in filters.items():
        if allowed is not None and column not in allowed:
            raise _bad(f"{column} is not a valid search key")
        if not isinstance(conditions, Mapping):
            conditions = {"eq": conditions}
        for op, value in conditions.items():
            test = _condition(column, op, value)
            kept = [row for row in kept if test(row.get(column))]
    return kept


def _condition(column: str, op: str, value: Any) -> Test:
    if op not in OPERATORS:
        raise _bad(f"{op} is not a valid operator for {column}")
    if op in ("in", "notin") and not isinstance(value, list):
        raise _bad(f"{column}.{op} must be a list")
    fits = comparison(op, value)

    def test(v: Any) -> bool:
        try:
            return fits(v)
        except TypeError:
            raise _bad(f"{column} cannot be compared with {value!r}") from None

    return test


def page(
    rows: Sequence[Row],
    *,
    order_by: Any,
    after: str | None,
    limit: int,
    columns: Collection[str] | None = None,
) -> tuple[list[Row], str | None]:
    """Sort rows and cut a page out of them.

    Parameters
    ----------
    rows : sequence of dict
        Records with an ``id``, which breaks every tie.
    order_by : Any
        The decoded ``order_by``: ``[{"col": "id", "dir": "asc"}]``.
    after : str or None
        The token of the page before.
    limit : int
        Rows of a page.
    columns : collection of str, optional
        Columns that may be sorted by.

    Returns
    -------
    list of dict, str or None
        The page, and the token of the next one.

    Raises
    ------
    Failure
        A 400 for an unknown column or a broken token.
    """
    if not isinstance(order_by, list) or not all(isinstance(o, Mapping) for o in order_by):
        raise _bad("order_by must be a list of {col, dir}")
    keys: list[tuple[str, bool]] = []
    for entry in order_by:
        column = entry.get("col")
        if columns is not None and column not in columns:
            raise _bad(f"{column} is not a valid order_by column")
        keys.append((str(column), str(entry.get("dir")).lower() == "desc"))
    if "id" not in [column for column, _ in keys]:
        keys.append(("id", False))
    ordered = list(rows)
    for column, descending in reversed(keys):
        ordered.sort(key=lambda row, c=column: _sortable(row.get(c)), reverse=descending)  # type: ignore[misc]
    start = 0
    if after:
        last = _untoken(after)
        start = sum(1 for row in ordered if not _beyond(row, last, keys))
    cut = ordered[start : start + limit]
    more = start + limit < len(ordered)
    return cut, _token(cut[-1], keys) if more and cut else None


def _sortable(value: Any) -> tuple[int, Any]:
    if value is None:
        return (0, 0)
    if isinstance(value, (bool, int, float)):
        return (1, float(value))
    return (2, str(value))


def _token(row: Row, keys: Sequence[tuple[str, bool]]) -> str:
    values = {column: row.get(column) for column, _ in keys}
    return base64.b64encode(json.dumps({"values": values}).encode()).decode()


def _untoken(token: str) -> Row:
    try:
        values = json.loads(base64.b64decode(token, validate=True))["values"]
    except (ValueError, KeyError, TypeError):
        raise Failure(400, "invalid_token", "Invalid pagination token") from None
    if not isinstance(values, dict):
        raise Failure(400, "invalid_token", "Invalid pagination token")
    return values


def _beyond(row: Row, last: Row, keys: Sequence[tuple[str, bool]]) -> bool:
    """Tell whether a row comes after the one that a token stands for."""
    for column, descending in keys:
        here, there = _sortable(row.get(column)), _sortable(last.get(column))
        if here != there:
            return (here < there) if descending else (here > there)
    return False


__all__ = ["page", "select"]
