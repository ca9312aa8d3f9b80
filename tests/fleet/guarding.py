"""What tests of the money guard share: its thread, and time that passes for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import vastnb
from vastnb.clock import ManualClock
from vastnb.fleet.instance import Instance

from .conftest import threads_since
from .inside import guard_of

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 20}
HOUR = 3600.0


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for a thread: real seconds, few of them."""
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.005)


def pass_time(client: vastnb.Client, clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    guard_of(client).wake()


def finish(client: vastnb.Client, clock: ManualClock) -> None:
    """Let the time pass until the guard has nothing left to see to."""
    end = time.monotonic() + 20
    rounds = 0
    while threads():
        assert time.monotonic() < end, "the guard does not end"
        pass_time(client, clock, 2 if rounds < 200 else 20)
        rounds += 1
        time.sleep(0.005)


def threads() -> list[threading.Thread]:
    """Return the guards' threads that this test has started."""
    return [one for one in threads_since() if one.name == "vastnb-guard"]


def rent(client: vastnb.Client, **options: Any) -> Instance:
    box = client.rent("num_gpus=1", **ORDER, **options)
    assert isinstance(box, Instance)
    return box
