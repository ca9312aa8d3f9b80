"""Rankings are explained, take any formula of columns, and let no nonsense win."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import vastnb.market.accessor  # noqa: F401
from vastnb.errors import QueryError
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.money.formula import parse
from vastnb.market.money.pareto import unbeaten
from vastnb.market.money.ranking import RANKINGS


def offers(*rows: dict) -> pd.DataFrame:
    base = {"num_gpus": 1, "gpu_name": "RTX 4090", "gpu_ram": 24564, "dph_total": 1.0,
            "dph_base": 0.9, "dlperf": 100.0, "total_flops": 80.0, "storage_cost": 0.2,
            "inet_down_cost": 0.0, "inet_up_cost": 0.0, "score": 7.0}  # fmt: skip
    return frame_of_offers(
        [{**base, "id": i, "machine_id": i, **row} for i, row in enumerate(rows)]
    )


def test_the_best_offer_for_its_performance_comes_first_and_the_ranking_says_how():
    ranked = offers({"dlperf": 50.0}, {"dlperf": 200.0}, {"dlperf": 100.0}).vast.rank(
        by="dph_total / dlperf"
    )
    assert ranked["id"].tolist() == [1, 2, 0]
    assert ranked["rank"].tolist() == [1, 2, 3]
    assert ranked["score"].tolist() == pytest.approx([0.005, 0.01, 0.02])
    told = ranked.attrs["vastnb"]["ranking"]
    assert told["formula"] == "dph_total / dlperf" and told["unit"] == "($/h) / dlperf"
    assert "3 offers ranked" in told["text"] and told["best"] == "smallest first"
    assert ranked["service_score"].tolist() == [7.0, 7.0, 7.0]


def test_a_dearer_offer_never_ranks_higher_however_the_formula_is_turned():
    frame = offers({"dph_total": 2.0}, {"dph_total": 1.0}, {"dph_total": 3.0})
    for by in ("dph_total / dlperf", "dlperf / dph_total", "-dph_total", "100 - dph_total * 2"):
        assert frame.vast.rank(by)["id"].tolist() == [1, 0, 2], by
    assert offers({"dlperf": 1.0}, {"dlperf": 9.0}).vast.rank("dlperf")["id"].tolist() == [1, 0]
    assert frame.vast.rank("dph_total", ascending=False)["id"].tolist() == [2, 0, 1]


def test_nonsense_and_missing_values_are_left_out_and_counted_never_first():
    frame = offers({}, {"dlperf": 0.0}, {"dlperf": float("nan")}, {"dlperf": None},
                   {"dph_total": -1.0}, {"dph_total": 1e300})  # fmt: skip
    ranked = frame.vast.rank("dlperf")
    assert ranked["id"].tolist() == [0]
    told = ranked.attrs["vastnb"]["ranking"]
    assert told["left_out"] == {
        "dph_total not credible": 2, "dlperf missing": 2, "dlperf not credible": 1
    }  # fmt: skip
    assert "5 offers are left out" in told["text"]
    kept = frame.vast.rank("dlperf", keep=True)
    assert len(kept) == 6 and kept["rank"].isna().tolist() == [False] + [True] * 5


def test_a_ranking_of_a_part_of_the_market_says_so():
    frame = offers({}, {})
    frame.attrs["vastnb"]["truncated"] = True
    assert "may have more offers" in frame.vast.rank().attrs["vastnb"]["ranking"]["text"]
    assert "may have more" not in offers({}).vast.rank().attrs["vastnb"]["ranking"]["text"]


def test_equal_scores_share_a_rank_and_ranking_twice_is_ranking_once():
    frame = offers({}, {}, {"dph_total": 2.0})
    once = frame.vast.rank("offer")
    assert once["rank"].tolist() == [1, 1, 3]
    pd.testing.assert_frame_equal(once.vast.rank("offer"), once)
    assert once.vast.rank("score")["score"].tolist() == [7.0, 7.0, 7.0]


@pytest.mark.parametrize("name", [name for name in RANKINGS if name != "job"])
def test_named_rankings_are_the_formulas_of_one_table(name):
    frame = offers({"num_gpus": 2}, {"dph_total": 0.4}, {"dlperf": 300.0})
    mine, by_hand = frame.vast.rank(name), frame.vast.rank(RANKINGS[name].formula)
    assert mine["id"].tolist() == by_hand["id"].tolist()
    assert mine.attrs["vastnb"]["ranking"]["unit"] == RANKINGS[name].unit


def test_a_job_is_ranked_by_its_whole_cost_traffic_included():
    frame = offers({"inet_down_cost": 0.05}, {"dph_base": 1.1})
    assert frame.vast.rank("job", hours=1)["id"].tolist() == [0, 1]
    ranked = frame.vast.rank("job", hours=1, download_gb=100)
    assert ranked["id"].tolist() == [1, 0]
    assert ranked["score"].tolist() == ranked["total_usd"].tolist()
    with pytest.raises(QueryError, match="hours=12"):
        frame.vast.rank("job")


@pytest.mark.parametrize(
    ("formula", "message"),
    [("dph_totl / dlperf", "'dph_total'"), ("prise", "'price'"), ("gpu_name * 2", "numbers"),
     ("dph_total ** 2", "cannot be used"), ("__import__('os').system('true')", "cannot be used"),
     ("dph_total.__class__", "cannot be used"), ("[dph_total]", "cannot be used"),
     ("1 + 1", "no column"), ("True + dph_total", "cannot be used"), ("", "not a formula"),
     ("dph_total(", "cannot be understood"), ("-" * 200 + "dph_total", "too long"),
     ("dph_total" + " + dlperf" * 99, "too long"), ("dph_total\0", "cannot be understood")],
)  # fmt: skip
def test_what_is_no_formula_is_refused_in_words(formula, message):
    with pytest.raises(QueryError, match=message):
        offers({}).vast.rank(formula)


def test_advice_about_a_column_works_when_it_is_followed():
    frame = offers({"dlperf_per_dphtotal": 10.0}, {"dlperf_per_dphtotal": 20.0})
    with pytest.raises(QueryError, match="dlperf_per_dphtotal") as wrong:
        frame.vast.rank("dlperf/$")
    (named,) = wrong.value.suggestions
    assert frame.vast.rank(named)["id"].tolist() == [1, 0]
    dropped = frame.drop(columns="dlperf")
    for by in ("dlperf", "dlperf / dph_total"):
        with pytest.raises(QueryError, match="keep it in the frame") as wrong:
            dropped.vast.rank(by)
        assert "Did you mean" not in str(wrong.value) and not wrong.value.suggestions
        assert len(frame.vast.rank(by)) == 2


@given(st.text(max_size=60))
@example("lambda: 0")
@example("dph_total if dph_total else 1")
@example("(" * 200)
def test_no_text_is_ever_run(text):
    try:
        formula = parse(text)
    except QueryError:
        return
    assert formula.columns  # only names, numbers and arithmetic are left
    values = {name: np.array([2.0]) for name in formula.columns}
    assert formula.of(values).shape in [(1,), ()]


@given(
    st.recursive(
        st.sampled_from(["a", "b", "2", "0.5"]),
        lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner).map(
            lambda t: f"({t[0]} {t[1]} {t[2]})"
        ),
        max_leaves=12,
    ),
    st.floats(0.1, 10), st.floats(0.1, 10),
)  # fmt: skip
def test_a_formula_means_what_it_means_in_python(text, a, b):
    text = f"a + {text}"
    try:
        expected = eval(text, {}, {"a": a, "b": b})
    except ZeroDivisionError:
        expected = float("nan")
    got = parse(text).of({"a": np.array([a]), "b": np.array([b])})[0]
    assert got == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=25))
def test_the_front_holds_exactly_the_offers_that_nothing_beats(points):
    price = np.array([p for p, _ in points], dtype=float)
    speed = np.array([s for _, s in points], dtype=float)
    by_hand = [
        not any((p <= q and s >= t) and (p < q or s > t) for p, s in points) for q, t in points
    ]
    assert unbeaten(price, speed).tolist() == by_hand


def test_the_front_ignores_what_is_not_credible():
    frame = offers({}, {"dph_total": 0.0}, {"dlperf": 0.0}, {"dph_total": 0.5, "dlperf": 60.0})
    assert frame.vast.pareto()["id"].tolist() == [3, 0]
    assert len(frame_of_offers([]).vast.pareto()) == 0


def test_every_real_offer_is_ranked_or_named_as_left_out(offers_2024, offers_2026):
    for rows in (offers_2024, offers_2026):
        frame = frame_of_offers(rows, provenance={"type": "on-demand"})
        for by in [*RANKINGS, "dph_total / inet_up", "gpu_mem_bw / dph_total"]:
            ranked = frame.vast.rank(by, hours=3, disk=50)
            told = ranked.attrs["vastnb"]["ranking"]
            assert len(ranked) + sum(told["left_out"].values()) == len(rows)
            assert (ranked["score"] > 0).all() and ranked["rank"].is_monotonic_increasing


def test_ranking_a_ranking_by_the_same_job_changes_nothing():
    frame = offers(*({"dlperf": speed, "dph_base": price, "dph_total": price}
                     for speed, price in ((50.0, 0.4), (200.0, 0.9), (100.0, 0.1))))  # fmt: skip
    hours = frame.vast.job_hours(10, on=100)
    once = frame.vast.rank("job", hours=hours, disk=50)
    twice = once.vast.rank("job", hours=hours, disk=50)
    assert once.index.tolist() == [2, 1, 0]
    pd.testing.assert_frame_equal(once, twice)
    for ranked in (once, twice):
        by_hand = frame.vast.cost(hours, disk=50)["total_usd"].loc[ranked.index]
        assert ranked["score"].tolist() == by_hand.tolist()


@pytest.mark.parametrize(
    ("formula", "best"),
    [
        ("dlperf / num_gpus", "largest first"),
        ("num_gpus / dlperf", "smallest first"),
        ("dlperf / dph_total", "largest first"),
        ("dph_total / dlperf", "smallest first"),
        ("dlperf * num_gpus", "largest first"),
        ("dph_base / dph_total", "smallest first"),
        ("inet_down / dlperf", "largest first"),
        ("-dph_total", "largest first"),
        ("total_flops", "largest first"),
        ("1 / inet_down", "smallest first"),
        ("num_gpus", "largest first"),
        ("dph_total / dph_total", "smallest first"),
    ],
)
def test_the_direction_comes_from_what_a_formula_measures_and_is_said(formula, best):
    frame = offers({"inet_down": 100.0}, {"dlperf": 50.0, "num_gpus": 2, "inet_down": 10.0})
    told = frame.vast.rank(formula).attrs["vastnb"]["ranking"]
    assert told["best"] == best, told
    assert told["why"] and told["why"] in told["text"]
    other = frame.vast.rank(formula, ascending=best == "largest first").attrs["vastnb"]["ranking"]
    assert other["best"] != best and other["why"] == "as requested"


def test_a_price_that_cannot_be_true_is_never_the_best():
    frame = offers({}, {"dph_total": -0.5, "dph_base": -0.5, "dlperf": 1.0})
    for by in (*RANKINGS, "dph_total", "dph_base"):
        assert 1 not in frame.vast.rank(by, hours=1)["id"].tolist(), by
    assert frame.vast.summary()["machines"].tolist() == [1]
    assert frame.vast.explain(1).total is None
