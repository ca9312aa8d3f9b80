"""What happens while renting is told as it happens, and disturbs nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import vastnb
from vastnb.api.progress import silent
from vastnb.errors import OfferGone
from vastnb.fleet.rent.events import RentEvent
from vastnb.fleet.rent.rental import Rental
from vastnb.sim import Fault, Server

from .conftest import MakeClient, Terminal, alive

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 20}


def test_every_step_is_told_in_order(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("gone", "cached", "cached")
    server.faults.add(Fault("create_instance", "drop-after", nth=3))
    told: list[RentEvent] = []
    where: set[threading.Thread] = set()

    def listen(event: RentEvent) -> None:
        told.append(event)
        where.add(threading.current_thread())

    fleet = client.rent("num_gpus=1", count=2, on_event=listen, **ORDER)
    kinds = [one.kind for one in told]
    assert kinds == [
        "sending", "refused", "sending", "created", "sending", "finding out", "adopted", "done",
    ]  # fmt: skip
    assert where == {threading.current_thread()}
    made = [one for one in told if one.kind in ("created", "adopted")]
    assert [one.instance_id for one in made] == fleet.ids  # type: ignore[union-attr]
    assert all(one.dph and one.offer_id and one.text for one in made)
    assert "no longer available" in told[1].text


def test_what_is_passed_over_and_proved_absent_is_told(
    client: vastnb.Client, server: Server
) -> None:
    events: list[RentEvent] = []
    with pytest.raises(OfferGone):
        client.rent([1, 2], on_event=events.append, **ORDER)
    assert [one.kind for one in events] == ["checking", "passed over", "done"], "one for both"
    assert "offer 1:" in events[1].text and "1 more" in events[1].text
    told: list[str] = []
    server.faults.add(Fault("create_instance", "drop-before", nth=1))
    client.rent("num_gpus=1", on_event=lambda one: told.append(one.kind), **ORDER)
    assert told[:3] == ["sending", "finding out", "absent"] and told[-2:] == ["created", "done"]


def test_one_attempt_is_told_too(client: vastnb.Client, server: Server) -> None:
    bids = client.search_offers("num_gpus=1 min_bid>0.02", type="bid")
    told: list[str] = []
    with pytest.raises(vastnb.errors.InstanceFailed):
        client.create_instance(
            bids.iloc[0], price=0.001, on_event=lambda one: told.append(one.kind), **ORDER
        )
    assert told == ["sending", "destroyed", "done"]


def test_a_listener_that_fails_disturbs_nothing(client: vastnb.Client, server: Server) -> None:
    def broken(event: RentEvent) -> None:
        raise ValueError("mine")

    with pytest.warns(RuntimeWarning, match="on_event failed") as warned:
        client.rent("num_gpus=1", count=2, on_event=broken, **ORDER)
    assert len([one for one in warned if "on_event" in str(one.message)]) == 1
    assert len(alive(server)) == 2


def test_a_listener_may_interrupt_and_nothing_is_lost(
    client: vastnb.Client, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(event: RentEvent) -> None:
        if event.kind == "created":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.rent("num_gpus=1", count=3, on_event=stop, **ORDER)
    (machine,) = alive(server)
    assert str(machine.id) in capsys.readouterr().err


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, ValueError])
@pytest.mark.parametrize("moment", ["frame", "_end_together", "_tell"])
def test_no_machine_goes_unsaid_between_the_last_create_and_its_handle(
    client: vastnb.Client, server: Server, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, ending: type[BaseException], moment: str,
) -> None:  # fmt: skip
    did = getattr(Rental, moment)

    def ends(self: Rental, *arguments: Any) -> Any:
        if moment != "_tell" or arguments[0] == "done":
            raise ending
        return did(self, *arguments)

    monkeypatch.setattr(Rental, moment, ends)
    with pytest.raises(ending) as error:
        client.rent("num_gpus=1", count=2, **ORDER)
    said = capsys.readouterr().err + "".join(getattr(error.value, "__notes__", ()))
    machines = alive(server)
    assert len(machines) == 2 and all(str(one.id) in said for one in machines)


def test_a_line_that_cannot_be_shown_disturbs_nothing(
    client: vastnb.Client, server: Server, terminal: Terminal
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OSError("the stream is closed")

    with terminal() as shown:
        shown.write = shown.flush = broken  # type: ignore[method-assign, assignment]
        fleet = client.rent("num_gpus=1", count=3, **ORDER)
    assert sorted(fleet.ids) == sorted(one.id for one in alive(server))  # type: ignore[union-attr]


def test_a_line_shows_how_far_it_is(client: vastnb.Client, terminal: Terminal) -> None:
    with terminal() as shown:
        fleet = client.rent("num_gpus=1", count=3, **ORDER)
    assert len(fleet) == 3
    assert "(3 of 3)" in shown.getvalue() and shown.getvalue().endswith("\r\x1b[K")


def test_no_line_where_it_would_disturb(
    client: vastnb.Client, connect: MakeClient, terminal: Terminal
) -> None:
    with terminal() as shown:
        held = [connect(on_wait=silent).rent("num_gpus=1", count=3, **ORDER)]
        worker = threading.Thread(
            target=lambda: held.append(client.rent("num_gpus=1", count=3, **ORDER))
        )
        worker.start()
        worker.join()
    assert shown.getvalue() == ""
