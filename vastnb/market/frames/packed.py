"""A frame as bytes, kept beside the answer that it was built from for the user's other kernels.

A JSON head (columns, texts, what is masked), then the arrays, the widest first, so that each is
aligned. Reading it can make nothing but numbers and text, whoever wrote it; what does not fit its
head to the byte, or the table of columns, is no frame. A frame is kept under a name that changes
with the table and with the version of the package: what another version derived is not read.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.arrays import BooleanArray, FloatingArray, IntegerArray

from vastnb._version import __version__
from vastnb.market.frames.arrays import STRING
from vastnb.market.tables.schema import COLUMNS, shown

log = logging.getLogger("vastnb.market")

Columns = Literal["default", "all"]

_LAYOUT = 1
_TABLE = hashlib.blake2b(
    repr((_LAYOUT, __version__, list(COLUMNS.values()))).encode(), digest_size=6
).hexdigest()
_STORED = {"Int64": "<i8", "Float64": "<f8", "datetime": "<i8", "string": "<i4", "boolean": "u1"}
_ARRAY: dict[str, Any] = {"Int64": IntegerArray, "Float64": FloatingArray, "boolean": BooleanArray}
_OF: dict[Any, str] = {
    pd.Int64Dtype(): "Int64",
    pd.Float64Dtype(): "Float64",
    pd.BooleanDtype(): "boolean",
    STRING: "string",
    pd.DatetimeTZDtype("us", "UTC"): "datetime",
}


def name_of(columns: Columns) -> str:
    """Return the name under which a frame with these columns is kept."""
    return f"frame-{columns}-{_TABLE}"


def pack(frame: pd.DataFrame) -> bytes:
    """Return a frame that `frame_of_offers` has built, as bytes; of its attrs, only ``unfit``."""
    arrays = {str(name): column.array for name, column in frame.items()}
    dtypes = {name: _OF[array.dtype] for name, array in arrays.items()}
    texts: dict[str, list[str]] = {}
    parts: dict[str, bytes] = {}
    masks: dict[str, bytes] = {}
    array: Any
    for name, array in arrays.items():
        dtype = dtypes[name]
        if dtype == "string":
            places: dict[Any, int] = {pd.NA: -1}
            codes = [places.setdefault(cell, len(places) - 1) for cell in array._ndarray]
            texts[name] = list(places)[1:]
            parts[name] = np.array(codes, dtype="<i4").tobytes()
        elif dtype == "datetime":
            parts[name] = array.asi8.astype("<i8").tobytes()
        else:
            parts[name] = array._data.tobytes()
            if array._mask.any():
                masks[name] = array._mask.tobytes()
    head = {
        "rows": len(frame),
        "columns": list(dtypes.items()),
        "texts": texts,
        "masked": list(masks),
        "unfit": frame.attrs["vastnb"]["unfit"],
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 4) % 8)
    data = [parts[name] for name in _widest_first(dtypes)]
    return b"".join([len(text).to_bytes(4, "little"), text, *data, *masks.values()])


def unpack(data: bytes, columns: Columns) -> pd.DataFrame | None:
    """Return the frame that was packed, None for bytes that are not one.

    Parameters
    ----------
    data : bytes
        What `pack` returned, perhaps damaged.
    columns : {"default", "all"}
        Which columns it must have.
    """
    try:
        return _unpacked(data, columns)
    except Exception as error:  # noqa: BLE001 - a stranger's bytes may break anything
        log.debug("A cached frame cannot be read: %s", type(error).__name__)
        return None


def _unpacked(data: bytes, columns: Columns) -> pd.DataFrame:
    buffer = bytearray(data)  # can be written to, as a frame's arrays must be
    offset = 4 + int.from_bytes(data[:4], "little")
    head = json.loads(data[4:offset])
    rows, dtypes = head["rows"], {str(name): str(dtype) for name, dtype in head["columns"]}
    known = {column.name: column.dtype for column in shown(columns)}
    here = list(dtypes.items())
    if here[: len(known)] != list(known.items()) or (columns == "default" and here[len(known) :]):
        raise ValueError("other columns")
    if type(rows) is not int or rows < 0:
        raise ValueError("no number of rows")

    def take(dtype: str) -> Any:
        nonlocal offset
        part = np.frombuffer(buffer, dtype, rows, offset)
        offset += part.nbytes
        return part

    parts = {name: take(_STORED[dtypes[name]]) for name in _widest_first(dtypes)}
    masks = {name: take("u1") != 0 for name in head["masked"]}
    if offset != len(buffer):
        raise ValueError("another length")
    out = {}
    for name, dtype in dtypes.items():
        part = parts[name]
        if dtype == "string":
            out[name] = _texts(part, head["texts"][name])
        elif dtype == "datetime":
            naive: Any = pd.array(part.view("M8[us]"), copy=False)
            out[name] = naive.tz_localize("UTC")
        else:
            mask = masks[name] if name in masks else np.zeros(rows, dtype=bool)
            out[name] = _ARRAY[dtype](part if dtype != "boolean" else part != 0, mask)
    frame = pd.DataFrame(out, index=pd.RangeIndex(rows), copy=False)
    frame.attrs["vastnb"] = {"unfit": {str(k): int(v) for k, v in head["unfit"].items()}}
    return frame


def _widest_first(dtypes: Mapping[str, str]) -> list[str]:
    return sorted(dtypes, key=lambda name: -int(_STORED[dtypes[name]][-1]))


def _texts(codes: Any, texts: list[str]) -> Any:
    if not set(map(type, texts)) <= {str} or (len(codes) and codes.min() < -1):
        raise ValueError("no texts")
    cells = np.empty(len(texts) + 1, dtype=object)
    cells[:] = [*texts, pd.NA]  # which -1 points at
    return pd.array(cells[codes], dtype=STRING, copy=False)
