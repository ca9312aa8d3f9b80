"""No machine is left to itself: by a broken journal, a clock that lags, or a list that lies."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import OutcomeUnknown
from vastnb.fleet.instance import Instance
from vastnb.fleet.rent.guard import Guard
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive, entries
from .guarding import HOUR, finish, pass_time, rent
from .harness import ROOT
from .inside import guard_of
from .test_guard_kernels import leave

pytestmark = pytest.mark.filterwarnings("ignore:This client is closed")


def by_steps(client: vastnb.Client) -> Guard:
    """Give a client a guard without a thread, so that moments are exact."""
    guard = guard_of(client)
    guard._threaded = False
    return guard


def live_through(guard: Guard, clock: ManualClock, seconds: float) -> None:
    """Let the guard do what it does in so many seconds."""
    end = clock.time() + seconds
    while clock.time() < end:
        wait = guard.step()
        if wait is None:
            return
        clock.advance(min(max(wait, 0.5), end - clock.time() + 0.001))


def test_a_journal_that_breaks_while_a_create_runs_hides_no_machine(
    client: vastnb.Client, server: Server, clock: ManualClock, journal: Journal
) -> None:
    client.reconcile()
    server.faults.add(Fault("create_instance", "delay-after", nth=1, seconds=0.3))
    server.faults.add(Fault("create_instance", "delay", nth=1, seconds=0.3))

    def break_it() -> None:
        while not journal.path.exists() or not entries(client):
            time.sleep(0.005)
        journal.path.write_bytes(b"no database" * 500)

    thread = threading.Thread(target=break_it)
    thread.start()
    with pytest.warns(RuntimeWarning, match="rental journal"):
        box = rent(client, max_hours=1)
    thread.join()
    assert [one.id for one in alive(server)] == [box.id]
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.slow
def test_a_machine_that_stays_after_confirmed_destroys_is_told_of_and_not_hammered(
    client: vastnb.Client, server: Server, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = by_steps(client)
    box = rent(client, max_hours=1)
    server.faults.add(
        Fault("destroy_instance", "answer", status=200, body={"success": True}, effect=False)
    )
    with pytest.raises(OutcomeUnknown):
        box.destroy()
    before = server.calls("destroy_instance")
    live_through(guard, clock, HOUR)
    assert server.calls("destroy_instance") - before < 30
    said = capsys.readouterr().err
    assert f"INSTANCE {box.id} IS NOT DESTROYED YET AND MAY STILL BILL" in said
    server.faults.clear()
    live_through(guard, clock, HOUR)
    assert alive(server) == []


def test_a_changed_key_finds_its_machines_though_the_first_lists_are_empty(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    rent(first, max_hours=3)
    leave(first, journal)
    clock.advance(HOUR)
    key = "e" * 64
    server.world.accounts[key] = server.world.accounts[server.api_key]
    with vastnb.Client(key, base_url=server.url, cache="memory", clock=clock) as second:
        guard = by_steps(second)
        server.world.fleet.lists_empty = True
        second.show_instances()
        live_through(guard, clock, 40)
        server.world.fleet.lists_empty = False
        live_through(guard, clock, 2 * HOUR + 60)
        assert alive(server) == []


def test_a_destroy_does_not_wait_for_what_an_earlier_kernel_left_open(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    box = rent(first)
    server.faults.add(Fault("create_instance", "504"))
    server.faults.add(Fault("show_instances", "503"))
    with pytest.raises(OutcomeUnknown):
        rent(first)
    leave(first, journal)
    began = clock.time()
    second = connect()
    second.destroy_instance(box.id)
    assert clock.time() - began < 10
    assert alive(server) == []


def test_a_number_that_is_no_instance_is_not_destroyed_in_silence(
    client: vastnb.Client, server: Server
) -> None:
    box = rent(client)
    with pytest.warns(RuntimeWarning, match=f"account has no instance {box.id + 7}"):
        client.destroy_instance(box.id + 7)
    assert [one.id for one in alive(server)] == [box.id]


def test_a_look_at_prices_does_not_undo_what_another_kernel_has_allowed(
    connect: MakeClient, server: Server, clock: ManualClock
) -> None:
    first = connect()
    guard = by_steps(first)
    box = rent(first, budget_usd=1.0)
    second = connect()
    by_steps(second)
    moved = Instance(second, box.id).extend(20)
    live_through(guard, clock, 700)
    assert box.deadline == moved


def test_a_computer_that_slept_proves_as_soon_as_one_that_did_not(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    guard = by_steps(client)
    rent(client, max_hours=100)
    clock.set_by(8 * HOUR)  # what is steady has not counted it
    box = rent(client, max_hours=100)
    box.destroy()
    before = server.calls("show_instances")
    live_through(guard, clock, 300)
    assert server.calls("show_instances") - before < 20
    assert [one.state for one in entries(client) if one.contract == box.id] == [
        AttemptState.DESTROYED
    ]


def test_a_machine_that_only_may_be_ours_is_looked_at_ever_more_rarely(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    guard = by_steps(client)
    server.world.fleet.env_shape = "null"
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    with pytest.raises(OutcomeUnknown):
        rent(client, label="mine")
    before = server.calls("show_instances")
    live_through(guard, clock, HOUR)
    assert server.calls("show_instances") - before < 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pid", "abc"), ("pid", 10**18), ("pid", -1), ("pid", None), ("host", None),
        ("offer_id", "x"), ("disk", None), ("note", None), ("label", b"\xff"), ("state", 3),
        ("contract", "12"), ("deadline", "soon"), ("priced_at", "x"), ("marker", None),
    ],
)  # fmt: skip
def test_no_value_in_the_journal_stands_between_a_machine_and_its_deadline(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal,
    column: str, value: Any,
) -> None:  # fmt: skip
    first = connect()
    rent(first, max_hours=1)
    leave(first, journal)
    connection = sqlite3.connect(journal.path)
    names = [row[1] for row in connection.execute("PRAGMA table_info(attempts)")]
    row = dict(zip(names, connection.execute("SELECT * FROM attempts").fetchone(), strict=True))
    row |= {"marker": "f" * 32, "contract": 4711, "state": "destroying", column: value}
    marks = ",".join("?" * len(row))
    connection.execute(f"INSERT INTO attempts ({','.join(row)}) VALUES ({marks})", [*row.values()])
    connection.commit()
    connection.close()
    second = connect()
    guard = by_steps(second)
    second.show_instances()
    second.reconcile()
    live_through(guard, clock, HOUR + 120)
    assert alive(server) == []


_ON_A_FULL_DISK = """
import contextlib, resource, signal, sys, time
import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import VastError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
clock = ManualClock(float(sys.argv[3]))
client = vastnb.Client(sys.argv[2], base_url=sys.argv[1], cache="memory", clock=clock)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
with contextlib.suppress(VastError):
    client.show_instances()
client.watcher.look(at_once=True)
for _ in range(100):
    clock.advance(5)
    client.renter.guard.wake()
    time.sleep(0.01)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files there")
def test_a_full_disk_keeps_no_machine_alive(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    rent(first, max_hours=1)
    leave(first, journal)
    moment = clock.time() + 2 * HOUR
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _ON_A_FULL_DISK, server.url, server.api_key,
         str(moment)],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert alive(server) == []
