"""Filters worked out here give the service's result, or are left to the service."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vastnb.market.accessor  # noqa: F401
from vastnb.errors import InvalidRequest
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.query.local import matches, narrowing, narrows
from vastnb.market.query.query import parse_query

ROWS = [
    {"id": 1, "gpu_name": "RTX 4090", "num_gpus": 1, "dph_total": 0.3, "gpu_ram": 24564,
     "verification": "verified", "geolocation": "Sweden, SE", "hosting_type": 1, "rented": False,
     "cpu_ghz": None, "has_avx": 1},
    {"id": 2, "gpu_name": "RTX 4090 laptop", "num_gpus": 2, "dph_total": 0.6, "gpu_ram": 23028,
     "verification": "unverified", "geolocation": ", US", "hosting_type": 0, "rented": False,
     "cpu_ghz": 3.5, "has_avx": 0},
    {"id": 2**53 + 1, "gpu_name": None, "num_gpus": None, "dph_total": None, "gpu_ram": None,
     "verification": None, "geolocation": None, "hosting_type": None, "rented": None,
     "cpu_ghz": 2.0, "has_avx": None},
]  # fmt: skip


def ids(query, rows=ROWS):
    frame = frame_of_offers(rows)
    return frame["id"][matches(parse_query(query).filters, frame)].tolist()


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", [1, 2, 2**53 + 1]),
        ("gpu_name=RTX_4090", [1]),
        ("gpu_name!=RTX_4090", [2]),
        ("gpu_name in [RTX_4090,RTX_3090]", [1]),
        ("gpu_name notin [RTX_3090]", [1, 2]),
        ("num_gpus>1", [2]),
        ("num_gpus>=1 num_gpus<2", [1]),
        ("num_gpus!=1", [2]),
        ("num_gpus in [1,2]", [1, 2]),
        ("num_gpus notin [1]", [2]),
        ("dph<=0.3", [1]),
        ("gpu_ram>=24", [1]),
        ("gpu_ram_gb=24", [1, 2]),
        ("verified=true", [1]),
        ("verified=false", [2]),
        ("verified!=true", [2]),
        ("verification in [verified,unverified]", [1, 2]),
        ("geolocation=US", [2]),
        ("geolocation in [SE,DE]", [1]),
        ("geolocation!=US", [1]),
        ("datacenter=true", [1]),
        ("datacenter=false", [2]),
        ("has_avx=true", [1]),
        ("cpu_ghz>2", [2]),
        (f"id={2**53}", []),
        (f"id={2**53 + 1}", [2**53 + 1]),
        (f"id>={2**53 + 1}", [2**53 + 1]),
    ],
)
def test_rows_fit_as_the_service_would_have_it(query, found):
    assert ids(query) == found


def test_a_query_knows_its_rows():
    frame = frame_of_offers(ROWS)
    assert parse_query("num_gpus=2").matches(frame).tolist() == [False, True, False]
    assert parse_query("num_gpus=2").matches(frame_of_offers([])).tolist() == []


def test_a_whole_body_may_be_given_if_it_can_be_worked_out():
    body = parse_query("external=any verified=any rentable=any num_gpus=1").body(
        order="dph_total", limit=5
    )
    frame = frame_of_offers([{**ROWS[0], "rentable": True}])
    assert matches(body, frame).tolist() == [True]


@pytest.mark.parametrize("query", ["external=false", "driver_version>=535.86.05", "cluster_id=None",
                                   "ubuntu_version>=22.04", "rented=true"])  # fmt: skip
def test_what_only_the_service_knows_is_not_guessed(query):
    with pytest.raises(InvalidRequest, match=r"Only Vast\.ai"):
        ids(query)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("gpu_name=RTX_4090 dph<1", [1]),
        ("dph_gpu<=0.3", [1, 2]),
        ("rental_type=interruptible", [1, 2, 2**53 + 1]),
        ("rental_type!=interruptible", []),
        ("storage_gb in [5,10] gpu_ram_gb=24", [1, 2]),
        ("mine=true", [2]),
        ("country=SE", [1]),
        ("verified=any", [1, 2, 2**53 + 1]),
    ],
)
def test_any_frame_can_be_filtered_in_the_query_language(query, found):
    frame = frame_of_offers(ROWS, provenance={"type": "bid", "storage_gb": 10})
    frame = frame.assign(mine=[False, True, False]).set_index(pd.Index([7, 7, 9]))
    kept = frame.vast.where(query)
    assert kept["id"].tolist() == found
    assert kept.index.tolist() == frame.index[frame["id"].isin(found)].tolist()
    assert kept.attrs == frame.attrs and list(kept) == list(frame)


def test_a_plain_frame_filters_like_a_typed_one():
    frame = frame_of_offers(ROWS)
    for query in ("num_gpus>=1", "dph<=0.3", "gpu_name!=RTX_4090", "verified=true", "num_gpus!=1"):
        typed, plain = frame.vast.where(query), frame.vast.plain().vast.where(query)
        assert typed["id"].tolist() == plain["id"].tolist(), query
    plain = frame.vast.plain()
    assert plain["dph_total"].dtype == "float64" and plain["id"].tolist()[2] == 2**53 + 1
    assert plain["end_at"].dtype == "datetime64[us]" and plain["gpu_ram"].isna().tolist()[2]
    assert not [d for d in plain.dtypes if isinstance(d, pd.api.extensions.ExtensionDtype)]


def test_what_cannot_be_compared_is_refused_with_the_column():
    frame = frame_of_offers(ROWS)
    for query in ("dph_gpu=cheap", "end_at>5", "country_name=SE"):
        with pytest.raises(InvalidRequest):
            frame.vast.where(query)


def test_a_machine_is_one_row_with_its_slices():
    slices = [{**ROWS[0], "id": n, "machine_id": 5, "num_gpus": gpus, "dph_total": 0.3 * gpus}
              for n, gpus in enumerate([4, 1, 2])]  # fmt: skip
    other = {**ROWS[1], "id": 9, "machine_id": 6, "dph_total": None}
    table = frame_of_offers([*slices, other]).vast.machines()
    assert list(table)[:5] == ["machine_id", "gpu_name", "offers", "slices", "gpus"]
    assert table["machine_id"].tolist() == [5, 6] and table["offers"].tolist() == [3, 1]
    assert table["slices"].tolist() == ["1, 2, 4", "2"] and table["gpus"].tolist() == [4, 2]
    empty = frame_of_offers([]).vast.machines()
    assert empty.dtypes.to_dict() == table.dtypes.to_dict()


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(InvalidRequest, match="mobo_name"):
        ids("mobo_name=X")


FIELDS = {
    "num_gpus": [1, 2, 3, 4, None],
    "dph_total": [0.1, 0.2, 0.5, 1.0, None],
    "gpu_ram": [8192, 23028, 24564, None],
    "gpu_name": ["RTX 4090", "RTX 3090", "H100 SXM", None],
    "geolocation": ["Sweden, SE", "Texas, US", ", US", "US", None],
    "verification": ["verified", "unverified", None],
    "hosting_type": [0, 1, None],
}
VALUES = {
    "num_gpus": ["1", "2", 2, 3.0, "4"],
    "dph_total": ["0.1", 0.2, "0.50", 1],
    "gpu_ram": [8192.0, 23000, "24564"],
    "gpu_name": ["RTX 4090", "RTX 3090", "H100 SXM"],
    "geolocation": ["SE", "US", "Texas, US"],
    "verified": [True, False],
    "verification": ["verified", "unverified"],
    "datacenter": [True, False],
}
NUMBERS = ("num_gpus", "dph_total", "gpu_ram")


@st.composite
def bodies(draw):
    body = {"type": "on-demand", "allocated_storage": 10, "order": [["score", "desc"]]}
    for field in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=3)):
        value = st.sampled_from(VALUES[field])
        ops = {}
        names = ["eq", "neq", "in", "notin"] + (
            ["gt", "gte", "lt", "lte"] if field in NUMBERS else []
        )
        for op in draw(st.lists(st.sampled_from(names), unique=True, min_size=1, max_size=3)):
            ops[op] = draw(st.lists(value, min_size=1, max_size=3)) if "in" in op else draw(value)
        body[field] = ops
    return body


def wider(draw, body):
    """A body that is likely to hold the other: some filters left out or loosened."""
    out = dict(body)
    for field in VALUES:
        if field in out and draw(st.integers(0, 2)) == 0:
            del out[field]
    for field in NUMBERS:
        if field in out and draw(st.booleans()):
            out[field] = {
                draw(st.sampled_from(["gte", "lte", "neq"])): draw(st.sampled_from(VALUES[field]))
            }
    return out


@st.composite
def pairs(draw):
    new = draw(bodies())
    return (wider(draw, new) if draw(st.booleans()) else draw(bodies())), new


rows = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(values) for name, values in FIELDS.items()}),
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(pairs(), rows)
def test_a_search_that_narrows_holds_no_row_that_the_wider_one_lacks(pair, offers):
    old, new = pair
    frame = frame_of_offers(offers)
    in_old, in_new = matches(old, frame), matches(new, frame)
    rest = narrowing(old, new)
    assert narrows(old, new) == (rest is not None)
    if rest is not None:
        assert not (in_new & ~in_old).any()
        # ... and what remains, applied to the wider answer, gives exactly the narrower one.
        assert np.array_equal(in_old & matches(rest, frame), in_new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", "num_gpus>=2"),
        ("num_gpus>=2", "num_gpus>=2 dph<1"),
        ("num_gpus>=2", "num_gpus>=4"),
        ("num_gpus>=2", "num_gpus>2"),
        ("num_gpus>=2", "num_gpus=4"),
        ("num_gpus>=2", "num_gpus in [2,4]"),
        ("num_gpus!=3", "num_gpus>3"),
        ("dph<1", "dph<=0.5"),
        ("dph<1.0", "dph<1"),
        ("gpu_name in [RTX_4090,RTX_3090]", "gpu_name=RTX_4090"),
        ("gpu_name=H100", "gpu_name=H100_SXM"),
        ("gpu_ram_gb>=24", "gpu_ram_gb>=48"),
        ("geolocation in [US,SE]", "geolocation=SE"),
        ("verified=any", "verified=true"),
        ("verified=any", ""),
        ("rentable=any", ""),
        ("rentable=any", "rentable=true num_gpus=2"),
        ("rented=true", "rented=false"),
        ("driver_version>=535.86.05", "driver_version>=535.86.05 num_gpus=2"),
        ("num_gpus=2", "num_gpus=2"),
    ],
)
def test_what_plainly_narrows_is_worked_out_here(old, new):
    assert narrows(parse_query(old).body(), parse_query(new).body())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("num_gpus>=2", ""),
        ("num_gpus>2", "num_gpus>=2"),
        ("dph<1", "dph<2"),
        ("gpu_name=RTX_4090", "gpu_name=RTX_3090"),
        ("geolocation!=US", "geolocation=SE"),
        ("", "verified=any"),
        ("", "driver_version>=535.86.05"),
        ("driver_version>=535.86.05", "driver_version>=550.86.05"),
        ("", "rentable=any"),
        ("rentable=true", "rentable=any"),
        ("", "num_gpus!=3"),
        ("", "gpu_name notin [RTX_4090]"),
        ("external=any", ""),
    ],
)
def test_what_may_widen_goes_to_the_service(old, new):
    assert not narrows(parse_query(old).body(), parse_query(new).body())


def test_another_type_disk_or_smaller_limit_goes_to_the_service():
    query = parse_query("num_gpus=1")
    for change in ({"type": "bid"}, {"storage": 20}, {"limit": 5}):
        assert not narrows(query.body(), query.body(**change))
    assert narrows(query.body(), query.body(order="dph_total"))
    assert narrows(query.body(limit=5), query.body(limit=5))
    assert narrows(query.body(limit=5), query.body())


def test_a_filter_whose_column_is_not_at_hand_goes_to_the_service():
    old, new = parse_query("").body(), parse_query("mobo_name=X").body()
    assert narrowing(old, new) == {"mobo_name": {"eq": "X"}}
    assert narrowing(old, new, frame_of_offers([]).columns) is None
