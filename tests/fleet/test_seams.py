"""Between a create and the end of its machine nothing is forgotten, doubled or taken away."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import warnings
from typing import Any

import pytest

import vastnb
from vastnb.api.answers import Answer, utc
from vastnb.api.files import data_dir
from vastnb.clock import ManualClock
from vastnb.errors import InstanceFailed, InvalidRequest, OutcomeUnknown, ServerError, VastError
from vastnb.fleet.env import MARKER, new_marker
from vastnb.fleet.instance import Instance
from vastnb.fleet.rent.deadline import LONGEST
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import NEGLECTED
from vastnb.fleet.rent.plan import AttemptState
from vastnb.fleet.rent.process import SILENT_FOR_DEAD, Process, this_process
from vastnb.fleet.rent.settle import Case, Settler
from vastnb.sim import Fault, Server
from vastnb.sim.instances.orders import read
from vastnb.widgets.explorer.widget import explore

from .conftest import MakeClient, alive, entries
from .guarding import HOUR, ORDER, finish, guard_of, pass_time, rent, until
from .inside import rent_again
from .test_journal import a_dead_process
from .test_reconcile import rent_and_forget

pytestmark = pytest.mark.filterwarnings("ignore:This client is closed")


def by_hand(server: Server, **body: Any) -> int:
    """Rent a machine by other means; return its id."""
    world = server.world
    with world.lock:
        free = next(one for one in world.market.listings() if one.available)
        world.settle()
        order = read({"image": "a/b", "disk": 10, **body}, None, free.id)
        answer = world.fleet.rent(world.account, free.id, order, world.elapsed())
    return int(answer["new_contract"])


def _requests(server: Server) -> list[Any]:
    return server.seen


# -- one machine for one order -------------------------------------------------------------------


def dies(client: vastnb.Client, journal: Journal) -> None:
    """End the kernel of a client: its rows belong to a dead process, and its guard is gone."""
    for entry in entries(client):
        journal.update(entry, **a_dead_process()._asdict())
    guard_of(client).close()


def test_the_same_rent_after_an_unknown_outcome_gives_the_machine_that_was_made(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "504", nth=1, effect=True))
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    with pytest.raises(OutcomeUnknown):
        rent(client, max_hours=2)
    server.faults.clear()
    box = rent(client, max_hours=2)
    assert [one.id for one in alive(server)] == [box.id]
    assert server.calls("create_instance") == 1
    pass_time(client, clock, 2 * HOUR)
    finish(client, clock)
    assert alive(server) == []


def test_nothing_is_sent_while_an_earlier_create_is_unknown(
    client: vastnb.Client, server: Server
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    server.faults.add(Fault("show_instances", "503", nth=1, times=10_000))
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            rent(client)
    assert server.calls("create_instance") == 1 and len(alive(server)) == 1


def test_an_unknown_create_is_found_and_ended_in_time_by_the_guard(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    with pytest.raises(OutcomeUnknown):
        rent(client, max_hours=1)
    server.faults.clear()
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.parametrize("seconds", [40.0, 60.0])
def test_a_machine_that_is_listed_late_is_not_called_absent(
    client: vastnb.Client, server: Server, seconds: float
) -> None:
    server.world.fleet.listed_after = seconds
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    box = rent(client)
    assert [one.id for one in alive(server)] == [box.id]


@pytest.mark.parametrize("shape", ["texts", "object", "json", "null"])
def test_an_environment_in_any_form_is_read_or_proves_nothing(
    client: vastnb.Client, server: Server, shape: str
) -> None:
    server.world.fleet.env_shape = shape
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    box = rent(client)
    assert [one.id for one in alive(server)] == [box.id]


def test_a_machine_that_may_be_it_is_named_and_not_called_absent(
    client: vastnb.Client, server: Server
) -> None:
    server.world.fleet.env_shape = "null"
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    with pytest.raises(OutcomeUnknown) as unknown:
        client.rent("num_gpus=1", **ORDER, label="mine")
    (machine,) = alive(server)
    assert f"may be instance {machine.id}" in str(unknown.value)


def test_an_offer_that_is_gone_after_its_absence_was_proved_is_looked_for_again(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.listed_after = 200.0  # later than anybody has seen
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    box = client.rent("num_gpus=1", **ORDER)
    assert isinstance(box, Instance)
    assert [one.id for one in alive(server)] == [box.id]


@pytest.mark.slow
def test_a_machine_that_appears_after_its_absence_was_proved_is_adopted_and_ended_in_time(
    client: vastnb.Client, server: Server, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    server.world.fleet.listed_after = 600.0
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    offer = client.search_offers("num_gpus=1").iloc[0]
    with pytest.raises(ServerError, match="no machine was created"):
        client.create_instance(offer, **ORDER, max_hours=2)
    (machine,) = alive(server)
    before = server.calls("show_instances")

    def is_told() -> bool:
        pass_time(client, clock, 2)
        return [one.id for one in guard_of(client).guarded] == [machine.id]

    until(is_told, "it is not adopted")
    assert server.calls("show_instances") - before <= 6
    assert f"Instance {machine.id} exists" in capsys.readouterr().err
    pass_time(client, clock, 2 * HOUR)
    finish(client, clock)
    assert alive(server) == []


def test_a_look_that_somebody_takes_finds_a_machine_that_appears_late(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.listed_after = 200.0
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    with pytest.raises(ServerError, match="no machine was created"):
        client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER, max_hours=2)
    (machine,) = alive(server)
    clock.advance(max(0.0, 201 - (clock.time() - entries(client)[0].created_at)))
    client.watcher.look(at_once=True)
    assert [one.id for one in guard_of(client).guarded] == [machine.id]


@pytest.mark.slow
def test_what_is_absent_for_good_is_looked_for_a_few_times_only(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-before", nth=1))
    with pytest.raises(ServerError, match="no machine was created"):
        client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    before = server.calls("show_instances")
    finish(client, clock)
    assert 3 <= server.calls("show_instances") - before <= 8


def test_a_machine_that_is_said_not_to_be_mine_no_longer_stands_in_the_way(
    client: vastnb.Client, server: Server
) -> None:
    server.world.fleet.env_shape = "null"
    other = by_hand(server)
    server.faults.add(Fault("create_instance", "drop-before", nth=1))
    way_on = re.escape(f"client.reconcile(not_mine=[{other}])")
    with pytest.raises(OutcomeUnknown, match=way_on):
        client.create_instance(server.world.instances[other].offer["id"], image="a/b")
    with pytest.raises(OutcomeUnknown, match=way_on):
        rent(client)
    assert client.reconcile(not_mine=[other]).of("absent")
    box = rent(client)
    assert {one.id for one in alive(server)} == {other, box.id}
    with pytest.raises(InvalidRequest, match="it is yours"):
        client.reconcile(not_mine=box.id)


def test_an_answer_that_names_a_machine_which_is_known_is_found_out(
    client: vastnb.Client, server: Server
) -> None:
    box = rent(client)
    said = {"success": True, "new_contract": box.id}
    server.faults.add(Fault("create_instance", "answer", nth=1, status=200, body=said))
    with pytest.raises(ServerError, match="no machine was created"):
        client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    assert [one.id for one in alive(server)] == [box.id]
    assert [one.contract for one in entries(client)] == [box.id, None]


def test_a_replacement_has_what_is_left_of_the_budget(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    box = rent(client, budget_usd=1.0)
    dph = float(box.record()["dph_total"])
    clock.advance(0.6 / dph * HOUR)
    new = rent_again(client, box.id, box.record(), max_dph=9)
    (entry,) = [one for one in entries(client) if one.contract == new.id]
    assert entry.budget == pytest.approx(0.4, abs=0.03)
    assert entry.deadline is not None
    hours = (entry.deadline - clock.time()) / HOUR
    assert hours * float(new.record()["dph_total"]) <= 0.4 + 0.01


def test_a_machine_is_replaced_once(client: vastnb.Client, server: Server) -> None:
    box = client.rent("num_gpus=1", **ORDER)
    assert isinstance(box, Instance)
    record = box.record()
    rent_again(client, box.id, record)
    with pytest.raises(InvalidRequest):
        rent_again(client, box.id, record)
    assert len(alive(server)) == 1


# -- nothing is forgotten ------------------------------------------------------------------------


def test_empty_lists_do_not_make_a_deadline_forgotten(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    rent(first, max_hours=1)
    dies(first, journal)
    server.world.fleet.lists_empty = True
    second = connect()
    second.reconcile()
    server.world.fleet.lists_empty = False
    pass_time(second, clock, HOUR)
    finish(second, clock)
    assert alive(server) == []


def test_another_key_of_the_account_takes_up_what_the_old_one_has_rented(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    box = rent(first, max_hours=1)
    dies(first, journal)
    key = "e" * 64
    server.world.accounts[key] = server.world.accounts[server.api_key]
    with vastnb.Client(key, base_url=server.url, cache="memory", clock=clock) as second:
        report = second.reconcile()
        assert [one.instance_id for one in report.of("bills")] == [box.id]
        assert box.id in [one.id for one in guard_of(second).guarded]


def after_a_deadline(connect: MakeClient, clock: ManualClock, journal: Journal) -> vastnb.Client:
    """A client that begins when the machine of a dead one is overdue."""
    first = connect()
    rent(first, max_hours=1)
    dies(first, journal)
    clock.advance(2 * HOUR)
    return connect()


def test_whoever_only_looks_takes_up_what_is_overdue(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    second = after_a_deadline(connect, clock, journal)
    second.watcher.look(at_once=True)
    finish(second, clock)
    assert alive(server) == []


def test_an_explorer_alone_takes_up_what_is_overdue(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    second = after_a_deadline(connect, clock, journal)
    explorer = explore(second, "num_gpus=1")
    finish(second, clock)
    explorer.close()
    assert alive(server) == []


def test_a_date_that_is_set_here_is_kept_here(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    box = rent(first)
    parent = Process(this_process().host, os.getppid(), "")
    journal.update(entries(first)[0], **parent._asdict())
    second = connect()
    second.show_instance(box.id).extend(1)
    pass_time(second, clock, HOUR)
    finish(second, clock)
    assert alive(server) == []


def test_a_machine_that_cannot_be_written_down_is_guarded_all_the_same(
    client: vastnb.Client, server: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise vastnb.errors.JournalError("the disk is full", code="journal")

    client.show_instances()
    with monkeypatch.context() as patched:
        patched.setattr(Journal, "update", full)
        with pytest.warns(RuntimeWarning, match="full"):
            box = rent(client, max_hours=1)
    assert [one.id for one in guard_of(client).guarded] == [box.id]


def test_a_process_without_a_beginning_is_dead_when_it_has_been_silent() -> None:
    unknown = Process(this_process().host, os.getppid(), "")
    assert not unknown.is_dead(10.0) and unknown.is_dead(SILENT_FOR_DEAD)


def test_a_journal_that_was_deleted_is_written_anew(
    client: vastnb.Client, server: Server, journal: Journal
) -> None:
    box = rent(client)
    journal.path.unlink()
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=10_000))
    with pytest.raises(OutcomeUnknown):
        box.destroy()
    assert [one.contract for one in entries(client)] == [box.id]


def test_a_relative_data_directory_stays_where_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VASTNB_DATA_DIR", f"kept-{tmp_path.name}")
    before = data_dir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert data_dir() == before and before.is_absolute()


def test_an_error_carries_the_machines_that_were_rented_before_it(
    client: vastnb.Client, server: Server
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=3))
    server.faults.add(Fault("show_instances", "503", nth=1, times=10_000))
    with pytest.raises(OutcomeUnknown) as unknown:
        client.rent("num_gpus=1", count=3, **ORDER)
    assert len(unknown.value.machines) == 2
    for box in unknown.value.machines:
        box.destroy(verify=False)


def test_a_block_may_be_asynchronous(client: vastnb.Client, server: Server) -> None:
    async def work() -> None:
        async with rent(client) as box:
            assert [one.id for one in alive(server)] == [box.id]

    asyncio.run(work())
    assert alive(server) == []


def test_a_warning_that_is_an_error_loses_no_handle(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("cached", "no-credit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fleet = client.rent("num_gpus=1", count=2, check_ssh_key=False, **ORDER)
    assert len(fleet) == 1  # type: ignore[arg-type]


def test_a_handle_that_is_dropped_unused_says_that_its_machine_bills(
    client: vastnb.Client, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    client.rent("num_gpus=1", **ORDER)  # as after a Ctrl-C between the rent and its block
    (machine,) = alive(server)
    said = capsys.readouterr().err
    assert f"Instance {machine.id} was rented, but its handle was not kept" in said
    with rent(client):
        pass
    assert "dropped" not in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    "act",
    [
        lambda c, i: c.stop_instance(i),
        lambda c, i: c.reboot_instance(i),
        lambda c, i: c.label_instance(i, "x"),
        lambda c, i: c.change_bid(i, 0.5),
    ],
)
def test_what_is_asked_of_a_machine_does_not_wait_for_the_past(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal, act: Any
) -> None:
    first = connect()
    box = rent(first)
    server.faults.add(Fault("create_instance", "504", nth=1))
    server.faults.add(Fault("show_instances", "503", nth=1, times=10_000))
    with pytest.raises(OutcomeUnknown):
        rent(first)
    guard_of(first).close()
    for entry in entries(first):
        journal.update(entry, **a_dead_process()._asdict())
    second = connect()
    before = len(server.seen)
    act(second, box.id)
    asked = [one.endpoint for one in server.seen[before:]]
    acts = {"manage_instance", "reboot_instance", "change_bid"}
    assert next(at for at, one in enumerate(asked) if one in acts) <= 3
    with pytest.raises(OutcomeUnknown):
        rent(second)
    assert server.calls("create_instance") == 2, "no create before the past is settled"
    server.faults.clear()
    finish(second, clock)
    assert not [one for one in entries(second) if one.is_open]


# -- ended, and in time --------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", ["corrupt", "locked"])
def test_a_machine_is_destroyed_without_the_journal(
    client: vastnb.Client, server: Server, journal: Journal, trouble: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("vastnb.fleet.rent.journal.PATIENCE", 0.05)
    box = rent(client)
    lock = sqlite3.connect(journal.path, isolation_level=None)
    if trouble == "locked":
        lock.execute("BEGIN EXCLUSIVE")
    else:
        journal.path.write_bytes(b"no database" * 100)
    with pytest.warns(RuntimeWarning, match="rental journal"):
        box.destroy()
    lock.close()
    assert alive(server) == []


@pytest.mark.parametrize("kind", ["500", "503"])
def test_an_unconfirmed_destroy_is_told_without_verify_too(
    client: vastnb.Client, server: Server, kind: Any
) -> None:
    box = rent(client)
    server.faults.add(Fault("destroy_instance", kind, nth=1, times=10_000))
    with pytest.raises(OutcomeUnknown, match="may still bill"):
        box.destroy(verify=False)


def test_a_machine_that_is_not_shown_yet_is_destroyed_when_it_is(
    client: vastnb.Client, server: Server
) -> None:
    server.world.fleet.listed_after = 40.0
    rent(client).destroy()
    assert alive(server) == []


def test_a_refusal_to_destroy_keeps_its_reason_and_takes_no_time(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    box = rent(client)
    server.world.fleet.refuse_destroys = "host offline"
    before = clock.time()
    with pytest.raises(OutcomeUnknown, match="host offline"):
        box.destroy()
    assert clock.time() - before < 10
    server.world.fleet.refuse_destroys = ""
    finish(client, clock)
    assert alive(server) == [], "it is tried again in the background"


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"success": False, "error": "auth_error", "msg": "not with this key"}),
        (403, {"success": False, "error": "forbidden", "msg": "not with this key"}),
        (200, {"success": False, "error": "busy", "msg": "not now"}),
    ],
)
def test_a_destroy_that_is_refused_names_the_machine_that_bills(
    client: vastnb.Client, server: Server, status: int, body: Any, verify: bool
) -> None:
    box = rent(client)
    refusal = Fault("destroy_instance", "answer", nth=None, status=status, body=body)
    server.faults.add(refusal)
    with pytest.raises(OutcomeUnknown, match=f"Instance {box.id} was not .*may still bill"):
        client.destroy_instance(box.id, verify=verify)
    with pytest.raises(OutcomeUnknown, match=f"{box.id}.* not .*may still bill"), box:
        pass


def test_one_destroy_that_hangs_does_not_make_the_others_late(clock: ManualClock) -> None:
    asked: dict[int, float] = {}

    def call(endpoint: str, *, path: Any = None, max_wait: float = 60.0, **_: Any) -> Answer:
        if endpoint == "destroy_instances" or path["id"] == 1:
            clock.advance(max_wait)
            raise ServerError("no answer came")
        asked[path["id"]] = clock.time()
        return Answer(status=200, body=b'{"success": true}', fetched_at=utc(clock.time()))

    began = clock.time()
    cases = [Case(AttemptState.CREATED, began, None, number) for number in (1, 2, 3, 4)]
    Settler(call, clock, Journal()).destroy_all(cases)
    assert set(asked) == {2, 3, 4} and max(asked.values()) - began <= 20
    assert [one.accepted for one in cases] == [False, True, True, True]


def test_machines_end_in_time_although_the_request_for_all_of_them_is_lost(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    client.rent("num_gpus=1", count=3, max_hours=1, **ORDER)
    server.faults.add(Fault("destroy_instances", "drop-before", nth=None))
    server.faults.add(Fault("destroy_instance", "drop-before", nth=1, times=4))
    pass_time(client, clock, HOUR)
    due = clock.time()
    until(lambda: len(alive(server)) <= 1, "the others are late")
    assert clock.time() - due < 60
    finish(client, clock)
    assert alive(server) == []


def test_a_destroy_takes_two_round_trips(client: vastnb.Client, server: Server) -> None:
    box, fleet = rent(client), client.rent("num_gpus=1", count=3, **ORDER)
    guard_of(client)._threaded = False  # what it does in the background is not waited for
    before = len(_requests(server))
    box.destroy()
    assert len(_requests(server)) - before <= 2
    before = len(_requests(server))
    fleet.destroy()
    assert len(_requests(server)) - before <= 3
    assert alive(server) == []


def test_a_destroyed_machine_that_comes_back_is_destroyed_by_the_next_kernel(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    server.world.fleet.expect("resurrects")
    rent(first).destroy()
    dies(first, journal)
    clock.advance(60)
    assert len(alive(server)) == 1
    second = connect()
    second.show_instances()
    finish(second, clock)
    assert alive(server) == []


def test_a_machine_that_vastnb_has_not_rented_is_seen_to_stay_gone_too(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("resurrects")
    client.destroy_instance(by_hand(server))
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.parametrize("limits", [{"max_hours": 1e8}, {"max_hours": 1e300}])
def test_a_deadline_beyond_all_sense_breaks_no_start(
    connect: MakeClient, server: Server, clock: ManualClock, limits: Any, journal: Journal
) -> None:
    box = rent(connect(), **limits)
    assert box.deadline is not None
    assert box.deadline.timestamp() <= clock.time() + LONGEST
    (entry,) = entries(connect())
    journal.update(entry, deadline=1e300, **a_dead_process()._asdict())
    assert str(box.id) in str(connect().reconcile())


def test_what_costs_more_than_max_dph_is_destroyed(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    offer = client.search_offers("num_gpus=1", order="dph_total", storage=20).head(1)
    make = server.world.fleet.rent

    def dearer(*arguments: Any) -> Any:
        answer = make(*arguments)
        server.world.instances[answer["new_contract"]].on_demand *= 5
        return answer

    server.world.fleet.rent = dearer  # type: ignore[method-assign]
    with pytest.raises(InstanceFailed, match="max_dph"):
        client.rent(offer, max_dph=float(offer["dph_total"].iloc[0]) * 1.01, **ORDER)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.slow
def test_a_budget_follows_what_the_machine_really_costs(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("cached")
    box = rent(client, budget_usd=1.0)
    agreed = box.deadline
    (machine,) = alive(server)
    machine.on_demand *= 4
    guard_of(client).look_at_prices()
    for _ in range(400):
        clock.advance(120)
        guard_of(client).step()
        if not alive(server):
            break
    assert agreed is not None and clock.time() < agreed.timestamp() - HOUR
    assert machine.gpu_dollars + machine.storage_dollars < 1.2


# -- somebody else's -----------------------------------------------------------------------------


def test_a_copied_marker_is_reported_and_never_destroyed(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    with rent(client) as box:
        copied = by_hand(server, env=dict(server.world.instances[box.id].env))
        client.reconcile()
    finish(client, clock)
    clock.advance(7 * 24 * HOUR)
    assert str(copied) in str(client.reconcile())
    assert [one.id for one in alive(server)] == [copied]


def test_a_refusal_that_names_a_machine_of_the_users_destroys_nothing(
    client: vastnb.Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = by_hand(server)
    offer = client.search_offers("num_gpus=1").iloc[0]
    monkeypatch.setattr(
        server.world.fleet, "rent", lambda *_: {"success": False, "new_contract": other}
    )
    with pytest.raises(VastError):
        client.create_instance(offer, **ORDER)
    assert [one.id for one in alive(server)] == [other]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_that_ends_destroys_nothing_of_its_parents(
    client: vastnb.Client, server: Server
) -> None:
    box = rent(client)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with box:
            pid = os.fork()
            if not pid:
                box.__exit__(None, None, None)
                os._exit(0)
            os.waitpid(pid, 0)
            assert server.calls("destroy_instance") == 0 and len(alive(server)) == 1


def test_a_sweep_takes_nothing_that_this_computer_has_not_rented(
    client: vastnb.Client, server: Server
) -> None:
    other = by_hand(server, env={MARKER: new_marker()})
    box = rent(client)
    assert client.sweep(dry_run=False).ids == (box.id,)
    assert [one.id for one in alive(server)] == [other]


@pytest.mark.parametrize("id", [12345.9, float("nan"), float("inf"), True, -1, "x"])
def test_an_id_that_is_none_is_refused(client: vastnb.Client, id: Any) -> None:
    with pytest.raises(InvalidRequest, match="not an instance id"):
        client.destroy_instance(id)


def test_an_orphan_of_a_refusal_is_sought_at_the_next_start(
    client: vastnb.Client, connect: MakeClient, server: Server, journal: Journal,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    entry = rent_and_forget(client, journal, a_dead_process())
    journal.update(entry, state=AttemptState.REFUSED)
    connect().show_instances()
    (machine,) = alive(server)
    assert f"Found: instance {machine.id}" in capsys.readouterr().out


def test_what_a_living_kernel_neglects_is_done_for_it(
    connect: MakeClient, server: Server, clock: ManualClock, journal: Journal
) -> None:
    first = connect()
    rent(first, max_hours=1)
    parent = Process(this_process().host, os.getppid(), "")
    journal.update(entries(first)[0], **parent._asdict())
    guard_of(first).close()
    clock.advance(HOUR + NEGLECTED + 1)
    connect().show_instances()
    assert alive(server) == []
