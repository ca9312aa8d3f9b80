"""From the rows of an answer to a frame that can be trusted.

The same columns and dtypes come out of every answer, an empty one included; every row arrives, and
no value is altered. What the service adds later is kept behind ``columns="all"``. So is what a
column cannot hold (see `arrays`): it is missing there, counted in ``attrs["vastnb"]["unfit"]``, and
its JSON text stands in an extra column ``<name>_text``.

All rows are turned into columns by one pass (an `itemgetter` over the known names); the slower way,
key by key, is for answers in which a row lacks a known column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from operator import itemgetter
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandas.api.extensions import ExtensionArray
from pandas.arrays import BooleanArray, FloatingArray, IntegerArray

from vastnb.market.frames.arrays import STRING, Unfit, array_of, dtype_for, json_text
from vastnb.market.frames.caps import is_truncated
from vastnb.market.frames.terms import rental_type
from vastnb.market.tables import vram
from vastnb.market.tables.schema import COLUMNS, Dtype, shown

__all__ = ["concat_offers", "country_code", "frame_of_offers", "is_truncated", "times_of"]

Arrays = dict[str, Any]
LAST_SECOND = 253_402_300_799.0  # the end of the year 9999
_PART = 64
_ROW = "unexpected_row"
"""Where a row that is no object is kept, whole."""
_SEARCH = "the search"
"""`Column.derived` of what is said by the search, and not by its answer."""


def frame_of_offers(
    rows: Sequence[Mapping[str, Any]],
    *,
    columns: Literal["default", "all"] = "default",
    provenance: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Build the frame of an answer.

    Parameters
    ----------
    rows : list of dict
        The ``offers`` of a search, as JSON gives them.
    columns : {"default", "all"}
        ``"all"`` adds the columns that are hidden by default, those that the service has added
        since, and ``<name>_text`` for values of a wrong type.
    provenance : dict, optional
        What is known of the search: its ``type`` and ``storage_gb`` fill the columns
        ``rental_type`` and ``storage_gb``, which are missing without. JSON-able; becomes
        ``attrs["vastnb"]``, with ``unfit`` added: how many values of a column had a wrong type.

    Returns
    -------
    DataFrame, shape (len(rows), number of columns)
        With a RangeIndex. Raw columns have the service's units (`vastnb.market.tables.schema`),
        derived ones carry theirs in the name; dtypes are nullable, and missing is missing.

    Raises
    ------
    ValueError
        If `columns` is neither.
    """
    if columns not in ("default", "all"):
        raise ValueError(f'columns={columns!r}: use "default" or "all".')
    plain = _objects(rows)
    values, sure = _by_column(plain, _READ[columns])
    arrays: Arrays = {}
    unfit: dict[str, Unfit] = {}
    for name, cells in values.items():
        column = COLUMNS[name]
        arrays[name], odd = array_of(cells, column.dtype)
        if odd and not column.nested:
            unfit[name] = odd
    search = provenance or {}
    said = {"rental_type": rental_type(search.get("type")), "storage_gb": search.get("storage_gb")}
    out: dict[str, Any] = {}
    for column in shown(columns):
        if column.derived is None:
            out[column.name] = arrays[column.name]
        elif column.derived == _SEARCH:
            out[column.name] = _alike(said[column.name], column.dtype, len(plain))
        else:
            out[column.name] = _DERIVE[column.name](arrays)
    counts = {name: len(odd) for name, odd in unfit.items()}
    if columns == "all":
        _add_unknown(out, plain, sure)
        for name, odd in unfit.items():
            out[_free(f"{name}_text", out)] = _kept(odd, len(plain))
    frame = pd.DataFrame(out, index=pd.RangeIndex(len(plain)), copy=False)
    frame.attrs["vastnb"] = {**(provenance or {}), "unfit": counts}
    return frame


def concat_offers(frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the answers of several searches under one another.

    Parameters
    ----------
    frames : dict of str to DataFrame
        Frames of offers by a label of their search. An offer that fits two searches comes twice.

    Returns
    -------
    DataFrame
        With a RangeIndex and a first column ``query`` (the label), in the order given; dtypes
        stay. ``attrs["vastnb"]`` holds each search's provenance under ``searches``, and what is
        true of the whole: ``stale``, ``truncated`` and ``simulated`` (of any), ``whole`` (the
        worst), ``from_cache`` (of all), ``fetched_at`` (the oldest).
    """
    labels = [label for label, frame in frames.items() for _ in range(len(frame))]
    parts = list(frames.values()) or [frame_of_offers([])]
    names = list(dict.fromkeys(name for part in parts for name in part.columns))
    out: dict[str, Any] = {"query": pd.array(labels, dtype=STRING)}
    for name in names:
        dtypes = list(dict.fromkeys(part[name].dtype for part in parts if name in part))
        dtype = dtypes[0] if len(dtypes) == 1 else STRING
        pieces = [_piece(part, name, dtype) for part in parts]
        whole = pieces[0]._concat_same_type(pieces) if len(pieces) > 1 else pieces[0]
        out[name] = whole
    union = pd.DataFrame(out, index=pd.RangeIndex(len(labels)), copy=False)
    searches = {label: dict(frame.attrs.get("vastnb", {})) for label, frame in frames.items()}
    each = list(searches.values())
    union.attrs["vastnb"] = {
        "query": {label: one.get("query") for label, one in searches.items()},
        "fetched_at": min(
            (one["fetched_at"] for one in each if one.get("fetched_at")), default=None
        ),
        "from_cache": bool(each) and all(one.get("from_cache") for one in each),
        "stale": any(one.get("stale") for one in each),
        "stale_reason": next(
            (one["stale_reason"] for one in each if one.get("stale_reason")), None
        ),
        "truncated": any(one.get("truncated") for one in each),
        "whole": next(
            (w for w in ("cut", "assumed") if any(one.get("whole") == w for one in each)), "proved"
        ),
        "simulated": any(one.get("simulated") for one in each),
        "searches": searches,
    }
    return union


def _piece(part: pd.DataFrame, name: str, dtype: Any) -> Any:
    if name not in part:
        return pd.array([None] * len(part), dtype=dtype)
    if part[name].dtype == dtype:
        return part[name].array
    # Two answers disagree about a column that nobody has told of: its JSON text fits both.
    cells = [None if missing else json_text(value) for value, missing in
             zip(part[name].tolist(), part[name].isna(), strict=True)]  # fmt: skip
    return pd.array(cells, dtype=dtype)


def _objects(rows: Sequence[Any]) -> Sequence[dict[str, Any]]:
    if set(map(type, rows)) <= {dict}:
        return rows
    return [row if isinstance(row, dict) else dict(row) if isinstance(row, Mapping) else {_ROW: row}
            for row in rows]  # fmt: skip


def _by_column(
    rows: Sequence[dict[str, Any]], names: list[str]
) -> tuple[dict[str, Sequence[Any]], int]:
    """Return the cells of each named column, and of how many of them every row is sure to have."""
    wanted = set(names)
    # In the order of the rows: what lies side by side in memory is read twice as fast.
    here = [name for name in (rows[0] if rows else ()) if name in wanted]
    found: dict[str, Sequence[Any]] = {}
    if len(here) > 1:
        with suppress(KeyError):
            found = dict(zip(here, _transposed(rows, itemgetter(*here)), strict=True))
    sure = len(found)
    # With all columns: where no row has more than that, the others are nowhere.
    nowhere = _RAW.issubset(names) and sure > 0 and set(map(len, rows)) == {sure}
    for name in names:
        if name not in found:
            found[name] = [None] * len(rows) if nowhere else [row.get(name) for row in rows]
    return found, sure


def _transposed(
    rows: Sequence[dict[str, Any]], cells_of: Callable[[Any], tuple[Any, ...]]
) -> Sequence[list[Any]]:
    """Return the columns of rows, read in parts that the processor's caches hold."""
    columns: list[list[Any]] = []
    for start in range(0, len(rows), _PART):
        part = zip(*map(cells_of, rows[start : start + _PART]), strict=True)
        if not columns:
            columns = list(map(list, part))
            continue
        for column, cells in zip(columns, part, strict=True):
            column.extend(cells)
    return columns


def _add_unknown(out: dict[str, Any], rows: Sequence[dict[str, Any]], sure: int) -> None:
    """Add the columns that the table does not have; each row has `sure` that it does have."""
    unknown: dict[Any, None] = {}
    for row in rows:
        if len(row) != sure and not row.keys() <= _RAW:
            unknown.update((key, None) for key in row if key not in _RAW)
    for key in unknown:
        cells = [row.get(key) for row in rows]
        name = str(key)
        out[_free(f"{name}_raw" if name in COLUMNS else name, out)] = array_of(
            cells, dtype_for(cells)
        )[0]


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _alike(value: Any, dtype: Dtype, length: int) -> ExtensionArray:
    """Return a column that is the same in every row."""
    return array_of([value], dtype)[0].take(np.zeros(length, dtype=np.intp))


def _kept(odd: Iterable[tuple[int, Any]], length: int) -> ExtensionArray:
    cells: list[str | None] = [None] * length
    for row, value in odd:
        cells[row] = json_text(value)
    return pd.array(cells, dtype=STRING)


def _country(arrays: Arrays) -> Any:
    places = arrays["geolocation"].to_numpy(dtype=object)
    codes = {place: country_code(place) for place in set(places)}
    cells = np.empty(len(places), dtype=object)
    cells[:] = [codes[place] for place in places]
    return pd.array(cells, dtype=STRING, copy=False)


def country_code(place: Any) -> str | None:
    """Return the two letters at the end of ``"Region, CC"``; None for anything else."""
    if not isinstance(place, str):
        return None
    code = place.rpartition(",")[2].strip()
    return code if len(code) == 2 and code.isascii() and code.isupper() else None


def _datacenter(arrays: Arrays) -> Any:
    data, mask = _parts(arrays["hosting_type"])
    return BooleanArray(data == 1, mask.copy())


def _gpu_ram_gb(arrays: Arrays) -> Any:
    data, mask = _parts(arrays["gpu_ram"])
    sizes, place = np.unique(data, return_inverse=True)
    nominal = np.array([vram.nominal(float(mb)) for mb in sizes], dtype=np.int64)
    return IntegerArray(nominal[place], mask.copy())


def _dph_gpu(arrays: Arrays) -> Any:
    price, no_price = _parts(arrays["dph_total"])
    gpus, no_gpus = _parts(arrays["num_gpus"])
    mask = no_price | no_gpus | (gpus == 0)
    return FloatingArray(np.divide(price, gpus, out=np.full(len(price), np.nan), where=~mask), mask)


def _scaled(name: str, factor: float) -> Callable[[Arrays], Any]:
    def scale(arrays: Arrays) -> Any:
        data, mask = _parts(arrays[name])
        return FloatingArray(data / factor, mask.copy())

    return scale


def _time(name: str) -> Callable[[Arrays], Any]:
    return lambda arrays: times_of(arrays[name])


def times_of(seconds: Any) -> Any:
    """Return times (UTC, in microseconds) for an array of seconds since 1970.

    Parameters
    ----------
    seconds : nullable Float64 or Int64 array
        Missing stays missing; so does a moment before 1970 or after the year 9999.
    """
    data, mask = _parts(seconds)
    usable = ~mask & (data >= 0) & (data <= LAST_SECOND)
    micros = np.full(len(data), np.iinfo(np.int64).min)  # numpy's own mark of a missing time
    # Whole seconds apart from the rest: together they would need more digits than a float has.
    whole = np.floor(data, out=np.zeros(len(data)), where=usable)
    part = np.subtract(data, whole, out=np.zeros(len(data)), where=usable)
    exact = whole.astype(np.int64) * 1_000_000 + np.rint(part * 1e6).astype(np.int64)
    micros[usable] = exact[usable]
    naive: Any = pd.array(micros.view("M8[us]"), copy=False)
    return naive.tz_localize("UTC")


def _parts(array: Any) -> tuple[Any, Any]:
    """Return data and mask of a nullable array, without copying them."""
    return array._data, array._mask


_DERIVE: dict[str, Callable[[Arrays], Any]] = {
    "gpu_ram_gb": _gpu_ram_gb,
    "dph_gpu": _dph_gpu,
    "datacenter": _datacenter,
    "country": _country,
    "cpu_ram_gb": _scaled("cpu_ram", 1000.0),
    "duration_days": _scaled("duration", 86400.0),
    "end_at": _time("end_date"),
    "start_at": _time("start_date"),
}
_RAW = frozenset(name for name, column in COLUMNS.items() if column.derived is None)


def _read(columns: Literal["default", "all"]) -> list[str]:
    """Return the raw columns that are shown, or that a shown one is worked out from."""
    wanted = {name for c in shown(columns) for name in (c.derived or c.name).split(", ")}
    return [name for name in COLUMNS if name in wanted & _RAW]


_READ = {"default": _read("default"), "all": _read("all")}
