"""Interruptible against on demand: exact figures, and no bid is called cheap that is not."""

from __future__ import annotations

import math

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import vastnb.market.accessor  # noqa: F401
from vastnb.errors import InvalidRequest
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.money.bids import Interruptions

HOURS = st.floats(0.1, 500)
SOME = st.floats(0, 20)
PRICE = st.floats(0.01, 50)
DISK = st.floats(0, 1)
JOBS = st.builds(Interruptions, HOURS, SOME, SOME, SOME, SOME)


def by_hour(job: Interruptions, price: float, count: int, disk: float, traffic: float) -> float:
    """Walk through the job, start by start."""
    usd = 0.0
    for start in range(count + 1):
        usd += job.setup_hours * (price + disk)
        if start:
            usd += job.lost_hours * (price + disk) + job.wait_hours * disk
            usd += job.again_gb * traffic
    return usd + job.hours * (price + disk)


@given(JOBS, PRICE, st.integers(0, 30), DISK, st.floats(0, 0.1))
def test_the_formula_is_the_walk_through_the_job(job, price, count, disk, traffic):
    assert job.cost(price, count, disk, traffic) == pytest.approx(
        by_hour(job, price, count, disk, traffic)
    )


@given(JOBS, PRICE, PRICE, DISK, st.floats(0, 0.1))
def test_at_the_break_even_both_cost_the_same(job, on_demand, bid, disk, traffic):
    count = float(job.break_even(on_demand, bid, disk, traffic))
    assume(math.isfinite(count))
    dear = job.cost(on_demand, 0, disk, traffic)
    if bid >= on_demand:
        assert count == 0
    else:
        assert job.cost(bid, count, disk, traffic) == pytest.approx(dear)
        assert job.cost(bid, count * 1.01 + 0.1, disk, traffic) > dear


@given(JOBS, PRICE, st.floats(0, 20), DISK)
def test_below_the_break_even_bid_a_bid_is_cheaper(job, on_demand, count, disk):
    bid = float(job.break_even_bid(on_demand, count, disk))
    dear = job.cost(on_demand, 0, disk)
    if bid > 0:
        assert job.cost(bid, count, disk) == pytest.approx(dear)
        assert job.cost(bid * 0.9, count, disk) < dear


@given(JOBS, st.floats(0.1, 100))
def test_random_interruptions_settle_where_running_time_and_count_agree(job, every):
    count = job.count(every)
    again = job.setup_hours + job.lost_hours
    if every <= again:
        assert count == math.inf
    else:
        runs = job.hours + job.setup_hours + count * again
        assert count * every == pytest.approx(runs)


ROW = {"id": 1, "dph_base": 1.0, "min_bid": 0.5, "storage_cost": 0.72, "inet_down_cost": 0.01,
       "inet_up_cost": 0.0}  # fmt: skip


def test_each_offer_is_compared_for_the_job_at_hand():
    frame = frame_of_offers([ROW, {**ROW, "min_bid": 1.4}, {**ROW, "min_bid": None}])
    got = frame.vast.interruptible(
        10, interruptions=3, setup_hours=1, lost_hours=1, wait_hours=4, again_gb=20, disk=100,
        download_gb=20,
    )  # fmt: skip
    assert got["on_demand_usd"][0] == pytest.approx(11 * 1.1 + 0.2)
    assert got["bid_usd"][0] == pytest.approx(11 * 0.6 + 3 * (2 * 0.6 + 4 * 0.1 + 0.2) + 0.2)
    assert got["saving_usd"][0] == pytest.approx(got["on_demand_usd"][0] - got["bid_usd"][0])
    assert got["break_even_interruptions"][0] == pytest.approx(11 * 0.5 / 1.8)
    assert got["break_even_lost_hours"][0] == pytest.approx(11 * 0.5 / 0.6)
    # A bid above the on-demand price is charged as that: it saves nothing, and never less.
    assert got["break_even_interruptions"][1] == 0 and got["saving_usd"][1] < 0
    assert got.iloc[2].isna().tolist() == [False, True, True, True, True, True, False]


def test_endless_interruptions_are_endless_cost_not_a_bargain():
    got = frame_of_offers([ROW]).vast.interruptible(5, every=0.5, setup_hours=1)
    assert got["bid_usd"][0] == math.inf and got["saving_usd"][0] == -math.inf
    assert got["break_even_bid"][0] == 0


def test_a_frame_of_bids_is_refused_since_it_hides_the_on_demand_price():
    with pytest.raises(InvalidRequest, match="on-demand"):
        frame_of_offers([ROW], provenance={"type": "bid"}).vast.interruptible(1)
    for amounts in ({"every": -1.0}, {"interruptions": 1, "every": 2}, {"setup_hours": math.nan},
                    {"disk": -3}, {"interruptions": math.inf}):  # fmt: skip
        with pytest.raises(InvalidRequest):
            frame_of_offers([ROW]).vast.interruptible(1, **amounts)


def test_a_row_with_an_interruptible_price_has_no_on_demand_price_to_compare_with():
    both = pd.concat(
        [frame_of_offers([ROW], provenance={"type": kind}) for kind in ("on-demand", "bid")],
        ignore_index=True,
    )
    got = both.vast.interruptible(5)
    assert got["on_demand_usd"].isna().tolist() == [False, True]
    assert got["saving_usd"].isna().tolist() == [False, True]


def test_no_real_bid_is_charged_above_its_on_demand_price(offers_2024):
    frame = frame_of_offers(offers_2024, provenance={"type": "on-demand", "storage_gb": 10})
    got = frame.vast.interruptible(24)
    assert (got["saving_usd"] >= -1e-9).all() and not got.isna().any().any()
    above = frame["min_bid"] > frame["dph_base"]
    assert above.sum() > 50 and (got.loc[above, "break_even_interruptions"] == 0).all()
