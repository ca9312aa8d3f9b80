"""The panel, a query and a line of code are one thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.errors import QueryError
from vastnb.market.query.query import parse_query
from vastnb.widgets.explorer.filters import FilterState

states = st.builds(
    FilterState,
    gpu_name=st.lists(
        st.sampled_from(["RTX 4090", "H100 SXM", "A100 SXM4"]), unique=True, max_size=3
    ).map(tuple),
    num_gpus=st.sampled_from([None, 1, 2, 8]),
    min_vram=st.sampled_from([None, 8.0, 24.0, 48.0, 80.0]),
    max_price=st.sampled_from([None, 0.5, 1.25]),
    min_reliability=st.sampled_from([None, 0.95, 0.999]),
    country=st.lists(st.sampled_from(["US", "NO", "KR"]), unique=True, max_size=2).map(tuple),
    datacenter=st.booleans(),
    verified=st.booleans(),
    text=st.sampled_from(["", "inet_down>500", "cuda_max_good>=12.4 static_ip=true"]),
)


@pytest.mark.slow
@given(states)
def test_a_panel_becomes_a_query_and_the_query_the_same_panel(state: FilterState) -> None:
    query = state.query()
    again = FilterState.from_query(parse_query(query.text))
    assert again.query().body() == query.body()
    assert again == state


@given(states)
def test_a_panel_survives_the_trip_to_the_page(state: FilterState) -> None:
    assert FilterState().changed(state.page()) == state


def test_what_the_panel_cannot_show_stays_in_the_text() -> None:
    query = parse_query("num_gpus>=2 gpu_name=RTX_4090 inet_down>100")
    state = FilterState.from_query(query)
    assert state.gpu_name == ("RTX 4090",)
    assert state.num_gpus is None
    assert state.text == "num_gpus>=2 inet_down>100"
    assert state.query().filters.keys() == query.filters.keys()


def test_a_query_for_half_a_gpu_is_refused() -> None:
    with pytest.raises(QueryError, match="whole number from 1"):
        FilterState.from_query(parse_query("num_gpus=2.5"))


def test_two_bounds_on_one_field_stay_together_in_the_text() -> None:
    state = FilterState.from_query(parse_query("dph>=0.2 dph<=0.8"))
    assert state.max_price is None
    assert state.query().filters == {"dph_total": {"gte": 0.2, "lte": 0.8}}


def test_24_gb_finds_cards_that_report_23028_mb() -> None:
    ops = FilterState(min_vram=24).query().filters["gpu_ram"]
    assert ops["gte"] <= 23_028


def test_a_contradiction_between_text_and_panel_is_said() -> None:
    with pytest.raises(QueryError):
        FilterState(max_price=1.0, text="dph>2").query()


@pytest.mark.parametrize(
    "changes",
    [
        {"max_price": "cheap"},
        {"max_price": -1},
        {"max_price": float("nan")},
        {"num_gpus": 1.5},
        {"num_gpus": 0},
        {"min_reliability": 99},
        {"gpu_name": [1]},
        {"verified": "yes"},
        {"disk": None},
        {"type": "gift"},
        {"colour": "red"},
    ],
)
def test_a_page_that_sends_nonsense_gets_a_typed_error(changes: dict) -> None:
    with pytest.raises(QueryError):
        FilterState().changed(changes)


def test_a_fresh_panel_limits_nothing() -> None:
    assert FilterState().query().text == ""
