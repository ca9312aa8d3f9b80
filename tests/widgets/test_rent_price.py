"""The price in the form: every term, the sum of its terms, and what a confirmation confirms."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.fleet.rent.candidates import bid_for, offer_of
from vastnb.market.frames.offers import frame_of_offers
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.price import SLACK, guard_text, price_of, priced

ROW = {
    "id": 1, "gpu_name": "RTX 4090", "num_gpus": 2, "dph_base": 0.5, "storage_cost": 0.15,
    "inet_down_cost": 0.01, "inet_up_cost": 0.02, "min_bid": 0.2,
}  # fmt: skip


def plan(**changes: Any) -> RentPlan:
    return RentPlan().changed({"image": "a/b", **changes})


def test_every_term_is_shown_and_they_add_up() -> None:
    price = price_of(
        pd.DataFrame([ROW]), plan(disk=48, hours=10, download_gb=100, upload_gb=50, count=3)
    )
    terms = {one.name: one.usd for one in price.terms}
    assert terms == pytest.approx({"gpu": 5.0, "disk": 0.1, "download": 1.0, "upload": 1.0})
    assert price.total == pytest.approx(7.1)
    assert price.total_all == pytest.approx(21.3)
    assert price.dph == pytest.approx(0.51)
    assert price.max_dph == 0.561
    assert price.dph_all == pytest.approx(1.53)


def test_what_is_confirmed_is_the_dearest_of_the_wanted_with_slack_or_what_the_user_says() -> None:
    frame = pd.DataFrame([ROW, {**ROW, "id": 2, "dph_base": 0.70001}])
    price = price_of(frame, plan(disk=48))
    assert price.max_dph == 0.561 and price.within == 1
    assert price.dph == price.dph_all == pytest.approx(0.51)
    both = price_of(frame, plan(disk=48, count=2))
    assert both.max_dph == 0.7811 and both.within == 2
    assert both.dph_all == pytest.approx(0.51 + 0.71001)
    assert both.total_all == pytest.approx(8 * (0.51 + 0.71001))
    assert price_of(frame, plan(disk=48, max_dph=0.6)).max_dph == 0.6


def test_a_bid_is_what_is_charged_at_most() -> None:
    price = price_of(pd.DataFrame([ROW]), plan(bid="min+10%", disk=48, hours=10))
    assert price.at_most
    assert price.dph == pytest.approx(0.23)
    assert price.terms[0].usd == pytest.approx(2.2)


def test_the_money_guard_says_what_it_lets_the_machines_cost() -> None:
    def said(**limits: Any) -> str:
        wanted = plan(disk=48, count=2, **limits)
        return guard_text(price_of(pd.DataFrame([ROW]), wanted), wanted)

    assert said() == ""
    assert "after 10 h: at most $11.22 for GPUs" in said(max_hours=10)
    assert "before $3.00 is spent: at most $3.00" in said(budget_usd=3)
    assert "at most $3.00" in said(max_hours=10, budget_usd=3)
    assert "at most $11.22" in said(max_hours=10, budget_usd=30)


def test_a_price_that_is_not_known_is_not_confirmed() -> None:
    for missing in ("dph_base", "storage_cost"):
        frame = pd.DataFrame([ROW, {**ROW, "id": 2, missing: None}])
        assert price_of(frame, plan()).max_dph is None
    no_bid = pd.DataFrame([{**ROW, "min_bid": None}])
    assert price_of(no_bid, plan(bid="min")).max_dph is None
    assert price_of(pd.DataFrame(), plan()).max_dph is None


prices = st.floats(0.001, 100, allow_nan=False)


@pytest.mark.slow
@given(
    st.lists(st.tuples(prices, st.floats(0, 2)), min_size=1, max_size=5),
    st.floats(8, 5000),
    st.sampled_from([None, "min", "min+10%", 0.3]),
)
def test_a_rental_at_the_confirmed_price_passes_every_machine_that_is_wanted(
    rows: list[tuple[float, float]], disk: float, bid: Any
) -> None:
    frame = pd.DataFrame(
        [{**ROW, "id": i, "dph_base": a, "storage_cost": b} for i, (a, b) in enumerate(rows, 1)]
    )
    wanted = plan(disk=disk, bid=bid, count=len(rows))
    price = price_of(frame, wanted)
    assert price.max_dph is not None
    for row in frame.to_dict("records"):
        offer = offer_of(row)
        charged = offer.dph(disk, None if bid is None else bid_for(offer, bid))
        assert charged is not None
        assert charged <= price.max_dph
    assert price.max_dph - float(priced(frame, wanted).max()) * (1 + SLACK) <= 1.0001e-4
    assert price.max_dph == float(f"{price.max_dph:.4f}")  # what is shown is what is handed on


def test_the_terms_are_those_of_the_market_on_real_offers(
    offers_2024: list[dict[str, Any]],
) -> None:
    frame = frame_of_offers(offers_2024)
    for at in range(0, len(frame), 25):
        one = frame.iloc[[at]].reset_index(drop=True)
        price = price_of(one, plan(disk=8, hours=1))
        row = offers_2024[at]
        other_disk = row["storage_cost"] * 8 / 720 - row["storage_total_cost"]
        assert price.dph == pytest.approx(row["dph_total"] + other_disk)
        assert price.total == pytest.approx(price.dph)
