"""The one table of what a snapshot keeps of an offer, and how it becomes a frame again.

Few columns, each as the service gave it: prices, what they are prices of, and how the sample came
about. Types are wide (64 bits) because strangers' values must survive; Parquet's dictionaries and
zstd make them small on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd

from vastnb.market.frames.arrays import STRING, array_of
from vastnb.market.tables.schema import Dtype, read_table


class Kept(NamedTuple):
    """A column of the dataset.

    Parameters
    ----------
    name : str
        In the files and in frames.
    dtype : str
        The pandas dtype of a frame.
    sql : str
        DuckDB's type.
    unit, meaning : str
        Unit, empty if it has none; and what it is, in a few words.
    whole : bool
        Whether it is the same for all rows of a snapshot.
    """

    name: str
    dtype: str
    sql: str
    unit: str
    meaning: str
    whole: bool


_TYPES: Final = {
    "Int64": ("Int64", "BIGINT"),
    "Float64": ("Float64", "DOUBLE"),
    "boolean": ("boolean", "BOOLEAN"),
    "string": ("string", "VARCHAR"),
    "datetime": ("datetime64[us, UTC]", "TIMESTAMPTZ"),
}

# As the table of offers (`read_table`); a * marks what belongs to the search.
_TABLE: Final = """
t* seen_at [UTC] when the service answered
s* type [] kind of rental searched for: on-demand, bid or reserved
s gpu_name [] GPU model, in the service's spelling
i gpu_ram [MB] VRAM of one GPU, as its driver reports it
i gpu_ram_gb [GB] VRAM of one GPU, as printed on the box
i machine_id [] the machine; stays when offer ids change
i num_gpus [] GPUs in the offer
i host_id [] the machine's owner
f dph_base [$/h] price of the GPUs of the whole offer, without disk
f min_bid [$/h] lowest bid for an interruptible rental
f storage_cost [$/GB/month] disk, a month being 720 hours
f inet_down_cost [$/GB] traffic to the machine
f inet_up_cost [$/GB] traffic from the machine
f dlperf [] the service's deep-learning score of the whole offer
f total_flops [TFLOPS] of all GPUs of the offer
f reliability [0-1] the service's estimate that the machine stays up
b verified [] whether the machine is verified
b datacenter [] whether it stands in a datacenter
s country [] two letters
s* query [] the search, in the official client's language
b* restricted [] whether the search chose by price, so that it shows a part of the prices only
b* truncated [] whether the answer may have been cut short
b* simulated [] whether the market was a simulated one
"""


KEPT: Final[dict[str, Kept]] = {
    name: Kept(name, *_TYPES[column.dtype], column.unit, column.meaning, column.default)
    for name, column in read_table(_TABLE).items()
}
"""Every column by name, in the order of the files."""

OF_SNAPSHOT: Final = tuple(column for column in KEPT.values() if column.whole)
OF_OFFER: Final = tuple(column for column in KEPT.values() if not column.whole)

SORTED_BY: Final = ("gpu_name", "machine_id", "seen_at")
"""How the rows of a finished day lie, so that a question about one GPU skips the rest."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is true of all rows of one snapshot: a search that was answered.

    Parameters
    ----------
    seen_at : datetime
        When it was answered (UTC).
    type : str
        Kind of rental.
    query : str
        The search.
    restricted : bool
        Whether it chose by price.
    truncated : bool
        Whether the answer may have been cut short.
    simulated : bool
        Whether the market is simulated.
    """

    seen_at: datetime
    type: str
    query: str
    restricted: bool
    truncated: bool
    simulated: bool


def cells_of(frame: pd.DataFrame) -> list[list[Any]]:
    """Return what is kept of an answer's offers: a list of values for each of `OF_OFFER`.

    Parameters
    ----------
    frame : DataFrame
        Offers, as `frame_of_offers` gives them.
    """
    return [_cells(frame, column) for column in OF_OFFER]


def _cells(frame: pd.DataFrame, column: Kept) -> list[Any]:
    if column.name == "verified":
        return [None if w is None else w == "verified" for w in _plain(frame["verification"])]
    series = frame[column.name]
    if column.dtype != "string":
        return _plain(
            series if series.dtype == column.dtype else series.astype(cast(Any, column.dtype))
        )
    texts = _plain(series)
    try:
        "".join(text for text in texts if text).encode()
    except UnicodeEncodeError:
        return [None if text is None else writable(text) for text in texts]
    return texts


def _plain(series: pd.Series[Any]) -> list[Any]:
    array: Any = series.array
    cells: list[Any] = array.to_numpy(dtype=object, na_value=None).tolist()
    return cells


def frame_of_cells(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Build a frame of kept columns from plain values, as `cells_of` gives them.

    Times are microseconds since the epoch.
    """
    out = {name: _array(KEPT[name].dtype, values) for name, values in columns.items()}
    return pd.DataFrame(out, copy=False)


def _array(dtype: str, values: Sequence[Any]) -> Any:
    if dtype.startswith("datetime"):
        times: Any = pd.array(np.array(values, dtype="int64").view("M8[us]"), copy=False)
        return times.tz_localize(UTC)
    if dtype == "boolean":  # SQLite has none, and keeps numbers
        flags: Any = array_of(values, "Int64")[0]
        return pd.arrays.BooleanArray(flags._data != 0, flags._mask)
    return array_of(values, cast(Dtype, dtype))[0]


def writable(text: str) -> str:
    """Return a text that UTF-8 can hold: JSON can say half of a pair of surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8")


def frame_from(found: Mapping[str, Any], types: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Build a frame of what DuckDB found.

    Parameters
    ----------
    found : dict of str to ndarray
        Columns, masked where a value is missing; they get the nullable dtype that fits.
    types : dict, optional
        SQL types: a time without a time zone stays one.
    """
    local = {
        name
        for name, kind in (types or {}).items()
        if kind == "DATE" or (kind.startswith("TIMESTAMP") and "TIME ZONE" not in kind)
    }
    out = {name: column_of(values, utc=name not in local) for name, values in found.items()}
    length = len(next(iter(out.values()))) if out else 0
    return pd.DataFrame(out, index=pd.RangeIndex(length), copy=False)


def column_of(values: Any, *, utc: bool = True) -> Any:
    """Return a column that DuckDB found as an array for a frame; times are UTC or local."""
    data = np.ma.getdata(values)
    mask = np.ma.getmaskarray(values)
    if data.dtype.kind == "M":
        times: Any = pd.array(data.astype("M8[us]"), copy=False)
        times[mask] = pd.NaT
        return times.tz_localize(UTC) if utc else times
    if data.dtype.kind == "f":
        return pd.arrays.FloatingArray(data.astype("float64"), mask | np.isnan(data))
    if data.dtype.kind in "iu":
        return pd.arrays.IntegerArray(data.astype("int64"), mask)
    if data.dtype.kind == "b":
        return pd.arrays.BooleanArray(data, mask)
    cells = data.astype(object)
    cells[mask] = None
    if all(cell is None or isinstance(cell, str) for cell in cells):
        return pd.array(cells, dtype=STRING)
    return pd.Series(cells, dtype=object).array


__all__ = ["KEPT", "OF_OFFER", "OF_SNAPSHOT", "SORTED_BY", "Kept", "Sample", "cells_of",
           "column_of", "frame_from", "frame_of_cells", "writable"]  # fmt: skip
