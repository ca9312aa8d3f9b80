"""A frame as bytes: columns in one binary buffer, and a small header that explains them.

Numbers are sent as whole steps from the column's smallest value, in the narrowest unsigned
integer that holds them, at the number of decimals that the table can show. A price keeps six
decimals ($0.000001 an hour), a count none. What does not fit, like the absurd values that hosts
report, is sent as float64. Text is sent as codes into a list of its distinct values. Code 0
means missing in both. Every column begins on a multiple of eight bytes, so that the page can lay
typed arrays over the buffer without a copy.

Five thousand offers with 25 columns take some 300 kB this way, against more than 2 MB of JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

DEFAULT_DECIMALS = 4
_WIDTHS: tuple[tuple[str, int], ...] = (("u1", 0xFF), ("u2", 0xFFFF), ("u4", 0xFFFF_FFFF))


def pack(
    frame: pd.DataFrame, columns: Sequence[str], decimals: Mapping[str, int] | None = None
) -> tuple[list[dict[str, Any]], bytes]:
    """Pack `columns` of `frame` for the page, with so many `decimals` (of floats; default: 4).

    Returns
    -------
    header : list of dict
        For each column ``name``, ``kind`` (``number``, ``flag`` or ``text``), ``dtype`` (``u1``,
        ``u2``, ``u4``, ``f8``), ``offset`` in bytes, and ``base`` and ``scale`` (numbers: value =
        base + (code - 1) / scale) or ``values`` (text).
    buffer : bytes
        All columns, one after another.
    """
    decimals = decimals or {}
    header: list[dict[str, Any]] = []
    parts: list[bytes] = []
    at = 0
    for name in columns:
        entry, data = pack_column(frame[name], decimals.get(name, DEFAULT_DECIMALS))
        entry["name"] = name
        entry["offset"] = at
        header.append(entry)
        raw = data.tobytes()
        pad = -len(raw) % 8
        parts += [raw, bytes(pad)]
        at += len(raw) + pad
    return header, b"".join(parts)


def pack_column(series: pd.Series[Any], decimals: int) -> tuple[dict[str, Any], np.ndarray]:
    """Pack one column; see `pack`. The entry lacks ``name`` and ``offset``."""
    kind = series.dtype
    if pd.api.types.is_bool_dtype(kind):
        flags = series.astype("boolean")
        codes = np.where(flags.isna(), 0, flags.fillna(False).to_numpy(dtype=bool) + 1)
        return {"kind": "flag", "dtype": "u1"}, codes.astype("<u1")
    if pd.api.types.is_datetime64_any_dtype(kind):
        seconds = pd.Series(series.to_numpy(dtype="datetime64[s]"))
        series = seconds.astype("int64").where(seconds.notna()).astype("Float64")
        return _numbers(series, 0)
    if pd.api.types.is_numeric_dtype(kind):
        return _numbers(series, 0 if pd.api.types.is_integer_dtype(kind) else decimals)
    return _texts(series)


def _numbers(series: pd.Series[Any], decimals: int) -> tuple[dict[str, Any], np.ndarray]:
    values = series.to_numpy(dtype="float64", na_value=np.nan)
    known = np.isfinite(values)
    if not known.any():
        zero = np.zeros(len(values), dtype="<u1")
        return {"kind": "number", "dtype": "u1", "base": 0, "scale": 1}, zero
    scale = 10**decimals
    with np.errstate(over="ignore"):  # what overflows is sent as it is, below
        steps = np.round(values * scale)
    low, high = float(steps[known].min()), float(steps[known].max())
    for dtype, most in _WIDTHS:
        # Steps beyond 2**53 are not whole numbers any more: those go as they are.
        if high - low + 1 <= most and max(abs(low), abs(high)) < 2**53:
            codes = np.where(known, steps - low + 1, 0).astype(f"<{dtype}")
            return {"kind": "number", "dtype": dtype, "base": low, "scale": scale}, codes
    exact = np.where(known, values, np.nan).astype("<f8")
    return {"kind": "number", "dtype": "f8"}, exact


def _texts(series: pd.Series[Any]) -> tuple[dict[str, Any], np.ndarray]:
    if not isinstance(series.dtype, pd.CategoricalDtype):
        missing = series.isna()
        series = series.astype("string").mask(missing)
    codes, values = pd.factorize(series)
    found = [str(value) for value in values]
    dtype = next(name for name, most in _WIDTHS if len(found) <= most)
    return {"kind": "text", "dtype": dtype, "values": found}, (codes + 1).astype(f"<{dtype}")


def pack_rows(positions: np.ndarray) -> bytes:
    """Pack row numbers (which rows to show) as little-endian uint32."""
    return np.ascontiguousarray(positions, dtype="<u4").tobytes()
