"""What the form warns of: each promise by itself, any row, and real rows."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.market.frames.offers import frame_of_offers
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.warnings import LEVELS, Account, warnings_of

GOOD: dict[str, Any] = {
    "id": 1, "gpu_name": "RTX 4090", "num_gpus": 1, "gpu_ram": 24564, "dph_base": 0.4,
    "storage_cost": 0.15, "inet_down_cost": 0.001, "inet_up_cost": 0.001, "min_bid": 0.2,
    "reliability": 0.995, "verification": "verified", "duration": 30 * 86400.0,
    "disk_space": 500.0, "rentable": True, "rented": False,
}  # fmt: skip
PLAN = RentPlan().changed({"image": "a/b", "disk": 20, "hours": 8, "max_hours": 8})
RICH = Account(credit=1000.0, has_ssh_key=True)


def said(
    row: dict[str, Any] | None = None, plan: RentPlan = PLAN, account: Account = RICH
) -> list[tuple[str, str]]:
    return [(one.level, one.text) for one in warnings_of({**GOOD, **(row or {})}, plan, account)]


def test_a_good_offer_is_not_warned_of() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("row", "changes", "level", "words"),
    [
        ({"inet_down_cost": 0.05}, {"download_gb": 100}, "warn", "Traffic costs $5.00"),
        ({"inet_up_cost": 0.04}, {}, "warn", "100 GB costs $4.00"),
        ({"duration": 3600.0}, {}, "bad", "can be rented for 1 h at most"),
        ({"duration": 20 * 3600.0}, {}, "warn", "can be rented for 20 h at most"),
        ({"reliability": 0.8999}, {}, "bad", "Reliability 89.9 %"),
        ({"reliability": 0.94}, {}, "warn", "Reliability 94 %"),
        ({"verification": "unverified"}, {}, "warn", "Not verified"),
        ({"verification": "deverified"}, {}, "bad", "withdrawn its verification"),
        ({"gpu_ram": 23028}, {}, "info", "below the nominal 24 GB"),
        ({"gpu_ram": 27000}, {}, "warn", "unusual size"),
        ({"disk_space": 10.0}, {}, "bad", "10 GB of disk; you want 20"),
        ({"dph_base": None}, {}, "bad", "has no price"),
        ({"min_bid": 0.3}, {"bid": 0.25}, "bad", "below its minimum"),
        ({"min_bid": None}, {"bid": "min"}, "bad", "no minimum bid"),
        ({}, {"bid": "min+10%"}, "info", "higher bid can stop"),
        ({"rentable": False}, {}, "warn", "already rented"),
        ({}, {"max_hours": None}, "info", "No limit set"),
    ],
)
def test_each_danger_is_said(
    row: dict[str, Any], changes: dict[str, Any], level: str, words: str
) -> None:
    found = [one for one in said(row, PLAN.changed(changes)) if words in one[1]]
    assert [one[0] for one in found] == [level]


def test_no_ssh_key_is_said_unless_nobody_logs_in() -> None:
    keyless = Account(credit=1000.0, has_ssh_key=False)
    assert said(account=keyless)[0][0] == "bad"
    assert said(plan=PLAN.changed({"runtype": "args"}), account=keyless) == []
    assert said(account=Account(1000.0, None)) == []


def test_credit_for_less_than_the_planned_hours_is_said() -> None:
    (one,) = said(account=Account(1.0, True))
    assert one[0] == "warn" and "lasts 2.5 h" in one[1]
    (one,) = said(account=Account(0.1, True))
    assert one[0] == "bad"
    assert "lasts 1.2 h" in said(plan=PLAN.changed({"count": 2}), account=Account(1.0, True))[0][1]


anything = st.one_of(
    st.none(), st.just(pd.NA), st.booleans(), st.text(max_size=12), st.integers(),
    st.floats(allow_nan=True, allow_infinity=True), st.lists(st.integers(), max_size=2),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(sorted(GOOD)), anything),
    st.sampled_from([None, 0.25, "min", "min+10%"]),
    st.one_of(st.none(), st.floats(-100, 100)),
)
def test_any_row_gives_warnings_in_words_worst_first(
    row: dict[str, Any], bid: Any, credit: float | None
) -> None:
    plan = PLAN.changed({"bid": bid, "download_gb": 5})
    found = warnings_of({**GOOD, **row}, plan, Account(credit, None))
    ranks = [LEVELS.index(one.level) for one in found]
    assert ranks == sorted(ranks)
    for one in found:
        assert one.text.endswith(".") and "nan" not in one.text and "None" not in one.text
        assert "<NA>" not in one.text and "inf" not in one.text.replace("info", "")


@given(st.floats(0, 1), st.floats(0, 1))
def test_less_reliability_never_warns_less(a: float, b: float) -> None:
    def weight(trust: float) -> int:
        found = [x for x in said({"reliability": trust}) if "Reliability" in x[1]]
        return {"bad": 2, "warn": 1}.get(found[0][0], 0) if found else 0

    low, high = sorted((a, b))
    assert weight(low) >= weight(high)


@given(st.floats(0.0001, 1), st.floats(0, 1000))
def test_traffic_that_costs_more_than_the_gpus_is_always_said(each: float, gb: float) -> None:
    found = said({"inet_down_cost": each}, PLAN.changed({"download_gb": gb, "upload_gb": 1e-9}))
    dear = any("Traffic costs" in text for _, text in found)
    assert dear == (each * gb + 0.001 * 1e-9 > 0.4 * 8)


def test_real_offers_are_warned_of_in_moderation(offers_2024: list[dict[str, Any]]) -> None:
    frame = frame_of_offers(offers_2024)
    rows = frame.to_dict("records")
    levels = [{one.level for one in warnings_of(row, PLAN, RICH)} for row in rows]
    quiet = sum(not levels_ & {"bad", "warn"} for levels_ in levels)
    assert 0.2 < quiet / len(rows) < 0.95
    unverified = [row for row in rows if row["verification"] == "unverified"]
    assert all(
        any("Not verified" in one.text for one in warnings_of(row, PLAN, RICH))
        for row in unverified
    )
