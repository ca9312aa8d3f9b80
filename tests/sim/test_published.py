"""Answers held against the published reference, wherever it is at hand and right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import Api

jsonschema = pytest.importorskip("jsonschema")
yaml = pytest.importorskip("yaml")

# Fields that the reference describes otherwise than the service (and, at times, than itself).
WRONG = {
    ("Instance", "ports"): "a list in one place, an object in another; recorded: an object",
}


@pytest.fixture(scope="module")
def published(recorded_dir: Path) -> dict[str, Any]:
    path = recorded_dir / "openapi.yaml"
    if not path.is_file():
        pytest.skip(f"no recorded answers in {path} (set VASTNB_RECORDED)")
    document: dict[str, Any] = yaml.load(
        path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return document


def check(published: dict[str, Any], method: str, path: str, answer: Any) -> None:
    """Check an answer against the schema that is published for its status."""
    operation = published["paths"][path][method]
    described = operation["responses"].get(str(answer.status_code))
    assert described is not None, f"{method} {path} is not said to answer {answer.status_code}"
    content = described.get("content", {}).get("application/json", {})
    if "schema" not in content:
        return
    for name, field in WRONG:
        published["components"]["schemas"][name]["properties"].pop(field, None)
    schema = {**_nullable(content["schema"]), "components": _nullable(published["components"])}
    jsonschema.Draft202012Validator(schema).validate(answer.json())


def _nullable(schema: Any) -> Any:
    """Let null stand for any type: the reference forgets it nearly everywhere."""
    if isinstance(schema, list):
        return [_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {name: _nullable(part) for name, part in schema.items()}
    kind = schema.get("type")
    if isinstance(kind, str) and kind != "object":
        changed["type"] = [kind, "null"]
    return changed


def calls(api: Api) -> Iterator[tuple[str, str, Any]]:
    day = json.dumps({"day": {"gte": 0, "lte": 4e9}})
    yield "post", "/api/v0/bundles", api("POST", "bundles/", {"limit": 30})
    yield "post", "/api/v0/bundles", api("POST", "bundles/", {"no_such": {"eq": 1}})
    yield "post", "/api/v0/bundles", Api(api.server, "bad")("POST", "bundles/", {})
    offer = api.offer()
    yield "put", "/api/v0/asks/{id}", api.create(offer, label="x")
    yield "put", "/api/v0/asks/{id}", api.create(offer)
    yield "put", "/api/v0/asks/{id}", api.create(1)
    yield "put", "/api/v0/asks/{id}", api.create(offer, disk=1)
    api.world.fleet.expect("forbidden")
    yield "put", "/api/v0/asks/{id}", api.create(offer)
    (instance,) = api.world.instances
    one = f"instances/{instance}/"
    yield "get", "/api/v0/instances/{id}", api("GET", one)
    yield "get", "/api/v1/instances", api("GET", "/api/v1/instances/")
    api.until(instance, "running")
    yield "get", "/api/v0/instances/{id}", api("GET", one)
    yield "get", "/api/v1/instances", api("GET", "/api/v1/instances/")
    yield "get", "/api/v1/instances", api("GET", "/api/v1/instances/", after_token="x")
    yield "put", "/api/v0/instances/{id}", api("PUT", one, {"label": "y"})
    yield "put", "/api/v0/instances/{id}", api("PUT", one, {"state": "x"})
    yield "put", "/api/v0/instances/{id}", api("PUT", "instances/1/", {"state": "stopped"})
    yield "put", "/api/v0/instances/reboot/{id}", api("PUT", f"instances/reboot/{instance}/", {})
    yield "put", "/api/v0/instances/recycle/{id}", api("PUT", f"instances/recycle/{instance}/", {})
    bid = {"client_id": "me", "price": 9.0}
    yield (
        "put",
        "/api/v0/instances/bid_price/{id}",
        api("PUT", f"instances/bid_price/{instance}/", bid),
    )
    yield "put", "/api/v0/instances/bid_price/{id}", api("PUT", "instances/bid_price/1/", bid)
    logs = "/api/v0/instances/request_logs/{id}"
    yield "put", logs, api("PUT", f"instances/request_logs/{instance}/", {"tail": "9"})
    yield "put", logs, api("PUT", "instances/request_logs/1/", {})
    yield "get", "/api/v0/charges", api("GET", "charges/", select_filters=day)
    yield "get", "/api/v0/charges", api("GET", "charges/")
    yield "get", "/api/v0/charges", Api(api.server, None)("GET", "charges/")
    yield "get", "/api/v0/users/current", api("GET", "users/current/")
    yield "get", "/api/v0/ssh", api("GET", "ssh/")
    yield "post", "/api/v0/ssh", api("POST", "ssh/", {"ssh_key": "ssh-ed25519 AAAA"})
    yield "post", "/api/v0/ssh", api("POST", "ssh/", {})
    yield "get", "/api/v0/ssh", api("GET", "ssh/")
    yield "post", "/api/v0/template", api("POST", "template/", {"name": "n", "image": "i"})
    yield "get", "/api/v0/metrics/gpu/current", api("GET", "metrics/gpu/current/")
    yield "get", "/api/v0/metrics/gpu/history", api("GET", "metrics/gpu/history/")
    yield "get", "/api/v0/metrics/gpu/locations", api("GET", "metrics/gpu/locations/")
    yield "delete", "/api/v0/instances/{id}", api("DELETE", one)
    yield "delete", "/api/v0/instances/{id}", api("DELETE", one)


def test_answers_are_as_published(api: Api, published: dict[str, Any]) -> None:
    checked = 0
    for method, path, answer in calls(api):
        try:
            check(published, method, path, answer)
        except jsonschema.ValidationError as wrong:
            raise AssertionError(
                f"{method} {path} {answer.status_code}: {wrong.json_path}: {wrong.message[:300]}"
            ) from None
        checked += 1
    assert checked > 30


def test_the_published_example_offer_has_no_column_that_we_lack(
    api: Api, published: dict[str, Any]
) -> None:
    answer = published["paths"]["/api/v0/bundles"]["post"]["responses"]["200"]
    example = answer["content"]["application/json"]["example"]["offers"]
    (row,) = api.search(limit=1)
    assert set(example) <= set(row)
    for name in ("search", "instance"):
        assert set(example[name]) <= set(row[name])


def test_every_published_filter_is_understood(api: Api, published: dict[str, Any]) -> None:
    body = published["paths"]["/api/v0/bundles"]["post"]["requestBody"]
    properties = body["content"]["application/json"]["schema"]["properties"]
    for name, schema in properties.items():
        if schema.get("type") == "object":
            api.search(**{name: {"neq": None}}, limit=1)
    for kind in ("ondemand", "on-demand", "bid", "reserved"):
        api.search(type=kind, limit=1)
