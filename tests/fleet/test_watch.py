"""One picture for everybody: one list call a tick, nothing believed too soon, nothing lost."""

from __future__ import annotations

import gc
import itertools
import threading
import tracemalloc
from types import SimpleNamespace
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import WaitTimeout
from vastnb.fleet.listing import list_instances
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.state import Snapshot
from vastnb.fleet.watch.watcher import Watcher
from vastnb.sim import Fault, Server

from .conftest import MakeClient
from .inside import transport_of
from .watching import machines


class Listener:
    """Keeps what it is told."""

    def __init__(self, watcher: Watcher) -> None:
        self.told: list[tuple[tuple[Change, ...], Snapshot]] = []
        self.end = watcher.subscribe(lambda found, shown: self.told.append((tuple(found), shown)))

    def kinds(self) -> list[str]:
        return [change.kind for found, _ in self.told for change in found]


def lists(server: Server) -> int:
    return server.calls("show_instances")


def watch(watcher: Watcher, clock: ManualClock, seconds: float) -> None:
    """Look whenever it is due, for a while."""
    until = clock.time() + seconds
    while clock.time() < until:
        watcher.look()
        clock.sleep(max(watcher.due_in(), 0.01))


# -- how often


def test_everybody_together_makes_one_list_call_a_tick(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    ours = machines(server, "slow", *["cached"] * 24)
    watcher = client.watcher
    widgets = [Listener(watcher) for _ in range(5)]
    # Each of them looks whenever it is told something, as widgets with a page of their own do.
    for _ in widgets:
        watcher.subscribe(lambda found, shown: watcher.look() and None)
    began = clock.time()
    with pytest.raises(WaitTimeout):
        client.wait([one.id for one in ours], timeout=600)
    ticks = watcher.snapshot.looks
    assert lists(server) == ticks
    assert 600 / 30 <= ticks <= 600 / 5 + 1
    assert [len(one.told) for one in widgets] == [ticks] * 5
    assert server.calls("show_instance") == 0
    assert server.calls("show_user") <= 3  # for the runway, not once a tick
    asked = [shown.asked_at or 0.0 for _, shown in widgets[0].told]
    steps = [b - a for a, b in itertools.pairwise(asked)]
    assert min(steps) >= 5 and max(steps) <= 31
    assert clock.time() - began >= 600


def test_when_nobody_looks_nothing_is_asked(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    machines(server, "pull", "cached")
    watcher = client.watcher
    Listener(watcher)
    clock.advance(3600)
    assert watcher.snapshot == Snapshot() and watcher.due_in() == 0
    assert lists(server) == 0
    watcher.look()
    calls = server.calls()
    clock.advance(3600)
    assert watcher.snapshot.looks == 1 and server.calls() == calls


def test_after_closing_nothing_is_asked_or_told(connect: MakeClient, server: Server) -> None:
    client = connect()
    machines(server, "cached")
    watcher = client.watcher
    listener = Listener(watcher)
    shown = watcher.look()
    calls = server.calls()
    client.close()
    assert watcher.look(at_once=True) == shown
    assert server.calls() == calls and len(listener.told) == 1
    assert watcher.due_in() > 0


def test_the_next_look_is_due_after_an_action_and_quick_ones_follow(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    watcher = client.watcher
    watch(watcher, clock, 300)
    assert watcher.snapshot.interval == 30
    watcher.look()
    count = lists(server)
    watcher.look()
    assert lists(server) == count
    client.stop_instance(one.id)
    assert watcher.due_in() == 0 and watcher.snapshot.interval == 5
    watcher.look()
    assert lists(server) == count + 1
    assert watcher.snapshot.of(one.id).verdict.state == "stopped"  # type: ignore[union-attr]
    events = watcher.events()
    assert events["kind"].tolist()[-2:] == ["action", "state"]
    assert events["text"].tolist()[-2] == "asked to stop"
    assert events["level"].tolist()[-1] == "good"


def test_threads_that_look_at_once_share_one_call(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    machines(server, "cached")
    watcher = client.watcher
    server.faults.add(Fault("show_instances", "delay", nth=1, seconds=0.3))
    gate = threading.Barrier(8)
    seen = []

    def look() -> None:
        gate.wait()
        seen.append(watcher.look(at_once=True))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert lists(server) == 1
    assert len(seen) == 8 and {shown.looks for shown in seen} == {1}


def test_an_action_during_a_look_makes_the_next_one_due(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    watcher = client.watcher
    server.faults.add(Fault("show_instances", "delay-after", nth=1, seconds=0.3))
    thread = threading.Thread(target=watcher.look)
    thread.start()
    while not lists(server):
        threading.Event().wait(0.01)
    clock.advance(0.5)
    watcher.expect(one.id, "gone")
    thread.join(10)
    (shown,) = watcher.snapshot.instances
    assert shown.verdict.advice != "destroy it again"  # that list is from before
    assert watcher.due_in() == 0


# -- what goes wrong


KINDS = ("empty", "hollow", "garbage", "html", "truncate", "500", "502", "503", "504",
         "drop-before", "drop-after", "429")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_that_fails_is_kept_told_and_tried_again(
    client: vastnb.Client, server: Server, clock: ManualClock, kind: Any
) -> None:
    machines(server, "cached")
    watcher = client.watcher
    watch(watcher, clock, 60)
    listener = Listener(watcher)
    server.faults.add(Fault("show_instances", kind, retry_after=40))
    waits = []
    for _ in range(4):
        shown = watcher.look(at_once=True)
        assert shown.error and [one.verdict.state for one in shown.instances] == ["running"]
        waits.append(watcher.due_in())
        clock.sleep(watcher.due_in())
    assert waits == sorted(waits) and waits[-1] <= 300
    server.faults.clear()
    shown = watcher.look()
    assert not shown.error and watcher.due_in() == 5
    assert listener.kinds() == ["trouble", "recovered"]


def test_a_retry_after_is_obeyed_even_after_an_action(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    watcher = client.watcher
    server.faults.add(Fault("show_instances", "429", nth=1, retry_after=120))
    shown = watcher.look()
    assert "429" in shown.error and watcher.due_in() >= 119
    watcher.nudge()
    assert watcher.due_in() >= 119
    sent = lists(server)
    watcher.look(at_once=True)
    assert lists(server) == sent  # the lane is closed for this kernel and every other


def test_a_wrong_key_is_an_error_in_the_picture_and_is_not_hammered(server: Server) -> None:
    with vastnb.Client("b" * 64, base_url=server.url, cache="memory", clock=ManualClock()) as other:
        shown = other.watcher.look()
        assert "key" in shown.error
        assert other.watcher.due_in() > 200
        assert isinstance(other.watcher.failure, vastnb.errors.AuthError)


def test_a_list_that_was_cut_short_is_doubted(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    ours = machines(server, "cached", "cached", "cached")
    watcher = client.watcher
    watch(watcher, clock, 60)
    listener = Listener(watcher)
    hidden = {one.id for one in ours}
    server.world.fleet._hidden |= hidden  # the service shows an empty list
    shown = watcher.look(at_once=True)
    assert "checking again" in shown.doubted and watcher.due_in() == 5
    assert [one.verdict.state for one in shown.instances] == ["running"] * 3
    server.world.fleet._hidden -= hidden
    clock.sleep(5)
    assert watcher.look().doubted == ""
    assert listener.kinds() == ["trouble", "recovered"]


def test_a_service_without_one_of_the_columns_is_asked_for_all(clock: ManualClock) -> None:
    from vastnb.errors import InvalidRequest

    asked: list[Any] = []

    def call(endpoint: str, **request: Any) -> Any:
        if endpoint == "show_user":
            raise InvalidRequest("no", status=400)
        asked.append(request["params"]["select_cols"])
        if asked[-1] != ["*"]:
            raise InvalidRequest("no such column: mem_limit", status=400)
        record = {"id": 1, "extra_env": [["A", "hunter2"]], "jupyter_token": "hunter2"}
        return type("Answer", (), {"data": {"instances": [record]}})

    watcher = Watcher(call, clock)
    assert watcher.look().error == ""
    assert watcher.look(at_once=True).looks == 2
    assert [len(one) > 1 for one in asked] == [True, False, False]
    assert "hunter2" not in repr(watcher.snapshot.instances[0].record)


def test_a_listener_that_fails_costs_the_others_nothing(
    client: vastnb.Client, server: Server
) -> None:
    def broken(found: Any, shown: Any) -> None:
        raise RuntimeError("mine")

    client.watcher.subscribe(broken)
    listener = Listener(client.watcher)
    with pytest.warns(RuntimeWarning, match="mine"):
        client.watcher.look()
    assert len(listener.told) == 1 and not client.watcher.snapshot.error


def test_what_is_interrupted_leaves_the_watcher_free(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    def interrupt(found: Any, shown: Any) -> None:
        raise KeyboardInterrupt

    end = client.watcher.subscribe(interrupt)
    with pytest.raises(KeyboardInterrupt):
        client.watcher.look()
    end()
    assert client.watcher.look(at_once=True).looks == 2


# -- what is shared


def test_a_frame_feeds_the_watcher_and_has_its_verdicts(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    machines(server, "stuck")
    watch(client.watcher, clock, 1500)
    listener = Listener(client.watcher)
    count = lists(server)
    frame = client.show_instances()
    assert lists(server) == count + 1
    assert frame["state"].tolist() == ["stuck"] and "no progress" in frame["reason"][0]
    assert len(listener.told) == 1 and not client.watcher.look().error
    assert lists(server) == count + 1  # it was a look


def test_handles_use_the_shared_picture(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    boxes = [client.show_instance(one.id) for one in machines(server, *["cached"] * 5)]
    singles = server.calls("show_instance")
    clock.sleep(60)
    assert [box.status for box in boxes] == ["running"] * 5
    assert [box.verdict.reason for box in boxes if box.verdict] == ["running"] * 5
    assert lists(server) == 1 and server.calls("show_instance") == singles
    boxes[0].rename("mine")
    assert boxes[0].label == "mine" and "'mine'" in repr(boxes[0])


def test_an_older_list_does_not_overwrite_a_newer_one(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    watcher = client.watcher
    older = list_instances(transport_of(client).call, clock, columns=["*"])
    clock.sleep(60)
    watcher.look()
    watcher.feed(older)
    assert watcher.snapshot.of(one.id).verdict.state == "running"  # type: ignore[union-attr]


def test_history_and_events_are_frames_with_the_same_columns_empty_or_not(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    watcher = client.watcher
    empty = watcher.history(), watcher.events()
    (one,) = machines(server, "cached")
    watch(watcher, clock, 120)
    history, events = watcher.history(), watcher.events()
    for before, after in zip(empty, (history, events), strict=True):
        assert before.dtypes.equals(after.dtypes) and len(before) == 0 < len(after)
    assert set(history["id"]) == {one.id} and history["gpu_util"].notna().any()
    assert str(history["at"].dt.tz) == "UTC" and history["at"].is_monotonic_increasing
    assert history["dph_now"].iloc[-1] == pytest.approx(one.dph_base + one.disk_dph)
    assert events["text"].tolist() == ["running"]


def test_notices_reach_a_callback_once(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    machines(server, "runtime-error")
    told: list[Change] = []
    end = client.watcher.on_notice(told.append)
    watch(client.watcher, clock, 300)
    assert [change.level for change in told] == ["bad"]
    assert told[0].text.endswith(". Destroy it and try the next offer.")
    end()


def test_machines_that_stop_because_the_credit_is_spent_are_not_called_outbid(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.resumes = False
    ours = [*machines(server, "cached"), *machines(server, "cached", bid=100.0)]
    client.wait([one.id for one in ours])
    told: list[Change] = []
    client.watcher.on_notice(told.append)
    clock.sleep(70)
    server.world.account.credit = 0.0
    watch(client.watcher, clock, 120)
    for one in client.watcher.snapshot.instances:
        assert one.verdict.state == "stopped" and "credit has run out" in one.verdict.reason
    assert set(client.watcher.events()["after"].dropna()) <= {"starting", "running", "stopped"}
    assert ["credit" in change.text for change in told] == [True]


def test_a_deadline_that_has_passed_is_said(server: Server, clock: ManualClock) -> None:
    with vastnb.Client(server.api_key, base_url=server.url, cache="memory", clock=clock) as client:
        (one,) = machines(server, "cached")
        due = {one.id: clock.time() + 120}
        journal: Any = SimpleNamespace(
            deadline=due.get, rental=lambda marker, at: None, is_known=lambda id: True
        )
        watcher = Watcher(transport_of(client).call, clock, journal)
        told: list[Change] = []
        watcher.on_notice(told.append)
        watch(watcher, clock, 600)
        assert ["Past its deadline" in change.text for change in told] == [True]
        assert 0 <= told[0].at - due[one.id] <= 31


@pytest.mark.slow
def test_looks_leave_no_thread_and_no_memory_behind(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    machines(server, "cached", "stuck", "stale")
    watcher = client.watcher
    Listener(watcher).end()

    def look(times: int) -> None:
        for _ in range(times):
            watcher.look()
            clock.advance(watcher.due_in())

    look(20)
    threads = threading.active_count()
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        look(100)
        gc.collect()
        middle = tracemalloc.get_traced_memory()[0]
        look(100)
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert threading.active_count() <= threads
    # Samples are kept on purpose (they are bounded); beyond them nothing may grow.
    samples = 100 * 3 * 700
    assert after - middle < samples and middle - before < samples + 100_000
