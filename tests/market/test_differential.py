"""Costs, rankings and summaries are what plain Python works out, row by row, on frames at random.

The reference below knows pandas only as a table: it loops over rows, and believes a number if it
lies within limits of its own. Frames hold missing values, nonsense, the same machine several times,
the same row several times, and index labels that repeat.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import pandas as pd
import pytest

import vastnb.market.accessor  # noqa: F401
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.money.remarks import share_above
from vastnb.market.money.summary import median_per_gpu

SEEDS = [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 40))]
BELIEVED = {
    "dph_total": (1e-9, 1e4),
    "dph_base": (1e-9, 1e4),
    "storage_cost": (0, 100),
    "inet_down_cost": (0, 10),
    "inet_up_cost": (0, 10),
    "num_gpus": (1, 4096),
    "dlperf": (1e-9, 1e9),
    "total_flops": (1e-9, 1e9),
    "gpu_ram_gb": (1, 1000),
}
NONSENSE = (None, -0.5, -1.8e12, 1e300, float("inf"), float("nan"), 0.0)
JOB = {"hours": 12.5, "disk": 70, "download_gb": 30, "upload_gb": 4, "setup_hours": 0.5}


def frame_at_random(seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    rows = []
    for number in range(int(draw.integers(0, 120))):
        gpus = int(draw.choice([1, 2, 4, 8]))
        row = {
            "id": 2**53 + number,
            "machine_id": int(draw.integers(2**53, 2**53 + 40)),
            "host_id": int(draw.integers(1, 9)),
            "gpu_name": str(draw.choice(["RTX 4090", "RTX 3090", "H100 SXM"])),
            "gpu_ram": float(draw.choice([23028, 24564, 81559])),
            "num_gpus": gpus,
            "dph_base": float(draw.choice([0.25, draw.uniform(0.1, 3)])) * gpus,
            "storage_cost": float(draw.uniform(0, 1)),
            "inet_down_cost": float(draw.uniform(0, 0.05)),
            "inet_up_cost": float(draw.uniform(0, 0.05)),
            "dlperf": float(draw.choice([50.0, draw.uniform(1, 500)])),
            "total_flops": float(draw.uniform(1, 900)),
            "geolocation": str(draw.choice(["Sweden, SE", "Texas, US", ", DE"])),
            "verification": str(draw.choice(["verified", "unverified"])),
        }
        row["dph_total"] = row["dph_base"] + row["storage_cost"] * 10 / 720
        for name in row:
            if name != "id" and draw.random() < 0.04:
                numeric = name in BELIEVED and name != "num_gpus"
                row[name] = NONSENSE[draw.integers(len(NONSENSE))] if numeric else None
        rows += [row] * (2 if draw.random() < 0.1 else 1)
    frame = frame_of_offers(rows, provenance={"type": "on-demand", "storage_gb": 10})
    frame.index = pd.Index(draw.permutation(len(frame)) // 2)  # labels that repeat
    return frame


def believed(row: dict, name: str) -> float:
    value = row[name]
    if value is pd.NA or value is None:
        return math.nan
    low, high = BELIEVED[name]
    return float(value) if low <= value <= high else math.nan


def rows_of(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict("records")


def same(mine, theirs) -> bool:
    mine = [math.nan if pd.isna(v) else float(v) for v in mine]
    theirs = [float(v) for v in theirs]
    return len(mine) == len(theirs) and np.allclose(mine, theirs, rtol=1e-9, atol=0, equal_nan=True)


def job_by_hand(row: dict) -> float:
    runs = JOB["hours"] + JOB["setup_hours"]
    return (
        believed(row, "dph_base") * runs
        + believed(row, "storage_cost") * JOB["disk"] * runs / 720
        + believed(row, "inet_down_cost") * JOB["download_gb"]
        + believed(row, "inet_up_cost") * JOB["upload_gb"]
    )


def divided(above: float, below: float) -> float:
    return math.nan if below == 0 or math.isnan(below) else above / below


BY_HAND = {
    "price": (lambda r: divided(believed(r, "dph_total"), believed(r, "num_gpus")), True),
    "offer": (lambda r: believed(r, "dph_total"), True),
    "dlperf": (lambda r: divided(believed(r, "dph_total"), believed(r, "dlperf")), True),
    "tflops": (lambda r: divided(believed(r, "dph_total"), believed(r, "total_flops")), True),
    "vram": (
        lambda r: divided(
            believed(r, "dph_total"), believed(r, "num_gpus") * believed(r, "gpu_ram_gb")
        ),
        True,
    ),
    "job": (job_by_hand, True),
    "dlperf / num_gpus": (
        lambda r: divided(believed(r, "dlperf"), believed(r, "num_gpus")), False,
    ),
    "dlperf / dph_total": (
        lambda r: divided(believed(r, "dlperf"), believed(r, "dph_total")), False,
    ),
    "num_gpus / dlperf": (
        lambda r: divided(believed(r, "num_gpus"), believed(r, "dlperf")), True,
    ),
    "2 * dph_total - dph_base": (
        lambda r: 2 * believed(r, "dph_total") - believed(r, "dph_base"), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_costs_are_what_plain_python_works_out(seed: int) -> None:
    frame = frame_at_random(seed)
    rows = rows_of(frame)
    assert same(frame.vast.cost(**JOB)["total_usd"], [job_by_hand(row) for row in rows])
    hourly = [believed(r, "dph_base") + believed(r, "storage_cost") * 55 / 720 for r in rows]
    assert same(frame.vast.hourly(55), hourly)
    usd = [believed(r, "storage_cost") * 10 / 720 * 7 for r in rows]
    assert same(frame.vast.stopped(7), usd)


@pytest.mark.parametrize("seed", SEEDS)
def test_rankings_are_what_plain_python_works_out_and_rows_keep_their_labels(seed: int) -> None:
    frame = frame_at_random(seed)
    rows = rows_of(frame)
    for by, (formula, small_first) in BY_HAND.items():
        ranked = frame.vast.rank(by, **JOB)
        scores = [formula(row) for row in rows]
        order = sorted(
            (at for at, score in enumerate(scores) if not math.isnan(score)),
            key=lambda at: scores[at] if small_first else -scores[at],
        )
        assert ranked["id"].tolist() == [rows[at]["id"] for at in order], by
        assert ranked.index.tolist() == [frame.index[at] for at in order]
        assert same(ranked["score"], [scores[at] for at in order])
        better = [
            1 + sum((other < scores[at]) if small_first else (other > scores[at])
                    for other in scores if not math.isnan(other))
            for at in order
        ]  # fmt: skip
        assert ranked["rank"].tolist() == better
        again = ranked.vast.rank(by, **JOB)
        assert again["id"].tolist() == ranked["id"].tolist()
        assert same(again["score"], ranked["score"])


def machines_by_hand(rows: list[dict]) -> dict:
    """The lowest price per GPU of each machine and model, with the row that has it."""
    best: dict = {}
    for at, row in enumerate(rows):
        price = divided(believed(row, "dph_total"), believed(row, "num_gpus"))
        if math.isnan(price):
            continue
        machine = ("alone", at) if pd.isna(row["machine_id"]) else row["machine_id"]
        model = None if pd.isna(row["gpu_name"]) else row["gpu_name"]
        if (machine, model) not in best or price < best[machine, model][0]:
            best[machine, model] = (price, row)
    return best


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "by", [["gpu_name"], ["gpu_name", "num_gpus"], ["country"], ["verification", "gpu_ram_gb"]]
)
def test_summaries_are_what_plain_python_works_out(seed: int, by: list[str]) -> None:
    frame = frame_at_random(seed)
    groups: dict = {}
    for row in rows_of(frame):
        key = tuple(None if pd.isna(row[name]) else row[name] for name in by)
        groups.setdefault(key, []).append(row)
    table = frame.vast.summary(by)
    assert len(table) == len(groups)
    for line in rows_of(table):
        rows = groups[tuple(None if pd.isna(line[name]) else line[name] for name in by)]
        best = machines_by_hand(rows)
        prices = [price for price, _ in best.values()]
        assert line["offers"] == len(rows) and line["machines"] == len(best)
        assert line["hosts"] == len(
            {r["host_id"] for _, r in best.values() if not pd.isna(r["host_id"])}
        )
        speeds = [divided(believed(r, "dlperf"), believed(r, "num_gpus")) for _, r in best.values()]
        speeds = [speed for speed in speeds if not math.isnan(speed)]
        median = statistics.median(speeds) if speeds else math.nan
        assert same([line["dlperf_gpu"]], [median])
        quantiles = [np.quantile(prices, q) if prices else math.nan for q in (0.1, 0.5, 0.9)]
        assert same([line[f"dph_gpu_q{q}"] for q in (10, 50, 90)], quantiles)
        assert same([line["dph_gpu_min"]], [min(prices, default=math.nan)])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_unbeaten_offers_are_those_that_no_other_beats(seed: int) -> None:
    frame = frame_at_random(seed)
    rows = rows_of(frame)
    points = [(believed(r, "dph_total"), believed(r, "dlperf")) for r in rows]
    known = [at for at, point in enumerate(points) if not any(map(math.isnan, point))]
    front = [
        at
        for at in known
        if not any(
            points[o][0] <= points[at][0]
            and points[o][1] >= points[at][1]
            and points[o] != points[at]
            for o in known
        )
    ]
    front.sort(key=lambda at: points[at][0])
    found = frame.vast.pareto()
    assert found["id"].tolist() == [rows[at]["id"] for at in front]
    assert found.index.tolist() == [frame.index[at] for at in front]


@pytest.mark.parametrize("seed", SEEDS)
def test_machines_and_their_median_are_counted_once(seed: int) -> None:
    frame = frame_at_random(seed)
    best = machines_by_hand(rows_of(frame))
    prices = [price for price, _ in best.values()]
    median = median_per_gpu(frame)
    assert same([math.nan if median is None else median],
                [statistics.median(prices) if prices else math.nan])  # fmt: skip
    table = frame.vast.machines()
    cheapest = table["dph_total"] / table["num_gpus"]
    priced = [
        p for p, row in zip(cheapest, rows_of(table), strict=True)
        if not math.isnan(divided(believed(row, "dph_total"), believed(row, "num_gpus")))
    ]  # fmt: skip
    assert same(sorted(priced), sorted(prices))
    assert table["offers"].sum() == len(frame)


@pytest.mark.parametrize("seed", SEEDS)
def test_cheaper_than_is_a_share_of_like_offers(seed: int) -> None:
    draw = np.random.default_rng(seed)
    others, mine = draw.integers(0, 9, 30).astype(float), float(draw.integers(0, 9))
    by_hand = sum(1.0 if o > mine else 0.5 if o == mine else 0.0 for o in others) / 30
    assert share_above(others, mine) == pytest.approx(by_hand, rel=1e-9)
