"""Waiting: on the shared picture, with a reason when it ends badly, and with the kernel free."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, InstanceFailed, InvalidRequest, WaitTimeout
from vastnb.sim import Fault, Server

from .conftest import MakeClient, Terminal, threads_since
from .watching import machines


def lists(server: Server) -> int:
    return server.calls("show_instances")


def no_thread_is_left() -> bool:
    """Say whether no thread of a wait lives on; the last one may be about to end."""
    for _ in range(500):
        names = {thread.name for thread in threads_since()}
        if not any(name == "vastnb look" or "asyncio" in name for name in names):
            return True
        threading.Event().wait(0.02)
    return False


@pytest.mark.parametrize(
    ("fate", "bid", "code", "says"),
    [
        ("bad-image", None, "failed", "Destroy it and correct the image"),
        ("runtime-error", None, "failed", "Destroy it and try the next offer"),
        ("stuck", None, "stuck", "no progress for"),
        ("outbid-loading", 100.0, "outbid", "Raise the bid"),
    ],
)
def test_a_wait_ends_with_the_reason_where_there_is_no_hope(
    client: vastnb.Client, server: Server, fate: str, bid: float | None, code: str, says: str
) -> None:
    server.world.fleet.resumes = False
    (one,) = machines(server, fate, bid=bid)
    with pytest.raises(InstanceFailed, match=says) as caught:
        client.wait(one.id, timeout=7200)
    assert caught.value.code == code and str(one.id) in str(caught.value)
    assert "may bill" in str(caught.value)


def test_a_host_that_is_offline_ends_a_wait_once_it_was_seen_twice(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    client.wait(one.id)
    client.reboot_instance(one.id)
    server.world.fleet._forget_plans(one)
    one.actual = "offline"
    with pytest.raises(InstanceFailed, match=r"Vast\.ai cannot reach the host"):
        client.wait(one.id)
    one.actual = "running"
    assert client.wait(one.id)[0].status == "running"


def test_what_was_just_started_is_not_given_up_because_of_an_old_list(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    client.wait(one.id)
    client.stop_instance(one.id)
    client.wait(one.id, until="stopped")
    client.start_instance(one.id)
    intended, one.intended = one.intended, "stopped"  # the list lags behind by one look

    def catch_up(found: Any, shown: Any) -> None:
        one.intended = intended

    client.watcher.subscribe(catch_up)
    assert client.wait(one.id)[0].status == "running"


def test_what_never_existed_is_not_waited_for_until_the_end(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    began = clock.time()
    with pytest.raises(InstanceFailed, match=r"5 \(gone"):
        client.wait(5, timeout=900)
    assert clock.time() - began < 120


def test_a_wait_for_what_is_gone_ends(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one, other) = machines(server, "cached", "cached")
    client.wait([one.id, other.id])
    client.destroy_instance(one.id, verify=False)
    client.wait(one.id, until="gone", timeout=120)
    clock.advance(3600)
    client.watcher.look()
    client.wait(one.id, until="gone", timeout=120)  # by now nobody shows it any longer


def test_a_wait_outlasts_a_service_that_fails_for_a_while(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    server.faults.add(Fault("show_instances", "503", nth=1, times=9))
    assert client.wait(one.id)[0].status == "running"
    server.faults.add(Fault("show_instances", "503"))
    clock.advance(60)
    with pytest.raises(WaitTimeout, match="Last error: Could not show instances"):
        client.wait(one.id, until="stopped", timeout=100)
    assert server.refused == {}


def test_a_wait_that_makes_no_sense_ends_at_once(
    client: vastnb.Client, connect: MakeClient, server: Server
) -> None:
    for wrong in ({"until": "happy"}, {"timeout": -1}, {"timeout": "5"}, {"timeout": True},
                  {"until": "gone", "reachable": True}):  # fmt: skip
        with pytest.raises(InvalidRequest):
            client.wait(5, **wrong)  # type: ignore[arg-type]
    assert lists(server) == 0
    options: dict[str, Any] = {"base_url": server.url, "cache": "memory", "clock": ManualClock()}
    with vastnb.Client("b" * 64, **options) as other, pytest.raises(AuthError):
        other.wait(5)
    gone = connect()
    watcher = gone.watcher
    gone.close()
    assert isinstance(watcher.failure, InvalidRequest)


def test_a_line_shows_what_is_going_on_and_goes(
    client: vastnb.Client, server: Server, terminal: Terminal
) -> None:
    ours = machines(server, "cached", "pull")
    with terminal() as shown:
        client.wait([one.id for one in ours])
    text = shown.getvalue()
    assert "pulling" in text and "layers" in text
    assert "0 of 2 ready" in text and "1 of 2 ready" in text
    assert text.endswith("\r\x1b[K"), "it is taken away at the end"


def test_a_thread_shows_no_line(client: vastnb.Client, server: Server, terminal: Terminal) -> None:
    (one,) = machines(server, "cached")
    with terminal() as shown:
        thread = threading.Thread(target=client.wait, args=(one.id,))
        thread.start()
        thread.join(20)
    assert shown.getvalue() == ""


def test_two_waits_at_once_ask_once(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    ours = machines(server, "cached", "pull")

    async def both() -> None:
        await asyncio.gather(*(client.wait_async(one.id) for one in ours))

    asyncio.run(both())
    assert lists(server) == client.watcher.snapshot.looks
    assert server.calls("show_instance") == 0


@pytest.mark.slow
def test_an_awaited_wait_leaves_the_loop_free_and_no_thread_behind(
    client: vastnb.Client, server: Server
) -> None:
    (one,) = machines(server, "cached")
    server.faults.add(Fault("show_instances", "delay", seconds=0.15))

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticking = asyncio.create_task(tick())
        box = (await client.wait_async(one.id))[0]
        assert (await box.wait_async()) is box
        ticking.cancel()
        return ticks

    ticks = asyncio.run(main())
    assert ticks >= 5 * lists(server)
    assert no_thread_is_left()


@pytest.mark.slow
def test_an_awaited_wait_can_be_cancelled_at_any_moment(
    client: vastnb.Client, server: Server
) -> None:
    (one,) = machines(server, "slow")
    server.faults.add(Fault("show_instances", "delay", nth=1, seconds=0.3))

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.wait_async(one.id, timeout=1e6), 0.1)
        with pytest.raises(InstanceFailed):
            await client.wait_async(one.id, timeout=7200)

    asyncio.run(main())
    assert no_thread_is_left()


def test_errors_of_an_awaited_wait_are_those_of_a_wait(
    client: vastnb.Client, server: Server
) -> None:
    ours = machines(server, "bad-image", "slow")
    with pytest.raises(InstanceFailed, match="pull access denied"):
        asyncio.run(client.wait_async(ours[0].id))
    with pytest.raises(WaitTimeout):
        asyncio.run(client.wait_async(ours[1].id, timeout=60))
    with pytest.raises(InvalidRequest):
        asyncio.run(client.wait_async(1, until="happy"))  # type: ignore[arg-type]
