"""A price is the price: every term, on every offer."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import vastnb.market.accessor  # noqa: F401
from vastnb.errors import InvalidRequest, QueryError
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.money.cost import cost, hourly

TERMS = ["gpu_usd", "storage_usd", "download_usd", "upload_usd", "total_usd"]
ROW = {"id": 1, "dph_base": 1.0, "storage_cost": 0.36, "inet_down_cost": 0.02, "inet_up_cost": 0.03}


def test_a_job_costs_gpu_disk_and_traffic():
    frame = frame_of_offers([ROW])
    terms = frame.vast.cost(hours=10, disk=100, download_gb=50, upload_gb=10)
    assert list(terms) == TERMS
    assert terms.iloc[0].tolist() == pytest.approx([10, 0.5, 1.0, 0.3, 11.8])
    longer = frame.vast.cost(hours=10, disk=100, lifetime_hours=720)
    assert longer["storage_usd"].tolist() == pytest.approx([36.0])


def test_the_price_is_exact_on_every_real_offer(offers_2024, offers_2026):
    for rows in (offers_2024, offers_2026):
        frame = frame_of_offers(rows, columns="all")
        disk = frame["storage_total_cost"] * 720 / frame["storage_cost"]
        for size in {round(d, 6) for d in disk.dropna()}:
            mine = hourly(frame, size)[(disk - size).abs().fillna(1) < 1e-6]
            theirs = frame.loc[mine.index, "dph_total"]
            assert ((mine - theirs).abs() <= 1e-6 * theirs).all()
        terms = cost(frame, hours=7, disk=33, download_gb=12, upload_gb=3)
        for row, term in zip(rows, terms.to_dict("records"), strict=True):
            by_hand = (
                7 * row["dph_base"]
                + 7 * row["storage_cost"] * 33 / 720
                + 12 * row["inet_down_cost"]
                + 3 * row["inet_up_cost"]
            )
            assert term["total_usd"] == pytest.approx(by_hand, rel=1e-6)


def test_a_missing_price_is_missing_and_never_zero():
    frame = frame_of_offers([{**ROW, "storage_cost": None}, {**ROW, "inet_up_cost": None}])
    terms = cost(frame, hours=1, disk=10, upload_gb=1)
    assert terms["storage_usd"].isna().tolist() == [True, False]
    assert terms["upload_usd"].isna().tolist() == [False, True]
    assert terms["total_usd"].isna().all()
    unused = cost(frame, hours=1, disk=0, upload_gb=0)
    assert not unused["total_usd"].isna().any()


def test_a_price_that_cannot_be_true_has_no_cost():
    frame = frame_of_offers([{**ROW, "inet_up_cost": -0.5}, {**ROW, "dph_base": 1e300}, ROW])
    terms = cost(frame, hours=1, upload_gb=2)
    assert terms["upload_usd"].isna().tolist() == [True, False, False]
    assert terms["gpu_usd"].isna().tolist() == [False, True, False]
    assert terms["total_usd"].isna().tolist() == [True, True, False]
    assert not cost(frame, hours=1)["total_usd"].isna()[0]  # no traffic, no matter


def test_prices_as_text_are_a_loud_error():
    for frame in (
        frame_of_offers([{**ROW, "dph_base": "1.0"}] * 2),
        pd.DataFrame([{**ROW, "dph_base": "1.0"}] * 2),
    ):
        with pytest.raises(QueryError, match=r"other than numbers|holds no numbers"):
            cost(frame, hours=1)
    nothing = cost(pd.DataFrame([{**ROW, "dph_base": None}]), hours=1)
    assert nothing["gpu_usd"].isna().all()


def test_costs_stand_on_the_index_of_the_frame():
    frame = frame_of_offers([ROW, ROW, ROW]).set_index(pd.Index(["c", "a", "b"])).iloc[[2, 0]]
    assert list(frame.vast.cost(hours=1).index) == ["b", "c"]
    assert list(frame.vast.hourly(5).index) == ["b", "c"]
    empty = cost(frame_of_offers([]), hours=1)
    assert list(empty) == TERMS and len(empty) == 0 and (empty.dtypes == "Float64").all()


def test_the_disk_of_the_search_is_the_default():
    frame = frame_of_offers([ROW], provenance={"storage_gb": 720})
    assert frame.vast.cost(hours=1)["storage_usd"].tolist() == pytest.approx([0.36])
    assert frame.vast.hourly()[0] == pytest.approx(1.36)
    assert frame_of_offers([ROW]).vast.cost(hours=1)["storage_usd"][0] == pytest.approx(0.005)
    small = frame_of_offers([ROW], provenance={"storage_gb": 72})
    both = pd.concat([frame, small], ignore_index=True)  # each row keeps the disk of its search
    assert both.vast.cost(1)["storage_usd"].tolist() == pytest.approx([0.36, 0.036])
    assert both.vast.hourly().tolist() == pytest.approx([1.36, 1.036])
    assert both.vast.stopped(1).tolist() == pytest.approx([0.36, 0.036])
    both.attrs["vastnb"] = {"storage_gb": 5}
    assert both.vast.hourly().tolist() == pytest.approx([1.36, 1.036])


@pytest.mark.parametrize(
    "amounts",
    [{"hours": -1}, {"hours": float("nan")}, {"hours": "2"}, {"hours": 1, "disk": -1},
     {"hours": 1, "upload_gb": -1}, {"hours": 2, "lifetime_hours": 1}],
)  # fmt: skip
def test_impossible_amounts_are_refused(amounts):
    with pytest.raises(InvalidRequest):
        frame_of_offers([ROW]).vast.cost(**amounts)


def test_a_frame_without_prices_is_refused():
    with pytest.raises(InvalidRequest, match="dph_base"):
        pd.DataFrame({"a": [1]}).vast.cost(hours=1)


def test_numpy_amounts_and_plain_float_columns_do():
    frame = pd.DataFrame([ROW])
    assert cost(frame, np.float64(1), np.int64(720))["total_usd"][0] == pytest.approx(1.36)


def test_a_stopped_machine_costs_its_disk():
    frame = frame_of_offers([ROW, {**ROW, "storage_cost": None}])
    usd = frame.vast.stopped(hours=24, disk=100)
    assert usd[0] == pytest.approx(24 * 0.36 * 100 / 720) and usd.isna().tolist() == [False, True]
    assert usd.name == "stopped_usd"


def test_set_up_is_billed_and_hours_may_differ_by_offer():
    rows = [{**ROW, "id": i, "num_gpus": 1, "gpu_name": "RTX 4090", "dlperf": perf}
            for i, perf in enumerate([100.0, 100.0, 200.0, 0.0])]  # fmt: skip
    frame = frame_of_offers(rows)
    assert (
        frame.vast.cost(hours=9, setup_hours=1)["total_usd"][0]
        == frame.vast.cost(10)["total_usd"][0]
    )
    hours = frame.vast.job_hours(10, on="RTX 4090")
    assert hours[:3].tolist() == [10.0, 10.0, 5.0] and hours.isna()[3]
    terms = frame.vast.cost(hours, setup_hours=1)
    assert terms["gpu_usd"][:3].tolist() == [11.0, 11.0, 6.0]
    assert terms.iloc[3][["gpu_usd", "storage_usd", "total_usd"]].isna().all()
    assert frame.vast.job_hours(10, on=50)[0] == 5.0
    with pytest.raises(InvalidRequest, match="'RTX 4090'"):
        frame.vast.job_hours(10, on="RTX 4900")
    with pytest.raises(InvalidRequest, match="a different index"):
        frame.vast.cost(hours.iloc[:2])
    backwards = frame.vast.cost(hours.iloc[::-1], setup_hours=1)  # labels tell which is which
    assert backwards["gpu_usd"][:3].tolist() == [11.0, 11.0, 6.0]
    with pytest.raises(InvalidRequest):
        frame.vast.cost(hours, lifetime_hours=6)


def test_units_and_provenance():
    frame = frame_of_offers([ROW], provenance={"query": "num_gpus=1", "storage_gb": 10})
    assert frame.vast.units["gpu_ram"] == "MB" and frame.vast.units["inet_up"] == "Mbit/s"
    assert frame.vast.units["gpu_ram_gb"] == "GB" and "gpu_name" not in frame.vast.units
    frame.vast.provenance["query"] = "spoilt"
    assert frame.vast.provenance["query"] == "num_gpus=1"
    assert pd.DataFrame({"x": []}).vast.provenance == {}
