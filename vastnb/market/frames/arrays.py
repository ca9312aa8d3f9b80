"""From the values of one column, as JSON gives them, to an array of one fixed dtype.

A value is taken if it is *equal* to itself in the column's dtype (``1 == 1.0 == True``); null and
NaN are missing. Anything else ("n/a" in a column of numbers, a whole number too great for one) is
*unfit*: missing in the typed array, and handed back with its row, so that nothing is lost. Text
columns take everything: what is no text arrives as its JSON text.

Speed comes from looking at the types of a whole column at once (``set(map(type, values))``): the
common cases are then one call to numpy, and only odd columns are read value by value.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray
from pandas.arrays import BooleanArray, FloatingArray, IntegerArray

from vastnb.market.tables.schema import Dtype

STRING = pd.StringDtype("python")
_NONE = type(None)
_INT64 = 2**63
_EXACT = 2**53
_NUMPY: dict[str, type] = {"Int64": np.int64, "Float64": np.float64, "boolean": np.bool_}
_ARRAY: dict[str, Any] = {"Int64": IntegerArray, "Float64": FloatingArray, "boolean": BooleanArray}
_MISSING = object()
_FAST = msgspec.json.Encoder(order="sorted").encode
_ENCODE = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode

Unfit = list[tuple[int, Any]]
"""Row numbers and the values that the dtype cannot hold."""


def array_of(values: Sequence[Any], dtype: Dtype) -> tuple[ExtensionArray, Unfit]:
    """Build a column.

    Parameters
    ----------
    values : sequence
        JSON values of one column, `None` where there is none.
    dtype : str
        ``"Int64"``, ``"Float64"``, ``"boolean"`` or ``"string"``.

    Returns
    -------
    array : ExtensionArray
        As long as `values`.
    unfit : list of (row, value)
        What it could not hold; the text array holds their JSON text.
    """
    types = set(map(type, values))
    if dtype == "string":
        return _texts(values, types)
    if dtype == "Float64" and types <= {float, _NONE}:
        floats = np.array(values, dtype=np.float64) if values else np.empty(0)
        return FloatingArray(floats, np.isnan(floats)), []
    if dtype == "boolean" and types == {bool}:
        flags = np.array(values, dtype=np.bool_)
        return BooleanArray(flags, np.zeros(len(flags), dtype=bool)), []
    if dtype == "Int64" and types <= {int, _NONE}:
        whole = _whole(values, _NONE in types)
        if whole is not None:
            return whole, []
    return _one_by_one(values, dtype)


def _whole(values: Sequence[Any], missing: bool) -> IntegerArray | None:
    mask = np.zeros(len(values), dtype=bool)
    if missing:
        mask = np.fromiter((v is None for v in values), dtype=bool, count=len(values))
        values = [0 if v is None else v for v in values]
    try:
        return IntegerArray(np.fromiter(values, dtype=np.int64, count=len(values)), mask)
    except OverflowError:
        return None


def _texts(values: Sequence[Any], types: set[type]) -> tuple[ExtensionArray, Unfit]:
    unfit: Unfit = []
    cells = np.empty(len(values), dtype=object)
    if types <= {str}:
        one: dict[str, str] = {}  # equal texts are kept once: JSON has one for each row
        cells[:] = [one.setdefault(value, value) for value in values]
    else:
        for row, value in enumerate(values):
            if isinstance(value, str):
                cells[row] = value
            elif _is_missing(value):
                cells[row] = pd.NA
            else:
                unfit.append((row, value))
                cells[row] = json_text(value)
    return pd.array(cells, dtype=STRING, copy=False), unfit


def _one_by_one(values: Sequence[Any], dtype: str) -> tuple[ExtensionArray, Unfit]:
    convert = {"Int64": _as_int, "Float64": _as_float, "boolean": _as_bool}[dtype]
    data: Any = np.zeros(len(values), dtype=_NUMPY[dtype])
    mask = np.ones(len(values), dtype=bool)
    unfit: Unfit = []
    for row, value in enumerate(values):
        if _is_missing(value):
            continue
        fit = convert(value)
        if fit is _MISSING:
            unfit.append((row, value))
        else:
            data[row] = fit
            mask[row] = False
    array: ExtensionArray = _ARRAY[dtype](data, mask)
    return array, unfit


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _as_int(value: Any) -> Any:
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        whole = int(value)
        if -_INT64 <= whole < _INT64:
            return whole
    return _MISSING


def _as_float(value: Any) -> Any:
    if isinstance(value, float):
        return value
    if isinstance(value, int) and (-_EXACT <= value <= _EXACT or _survives(value)):
        return float(value)
    return _MISSING


def _survives(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False


def _as_bool(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, (int, float)) and value in (0, 1)):
        return bool(value)
    return _MISSING


def json_text(value: Any) -> str:
    """Return the JSON text of a value, keys sorted; a text itself stays as it is."""
    if isinstance(value, str):
        return value
    try:
        text = _FAST(value)
        if b"null" not in text:  # which it makes of NaN as well
            return text.decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        pass  # the standard library's encoder, or else the plain text, will do
    try:
        return _ENCODE(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def dtype_for(values: Sequence[Any]) -> Dtype:
    """Return the dtype for a column that nobody has told of: the narrowest that holds it all."""
    kinds = {type(v) for v in values if not _is_missing(v)}
    if kinds == {bool}:
        return "boolean"
    if kinds == {int}:
        held = all(_as_int(v) is not _MISSING for v in values if v is not None)
        return "Int64" if held else "string"
    if kinds and kinds <= {int, float}:
        held = all(_is_missing(v) or _as_float(v) is not _MISSING for v in values)
        return "Float64" if held else "string"
    return "string"
