"""Dates in answers are the clients' dates, although time in the world runs ahead of them."""

from __future__ import annotations

import json
from datetime import datetime

import pytest

from vastnb.clock import ManualClock

from .conftest import MakeApi, fated


def test_an_instance_is_as_old_as_the_bill_says(make: MakeApi, clock: ManualClock) -> None:
    api = make(speed=60.0)
    clock.advance(600)
    instance = fated(api, "cached", offer=api.offer(dph_base={"gt": 0.05}))
    for _ in range(3):
        clock.advance(120)
        record = api.show(instance)
        assert record is not None
        age = clock.time() - record["start_date"]
        truth = api.world.instances[instance]
        assert age == pytest.approx(api.world.elapsed() - truth.created)
        assert truth.gpu_seconds == pytest.approx(age, abs=60)
        assert record["duration"] == pytest.approx(record["end_date"] - clock.time())


def test_no_answer_speaks_of_a_clients_future(make: MakeApi, clock: ManualClock) -> None:
    api = make(speed=60.0)
    instance = fated(api, "cached")
    clock.advance(3000)
    api.world.advance(days=3)
    now = clock.time()
    for row in api.search(limit=50):
        assert row["start_date"] is None or now - 400 < row["start_date"] <= now
        assert row["duration"] == pytest.approx(row["end_date"] - now)
        assert row["duration"] > 0
    day = json.dumps({"day": {"gte": now - 7 * 86_400, "lte": now}})
    (charge,) = api("GET", "charges/", select_filters=day).json()["results"]
    assert charge["start"] < charge["end"] <= now
    assert api.world.instances[instance].billed == pytest.approx(charge["amount"], abs=1e-3)
    history = api("GET", "metrics/gpu/history/").json()["gpus"]["RTX 4090"]
    stamps = history["pricing"]["timestamps"]
    assert stamps == sorted(stamps) and stamps[-1] <= now
    key = api("POST", "ssh/", {"ssh_key": "ssh-ed25519 AAAA"}).json()["key"]
    assert datetime.fromisoformat(key["created_at"]).timestamp() == pytest.approx(now)
    template = api("POST", "template/", {"name": "n", "image": "i"}).json()["template"]
    assert template["created_at"] == now
    assert all(row["created_at"] <= now for row in api("GET", "template/").json()["templates"])


def test_what_was_is_shown_as_it_was(make: MakeApi, clock: ManualClock) -> None:
    api = make(speed=60.0)
    name = "RTX 4090"
    current = {r["gpu_name"]: r for r in api("GET", "metrics/gpu/current/").json()["gpus"]}[name]
    clock.advance(60)  # an hour in the world
    past = {"start": clock.time() - 3600, "end": clock.time() - 1800, "step": 1800}
    series = api("GET", "metrics/gpu/history/", gpu_name=name, **past).json()["gpus"][name]
    demand = series["supply_demand"]
    assert demand["timestamps"][0] == int(past["start"])
    assert demand["avail_verified"][0] == pytest.approx(current["avail_verified"], abs=2)


def test_dates_stand_still_in_a_frozen_world(make: MakeApi, clock: ManualClock) -> None:
    api = make(speed=0.0)
    before = api.search(limit=5, order=[["id", "asc"]])
    clock.advance(3600)
    assert api.search(limit=5, order=[["id", "asc"]]) == before
