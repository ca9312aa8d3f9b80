"""Routes about the account: user, SSH keys, charges, templates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from vastnb.sim.http.exchange import Call, Reply, Route
from vastnb.sim.http.paging import page, select
from vastnb.sim.instances.instance import Instance
from vastnb.sim.refusal import Failure
from vastnb.sim.templates import make, visible


def show_user(call: Call) -> Reply:
    """GET /users/current/."""
    return Reply(call.owner.record())


# -- SSH keys


def ssh_keys(call: Call) -> Reply:
    """GET /ssh/: a 404 for an account without any."""
    keys = call.owner.ssh_keys
    if not keys:
        raise Failure(404, None, "No SSH keys found for the user.")
    return Reply([{**key, "key": key["public_key"], "simulated": True} for key in keys])


def create_ssh_key(call: Call) -> Reply:
    """POST /ssh/."""
    text = call.fields().get("ssh_key")
    if not isinstance(text, str) or not text.strip():
        raise Failure(400, "no_ssh_key", "No ssh key provided")
    now = datetime.fromtimestamp(call.world.today(), UTC).isoformat()
    key = call.owner.add_ssh_key(text.strip(), now)
    return Reply({"success": True, "key": key})


def delete_ssh_key(call: Call) -> Reply:
    """DELETE /ssh/{id}/."""
    owner = call.owner
    left = [key for key in owner.ssh_keys if key["id"] != call.path["id"]]
    if len(left) == len(owner.ssh_keys):
        raise Failure(404, "no_such_ssh_key", "No SSH key with that id.")
    owner.ssh_keys[:] = left
    return Reply({"success": True})


# -- charges


def charges(call: Call) -> Reply:
    """GET /charges/: what each contract cost, term by term."""
    world, owner = call.world, call.owner
    conditions = call.json_param("select_filters", {})
    day = conditions.get("day") if isinstance(conditions, dict) else None
    if not (isinstance(day, dict) and "gte" in day and "lte" in day):
        raise Failure(400, None, "Must provide both 'day' gte and lte filters for instance charges")
    rows = [
        _charge(instance, world.opened(), world.elapsed())
        for instance in world.fleet.instances.values()
        if instance.owner == owner.key
    ]
    try:
        first, last = float(day["gte"]), float(day["lte"])
    except (TypeError, ValueError):
        raise Failure(400, "invalid_request", "day: Input should be a valid number") from None
    rows = [row for row in rows if row["end"] >= first and row["start"] <= last]
    kinds = conditions.get("type")
    if kinds:
        rows = select(rows, {"type": kinds})
    latest = call.params.get("latest_first", "true").lower() != "false"
    order = [{"col": "start", "dir": "desc" if latest else "asc"}]
    try:
        limit = min(500, max(1, int(call.params.get("limit", 100))))
    except ValueError:
        raise Failure(400, "invalid_request", "limit: Input should be a valid integer") from None
    chosen, token = page(rows, order_by=order, after=call.params.get("after_token"), limit=limit)
    for row in chosen:
        del row["id"]
    return Reply(
        {
            "success": True,
            "count": len(chosen),
            "total": len(rows),
            "next_token": token,
            "results": chosen,
        }
    )


def _charge(instance: Instance, opened: float, elapsed: float) -> dict[str, Any]:
    begin = int(opened + instance.created)
    end = int(opened + (elapsed if instance.destroyed is None else instance.destroyed))
    hours = instance.gpu_seconds / 3600.0
    offer = instance.offer
    down = float(offer.get("inet_down_cost") or 0.0) * instance.down_gb
    parts = (
        ("gpu", f"{hours:.3f} hours at ${instance.dph_base:.3f}/hour", instance.gpu_dollars),
        (
            "disk",
            f"{instance.disk:g} GB at ${instance.disk_dph:.5f}/hour",
            instance.storage_dollars,
        ),
        ("bwd", f"{instance.down_gb:.3f} GB downloaded", down),
        ("bwu", f"{instance.up_gb:.3f} GB uploaded", instance.traffic_dollars - down),
    )
    metadata: dict[str, Any] = {}
    if instance.label:
        metadata["label"] = instance.label
    if instance.template:
        metadata["template_id"] = instance.template["id"]
    return {
        "id": instance.id,
        "start": begin,
        "end": end,
        "type": "instance",
        "source": f"instance-{instance.id}",
        "description": f"Instance {instance.id} Charges (simulated)",
        "amount": round(instance.billed, 3),
        "metadata": metadata,
        "items": [
            {
                "start": begin,
                "end": end,
                "type": kind,
                "source": None,
                "description": text,
                "amount": round(amount, 5),
                "metadata": {},
                "items": [],
            }
            for kind, text, amount in parts
        ],
    }


# -- templates


def search_templates(call: Call) -> Reply:
    """GET /template/."""
    user = call.account.user_id if call.account else None
    rows = visible(call.world.templates, user)
    known = set(rows[0])
    chosen = select(rows, call.json_param("select_filters", {}), allowed=known)
    columns = call.json_param("select_cols", ["*"])
    if isinstance(columns, list) and "*" not in columns:
        chosen = [{name: row.get(name) for name in columns} for row in chosen]
    return Reply({"success": True, "templates_found": len(chosen), "templates": chosen})


def create_template(call: Call) -> Reply:
    """POST /template/."""
    body = call.fields()
    for name in ("name", "image"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            raise Failure(400, "invalid_args", f"{name}: Field required")
    row = make(
        body,
        number=9000 + len(call.world.templates),
        creator=call.owner.user_id,
        now=call.world.today(),
    )
    call.world.templates.append(row)
    return Reply({"success": True, "template": row})


def delete_template(call: Call) -> Reply:
    """DELETE /template/: by ``hash_id`` or ``template_id``, one's own only."""
    body = call.fields()
    wanted = body.get("hash_id") or body.get("template_id")
    for row in call.world.templates:
        if wanted in (row["hash_id"], row["id"]) and row["creator_id"] == call.owner.user_id:
            call.world.templates.remove(row)
            return Reply({"success": True, "msg": "Template deleted"})
    raise Failure(404, "no_such_template", "No such template of yours.")


ROUTES = (
    Route("show_user", "GET", "/api/v0/users/current/", show_user),
    Route("show_ssh_keys", "GET", "/api/v0/ssh/", ssh_keys),
    Route("create_ssh_key", "POST", "/api/v0/ssh/", create_ssh_key),
    Route("delete_ssh_key", "DELETE", "/api/v0/ssh/{id}/", delete_ssh_key),
    Route("show_charges", "GET", "/api/v0/charges/", charges),
    Route("search_templates", "GET", "/api/v0/template/", search_templates, needs_key=False),
    Route("create_template", "POST", "/api/v0/template/", create_template),
    Route("delete_template", "DELETE", "/api/v0/template/", delete_template),
)

__all__ = ["ROUTES"]
