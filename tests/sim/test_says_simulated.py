"""Whatever a user may see of it says that it is simulated."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from vastnb.clock import ManualClock
from vastnb.sim import Fault
from vastnb.sim.instances.lifecycle import FATES

from .conftest import Api, MakeApi, fated


def test_every_answer_does(api: Api) -> None:
    instance = api.rent()
    answers = [
        api("POST", "bundles/", {"limit": 1}),
        api("GET", "bundles/", q='{"limit": 1}'),
        api("PUT", "search/asks/", {"select_cols": ["id"], "q": {"limit": 1}}),
        api("POST", "bundles/", {"x": {"eq": 1}}),
        api("POST", "bundles/", {"limit": {}}),
        api("POST", "asks/bulk/", {"ids": [1]}),
        api("PUT", "launch_instance/", {"q": {"num_gpus": {"eq": 1}}, "image": "a", "disk": 9}),
        api.create(1),
        api.create(api.offer(), disk=1),
        api("GET", "/api/v1/instances/"),
        api("GET", "instances/"),
        api("GET", "instances/1/"),
        api("GET", f"instances/{instance}/"),
        api("PUT", f"instances/{instance}/", {"label": "x"}),
        api("PUT", f"instances/{instance}/", {"state": "x"}),
        api("PUT", f"instances/reboot/{instance}/", {}),
        api("PUT", f"instances/recycle/{instance}/", {}),
        api("PUT", f"instances/bid_price/{instance}/", {"price": 1}),
        api("PUT", f"instances/request_logs/{instance}/", {}),
        api("GET", "users/current/"),
        Api(api.server, None)("GET", "users/current/"),
        Api(api.server, "bad")("GET", "users/current/"),
        api("GET", "template/"),
        api("GET", "gpu_types/"),
        api("GET", "gpu_names/unique/"),
        api("GET", "metrics/gpu/current/"),
        api("GET", "metrics/gpu/history/"),
        api("GET", "ssh/"),
        api("GET", "charges/"),
        api("DELETE", f"instances/{instance}/"),
        api("GET", "/no/such/path/"),
        api("PATCH", "users/current/"),
    ]
    for answer in answers:
        assert answer.headers["X-Vastnb-Simulated"] == "1", answer.url
        body = answer.json()
        told = body[0] if isinstance(body, list) else body
        assert told["simulated"] is True, answer.url
        if answer.status_code >= 400:
            assert "simulated" in body["msg"], answer.url


def test_an_error_page_and_a_spent_quota_do(make: MakeApi) -> None:
    api = make(quota=0)
    assert "simulated" in api("POST", "bundles/", {}).json()["msg"]
    api.server.faults.add(Fault("*", "502", nth=1))
    assert "simulated" in api("GET", "users/current/").text


@pytest.mark.slow
@pytest.mark.parametrize("fate", FATES)
def test_every_status_message_does(api: Api, fate: Any) -> None:
    instance = fated(api, fate, price=120.0) if "outbid" in fate else fated(api, fate)
    seen = set()
    for _ in range(120):
        api.world.advance(10)
        seen.add((api.show(instance) or {}).get("status_msg"))
    assert seen - {None}
    assert all("(simulated)" in message for message in seen - {None})


def test_every_line_of_a_log_does(api: Api, clock: ManualClock) -> None:
    instance = fated(api, "cached", onstart="python train.py")
    for up in (False, True):
        if up:
            api.until(instance, "running")
            api.world.advance(minutes=5)
        for daemon in ("true", ""):
            body = {"daemon_logs": daemon, "tail": "100"}
            url = api("PUT", f"instances/request_logs/{instance}/", body).json()["result_url"]
            assert "simulated" in url
            assert "simulated" in requests.get(url, timeout=5).text
            clock.advance(5)
            lines = requests.get(url, timeout=5).text.splitlines()
            assert lines and all("simulated" in line for line in lines), lines


def test_accounts_hosts_templates_and_names_do(api: Api) -> None:
    user = api("GET", "users/current/").json()
    assert all("simulated" in user[name].lower() for name in ("email", "username", "fullname"))
    assert "simulated" in api.server.api_key
    record = api.show(api.rent())
    assert record is not None and "simulated" in record["ssh_host"]
    made = api.create(api.offer()).json()
    assert "simulated" in made["instance_api_key"]
    assert all("simulated" in t["name"] for t in api("GET", "template/").json()["templates"])
    assert "simulated" in repr(api.server) and "simulated" in repr(api.world)
    assert "simulated" in repr(api.world.account)
