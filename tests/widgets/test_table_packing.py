"""Rows on their way to the page: nothing altered beyond what the table can show, and small."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.widgets.table.packing import pack, pack_rows

ARRAYS = {"u1": "<u1", "u2": "<u2", "u4": "<u4", "f8": "<f8"}


def unpack(header: list[dict], buffer: bytes, count: int) -> dict[str, list]:
    """Read the buffer as the page does."""
    found = {}
    for entry in header:
        codes = np.frombuffer(buffer, ARRAYS[entry["dtype"]], count, entry["offset"])
        if entry["dtype"] == "f8":
            values = [None if np.isnan(v) else float(v) for v in codes]
        elif entry["kind"] == "text":
            values = [None if c == 0 else entry["values"][c - 1] for c in codes]
        elif entry["kind"] == "flag":
            values = [None if c == 0 else bool(c - 1) for c in codes]
        else:
            values = [
                None if c == 0 else (entry["base"] + (int(c) - 1)) / entry["scale"] for c in codes
            ]
        found[entry["name"]] = values
    return found


def back(series: pd.Series, decimals: int = 4) -> list:
    header, buffer = pack(series.to_frame("it"), ["it"], {"it": decimals})
    return unpack(header, buffer, len(series))["it"]


@given(st.lists(st.one_of(st.none(), st.integers(-(2**53), 2**53))))
def test_every_whole_number_arrives(values: list) -> None:
    assert back(pd.Series(values, dtype="Int64")) == values


@given(st.lists(st.one_of(st.none(), st.floats(allow_infinity=False, allow_nan=False))))
def test_every_float_arrives_to_the_decimals_that_are_shown(values: list) -> None:
    got = back(pd.Series(values, dtype="Float64"), 4)
    for value, arrived in zip(values, got, strict=True):
        if value is None:
            assert arrived is None
        else:
            assert arrived is not None
            assert abs(arrived - value) <= 0.5001e-4 + abs(value) * 1e-12


@given(st.lists(st.one_of(st.none(), st.text())))
@settings(max_examples=50)
def test_every_text_arrives(values: list) -> None:
    assert back(pd.Series(values, dtype="string")) == values


@pytest.mark.slow
@given(st.lists(st.one_of(st.none(), st.booleans())))
def test_flags_and_their_absence_arrive(values: list) -> None:
    assert back(pd.Series(values, dtype="boolean")) == values


def test_nonsense_from_hosts_is_missing_or_exact_but_never_a_crash() -> None:
    series = pd.Series([np.inf, -np.inf, np.nan, -1.8e12, 4e-7, 1e308])
    assert back(series)[:3] == [None, None, None]
    assert back(series)[3:] == [-1.8e12, 4e-7, 1e308]


def test_columns_begin_where_typed_arrays_may_begin() -> None:
    frame = pd.DataFrame({"a": [True, False, True], "b": [1, 70_000, 3], "c": [0.1, 0.2, 0.3]})
    header, buffer = pack(frame, ["a", "b", "c"])
    assert all(entry["offset"] % 8 == 0 for entry in header)
    assert len(buffer) % 8 == 0


def test_an_empty_frame_is_packed() -> None:
    frame = pd.DataFrame({"a": pd.Series([], dtype="Float64"), "b": pd.Series([], dtype="string")})
    header, buffer = pack(frame, ["a", "b"])
    assert len(header) == 2 and buffer == b""


def test_row_numbers_are_four_bytes_each() -> None:
    assert len(pack_rows(np.arange(1000))) == 4000


def test_five_thousand_offers_of_25_columns_stay_below_half_a_megabyte(client) -> None:
    frame = client.search_offers("verified=any")
    frame = pd.concat([frame] * (5000 // len(frame) + 1)).head(5000)
    columns = list(frame.columns)[:25]
    header, buffer = pack(frame, columns)
    assert len(buffer) + len(repr(header)) <= 500_000
