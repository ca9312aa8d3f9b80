"""Destroy a machine that does not come up, and rent the next offer for the same purpose."""

from __future__ import annotations

from typing import Any

import pytest

from vastnb.errors import InvalidRequest, OfferGone, OutcomeUnknown
from vastnb.sim import Fault

from .conftest import alive
from .inside import next_offer, rent_again

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "env": {"TOKEN": "hush"}, "onstart": "run.sh"}


def record_of(client, id: int) -> dict[str, Any]:
    return client.show_instance(id).record()


def test_the_next_offer_of_the_same_rental_is_taken_after_the_old_one_is_gone(
    client, server
) -> None:
    offers = client.search_offers("num_gpus=1", order="dph_total", limit=6)
    server.world.fleet.expect("stuck")
    old = client.rent(offers, label="job", disk=20, **ORDER)
    record = record_of(client, old.id)
    found = next_offer(client, old.id, record)
    assert found is not None and found.left == 5
    listed = offers["dph_base"][1] + offers["storage_cost"][1] * 20 / 720
    assert found.max_dph == pytest.approx(max(1.1 * record["dph_total"], listed))

    new = rent_again(client, old.id, record, max_dph=9)
    truth = server.world.instances
    assert [one.id for one in alive(server)] == [new.id]
    gone = truth[old.id].destroyed
    assert gone is not None and truth[new.id].created - gone >= 45  # never two at a time
    assert truth[new.id].machine != truth[old.id].machine
    assert truth[new.id].label == "job" and truth[new.id].onstart == "run.sh"
    assert ("TOKEN", "hush") in truth[new.id].env
    assert next_offer(client, new.id, {}) is not None  # and so on


def test_when_no_offer_is_left_the_market_is_searched_for_the_same_gpus(client, server) -> None:
    offer = client.search_offers("num_gpus=1 gpu_name=RTX_4090", order="dph_total").iloc[0]
    server.world.fleet.expect("stuck")
    old = client.create_instance(offer, **ORDER)
    found = next_offer(client, old.id, record_of(client, old.id))
    assert found is not None and found.left == 0
    new = rent_again(client, old.id, record_of(client, old.id), max_dph=9)
    truth = server.world.instances
    assert truth[new.id].offer["gpu_name"] == "RTX 4090"
    assert truth[new.id].machine != truth[old.id].machine


def test_a_price_above_the_limit_is_not_paid_and_nothing_is_left(client, server) -> None:
    offers = client.search_offers("num_gpus=1", order="dph_total", limit=4)
    old = client.rent(offers, **ORDER)
    with pytest.raises(OfferGone) as caught:
        rent_again(client, old.id, record_of(client, old.id), max_dph=0.001)
    assert f"Instance {old.id} was destroyed" in " ".join(caught.value.__notes__)
    assert alive(server) == []


def test_an_old_machine_that_is_not_seen_gone_stops_everything(client, server) -> None:
    offers = client.search_offers("num_gpus=1", order="dph_total", limit=4)
    old = client.rent(offers, **ORDER)
    record = record_of(client, old.id)
    creates = server.calls("create_instance")
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=999))
    with pytest.raises(OutcomeUnknown):
        rent_again(client, old.id, record, max_dph=9)
    assert server.calls("create_instance") == creates
    assert [one.id for one in alive(server)] == [old.id]


def test_of_a_machine_from_another_kernel_nothing_is_known_and_nothing_is_sent(
    client, connect, server
) -> None:
    old = client.rent("num_gpus=1", **ORDER)
    record = record_of(client, old.id)
    other = connect()
    calls = server.calls()
    assert next_offer(other, old.id, record) is None
    with pytest.raises(InvalidRequest, match="does not know how instance"):
        rent_again(other, old.id, record)
    assert server.calls() == calls


def test_bids_stay_bids(client, server) -> None:
    offers = client.search_offers("num_gpus=1", type="bid", order="dph_total", limit=5)
    old = client.rent(offers, bid="min+30%", **ORDER)
    new = rent_again(client, old.id, record_of(client, old.id), max_dph=9)
    assert server.world.instances[new.id].is_bid
