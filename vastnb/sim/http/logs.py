"""Routes of logs: a request that answers with an address, and the file that appears there later.

The file lies on a storage service that is not the API. As such services do, it refuses a request
that carries an Authorization header, and says 404 until the file is there.
"""

from __future__ import annotations

from typing import Any

from vastnb.sim.http.exchange import Call, Reply
from vastnb.sim.instances.logs import LogFile, lines_of
from vastnb.sim.noise import mix
from vastnb.sim.payload_texts import payload
from vastnb.sim.refusal import Failure

APPEARS_AFTER = 1.2
"""Seconds of the wall clock until the file is there."""
KEPT = 256


def request_logs(call: Call) -> Reply:
    """PUT /instances/request_logs/{id}/."""
    world = call.world
    instance = world.fleet.get(call.owner, call.path["id"])
    if instance is None:
        raise Failure(404, "invalid_id", "Invalid instance id.")
    body = call.fields()
    lines = lines_of(instance, world.elapsed(), daemon=bool(body.get("daemon_logs")))
    if world.payloads:
        lines.append(payload(instance.id))
    wanted = body.get("filter")
    if wanted:
        lines = [line for line in lines if str(wanted) in line]
    lines = lines[-_tail(body.get("tail")) :]
    files = world.log_files
    world.logs_asked += 1
    name = f"{mix(world.seed, instance.id, world.logs_asked):016x}.log"
    files[name] = LogFile("\n".join(lines) + "\n", world.clock.time() + APPEARS_AFTER)
    while len(files) > KEPT:
        files.pop(next(iter(files)))
    return Reply(
        {
            "success": True,
            "result_url": f"{call.base_url}/simulated-storage/instance_logs/{name}",
            "msg": "simulated log request",
        }
    )


def _tail(value: Any) -> int:
    try:
        return max(1, int(value)) if value is not None else 1000
    except (TypeError, ValueError):
        raise Failure(400, "invalid_args", "tail must be a number of lines") from None


def result_file(call: Call) -> Reply:
    """GET the file."""
    if call.authorized:
        return Reply(
            "<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed "
            "(simulated)</Message></Error>",
            400,
            content_type="application/xml",
        )
    found = call.world.log_files.get(call.path["name"])
    if found is None or call.world.clock.time() < found.there_at:
        text = "<Error><Code>NoSuchKey</Code><Message>Not there (simulated)</Message></Error>"
        return Reply(text, 404, content_type="application/xml")
    return Reply(found.text)


__all__ = ["request_logs", "result_file"]
