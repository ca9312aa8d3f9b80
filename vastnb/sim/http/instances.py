"""Routes about instances: create, list, show, manage, destroy, bid, reboot, logs."""

from __future__ import annotations

import json
import math
from typing import Any

from vastnb.sim.http.exchange import Call, Reply, Route
from vastnb.sim.http.logs import request_logs, result_file
from vastnb.sim.http.paging import page, select
from vastnb.sim.instances import orders
from vastnb.sim.instances.instance import Instance
from vastnb.sim.market.search import find, parse
from vastnb.sim.refusal import Failure

PAGE = 25
BULK = 64
COMPUTED = frozenset(
    [
        "dph_total",
        "dph_base",
        "num_gpus",
        "gpu_util",
        "gpu_temp",
        "cpu_util",
        "duration",
        "search",
        "instance",
        "storage_total_cost",
        "dlperf_per_dphtotal",
        "flops_per_dphtotal",
        "ports",
        "extra_env",
    ]
)
"""Columns of an instance that cannot be filtered or sorted by."""


def _template(call: Call, body: Any) -> dict[str, Any] | None:
    wanted = body.get("template_hash_id") or body.get("template_id")
    if not wanted:
        return None
    for row in call.world.templates:
        if wanted in (row["hash_id"], row["id"]):
            return row
    raise Failure(400, "invalid_args", f"error 400/3490: No template {wanted!r}.")


def _rent(call: Call, offer_id: int, body: Any) -> dict[str, Any]:
    order = orders.read(body, _template(call, body), offer_id)
    return call.world.fleet.rent(call.owner, offer_id, order, call.world.elapsed())


def create(call: Call) -> Reply:
    """PUT /asks/{id}/."""
    return Reply(_rent(call, call.path["id"], call.fields()))


def create_bulk(call: Call) -> Reply:
    """POST /asks/bulk/: the same for up to 64 offers, each by itself."""
    body = dict(call.fields())
    ids = body.pop("ids", None)
    if not (isinstance(ids, list) and all(isinstance(i, int) for i in ids) and ids):
        raise Failure(400, "invalid_args", "error 400/3467: Invalid args: 'ids' must be a list")
    if len(ids) > BULK:
        raise Failure(400, "invalid_args", f"error 400/3467: at most {BULK} ids")
    results = []
    for offer_id in ids:
        try:
            results.append({"ask_id": offer_id, **_rent(call, offer_id, body)})
        except Failure as failure:
            results.append({"ask_id": offer_id, **failure.body})
    made = [result["new_contract"] for result in results if "new_contract" in result]
    return Reply(
        {
            "success": all(result["success"] for result in results),
            "new_contracts": made,
            "results": results,
        }
    )


def launch(call: Call) -> Reply:
    """PUT /launch_instance/: search, and rent the first that can be had."""
    body = dict(call.fields())
    world = call.world
    search = parse(body.get("q") or {})
    # The service searches inside, where no cap applies.
    found = find(search, world.market.listings(), now=world.today(), cap=None, rng=world.rng())
    for listing, _ in found.rows[:5]:
        try:
            return Reply(_rent(call, listing.id, body))
        except Failure as failure:
            if failure.status not in (404, 410):
                raise
    raise Failure(404, "no_offers", "No offers match.", message="No offers match (simulated).")


# -- looking


def _records(call: Call) -> list[dict[str, Any]]:
    return [_record(call, instance) for instance in call.world.fleet.of(call.owner)]


def _record(call: Call, instance: Instance) -> dict[str, Any]:
    world = call.world
    record = instance.record(world.elapsed(), world.opened())
    record["extra_env"] = _shaped(record["extra_env"], world.fleet.env_shape)
    return world.doors.show(instance, record) if world.doors else record


def _shaped(env: list[list[str]], shape: str) -> Any:
    """Return an environment in one of the forms in which lists give it back."""
    if shape == "null":
        return None
    if shape == "texts":
        return [f"{name}={value}" for name, value in env]
    if shape == "object":
        return dict(env)
    return json.dumps(env) if shape == "json" else env


def contracts(call: Call) -> Reply:
    """POST /contracts/fetch/: the contracts with a label."""
    label = call.fields().get("label")
    rows = [
        {"id": one.id, "label": one.label, "machine_id": one.offer.get("machine_id")}
        for one in call.world.fleet.of(call.owner)
        if one.label == label
    ]
    return Reply({"success": True, "contracts": rows})


def _limit(call: Call, default: int, most: int) -> int:
    try:
        limit = int(call.params.get("limit", default))
    except ValueError:
        raise Failure(400, "invalid_request", "limit: Input should be a valid integer") from None
    return 5 if limit <= 0 else min(limit, most)


def list_v1(call: Call) -> Reply:
    """GET /api/v1/instances/: in pages of 25, with filters, order and columns."""
    rows = _records(call)
    known = set(rows[0]) if rows else set()
    filters = call.json_param("select_filters", {})
    plain = known - COMPUTED if rows else None
    matching = select(rows, filters, allowed=plain)
    counts: dict[str, int] = {}
    for row in matching:
        counts[row["label"] or ""] = counts.get(row["label"] or "", 0) + 1
    chosen, token = page(
        matching,
        order_by=call.json_param("order_by", []),
        after=call.params.get("after_token"),
        limit=_limit(call, PAGE, PAGE),
        columns=plain,
    )
    columns = call.json_param("select_cols", ["*"])
    if not isinstance(columns, list):
        raise Failure(400, "invalid_request", "Error in query parameters: select_cols")
    if "*" not in columns:
        chosen = [{name: row.get(name) for name in columns} for row in chosen]
    return Reply(
        {
            "success": True,
            "instances_found": len(chosen),
            "total_instances": len(matching),
            "label_counts": counts,
            "next_token": token,
            "instances": chosen,
        }
    )


def list_v0(call: Call) -> Reply:
    """GET /api/v0/instances/: no longer there, in one of the ways that were seen."""
    gone = {
        "success": False,
        "error": "deprecated_endpoint",
        "msg": "/api/v0/instances/ is deprecated. Use /api/v1/instances/ instead. (simulated)",
    }
    way = call.world.v0_list
    if way == "empty":
        return Reply({"instances": []})
    if way == "missing":
        return Reply({"success": True})
    return Reply(gone, 200 if way == "gone-200" else 410)


def show(call: Call) -> Reply:
    """GET /instances/{id}/: null for what does not exist."""
    instance = call.world.fleet.get(call.owner, call.path["id"])
    if instance is None:
        return Reply({"instances": None})
    return Reply({"instances": _record(call, instance)})


def filters(call: Call) -> Reply:
    """GET /instances/filters/: the values that can be filtered by."""
    names = ("actual_status", "verification", "gpu_name")
    values = {tuple(row.get(name) for name in names) for row in _records(call)}
    return Reply(
        {
            "success": True,
            "filters": [dict(zip(names, value, strict=True)) for value in sorted(values, key=str)],
        }
    )


# -- changing


def _instance(call: Call, instance_id: Any) -> Instance:
    instance = call.world.fleet.get(call.owner, instance_id)
    if instance is None:
        raise Failure(404, "no_such_instance", f"Instance {instance_id} not found.")
    return instance


def _apply(call: Call, instance: Instance, body: Any) -> dict[str, Any]:
    elapsed, fleet = call.world.elapsed(), call.world.fleet
    if "label" in body:
        label = body["label"]
        if label is not None and (not isinstance(label, str) or len(label) > 1024):
            raise Failure(400, "invalid_args", "label must be text of at most 1024 characters")
        instance.label = label or None
    state = body.get("state")
    if state == "running":
        return fleet.begin(call.owner, instance, elapsed)
    if state == "stopped":
        fleet.stop(instance, elapsed)
    elif state is not None or "label" not in body:
        raise Failure(400, "invalid_args", "state must be 'running' or 'stopped'")
    return {"success": True}


def manage(call: Call) -> Reply:
    """PUT /instances/{id}/: ``state`` or ``label``."""
    return Reply(_apply(call, _instance(call, call.path["id"]), call.fields()))


def manage_many(call: Call) -> Reply:
    """PUT /instances/: the same for several, ``ids``."""
    body = dict(call.fields())
    results = [_apply(call, i, body) for i in _several(call, body.pop("ids", None))]
    refused = [result for result in results if not result["success"]]
    return Reply(refused[0] if refused else {"success": True})


def _several(call: Call, ids: Any) -> list[Instance]:
    if not (isinstance(ids, list) and ids):
        raise Failure(400, "invalid_args", "ids must be a list of instance ids")
    return [_instance(call, instance_id) for instance_id in ids]


def destroy(call: Call) -> Reply:
    """DELETE /instances/{id}/."""
    instance = _instance(call, call.path["id"])
    _refuse_to_destroy(call)
    call.world.fleet.destroy(instance, call.world.elapsed())
    return Reply({"success": True, "msg": "Instance destroyed successfully"})


def _refuse_to_destroy(call: Call) -> None:
    if why := call.world.fleet.refuse_destroys:
        raise Failure(400, "destroy_failed", why)


def destroy_many(call: Call) -> Reply:
    """DELETE /instances/: several, ``instance_ids``."""
    instances = _several(call, call.fields().get("instance_ids"))
    _refuse_to_destroy(call)
    for instance in instances:
        call.world.fleet.destroy(instance, call.world.elapsed())
    return Reply({"success": True, "msg": f"{len(instances)} instances destroyed"})


def reboot(call: Call) -> Reply:
    """PUT /instances/reboot/{id}/."""
    call.world.fleet.reboot(_instance(call, call.path["id"]), call.world.elapsed())
    return Reply({"success": True})


def recycle(call: Call) -> Reply:
    """PUT /instances/recycle/{id}/."""
    call.world.fleet.recycle(_instance(call, call.path["id"]), call.world.elapsed())
    return Reply({"success": True})


def bid_price(call: Call) -> Reply:
    """PUT /instances/bid_price/{id}/; without a price, one that wins is taken."""
    instance = _instance(call, call.path["id"])
    price = call.fields().get("price")
    if price is None:
        spot = call.world.market.spot(instance.machine, instance.num_gpus, call.world.elapsed())
        price = math.ceil(spot * 1050) / 1000
    if isinstance(price, bool) or not isinstance(price, (int, float)):
        raise Failure(400, "invalid_args", "price: Input should be a valid number")
    if not orders.PRICE_MIN <= price <= orders.PRICE_MAX:
        raise Failure(400, "invalid_args", f"Please set a bid price >= {orders.PRICE_MIN}.")
    call.world.fleet.rebid(instance, float(price), call.world.elapsed())
    return Reply({"success": True})


V0 = "/api/v0/instances/"
ROUTES = (
    Route("create_instance", "PUT", "/api/v0/asks/{id}/", create),
    Route("create_instances", "POST", "/api/v0/asks/bulk/", create_bulk),
    Route("launch_instance", "PUT", "/api/v0/launch_instance/", launch),
    Route("show_instances", "GET", "/api/v1/instances/", list_v1),
    Route("list_instances_v0", "GET", V0, list_v0),
    Route("instance_filters", "GET", V0 + "filters/", filters),
    Route("show_instance", "GET", V0 + "{id}/", show),
    Route("manage_instance", "PUT", V0 + "{id}/", manage),
    Route("manage_instances", "PUT", V0, manage_many),
    Route("destroy_instance", "DELETE", V0 + "{id}/", destroy),
    Route("destroy_instances", "DELETE", V0, destroy_many),
    Route("reboot_instance", "PUT", V0 + "reboot/{id}/", reboot),
    Route("recycle_instance", "PUT", V0 + "recycle/{id}/", recycle),
    Route("change_bid", "PUT", V0 + "bid_price/{id}/", bid_price),
    Route("fetch_contracts", "POST", "/api/v0/contracts/fetch/", contracts),
    Route("request_logs", "PUT", V0 + "request_logs/{id}/", request_logs),
    Route("log_file", "GET", "/simulated-storage/instance_logs/{name}", result_file, False),
)

__all__ = ["ROUTES"]
