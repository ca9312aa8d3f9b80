"""One offer is rented once or not at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import (
    AuthError,
    InstanceFailed,
    InvalidRequest,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    ServerError,
)
from vastnb.fleet.env import MARKER
from vastnb.fleet.rent.attempt import read_answer
from vastnb.fleet.rent.plan import ABSENT_AFTER, GONE_AFTER, AttemptState
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive, entries
from .guarding import finish
from .inside import calls_through, transport_of

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 10}


@pytest.fixture
def offer(client: vastnb.Client) -> Any:
    return client.search_offers("num_gpus=1", order="dph_total").iloc[0]


@pytest.mark.parametrize("kind", ["drop-after", "reset-after", "truncate", "empty", "garbage"])
def test_a_lost_create_is_never_sent_again(
    client: vastnb.Client, server: Server, offer: Any, kind: Any
) -> None:
    server.faults.add(Fault("create_instance", kind, nth=1))
    box = client.create_instance(offer, **ORDER, env={"A": "1"})
    assert server.calls("create_instance") == 1
    (machine,) = alive(server)
    assert machine.id == box.id
    assert dict(machine.env).keys() == {"A", MARKER}
    assert entries(client)[-1].state is AttemptState.ADOPTED


@pytest.mark.parametrize("kind", ["500", "502", "503", "504", "html"])
@pytest.mark.parametrize("effect", [True, False])
def test_an_error_of_the_service_says_nothing_about_what_it_did(
    client: vastnb.Client, server: Server, offer: Any, kind: Any, effect: bool
) -> None:
    server.faults.add(Fault("create_instance", kind, nth=1, effect=effect))
    if effect:
        assert client.create_instance(offer, **ORDER).id == alive(server)[0].id
    else:
        with pytest.raises(ServerError, match="no machine was created") as proved:
            client.create_instance(offer, **ORDER)
        assert proved.value.code == "proved_absent"
    assert server.calls("create_instance") == 1
    assert len(alive(server)) == effect


def test_absence_is_proved_by_complete_lists_for_as_long_as_one_may_be_listed_late(
    client: vastnb.Client, server: Server, offer: Any, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-before", nth=1))
    before = clock.time()
    with pytest.raises(ServerError, match="no machine was created"):
        client.create_instance(offer, **ORDER)
    assert ABSENT_AFTER <= clock.time() - before <= ABSENT_AFTER + 5
    assert server.calls("show_instances") >= 3
    assert entries(client)[-1].state is AttemptState.ABSENT


def test_an_answer_without_instances_is_no_proof(
    client: vastnb.Client, server: Server, offer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that answers `{}` has cost others machines."""
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    server.faults.add(Fault("show_instances", "empty", nth=1, times=4))
    box = client.create_instance(offer, **ORDER)
    assert [one.id for one in alive(server)] == [box.id]


def test_what_cannot_be_found_out_says_what_may_bill_and_how_to_settle_it(
    client: vastnb.Client, server: Server, offer: Any, clock: ManualClock
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    before = clock.time()
    with pytest.raises(OutcomeUnknown) as unknown:
        client.create_instance(offer, **ORDER)
    assert ABSENT_AFTER < clock.time() - before < 240
    text = str(unknown.value)
    (entry,) = entries(client)
    assert entry.state is AttemptState.UNKNOWN
    for word in (str(offer["id"]), f"${offer['dph_total']:.4f}/h", "10 GB", entry.marker,
                 "client.reconcile()"):  # fmt: skip
        assert word in text
    server.faults.clear()
    report = client.reconcile()
    (machine,) = alive(server)
    assert [one.instance_id for one in report.of("adopted")] == [machine.id]
    assert str(machine.id) in str(report)


def test_a_429_is_sent_again(client: vastnb.Client, server: Server, offer: Any) -> None:
    server.faults.add(Fault("create_instance", "429", nth=1))
    client.create_instance(offer, **ORDER)
    assert server.calls("create_instance") == 2
    assert len(alive(server)) == 1


@pytest.mark.parametrize(
    ("fate", "error"), [("gone", OfferGone), ("no-credit", NoCredit), ("forbidden", AuthError)]
)
def test_a_clear_refusal_is_told_as_what_it_is(
    client: vastnb.Client, server: Server, offer: Any, fate: str, error: type[Exception]
) -> None:
    server.world.fleet.expect(fate)
    with pytest.raises(error, match=r"[Nn]othing was"):
        client.create_instance(offer, **ORDER)
    assert server.calls("show_instances") == 0
    assert entries(client)[-1].state is AttemptState.REFUSED


@pytest.mark.parametrize("lost", [False, True])
def test_a_stopped_machine_that_would_bill_is_destroyed_and_told(
    client: vastnb.Client, server: Server, offer: Any, lost: bool
) -> None:
    server.world.fleet.expect("created-stopped")
    if lost:
        server.faults.add(Fault("create_instance", "drop-after", nth=1))
    with pytest.raises(InstanceFailed, match="created stopped") as failed:
        client.create_instance(offer, **ORDER, cancel_unavail=False)
    assert alive(server) == []
    (machine,) = server.world.instances.values()
    assert str(machine.id) in str(failed.value)
    assert entries(client)[-1].is_confirmed


def test_a_bid_below_the_spot_price_leaves_nothing_behind(
    client: vastnb.Client, server: Server
) -> None:
    bids = client.search_offers("num_gpus=1 min_bid>0.02", type="bid")
    with pytest.raises(InstanceFailed):
        client.create_instance(bids.iloc[0], **ORDER, price=0.001)
    assert server.world.instances and alive(server) == []


def test_a_bid_row_is_never_rented_on_demand_by_accident(
    client: vastnb.Client, server: Server
) -> None:
    bids = client.search_offers("num_gpus=1", type="interruptible")
    for offer in (bids.iloc[0], bids.head(1)):
        with pytest.raises(InvalidRequest, match="on demand"):
            client.create_instance(offer, **ORDER)
    assert server.calls("create_instance") == 0


def test_a_wrong_order_costs_no_call(client: vastnb.Client, server: Server, offer: Any) -> None:
    with pytest.raises(InvalidRequest, match="from 8"):
        client.create_instance(offer, image="a", disk=4)
    assert server.calls("create_instance") == 0
    assert entries(client) == []


def test_a_wrong_key_rents_nothing_and_leaves_nothing_open(
    server: Server, connect: MakeClient, clock: ManualClock
) -> None:
    with vastnb.Client("0" * 64, base_url=server.url, cache="memory", clock=clock) as wrong:
        with pytest.raises(AuthError):
            wrong.create_instance(5, **ORDER)
        assert [one.state for one in entries(wrong)] == [AttemptState.REFUSED]


def test_ctrl_c_leaves_the_attempt_open_and_says_so(
    client: vastnb.Client, server: Server, offer: Any, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    call = transport_of(client).call

    def interrupted(endpoint: str, **request: Any) -> Any:
        answer = call(endpoint, **request)
        if endpoint == "create_instance":
            raise KeyboardInterrupt
        return answer

    calls_through(client, interrupted, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        client.create_instance(offer, **ORDER)
    assert "client.reconcile()" in capsys.readouterr().err
    assert [one.state for one in entries(client)] == [AttemptState.UNKNOWN]
    (machine,) = alive(server)
    assert client.reconcile().of("adopted")[0].instance_id == machine.id


@pytest.mark.parametrize(
    ("answer", "state", "contract"),
    [
        ({"success": True, "new_contract": 5}, AttemptState.CREATED, 5),
        ({"new_contract": "5"}, AttemptState.CREATED, 5),
        ({"success": False, "new_contract": 5}, AttemptState.STILLBORN, 5),
        ({"success": False, "error": "invalid_args", "msg": "no"}, AttemptState.REFUSED, None),
        ({"success": False, "error": "odd", "msg": "no"}, AttemptState.UNKNOWN, None),
        ({"success": True}, AttemptState.UNKNOWN, None),
        ({"success": False}, AttemptState.UNKNOWN, None),
        ({"success": True, "new_contract": None}, AttemptState.UNKNOWN, None),
        ({"success": True, "new_contract": True}, AttemptState.UNKNOWN, None),
        ({}, AttemptState.UNKNOWN, None),
        (None, AttemptState.UNKNOWN, None),
        ([1], AttemptState.UNKNOWN, None),
    ],
)
def test_an_answer_that_names_no_machine_and_no_reason_is_unknown(
    answer: Any, state: AttemptState, contract: int | None
) -> None:
    assert read_answer(answer)[:2] == (state, contract)


def test_a_machine_that_comes_back_is_destroyed_again(
    client: vastnb.Client, server: Server, offer: Any, clock: ManualClock,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    server.world.fleet.expect("resurrects")
    box = client.create_instance(offer, **ORDER)
    before = clock.time()
    box.destroy()
    assert clock.time() - before < 5, "that it stays gone is seen in the background"
    finish(client, clock)
    assert alive(server) == []
    assert server.calls("destroy_instance") == 2
    assert clock.time() - before >= GONE_AFTER
    assert entries(client)[-1].state is AttemptState.DESTROYED
    assert f"Instance {box.id} came back" in capsys.readouterr().err


def test_a_block_destroys_its_machine_whatever_happens(
    client: vastnb.Client, server: Server, offer: Any
) -> None:
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=2))
    with (
        pytest.raises(ZeroDivisionError),
        client.create_instance(offer, **ORDER) as box,
    ):
        _ = box.id / 0
    assert alive(server) == []


def test_a_machine_that_was_not_seen_gone_is_told(
    client: vastnb.Client, server: Server, offer: Any
) -> None:
    box = client.create_instance(offer, **ORDER)
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=1000))
    with pytest.raises(OutcomeUnknown, match=f"{box.id}.*may still bill"):
        box.destroy()
    server.faults.clear()
    assert [one.instance_id for one in client.reconcile().of("destroyed")] == [box.id]
    assert alive(server) == []


def test_a_machine_that_is_listed_late_is_found(
    client: vastnb.Client, server: Server, offer: Any, clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A service that is slow to show what it made must not make it look absent."""
    call, begun = transport_of(client).call, clock.time()

    def late(endpoint: str, **request: Any) -> Any:
        answer = call(endpoint, **request)
        if endpoint != "show_instances" or clock.time() > begun + 26:
            return answer
        return SimpleNamespace(data={**answer.data, "instances": [], "total_instances": 0})

    calls_through(client, late, monkeypatch)
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    assert client.create_instance(offer, **ORDER).id == alive(server)[0].id


def test_a_destroy_is_on_disk_before_it_is_sent(
    client: vastnb.Client, server: Server, offer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = client.create_instance(offer, **ORDER)
    destroy, seen = server.world.fleet.destroy, []

    def look_first(*arguments: Any) -> None:
        seen.extend(one.state for one in entries(client))
        destroy(*arguments)

    monkeypatch.setattr(server.world.fleet, "destroy", look_first)
    box.destroy()
    assert seen == [AttemptState.DESTROYING]
