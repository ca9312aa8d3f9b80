"""Mishaps on real sockets: what a client sees, and whether the call took effect."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import pytest
import requests

from vastnb.sim import Fault, FaultPlan
from vastnb.sim.faults import KINDS, RANDOM_KINDS
from vastnb.sim.limits import FORMS

from .conftest import Api, MakeApi


def rented(api: Api) -> int:
    return len(api.world.instances)


@pytest.mark.parametrize("kind", ["drop-before", "reset-before"])
def test_a_call_dropped_before_its_effect_did_nothing(api: Api, kind: Any) -> None:
    offer = api.offer()
    api.server.faults.add(Fault("create_instance", kind, nth=1))
    with pytest.raises(requests.ConnectionError):
        api.create(offer)
    assert rented(api) == 0
    assert api.create(offer).status_code == 200


@pytest.mark.parametrize("kind", ["drop-after", "reset-after"])
def test_a_lost_answer_leaves_a_machine_that_runs(api: Api, kind: Any) -> None:
    offer = api.offer()
    api.server.faults.add(Fault("create_instance", kind, nth=1))
    with pytest.raises(requests.ConnectionError):
        api.create(offer, env={"MARK": "m1"})
    assert rented(api) == 1
    again = api.create(offer)
    assert again.status_code == 410 and "no_such_ask" in again.text
    found = api("GET", "/api/v1/instances/").json()["instances"]
    assert [dict(row["extra_env"]) for row in found] == [{"MARK": "m1"}]


@pytest.mark.parametrize("status", ["500", "502", "503", "504"])
@pytest.mark.parametrize("effect", [False, True])
def test_a_server_error_takes_effect_or_not_as_planned(api: Api, status: Any, effect: bool) -> None:
    offer = api.offer()
    api.server.faults.add(Fault("create_instance", status, nth=1, effect=effect))
    answer = api.create(offer)
    assert answer.status_code == int(status)
    assert answer.headers["Content-Type"] == "text/html"
    assert rented(api) == int(effect)


def test_a_truncated_answer_promises_more_than_it_holds(api: Api) -> None:
    api.server.faults.add(Fault("search_offers", "truncate", nth=1))
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
        api("POST", "bundles/", {})
    assert api("POST", "bundles/", {}).status_code == 200


def test_html_nothing_and_garbage_come_with_status_200(api: Api) -> None:
    for kind in ("html", "empty", "garbage"):
        api.server.faults.add(Fault("search_offers", kind, nth=1))
        answer = api("POST", "bundles/", {})
        assert answer.status_code == 200
        with pytest.raises(ValueError):
            answer.json()
        assert answer.headers["X-Vastnb-Simulated"] == "1"


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_429_can_be_planned(api: Api, form: Any) -> None:
    api.server.faults.add(Fault("search_offers", "429", nth=1, form=form, retry_after=3))
    answer = api("POST", "bundles/", {})
    assert answer.status_code == 429
    if form == "json":
        assert answer.json()["retry_after"] == 3


def test_a_spent_quota_can_be_planned(api: Api) -> None:
    api.server.faults.add(Fault("search_offers", "quota", nth=1))
    assert api("POST", "bundles/", {}).json()["error"] == "search_quota_exceeded"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "done"), [("delay", 0), ("delay-after", 1)])
def test_a_delayed_call_outlasts_an_impatient_client(api: Api, kind: Any, done: int) -> None:
    offer = api.offer()
    api.server.faults.add(Fault("create_instance", kind, nth=1, seconds=0.6))
    with pytest.raises(requests.exceptions.ReadTimeout):
        api.session.put(
            f"{api.server.url}/api/v0/asks/{offer['id']}/",
            json={"image": "ubuntu", "disk": 10},
            timeout=0.15,
        )
    assert rented(api) == done
    deadline = time.monotonic() + 5
    while rented(api) == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert rented(api) == 1, "the service does not notice that the client has gone"


def test_only_the_planned_calls_are_hit(api: Api) -> None:
    api.server.faults.add(Fault("search_offers", "500", nth=2, times=2))
    statuses = [api("POST", "bundles/", {"limit": 1}).status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    assert api("GET", "users/current/").status_code == 200
    assert api.server.faults.happened == {"500": 2}
    assert len(api.server.faults) == 0


def test_a_fault_without_a_number_hits_every_call_until_it_is_cleared(api: Api) -> None:
    api.server.faults.add(Fault("*", "503"))
    assert [api("GET", "users/current/").status_code for _ in range(3)] == [503] * 3
    api.server.faults.clear()
    assert api("GET", "users/current/").status_code == 200


def test_random_mishaps_are_the_same_for_a_seed() -> None:
    def befallen(seed: int) -> list[Any]:
        plan = FaultPlan(rate=0.3, seed=seed)
        return [fault and fault.kind for fault in (plan.decide("x") for _ in range(200))]

    assert befallen(1) == befallen(1) != befallen(2)
    hit = [kind for kind in befallen(1) if kind]
    assert 30 < len(hit) < 90 and set(hit) == set(RANDOM_KINDS)


def test_a_fault_may_be_probable_only() -> None:
    plan = FaultPlan([Fault("x", "500", probability=0.5)], seed=4)
    hits = sum(plan.decide("x") is not None for _ in range(300))
    assert 100 < hits < 200


def test_a_wrong_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no such kind"):
        Fault("x", "explode")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no such form"):
        Fault("x", "429", form="rhyme")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a fault has no colour"):
        Fault.from_dict({"colour": "red"})
    with pytest.raises(ValueError, match="'drop-before' itself decides"):
        Fault("x", "drop-before", effect=True)
    for wrong in ({"nth": "one"}, {"times": -1}, {"seconds": float("nan")}, {"probability": True}):
        with pytest.raises(ValueError, match="must be a number"):
            Fault.from_dict(wrong)
    with pytest.raises(ValueError, match="an object with fields"):
        Fault.from_dict(7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="from 0 to 1"):
        FaultPlan(rate=2.0)
    assert Fault.from_dict({"endpoint": "x", "kind": "html", "nth": 3}).nth == 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_truth_says_whether_a_spoilt_create_created(api: Api, kind: Any) -> None:
    fault = Fault("create_instance", kind, nth=2, seconds=0.02)
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=3)
    api.server.faults.add(fault)
    for offer in offers:
        with contextlib.suppress(requests.RequestException):
            api.create(offer, label=str(offer["id"]))
    created = [instance.label for instance in api.world.instances.values()]
    expected = [str(offer["id"]) for offer in offers]
    if not fault.takes_effect:
        del expected[1]
    assert created == expected
    assert api.server.faults.happened == {kind: 1}
    assert api.world.billing == list(api.world.instances.values())


def test_a_fault_that_is_added_under_load_is_not_lost() -> None:
    plan, over = FaultPlan([Fault("x", "500", nth=10**9)]), threading.Event()

    def call() -> None:
        while not over.is_set():
            plan.decide("x")

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(2000):
        plan.add(Fault("y", "500", nth=1))
    over.set()
    for thread in threads:
        thread.join()
    assert len(plan) == 2001


@pytest.mark.slow
def test_every_kind_of_fault_leaves_the_server_well(make: MakeApi) -> None:
    api = make()
    for kind in KINDS:
        api.server.faults.add(Fault("show_user", kind, nth=1, seconds=0.001))
        with contextlib.suppress(requests.RequestException):
            api("GET", "users/current/")
        assert api("GET", "users/current/").status_code == 200
