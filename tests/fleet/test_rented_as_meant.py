"""What is rented is what was meant: its kind, its disk, its price."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, InvalidRequest, OfferGone
from vastnb.fleet.rent.candidates import disk_for, offer_of, offers_of
from vastnb.sim import Fault, Server

from .conftest import alive

ORDER: dict[str, Any] = {"image": "pytorch/pytorch"}
Through = Callable[[vastnb.Client, pd.DataFrame], Any]
NO_COLUMNS = ["rental_type", "storage_gb"]


def _csv(df: pd.DataFrame) -> pd.DataFrame:
    return pd.read_csv(io.StringIO(df.to_csv(index=False)))


WAYS: dict[str, Through] = {
    "as it is": lambda client, df: df,
    "the README's": lambda client, df: df.join(
        df.vast.cost(hours=12, disk=100, download_gb=80)
    ).nsmallest(5, "total_usd"),
    "merge": lambda client, df: df.merge(df[["id"]].assign(mine=1), on="id"),
    "concat": lambda client, df: pd.concat([df.head(1), df.iloc[1:3]], ignore_index=True),
    "search_many": lambda client, df: (
        client.search_many({"a": "num_gpus=1", "b": "num_gpus=2"}, type="bid", storage=40)
        .groupby("query")
        .head(2)
    ),
    "to_dict": lambda client, df: df.head(3).to_dict("records"),
    "one dict": lambda client, df: df.iloc[0].to_dict(),
    "a dict of a file": lambda client, df: _csv(df).iloc[0].to_dict(),
    "a row": lambda client, df: df.iloc[0],
    "CSV": lambda client, df: _csv(df),
    "JSON": lambda client, df: pd.read_json(
        io.StringIO(df.head(3).to_json(orient="records", date_format="iso"))
    ),
    "CSV without the columns": lambda client, df: _csv(df.drop(columns=NO_COLUMNS)),
    "a dict of the service": lambda client, df: df.drop(columns=NO_COLUMNS).iloc[0].to_dict(),
    "chosen columns": lambda client, df: df[["id", "gpu_name", "dph_total"]],
}


@pytest.mark.parametrize("way", WAYS)
def test_an_interruptible_offer_is_never_rented_on_demand(
    client: vastnb.Client, server: Server, way: str
) -> None:
    found = client.search_offers("num_gpus=1", type="bid", order="dph_total", storage=40)
    handed = WAYS[way](client, found)
    with pytest.raises(InvalidRequest, match="interruptible"):
        client.rent(handed, **ORDER)
    assert server.calls("create_instance") == 0
    box = client.rent(handed, **ORDER, bid="min+10%")
    (machine,) = alive(server)
    assert box.id == machine.id
    assert machine.is_bid and machine.bid is not None
    assert machine.bid == pytest.approx(float(machine.offer["min_bid"]) * 1.1, abs=2e-4)
    assert machine.disk == pytest.approx(40, abs=0.01)


def test_an_interruptible_row_is_not_created_without_a_price(
    client: vastnb.Client, server: Server
) -> None:
    found = client.search_offers("num_gpus=1", type="bid", order="dph_total")
    joined = found.join(found.vast.cost(hours=1))
    for thing in (joined.iloc[0], joined.iloc[0].to_dict(), _csv(joined).iloc[0]):
        with pytest.raises(InvalidRequest, match=r"interruptible.*price="):
            client.create_instance(thing, **ORDER)
    assert server.calls("create_instance") == 0


@pytest.mark.parametrize("way", WAYS)
def test_an_offer_on_demand_stays_one_whatever_its_frame_went_through(
    client: vastnb.Client, server: Server, way: str
) -> None:
    if way == "search_many":
        pytest.skip("it searches for bids")
    found = client.search_offers("num_gpus=1", order="dph_total", storage=40)
    box = client.rent(WAYS[way](client, found), **ORDER)
    (machine,) = alive(server)
    assert box.id == machine.id and not machine.is_bid
    assert machine.disk == pytest.approx(40, abs=0.01)


def test_a_mixed_frame_without_a_bid_rents_nothing(client: vastnb.Client, server: Server) -> None:
    on_demand = client.search_offers("num_gpus=1", order="dph_total")
    bids = client.search_offers("num_gpus=1", type="bid", order="dph_total")
    both = pd.concat([on_demand.head(2), bids.head(2)])
    with pytest.raises(InvalidRequest, match="interruptible"):
        client.rent(both, **ORDER)
    assert server.calls("create_instance") == 0


def test_rows_that_do_not_tell_what_they_are_are_refused(
    client: vastnb.Client, server: Server
) -> None:
    found = client.search_offers("num_gpus=1", type="bid", order="dph_total")
    bare = _csv(found[["id", "gpu_name", "dph_total"]])
    for thing in (bare, bare.to_dict("records"), bare.iloc[0]):
        with pytest.raises(InvalidRequest, match="rental_type"):
            client.rent(thing, **ORDER)
    assert server.calls("create_instance") == 0
    assert client.rent(bare, **ORDER, bid="min+10%").id == alive(server)[0].id


def test_ids_are_rented_on_demand(client: vastnb.Client, server: Server) -> None:
    found = client.search_offers("num_gpus=1", order="dph_total")
    client.rent(found["id"].head(2).tolist(), **ORDER)
    assert not alive(server)[0].is_bid


def test_reserved_offers_are_refused(client: vastnb.Client, server: Server) -> None:
    found = client.search_offers("num_gpus=1", type="reserved")
    assert len(found)
    for bid in (None, 0.5):
        with pytest.raises(InvalidRequest, match="reserved"):
            client.rent(_csv(found), **ORDER, bid=bid)
    assert server.calls("create_instance") == 0


# -- the disk --------------------------------------------------------------------------------------


def test_the_disk_of_a_row_is_read_from_its_numbers() -> None:
    row = {"id": 1, "dph_base": 0.4, "dph_total": 0.4 + 0.2 * 64 / 720, "storage_cost": 0.2}
    assert offer_of(row).storage_gb == pytest.approx(64)
    assert disk_for([offer_of(row)], None) == pytest.approx(64)
    assert disk_for([offer_of(row)], 20) == 20
    assert disk_for([offer_of(5)], None) == 10
    for odd in ({"storage_cost": 0}, {"dph_total": 0.1}, {"storage_cost": float("nan")}):
        assert offer_of({**row, **odd}).storage_gb is None


def test_offers_for_different_disks_need_one(client: vastnb.Client, server: Server) -> None:
    parts = [client.search_offers("num_gpus=1", storage=size).head(1) for size in (20, 200)]
    with pytest.raises(InvalidRequest, match="disk="):
        client.rent(pd.concat(parts), **ORDER)
    assert server.calls("create_instance") == 0


def _small(client: vastnb.Client) -> pd.DataFrame:
    return client.search_offers("num_gpus=1 disk_space<200", order="dph_total")


def test_a_disk_that_an_offer_does_not_have_is_refused_before_it_is_cut(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    small = _small(client)
    for wait in (0.0, 100.0):
        clock.advance(wait)
        for offers in (small, small["id"].tolist()):
            with pytest.raises(OfferGone, match="1000 GB are needed"):
                client.rent(offers, **ORDER, disk=1000)
        with pytest.raises(OfferGone, match="1000 GB are needed"):
            client.create_instance(small.iloc[0], **ORDER, disk=1000)
    assert server.calls("create_instance") == 0


def test_a_query_finds_only_what_has_the_disk(client: vastnb.Client, server: Server) -> None:
    for query in ("num_gpus=1", {"num_gpus": 1}, "num_gpus=1 disk_space>100"):
        client.rent(query, **ORDER, disk=1000)
    assert len(alive(server)) == 3
    assert all(one.disk == 1000 for one in alive(server))


def test_a_disk_that_was_cut_is_told_of(client: vastnb.Client, server: Server) -> None:
    offer = _small(client).iloc[0]
    with pytest.warns(RuntimeWarning, match="GB instead of 1000 GB"):
        box = client.create_instance(int(offer["id"]), **ORDER, disk=1000)
    assert box.id == alive(server)[0].id
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        client.create_instance(int(_small(client)["id"].iloc[1]), **ORDER, disk=20)


# -- the price -------------------------------------------------------------------------------------


def _cheaper(frame: pd.DataFrame, times: float) -> pd.DataFrame:
    """The same offers as somebody has seen them before their prices rose."""
    out = frame.copy()
    for name in ("dph_base", "dph_total", "min_bid", "storage_cost"):
        out[name] = out[name] / times
    return out


@pytest.mark.parametrize("bid", [None, "min+10%"])
def test_a_price_far_above_the_one_that_was_seen_is_not_paid(
    client: vastnb.Client, server: Server, clock: ManualClock, bid: Any
) -> None:
    kind: Any = "on-demand" if bid is None else "bid"
    seen = _cheaper(client.search_offers("num_gpus=1", type=kind, order="dph_total").head(3), 5)
    clock.advance(60)
    with pytest.raises(OfferGone, match="has risen from"):
        client.rent(seen, **ORDER, bid=bid)
    with pytest.raises(OfferGone, match="has risen from"):
        client.rent(_csv(seen), **ORDER, bid=bid, budget_usd=5)
    assert server.calls("create_instance") == 0
    client.rent(seen, **ORDER, bid=bid, max_dph=50)
    assert len(alive(server)) == 1


def test_a_create_does_not_pay_five_times_the_price_of_its_row(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    found = client.search_offers("num_gpus=1", order="dph_total")
    seen = _cheaper(found, 5)
    clock.advance(60)
    for thing in (seen.iloc[0], seen.iloc[0].to_dict()):
        with pytest.raises(OfferGone, match="has risen from"):
            client.create_instance(thing, **ORDER)
    assert server.calls("create_instance") == 0
    client.create_instance(found.iloc[0], **ORDER)
    assert len(alive(server)) == 1


def test_a_403_is_about_the_account_and_no_other_offer_is_tried(
    client: vastnb.Client, server: Server
) -> None:
    said = {"success": False, "error": "invalid_args", "msg": "error 403/3586: not your own."}
    server.faults.add(Fault("create_instance", "answer", status=403, body=said))
    with pytest.raises(AuthError) as refused:
        client.rent(client.search_offers("num_gpus=1", order="dph_total"), **ORDER)
    assert refused.value.status == 403 and "Nothing was done or charged" in str(refused.value)
    assert server.calls("create_instance") == 1
    assert [one.kind for one in offers_of([5])] == [None]
