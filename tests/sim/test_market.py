"""The drawn market: believable, and the same whenever it is drawn again."""

from __future__ import annotations

import itertools
import json
import statistics
from collections import Counter, defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.clock import ManualClock
from vastnb.sim import World
from vastnb.sim.market.columns import TYPES, priced, reprice
from vastnb.sim.market.drawn import DrawnMarket
from vastnb.sim.market.drift import quote, tenancies
from vastnb.sim.market.machines import profile
from vastnb.sim.noise import bell, quantile, uniform, wander

from .conftest import SMALL

Rows = list[dict[str, Any]]


def world(seed: int = 3, **options: Any) -> World:
    return World(seed, 1.0, clock=ManualClock(), cap=None, machines=SMALL, **options)


def snapshot(of: World) -> bytes:
    return of.search({"order": [["id", "asc"]]}).to_json()


def test_the_same_seed_and_the_same_moment_give_the_same_market() -> None:
    assert snapshot(world()) == snapshot(world())
    assert snapshot(world(3)) != snapshot(world(4))


@pytest.mark.slow
def test_a_moment_is_the_same_however_the_clock_came_to_it() -> None:
    at_a_stroke, in_steps = world(), world()
    at_a_stroke.advance(hours=30)
    for _ in range(60):
        in_steps.advance(minutes=30)
        in_steps.search({"limit": 1})
    assert snapshot(at_a_stroke) == snapshot(in_steps)


def test_advancing_and_a_sped_up_clock_are_one() -> None:
    advanced = world()
    advanced.advance(minutes=60)
    clock = ManualClock()
    sped_up = World(3, 60.0, clock=clock, cap=None, machines=SMALL)
    clock.advance(60)
    assert sped_up.now() == advanced.now()

    def without_dates(of: World) -> Rows:
        dates = {"start_date", "duration"}  # they keep to the clients' calendar
        rows = of.search({"rentable": {"eq": "any"}, "order": [["id", "asc"]]}).to_rows()
        return [{name: row[name] for name in row.keys() - dates} for row in rows]

    assert without_dates(advanced) == without_dates(sped_up)


def test_the_same_seed_and_the_same_calls_give_the_same_samples() -> None:
    def calls() -> list[bytes]:
        one = World(5, 1.0, clock=ManualClock(), cap=20, machines=SMALL)
        return [one.search({}).to_json() for _ in range(3)]

    first, second = calls(), calls()
    assert first == second
    assert len(set(first)) == 3


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        world().advance(-1)


def test_about_two_thousand_offers_can_be_rented(rows: Rows) -> None:
    free = [row for row in rows if row["rentable"]]
    assert 1700 <= len(free) <= 2300
    assert len(rows) > 1.5 * len(free)
    assert not any(row["rented"] for row in rows), "rented by you: others rent these"


def test_every_row_has_the_hundred_columns_with_their_types(rows: Rows) -> None:
    assert len(TYPES) == 100
    for row in rows:
        assert set(row) == set(TYPES)
        for name, value in row.items():
            if value is None or (name == "discounted_hourly" and value == 0):
                continue
            assert type(value) is TYPES[name], (name, value)


def test_nulls_are_as_frequent_as_recorded(rows: Rows) -> None:
    for name, rate in profile()["null_rate"].items():
        measured = sum(row[name] is None for row in rows) / len(rows)
        assert abs(measured - rate) < 0.03 + 0.15 * rate, name
    for name in ("external", "hostname", "webpage", "cluster_id", "sla_sigma_x"):
        assert all(row[name] is None for row in rows)


def test_the_oddities_of_the_real_market_are_there(rows: Rows) -> None:
    places = {row["geolocation"] for row in rows}
    assert any(row["inet_up"] < -1e12 for row in rows)
    assert any(row["cpu_ghz"] == 25.5 for row in rows)
    assert any(row["gpu_max_temp"] == -5 for row in rows)
    assert any(row["gpu_mem_bw"] == 0 for row in rows)
    assert any(row["end_date"] > 4e9 for row in rows)
    assert None in places and ", US" in places
    assert any(row["cpu_name"] and row["cpu_name"].endswith(" ") for row in rows)
    assert any(row["cpu_name"] and "®" in row["cpu_name"] for row in rows)
    dear_bids = sum(row["min_bid"] > row["dph_base"] for row in rows) / len(rows)
    assert 0.05 < dear_bids < 0.2


def test_what_the_service_repeats_is_equal(rows: Rows) -> None:
    for row in rows:
        assert row["id"] == row["ask_contract_id"]
        assert row["reliability"] == row["reliability2"]
        assert row["dph_total"] == row["discounted_dph_total"]
        assert row["gpu_total_ram"] == row["gpu_ram"] * row["num_gpus"]
        assert row["cpu_cores_effective"] == row["cpu_cores"] * row["gpu_frac"]
        assert len(row["gpu_ids"]) == row["num_gpus"]


def test_ids_are_unique(rows: Rows) -> None:
    assert len({row["id"] for row in rows}) == len(rows)


def test_slices_of_a_machine_share_its_gpus_and_its_price(rows: Rows) -> None:
    machines = defaultdict(list)
    for row in rows:
        machines[row["machine_id"]].append(row)
    several = [slices for slices in machines.values() if len(slices) > 1]
    assert len(several) > 100
    for slices in several:
        whole = max(slices, key=lambda row: row["num_gpus"])
        for row in slices:
            assert set(row["gpu_ids"]) <= set(whole["gpu_ids"])
            per_gpu = row["dph_base"] / row["num_gpus"]
            assert per_gpu == pytest.approx(whole["dph_base"] / whole["num_gpus"])
            assert row["storage_cost"] == whole["storage_cost"]


def test_prices_follow_the_recorded_quantiles(rows: Rows) -> None:
    prices = defaultdict(list)
    for row in rows:
        prices[row["gpu_name"]].append(row["dph_base"] / row["num_gpus"])
    compared = 0
    for name, gpu in profile()["gpus"].items():
        if len(prices[name]) < 60:
            continue
        compared += 1
        low, middle, high = gpu["price"]
        deciles = statistics.quantiles(prices[name], n=10)
        assert deciles[4] == pytest.approx(middle, rel=0.25), name
        assert deciles[0] == pytest.approx(low, rel=0.4), name
        assert deciles[8] == pytest.approx(high, rel=0.4), name
    assert compared >= 5


def test_vram_has_only_recorded_sizes(rows: Rows) -> None:
    for row in rows:
        sizes = {size for size, _ in profile()["gpus"][row["gpu_name"]]["gpu_ram"]}
        assert row["gpu_ram"] in sizes
    assert {row["gpu_ram"] for row in rows if row["gpu_name"] == "RTX 4090"} == {23028, 24564}


def test_prices_move_a_little_every_day_and_come_back() -> None:
    drawn = DrawnMarket(1, 1.79e9, machines=60)
    day = 86_400.0
    moves, long_run = [], []
    for machine in drawn.machines:
        if machine.host_price < 0.1:
            continue
        daily = [quote(1, machine, day * n).on_demand for n in range(60)]
        moves += [abs(b / a - 1) for a, b in itertools.pairwise(daily)]
        long_run.append(statistics.mean(daily) / (machine.host_price * 4 / 3))
    assert 0.005 < statistics.mean(moves) < 0.12
    assert max(moves) < 0.6
    assert statistics.mean(long_run) == pytest.approx(1.0, abs=0.03)


def test_other_renters_come_and_go_and_offers_vanish() -> None:
    one = world()

    def free() -> set[int]:
        return {row["id"] for row in one.search({"rentable": {"eq": True}}).to_rows()}

    before = free()
    one.advance(minutes=10)
    soon = free()
    one.advance(hours=24)
    later = free()
    one.advance(days=60)
    much_later = free()
    assert len(before & soon) > 0.9 * len(before)
    assert 0.2 * len(before) < len(before & later) < 0.9 * len(before)
    assert not before & much_later
    assert len(much_later) == pytest.approx(len(before), rel=0.3)


def test_an_id_that_is_gone_finds_nothing() -> None:
    one = world()
    old = one.search({"rentable": {"eq": True}}).to_rows()[0]["id"]
    one.advance(days=60)
    assert one.market.find(old) is None
    for nonsense in (0, -5, 1, 2**40):
        assert one.market.find(nonsense) is None


def test_tenants_only_take_gpus_that_exist() -> None:
    drawn = DrawnMarket(2, 1.79e9, machines=40)
    for machine in drawn.machines:
        for hour in range(0, 500, 7):
            for tenant in tenancies(2, machine, hour * 3600.0)[0]:
                assert 0 < tenant.mask <= machine.full_mask
                assert tenant.start < tenant.end


def test_the_profile_is_statistics_and_small() -> None:
    assert len(json.dumps(profile())) < 60_000
    assert not any("machine_id" in str(key) for key in profile())


@given(st.integers(), st.integers())
def test_a_hash_is_a_number_from_0_to_1(a: int, b: int) -> None:
    assert 0 <= uniform(a, b) < 1
    assert uniform(a, b) == uniform(a, b)


def test_noise_is_centred_and_smooth() -> None:
    draws = [bell(n) for n in range(4000)]
    assert abs(statistics.mean(draws)) < 0.06
    assert 0.9 < statistics.stdev(draws) < 1.1
    assert all(abs(wander(x / 100, 5) - wander((x + 1) / 100, 5)) < 0.12 for x in range(2000))


def test_a_quantile_is_read_between_its_points() -> None:
    assert quantile((0.1, 0.5, 0.9), (1, 2, 6), 0.5) == 2
    assert quantile((0.1, 0.5, 0.9), (1, 2, 6), 0.7) == pytest.approx(4)
    assert quantile((0.1, 0.5, 0.9), (1, 2, 6), 0.01) == 1
    assert quantile((0.1, 0.5, 0.9), (1, 2, 6), 0.99) == 6


# -- the cost formula


def test_prices_at_another_disk_size_follow_the_formula(market: World) -> None:
    small = market.search({"allocated_storage": 8}).to_rows()
    large = market.search({"allocated_storage": 500}).to_rows()
    default = market.search({}).to_rows()
    for a, b, c in zip(small, large, default, strict=True):
        assert a == c
        assert a["dph_base"] == b["dph_base"]
        for row, gb in ((a, 8.0), (b, 500.0)):
            assert row["storage_total_cost"] == row["storage_cost"] / 720 * gb
            assert row["dph_total"] == row["dph_base"] + row["storage_total_cost"]
            assert row["search"]["totalHour"] == row["dph_total"]
            assert row["dlperf_per_dphtotal"] == row["dlperf"] / row["dph_total"]


def test_a_bid_search_prices_at_the_lowest_bid(market: World) -> None:
    rows = market.search({"type": "bid"}).to_rows()
    assert all(row["dph_base"] == row["min_bid"] and row["is_bid"] is False for row in rows)
    kinds = Counter(row["dph_base"] == row["min_bid"] for row in market.search({}).to_rows())
    assert kinds[False] > kinds[True]


@pytest.mark.parametrize("fixture", ["offers_2024", "offers_2026"])
def test_the_formula_gives_recorded_rows_to_the_last_bit(
    fixture: str, request: pytest.FixtureRequest
) -> None:
    recorded: Rows = request.getfixturevalue(fixture)
    for row in recorded:
        gb = 5.0 if fixture == "offers_2024" else 8.0
        worked_out = priced(
            dph_base=row["dph_base"],
            min_bid=row["min_bid"],
            storage_cost=row["storage_cost"],
            storage_gb=gb,
            inet_down_cost=row["inet_down_cost"],
            gpu_total_ram=row["gpu_total_ram"],
            dlperf=row["dlperf"],
            total_flops=row["total_flops"],
            sla="slaPremiumPerHour" in row["search"],
        )
        for name in ("dph_total", "discounted_dph_total", "dph_total_adj", "storage_total_cost"):
            assert worked_out[name] == row[name]
        for name in ("search", "instance"):
            assert worked_out[name] == row[name]
        assert worked_out["flops_per_dphtotal"] == row["flops_per_dphtotal"]
        assert reprice(row, gb, "on-demand") == {}


def test_a_search_that_does_not_speak_of_rentable_means_true_and_rented_filters_nothing() -> None:
    market = world(4)

    def ids(query: dict[str, Any]) -> set[int]:
        return {row["id"] for row in market.search(query).to_rows(["id"])}

    free, every = ids({"rentable": {"eq": True}}), ids({"rentable": {"eq": "any"}})
    assert ids({}) == free < every
    assert ids({"rentable": {"eq": False}}) == every - free
    for value in (True, False):
        assert ids({"rented": {"eq": value}}) == free
