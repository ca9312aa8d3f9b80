"""Creating instances, on demand and by bidding."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from vastnb.clock import ManualClock
from vastnb.sim import World
from vastnb.sim.instances.orders import read
from vastnb.sim.refusal import Failure

from .conftest import OK, Api, fated, states


def test_renting_a_slice_removes_those_that_share_a_gpu(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, disable_bundling=True)
    whole, part = next(
        (a, b)
        for a in offers
        for b in offers
        if a["gpu_frac"] == 1.0 and set(b["gpu_ids"]) < set(a["gpu_ids"])
    )
    instance = api.rent(part)
    left = api.search(
        machine_id={"eq": part["machine_id"]}, rentable={"eq": True}, disable_bundling=True
    )
    assert all(not set(o["gpu_ids"]) & set(part["gpu_ids"]) for o in left)
    every = api.search(disable_bundling=True, rentable={"eq": "any"})
    mine = [o for o in every if set(o["gpu_ids"]) & set(part["gpu_ids"])]
    assert part["id"] in {o["id"] for o in mine}
    assert [o for o in every if o["rented"]] == mine, "rented means by you, not by somebody else"
    assert api.create(whole).status_code == 410
    api("DELETE", f"instances/{instance}/")
    again = api.search(
        machine_id={"eq": part["machine_id"]}, rentable={"eq": True}, disable_bundling=True
    )
    gpus = {frozenset(o["gpu_ids"]) for o in again}
    assert {frozenset(whole["gpu_ids"]), frozenset(part["gpu_ids"])} <= gpus
    assert part["id"] not in {o["id"] for o in again}, "what comes back has another id"


def test_an_offer_cannot_be_rented_twice(api: Api) -> None:
    offer = api.offer()
    api.rent(offer)
    answer = api.create(offer)
    assert answer.status_code == 410
    assert answer.json()["error"] == "no_such_ask" and answer.json()["ask_id"] == offer["id"]


def test_an_unknown_offer_is_a_404(api: Api) -> None:
    answer = api.create(123)
    assert answer.status_code == 404
    assert answer.json()["error"] == "invalid_args" and "no_such_ask" in answer.json()["msg"]


def test_the_env_comes_back_as_pairs(api: Api) -> None:
    instance = api.rent(env={"KEY": "v", "-p 8000:8000": "1"}, label="me", onstart="ls")
    record = api.show(instance)
    assert record is not None
    assert record["extra_env"] == [["KEY", "v"], ["-p 8000:8000", "1"]]
    assert (record["label"], record["onstart"]) == ("me", "ls")
    api.until(instance, "running")
    assert "8000/tcp" in (api.show(instance) or {})["ports"]


def test_an_env_of_docker_flags_is_read() -> None:
    order = read({"image": "a", "env": "-e TZ=UTC -p 80:80 -h bob"}, None)
    assert order.env == [("TZ", "UTC"), ("-p 80:80", "1"), ("-h bob", "1")]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"image": None}, "invalid_args"),
        ({"disk": 2}, "invalid_args"),
        ({"disk": "big"}, "invalid_args"),
        ({"price": 0.0001}, "invalid_price"),
        ({"price": 129}, "invalid_price"),
        ({"price": "cheap"}, "invalid_price"),
        ({"label": "x" * 257}, "invalid_args"),
        ({"env": {"A": "x" * 33_000}}, "invalid_args"),
        ({"env": 7}, "invalid_args"),
        ({"onstart": "x" * 16_385}, "invalid_args"),
        ({"onstart": "x" * 9_000, "args": ["x" * 9_000]}, "invalid_args"),
        ({"image": "x" * 1_025}, "invalid_args"),
        ({"env": {f"-p {n}:{n}": "1" for n in range(1, 66)}}, "invalid_args"),
        ({"runtype": "telnet"}, "invalid_args"),
        ({"target_state": "asleep"}, "invalid_args"),
        ({"template_hash_id": "no such"}, "invalid_args"),
        ({"vm": True}, "no_ssh_key_for_vm"),
    ],
)
def test_a_wrong_create_is_a_400_and_rents_nothing(
    api: Api, body: dict[str, Any], error: str
) -> None:
    api.world.account.ssh_keys.clear()
    answer = api.create(api.offer(), **body)
    assert answer.status_code == 400
    assert answer.json()["error"] == error and answer.json()["success"] is False
    assert api.world.instances == {}


def test_a_create_can_be_refused_in_every_way(api: Api) -> None:
    offer = api.offer()
    api.world.fleet.expect("forbidden", "no-credit", "gone", "created-stopped")
    assert api.create(offer).status_code == 403
    broke = api.create(offer)
    assert (broke.status_code, broke.json()["error"]) == (400, "insufficient_credit")
    assert api.create(offer).status_code == 404
    assert api.create(offer).status_code == 410
    assert api.world.instances == {}
    api.world.fleet.expect("created-stopped")
    body = api.create(offer, cancel_unavail=False).json()
    assert body["success"] is False and body["new_contract"] in api.world.instances
    assert states(api.show(body["new_contract"])) == (None, "stopped", "stopped", "stopped")


def test_a_template_gives_what_the_request_leaves_out(api: Api) -> None:
    made = api(
        "POST", "template/", {"name": "mine", "image": "me/x", "tag": "v1", "env": "-e A=1 -e B=2"}
    ).json()["template"]
    body = {"template_hash_id": made["hash_id"], "disk": 10, "env": {"B": "3"}}
    answer = api("PUT", f"asks/{api.offer()['id']}/", body)
    record = api.show(answer.json()["new_contract"])
    assert record is not None
    assert record["image_uuid"] == "me/x:v1"
    assert record["extra_env"] == [["A", "1"], ["B", "3"]]
    assert record["template_hash_id"] == made["hash_id"]


def test_a_bulk_create_answers_for_each(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=3)
    ids = [offer["id"] for offer in offers] + [5]
    body = api("POST", "asks/bulk/", {"ids": ids, "image": "ubuntu", "disk": 10}).json()
    assert body["success"] is False and len(body["new_contracts"]) == 3
    assert [result["ask_id"] for result in body["results"]] == ids
    assert len(api.world.instances) == 3
    assert api("POST", "asks/bulk/", {"ids": list(range(65)), "image": "u"}).status_code == 400


def test_a_launch_rents_the_first_that_matches(api: Api) -> None:
    query = {"num_gpus": {"eq": 1}, "rentable": {"eq": True}, "order": [["dph_total", "asc"]]}
    cheapest = api.search(**query)[0]
    body = api("PUT", "launch_instance/", {"q": query, "image": "ubuntu", "disk": 10}).json()
    assert body["success"] is True
    assert api.world.instances[body["new_contract"]].offer["id"] == cheapest["id"]
    none = api("PUT", "launch_instance/", {"q": {"num_gpus": {"eq": 99}}, "image": "u"})
    assert none.status_code == 404


# -- bids


def test_a_bid_below_the_spot_price_makes_a_stopped_instance_that_bills(api: Api) -> None:
    offer = api.offer(type="bid", min_bid={"gt": 0.02})
    body = api.create(offer, price=0.001).json()
    assert body["success"] is False
    record = api.show(body["new_contract"])
    assert states(record) == (None, "stopped", "stopped", "stopped")
    truth = api.world.instances[body["new_contract"]]
    assert truth.rate(api.world.elapsed()) == pytest.approx(truth.disk_dph) and truth.disk_dph > 0


def test_a_bid_is_charged_at_most_the_on_demand_price(api: Api) -> None:
    offer = api.offer()
    instance = api.rent(offer, price=100.0)
    record = api.show(instance)
    assert record is not None and record["is_bid"] is True
    assert record["dph_base"] == offer["dph_base"]


def test_a_create_without_price_after_a_bid_search_is_on_demand(api: Api) -> None:
    offer = api.offer(type="bid")
    record = api.show(api.rent(offer))
    assert record is not None and record["is_bid"] is False
    assert record["dph_base"] != offer["min_bid"]


@pytest.mark.slow
def test_an_outbid_instance_stops_without_an_error_and_comes_back(api: Api) -> None:
    offers = api.search(
        type="bid", rentable={"eq": True}, order=[["min_bid", "asc"]], num_gpus={"eq": 1}
    )
    ids = []
    for offer in offers[:25]:
        bid = round(offer["min_bid"] * 1.01 + 0.0005, 4)
        body = api.create(offer, price=bid).json()
        ids.append(body["new_contract"])
    outbid: set[int] = set()
    back: set[int] = set()
    for _ in range(60):
        api.world.advance(minutes=30)
        for number in ids:
            truth = api.world.fleet.instances[number]
            if truth.outbid:
                outbid.add(number)
                assert truth.intended == "stopped" and not truth.holds and truth.is_bid
                assert "rror" not in (truth.status_msg or "")
            elif number in outbid:
                back.add(number)
    assert len(outbid) >= 5 and back


def test_outbid_can_be_planned_while_loading_and_while_running(api: Api) -> None:
    api.world.fleet.resumes = False
    offers = api.search(rentable={"eq": True}, limit=2)
    loading = fated(api, "outbid-loading", offer=offers[0], price=50.0)
    running = fated(api, "outbid-running", offer=offers[1], price=50.0)
    api.world.advance(hours=1)
    assert states(api.show(loading))[:2] == ("loading", "stopped")
    assert states(api.show(running))[:2] == ("exited", "stopped")


def test_raising_the_bid_starts_and_lowering_it_stops(api: Api) -> None:
    offer = api.offer(type="bid", min_bid={"gt": 0.02})
    instance = api.create(offer, price=0.001).json()["new_contract"]
    path = f"instances/bid_price/{instance}/"
    assert api("PUT", f"instances/{instance}/", {"state": "running"}).json()["success"] is False
    assert api("PUT", path, {"client_id": "me", "price": 120.0}).json() == OK
    api.until(instance, "running")
    assert api("PUT", path, {"client_id": "me", "price": 0.001}).status_code == 200
    assert states(api.show(instance))[1] == "stopped"
    assert api("PUT", path, {"client_id": "me", "price": 0.0001}).status_code == 400
    assert api("PUT", path, {"client_id": "me", "price": "x"}).status_code == 400
    assert api("PUT", path, {"client_id": "me", "price": None}).status_code == 200
    assert states(api.show(instance))[1] == "running"


@pytest.mark.slow
def test_no_gpu_is_ever_let_twice_and_no_cent_is_lost() -> None:
    rng = random.Random(12)
    world = World(6, 1.0, clock=ManualClock(), machines=60, credit=60.0, trouble=0.3)
    fleet, order = world.fleet, read({"image": "a/b", "disk": 10}, None)
    bid = read({"image": "a/b", "disk": 10, "price": 0.3}, None)
    refusals: set[int] = set()
    for _ in range(200):
        now = world.elapsed()
        mine = fleet.of(world.account)
        action = rng.choice(("rent", "rent", "bid", "stop", "start", "destroy", "wait", "reboot"))
        try:
            if action in ("rent", "bid"):
                found = world.search({"rentable": {"eq": True}, "disable_bundling": True})
                listing = rng.choice(found.rows)[0]
                wanted = order if action == "rent" else bid
                fleet.rent(world.account, listing.id, wanted, now)
            elif action == "wait":
                world.advance(minutes=rng.expovariate(1 / 40))
            elif mine and action == "stop":
                fleet.stop(rng.choice(mine), now)
            elif mine and action == "start":
                fleet.begin(world.account, rng.choice(mine), now)
            elif mine and action == "reboot":
                fleet.reboot(rng.choice(mine), now)
            elif mine:
                fleet.destroy(rng.choice(mine), now)
        except Failure as refused:
            refusals.add(refused.status)
        holders = [i for i in world.instances.values() if i.holds]
        for one, other in itertools.combinations(holders, 2):
            assert one.machine != other.machine or not one.mask & other.mask
        for listing in world.market.listings(bundled=False):
            if listing.available:
                assert not listing.mask & world.market.held(listing.machine)
        assert all(i.holds for i in world.instances.values() if i.container_up)
        billed = sum(i.billed for i in world.instances.values())
        assert world.account.spent == pytest.approx(billed)
        assert world.account.credit == pytest.approx(60.0 - billed)
    assert len(world.instances) > 20
    assert refusals <= {400, 410}
