"""The one table of what a snapshot keeps of an offer, and how it becomes an Arrow table.

Few columns, each as the service gave it: prices, what they are prices of, and how the sample came
about. Types are wide (64 bits) because strangers' values must survive; Parquet's dictionaries and
zstd make them small on disk. A schema that changes gets a directory of its own (`VERSION`), so
that all files below it can be read as one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np
import pandas as pd

from vastnb.market.cells import STRING

if TYPE_CHECKING:
    import pyarrow as pa

VERSION: Final = "v1"


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
    "i": ("Int64", "BIGINT"),
    "f": ("Float64", "DOUBLE"),
    "b": ("boolean", "BOOLEAN"),
    "s": ("string", "VARCHAR"),
    "t": ("datetime64[us, UTC]", "TIMESTAMPTZ"),
}

# A line: letter of the type (* if it belongs to the search), name, unit in brackets, meaning.
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
f min_bid [$/h] least bid for an interruptible rental
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


def _parse(table: str) -> dict[str, Kept]:
    columns = {}
    for line in table.strip().splitlines():
        letter, name, rest = line.split(" ", 2)
        unit, meaning = rest.removeprefix("[").split("] ", 1)
        columns[name] = Kept(name, *_TYPES[letter[0]], unit, meaning, letter.endswith("*"))
    return columns


KEPT: Final[dict[str, Kept]] = _parse(_TABLE)
"""Every column by name, in the order of the files."""

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


@cache
def schema() -> pa.Schema:
    """Return the Arrow schema of the files."""
    import pyarrow as pa

    types = {
        "Int64": pa.int64(),
        "Float64": pa.float64(),
        "boolean": pa.bool_(),
        "string": pa.string(),
        "datetime64[us, UTC]": pa.timestamp("us", "UTC"),
    }
    return pa.schema([(column.name, types[column.dtype]) for column in KEPT.values()])


def table_of(frame: pd.DataFrame, sample: Sample) -> pa.Table:
    """Return what is kept of an answer.

    Parameters
    ----------
    frame : DataFrame
        Offers, as `frame_of_offers` gives them.
    sample : Sample
        How they came about.
    """
    import pyarrow as pa

    arrays = []
    for column, kind in zip(KEPT.values(), schema().types, strict=True):
        if column.whole:
            value: Any = getattr(sample, column.name)
            if isinstance(value, str):
                value = _writable(value)
            arrays.append(pa.repeat(pa.scalar(value, kind), len(frame)))
        else:
            arrays.append(_arrow(frame, column, kind))
    return pa.Table.from_arrays(arrays, schema=schema())


def sorted_table(tables: Sequence[pa.Table]) -> pa.Table:
    """Return tables as one, in the order in which finished days are kept."""
    import pyarrow as pa

    return pa.concat_tables(tables).sort_by([(name, "ascending") for name in SORTED_BY])


def _arrow(frame: pd.DataFrame, column: Kept, kind: pa.DataType) -> pa.Array:
    import pyarrow as pa

    if column.name == "verified":
        words = _texts(frame["verification"])
        return pa.array([None if word is None else word == "verified" for word in words], kind)
    if column.dtype != "string":
        return pa.array(
            frame[column.name].astype(cast(Any, column.dtype)).array, kind, from_pandas=True
        )
    texts = _texts(frame[column.name])
    try:
        return pa.array(texts, kind)
    except UnicodeEncodeError:  # half of a pair of surrogates: JSON can say it, UTF-8 cannot
        return pa.array([None if text is None else _writable(text) for text in texts], kind)


def _texts(column: pd.Series[Any]) -> list[str | None]:
    missing = column.isna().to_numpy()
    return [None if none else text for text, none in zip(column.tolist(), missing, strict=True)]


def _writable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")


def frame_from(found: Mapping[str, Any]) -> pd.DataFrame:
    """Build a frame of what DuckDB found.

    Parameters
    ----------
    found : dict of str to ndarray
        Columns, masked where a value is missing. Known ones get the dtypes of the table, others
        the nullable one that fits.
    """
    out = {name: column_of(name, values) for name, values in found.items()}
    length = len(next(iter(out.values()))) if out else 0
    return pd.DataFrame(out, index=pd.RangeIndex(length), copy=False)


def column_of(name: str, values: Any) -> Any:
    """Return a column that DuckDB found as an array for a frame."""
    known = KEPT.get(name)
    data = np.ma.getdata(values)
    mask = np.ma.getmaskarray(values)
    if data.dtype.kind == "M":
        times: Any = pd.array(data.astype("M8[us]"), copy=False)
        times[mask] = pd.NaT
        utc = known is None or known.dtype.endswith("UTC]")
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


__all__ = ["KEPT", "SORTED_BY", "VERSION", "Kept", "Sample", "column_of", "frame_from", "schema",
           "sorted_table", "table_of"]  # fmt: skip
