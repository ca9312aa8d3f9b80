"""What the tests of the watcher share: records, pictures, and machines with a fate."""

from __future__ import annotations

from typing import Any

from vastnb.fleet.watch.picture import Picture, Tracked, take_list
from vastnb.sim import Instance, Server

NOW = 1_790_000_000.0
ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 10}


def rec(id: int = 1, actual: Any = "running", intended: Any = "running", **more: Any) -> Any:
    state = intended if intended in ("running", "stopped") else "running"
    return {
        "id": id,
        "actual_status": actual,
        "intended_status": intended,
        "cur_state": state,
        "next_state": state,
        "is_bid": False,
        "extra_env": [],
        "dph_total": 1.0,
        "storage_total_cost": 0.1,
        **more,
    }


def pictured(*lists: list[Any], step: float = 30.0, meant: Any = None) -> dict[int, Tracked]:
    """Return the picture after some lists."""
    picture: Picture = {}
    for turn, records in enumerate(lists):
        picture = take_list(picture, records, meant or {}, asked_at=NOW + turn * step)
    return dict(picture)


def machines(server: Server, *fates: str, bid: float | None = None) -> list[Instance]:
    """Rent machines, each with its fate, without a client taking part."""
    from vastnb.sim.instances.orders import read

    world = server.world
    made = []
    with world.lock:
        free = [one for one in world.market.listings() if one.available and one.num_gpus == 1]
        for fate, listing in zip(fates, free, strict=False):
            world.fleet.expect(fate)
            body = {**ORDER, "env": {}, **({"price": bid} if bid else {})}
            order = read(body, None, listing.id)
            world.settle()
            answer = world.fleet.rent(world.account, listing.id, order, world.elapsed())
            made.append(world.instances[answer["new_contract"]])
    assert len(made) == len(fates)
    return made
