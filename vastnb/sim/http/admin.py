"""Routes for the one who runs the simulation: plan mishaps, move the time, look at the truth.

They answer to requests from this machine only, and only with the admin token in the header
``X-Vastnb-Sim-Admin``. They are not limited, do not fail, and are no part of the real service.
"""

from __future__ import annotations

import dataclasses
import hmac
import ipaddress
from typing import Any

from vastnb.sim.faults import Fault
from vastnb.sim.http.exchange import Call, Reply, Route
from vastnb.sim.refusal import Failure

HEADER = "X-Vastnb-Sim-Admin"


def _guard(call: Call) -> None:
    try:
        local = ipaddress.ip_address(call.address).is_loopback
    except ValueError:
        local = False
    expected = call.world.admin_token or ""
    given = call.admin_token or ""
    if not (local and expected and hmac.compare_digest(given.encode(), expected.encode())):
        raise Failure(403, "not_authorized", f"Only from this machine, with the {HEADER} header.")


def add_fault(call: Call) -> Reply:
    """POST /simulated/faults/: one fault, or a list of them."""
    _guard(call)
    described = call.body if isinstance(call.body, list) else [call.fields()]
    try:
        faults = [Fault.from_dict(one) for one in described]
    except (TypeError, ValueError) as wrong:
        raise Failure(400, "invalid_args", str(wrong)) from None
    for fault in faults:
        call.world.faults.add(fault)
    return Reply({"success": True, "planned": len(call.world.faults)})


def clear_faults(call: Call) -> Reply:
    """DELETE /simulated/faults/."""
    _guard(call)
    call.world.faults.clear()
    return Reply({"success": True, "planned": 0})


def set_rate(call: Call) -> Reply:
    """PUT /simulated/faults/: ``{"rate": 0.1}`` for random mishaps."""
    _guard(call)
    rate = call.fields().get("rate")
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate <= 1:
        raise Failure(400, "invalid_args", "rate must be a number from 0 to 1")
    call.world.faults.rate = float(rate)
    return Reply({"success": True})


def advance(call: Call) -> Reply:
    """POST /simulated/advance/: ``{"minutes": 7}``."""
    _guard(call)
    body: dict[str, Any] = dict(call.fields())
    try:
        now = call.world.advance(**body)
    except (TypeError, ValueError) as wrong:
        raise Failure(400, "invalid_args", str(wrong)) from None
    return Reply({"success": True, "now": now})


def truth(call: Call) -> Reply:
    """GET /simulated/instances/: every instance that ever was, as it truly is."""
    _guard(call)
    world = call.world
    instances = [
        {
            **{k: v for k, v in dataclasses.asdict(i).items() if k not in ("offer", "owner")},
            "billed": i.billed,
            "rate": i.rate(world.elapsed()),
        }
        for i in world.instances.values()
    ]
    return Reply({"success": True, "now": world.now(), "instances": instances})


def expect(call: Call) -> Reply:
    """POST /simulated/fates/: ``{"fates": ["bad-image"]}`` for the next creates."""
    _guard(call)
    try:
        call.world.fleet.expect(*call.fields().get("fates", []))
    except (TypeError, ValueError) as wrong:
        raise Failure(400, "invalid_args", str(wrong)) from None
    return Reply({"success": True})


ROUTES = (
    Route("admin", "POST", "/simulated/faults/", add_fault, needs_key=False),
    Route("admin", "DELETE", "/simulated/faults/", clear_faults, needs_key=False),
    Route("admin", "PUT", "/simulated/faults/", set_rate, needs_key=False),
    Route("admin", "POST", "/simulated/advance/", advance, needs_key=False),
    Route("admin", "GET", "/simulated/instances/", truth, needs_key=False),
    Route("admin", "POST", "/simulated/fates/", expect, needs_key=False),
)

__all__ = ["HEADER", "ROUTES"]
