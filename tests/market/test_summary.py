"""A summary counts machines once, and an explanation states figures and escapes strangers' text."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vastnb.market.accessor  # noqa: F401
from vastnb.errors import InvalidRequest, QueryError, ServerError
from vastnb.market.frames.offers import concat_offers, frame_of_offers
from vastnb.market.history.results import Percentile

BASE = {"num_gpus": 1, "gpu_name": "RTX 4090", "gpu_ram": 24564, "dph_total": 0.41,
        "dph_base": 0.4, "min_bid": 0.3, "dlperf": 100.0, "storage_cost": 0.36, "inet_down": 900.0,
        "inet_down_cost": 0.002, "inet_up_cost": 0.002, "reliability": 0.99, "disk_space": 500.0,
        "duration": 3e6, "verification": "verified", "geolocation": "Sweden, SE",
        "host_id": 1}  # fmt: skip


def market(n: int = 9, *more: dict) -> pd.DataFrame:
    rows = [{**BASE, "id": i, "machine_id": i, "dph_total": 0.40 + 0.01 * i} for i in range(n)]
    rows += [{**BASE, "id": 100 + i, "machine_id": 100 + i, **row} for i, row in enumerate(more)]
    return frame_of_offers(rows, provenance={"storage_gb": 10})


def test_a_machine_counts_once_however_many_slices_it_is_offered_in():
    one = market(1)
    slices = [{"machine_id": 7, "num_gpus": n, "dph_total": 0.5 * n + 0.01} for n in (1, 2, 4, 8)]
    row = market(1, *slices).vast.summary().iloc[0]
    assert row["offers"] == 5 and row["machines"] == 2 and row["gpus"] == 9 and row["hosts"] == 1
    assert row["dph_gpu_q50"] == pytest.approx((0.40 + (4.01 / 8)) / 2)
    assert row["dph_gpu_min"] == one.vast.summary()["dph_gpu_min"][0]


def test_nonsense_is_counted_as_an_offer_and_kept_out_of_every_quantile():
    frame = market(9, {"dph_total": 0.0}, {"dph_total": -5.0}, {"dph_total": None},
                   {"num_gpus": 0}, {"dph_total": 1e12})  # fmt: skip
    row = frame.vast.summary().iloc[0]
    assert row["offers"] == 14 and row["machines"] == 9
    quantiles = [row[f"dph_gpu_q{q}"] for q in (10, 25, 50, 75, 90)]
    assert quantiles == pytest.approx(
        np.quantile(0.40 + 0.01 * np.arange(9), [0.1, 0.25, 0.5, 0.75, 0.9])
    )
    assert "5 offers without a credible price" in frame.vast.summary().attrs["vastnb"]["summary"]


def test_groups_can_be_any_columns_missing_values_included():
    frame = market(
        3, {"geolocation": None}, {"geolocation": "Norway, NO", "verification": "deverified"}
    )
    by = frame.vast.summary(["country", "gpu_name"])
    assert by["country"].isna().sum() == 1 and by["machines"].sum() == 5
    assert by.loc[by["country"].eq("NO").fillna(False), "verified"].tolist() == [0.0]
    assert by.loc[by["country"].isna(), "verified"].tolist() == [1.0]
    with pytest.raises(QueryError, match="'country'"):
        frame.vast.summary("contry")
    assert len(frame_of_offers([]).vast.summary()) == 0


def test_a_machine_counts_once_in_each_group_it_has_an_offer_in():
    frame = market(2, {"machine_id": 7, "num_gpus": 1}, {"machine_id": 7, "num_gpus": 4})
    table = frame.vast.summary(["gpu_name", "num_gpus"])
    assert table.set_index("num_gpus")["machines"].to_dict() == {1: 3, 4: 1}
    both = concat_offers({"a": frame, "b": frame})
    assert both.vast.summary("query")["machines"].tolist() == [3, 3]
    for _, row in table.iterrows():  # what a summary of that group alone says
        alone = frame[frame["num_gpus"] == row["num_gpus"]].vast.summary(["gpu_name", "num_gpus"])
        pd.testing.assert_series_equal(alone.iloc[0], row, check_names=False)


def test_cheaper_than_compares_like_with_like():
    small = [{"machine_id": 50 + n, "dph_base": 0.2, "dph_total": 0.9} for n in range(6)]
    large = [{"machine_id": 90 + n, "num_gpus": 8, "dph_base": 8.0, "dph_total": 8.1}
             for n in range(6)]  # fmt: skip
    mine = {"machine_id": 99, "num_gpus": 8, "dph_base": 7.2, "dph_total": 9.9, "id": 5000}
    said = str(market(0, *small, *large, mine).vast.explain(5000))
    assert "$0.900/h per GPU without disk: cheaper than 100 % of the other offers of 8 x" in said
    few = str(market(0, *small, mine).vast.explain(5000))
    assert "cheaper than 0 % of the other machines with RTX 4090, of any number of GPUs" in few


def test_the_price_of_an_interruptible_row_is_compared_with_interruptible_rows():
    rows = [{"id": n, "machine_id": n, "gpu_name": "RTX 4090", "num_gpus": 1, "dph_total": 1.0,
             "dph_base": 1.0, "gpu_ram": 24564.0, "storage_cost": 0.1}
            for n in range(8)]  # fmt: skip
    cheap = [{**row, "id": row["id"] + 100, "dph_base": 0.5} for row in rows]
    frames = [frame_of_offers(rows, provenance={"type": "on-demand"}),
              frame_of_offers(cheap, provenance={"type": "bid"})]  # fmt: skip
    both = pd.concat(frames, ignore_index=True)
    both.attrs["vastnb"] = {"type": "on-demand"}
    said = str(both.vast.explain(103))
    assert "cheaper than 50 %" in said and "Interruptible from" not in said


def test_ids_beyond_what_a_float_holds_name_one_offer_and_one_machine():
    rows = [{"id": 2**60 + n, "machine_id": 2**60 + n, "gpu_name": "A10", "num_gpus": 1,
             "dph_total": 1.0, "dph_base": 1.0, "storage_cost": 0.1} for n in range(4)]  # fmt: skip
    frame = frame_of_offers(rows)
    assert frame.vast.summary()["machines"].tolist() == [4]
    assert frame.vast.explain(2**60 + 3).offer_id == 2**60 + 3
    assert f"offer {2**60 + 1}" in str(frame.vast.explain(frame.iloc[1]))


def test_the_summary_of_real_offers_adds_up(offers_2024):
    frame = frame_of_offers(offers_2024)
    table = frame.vast.summary()
    assert table["offers"].sum() == len(frame)
    assert table["machines"].sum() == len(frame.drop_duplicates(["machine_id", "gpu_name"]))
    ordered = table[
        ["dph_gpu_min", "dph_gpu_q10", "dph_gpu_q25", "dph_gpu_q50", "dph_gpu_q75", "dph_gpu_q90"]
    ]
    assert (ordered.astype(float).diff(axis=1).iloc[:, 1:] >= -1e-12).all().all()


def test_an_explanation_gives_each_term_and_what_is_unusual():
    odd = {"dph_total": 0.2, "dph_base": 0.19, "inet_down_cost": 0.04, "duration": 7200.0,
           "verification": "unverified", "min_bid": 0.9, "dlperf": 50.0,
           "inet_down": -1.8e12}  # fmt: skip
    frame = market(9, odd)
    said = frame.vast.explain(100, hours=12, disk=100, download_gb=80)
    assert said.total == pytest.approx(12 * 0.19 + 12 * 0.36 * 100 / 720 + 80 * 0.04)
    assert said.per_hour == pytest.approx(0.19 + 0.05)
    assert sum(term.usd for term in said.terms) == pytest.approx(said.total)
    text = str(said)
    for part in ("cheaper than 100 % of the other offers of 1 x RTX 4090 here",
                 "20.0 times the median", "Traffic is 53 %", "unverified",
                 "50 % slower", "for 2.0 h at most; this job takes 12 h",
                 "not measured, or is not credible", "a bid would save nothing"):  # fmt: skip
        assert part in text, part
    ordinary = str(frame.vast.explain(4))
    assert "cheaper than 50 %" in ordinary or "cheaper than" in ordinary
    assert "!" not in ordinary


def test_too_few_machines_are_no_measure():
    said = market(3).vast.explain(1)
    assert not any("cheaper than" in remark.text for remark in said.remarks)
    assert "too few" in said.basis


def test_text_from_hosts_is_escaped_in_an_explanation():
    evil = "<img src=x onerror=alert(1)>"
    frame = market(6, {"geolocation": evil, "gpu_name": evil, "verification": evil})
    html = frame.vast.explain(100)._repr_html_()
    assert "<img" not in html and "&lt;img" in html


def test_an_offer_is_found_by_id_or_row_and_a_stranger_is_refused():
    frame = market(6)
    assert frame.vast.explain(3).offer_id == 3
    assert frame.vast.explain(frame.iloc[3]).offer_id == 3
    assert frame.vast.explain(frame[frame["id"] == 3]).offer_id == 3
    for wrong in (999, None, "3", {"no": "id"}):
        with pytest.raises(InvalidRequest, match="no offer"):
            frame.vast.explain(wrong)


def history_that(answer):
    class History:
        def percentile(self, offer):
            assert offer["id"].tolist() == [2] and offer.attrs["vastnb"]["storage_gb"] == 10
            if isinstance(answer, Exception):
                raise answer
            return Percentile(
                answer, 0.4, 0.5, "RTX 4090", 24, "on-demand", 14, 14.0, 80, 900, True
            )

    return History()


@pytest.mark.parametrize(
    ("percent", "level", "said"),
    [(83.0, "good", "Cheaper than 83 % of the last 14 days (80 machines, simulated)."),
     (4.0, "warn", "Cheaper than 4 %"), (float("nan"), "note", "No RTX 4090 was seen")],
)  # fmt: skip
def test_the_history_is_asked_where_there_is_one(percent, level, said):
    remark = market(6).vast.explain(2, history=history_that(percent)).remarks[-1]
    assert remark.level == level and remark.text.startswith(said)


@pytest.mark.parametrize("error", [ServerError("It is locked."), ImportError("pip install it.")])
def test_a_history_that_fails_does_not_hide_the_price(error):
    said = market(6).vast.explain(2, history=history_that(error))
    assert said.total is not None and str(error) in str(said)


@pytest.mark.slow
def test_every_real_offer_can_be_explained(offers_2024, offers_2026):
    for rows in (offers_2024[::9], offers_2026):
        frame = frame_of_offers(rows)
        for number in frame["id"]:
            said = frame.vast.explain(int(number), hours=5, disk=40, download_gb=30)
            assert str(said) and said._repr_html_().count("<tr>") == 4


NONSENSE = st.one_of(
    st.none(), st.sampled_from([0, -1.8e12, 1e300, float("nan"), float("inf"), "n/a", True]),
    st.floats(1e-3, 1e3),
)  # fmt: skip
COLUMNS = ["dph_total", "dph_base", "min_bid", "num_gpus", "dlperf", "inet_down", "inet_down_cost",
           "storage_cost", "duration", "disk_space", "reliability", "machine_id", "host_id",
           "gpu_name", "geolocation", "verification", "gpu_ram"]  # fmt: skip


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.sampled_from(COLUMNS), NONSENSE), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_no_nonsense_breaks_a_comparison(rows):
    rows = [*rows, {}]  # one sound offer: prices that are all text are an error
    frame = frame_of_offers([{**BASE, "id": i, **row} for i, row in enumerate(rows)])
    table = frame.vast.summary()
    assert table["offers"].sum() == len(frame) and (table["machines"] <= table["offers"]).all()
    for by in ("price", "dlperf", "vram", "job", "dph_total / inet_down"):
        ranked = frame.vast.rank(by, hours=2)
        told = ranked.attrs["vastnb"]["ranking"]
        assert len(ranked) + sum(told["left_out"].values()) == len(frame)
        assert np.isfinite(ranked["score"].astype(float)).all()
    assert len(frame.vast.pareto()) <= len(frame)
    frame.vast.interruptible(5, every=3, setup_hours=1)
    for number in frame["id"]:
        assert str(frame.vast.explain(int(number), hours=3, download_gb=9))
