"""Machines that are not as it was written down: created late, or dearer than agreed."""

from __future__ import annotations

import pytest

from vastnb.clock import ManualClock
from vastnb.errors import ServerError
from vastnb.fleet.env import MARKER
from vastnb.fleet.rent.journal import Written
from vastnb.fleet.rent.spec import Spec
from vastnb.fleet.watch.notices import notices
from vastnb.fleet.watch.picture import take_list
from vastnb.sim import Fault, Server

from .conftest import alive, entries
from .inside import transport_of

NOW = 1_790_000_000.0


def said(client) -> list[str]:
    return client.watcher.events().query("kind == 'notice'")["text"].tolist()


def offer_of(server: Server) -> int:
    return next(one.id for one in server.world.market.listings() if one.available)


def test_a_machine_that_is_created_after_its_absence_was_proved_is_told_at_once_and_once(
    server: Server, client, clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults.add(Fault("create_instance", "drop-before", nth=1))
    offer = offer_of(server)
    with pytest.raises(ServerError, match="Nothing was rented"):
        client.create_instance(offer, image="a/b")
    (entry,) = entries(client)
    assert entry.state == "absent"
    client.watcher.look(at_once=True)
    assert said(client) == []
    # The request was on its way all the time, and arrives now.
    body = Spec(image="a/b").body(entry.marker)
    transport_of(client).call("create_instance", path={"id": offer}, body=body)
    for _ in range(3):
        clock.advance(20)
        client.watcher.look(at_once=True)
    (machine,) = alive(server)
    told = [one for one in said(client) if "though its rental was absent" in one]
    told += [one for one in capsys.readouterr().err.splitlines() if "exists" in one]
    assert told and all(str(machine.id) in one for one in told), "by the watcher, or by the guard"
    assert not any("request to destroy it" in one for one in said(client)), "nobody has told it"
    assert [one.instance_id for one in client.reconcile().of("adopted")] == [machine.id]
    assert entries(client)[0].contract == machine.id, "it is known from now on"


def test_what_a_living_rental_holds_is_not_spoken_of(
    server: Server, client, clock: ManualClock
) -> None:
    box = client.rent([offer_of(server)], image="a/b", disk=32)
    for _ in range(4):
        clock.advance(20)
        client.watcher.look(at_once=True)
    box.destroy()
    clock.advance(20)
    client.watcher.look(at_once=True)
    assert said(client) == []


def record(dph: float) -> dict[str, object]:
    return {
        "id": 1, "actual_status": "running", "intended_status": "running", "dph_total": dph,
        "extra_env": [[MARKER, "m"]],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("agreed", "charged", "told"),
    [(0.5, 0.5, False), (0.5, 0.5001, False), (0.5, 0.51, True), (None, 9.0, False)],
)
def test_a_price_above_the_agreed_one_is_told(agreed, charged, told) -> None:
    picture = take_list({}, [record(charged)], {}, asked_at=NOW)
    rentals = {1: Written(agreed)}
    known, found = notices((), picture, at=NOW, rentals=rentals)
    assert [("More expensive than agreed" in one.text, one.level) for one in found] == [
        (True, "bad")
    ] * told
    assert notices(known, picture, at=NOW, rentals=rentals)[1] == []
