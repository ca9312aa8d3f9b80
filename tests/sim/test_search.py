"""Search as the service reads it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vastnb.sim import World
from vastnb.sim.market.columns import TYPES
from vastnb.sim.market.search import BadQuery, parse
from vastnb.sim.operators import OPERATORS

from .conftest import Api, MakeApi

Rows = list[dict[str, Any]]

EVERY = {"rentable": {"eq": "any"}}


@pytest.mark.slow
def test_a_condition_keeps_exactly_the_rows_that_meet_it(market: World, rows: Rows) -> None:
    def found(**query: Any) -> set[int]:
        return {row["id"] for row in market.search({**EVERY, **query}).to_rows()}

    def expected(test: Any) -> set[int]:
        return {row["id"] for row in rows if test(row)}

    assert found(gpu_name={"eq": "RTX 4090"}) == expected(lambda r: r["gpu_name"] == "RTX 4090")
    assert found(gpu_name={"eq": "RTX_4090"}) == set()
    assert found(gpu_name={"in": ["A40", "L4"]}) == expected(
        lambda r: r["gpu_name"] in ("A40", "L4")
    )
    assert found(num_gpus={"gte": 2, "lt": 5}) == expected(lambda r: 2 <= r["num_gpus"] < 5)
    assert found(num_gpus={"gte": "2"}) == expected(lambda r: r["num_gpus"] >= 2)
    assert found(dph_total={"lte": 0.5}) == expected(lambda r: r["dph_total"] <= 0.5)
    assert found(gpu_ram={"neq": 24564}) == expected(lambda r: r["gpu_ram"] != 24564)
    assert found(verified={"eq": True}) == expected(lambda r: r["verification"] == "verified")
    assert found(datacenter={"eq": True}) == expected(lambda r: r["hosting_type"] == 1)
    assert found(rentable={"eq": True}) == expected(lambda r: r["rentable"])
    assert found(rented={"eq": True}) == expected(lambda r: True)  # by you: filters nothing
    assert found(external={"eq": False}) == {row["id"] for row in rows}
    assert found(static_ip={"eq": "true"}) == expected(lambda r: r["static_ip"])


def test_a_country_is_found_by_its_code_or_by_the_whole_place(market: World, rows: Rows) -> None:
    def found(condition: Any) -> set[int]:
        return {row["id"] for row in market.search({**EVERY, "geolocation": condition}).to_rows()}

    swedes = {row["id"] for row in rows if row["geolocation"] == "Sweden, SE"}
    assert swedes and found({"eq": "SE"}) == found({"in": ["SE"]}) == swedes
    assert found({"eq": "Sweden, SE"}) == swedes
    placed = {row["id"] for row in rows if row["geolocation"] is not None}
    assert found({"notin": ["SE"]}) == placed - swedes


def test_a_missing_value_is_neither_more_nor_less_nor_unequal(market: World, rows: Rows) -> None:
    known = {row["id"] for row in rows if row["cpu_ghz"] is not None}
    low = {row["id"] for row in market.search({**EVERY, "cpu_ghz": {"lt": 3}}).to_rows()}
    high = {row["id"] for row in market.search({**EVERY, "cpu_ghz": {"gte": 3}}).to_rows()}
    other = {row["id"] for row in market.search({**EVERY, "cpu_ghz": {"neq": 3}}).to_rows()}
    assert low | high == known and other <= known
    nulls = {row["id"] for row in market.search({**EVERY, "cpu_ghz": {"eq": None}}).to_rows()}
    assert nulls == {row["id"] for row in rows} - known


def test_a_driver_is_compared_as_text_or_as_a_packed_number(market: World) -> None:
    packed = market.search({**EVERY, "driver_version": {"gte": 550_000_000}}).to_rows()
    assert packed and all(row["driver_vers"] >= 550_000_000 for row in packed)
    text = market.search({**EVERY, "driver_version": {"eq": "535.183.01"}}).to_rows()
    assert text and all(row["driver_version"] == "535.183.01" for row in text)


def test_order_is_obeyed_and_missing_values_come_last(market: World) -> None:
    found = market.search(
        {**EVERY, "order": [["num_gpus", "desc"], ["dph_total", "asc"]]}
    ).to_rows()
    keys = [(-row["num_gpus"], row["dph_total"]) for row in found]
    assert keys == sorted(keys)
    speeds = [
        row["cpu_ghz"] for row in market.search({**EVERY, "order": [["cpu_ghz", "desc"]]}).to_rows()
    ]
    present = [speed for speed in speeds if speed is not None]
    assert speeds == present + [None] * (len(speeds) - len(present))
    assert present == sorted(present, reverse=True)


def test_a_limit_cuts_after_the_order(market: World, rows: Rows) -> None:
    found = market.search({**EVERY, "order": [["dph_total", "asc"]], "limit": 5}).to_rows()
    cheapest = sorted(row["dph_total"] for row in rows)[:5]
    assert [row["dph_total"] for row in found] == cheapest


@pytest.mark.slow
def test_identical_slices_are_bundled_unless_asked_otherwise(market: World, rows: Rows) -> None:
    sizes = [(row["machine_id"], row["num_gpus"]) for row in rows]
    assert len(set(sizes)) == len(sizes)
    every = market.search({**EVERY, "disable_bundling": True}).to_rows()
    assert len(every) > 1.5 * len(rows)
    assert {row["id"] for row in rows} <= {row["id"] for row in every}


def test_above_the_cap_the_answer_is_a_random_sample_in_order(make: MakeApi) -> None:
    api = make(cap=30, anonymous_cap=10)
    query = {"rentable": {"eq": True}, "order": [["dph_total", "asc"]]}
    answers = [api.search(**query) for _ in range(6)]
    assert all(len(rows) == 30 for rows in answers)
    for rows in answers:
        assert [r["dph_total"] for r in rows] == sorted(r["dph_total"] for r in rows)
    assert len({tuple(r["id"] for r in rows) for rows in answers}) > 1
    assert len({rows[0]["id"] for rows in answers}) > 1, "the cheapest may be missing"
    assert len(Api(api.server, None).search(**query)) == 10


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"gpu_name": "RTX 4090"}, "q.gpu_name: Input should be a valid dictionary"),
        ({"num_gpus": 2}, "q.num_gpus: Input should be a valid dictionary"),
        ({"limit": {"eq": 3}}, "limit: Input should be a valid integer"),
        ({"limit": "many"}, "limit: Input should be a valid integer"),
        ({"limit": 0}, "limit: Input should be greater"),
        ({"type": "cheap"}, "type: Input should be"),
        ({"order": "dph_total"}, "order: Input should be a valid list"),
        ({"order": [["no_such", "asc"]]}, "no_such is not a valid search key"),
        ({"allocated_storage": "a lot"}, "allocated_storage: Input should be a valid number"),
        ({"no_such": {"eq": 1}}, "no_such is not a valid search key"),
        ({"num_gpus": {"about": 1}}, "about is not a valid operator"),
        ({"num_gpus": {"in": 1}}, "Input should be a valid list"),
        ({"num_gpus": {"gt": "two"}}, "Input should be a valid number"),
        ({"num_gpus": {"gt": None}}, "should not be null"),
        ({"static_ip": {"eq": "perhaps"}}, "Input should be a valid boolean"),
        ([], "Invalid json body"),
        ("text", "Invalid json body"),
    ],
)
def test_a_wrong_query_is_a_400_that_says_what_is_wrong(api: Api, query: Any, said: str) -> None:
    with pytest.raises(BadQuery, match=said.replace(".", r"\.")):
        parse(query)
    answer = api("POST", "bundles/", query)
    assert answer.status_code == 400
    assert said in answer.json()["msg"]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
names = st.sampled_from([*TYPES, "verified", "datacenter", "order", "limit", "type", "nonsense"])
conditions = st.dictionaries(st.sampled_from(OPERATORS), anything, max_size=2) | anything


@given(st.dictionaries(names, conditions, max_size=4) | anything)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_asked_is_answered_or_refused(market: World, query: Any) -> None:
    with contextlib.suppress(BadQuery):
        found = market.search(query)
        assert 0 <= len(found.rows) <= found.matches


def test_several_scalars_are_all_named(api: Api) -> None:
    body = api("POST", "bundles/", {"gpu_name": "x", "num_gpus": 1}).json()
    assert body["error"] == "bad_request" and body["success"] is False
    assert body["msg"].startswith("q.gpu_name: ") and "; q.num_gpus: " in body["msg"]


def test_no_json_is_a_400(api: Api) -> None:
    answer = api.session.post(api.server.url + "/api/v0/bundles/", data=b"{", timeout=10)
    assert answer.status_code == 400 and answer.json()["msg"] == "Invalid json body (simulated)"


def test_the_three_forms_of_search_agree(api: Api) -> None:
    query = {"gpu_name": {"eq": "RTX 3090"}, "order": [["id", "asc"]], "limit": 20}
    posted = api.search(**query)
    got = api("GET", "bundles/", q=json.dumps(query)).json()["offers"]
    put = api("PUT", "search/asks/", {"select_cols": ["*"], "q": query}).json()["offers"]
    assert posted and posted == got == put
    some = api("PUT", "search/asks/", {"select_cols": ["id", "dph_total"], "q": query})
    assert some.json()["offers"] == [
        {"id": row["id"], "dph_total": row["dph_total"]} for row in posted
    ]


def test_gpu_types_name_every_gpu_of_the_market_once_per_vram(api: Api) -> None:
    types = api("GET", "gpu_types/").json()["gpu_types"]
    pairs = [(row["canonical_name"], row["gpu_ram_mb"]) for row in types]
    assert len(set(pairs)) == len(pairs)
    rows = api.world.search({}, keyed=True).to_rows()
    assert {(row["gpu_name"], row["gpu_ram"]) for row in rows} <= set(pairs)
    names = api("GET", "gpu_names/unique/").json()["gpu_names"]
    assert set(names) == {name for name, _ in pairs}


def test_metrics_count_the_market(api: Api) -> None:
    rows = api("GET", "metrics/gpu/current/", verified="all").json()["gpus"]
    whole = api.world.market.listings()
    assert sum(row["total"] for row in rows) == len(whole)
    assert sum(row["available"] for row in rows) == sum(x.available for x in whole)
    verified = api("GET", "metrics/gpu/current/").json()["gpus"]
    assert all(row["rented_unverified"] == row["avail_unverified"] == 0 for row in verified)
    assert api("GET", "metrics/gpu/current/", verified="maybe").status_code == 400


def test_metrics_history_ends_with_the_present(api: Api) -> None:
    gpus = api("GET", "metrics/gpu/history/", gpu_name="RTX_4090, RTX 3090", verified="all")
    history = gpus.json()["gpus"]
    assert set(history) == {"RTX 4090", "RTX 3090"}
    series = history["RTX 4090"]
    assert len(series["pricing"]["timestamps"]) == 21
    assert series["pricing"]["timestamps"][-1] == int(api.world.now())
    demand = series["supply_demand"]
    now = next(
        row
        for row in api("GET", "metrics/gpu/current/", verified="all").json()["gpus"]
        if row["gpu_name"] == "RTX 4090"
    )
    assert demand["rented_verified"][-1] == now["rented_verified"]
    assert demand["avail_unverified"][-1] == now["avail_unverified"]
    assert api("GET", "metrics/gpu/history/", start="9", end="1").status_code == 400
