"""What machines have cost: estimated from looks, and compared with the bill."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.client import Client
from vastnb.clock import ManualClock
from vastnb.fleet.ledger import DAY, Ledger, rates_of, traffic_of
from vastnb.sim import Server

from .machines import rent, stop

NOON = 1_790_000_000.0 - 1_790_000_000.0 % DAY + DAY / 2
RUNS = {"dph_base": 0.9, "storage_total_cost": 0.1, "instance": {"gpuCostPerHour": 0.9}}
STOPPED = {**RUNS, "instance": {"gpuCostPerHour": 0, "diskHour": 0.1}}


def test_what_was_watched_from_the_start_is_counted_at_the_price_of_each_stretch() -> None:
    ledger = Ledger()
    ledger.see(1, {**STOPPED, "start_date": NOON}, "starting", NOON)
    ledger.see(1, RUNS, "running", NOON + 1800)  # half an hour of loading: the disk only
    ledger.see(1, STOPPED, "stopped", NOON + 5400)  # an hour of running
    ledger.see(1, STOPPED, "stopped", NOON + 9000)
    spent = ledger.spent(1)
    assert spent is not None and spent.how == ""
    assert math.isclose(spent.usd, 0.05 + 1.0 + 0.1)
    assert math.isclose(ledger.today(NOON + 9000), spent.usd)


def test_the_time_before_the_first_look_is_an_estimate_and_says_which() -> None:
    ledger = Ledger()
    ledger.see(1, {**RUNS, "start_date": NOON - 3600}, "running", NOON)
    ledger.see(2, {**STOPPED, "start_date": NOON - 3600}, "stopped", NOON)
    ledger.see(3, {**RUNS, "start_date": None}, "running", NOON)
    runs, stands, unknown = (ledger.spent(one) for one in (1, 2, 3))
    assert runs and stands and unknown
    assert math.isclose(runs.usd, 1.0) and "since it was created" in runs.how
    assert math.isclose(stands.usd, 0.1) and "only its disk" in stands.how
    assert unknown.usd == 0
    assert ledger.spent(4) is None


def test_today_begins_at_midnight_and_keeps_those_that_are_gone() -> None:
    midnight = NOON + DAY / 2
    ledger = Ledger()
    ledger.see(1, {**RUNS, "start_date": NOON}, "running", NOON)
    ledger.see(1, RUNS, "running", midnight - 1800)
    assert math.isclose(ledger.today(midnight - 1800), 11.5)
    ledger.see(1, RUNS, "running", midnight + 1800)
    assert math.isclose(ledger.today(midnight + 1800), 0.5)
    ledger.gone(1, midnight + 3600)
    assert math.isclose(ledger.today(midnight + 7200), 1.0)
    assert ledger.spent(1) is None and ledger.known() == set()


def test_a_machine_from_yesterday_counts_from_midnight() -> None:
    ledger = Ledger()
    ledger.see(1, {**RUNS, "start_date": NOON - 2 * DAY}, "running", NOON)
    spent = ledger.spent(1)
    assert spent and math.isclose(spent.usd, 48.0)
    assert math.isclose(ledger.today(NOON), 12.0)


def test_traffic_is_counted_where_the_record_has_it() -> None:
    record = {
        "inet_down_billed": 12_000.0,
        "inet_up_billed": 500.0,
        "inet_down_cost": 0.01,
        "inet_up_cost": 0.02,
    }
    assert math.isclose(traffic_of(record), 0.12 + 0.01)
    assert traffic_of({**record, "inet_down_billed": None}) == 0.01
    assert traffic_of({}) == 0


JSON = st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers()
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "dph_base": JSON,
        "storage_total_cost": JSON,
        "start_date": JSON | st.floats(NOON - 1e6, NOON + 1e6),
        "inet_down_billed": JSON,
        "inet_down_cost": JSON,
        "instance": JSON | st.dictionaries(st.sampled_from(["gpuCostPerHour", "diskHour"]), JSON),
    },
)


@given(st.lists(st.tuples(RECORDS, st.floats(0, 2 * DAY)), max_size=8))
def test_whatever_a_record_holds_money_never_goes_back(looks: list[tuple[Any, float]]) -> None:
    ledger, now, before = Ledger(), NOON, 0.0
    for record, later in looks:
        now += later
        ledger.see(1, record, "running", now)
        rates = rates_of(record, "running")
        assert rates.gpu >= 0 and rates.disk >= 0
        spent = ledger.spent(1)
        assert spent is not None and spent.usd >= before
        before = spent.usd
        assert 0 <= ledger.today(now) <= before * (1 + 1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("speed", [1, 60])
def test_the_estimate_agrees_with_the_bill_of_a_machine_that_was_watched(speed: float) -> None:
    clock, ledger = ManualClock(), Ledger()
    with (
        Server(seed=3, speed=speed, clock=clock, cap=None, limits=None, machines=300) as market,
        Client(market.api_key, base_url=market.url, cache="memory", clock=clock) as client,
    ):
        runs = rent(market, "pull", disk=100)
        stops = rent(market, "cached", gpu="RTX 3090", disk=200)
        for minute in range(200):
            if minute == 60:
                stop(market, stops)
            for one in client.watcher.look(at_once=True).instances:
                ledger.see(one.id, one.record, one.verdict.state, clock.time())
            clock.advance(60)
        for one in (runs, stops):
            truth = market.world.instances[one]
            bill = truth.gpu_dollars + truth.storage_dollars
            spent = ledger.spent(one)
            assert spent is not None
            assert abs(spent.usd - bill) < 0.05 * bill, (one, spent, bill)
