"""Machines on a simulated market, rented past the client: at once, with a fate, in the past.

For tests of the monitor and for its pictures. What is rented here is a machine like any other; it
carries the marker and is in the journal, unless told otherwise.
"""

from __future__ import annotations

import json
from typing import Any

from vastnb.api.request import identity_of
from vastnb.api.secret import Secret
from vastnb.client import Client
from vastnb.clock import ManualClock
from vastnb.fleet.env import MARKER, new_marker
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Server
from vastnb.sim.instances.orders import Order


def rent(
    server: Server,
    fate: str = "cached",
    *,
    gpu: str | None = None,
    num_gpus: int = 1,
    ours: bool = True,
    bid: float | None = None,
    **order: Any,
) -> int:
    """Rent the cheapest machine that fits; return its id."""
    world = server.world
    query: dict[str, Any] = {
        "num_gpus": {"eq": num_gpus},
        "rentable": {"eq": True},
        "verified": {"eq": True},
        "order": [["dph_total", "asc"]],
        "type": "bid" if bid else "on-demand",
    }
    if gpu:
        query["gpu_name"] = {"eq": gpu}
    offer = json.loads(world.search(query).to_json())["offers"][0]
    price = None if bid is None else float(offer["min_bid"]) * bid
    marker = new_marker()
    env = [(MARKER, marker)] if ours else []
    wish = Order(
        order.pop("image", "pytorch/pytorch:2.9.0-cuda12.8-cudnn9-runtime"),
        order.pop("disk", 40.0),
        price,
        env=env,
        runtype=order.pop("runtype", "jupyter_direc ssh_direc ssh_proxy"),
        **order,
    )
    with world.lock:
        world.settle()
        world.fleet.expect(fate)
        answer = world.fleet.rent(world.account, offer["id"], wish, world.elapsed())
    number = int(answer["new_contract"])
    if ours:
        now = world.clock.time()
        Journal().begin(
            Entry(
                marker=marker,
                account=identity_of(Secret(server.api_key), server.url),
                base_url=server.url,
                offer_id=int(offer["id"]),
                machine_id=offer["machine_id"],
                price=None,
                bid=price,
                disk=wish.disk,
                label=wish.label,
                created_at=now,
                since=now,
                updated_at=now,
                state=AttemptState.CREATED,
                contract=number,
            )
        )
    return number


def stop(server: Server, id: int) -> None:
    """Stop a machine, as its user would elsewhere."""
    world = server.world
    with world.lock:
        world.settle()
        world.fleet.stop(world.fleet.instances[id], world.elapsed())


def in_many_states(
    client: Client, clock: ManualClock, *, credit: float, label: str = "llama-finetune"
) -> None:
    """Rent machines that are in many states after seven hours, and watch them for one.

    The client is on a market of ``seed=7, speed=1, machines=900`` and on that clock.
    """
    server = client.server
    assert isinstance(server, Server)
    server.world.account.credit = credit
    rent(server, label=label, gpu="RTX 5090", num_gpus=4, disk=200)
    idle = rent(server, label="tokenizer-cache", gpu="RTX 3090", disk=320)
    clock.advance(6.2 * 3600)
    rent(server, "outbid-running", label="sweep-07", gpu="RTX 4090", bid=1.25)
    rent(server, label="eval-nightly", gpu="H100 SXM", disk=80)
    stop(server, idle)
    clock.advance(3000)
    rent(server, "stuck", label="whisper-batch", gpu="RTX 4090", disk=60)
    for _ in range(46):
        clock.advance(60)
        client.watcher.look(at_once=True)
    rent(server, "pull", label="sd-render", gpu="RTX A6000", ours=False)
    for _ in range(2):
        clock.advance(20)
        client.watcher.look(at_once=True)
