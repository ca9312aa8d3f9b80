"""Several candidates, several machines, one price."""

from __future__ import annotations

from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import (
    InvalidRequest,
    NoCredit,
    OfferGone,
    OutcomeUnknown,
    QueryError,
    RateLimited,
    ServerError,
)
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive, entries
from .guarding import finish
from .inside import calls_through, transport_of

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 20}


@pytest.fixture
def offers(client: vastnb.Client) -> Any:
    return client.search_offers("num_gpus=1", order="dph_total", storage=20)


def test_candidates_are_tried_in_the_order_given(
    client: vastnb.Client, server: Server, offers: Any
) -> None:
    server.world.fleet.expect("gone", "gone", "cached")
    chosen = offers.iloc[[4, 2, 7, 1]]
    box = client.rent(chosen, **ORDER)
    assert isinstance(box, Instance)
    (machine,) = alive(server)
    assert machine.offer["id"] == offers.iloc[7]["id"]
    frame = box.attempts
    assert frame is not None
    assert frame["offer_id"].tolist() == chosen["id"].tolist()[:3]
    assert frame["outcome"].tolist() == ["refused", "refused", "created"]
    assert "no longer available" in frame["reason"][0]
    assert frame["instance_id"].isna().tolist() == [True, True, False]


def test_a_query_is_rented_cheapest_first(client: vastnb.Client, server: Server) -> None:
    client.rent("num_gpus=1", **ORDER)
    (machine,) = alive(server)
    cheapest = client.search_offers("num_gpus=1", order="dph_total", storage=20, refresh=True)
    rented = machine.dph_base + machine.disk_dph
    assert rented <= cheapest["dph_total"].min()


def test_an_id_and_a_list_of_ids_are_candidates(
    client: vastnb.Client, server: Server, offers: Any
) -> None:
    client.rent(int(offers["id"][3]), **ORDER)
    client.rent(offers["id"][5:7].tolist(), **ORDER)
    assert [one.offer["id"] for one in alive(server)] == offers["id"][[3, 5]].tolist()


def test_the_price_is_checked_with_the_users_disk_at_the_last_moment(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    seen = client.search_offers("num_gpus=1 storage_cost>0.05", order="dph_total", storage=8)
    limit = float(seen["dph_total"][0])
    clock.advance(60)
    with pytest.raises(OfferGone, match="more than max_dph"):
        client.rent(seen.head(1), image="a", disk=500, max_dph=limit)
    assert server.calls("create_instance") == 0


def test_a_price_that_rose_since_the_search_is_not_paid(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    seen = client.search_offers("num_gpus=1", order="dph_total", storage=20)
    clock.advance(30)
    server.world.advance(days=3)
    now = {one["id"]: one for one in client.search_offers("num_gpus=1", storage=20,
           limit=500, refresh=True).to_dict("records")}  # fmt: skip
    risen = [
        row for row in seen.to_dict("records")
        if row["id"] in now and now[row["id"]]["dph_total"] > row["dph_total"] + 1e-6
    ]  # fmt: skip
    assert risen
    clock.advance(30)
    with pytest.raises(OfferGone, match="more than max_dph"):
        client.rent(risen[0], **ORDER, max_dph=risen[0]["dph_total"])
    assert alive(server) == []


def test_a_price_is_never_taken_from_the_cache(
    client: vastnb.Client, server: Server, offers: Any, clock: ManualClock
) -> None:
    clock.advance(30)
    for _ in range(2):
        before = server.calls("search_offers")
        with pytest.raises(OfferGone):
            client.rent(offers, **ORDER, max_dph=0.0001)
        assert server.calls("search_offers") > before


def test_without_a_checked_price_nothing_is_rented_under_a_limit(
    client: vastnb.Client, server: Server, offers: Any, clock: ManualClock
) -> None:
    clock.advance(60)
    server.faults.add(Fault("search_offers", "503", nth=1, times=100))
    with pytest.raises(ServerError):
        client.rent(offers, **ORDER, max_dph=1.0)
    assert server.calls("create_instance") == 0


@pytest.mark.parametrize("kind", ["503", "429", "drop-before"])
@pytest.mark.parametrize("verb", ["rent", "create"])
def test_without_a_checked_price_nothing_is_rented_without_a_limit_either(
    client: vastnb.Client, server: Server, offers: Any, clock: ManualClock, kind: Any, verb: str
) -> None:
    clock.advance(30)
    server.faults.add(Fault("search_offers", kind, nth=1, times=1000))
    act: Any = client.rent if verb == "rent" else client.create_instance
    with pytest.raises((ServerError, RateLimited), match="nothing was sent or rented"):
        act(offers.head(1) if verb == "rent" else offers.iloc[0], **ORDER)
    assert server.calls("create_instance") == 0


def test_a_check_of_the_price_that_fails_for_a_while_is_tried_again(
    client: vastnb.Client, server: Server, offers: Any, clock: ManualClock
) -> None:
    clock.advance(30)
    server.faults.add(Fault("search_offers", "503", nth=1, times=6))
    client.rent(offers.head(1), **ORDER)
    assert len(alive(server)) == 1


def test_ten_machines_take_the_paced_minimum_and_no_429(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    before = clock.time()
    fleet = client.rent("num_gpus=1", count=10, **ORDER)
    assert isinstance(fleet, Fleet)
    between = server.calls("create_instance") - 1
    assert 9 <= between <= 11 and clock.time() - before <= 1.05 * between * 4.5
    assert server.refused == {}
    machines = alive(server)
    assert sorted(fleet.ids) == sorted(one.id for one in machines)
    assert len({one.offer["machine_id"] for one in machines}) == 10
    assert len(fleet) == 10 and fleet.complete and fleet[0].id == fleet.ids[0]


def test_a_lost_answer_in_the_middle_is_settled_before_the_next_is_sent(
    client: vastnb.Client, server: Server
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=2))
    server.faults.add(Fault("create_instance", "drop-before", nth=4))
    fleet = client.rent("num_gpus=1", count=5, **ORDER)
    assert isinstance(fleet, Fleet)
    assert sorted(fleet.ids) == sorted(one.id for one in alive(server))
    assert len(fleet) == 5
    order = [one.endpoint for one in server.seen if one.method in ("PUT", "GET")]
    # The guard looks at the list as well, at any time.
    _, second, third, *_ = (i for i, name in enumerate(order) if name == "create_instance")
    assert "show_instances" in order[second:third]
    assert [one.state for one in entries(client)].count(AttemptState.ABSENT) == 1


def test_nothing_more_is_sent_while_an_outcome_is_unknown(
    client: vastnb.Client, server: Server
) -> None:
    server.faults.add(Fault("create_instance", "drop-after", nth=2))
    server.faults.add(Fault("show_instances", "503", nth=1, times=1000))
    with pytest.raises(OutcomeUnknown) as unknown:
        client.rent("num_gpus=1", count=5, **ORDER)
    assert server.calls("create_instance") == 2
    first = entries(client)[0].contract
    assert any(str(first) in note for note in unknown.value.__notes__)
    server.faults.clear()
    report = client.reconcile()
    found = {one.instance_id for one in report.of("adopted", "bills")}
    assert found == {one.id for one in alive(server)}


def test_no_credit_ends_it_and_what_was_rented_is_handed_over(
    client: vastnb.Client, server: Server
) -> None:
    server.world.fleet.expect("cached", "no-credit")
    with pytest.warns(RuntimeWarning, match=r"1 of 3 .*credit"):
        fleet = client.rent("num_gpus=1", count=3, **ORDER)
    assert isinstance(fleet, Fleet) and len(fleet) == 1 and not fleet.complete
    server.world.fleet.expect("no-credit")
    with pytest.raises(NoCredit):
        client.rent("num_gpus=1", count=3, **ORDER)
    assert server.calls("create_instance") == 3


def test_a_stopped_machine_is_destroyed_and_the_next_is_tried(
    client: vastnb.Client, server: Server, offers: Any
) -> None:
    server.world.fleet.expect("created-stopped", "cached")
    bids = client.search_offers("num_gpus=1", type="bid", order="dph_total", storage=20)
    box = client.rent(bids, **ORDER, bid="min+10%")
    assert isinstance(box, Instance) and box.attempts is not None
    assert [one.id for one in alive(server)] == [box.id]
    assert box.attempts["outcome"].tolist()[:2] == ["destroyed", "created"]
    sent = [one.endpoint for one in server.seen if one.method in ("PUT", "DELETE")]
    assert sent == ["create_instance", "destroy_instance", "create_instance"]


def test_a_bid_search_is_never_rented_on_demand(client: vastnb.Client, server: Server) -> None:
    bids = client.search_offers("num_gpus=1", type="bid", order="dph_total", storage=20)
    with pytest.raises(InvalidRequest, match="on demand"):
        client.rent(bids, **ORDER)
    box = client.rent(bids, **ORDER, bid="min+10%")
    assert isinstance(box, Instance)
    (machine,) = alive(server)
    assert machine.is_bid and machine.bid is not None
    assert machine.bid >= machine.offer["min_bid"] * 1.05


def test_a_bid_below_the_least_is_not_sent(client: vastnb.Client, server: Server) -> None:
    with pytest.raises(OfferGone, match="below its lowest"):
        client.rent("num_gpus=1 min_bid>0.05", **ORDER, bid=0.01)
    assert server.calls("create_instance") == 0


def test_ctrl_c_says_what_runs(
    client: vastnb.Client, server: Server, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    call, sent = transport_of(client).call, []

    def interrupted(endpoint: str, **request: Any) -> Any:
        sent.append(endpoint)
        if sent.count("create_instance") == 3:
            raise KeyboardInterrupt
        return call(endpoint, **request)

    calls_through(client, interrupted, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        client.rent("num_gpus=1", count=5, **ORDER)
    said = capsys.readouterr().err
    assert all(str(one.id) in said for one in alive(server)) and len(alive(server)) == 2
    assert "client.reconcile()" in said
    sent.clear()
    report = client.reconcile()
    assert len(report.of("absent")) == 1 and len(report.of("bills")) == 2


def test_a_fleet_ends_with_its_block(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.world.fleet.expect("cached", "resurrects", "cached")
    with client.rent("num_gpus=1", count=3, **ORDER) as fleet:
        assert isinstance(fleet, Fleet)
        fleet[2].destroy()
    finish(client, clock)
    assert alive(server) == []
    assert {one.state for one in entries(client)} == {AttemptState.DESTROYED}


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": True},
        {"count": 1.5},
        {"max_dph": 0},
        {"max_dph": "1"},
        {"bid": "cheap"},
        {"bid": 500},
        {"disk": 2},
        {"image": None},
        {"colour": "red"},
    ],
)
def test_nonsense_is_refused_before_anything_is_sent(
    client: vastnb.Client, server: Server, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest):
        client.rent("num_gpus=1", **{**ORDER, **wrong})
    with pytest.raises(QueryError):
        client.rent("num_gpu=1", **ORDER)
    assert server.calls() == 0


def test_offers_that_match_nothing_rent_nothing(client: vastnb.Client, server: Server) -> None:
    with pytest.raises(InvalidRequest, match="no offers"):
        client.rent("num_gpus>=1000", **ORDER)
    assert server.calls("create_instance") == 0


def test_what_others_took_meanwhile_is_passed_over(
    client: vastnb.Client, server: Server, connect: MakeClient, offers: Any, clock: ManualClock
) -> None:
    connect().rent(offers.head(1), **ORDER)
    clock.advance(60)
    box = client.rent(offers.head(3), **ORDER)
    assert isinstance(box, Instance) and box.attempts is not None
    assert box.attempts["reason"][0] == "it is no longer available"
    assert box.attempts["outcome"].tolist() == ["passed over", "created"]
