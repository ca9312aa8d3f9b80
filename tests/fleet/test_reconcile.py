"""What an earlier kernel left open is settled, and the user is told what bills."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, ServerError
from vastnb.fleet.env import MARKER, new_marker
from vastnb.fleet.listing import list_instances
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import AttemptState
from vastnb.fleet.rent.process import Process, began, this_process
from vastnb.sim import Fault, Server
from vastnb.sim.instances.orders import read

from .conftest import MakeClient, alive, entries
from .inside import calls_through, sender_of, transport_of
from .test_journal import a_dead_process

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 10}


def rent_and_forget(
    client: vastnb.Client, journal: Journal, owner: Process, *, sent: bool = True, **changes: Any
) -> Entry:
    """Do what a kernel does that is killed while its create is on its way."""
    marker, now = new_marker(), transport_of(client).clock.time()
    offer = client.search_offers("num_gpus=1", refresh=True).iloc[0]
    base = transport_of(client)
    entry = Entry(
        marker=marker, account=base.account, base_url=base.base_url, offer_id=int(offer["id"]),
        machine_id=int(offer["machine_id"]), price=0.5, bid=None, disk=10.0, label=None,
        created_at=now, since=now + 150, updated_at=now, **owner._asdict(),
    )  # fmt: skip
    journal.begin(entry)
    if sent:
        body = {"image": "a/b", "disk": 10, "env": {MARKER: marker}, **changes}
        base.call("create_instance", path={"id": entry.offer_id}, body=body)
    return entry


def test_the_first_use_settles_what_a_dead_kernel_left(
    connect: MakeClient, journal: Journal, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = rent_and_forget(connect(), journal, a_dead_process())
    unsent = rent_and_forget(connect(), journal, a_dead_process(), sent=False)
    frame = connect().show_instances()
    (machine,) = alive(server)
    assert frame["id"].tolist() == [machine.id]
    told = capsys.readouterr().out
    assert f"Found: instance {machine.id} (offer {sent.offer_id}" in told
    assert f"Not created: no machine exists for offer {unsent.offer_id}" in told
    assert "Billing now" in told
    states = {one.marker: one.state for one in journal.entries(sent.account)}
    assert states == {sent.marker: AttemptState.ADOPTED, unsent.marker: AttemptState.ABSENT}


def test_what_a_clock_wrote_that_was_ahead_is_settled_in_minutes(
    connect: MakeClient, journal: Journal, server: Server, clock: ManualClock
) -> None:
    """Not when the clock comes to where it was: until then no create would be sent."""
    clock.set_by(5 * 3600.0)
    box = connect().rent("num_gpus=1", **ORDER)
    lost = rent_and_forget(connect(), journal, a_dead_process(), sent=False)
    clock.set_by(-5 * 3600.0)
    (machine,) = alive(server)
    server.world.fleet.destroy(machine, server.world.elapsed())  # in the console
    began, second = clock.steady(), connect()
    assert [one.offer_id for one in second.reconcile().of("absent")] == [lost.offer_id]
    second.destroy_instance(box.id)  # answered with 404: it is gone, and not too new
    assert clock.steady() - began < 300


def test_nothing_is_said_when_nothing_is_open(
    client: vastnb.Client, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    client.show_instances()
    assert capsys.readouterr().out == ""
    assert server.calls("show_instances") == 1
    assert (
        str(client.reconcile())
        == "Nothing is unresolved, and nothing rented on this computer is billing."
    )


def test_a_machine_of_a_dead_kernel_that_bills_is_told(
    connect: MakeClient, journal: Journal, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    box = connect().create_instance(connect().search_offers("num_gpus=1").iloc[0], **ORDER)
    (entry,) = journal.entries(transport_of(connect()).account)
    journal.update(entry, **a_dead_process()._asdict())
    capsys.readouterr()
    connect().show_instances()
    assert f"Billing: instance {box.id}" in capsys.readouterr().out
    assert journal.entries(entry.account)[0].owner == this_process()
    assert [one.id for one in alive(server)] == [box.id], "telling is not destroying"


def test_a_living_kernel_is_left_alone(
    client: vastnb.Client, connect: MakeClient, journal: Journal, server: Server
) -> None:
    parent = the_process_above()
    for state in (AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.DESTROYING):
        entry = rent_and_forget(connect(), journal, parent)
        journal.update(entry, state=state)
    before = journal.entries(transport_of(client).account)
    report = connect().reconcile()
    assert len(report.of("elsewhere")) == 3 and len(report.findings) == 3
    assert journal.entries(transport_of(client).account) == before
    assert len(alive(server)) == 3
    assert server.calls("destroy_instance") == 0


def the_process_above() -> Process:
    return Process(this_process().host, os.getppid(), began(os.getppid()))


def test_a_stopped_machine_whose_answer_was_lost_is_destroyed(
    client: vastnb.Client, journal: Journal, server: Server
) -> None:
    server.world.fleet.expect("created-stopped")
    entry = rent_and_forget(client, journal, a_dead_process(), cancel_unavail=False)
    report = client.reconcile()
    (finding,) = report.of("destroyed")
    assert finding.offer_id == entry.offer_id
    assert alive(server) == [] and server.world.instances


def test_a_destroy_that_a_dead_kernel_began_is_finished(
    client: vastnb.Client, connect: MakeClient, journal: Journal, server: Server
) -> None:
    offer = client.search_offers("num_gpus=1").iloc[0]
    box = client.create_instance(offer, **ORDER)
    (entry,) = entries(client)
    journal.update(entry, state=AttemptState.DESTROYING, **a_dead_process()._asdict())
    report = connect().reconcile()
    assert [one.instance_id for one in report.of("destroyed")] == [box.id]
    assert alive(server) == []


def test_a_machine_that_came_after_all_is_taken_up_and_told(
    client: vastnb.Client, journal: Journal, server: Server
) -> None:
    """Its renter was told that there is none. It is not destroyed for its marker alone."""
    entry = rent_and_forget(client, journal, this_process())
    journal.update(entry, state=AttemptState.ABSENT)
    (finding,) = client.reconcile().of("adopted")
    (machine,) = alive(server)
    assert finding.instance_id == machine.id == entries(client)[0].contract
    assert server.calls("destroy_instance") == 0


def test_machines_of_others_are_never_touched(
    client: vastnb.Client, server: Server, journal: Journal
) -> None:
    ids = client.search_offers("num_gpus=1")["id"].tolist()
    call = transport_of(client).call
    plain = {"image": "a", "disk": 10}
    call("create_instance", path={"id": ids[0]}, body=plain)
    marked = {**plain, "env": {MARKER: new_marker()}}
    call("create_instance", path={"id": ids[1]}, body=marked)
    report = client.reconcile()
    assert len(alive(server)) == 2
    (finding,) = report.findings
    assert finding.kind == "elsewhere" and "another computer" in finding.text
    assert server.calls("destroy_instance") == 0


def test_a_machine_that_somebody_else_destroyed_is_gone(
    client: vastnb.Client, server: Server
) -> None:
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    with server.world.lock:
        server.world.fleet.destroy(server.world.instances[box.id], server.world.elapsed())
    report = client.reconcile()
    assert [one.instance_id for one in report.of("gone")] == [box.id]
    assert client.reconcile().findings == ()


def test_a_machine_that_lists_do_not_show_yet_is_neither_gone_nor_destroyed_later(
    client: vastnb.Client, server: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lists of another replica, say: they show it 20 seconds after it was made; or not at all."""
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    call, hidden_until = transport_of(client).call, clock.time() + 20

    def behind(endpoint: str, **request: Any) -> Any:
        answer = call(endpoint, **request)
        if endpoint != "show_instances" or clock.time() > hidden_until:
            return answer
        return SimpleNamespace(data={**answer.data, "instances": [], "total_instances": 0})

    with monkeypatch.context() as patched:
        calls_through(client, behind, patched)
        report = client.reconcile()
        assert [one.instance_id for one in report.of("bills")] == [box.id] and len(report.findings)
        hidden_until = clock.time() + 600
        report = client.reconcile()
        assert report.of("bills") and not report.of("gone"), "its own record is asked for as well"
    clock.advance(1000)
    (finding,) = client.reconcile().findings
    assert finding.kind == "bills" and finding.instance_id == box.id
    assert [one.id for one in alive(server)] == [box.id], "nobody has asked for its end"
    assert entries(client)[0].state is AttemptState.CREATED


@pytest.mark.parametrize("by", [3600.0, -3600.0])
def test_setting_the_clock_proves_nothing(
    client: vastnb.Client, server: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch,
    by: float,
) -> None:  # fmt: skip
    """Lists show the machine after 20 s; the clock is set in the middle of finding out."""
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    offers = client.search_offers("num_gpus=1", order="dph_total")
    desk, lists, began = sender_of(client), [], clock.steady()
    call = desk.call

    def behind(endpoint: str, **request: Any) -> Any:
        answer = call(endpoint, **request)
        if endpoint != "show_instances":
            return answer
        lists.append(clock.steady())
        if len(lists) == 2:
            clock.set_by(by)
        if clock.steady() - began > 20:
            return answer
        return SimpleNamespace(data={**answer.data, "instances": [], "total_instances": 0})

    monkeypatch.setattr(desk.settler, "_call", behind)
    box = client.rent(offers, **ORDER)
    assert [one.id for one in alive(server)] == [box.id], "rented once"  # type: ignore[union-attr]
    assert clock.steady() - began < 60, "and it does not look for an hour"


def test_without_a_list_nothing_is_concluded(
    client: vastnb.Client, journal: Journal, server: Server
) -> None:
    entry = rent_and_forget(client, journal, a_dead_process(), sent=False)
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    report = client.reconcile()
    assert not report.settled
    assert entry.marker in str(report) and "503" in report.trouble
    assert journal.entries(entry.account)[0].state is AttemptState.SENDING
    server.faults.clear()
    assert client.reconcile().settled


def test_a_list_that_lost_its_second_page_proves_nothing(
    client: vastnb.Client, journal: Journal, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = transport_of(client).call

    def cut(endpoint: str, **request: Any) -> Any:
        answer = call(endpoint, **request)
        if endpoint != "show_instances":
            return answer
        data = {**answer.data, "instances": answer.data["instances"][:-1]}
        return SimpleNamespace(data=data)

    rent_and_forget(client, journal, this_process())
    with pytest.raises(ServerError, match="incomplete list"):
        list_instances(cut, transport_of(client).clock)


def test_all_pages_are_read(
    client: vastnb.Client, server: Server, clock: ManualClock, journal: Journal
) -> None:
    with server.world.lock:
        order = read({"image": "a", "disk": 10}, None)
        free = [one for one in server.world.market.listings(bundled=False) if one.available]
        taken: set[int] = set()
        for one in free:
            if one.machine in taken or len(taken) == 30:
                continue
            taken.add(one.machine)
            server.world.fleet.rent(server.world.account, one.id, order, server.world.elapsed())
    rent_and_forget(client, journal, a_dead_process())
    assert len(client.reconcile().of("adopted")) == 1
    assert len(client.show_instances()) == 31


def test_a_wrong_key_is_told_and_changes_nothing(
    server: Server, clock: ManualClock, journal: Journal
) -> None:
    with (
        vastnb.Client("0" * 64, base_url=server.url, cache="memory", clock=clock) as wrong,
        pytest.raises(AuthError),
    ):
        wrong.reconcile()


def test_a_record_without_its_environment_proves_nothing(
    client: vastnb.Client, journal: Journal, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the machine that is looked for, and is named: neither absent nor taken."""
    rent_and_forget(client, journal, this_process(), label="mine")
    call = transport_of(client).call

    def bare(endpoint: str, **request: Any) -> Any:
        if endpoint == "show_instances":
            request["params"] = {**request["params"], "select_cols": ["id", "label"]}
        return call(endpoint, **request)

    calls_through(client, bare, monkeypatch)
    (finding,) = client.reconcile().findings
    (machine,) = alive(server)
    assert finding.kind == "unsettled" and f"may be instance {machine.id}" in finding.text


def test_an_attempt_of_another_thread_is_left_alone(
    client: vastnb.Client, journal: Journal, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = rent_and_forget(client, journal, this_process(), sent=False)
    # The main thread waits while this one asks.
    other = SimpleNamespace(is_alive=lambda: True)
    monkeypatch.setattr("vastnb.fleet.rent.settle.FLYING", {entry.marker: other})
    (finding,) = client.reconcile().findings
    assert finding.kind == "elsewhere"
    assert journal.entries(entry.account) == [entry]
