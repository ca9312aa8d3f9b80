"""Which click rents: a fresh one, on what is shown, once."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.errors import InvalidRequest
from vastnb.widgets.rent.model import STALE, ClickRefused, Confirmation, RentModel
from vastnb.widgets.rent.plan import RentPlan

ROW = {
    "id": 1, "gpu_name": "RTX 4090", "num_gpus": 1, "dph_base": 0.5, "storage_cost": 0.15,
    "inet_down_cost": 0.01, "inet_up_cost": 0.02, "min_bid": 0.2, "machine_id": 7,
}  # fmt: skip
NOW = 1_800_000_000.0


def form(*, bid_search: bool = False) -> RentModel:
    frame = pd.DataFrame([ROW, {**ROW, "id": 2, "dph_base": 0.6}, {**ROW, "id": 3}])
    frame.attrs["vastnb"] = {"type": "bid" if bid_search else "on-demand"}
    model = RentModel(RentPlan().changed({"image": "a/b", "disk": 48}), pd.DataFrame())
    model.set_offers(frame)
    return model


def click(shown: Confirmation, **other: Any) -> dict[str, Any]:
    said = {
        "token": shown.token, "offers": list(shown.offer_ids), "count": shown.count,
        "max_dph": shown.max_dph, "at": shown.made_at + 2,
    }  # fmt: skip
    return {**said, **other}


def test_a_fresh_click_rents_at_exactly_the_price_that_was_shown() -> None:
    model = form()
    shown = model.review(NOW)
    assert shown.max_dph == model.price.max_dph == 0.561
    accepted = model.accept(click(shown), NOW + 3)
    assert accepted.arguments["max_dph"] == 0.561
    assert accepted.offers["id"].tolist() == [1, 2, 3]
    assert model.phase == "plan" and model.confirmation is None  # until the rent has begun


def test_a_second_click_rents_nothing() -> None:
    model = form()
    shown = model.review(NOW)
    model.accept(click(shown), NOW + 3)
    with pytest.raises(ClickRefused, match="Already"):
        model.accept(click(shown), NOW + 3)
    assert model.phase == "plan"


@pytest.mark.parametrize(
    ("changes", "later"),
    [
        ({"at": NOW - 100}, 3),
        ({}, STALE + 2.1),
        ({"at": None}, 3),
        ({"at": float("nan")}, 3),
        ({"at": True}, 3),
        ({"at": NOW + 60}, 3),
        ({"token": "other"}, 3),
        ({"token": None}, 3),
        ({"offers": [1, 2]}, 3),
        ({"offers": [2, 1, 3]}, 3),
        ({"offers": None}, 3),
        ({"offers": "123"}, 3),
        ({"max_dph": 0.6099}, 3),
        ({"max_dph": None}, 3),
        ({"count": 2}, 3),
    ],
)
def test_a_click_that_is_old_or_does_not_repeat_what_would_be_rented_is_refused(
    changes: dict[str, Any], later: float
) -> None:
    model = form()
    shown = model.review(NOW)
    with pytest.raises(ClickRefused, match="Nothing was rented"):
        model.accept(click(shown, **changes), NOW + later)
    assert model.phase == "plan" and model.confirmation is None
    # What was shown is void now: the price has to be looked at again.
    with pytest.raises(ClickRefused):
        model.accept(click(shown), NOW + 3)


def test_whatever_changes_takes_the_confirmation_back() -> None:
    changes: list[Any] = [
        lambda m: m.change("disk", "100"),
        lambda m: m.change("disk", "nonsense"),
        lambda m: m.change_env([{"name": "A", "value": "b"}]),
        lambda m: m.change_all({"count": 2}),
        lambda m: m.first(3),
        lambda m: m.drop(2),
        lambda m: m.set_offers(form().offers),
        lambda m: m.choose_template("abc", "T", 32),
        lambda m: m.take_back(),
    ]
    for change in changes:
        model = form()
        shown = model.review(NOW)
        change(model)
        assert model.phase == "plan"
        with pytest.raises(ClickRefused):
            model.accept(click(shown), NOW + 1)


def test_a_form_that_lacks_something_says_so_at_its_field() -> None:
    model = form()
    model.change("image", "")
    with pytest.raises(ClickRefused):
        model.review(NOW)
    assert "image" in model.errors
    model.change("image", "a/b")
    assert model.errors == {}
    model.change("disk", "tiny")
    with pytest.raises(ClickRefused):
        model.review(NOW)
    assert model.plan.disk == 48


def test_offers_of_a_bid_search_are_never_confirmed_on_demand() -> None:
    model = form(bid_search=True)
    assert model.plan.bid == "min+10%"
    model.change("bid", None)
    with pytest.raises(ClickRefused):
        model.review(NOW)
    model.change("bid", "0.3")
    assert model.review(NOW).max_dph == 0.341


def test_a_much_dearer_candidate_does_not_raise_what_is_confirmed_and_is_said_to_be_left_out() -> (
    None
):
    model = form()
    assert not any("highest price" in one.text for one in model.warnings())
    model.set_offers(pd.DataFrame([ROW, {**ROW, "id": 2, "dph_base": 0.9}]))
    assert model.price.max_dph == 0.561 and model.price.within == 1
    assert not any("highest price" in one.text for one in model.warnings())
    model.change("max_dph", "0.56")
    model.change("count", "2")
    (said,) = [one for one in model.warnings() if "highest price" in one.text]
    assert said.text.startswith("Only 1 of 2 offers at $0.5600/h or less, for 2 machines")
    model.change("max_dph", "")  # by itself it covers those that are wanted
    assert model.price.max_dph == 1.001 and model.price.within == 2


def test_a_highest_price_below_every_offer_is_refused_before_anything_is_sent() -> None:
    model = form()
    model.change("max_dph", "0.4")
    assert model.warnings()[0].level == "bad"
    with pytest.raises(InvalidRequest, match="highest price"):
        model.review(NOW)


def test_end_after_sets_the_hours_that_are_priced() -> None:
    model = form()
    model.change("max_hours", "3")
    assert model.plan.hours == 3 and model.price.hours == 3
    assert RentPlan().changed({"max_hours": 18, "hours": 12}).hours == 12


def test_an_offer_without_a_price_is_not_confirmed() -> None:
    model = form()
    model.set_offers(pd.DataFrame([{**ROW, "dph_base": None}]))
    with pytest.raises(InvalidRequest, match="price"):
        model.review(NOW)
    model.set_offers(pd.DataFrame())
    with pytest.raises(InvalidRequest, match="no offer"):
        model.review(NOW)


def test_the_last_candidate_stays_and_order_is_kept() -> None:
    model = form()
    model.first(3)
    assert model.ids == [3, 1, 2]
    model.drop(1)
    model.drop(2)
    model.drop(3)
    model.first(99)
    model.drop(99)
    assert model.ids == [3]
    assert model.offers.attrs["vastnb"]["type"] == "on-demand"


def test_a_kept_value_survives_a_renamed_variable() -> None:
    model = form()
    model.change_env([{"name": "A", "value": "secret", "was": ""}])
    model.change_env(
        [{"name": "B", "value": None, "was": "A"}, {"name": "-p 80:80", "value": None}]
    )
    assert model.plan.env == {"B": "secret", "-p 80:80": "1"}
    model.change_env([{"name": "VASTNB_ATTEMPT", "value": "x"}])
    with pytest.raises(InvalidRequest):
        model.review(NOW)


def test_suggested_limits_cover_what_is_planned() -> None:
    model = form()
    for hours in ("0.5", "8", "100"):
        model.change("hours", hours)
        hints = model.hints()
        assert min(hints["max_hours"]) >= float(hours)
        assert model.price.max_dph is not None
        assert min(hints["budget_usd"]) >= model.price.max_dph * float(hours)
        assert hints["budget_usd"] == sorted(set(hints["budget_usd"]))


actions = st.one_of(
    st.tuples(st.just("review"), st.none()),
    st.tuples(st.just("change"), st.sampled_from(["20", "100", "x"])),
    st.tuples(st.just("back"), st.none()),
    st.tuples(st.just("first"), st.sampled_from([1, 2, 3])),
    st.tuples(st.just("click"), st.integers(0, 5)),
    st.tuples(st.just("late click"), st.integers(0, 5)),
    st.tuples(st.just("other price"), st.integers(0, 5)),
)


@pytest.mark.slow
@settings(max_examples=300)
@given(st.lists(actions, max_size=25))
def test_no_sequence_of_clicks_rents_twice_or_at_a_price_that_was_not_shown(
    story: list[tuple[str, Any]],
) -> None:
    model, now = form(), NOW
    shown: list[Confirmation] = []
    rented: set[str] = set()
    for verb, value in story:
        now += 1
        try:
            if verb == "review":
                shown.append(model.review(now))
            elif verb == "change":
                model.change("disk", value)
            elif verb == "back":
                model.take_back()
            elif verb == "first":
                model.first(value)
            elif shown and verb in ("click", "late click", "other price"):
                one = shown[-1 - value % len(shown)]
                current = model.confirmation
                what = click(one, at=now - (STALE + 1 if verb == "late click" else 0.5))
                if verb == "other price":
                    what["max_dph"] = one.max_dph + 0.1
                accepted = model.accept(what, now)
                assert verb == "click" and one is current
                assert one.token not in rented
                rented.add(one.token)
                assert accepted.arguments["max_dph"] == one.max_dph
                assert accepted.arguments["disk"] == one.plan.disk
                assert tuple(accepted.offers["id"]) == one.offer_ids
        except InvalidRequest:
            pass
