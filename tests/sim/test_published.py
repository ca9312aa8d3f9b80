"""Requests and answers held against the published reference, wherever it is at hand and right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import vastnb
from tests.official import Official
from vastnb.sim import Server

from .conftest import Api
from .reference import CORRECTIONS, UNPUBLISHED, Heard, Reference, Wiretap

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def path(recorded_dir: Path) -> Path:
    file = recorded_dir / "openapi.yaml"
    if not file.is_file():
        pytest.skip(f"no recorded answers in {file} (set VASTNB_RECORDED)")
    return file


@pytest.fixture(scope="module")
def reference(path: Path) -> Reference:
    pytest.importorskip("openapi_core", reason="openapi-core is not installed")
    return Reference(path)


@pytest.fixture(scope="module")
def operations(reference: Reference) -> dict[str, Any]:
    return reference.paths


def talk(api: Api) -> None:
    """Make every call, in good ways and in bad ones."""
    day = json.dumps({"day": {"gte": 0, "lte": 4e9}})
    api("POST", "bundles/", {"limit": 30})
    api("POST", "bundles/", {"no_such": {"eq": 1}})
    Api(api.server, "bad")("POST", "bundles/", {})
    offer = api.offer()
    api.create(offer, label="x")
    api.create(offer)
    api.create(1)
    api.create(offer, disk=1)
    api.world.fleet.expect("forbidden")
    api.create(offer)
    (instance,) = api.world.instances
    one = f"instances/{instance}/"
    api("GET", one)
    api("GET", "/api/v1/instances/")
    api.until(instance, "running")
    api("GET", one)
    api("GET", "/api/v1/instances/")
    api("GET", "/api/v1/instances/", after_token="x")
    api("PUT", one, {"label": "y"})
    api("PUT", one, {"state": "x"})
    api("PUT", "instances/1/", {"state": "stopped"})
    api("PUT", f"instances/reboot/{instance}/", {})
    api("PUT", f"instances/recycle/{instance}/", {})
    bid = {"client_id": "me", "price": 9.0}
    api("PUT", f"instances/bid_price/{instance}/", bid)
    api("PUT", "instances/bid_price/1/", bid)
    api("PUT", f"instances/request_logs/{instance}/", {"tail": "9"})
    api("PUT", "instances/request_logs/1/", {})
    api("GET", "charges/", select_filters=day)
    api("GET", "charges/")
    Api(api.server, None)("GET", "charges/")
    api("GET", "users/current/")
    api.world.account.ssh_keys.clear()
    api("GET", "ssh/")
    api("POST", "ssh/", {"ssh_key": "ssh-ed25519 AAAA"})
    api("POST", "ssh/", {})
    api("GET", "ssh/")
    api("POST", "template/", {"name": "n", "image": "i"})
    api("GET", "metrics/gpu/current/")
    api("GET", "metrics/gpu/history/")
    api("DELETE", one)
    api("DELETE", one)


def complaints(reference: Reference, heard: list[Heard]) -> list[str]:
    return sorted({text for one in heard for text in reference.complaints(one)})


def test_requests_and_answers_are_as_published(api: Api, reference: Reference) -> None:
    with Wiretap(api.server) as tap:
        talk(api)
    assert complaints(reference, tap.heard) == []
    assert len(tap.heard) > 40
    answers = {call.rsplit(" ", 1)[1] for call in reference.checked}
    assert answers >= {"200", "400", "403", "404", "410"}


OFFICIAL = """\
search offers|num_gpus=1 gpu_ram>=8
search offers|num_gpus=1|--type|bid|--limit|5|-o|dph-
create instance|{0}|--image|ubuntu|--disk|20|--env|-e A=b -p 80:80|--ssh|--direct|--label|x
create instance|{1}|--image|ubuntu|--bid_price|3|--onstart-cmd|echo
create instances|{2}|{3}|--image|ubuntu|--disk|10
show instances
show instance|{a}
label instance|{a}|hello
reboot instance|{a}
recycle instance|{a}
stop instance|{a}
start instance|{a}
change bid|{b}|--price|2
logs|{a}
show user
search templates
create template|--name|n|--image|ubuntu
create ssh-key|ssh-ed25519 AAAA|-y
show ssh-keys
show gpu-metrics
show invoices-v1|--charges
launch instance|-g|RTX_3090|-n|1|-i|ubuntu
destroy instance|{a}|-y
destroy instances|{b}|-y
"""


@pytest.fixture(scope="module")
def said_by_clients(tmp_path_factory: pytest.TempPathFactory) -> list[Heard]:
    """What the official client and this package's own say to a service, and what it answers."""
    pytest.importorskip("vastai", reason="the official client is not installed")
    home = str(tmp_path_factory.mktemp("home"))
    with Server(seed=2, limits=None, machines=400, credit=500) as server:
        names: dict[str, int] = {}
        free = server.world.search(
            {"num_gpus": {"eq": 1}, "rentable": {"eq": True}, "verified": {"eq": True}}
        )
        offers = [row["id"] for row in free.to_rows()]
        with Official(server.url, server.api_key, home) as official, Wiretap(server) as tap:
            Api(server, None).search(limit=1)
            for line in OFFICIAL.splitlines():
                verb, *words = line.format(*offers, **names).split("|")
                done = official(*verb.split(), *words)
                assert done.returncode == 0, (line, done.stdout, done.stderr)
                names = dict(zip("ab", server.world.instances, strict=False))
                server.world.advance(minutes=2)
            with vastnb.Client(server.api_key, base_url=server.url, cache=None) as client:
                client.search_offers("gpu_name=RTX_4090 dph<5", type="bid", limit=3)
                client.show_user()
                client.search_templates()
                client.gpu_types()
            Api(server)("GET", "/api/v1/instances/")
    return tap.heard


def test_clients_speak_as_published(said_by_clients: list[Heard], reference: Reference) -> None:
    assert complaints(reference, said_by_clients) == []
    assert len(said_by_clients) > 35


@pytest.mark.parametrize("place", CORRECTIONS)
def test_the_reference_is_corrected_only_where_it_is_wrong(
    place: str, said_by_clients: list[Heard], path: Path
) -> None:
    wrong = complaints(Reference(path, without=place), said_by_clients)
    assert wrong, f"no longer needed: {place}: {CORRECTIONS[place][1]}"


def test_what_is_called_unpublished_is(operations: dict[str, Any]) -> None:
    for call in UNPUBLISHED:
        method, path = call.split()
        assert method.lower() not in operations.get(path.rstrip("/"), {}), call


def test_the_published_example_offer_has_no_column_that_we_lack(
    api: Api, operations: dict[str, Any]
) -> None:
    answer = operations["/api/v0/bundles"]["post"]["responses"]["200"]
    example = answer["content"]["application/json"]["example"]["offers"]
    (row,) = api.search(limit=1)
    assert set(example) <= set(row)
    for name in ("search", "instance"):
        assert set(example[name]) <= set(row[name])


def test_every_published_filter_is_understood(api: Api, operations: dict[str, Any]) -> None:
    body = operations["/api/v0/bundles"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    for name, schema in properties.items():
        if schema.get("type") == "object":
            api.search(**{name: {"neq": None}}, limit=1)
    for kind in ("ondemand", "on-demand", "bid", "reserved"):
        api.search(type=kind, limit=1)
