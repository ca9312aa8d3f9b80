"""Machines end at their deadlines, whatever becomes of their kernel."""

from __future__ import annotations

import time
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import InstanceFailed, InvalidRequest
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Fault, Server

from .conftest import alive, entries
from .guarding import HOUR, ORDER, finish, guard_of, pass_time, rent, threads, until
from .inside import watched_by

pytestmark = pytest.mark.filterwarnings("ignore:This client is closed")


def test_a_machine_ends_at_its_deadline(
    client: vastnb.Client, server: Server, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    with rent(client, max_hours=2) as box:
        made = clock.time()
        assert box.deadline is not None
        assert box.deadline.timestamp() == pytest.approx(made + 2 * HOUR, abs=5)
        assert len(threads()) == 1
        pass_time(client, clock, 2 * HOUR - 60)
        time.sleep(0.05)
        assert len(alive(server)) == 1
        pass_time(client, clock, 61)
        finish(client, clock)
        assert alive(server) == []
        assert [one.state for one in entries(client)] == [AttemptState.DESTROYED]
        asked = server.calls("destroy_instance")
    assert server.calls("destroy_instance") == asked, "it is not destroyed twice"
    said = capsys.readouterr().err
    assert (
        f"The deadline of instance {box.id}" in said
        and f"Instance {box.id} was destroyed at its deadline" in said
    )


def test_there_is_no_thread_without_a_deadline(client: vastnb.Client) -> None:
    rent(client)
    assert threads() == []
    assert not guard_of(client).alive


def test_one_that_comes_back_is_destroyed_again(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("resurrects")
    rent(client, max_hours=1)
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == [] and server.calls("destroy_instance") == 2


def test_one_that_was_destroyed_before_is_guarded_no_longer(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    fleet = client.rent("num_gpus=1", count=2, max_hours=1, **ORDER)
    assert isinstance(fleet, Fleet)
    fleet[0].destroy()
    assert [one.id for one in guard_of(client).guarded] == [fleet[1].id]
    fleet.destroy()
    finish(client, clock)


def test_a_budget_is_kept_with_the_disk_in_it(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("cached")
    box = rent(client, budget_usd=0.5)
    (machine,) = alive(server)
    dph = machine.dph_base + machine.disk_dph
    assert box.deadline is not None
    hours = (box.deadline.timestamp() - entries(client)[0].created_at) / HOUR
    assert hours * dph == pytest.approx(0.5, rel=1e-3)
    pass_time(client, clock, hours * HOUR + 1)
    finish(client, clock)
    spent = machine.gpu_dollars + machine.storage_dollars
    assert 0.4 < spent <= 0.51, "what the service has billed, without traffic"


def test_a_fleet_has_one_budget_and_ends_together(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect(*["cached"] * 4)
    fleet = client.rent("num_gpus=1", count=4, budget_usd=2.0, **ORDER)
    assert isinstance(fleet, Fleet)
    (deadline,) = {one.deadline for one in fleet}
    assert deadline is not None
    machines = alive(server)
    pass_time(client, clock, deadline.timestamp() - clock.time() + 1)
    finish(client, clock)
    assert alive(server) == []
    assert 1.8 < sum(one.gpu_dollars + one.storage_dollars for one in machines) <= 2.02


def test_a_fleet_that_fell_short_has_the_whole_budget(
    client: vastnb.Client, server: Server
) -> None:
    server.world.fleet.expect("cached", "no-credit")
    with pytest.warns(RuntimeWarning, match="1 of 3"):
        fleet = client.rent("num_gpus=1", count=3, budget_usd=3.0, **ORDER)
    assert isinstance(fleet, Fleet)
    (entry,) = entries(client)[:1]
    assert entry.deadline is not None and entry.price is not None
    assert (entry.deadline - entry.created_at) / HOUR * entry.price == pytest.approx(3.0)


def test_a_deadline_is_on_disk_before_the_machine_exists(
    client: vastnb.Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, seen = server.world.fleet.rent, []

    def look_first(*arguments: Any) -> Any:
        seen.append(entries(client)[-1])
        return make(*arguments)

    monkeypatch.setattr(server.world.fleet, "rent", look_first)
    client.rent("num_gpus=1", count=3, budget_usd=3.0, max_hours=50, **ORDER)
    assert len(seen) == 3
    for entry in seen:
        assert entry.deadline is not None
        share = (entry.deadline - entry.created_at) / HOUR * entry.price
        assert share == pytest.approx(1.0) or entry.deadline == entry.created_at + 50 * HOUR


def test_a_lost_answer_keeps_its_deadline(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    box = rent(client, max_hours=1)
    assert [one.id for one in guard_of(client).guarded] == [box.id]
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


@pytest.mark.parametrize("offered", ["row", "id", "bid"])
def test_one_attempt_can_have_a_budget(
    client: vastnb.Client, server: Server, offered: str, clock: ManualClock
) -> None:
    kind: Any = "bid" if offered == "bid" else "on-demand"
    row = client.search_offers("num_gpus=1", type=kind, order="dph_total", storage=20).iloc[0]
    clock.advance(10)
    offer = int(row["id"]) if offered == "id" else row
    price = float(row["min_bid"]) * 2 if offered == "bid" else None
    box = client.create_instance(offer, **ORDER, budget_usd=1.0, price=price)
    (entry,) = entries(client)
    assert entry.deadline is not None and entry.price is not None
    assert (entry.deadline - entry.created_at) / HOUR * entry.price == pytest.approx(1.0)
    box.destroy()


def test_a_deadline_that_nothing_survives_is_an_error(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    server.faults.add(Fault("show_instances", "503", nth=1, times=8))
    with pytest.raises(InstanceFailed, match="deadline") as ended:
        client.rent("num_gpus=1", count=2, max_hours=10 / HOUR, **ORDER)
    assert ended.value.code == "deadline"
    assert server.calls("create_instance") == 1
    finish(client, clock)
    assert alive(server) == []


class Broken:
    """A watcher that is told, and fails."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def expect(self, *told: Any) -> None:
        self.told.append(told)

    def nudge(self, *told: Any) -> None:
        self.told.append(told)
        raise ValueError


def test_a_watcher_is_told_and_cannot_keep_a_machine_alive(
    client: vastnb.Client, server: Server, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    box, watcher = rent(client, max_hours=1), Broken()
    watched_by(client, watcher, monkeypatch)
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []
    assert watcher.told[0] == (box.id, "gone") and "deadline" in watcher.told[1][1]


# -- moving it -----------------------------------------------------------------------------------


def test_a_deadline_can_be_moved(client: vastnb.Client, server: Server, clock: ManualClock) -> None:
    box = rent(client, max_hours=1)
    first = box.deadline
    later = box.extend(hours=2)
    assert first is not None and later is not None and later == box.deadline
    assert (later - first).total_seconds() == 2 * HOUR
    pass_time(client, clock, 2 * HOUR)
    time.sleep(0.05)
    assert len(alive(server)) == 1
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


def test_another_kernel_may_move_it(
    client: vastnb.Client, server: Server, clock: ManualClock, journal: Journal
) -> None:
    rent(client, max_hours=1)
    (entry,) = entries(client)
    assert entry.deadline is not None
    journal.set_deadlines({entry.marker: entry.deadline + HOUR})
    pass_time(client, clock, HOUR)
    until(lambda: guard_of(client).guarded[0].deadline > clock.time(), "it read the journal")
    assert len(alive(server)) == 1


def test_a_machine_without_a_deadline_can_be_given_one(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    box = rent(client)
    assert box.deadline is None
    box.extend(hours=1)
    pass_time(client, clock, HOUR)
    finish(client, clock)
    assert alive(server) == []


def test_what_cannot_be_guarded_is_refused(client: vastnb.Client, server: Server) -> None:
    box = rent(client, max_hours=1)
    for hours in (0, -1, float("nan"), True, "2"):
        with pytest.raises(InvalidRequest, match="hours"):
            box.extend(hours)  # type: ignore[arg-type]
    box.destroy()
    with pytest.raises(InvalidRequest, match="gone"):
        box.extend(1)
    with pytest.raises(InvalidRequest, match="not rented by vastnb"):
        Instance(client, 12345).extend(1)
