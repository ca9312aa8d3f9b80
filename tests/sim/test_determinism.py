"""The same seed and the same calls give the same service, in whatever process it runs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vastnb.clock import ManualClock
from vastnb.sim.payloads import plant
from vastnb.sim.world import World

CALLS = """\
import hashlib, random, sys
import requests
from vastnb.clock import ManualClock
from vastnb.sim import FaultPlan, Limits, Server

seed = int(sys.argv[1])
clock = ManualClock()
digest = hashlib.sha256()
options = dict(clock=clock, speed=60.0, machines=300, trouble=0.4, cap=40, credit=30)
faults = FaultPlan(rate=0.15, seed=seed, kinds=("html", "500", "504", "429"))
limits = Limits(probability=0.7, seed=seed)
rng = random.Random(1)
with Server(seed, faults=faults, limits=limits, **options) as server, requests.Session() as http:
    http.headers["Authorization"] = f"Bearer {server.api_key}"
    http.trust_env = False

    def call(method, path, body=None, **params):
        url = f"{server.url}/api/{path}"
        answer = http.request(method, url, json=body, params=params, timeout=10)
        digest.update(str(answer.status_code).encode())
        digest.update(answer.content.replace(server.url.encode(), b""))
        try:
            return answer.json()
        except ValueError:
            return {}

    for step in range(60):
        query = {"rentable": {"eq": True}, "gpu_name": {"in": ["RTX 3090", "RTX 4090"]}}
        offers = call("POST", "v0/bundles/", query).get("offers") or []
        for offer in offers[:1]:
            price = rng.choice([None, 2.0])
            order = {"image": "a/b", "disk": 10, "env": {"A": "1", "B": "2"}, "price": price}
            call("PUT", f"v0/asks/{offer['id']}/", order)
        rows = call("GET", "v1/instances/").get("instances") or []
        for row in rows[:2]:
            what = rng.choice(["stop", "logs", "destroy"])
            if what == "stop":
                call("PUT", f"v0/instances/{row['id']}/", {"state": "stopped"})
            elif what == "logs":
                call("PUT", f"v0/instances/request_logs/{row['id']}/", {})
            else:
                call("DELETE", f"v0/instances/{row['id']}/")
        call("GET", "v0/users/current/")
        call("GET", "v0/metrics/gpu/current/")
        call("GET", "v0/template/")
        clock.advance(rng.uniform(1, 40))
    made = len(server.world.instances)
print(made, digest.hexdigest())
"""


def run(seed: int, hash_seed: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CALLS, str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.slow
def test_the_same_seed_and_calls_give_the_same_answers_in_every_process() -> None:
    one, two, other = run(5, "1"), run(5, "4242"), run(6, "1")
    assert one == two
    assert one[1] != other[1]
    assert int(one[0]) > 10, "instances were rented on the way"


def test_payloads_in_one_market_are_in_no_other_of_the_same_seed() -> None:
    clock = ManualClock()
    before = World(seed=5, machines=40, clock=clock)
    spoiled = World(seed=5, machines=40, clock=clock)
    ids = {one.id for one in spoiled.market.listings()}
    plant(spoiled)
    after = World(seed=5, machines=40, clock=clock)
    query = {"rentable": {"eq": True}}
    sound = before.search(query).to_json()
    assert after.search(query).to_json() == sound
    assert b"__pwned" not in sound
    assert b"__pwned" in spoiled.search(query).to_json()
    assert {one.id for one in spoiled.market.listings()} == ids
