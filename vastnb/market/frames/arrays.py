"""From the values of one column, as JSON gives them, to an array of one fixed dtype.

A value is taken if it is *equal* to itself in the column's dtype (``1 == 1.0 == True``); null and
NaN are missing. Anything else ("n/a" in a column of numbers, a whole number too great for one) is
*unfit*: missing in the typed array, and handed back with its row, so that nothing is lost. Text
columns take everything: what is no text arrives as its JSON text.

Speed comes from taking a whole column at once: one of numbers alone is one call to `struct`,
the other common ones are told by ``set(map(type, values))``. Only odd columns are read value by
value.
"""

from __future__ import annotations

import json
import math
import operator
import struct
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
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
_CODE = {"Int64": "q", "Float64": "d"}
_NUMPY: dict[str, type] = {"Int64": np.int64, "Float64": np.float64, "boolean": np.bool_}
_ARRAY: dict[str, Any] = {"Int64": IntegerArray, "Float64": FloatingArray, "boolean": BooleanArray}
_MISSING = object()
_ENCODER = msgspec.json.Encoder(order="sorted")
_FAST = _ENCODER.encode
_IS_NONE = partial(operator.is_, None)
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
    if dtype == "string":
        return _texts(values)
    numbers = _numbers(values, dtype) if dtype != "boolean" else None
    if numbers is not None:
        return numbers, []
    types = set(map(type, values))
    if types <= {_NONE}:
        return _ARRAY[dtype](np.zeros(len(values), _NUMPY[dtype]), _mask(values, types)), []
    fast = _FAST_PATHS[dtype](values, types)
    return (fast, []) if fast is not None else _one_by_one(values, dtype)


def _numbers(values: Sequence[Any], dtype: str) -> ExtensionArray | None:
    """Return a column in which nothing is missing, None if it is not one.

    `struct` takes numbers alone, where numpy would also read texts.
    """
    cells = bytearray(8 * len(values))  # can be written to, as a frame's arrays must be
    try:
        struct.pack_into(f"{len(values)}{_CODE[dtype]}", cells, 0, *values)
    except (struct.error, OverflowError):
        return None
    data: Any = np.frombuffer(cells, _NUMPY[dtype])
    if dtype == "Int64":
        return IntegerArray(data, np.zeros(len(data), dtype=bool))
    # A whole number that is greater may have been rounded; NaN is missing.
    exact = np.abs(data).max(initial=0.0) < _EXACT
    return FloatingArray(data, np.zeros(len(data), dtype=bool)) if exact else None


def _mask(values: Sequence[Any], types: set[type]) -> Any:
    if _NONE not in types:
        return np.zeros(len(values), dtype=bool)
    return np.fromiter(map(_IS_NONE, values), dtype=bool, count=len(values))


def _filled(values: Sequence[Any], types: set[type]) -> Sequence[Any]:
    return [0 if v is None else v for v in values] if _NONE in types else values


def _floats(values: Sequence[Any], types: set[type]) -> ExtensionArray | None:
    if not types <= {float, _NONE}:
        return None
    data = np.array(values, dtype=np.float64)
    return FloatingArray(data, np.isnan(data))


def _whole(values: Sequence[Any], types: set[type]) -> ExtensionArray | None:
    if not types <= {int, _NONE}:
        return None
    try:
        data = np.fromiter(_filled(values, types), dtype=np.int64, count=len(values))
    except OverflowError:
        return None
    return IntegerArray(data, _mask(values, types))


def _flags(values: Sequence[Any], types: set[type]) -> ExtensionArray | None:
    if not types <= {bool, _NONE}:
        return None
    data = np.fromiter(_filled(values, types), dtype=np.bool_, count=len(values))
    return BooleanArray(data, _mask(values, types))


_FAST_PATHS = {"Float64": _floats, "Int64": _whole, "boolean": _flags}


def _texts(values: Sequence[Any]) -> tuple[ExtensionArray, Unfit]:
    unfit: Unfit = []
    one: dict[Any, Any] = {None: pd.NA}  # equal texts are kept once: JSON has one for each row
    with suppress(TypeError):  # a list or an object has no hash
        cells = np.fromiter(map(one.setdefault, values, values), dtype=object, count=len(values))
        if set(map(type, one)) <= {str, _NONE}:
            return pd.array(cells, dtype=STRING, copy=False), unfit
    cells = np.empty(len(values), dtype=object)
    types = set(map(type, values))
    if types <= {list, dict, _NONE} and (lines := _json_lines(values)) is not None:
        cells[:] = lines
        unfit = [(row, value) for row, value in enumerate(values) if value is not None]
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


def _json_lines(values: Sequence[Any]) -> list[Any] | None:
    """Return the JSON text of each list or object, all at once; None where that may be wrong."""
    held = [value for value in values if value is not None]
    try:
        text = _ENCODER.encode_lines(held)
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None
    if b"null" in text:  # which it makes of NaN as well
        return None
    lines = iter(text.decode().split("\n"))
    return [pd.NA if value is None else next(lines) for value in values]


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
