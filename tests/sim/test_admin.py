"""The admin routes: for whoever runs the simulation, on this machine, with the token."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from .conftest import OK, Api


def admin(api: Api, method: str, path: str, body: Any = None, token: str | None = "") -> Any:
    token = api.server.admin_token if token == "" else token
    headers = {"X-Vastnb-Sim-Admin": token} if token else {}
    url = f"{api.server.url}/simulated/{path}"
    return requests.request(method, url, json=body, headers=headers, timeout=10)


@pytest.mark.parametrize("token", [None, "wrong", "é"])
def test_without_the_token_nothing_can_be_done(api: Api, token: str | None) -> None:
    header = token.encode("utf-8").decode("latin-1") if token else None
    for method, path in (("POST", "faults/"), ("POST", "advance/"), ("GET", "instances/")):
        assert admin(api, method, path, {}, header).status_code == 403
    assert len(api.server.faults) == 0


def test_an_api_key_is_no_admin_token(api: Api) -> None:
    assert admin(api, "GET", "instances/", token=api.server.api_key).status_code == 403


def test_mishaps_are_planned_from_outside(api: Api) -> None:
    plan = [{"endpoint": "show_user", "kind": "503", "nth": 1}]
    assert admin(api, "POST", "faults/", plan).json() == {**OK, "planned": 1}
    assert api("GET", "users/current/").status_code == 503
    assert api("GET", "users/current/").status_code == 200
    assert admin(api, "PUT", "faults/", {"rate": 1.0}).status_code == 200
    assert admin(api, "GET", "instances/").status_code == 200, "admin calls never fail"
    assert admin(api, "DELETE", "faults/").status_code == 200
    assert api("GET", "users/current/").status_code == 200
    assert admin(api, "POST", "faults/", {"kind": "explode"}).status_code == 400
    assert admin(api, "PUT", "faults/", {"rate": 2}).status_code == 400


def test_time_is_advanced_from_outside(api: Api) -> None:
    before = api.world.now()
    answer = admin(api, "POST", "advance/", {"minutes": 7})
    assert answer.json()["now"] == api.world.now() == before + 420
    assert admin(api, "POST", "advance/", {"minutes": -7}).status_code == 400
    assert admin(api, "POST", "advance/", {"parsecs": 12}).status_code == 400


def test_the_truth_is_shown_with_what_was_billed(api: Api) -> None:
    assert admin(api, "POST", "fates/", {"fates": ["stuck"]}).status_code == 200
    instance = api.rent(env={"MARK": "m"})
    api.world.advance(hours=1)
    rows = admin(api, "GET", "instances/").json()["instances"]
    assert [row["id"] for row in rows] == [instance]
    assert rows[0]["fate"] == "stuck" and rows[0]["env"] == [["MARK", "m"]]
    assert rows[0]["billed"] > 0 and rows[0]["destroyed"] is None
    assert api.server.api_key not in str(rows)
    assert admin(api, "POST", "fates/", {"fates": ["glory"]}).status_code == 400
