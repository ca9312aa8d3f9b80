"""A built frame, kept beside its answer: the same frame in every kernel, or the answer itself."""

from __future__ import annotations

import os
import pickle
import sqlite3

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vastnb.market.search
from tests.market.test_offers import usual, weird, wild_rows
from vastnb import Client
from vastnb.api.cache import FORMAT, Entry, _response
from vastnb.market.frames.arrays import STRING, _one_by_one, array_of, json_text
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.frames.packed import name_of, pack, unpack
from vastnb.sim import Server

QUERY = "num_gpus>=1"
both = pytest.mark.parametrize("columns", ["default", "all"])


def same(one, other):
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    assert one.attrs["vastnb"]["unfit"] == other.attrs["vastnb"]["unfit"]


# -- columns --------------------------------------------------------------------------------------


def plainly(values, dtype):
    """Build a column value by value."""
    if dtype != "string":
        return _one_by_one(values, dtype)
    cells, unfit = [], []
    for row, value in enumerate(values):
        if value is None or value != value:
            cells.append(None)
        else:
            cells.append(json_text(value))
            if not isinstance(value, str):
                unfit.append((row, value))
    return pd.array(cells, dtype=STRING), unfit


edges = st.sampled_from(
    [None, 2**53, 2**53 + 1, -(2**53) - 1, 2**63, -(2**63), 10**400, float("inf"), float("nan"),
     -0.0, "1", "nan", True, [float("nan")], {"b": None, "a": "null"}, ["\ud800"], ["\n"]]
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.data(), st.sampled_from(sorted(usual)))
def test_a_column_is_the_same_however_it_was_built(data, dtype):
    fits = usual[dtype]
    few = st.sampled_from([fits, fits | st.none(), fits | edges, st.none(), edges | weird,
                           st.lists(st.integers() | edges, max_size=2) | st.none(),
                           st.integers() | st.floats()])  # fmt: skip
    values = data.draw(st.lists(data.draw(few), max_size=6))
    array, unfit = array_of(values, dtype)
    wanted, odd = plainly(values, dtype)
    pd.testing.assert_extension_array_equal(array, wanted, check_exact=True)
    assert repr(unfit) == repr(odd)
    if dtype == "Float64":
        held = ~np.asarray(array.isna())
        assert (np.signbit(array._data[held]) == np.signbit(wanted._data[held])).all()


# -- bytes ----------------------------------------------------------------------------------------


@both
def test_a_kept_frame_is_the_frame(columns, offers_2024, offers_2026):
    for rows in (
        offers_2024,
        offers_2026,
        [],
        [{}],
        [{"id": 1, "new": "x"}, {"cpu_name": "\ud800"}],
    ):
        frame = frame_of_offers(rows, columns=columns)
        again = unpack(pack(frame), columns)
        same(again, frame)
        again["dph_total"] = 1.0
        again.loc[:, "gpu_name"] = "changed"


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(wild_rows())
def test_whatever_a_frame_holds_is_kept(rows):
    for columns in ("default", "all"):
        frame = frame_of_offers(rows, columns=columns)
        same(unpack(pack(frame), columns), frame)


FRAME = frame_of_offers([{"id": 1, "gpu_name": "A10", "end_date": 5e9}, {"id": None}])
PACKED = pack(FRAME)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(PACKED) - 1), st.integers(0, 255), st.sampled_from(["cut", "set", "add"]))
def test_a_damaged_one_is_no_frame_or_a_whole_one(place, value, how):
    data = {
        "cut": PACKED[:place],
        "set": PACKED[:place] + bytes([value]) + PACKED[place + 1 :],
        "add": PACKED + bytes([value]),
    }[how]
    frame = unpack(data, "default")
    if frame is not None:
        assert how == "set"
        assert list(frame.dtypes.items()) == list(FRAME.dtypes.items())
        frame.to_string()


class Planted:
    def __reduce__(self):
        return os.abort, ()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00" * 40, pickle.dumps(Planted()), b"\x02\x00\x00\x00[]", b"\x02\x00\x00\x00{}",
     PACKED.replace(b'"rows":2', b'"rows":-1'), PACKED.replace(b'"rows":2', b'"rows":9'),
     PACKED.replace(b'"A10"', b"[[1]]"), PACKED.replace(b'"machine_id"', b'"machine_ie"')],
)  # fmt: skip
def test_what_a_stranger_wrote_is_no_frame(data):
    assert data != PACKED
    assert unpack(data, "default") is None


def test_a_frame_of_other_columns_is_not_taken_for_one():
    everything = pack(frame_of_offers([{"id": 1}], columns="all"))
    assert unpack(everything, "default") is None
    assert unpack(PACKED, "all") is None
    assert name_of("default") != name_of("all")


# -- kernels --------------------------------------------------------------------------------------


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """Return a maker of clients that share a cache, as kernels do, and the frames they built."""
    monkeypatch.setenv("VASTNB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path))
    built = []
    real = frame_of_offers
    monkeypatch.setattr(
        vastnb.market.search, "frame_of_offers", lambda *a, **k: built.append(1) or real(*a, **k)
    )
    clients = []
    with Server(seed=3, limits=None) as server:

        def make():
            clients.append(Client(server.api_key, base_url=server.url, cache=tmp_path / "c.sqlite"))
            return clients[-1]

        yield make, built, server
        for client in clients:
            client.close()


def rows_in(path):
    with sqlite3.connect(path) as db:
        return dict(db.execute("SELECT key, value FROM answers"))


def change(path, key, value):
    with sqlite3.connect(path) as db:
        db.execute("UPDATE answers SET value=? WHERE key=?", (value, key))
    db.close()


@pytest.mark.slow
@both
def test_another_kernel_does_not_build_what_one_has_built(kernels, columns):
    make, built, server = kernels
    one = make().search_offers(QUERY, columns=columns)
    assert not one.vast.provenance["from_cache"]
    other = make().search_offers(QUERY, columns=columns)
    assert len(built) == 1 and server.calls("search_offers") == 1
    same(other, one)
    assert other.vast.provenance == {**one.vast.provenance, "from_cache": True}


@pytest.mark.slow
def test_a_kept_frame_that_is_damaged_costs_nothing_but_time(kernels, tmp_path):
    make, built, server = kernels
    one = make().search_offers(QUERY)
    path = tmp_path / "c.sqlite"
    (key,) = [key for key in rows_in(path) if name_of("default") in key]
    for number, damaged in enumerate((b"", b"\x01\x00", pickle.dumps(Planted())), start=2):
        created = FORMAT.loads(rows_in(path)[key]).created_at.timestamp()
        change(path, key, FORMAT.dumps(_response(Entry(damaged, {}, created))))
        same(make().search_offers(QUERY), one)
        assert len(built) == number and server.calls("search_offers") == 1
        # It has been mended.
        same(make().search_offers(QUERY), one)
        assert len(built) == number
    change(path, key, pickle.dumps(Planted()))
    same(make().search_offers(QUERY), one)
    assert server.calls("search_offers") == 1


@pytest.mark.slow
def test_the_frame_of_an_earlier_answer_is_not_shown(kernels, tmp_path):
    make, built, server = kernels
    make().search_offers(QUERY)
    path = tmp_path / "c.sqlite"
    before = rows_in(path)
    (key,) = [key for key in before if name_of("default") in key]
    newer = make().search_offers(QUERY, refresh=True)
    change(path, key, before[key])  # as if the newer frame could not be kept
    built.clear()
    found = make().search_offers(QUERY)
    assert built == [1] and server.calls("search_offers") == 2
    assert found.vast.provenance["fetched_at"] == newer.vast.provenance["fetched_at"]
    same(found, newer)


@pytest.mark.slow
def test_a_frame_whose_answer_is_gone_is_not_shown(kernels, tmp_path):
    make, _, server = kernels
    make().search_offers(QUERY)
    with sqlite3.connect(tmp_path / "c.sqlite") as db:
        db.execute("DELETE FROM answers WHERE key NOT LIKE '%frame%'")
    db.close()
    assert not make().search_offers(QUERY).vast.provenance["from_cache"]
    assert server.calls("search_offers") == 2
