"""Waiting for machines: one list for all of them, quick at first, then every half minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vastnb.errors import InstanceFailed, InvalidRequest, RateLimited, ServerError, WaitTimeout
from vastnb.fleet.listing import list_instances
from vastnb.fleet.status import Wanted

if TYPE_CHECKING:
    from vastnb.fleet.desk import Desk
    from vastnb.fleet.instance import Instance

SHORTEST: Final = 5.0
LONGEST: Final = 30.0
SLOWER: Final = 1.5
ONE_LIST: Final = 30.0

HOPELESS: Final = {
    "running": frozenset({"failed", "stuck", "outbid", "stopped", "unreachable", "gone"}),
    "stopped": frozenset({"gone"}),
    "gone": frozenset[str](),
}
"""States from which a machine does not get there without help."""


def wait_for(instances: Sequence[Instance], until: Wanted, timeout: float, desk: Desk) -> None:
    """Wait until all machines are as wanted; see `Instance.wait` for the errors.

    Parameters
    ----------
    instances : sequence of Instance
        Each is told what was seen of it.
    until : {"running", "stopped", "gone"}
        What to wait for.
    timeout : float
        Seconds.
    desk : Desk
        Who asks.
    """
    if until not in HOPELESS:
        raise InvalidRequest(
            f"until={until!r}: there are {', '.join(HOPELESS)}. Nothing was sent.", code="until"
        )
    clock = desk.clock
    deadline, wait, trouble = clock.time() + timeout, SHORTEST, ""
    while True:
        waiting: list[Instance] = []
        try:
            listing = list_instances(desk.call, clock, columns=["*"], within=ONE_LIST)
        except (RateLimited, ServerError) as error:
            trouble = f" Last trouble: {error.message}"
            waiting = list(instances)
        else:
            trouble = ""
            for one in instances:
                verdict = one._saw(listing.record(one.id))
                if verdict.settled and verdict.state in HOPELESS[until] - {until}:
                    raise _hopeless(one, until)
                if verdict.state == "stuck" and until == "running":
                    raise _hopeless(one, until)
                if verdict.state != until:
                    waiting.append(one)
        if not waiting:
            return
        left = deadline - clock.time()
        if left <= 0:
            raise WaitTimeout(
                f"Not {until} within {timeout:g} s: {', '.join(map(_named, waiting))}. They still "
                f"exist and may bill; destroy_instance(id) ends one, wait() waits on.{trouble}"
            )
        clock.sleep(min(wait, left))
        wait = min(LONGEST, wait * SLOWER)


def _named(one: Instance) -> str:
    verdict = one.verdict
    return f"{one.id} ({verdict.state}: {verdict.reason})" if verdict else str(one.id)


def _hopeless(one: Instance, until: str) -> InstanceFailed:
    assert one.verdict is not None
    bills = "It no longer bills." if one.verdict.state == "gone" else "It exists and may bill."
    return InstanceFailed(
        f"Instance {_named(one)} will not be {until} without help. {bills} What to do: "
        f"{one.verdict.advice}.",
        code=one.verdict.state,
    )


__all__ = ["wait_for"]
