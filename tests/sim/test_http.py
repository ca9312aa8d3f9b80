"""The HTTP side: gates, headers, connections, and the error bodies of the real service."""

from __future__ import annotations

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from vastnb.sim import Server
from vastnb.sim.server import ROUTES

from .conftest import OK, SMALL, Api, MakeApi


def test_every_answer_says_that_it_is_simulated(api: Api) -> None:
    answers = [
        api("POST", "bundles/", {"limit": 1}),
        api("POST", "bundles/", {"limit": "x"}),
        api("POST", "bundles", {}),
        api("GET", "users/current/"),
        api("GET", "nowhere/"),
        api("PATCH", "bundles/"),
        Api(api.server, "wrong")("GET", "users/current/"),
    ]
    assert [a.status_code for a in answers] == [200, 400, 301, 200, 404, 405, 404]
    assert all(answer.headers["X-Vastnb-Simulated"] == "1" for answer in answers)
    assert "simulated" in api.server.api_key and "simulated" in repr(api.server)
    assert answers[3].json()["simulated"] is True


def test_a_missing_slash_is_redirected_and_turns_a_post_into_a_get(api: Api) -> None:
    answer = api("POST", "bundles", {"limit": 2})
    assert answer.status_code == 301
    assert answer.headers["Location"] == api.server.url + "/api/v0/bundles/"
    followed = api.session.post(api.server.url + "/api/v0/bundles", json={"limit": 2}, timeout=10)
    assert followed.request.method == "GET" and len(followed.json()["offers"]) > 2
    got = api.session.get(api.server.url + "/api/v0/users/current?x=1", timeout=10)
    assert got.json()["id"] == api.world.account.user_id


def test_a_bad_key_comes_as_404_even_where_none_is_needed(api: Api) -> None:
    bad = Api(api.server, "no-such-key")
    for answer in (bad("GET", "users/current/"), bad("POST", "bundles/", {})):
        assert answer.status_code == 404
        assert answer.json() == {
            "success": False,
            "error": "auth_error",
            "msg": "Invalid user key (simulated)",
            "simulated": True,
        }


def test_without_a_key_only_looking_is_allowed(api: Api) -> None:
    visitor = Api(api.server, None)
    assert visitor("POST", "bundles/", {}).status_code == 200
    assert visitor("GET", "gpu_types/").status_code == 200
    assert visitor("GET", "template/").status_code == 200
    for method, path in (("GET", "users/current/"), ("PUT", "asks/5/"), ("GET", "instances/5/")):
        answer = visitor(method, path, {} if method == "PUT" else None)
        assert (answer.status_code, answer.json()["error"]) == (403, "auth_error")


def test_a_key_in_the_query_string_counts_too(api: Api) -> None:
    answer = Api(api.server, None)("GET", "users/current/", api_key=api.server.api_key)
    assert answer.json()["id"] == api.world.account.user_id


def test_the_connection_is_kept(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", int(api.server.url.rsplit(":", 1)[1]))) as line:
        stream = line.makefile("rb")
        body = b'{"limit": 1}'
        for _ in range(3):
            line.sendall(
                b"POST /api/v0/bundles/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            assert stream.readline().startswith(b"HTTP/1.1 200")
            length = 0
            while header := stream.readline().strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            assert len(json.loads(stream.read(length))["offers"]) == 1


def test_closing_the_server_ends_kept_connections_and_threads(clock: Any) -> None:
    before = set(threading.enumerate())
    server = Server(clock=clock, limits=None, machines=SMALL)
    api = Api(server)
    api("GET", "users/current/")
    server.close()
    server.close()
    with pytest.raises(requests.ConnectionError):
        api("GET", "users/current/")
    after = set(threading.enumerate()) - before
    assert not [t for t in after if t.name == "vastnb-sim" and t.is_alive()]


def test_two_servers_do_not_meet(make: MakeApi) -> None:
    one, two = make(seed=1), make(seed=2)
    assert one.server.api_key != two.server.api_key
    one.rent()
    assert two.world.instances == {}
    assert Api(two.server, one.server.api_key)("GET", "users/current/").status_code == 404


def test_many_threads_get_their_answers(api: Api) -> None:
    def work(number: int) -> int:
        mine = Api(api.server)
        for _ in range(15):
            rows = mine.search(limit=20, order=[["dph_total", "asc"]])
            assert len(rows) == 20
        return number

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(8))
    assert api.server.calls("search_offers") == 120
    assert api.server.statuses == {200: 120}


def test_what_arrived_can_be_looked_at(api: Api) -> None:
    api.search(limit=3)
    assert api.server.calls() == 1
    seen = api.server.seen[0]
    assert (seen.endpoint, seen.status, seen.body) == ("search_offers", 200, {"limit": 3})


def test_a_failing_handler_is_a_500_and_not_the_end(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(api.world, "search", fail)
    answer = api("POST", "bundles/", {})
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert api("GET", "users/current/").status_code == 200


def test_every_endpoint_of_the_package_is_answered() -> None:
    from vastnb.api.endpoints import ENDPOINTS

    served = {(route.name, route.method, route.path) for route in ROUTES}
    assert {(e.name, e.method, e.path) for e in ENDPOINTS.values()} <= served


def test_ssh_keys_come_and_go(api: Api) -> None:
    (first,) = api("GET", "ssh/").json()
    assert api("DELETE", f"ssh/{first['id']}/").json() == OK
    none = api("GET", "ssh/")
    assert none.status_code == 404
    assert none.json()["msg"] == "No SSH keys found for the user. (simulated)"
    assert api("POST", "ssh/", {}).json()["error"] == "no_ssh_key"
    key = api("POST", "ssh/", {"ssh_key": "ssh-ed25519 AAAA simulated"}).json()["key"]
    assert [row["key"] for row in api("GET", "ssh/").json()] == ["ssh-ed25519 AAAA simulated"]
    assert api("DELETE", f"ssh/{key['id']}/").json() == OK
    assert api("DELETE", f"ssh/{key['id']}/").status_code == 404


def test_templates_are_found_added_and_removed(api: Api) -> None:
    rows = api("GET", "template/").json()["templates"]
    assert len(rows) >= 5 and all("simulated" in row["name"] for row in rows)
    body = {"name": "mine", "image": "me/x", "private": True}
    made = api("POST", "template/", body).json()["template"]
    filters = json.dumps({"hash_id": {"eq": made["hash_id"]}})
    assert api("GET", "template/", select_filters=filters).json()["templates"] == [made]
    assert (
        Api(api.server, None)("GET", "template/", select_filters=filters).json()["templates"] == []
    )
    assert api("POST", "template/", {"name": "x"}).status_code == 400
    assert api("DELETE", "template/", {"hash_id": made["hash_id"]}).status_code == 200
    assert api("DELETE", "template/", {"hash_id": rows[0]["hash_id"]}).status_code == 404


def shape(value: Any) -> Any:
    """Reduce a body to the names and types in it."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    return type(value).__name__ if not isinstance(value, (int, float)) else "number"


def test_error_bodies_have_the_recorded_names_and_types(api: Api, recorded_dir: Any) -> None:
    recorded = json.loads((recorded_dir / "data" / "http_errors.json").read_text())
    offer = api.offer()
    instance = api.rent(offer)
    gone = api.create(offer)
    api.world.fleet.refuse_starts = 1
    api("PUT", f"instances/{instance}/", {"state": "stopped"})
    api.world.fleet.expect("created-stopped")
    api.server.faults.add(_fault("429", 1))
    api.server.faults.add(_fault("quota", 2))
    stopped = api.create(api.offer(num_gpus={"eq": 1}), cancel_unavail=False)
    api.world.account.ssh_keys.clear()
    mine = {
        "429 token bucket": api("POST", "bundles/", {}),
        "429 daily search quota": api("POST", "bundles/", {}),
        "GET /api/v0/instances/ deprecated": api("GET", "instances/"),
        "bad key": Api(api.server, "x")("GET", "users/current/"),
        "PUT asks: offer gone": gone,
        "PUT asks: offer not found": api.create(1),
        "PUT asks: bid created but stopped": stopped,
        "PUT asks: ok": api.create(api.offer(num_gpus={"eq": 1})),
        "PUT instances/{id} state=running": api(
            "PUT", f"instances/{instance}/", {"state": "running"}
        ),
        "DELETE/PUT unknown instance": api("DELETE", "instances/1/"),
        "GET unknown/destroyed instance": api("GET", "instances/1/"),
        "search with scalar filter values": api("POST", "bundles/", {"gpu_name": "x"}),
        "search with limit as dict": api("POST", "bundles/", {"limit": {}}),
        "account has no ssh keys": api("GET", "ssh/"),
    }
    api("PUT", f"instances/{instance}/", {"state": "stopped"})
    api.world.account.credit = 0.0
    mine["no credit"] = api("PUT", f"instances/{instance}/", {"state": "running"})
    compared = 0
    for row in recorded:
        for when, answer in mine.items():
            if not row["when"].startswith(when):
                continue
            compared += 1
            assert answer.status_code == row["status"], when
            expected = dict(row["body"])
            if when == "429 daily search quota":
                expected["retry_after"] = 1
            assert shape(answer.json()) == shape({**expected, "simulated": True}), when
    assert compared == len(mine) == len(recorded) - 1  # the plain text form is tested apart


def _fault(kind: Any, nth: int) -> Any:
    from vastnb.sim import Fault

    return Fault("search_offers", kind, nth=nth + 1)


def test_instance_records_have_the_recorded_fields_and_types(api: Api, recorded_dir: Any) -> None:
    recorded = json.loads((recorded_dir / "data" / "instances_7_states.json").read_text())
    whole = [row for row in recorded if len(row) > 80]
    names = {name for row in whole for name in row if not name.startswith("_")}
    offers = api.search(rentable={"eq": True}, num_gpus={"eq": 1}, limit=2)
    up = api.rent(offers[0])
    api.until(up, "running")
    records = [api.show(up), api.show(api.rent(offers[1]))]
    mine = {name for record in records if record for name in record}
    assert names - mine == set()
    for name in sorted(names - {"extra_env", "search", "instance", "ports", "duration"}):
        known = {type(row[name]) for row in whole if row.get(name) is not None}
        known |= {int} if float in known else set()
        known |= {float} if int in known else set()
        for record in records:
            assert record is not None
            value = record.get(name)
            assert value is None or not known or type(value) in known, (name, value)
