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


machines_and_prices = st.lists(
    st.tuples(st.integers(1, 6), st.integers(0, 3), st.sampled_from([0.1, 0.25, 0.3, 0.9, 2.0])),
    min_size=1, max_size=25,
)  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(looks=machines_and_prices)
def test_a_trend_is_what_pandas_says_of_the_same_rows(
    looks: list[tuple[int, int, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    past = history(tmp_path_factory.mktemp("trend"))
    for day in {back for _, back, _ in looks}:
        found = [per_gpu(machine, price, 1 + i % 4)
                 for i, (machine, back, price) in enumerate(looks) if back == day]  # fmt: skip
        seen(past, NOW - day * DAY, found)
    rows = past.frame()
    rows["at"] = rows["seen_at"].dt.floor("D")
    rows["price"] = rows["dph_base"] / rows["num_gpus"]
    each = rows.groupby(["at", "machine_id"])["price"].mean().groupby("at")
    trend = past.trend("4090", quantiles=(0.1, 0.5)).set_index("at")
    for column, want in {
        "low": each.min(), "q10": each.quantile(0.1), "median": each.median(),
        "high": each.max(), "machines": each.size(),
    }.items():  # fmt: skip
        assert trend[column].tolist() == pytest.approx(want.tolist()), column
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
        lambda p: p.frame(since="the other day"),
        lambda p: p.frame(columns=["price"]),
        lambda p: p.frame(sql="select nothing at all"),
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
    assert text == "cheaper than 100 % of the 2 days that were recorded (1 machine)"


def test_where_nothing_was_seen_nothing_is_claimed(past: History) -> None:
    found = past.percentile(row())
    assert math.isnan(float(found))
    assert str(found) == "no RTX 4090 was seen in the last 14 days to compare with"
    seen(past, NOW - 20 * DAY, [per_gpu(1, 0.5)])
    seen(past, NOW, [per_gpu(1, 0.5, gpu_ram=49_140), per_gpu(1, 0.5, gpu_name="RTX 3090")])
    assert math.isnan(float(past.percentile(row())))


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


def test_bargain_searches_do_not_make_everything_look_dear(past: History) -> None:
    seen(past, NOW, [per_gpu(1, 0.5), per_gpu(2, 0.6)])
    seen(past, NOW + 1, [per_gpu(m, 0.1) for m in range(10, 30)], restricted=True)
    assert float(past.percentile(row(**per_gpu(7, 0.4)))) == 100.0
    assert float(past.percentile(row(**per_gpu(7, 0.4)), restricted=True)) < 10
