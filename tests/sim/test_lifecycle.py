"""What becomes of an instance: every way a start can go."""

from __future__ import annotations

import random
from typing import Any

import pytest

from vastnb.clock import ManualClock
from vastnb.sim import World
from vastnb.sim.instances.lifecycle import FATES, REFUSALS, TROUBLES, choose, plan
from vastnb.sim.instances.orders import read

from .conftest import SMALL, Api, fated, states


def test_a_cached_image_is_up_in_about_half_a_minute(api: Api) -> None:
    instance = fated(api, "cached")
    assert states(api.show(instance)) == (None, "running", "running", "running")
    assert "ports" not in (api.show(instance) or {})
    assert 15 <= api.until(instance, "running", step=1) <= 45
    record = api.show(instance)
    assert record is not None
    assert record["status_msg"] == "success, running pytorch/pytorch/ssh (simulated)"
    assert set(record["ports"]) == {"22/tcp"}


def test_a_pull_shows_its_layers_and_takes_up_to_eight_minutes(api: Api) -> None:
    instance = fated(api, "pull")
    seen: list[Any] = []
    took = 0
    while (record := api.show(instance)) and record["actual_status"] != "running":
        seen.append((record["actual_status"], record["status_msg"]))
        api.world.advance(2)
        took += 2
    assert 24 <= took <= 500
    order = [status for status, _ in seen]
    assert order == sorted(order, key=[None, "created", "loading"].index)
    assert sum("complete" in (text or "") or "Checksum" in (text or "") for _, text in seen) > 3


def test_a_bad_image_is_given_up_after_about_seven_minutes(api: Api) -> None:
    instance = fated(api, "bad-image", image="nobody/nothing")
    api.world.advance(minutes=5)
    assert states(api.show(instance))[:2] == ("loading", "running")
    api.world.advance(minutes=3)
    record = api.show(instance)
    assert states(record) == ("loading", "stopped", "stopped", "stopped")
    assert record is not None and "pull access denied for nobody/nothing" in record["status_msg"]


def test_an_image_that_says_so_does_not_exist(api: Api) -> None:
    instance = api.rent(image="me/does-not-exist:latest")
    assert api.world.instances[instance].fate == "bad-image"


def test_a_broken_container_runtime_shows_in_seconds(api: Api) -> None:
    instance = fated(api, "runtime-error")
    api.world.advance(20)
    record = api.show(instance)
    assert states(record) == ("created", "stopped", "stopped", "stopped")
    assert record is not None and record["status_msg"].startswith("Error response from daemon")


def test_a_slow_pull_takes_hours_and_a_stuck_one_for_ever(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, limit=2)
    slow = fated(api, "slow", offer=offers[0])
    stuck = fated(api, "stuck", offer=offers[1])
    api.world.advance(minutes=50)
    assert states(api.show(slow))[0] == states(api.show(stuck))[0] == "loading"
    api.world.advance(hours=3)
    assert states(api.show(slow))[0] == "running"
    assert states(api.show(stuck))[:2] == ("loading", "running")


def test_an_unreachable_machine_says_running(api: Api) -> None:
    instance = fated(api, "unreachable")
    api.until(instance, "running")
    assert api.world.instances[instance].reachable is False


def test_a_host_goes_offline_and_may_come_back(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, limit=3)
    away = fated(api, "offline", offer=offers[0])
    gone = fated(api, "offline-for-good", offer=offers[1])
    stale = fated(api, "stale", offer=offers[2])
    api.until(away, "running")
    api.until(away, "offline", step=30)
    assert states(api.show(away))[1] == "running"
    api.until(away, "running", step=30)
    api.world.advance(hours=2)
    assert states(api.show(gone))[0] == "offline"
    assert states(api.show(stale))[0] == "running"
    assert api.world.instances[stale].container_up is False


def test_a_lagging_status_comes_late(api: Api) -> None:
    instance = fated(api, "lagging")
    truth = api.world.fleet.instances[instance]
    while not truth.container_up:
        api.world.advance(5)
    assert states(api.show(instance))[0] != "running"
    api.world.advance(100)
    assert states(api.show(instance))[0] == "running"
    api("PUT", f"instances/{instance}/", {"state": "stopped"})
    api.world.advance(30)
    assert states(api.show(instance))[:2] == ("running", "stopped")
    api.world.advance(60)
    assert states(api.show(instance))[:2] == ("exited", "stopped")


def test_trouble_comes_to_its_share_of_instances() -> None:
    rng = random.Random(1)
    fates = [choose(rng, "ubuntu", trouble=0.3) for _ in range(2000)]
    bad = {name for name, _ in TROUBLES}
    assert sum(fate in bad for fate in fates) / 2000 == pytest.approx(0.3, abs=0.04)
    assert not bad & {choose(rng, "ubuntu", trouble=0.0) for _ in range(500)}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("again", [False, True])
def test_a_plan_is_the_same_for_a_seed_and_in_the_future(fate: Any, again: bool) -> None:
    one, two = (
        plan(fate, random.Random(9), image="a/b:c", runtype="ssh", again=again) for _ in range(2)
    )
    assert one == two and all(step.after > 0 for step in one)


def test_a_fate_that_does_not_exist_is_refused(api: Api) -> None:
    with pytest.raises(ValueError, match="no such fate"):
        api.world.fleet.expect("glory")
    assert set(FATES).isdisjoint(REFUSALS)


@pytest.mark.slow
def test_the_same_seed_and_the_same_calls_give_the_same_instances() -> None:
    def life() -> list[Any]:
        world = World(8, 1.0, clock=ManualClock(), machines=SMALL, trouble=0.5, credit=500)
        query = {"rentable": {"eq": True}, "gpu_frac": {"eq": 1}, "order": [["id", "asc"]]}
        rows = world.search(query).to_rows()
        history = []
        for row in rows[:20]:
            order = read({"image": "a/b", "disk": 10}, None)
            world.fleet.rent(world.account, row["id"], order, world.elapsed())
        for _ in range(40):
            world.advance(minutes=7)
            history.append(
                [i.record(world.elapsed(), world.opened()) for i in world.instances.values()]
            )
        return history

    assert life() == life()


def test_utilisation_and_temperature_move(api: Api) -> None:
    instance = fated(api, "cached")
    api.until(instance, "running")
    seen = set()
    for _ in range(10):
        api.world.advance(minutes=5)
        record = api.show(instance)
        assert record is not None
        assert 0 <= record["gpu_util"] <= 100 and 20 < record["gpu_temp"] < 95
        seen.add((record["gpu_util"], record["gpu_temp"]))
    assert len(seen) == 10
