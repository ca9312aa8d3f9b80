"""Money: spent by the second, for GPU, disk and traffic, and never more than there is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import Api, MakeApi


def fated(api: Api, fate: str, **body: Any) -> int:
    api.world.fleet.expect(fate)
    return api.rent(**body)


def test_gpu_time_is_not_billed_while_loading_and_storage_always_is(api: Api) -> None:
    instance = fated(api, "stuck", disk=100)
    api.world.advance(hours=2)
    truth = api.world.instances[instance]
    assert truth.gpu_dollars == 0 and truth.gpu_seconds == 0
    storage = truth.offer["storage_cost"] / 720 * 100 * 2
    assert truth.storage_dollars == pytest.approx(storage)


def test_an_hour_of_running_costs_what_the_offer_says(api: Api) -> None:
    offer = api.offer(allocated_storage=40, dph_base={"gt": 0.05})
    instance = fated(api, "cached", offer=offer, disk=40)
    api.until(instance, "running", step=1)
    truth = api.world.fleet.instances[instance]
    before = (truth.gpu_dollars, truth.storage_dollars)
    api.world.advance(hours=1)
    gpu, storage = truth.gpu_dollars - before[0], truth.storage_dollars - before[1]
    assert gpu == pytest.approx(offer["dph_base"])
    assert gpu + storage == pytest.approx(offer["dph_total"])


def test_the_contract_is_priced_at_its_own_disk(api: Api) -> None:
    offer = api.offer(disk_space={"gt": 500})
    record = api.show(api.rent(offer, disk=500))
    assert record is not None
    expected = offer["dph_base"] + offer["storage_cost"] / 720 * 500
    assert record["dph_total"] == pytest.approx(expected)
    assert record["dph_total"] > offer["dph_total"]


def test_a_disk_that_the_offer_does_not_have_is_cut_without_a_word(api: Api) -> None:
    offer = api.offer(disk_space={"lt": 500})
    record = api.show(api.rent(offer, disk=1000))
    assert record is not None
    assert record["disk_space"] == pytest.approx(offer["disk_space"])


def test_a_stopped_instance_bills_its_disk_only(api: Api) -> None:
    instance = fated(api, "cached", disk=50)
    api.until(instance, "running")
    api("PUT", f"instances/{instance}/", {"state": "stopped"})
    truth = api.world.instances[instance]
    before = (truth.gpu_dollars, truth.storage_dollars, truth.traffic_dollars)
    api.world.advance(hours=10)
    assert truth.gpu_dollars == before[0] and truth.traffic_dollars == before[2]
    assert truth.storage_dollars - before[1] == pytest.approx(truth.disk_dph * 10)


def test_a_pull_costs_traffic(api: Api) -> None:
    offer = api.offer(inet_down_cost={"gt": 0.001})
    instance = fated(api, "pull", offer=offer)
    api.until(instance, "running")
    truth = api.world.fleet.instances[instance]
    assert 3 <= truth.down_gb <= 9.1
    assert truth.traffic_dollars == pytest.approx(
        truth.down_gb * offer["inet_down_cost"] + truth.up_gb * offer["inet_up_cost"]
    )


def test_what_is_billed_is_what_leaves_the_account(api: Api) -> None:
    before = api("GET", "users/current/").json()["credit"]
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=4)
    ids = [api.rent(offer) for offer in offers]
    api.world.advance(hours=1)
    api("PUT", f"instances/{ids[0]}/", {"state": "stopped"})
    api("DELETE", f"instances/{ids[1]}/")
    api.world.advance(hours=1)
    billed = sum(truth.billed for truth in api.world.instances.values())
    after = api("GET", "users/current/").json()["credit"]
    assert billed > 0 and before - after == pytest.approx(billed)


@pytest.mark.slow
def test_the_bill_does_not_depend_on_how_often_one_looks(make: MakeApi) -> None:
    bills = []
    for steps in (1, 300):
        api = make(seed=4)
        instance = fated(api, "pull", offer=api.offer(dph_base={"gt": 0.05}))
        for _ in range(steps):
            api.world.advance(hours=5 / steps)
            api.show(instance)
        truth = api.world.instances[instance]
        bills.append((truth.gpu_seconds, truth.billed))
    assert bills[0] == pytest.approx(bills[1])


def test_without_credit_everything_stops_at_that_very_moment(make: MakeApi) -> None:
    api = make(credit=0.5)
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, dph_base={"gt": 0.1}, limit=2)
    ids = [fated(api, "cached", offer=offer) for offer in offers]
    api.world.advance(days=30)
    truths = [api.world.instances[number] for number in ids]
    assert all(not t.container_up and t.intended == "stopped" for t in truths)
    spent_before = sum(t.gpu_dollars for t in truths)
    assert 0.3 < spent_before <= 0.5
    rate = sum(t.disk_dph for t in truths)
    debt = -api.world.account.credit
    assert 0 < debt <= rate * 24 * 30, "the disks go on billing"
    refused = api("PUT", f"instances/{ids[0]}/", {"state": "running"})
    assert (refused.status_code, refused.json()["error"]) == (400, "missing_billing")
    create = api.create(api.offer())
    assert (create.status_code, create.json()["error"]) == (400, "insufficient_credit")
    api.world.account.credit = 10
    assert api("PUT", f"instances/{ids[0]}/", {"state": "running"}).status_code == 200


def test_credit_given_or_taken_by_a_test_counts_at_once(make: MakeApi) -> None:
    api = make(credit=0.01)
    instance = fated(api, "cached", offer=api.offer(dph_base={"gt": 0.1}))
    api.world.account.credit = 50
    api.world.advance(hours=3)
    assert api.world.instances[instance].container_up
    api.world.account.credit = 0.001
    api.world.advance(hours=1)
    assert not api.world.instances[instance].container_up


def test_charges_list_every_term_of_every_contract(api: Api) -> None:
    instance = fated(api, "cached", label="job")
    api.world.advance(hours=2)
    api("DELETE", f"instances/{instance}/")
    filters = json.dumps({"day": {"gte": 0, "lte": api.world.now() + 1}})
    body = api("GET", "charges/", select_filters=filters).json()
    assert (body["count"], body["total"], body["next_token"]) == (1, 1, None)
    row = body["results"][0]
    assert row["source"] == f"instance-{instance}" and row["metadata"] == {"label": "job"}
    assert [item["type"] for item in row["items"]] == ["gpu", "disk", "bwd", "bwu"]
    total = sum(item["amount"] for item in row["items"])
    assert total == pytest.approx(api.world.instances[instance].billed, abs=1e-4)
    assert api("GET", "charges/", select_filters="{}").status_code == 400


def test_charges_come_in_pages(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=5)
    for offer in offers:
        api.rent(offer)
        api.world.advance(60)
    filters = json.dumps({"day": {"gte": 0, "lte": 4e9}})
    sources, token = [], None
    for _ in range(3):
        params = {"select_filters": filters, "limit": 2, "latest_first": "false"}
        if token:
            params["after_token"] = token
        body = api("GET", "charges/", **params).json()
        sources += [row["source"] for row in body["results"]]
        token = body["next_token"]
    assert token is None
    assert sources == [f"instance-{number}" for number in api.world.instances]
