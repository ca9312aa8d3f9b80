"""What users do to instances, and how they look at them."""

from __future__ import annotations

import json

import pytest

from vastnb.clock import ManualClock

from .conftest import OK, Api, MakeApi, fated, states


def test_stop_and_start(api: Api) -> None:
    instance = fated(api, "cached")
    api.until(instance, "running")
    assert api("PUT", f"instances/{instance}/", {"state": "stopped"}).json() == OK
    assert states(api.show(instance)) == ("running", "stopped", "stopped", "stopped")
    api.world.advance(15)
    record = api.show(instance)
    assert states(record)[0] == "exited" and record is not None and "ports" not in record
    assert api("PUT", f"instances/{instance}/", {"state": "running"}).json() == OK
    assert api.until(instance, "running") < 60


@pytest.mark.slow
def test_a_refused_start_is_queued_and_runs_later_unless_cancelled(api: Api) -> None:
    instance = fated(api, "cached")
    api.until(instance, "running")
    path = f"instances/{instance}/"
    for cancel in (True, False):
        api("PUT", path, {"state": "stopped"})
        api.world.advance(20)
        api.world.fleet.refuse_starts = 1
        refused = api("PUT", path, {"state": "running"})
        assert refused.status_code == 200
        assert refused.json() == {
            "success": False,
            "error": "resources_unavailable",
            "msg": "Required resources are currently unavailable, state change queued.",
            "simulated": True,
        }
        assert states(api.show(instance)) == ("exited", "running", "stopped", "running")
        if cancel:
            api("PUT", path, {"state": "stopped"})
            api.world.advance(hours=200)
            assert states(api.show(instance))[:2] == ("exited", "stopped")
    api.until(instance, "running", step=600, most=30 * 86_400)


def test_gpus_of_a_stopped_instance_are_let_to_others(make: MakeApi) -> None:
    api = make()
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=30)
    api.world.account.credit = 1e6
    ids = [api.rent(offer) for offer in offers]
    api.world.advance(minutes=10)
    for number in ids:
        api("PUT", f"instances/{number}/", {"state": "stopped"})
    api.world.advance(hours=40)
    refused = 0
    for number in ids:
        answer = api("PUT", f"instances/{number}/", {"state": "running"}).json()
        refused += answer.get("error") == "resources_unavailable"
    assert 2 <= refused <= 28


def test_label_reboot_and_recycle(api: Api) -> None:
    instance = fated(api, "cached")
    api.until(instance, "running")
    assert api("PUT", f"instances/{instance}/", {"label": "new"}).json() == OK
    assert (api.show(instance) or {})["label"] == "new"
    assert api("PUT", f"instances/reboot/{instance}/", {}).json() == OK
    assert states(api.show(instance))[:2] == ("rebooting", "running")
    assert api.until(instance, "running") <= 30
    assert api("PUT", f"instances/recycle/{instance}/", {}).json() == OK
    assert states(api.show(instance))[0] == "loading"
    api.until(instance, "running")
    assert api("PUT", f"instances/{instance}/", {}).status_code == 400
    assert api("PUT", f"instances/{instance}/", {"state": "flying"}).status_code == 400


def test_destroyed_is_gone(api: Api) -> None:
    instance = api.rent()
    assert api("DELETE", f"instances/{instance}/", {}).json()["success"] is True
    assert api.show(instance) is None
    assert api("GET", "/api/v1/instances/").json()["instances"] == []
    again = api("DELETE", f"instances/{instance}/", {})
    assert (again.status_code, again.json()["error"]) == (404, "no_such_instance")
    truth = api.world.instances[instance]
    assert truth.destroyed is not None and truth.rate(api.world.elapsed()) == 0


def test_one_that_resurrects_comes_back_once_and_bills_meanwhile(api: Api) -> None:
    instance = fated(api, "resurrects")
    api.until(instance, "running")
    assert api("DELETE", f"instances/{instance}/", {}).json()["success"] is True
    assert api.show(instance) is None
    before = api.world.instances[instance].billed
    api.world.advance(60)
    assert states(api.show(instance))[0] == "running"
    assert api.world.instances[instance].billed > before
    api("DELETE", f"instances/{instance}/", {})
    api.world.advance(hours=1)
    assert api.show(instance) is None and api.world.billing == []


def test_several_are_managed_and_destroyed_at_once(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=2)
    ids = [api.rent(offer) for offer in offers]
    assert api("PUT", "instances/", {"ids": ids, "state": "stopped"}).json() == OK
    assert {states(api.show(i))[1] for i in ids} == {"stopped"}
    assert api("DELETE", "instances/", {"instance_ids": ids}).json()["success"] is True
    assert api("GET", "/api/v1/instances/").json()["total_instances"] == 0
    assert api("DELETE", "instances/", {"instance_ids": []}).status_code == 400


def test_nobody_sees_or_touches_anothers_instances(api: Api) -> None:
    instance = api.rent()
    other = Api(api.server, api.world.add_account().key)
    assert other.show(instance) is None
    assert other("DELETE", f"instances/{instance}/", {}).status_code == 404
    assert other("PUT", f"instances/{instance}/", {"state": "stopped"}).status_code == 404
    assert other("GET", "/api/v1/instances/").json()["instances"] == []


# -- the list


def test_the_list_comes_in_pages_of_25(api: Api) -> None:
    api.world.account.credit = 1e6
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=60)
    offers += api.search(rentable={"eq": True}, num_gpus={"eq": 2}, limit=60)
    ids = []
    for offer in offers:
        answer = api.create(offer, label="even" if len(ids) % 2 else "odd")
        if answer.status_code == 200:
            ids.append(answer.json()["new_contract"])
        if len(ids) == 55:
            break
    seen: list[int] = []
    token, sizes = None, []
    while True:
        params = {"limit": 100, "order_by": json.dumps([{"col": "label", "dir": "desc"}])}
        if token:
            params["after_token"] = token
        body = api("GET", "/api/v1/instances/", **params).json()
        seen += [row["id"] for row in body["instances"]]
        sizes.append(body["instances_found"])
        assert body["total_instances"] == 55
        assert body["label_counts"] == {"odd": 28, "even": 27}
        token = body["next_token"]
        if not token:
            break
    assert sizes == [25, 25, 5]
    assert sorted(seen) == sorted(ids) and len(set(seen)) == 55
    assert api("GET", "/api/v1/instances/", limit=0).json()["instances_found"] == 5


def test_the_list_is_filtered_and_cut_to_columns(api: Api) -> None:
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=2)
    first, second = (api.rent(o, label=name) for o, name in zip(offers, "ab", strict=True))
    body = api(
        "GET",
        "/api/v1/instances/",
        select_filters=json.dumps({"label": {"in": ["b"]}}),
        select_cols=json.dumps(["id", "label", "no_such"]),
    ).json()
    assert body["instances"] == [{"id": second, "label": "b", "no_such": None}]
    for params in (
        {"select_filters": json.dumps({"dph_total": {"lt": 1}})},
        {"select_filters": json.dumps({"label": {"like": "a"}})},
        {"select_filters": "{"},
        {"order_by": json.dumps([{"col": "no_such"}])},
        {"after_token": "rubbish"},
    ):
        answer = api("GET", "/api/v1/instances/", **params)
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_request", "invalid_token")
    assert first != second


def test_the_old_list_is_gone_in_each_of_its_ways(api: Api) -> None:
    api.rent()
    answers = {}
    for way in ("gone", "gone-200", "empty", "missing"):
        api.world.v0_list = way
        answers[way] = api("GET", "instances/", owner="me")
    assert answers["gone"].status_code == 410
    assert answers["gone"].json()["error"] == "deprecated_endpoint"
    assert answers["gone-200"].status_code == 200
    assert answers["gone-200"].json() == answers["gone"].json()
    assert answers["empty"].json() == {"instances": [], "simulated": True}
    assert "instances" not in answers["missing"].json()


def test_filters_lists_what_can_be_filtered(api: Api) -> None:
    instance = api.rent()
    api.until(instance, "running")
    record = api.show(instance)
    assert record is not None
    assert api("GET", "instances/filters/").json()["filters"] == [
        {name: record[name] for name in ("actual_status", "verification", "gpu_name")}
    ]


# -- logs


def test_logs_appear_a_little_later_and_refuse_an_authorization_header(
    api: Api, clock: ManualClock
) -> None:
    instance = fated(api, "cached")
    api.until(instance, "running")
    api.world.advance(minutes=30)
    body = api("PUT", f"instances/request_logs/{instance}/", {"tail": "5"}).json()
    visitor = Api(api.server, None)
    path = body["result_url"].removeprefix(api.server.url)
    assert visitor("GET", path).status_code == 404
    clock.advance(3)
    found = visitor("GET", path)
    assert found.status_code == 200 and len(found.text.splitlines()) == 5
    assert api("GET", path).status_code == 400
    missing = api("PUT", "instances/request_logs/1/", {})
    assert (missing.status_code, missing.json()["error"]) == (404, "invalid_id")


def test_logs_are_filtered_and_daemon_logs_are_others(api: Api, clock: ManualClock) -> None:
    instance = fated(api, "cached")
    api.world.advance(minutes=30)
    texts = []
    for body in ({"filter": "loss"}, {"daemon_logs": "true"}):
        url = api("PUT", f"instances/request_logs/{instance}/", body).json()["result_url"]
        clock.advance(3)
        texts.append(Api(api.server, None)("GET", url.removeprefix(api.server.url)).text)
    assert all("loss" in line for line in texts[0].splitlines())
    assert "simulated daemon log" in texts[1]
