"""Deadlines outlive the kernel that set them: what it leaves, the next one takes up."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest, OutcomeUnknown, ServerError
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import NEGLECTED
from vastnb.fleet.rent.process import Process, began, this_process
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive, entries
from .guarding import HOUR, ORDER, finish, guard_of, pass_time, rent, threads, until
from .test_journal import a_dead_process

pytestmark = pytest.mark.filterwarnings("ignore:This client is closed")


def leave(client: vastnb.Client, journal: Journal) -> None:
    """Do as if the kernel had been killed: its rows belong to a dead process."""
    for entry in entries(client):
        journal.update(entry, **a_dead_process()._asdict())
    guard_of(client).close()


def test_the_next_kernel_destroys_what_is_overdue_and_names_it(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = connect()
    box = rent(first, max_hours=1)
    leave(first, journal)
    clock.advance(2 * HOUR)
    capsys.readouterr()
    connect().show_instances()
    said = capsys.readouterr().out
    assert f"Destroyed: instance {box.id}" in said and "past its deadline" in said
    assert alive(server) == []


def test_the_next_kernel_guards_what_is_not_due_yet(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = connect()
    box = rent(first, max_hours=3)
    leave(first, journal)
    clock.advance(HOUR)
    second = connect()
    report = second.reconcile()
    assert "destroyed at its deadline, " in str(report) and "in 2 h" in str(report)
    assert [one.id for one in guard_of(second).guarded] == [box.id]
    pass_time(second, clock, 2 * HOUR)
    finish(second, clock)
    assert alive(server) == []


def test_a_client_that_closes_says_what_it_leaves(
    connect: MakeClient, server: Server, clock: ManualClock
) -> None:
    first = connect()
    box = rent(first, max_hours=1)
    with pytest.warns(RuntimeWarning, match=f"instance {box.id} .*deadline"):
        first.close()
    assert threads() == []
    second = connect()
    second.show_instances()
    assert [one.id for one in guard_of(second).guarded] == [box.id], "taken up in this kernel"
    second.destroy_instance(box.id)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second.close()


def test_a_second_client_leaves_a_guarded_machine_to_the_first(
    connect: MakeClient, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = connect(), connect()
    rent(first, max_hours=1)
    capsys.readouterr()
    second.show_instances()
    assert capsys.readouterr().out == ""
    second.reconcile()
    assert guard_of(second).guarded == ()


def test_a_destroy_that_fails_is_loud_and_tried_again(
    client: vastnb.Client, server: Server, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    box = rent(client, max_hours=1)
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=10_000))
    pass_time(client, clock, HOUR)
    until(lambda: any(one.failures for one in guard_of(client).unfinished), "a failure")
    assert f"INSTANCE {box.id} IS PAST ITS DEADLINE AND MAY STILL BILL" in capsys.readouterr().err
    server.faults.clear()
    pass_time(client, clock, 600)
    finish(client, clock)
    assert alive(server) == []


def test_a_deadline_during_the_renting_ends_it(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    with pytest.warns(RuntimeWarning, match=r"of 10 machines .* reached its deadline"):
        client.rent("num_gpus=1", count=10, max_hours=20 / HOUR, **ORDER)
    assert 4 <= server.calls("create_instance") < 10
    for _ in range(20):
        pass_time(client, clock, 30)
        time.sleep(0.02)
    finish(client, clock)
    assert alive(server) == []


def test_a_rental_that_breaks_off_leaves_its_machines_guarded(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=2))
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    with pytest.raises(OutcomeUnknown) as broken:
        client.rent("num_gpus=1", count=3, max_hours=1, **ORDER)
    assert any("ends" in note for note in broken.value.__notes__)
    assert len(guard_of(client).guarded) == 1
    server.faults.clear()
    client.reconcile()
    assert len(guard_of(client).guarded) == 2, "what was found is guarded too"
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_guards_nothing_of_its_parents(client: vastnb.Client, server: Server) -> None:
    rent(client, max_hours=1)
    guard = guard_of(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        os._exit(0 if guard.guarded == () and not guard.alive and guard.close() == () else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert len(guard.guarded) == 1 and guard.alive


@pytest.mark.slow
def test_a_kernel_that_ends_says_what_it_leaves(server: Server, tmp_path: Path) -> None:
    code = (
        "import vastnb\n"
        f"client = vastnb.Client({server.api_key!r}, base_url={server.url!r}, cache='memory')\n"
        "box = client.rent('num_gpus=1', image='a/b', disk=10, max_hours=1)\n"
        "print(box.id)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert f"instance {done.stdout.strip()} (deadline" in done.stderr
    assert "This kernel ends" in done.stderr


@pytest.mark.slow
def test_the_thread_of_a_simulated_market_ends_with_it() -> None:
    for closed in (False, True):
        client = vastnb.demo(speed=1, machines=60)
        client.rent("num_gpus=1", **ORDER, max_hours=1)
        assert len(threads()) == 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if closed:
                client.close()
            del client
            gc.collect()
        until(lambda: not threads(), "the thread has ended")


def test_a_deadline_is_kept_for_a_kernel_that_lives_and_does_not_keep_it(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    first = connect()
    box = rent(first, max_hours=1)
    (entry,) = entries(first)
    parent = Process(this_process().host, os.getppid(), began(os.getppid()))
    journal.update(entry, **parent._asdict())
    guard_of(first).close()
    clock.advance(HOUR + 60)
    assert connect().reconcile().of("elsewhere"), "it may be at it"
    clock.advance(NEGLECTED)
    capsys.readouterr()
    connect().show_instances()
    assert f"Destroyed: instance {box.id}" in capsys.readouterr().out
    assert alive(server) == []


def test_a_client_that_is_closed_guards_nothing_in_silence(
    connect: MakeClient, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    client = connect()
    box = rent(client, max_hours=1)
    guard, deadline = guard_of(client), box.deadline
    client.close()
    with pytest.raises(InvalidRequest, match="closed"):
        box.extend(1)
    assert box.deadline == deadline
    guard.arm(entries(client))  # an answer that comes when the client has been closed
    assert f"instance {box.id}" in capsys.readouterr().err


def test_a_block_whose_client_is_closed_says_at_once_that_its_machine_bills_on(
    connect: MakeClient, server: Server, clock: ManualClock
) -> None:
    client = connect()
    before = clock.time()
    with pytest.raises(InvalidRequest, match="keep billing"), rent(client) as box:
        client.close()
    assert clock.time() - before < 20 and [one.id for one in alive(server)] == [box.id]
    connect().reconcile()
    assert alive(server) == [], "that it is to be destroyed is written down"


@pytest.mark.filterwarnings("ignore:Exception in thread")
def test_a_thread_that_has_died_is_replaced(
    client: vastnb.Client, server: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rent(client, max_hours=1)
    guard = guard_of(client)

    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(guard, "_end", dies)
        pass_time(client, clock, HOUR)
        until(lambda: not guard.alive, "died")
    client.reconcile()
    finish(client, clock)
    assert alive(server) == []


def test_a_clock_that_is_set_back_puts_no_deadline_off(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    rent(client, max_hours=2)
    clock.set_by(-HOUR)
    pass_time(client, clock, 2 * HOUR - 60)
    time.sleep(0.05)
    assert len(alive(server)) == 1
    pass_time(client, clock, 61)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.parametrize("fails", [KeyboardInterrupt, ServerError])
def test_a_first_use_that_is_interrupted_is_the_first_use_again(
    connect: MakeClient, server: Server, journal: Journal, monkeypatch: pytest.MonkeyPatch,
    fails: type[BaseException],
) -> None:  # fmt: skip
    first = connect()
    box = rent(first, max_hours=3)
    leave(first, journal)
    second = connect()
    with monkeypatch.context() as patched:
        patched.setattr("vastnb.fleet.rent.recovery._first_list", lambda *_: (_ for _ in ()).throw(
            fails("interrupted")))  # fmt: skip
        with pytest.raises(fails):
            second.show_instances()
    second.show_instances()
    assert [one.id for one in guard_of(second).guarded] == [box.id]
