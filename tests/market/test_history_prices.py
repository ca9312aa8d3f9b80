"""What the history says of prices: each machine once, like with like, and what it rests on."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.market.histories import DAY, NOW, frame, history, row, seen
from vastnb.errors import QueryError
from vastnb.market.history import History


@pytest.fixture
def past(tmp_path: Path) -> History:
    return history(tmp_path)


def per_gpu(machine: int, price: float, gpus: int = 1, **columns: Any) -> dict[str, Any]:
    return {"machine_id": machine, "num_gpus": gpus, "dph_base": price * gpus, **columns}


# -- trends ----------------------------------------------------------------------------------------


def test_a_machine_counts_once_however_many_slices_and_looks(past: History) -> None:
    for hour in range(5):  # looked at often, and offered in four sizes
        seen(past, NOW + 60 * hour, [per_gpu(1, 0.2, n) for n in (1, 2, 4, 8)])
    seen(past, NOW, [per_gpu(2, 0.4)])
    seen(past, NOW, [per_gpu(3, 0.6)])
    (day,) = past.trend("4090").to_dict("records")
    assert day["median"] == pytest.approx(0.4)
    assert (day["low"], day["high"]) == pytest.approx((0.2, 0.6))
    assert day["machines"] == 3
    assert day["offers"] == 22
    assert day["snapshots"] == 5


def test_a_price_that_moved_within_a_span_counts_with_its_mean(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.2)])
    seen(past, NOW + 60, [per_gpu(1, 0.4)])
    assert past.trend("4090")["median"].tolist() == pytest.approx([0.3])


def test_vram_of_another_size_is_another_card(past: History) -> None:
    name = "A100 SXM4"
    seen(past, NOW, [per_gpu(1, 0.6, gpu_name=name, gpu_ram=40_960),
                     per_gpu(2, 0.9, gpu_name=name, gpu_ram=81_920)])  # fmt: skip
    trend = past.trend(name)
    assert trend["gpu_ram_gb"].tolist() == [40, 80]
    assert trend["median"].tolist() == pytest.approx([0.6, 0.9])
    assert past.trend(name, gpu_ram_gb=80)["median"].tolist() == pytest.approx([0.9])


def test_a_search_that_chose_by_price_does_not_draw_the_trend_down(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.5), per_gpu(2, 0.6)], query="gpu_name=RTX_4090")
    seen(past, NOW + 1, [per_gpu(3, 0.1)], query="dph<0.2", restricted=True)
    trend = past.trend("4090")
    assert trend["low"].tolist() == pytest.approx([0.5])
    about = trend.attrs["vastnb"]
    assert about["left_out_snapshots"] == 1
    assert about["sampled_from"] == {"gpu_name=RTX_4090": 1}
    both = past.trend("4090", restricted=True)
    assert both["low"].tolist() == pytest.approx([0.1])
    assert both.attrs["vastnb"]["left_out_snapshots"] == 0


def test_a_trend_says_what_it_rests_on(past: History) -> None:
    for i in range(4):
        seen(past, NOW + i, [per_gpu(1, 0.5)], query=f"num_gpus>={i % 2}", truncated=i == 0)
    about = past.trend("4090").attrs["vastnb"]
    assert about["snapshots"] == 4
    assert about["truncated_snapshots"] == 1
    assert about["sampled_from"] == {"num_gpus>=0": 2, "num_gpus>=1": 2}
    assert about["simulated"] is False
    assert json.loads(json.dumps(about)) == about


def test_what_no_price_can_be_is_left_out(past: History) -> None:
    odd = [-1.8e12, 0.0, 1e9, float("inf"), float("nan"), None]
    seen(past, NOW, [per_gpu(1, 0.5), *({"machine_id": 9, "dph_base": p} for p in odd)])
    seen(past, NOW, [{"machine_id": 8, "num_gpus": 0}, {"machine_id": None}])
    (day,) = past.trend("4090").to_dict("records")
    assert (day["low"], day["high"], day["machines"]) == (0.5, 0.5, 1)


def test_spans_begin_where_they_are_said_to(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.5)])
    seen(past, NOW + 7 * 3600, [per_gpu(1, 0.7)])
    noon = pd.Timestamp("2026-11-24 12:00", tz="UTC")
    assert past.trend("4090", every="6h")["at"].tolist() == [noon, noon + timedelta(hours=6)]
    assert past.trend("4090")["at"].tolist() == [noon.normalize()]


def test_bids_are_seen_in_searches_on_demand_too(past: History) -> None:
    seen(past, NOW, [{"machine_id": 1, "dph_base": 0.8, "min_bid": 0.3, "num_gpus": 2}])
    seen(past, NOW, [{"machine_id": 2, "dph_base": 0.25, "min_bid": 0.25}], type="bid")
    assert past.trend("4090", type="interruptible")["machines"].tolist() == [2]
    assert past.trend("4090", type="bid")["low"].tolist() == pytest.approx([0.15])
    assert past.trend("4090")["machines"].tolist() == [1]
    assert past.trend("4090", type="reserved").empty


def test_a_family_is_all_of_its_cards_and_a_new_card_is_known_once_seen(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 2.0, gpu_name="H100 SXM"), per_gpu(2, 1.5, gpu_name="H100 NVL"),
                     per_gpu(3, 9.0, gpu_name="RTX 9999 Ti")])  # fmt: skip
    assert past.trend("h100")["gpu_name"].tolist() == ["H100 NVL", "H100 SXM"]
    assert past.trend("rtx_9999_ti")["gpu_name"].tolist() == ["RTX 9999 Ti"]
    with pytest.raises(QueryError, match="No GPU is known"):
        past.trend("RTX 99999")


def test_columns_and_dtypes_are_the_same_when_nothing_was_seen(past: History) -> None:
    empty = past.trend("4090")
    seen(past, NOW, [per_gpu(1, 0.5)])
    full = past.trend("4090")
    assert empty.empty
    assert not full.empty
    assert empty.dtypes.to_dict() == full.dtypes.to_dict()
    assert past.frame("3090").dtypes.to_dict() == past.frame().dtypes.to_dict()
    assert list(full) == ["at", "gpu_name", "gpu_ram_gb", "low", "q10", "q25", "median", "q75",
                          "q90", "high", "machines", "offers", "snapshots", "matched_index",
                          "matched"]  # fmt: skip


def test_the_index_follows_the_same_machines_whatever_else_was_searched(past: History) -> None:
    seen(past, NOW - 2 * DAY, [per_gpu(1, 1.0), per_gpu(2, 2.0)])
    seen(past, NOW - DAY, [per_gpu(1, 1.1), per_gpu(2, 2.2), per_gpu(3, 0.1), per_gpu(4, 0.1)])
    seen(past, NOW, [per_gpu(1, 1.1), per_gpu(3, 0.2)])
    trend = past.trend("4090")
    assert trend["median"].tolist() == pytest.approx([1.5, 0.6, 0.65])
    assert trend["matched_index"].tolist() == pytest.approx([100, 110, 110 * math.sqrt(2)])
    assert trend["matched"].tolist() == [0, 2, 2]


def test_the_index_begins_anew_where_no_machine_was_seen_twice(past: History) -> None:
    seen(past, NOW - 3 * DAY, [per_gpu(1, 1.0)])
    seen(past, NOW - 2 * DAY, [per_gpu(1, 2.0)])
    seen(past, NOW, [per_gpu(2, 9.0)])
    assert past.trend("4090")["matched_index"].tolist() == pytest.approx([100, 200, 100])


# -- against plain pandas, written apart -----------------------------------------------------------

NONSENSE = [-0.5, 0.0, 2e4, float("inf"), None]
some_rows = st.lists(
    st.fixed_dictionaries(
        {
            "machine_id": st.sampled_from([None, *range(1, 9), 2**53 + 1, 2**53 + 2]),
            "back": st.integers(0, 3),
            "num_gpus": st.sampled_from([1, 1, 2, 4, 8, 0, None]),
            "price": st.one_of(st.floats(0.01, 50), st.sampled_from(NONSENSE)),
            "gpu_ram": st.sampled_from([24_564, 24_564, 49_140, None]),
            "kind": st.sampled_from(["on-demand", "on-demand", "bid"]),
            "restricted": st.sampled_from([False, False, True]),
        }
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def recorded_rows(past: History, looks: list[dict[str, Any]]) -> pd.DataFrame:
    """Let searches find rows, and return the rows as plain pandas has them, all in float or int."""
    plain = []
    for number, look in enumerate(looks):
        gpus, price = look["num_gpus"], look["price"]
        base = None if price is None else price * (gpus or 1)
        cells = {"machine_id": look["machine_id"], "num_gpus": gpus, "dph_base": base,
                 "min_bid": base, "gpu_ram": look["gpu_ram"]}  # fmt: skip
        seen(past, NOW - look["back"] * DAY + number, [cells], type=look["kind"],
             restricted=look["restricted"])  # fmt: skip
        plain.append({**look, "base": base})
    return pd.DataFrame(plain, dtype=object)


def by_machine(rows: pd.DataFrame, *more: str) -> pd.DataFrame:
    kept = [
        one for one in rows.astype(object).to_dict("records")
        if not one["restricted"] and one["kind"] == "on-demand"
        and not pd.isna(one["machine_id"]) and not pd.isna(one["base"])
        and not pd.isna(one["num_gpus"]) and one["num_gpus"] >= 1 and 1e-9 <= one["base"] <= 1e4
    ]  # fmt: skip
    groups: dict[tuple[Any, ...], list[float]] = {}
    for one in kept:
        size = -1 if pd.isna(one["gpu_ram"]) else round(one["gpu_ram"] / 1024)
        key = (size, one["back"], int(one["machine_id"]), *(int(one[name]) for name in more))
        groups.setdefault(key, []).append(one["base"] / one["num_gpus"])
    names = ["size", "back", "machine", *more, "price"]
    return pd.DataFrame(
        [(*key, sum(prices) / len(prices)) for key, prices in groups.items()], columns=names
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(looks=some_rows)
def test_a_trend_is_what_pandas_says_of_the_same_rows(
    looks: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = history(tmp_path_factory.mktemp("trend"))
    each = by_machine(recorded_rows(past, looks))
    past.tidy()
    trend = past.trend("4090", quantiles=(0.1, 0.5))
    assert len(trend) == (0 if each.empty else each.groupby(["size", "back"]).ngroups)
    level: dict[int, float] = {}
    before: dict[int, pd.Series[float]] = {}
    midnight = pd.Timestamp(NOW, unit="s", tz="UTC").normalize()
    for span in trend.to_dict("records"):
        size = -1 if pd.isna(span["gpu_ram_gb"]) else span["gpu_ram_gb"]
        back = (midnight - span["at"]).days
        prices = each[(each["size"] == size) & (each["back"] == back)].set_index("machine")["price"]
        for column, want in {
            "low": prices.min(), "q10": prices.quantile(0.1), "median": prices.median(),
            "high": prices.max(), "machines": len(prices),
        }.items():  # fmt: skip
            assert span[column] == pytest.approx(want, rel=1e-9), column
        both = prices.index.intersection(before[size].index) if size in before else []
        level[size] = (
            level[size] * math.exp(np.log(prices[both] / before[size][both]).mean())
            if len(both) else 100.0
        )  # fmt: skip
        assert span["matched"] == len(both)
        assert span["matched_index"] == pytest.approx(level[size], rel=1e-9)
        before[size] = prices
    past.close()


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(looks=some_rows, asked=st.lists(st.tuples(
    st.floats(0.01, 50), st.sampled_from([1, 2, 8]), st.sampled_from([24_564, 49_140])),
    min_size=1, max_size=4))  # fmt: skip
def test_percentiles_are_what_pandas_says_of_the_same_rows(
    looks: list[dict[str, Any]],
    asked: list[tuple[float, int, int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    past = history(tmp_path_factory.mktemp("percentile"))
    rows = recorded_rows(past, looks)
    all_sizes, sized = by_machine(rows), by_machine(rows, "num_gpus")
    offers = frame(*(per_gpu(9, price, gpus, gpu_ram=ram) for price, gpus, ram in asked))
    found = past.percentiles(offers)
    for got, (price, gpus, ram) in zip(found, asked, strict=True):
        same = sized[(sized["size"] == round(ram / 1024)) & (sized["num_gpus"] == gpus)]
        if same["machine"].nunique() < 5:
            same = all_sizes[all_sizes["size"] == round(ram / 1024)]
        if same.empty:
            assert pd.isna(got)
        else:
            mine = price * gpus / gpus
            want = 100 * float((same["price"] > mine * (1 + 1e-9)).mean())
            assert got == pytest.approx(want, rel=1e-9)
    past.close()


@pytest.mark.parametrize(
    "ask",
    [
        lambda p: p.trend("4090", days=0),
        lambda p: p.trend("4090", days="soon"),
        lambda p: p.trend("4090", every="now and then"),
        lambda p: p.trend("4090", every="1s"),
        lambda p: p.trend("4090", type="spot"),
        lambda p: p.trend("4090", quantiles=(0.5, 50)),
        lambda p: p.trend("4090", gpus=8),
        lambda p: p.trend("4090", num_gpus="eight"),
        lambda p: p.trend("4090", num_gpus=[1, None]),
        lambda p: p.frame(num_gpus=[]),
        lambda p: p.frame(num_gpus=1.5),
        lambda p: p.frame(verified="yes"),
        lambda p: p.frame(country=["SE", 7]),
        lambda p: p.frame(machine_id=2**64),
        lambda p: p.frame(seen_at="2026-11-01"),
        lambda p: p.diff("the other day"),
        lambda p: p.diff(None),
        lambda p: p.frame(since="the other day"),
        lambda p: p.frame(columns=["price"]),
        lambda p: p.frame(sql="select nothing at all"),
        lambda p: p.frame(sql="select cast('x' as integer) from range(3)"),
        lambda p: p.percentile(38_000_001),
        lambda p: p.percentile({"gpu_name": "RTX 4090"}),
        lambda p: p.percentiles(pd.DataFrame({"gpu_name": ["RTX 4090"]})),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(past: History, ask: Any) -> None:
    with pytest.raises(QueryError, match="Nothing was searched"):
        ask(past)


def test_a_wrong_column_names_the_nearest(past: History) -> None:
    with pytest.raises(QueryError, match="num_gpus") as caught:
        past.frame(num_gpu=8)
    assert "num_gpus" in caught.value.suggestions


# -- rows ------------------------------------------------------------------------------------------


def test_rows_can_be_chosen_by_gpu_time_and_value(past: History) -> None:
    for back in range(4):
        seen(past, NOW - back * DAY, [per_gpu(back, 0.5), per_gpu(50, 1.0, gpu_name="RTX 3090")])
    assert past.frame("4090")["machine_id"].tolist() == [3, 2, 1, 0]
    assert past.frame("4090", since=1.5)["machine_id"].tolist() == [1, 0]
    assert past.frame("4090", since=timedelta(days=1))["machine_id"].tolist() == [1, 0]
    day = "2026-11-23"
    assert past.frame("4090", day, "2026-11-24")["machine_id"].tolist() == [1]
    late = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert past.frame("4090", late)["machine_id"].tolist() == [0]
    assert len(past.frame(machine_id=50, gpu_name="RTX 3090")) == 4
    assert past.frame(limit=3, columns=["seen_at", "machine_id"]).shape == (3, 2)
    newest = past.frame("4090", limit=2)
    assert newest["machine_id"].tolist() == [1, 0]
    assert past.frame(type="bid").empty


def test_a_column_may_have_one_of_several_values(past: History) -> None:
    seen(past, NOW, [per_gpu(n, 0.5, n) for n in (1, 2, 4, 8)])
    assert past.frame(num_gpus=[1, 2])["machine_id"].tolist() == [1, 2]
    assert past.frame(num_gpus=(4, 8), machine_id=[8])["machine_id"].tolist() == [8]
    assert past.trend("4090", num_gpus=[1, 2])["machines"].tolist() == [2]
    assert past.frame(num_gpus=np.int64(4))["machine_id"].tolist() == [4]


def test_two_days_are_compared_machine_by_machine(past: History) -> None:
    seen(past, NOW - 7 * DAY, [per_gpu(1, 0.5), per_gpu(2, 0.5), per_gpu(3, 0.5), per_gpu(4, 0.5)])
    seen(past, NOW - 3 * DAY, [per_gpu(1, 9.0)])
    seen(past, NOW, [per_gpu(1, 0.4), per_gpu(2, 0.6), per_gpu(3, 0.5), per_gpu(5, 0.5)])
    changes = past.diff("2026-11-17", "2026-11-24").set_index("machine_id")
    assert changes["what"].to_dict() == {
        1: "cheaper", 2: "more expensive", 3: "same", 4: "gone", 5: "new",
    }  # fmt: skip
    assert changes.loc[1, "change"] == pytest.approx(-0.1)
    assert changes.loc[2, "change_percent"] == pytest.approx(20.0)
    assert changes.loc[[4, 5], "change"].isna().all()
    pd.testing.assert_frame_equal(past.diff(7), past.diff("2026-11-17", "2026-11-24"))
    assert past.diff("2026-11-24", "2026-11-17").set_index("machine_id")["what"][1] == (
        "more expensive"
    )
    assert past.diff(7, gpu="3090").empty
    assert past.diff(7).attrs["vastnb"]["days"] == ["2026-11-17", "2026-11-24"]


def test_everything_that_was_seen_of_one_machine_can_be_had(past: History) -> None:
    for back in range(3):
        seen(past, NOW - back * DAY, [per_gpu(7, 0.5 + back, 4), per_gpu(8, 9.0)])
    machine = past.machine(7)
    assert machine["price"].tolist() == [2.5, 1.5, 0.5]
    assert machine["dph_base"].tolist() == [10.0, 6.0, 2.0]
    assert past.machine(7, since=1)["price"].tolist() == [1.5, 0.5]
    assert past.machine(6).empty


def test_a_question_of_ones_own_is_asked_of_the_chosen_rows(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.5), per_gpu(2, 1.0, gpu_name="RTX 3090", geolocation=", US")])
    sql = "SELECT country, count(*) AS n, max(seen_at) AS seen_at FROM history GROUP BY 1;"
    found = past.frame("4090", sql=sql)
    assert found[["country", "n"]].to_dict("list") == {"country": ["SE"], "n": [1]}
    assert str(found["seen_at"].dtype) == "datetime64[us, UTC]"
    assert found.attrs["vastnb"]["simulated"] is False
    with_cte = "WITH h AS (SELECT * FROM history) SELECT machine_id FROM h ORDER BY 1 DESC"
    assert past.frame(sql=with_cte)["machine_id"].tolist() == [2, 1]


def test_values_are_values_and_never_sql(past: History) -> None:
    evil = "x' OR true; DROP TABLE history; --"
    seen(past, NOW, [{"gpu_name": evil}, {}], query=evil)
    assert len(past.frame(gpu_name=evil)) == 1
    assert len(past.frame(query=evil)) == 2
    assert len(past.frame(country=evil)) == 0


# -- how cheap -------------------------------------------------------------------------------------


def test_a_percentile_says_how_many_percent_were_dearer_in_words_too(past: History) -> None:
    for back in range(14):
        seen(past, NOW - back * DAY, [per_gpu(m, 0.1 * m) for m in range(1, 11)])
    offer = frame(per_gpu(99, 0.25, 4)).iloc[0]
    found = past.percentile(offer)
    assert float(found) == pytest.approx(80.0)
    assert str(found) == "cheaper than 80 % of the last 14 days (10 machines)"
    assert (found.price, found.median) == pytest.approx((0.25, 0.55))
    assert (found.machines, found.prices) == (10, 140)
    assert float(past.percentile(row(**per_gpu(1, 0.05)))) == 100.0
    assert float(past.percentile(row(**per_gpu(1, 5.0)))) == 0.0


def test_an_equal_price_is_not_cheaper(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.1, 3), per_gpu(2, 0.2)])
    assert float(past.percentile(row(**per_gpu(7, 0.1)))) == 50.0
    assert float(past.percentile(row(**per_gpu(7, 0.2)))) == 0.0


def test_a_young_history_says_that_it_is_young(past: History) -> None:
    seen(past, NOW - DAY, [per_gpu(1, 0.5)])
    text = str(past.percentile(row(**per_gpu(2, 0.1))))
    assert text == "cheaper than 100 % of the 2 days recorded so far (1 machine)"


def test_where_nothing_was_seen_nothing_is_claimed(past: History) -> None:
    found = past.percentile(row())
    assert math.isnan(float(found))
    assert str(found) == "no RTX 4090 was seen in the last 14 days: nothing to compare with"
    seen(past, NOW - 20 * DAY, [per_gpu(1, 0.5)])
    seen(past, NOW, [per_gpu(1, 0.5, gpu_ram=49_140), per_gpu(1, 0.5, gpu_name="RTX 3090")])
    assert math.isnan(float(past.percentile(row())))


@pytest.mark.slow
def test_percentiles_of_a_frame_are_those_of_its_rows(past: History) -> None:
    rng = np.random.default_rng(3)
    for back in range(5):
        seen(past, NOW - back * DAY, [
            per_gpu(m, float(rng.uniform(0.2, 0.9)), gpu_name=name)
            for m in range(12) for name in ("RTX 4090", "RTX 3090")
        ])  # fmt: skip
    offers = frame(
        *(per_gpu(m, float(rng.uniform(0.1, 1.0)), 1 + m % 3, gpu_name=name)
          for m in range(5) for name in ("RTX 3090", "RTX 4090", "L4")),
        per_gpu(1, 0.2, dph_base=None), per_gpu(1, 0.2, gpu_ram=None), per_gpu(1, 0.2, gpus=0),
    )  # fmt: skip
    offers.index = offers.index + 100
    found = past.percentiles(offers)
    assert found.index.equals(offers.index)
    assert str(found.dtype) == "Float64"
    for i in range(15):
        one = float(past.percentile(offers.iloc[i]))
        assert (math.isnan(one) and found.isna().iloc[i]) or found.iloc[i] == pytest.approx(one)
    assert found.iloc[15:].isna().all()
    assert found.attrs["vastnb"]["days"] == 14
    assert past.percentiles(offers.iloc[:0]).empty


def test_an_offer_of_a_bid_search_is_compared_with_bids(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.8, min_bid=0.3), per_gpu(2, 0.9, min_bid=0.1)])
    bids = frame(per_gpu(3, 0.2, min_bid=0.2))
    bids.attrs["vastnb"] = {"type": "bid"}
    assert past.percentiles(bids).tolist() == [50.0]
    assert float(past.percentile(bids.iloc[0])) == 50.0
    assert past.percentile(bids.iloc[0]).type == "bid"
    assert past.percentiles(bids, type="on-demand").tolist() == [100.0]


def test_an_offer_is_compared_with_those_that_have_as_many_gpus(past: History) -> None:
    ones = [per_gpu(m, 0.3 + m / 1000) for m in range(1, 9)]
    eights = [per_gpu(100 + m, 0.5 + m / 1000, 8) for m in range(6)]
    for back in range(14):
        seen(past, NOW - back * DAY, [*ones, *eights])
    offer = row(**per_gpu(99, 0.5025, 8))
    found = past.percentile(offer)
    assert (float(found), found.num_gpus, found.machines) == (50.0, 8, 6)
    assert str(found) == "cheaper than 50 % of the last 14 days (6 machines, 8x)"
    assert past.percentiles(frame(offer)).tolist() == [50.0]
    few = past.percentile(row(**per_gpu(99, 0.4, 4)))
    assert (few.num_gpus, few.machines) == (None, 14)
    assert float(few) == pytest.approx(100 * 6 / 14)


def test_an_interruptible_row_is_compared_with_interruptible_prices_without_any_attrs(
    past: History,
) -> None:
    seen(past, NOW, [per_gpu(1, 0.8, min_bid=0.3), per_gpu(2, 0.9, min_bid=0.1)])
    both = frame(per_gpu(3, 0.2, min_bid=0.2), per_gpu(4, 0.85, min_bid=0.05))
    mixed = both.assign(rental_type=["interruptible", "on-demand"])
    mixed.attrs = {"vastnb": {"type": "on-demand"}}
    assert past.percentiles(mixed).tolist() == [50.0, 50.0]
    mixed.attrs = {}
    assert past.percentiles(mixed.iloc[::-1]).tolist() == [50.0, 50.0]
    one = past.percentile(mixed.iloc[0])
    assert (one.type, one.price, float(one)) == ("bid", 0.2, 50.0)
    assert past.percentile(mixed.iloc[0].to_dict()).type == "bid"


def test_a_price_that_cannot_be_true_is_compared_with_nothing(past: History) -> None:
    seen(past, NOW, [per_gpu(m, 0.5) for m in range(1, 7)])
    odd = frame(*(per_gpu(9, p) for p in (-0.5, 0.0, 1e9)), per_gpu(9, 0.2, num_gpus=0))
    assert past.percentiles(odd).isna().all()
    with pytest.raises(QueryError, match="no credible price"):
        past.percentile(odd.iloc[0])


def test_bargain_searches_do_not_make_everything_look_dear(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.5), per_gpu(2, 0.6)])
    seen(past, NOW + 1, [per_gpu(m, 0.1) for m in range(10, 30)], restricted=True)
    assert float(past.percentile(row(**per_gpu(7, 0.4)))) == 100.0
    assert float(past.percentile(row(**per_gpu(7, 0.4)), restricted=True)) < 10
