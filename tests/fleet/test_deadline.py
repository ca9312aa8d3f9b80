"""From hours and dollars to a moment."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.errors import InvalidRequest
from vastnb.fleet.rent.deadline import (
    LATEST,
    LONGEST,
    Limits,
    Priced,
    in_words,
    spent_at,
    spent_by,
)
from vastnb.fleet.rent.guard import FIRST_AGAIN, LONGEST_AGAIN, SLICE, Guarded, due_of, failed

NOW = 1_790_000_000.0

machines = st.lists(
    st.builds(
        Priced,
        since=st.floats(NOW, NOW + 3600),
        dph=st.floats(0.001, 128),
    ),
    min_size=1,
    max_size=12,
)


@given(st.floats(0.001, 1e4), machines)
def test_the_budget_is_spent_at_the_deadline_and_not_before(
    budget: float, fleet: list[Priced]
) -> None:
    end = spent_at(budget, fleet)
    if end < LATEST:
        assert spent_by(end, fleet) == pytest.approx(budget, rel=1e-6, abs=1e-6)
    assert spent_by(end - 60, fleet) < budget


@given(st.floats(0.001, 1e4), machines, st.floats(0.001, 128))
def test_a_dearer_fleet_ends_earlier(budget: float, fleet: list[Priced], more: float) -> None:
    assert spent_at(budget, [*fleet, Priced(NOW, more)]) <= spent_at(budget, fleet) + 1e-3
    assert spent_at(budget * 2, fleet) >= spent_at(budget, fleet)


@given(st.floats(0.01, 1e4), st.floats(0.01, 1000) | st.none(), machines)
def test_shares_are_never_more_than_the_whole(
    budget: float, hours: float | None, fleet: list[Priced]
) -> None:
    """While machines are being rented, each has a share; a killed kernel must leave no more."""
    limits = Limits(hours, budget, len(fleet))
    ends = [limits.alone(one.since, one.dph) for one in fleet]
    spent = sum(spent_by(end or math.inf, [one]) for end, one in zip(ends, fleet, strict=True))
    assert spent <= budget * (1 + 1e-6) + 1e-6
    for end, one in zip(ends, fleet, strict=True):
        assert end is not None
        assert hours is None or end <= one.since + hours * 3600


@given(st.floats(0.01, 1e4), st.floats(0.01, 1000) | st.none(), machines)
def test_machines_that_end_together_keep_to_the_budget(
    budget: float, hours: float | None, fleet: list[Priced]
) -> None:
    ends = Limits(hours, budget, len(fleet)).together(fleet)
    spent = sum(spent_by(end, [one]) for end, one in zip(ends, fleet, strict=True))
    assert spent <= budget * (1 + 1e-6) + 1e-6
    clipped = any(end >= one.since + LONGEST for end, one in zip(ends, fleet, strict=True))
    if hours is None and not clipped:
        assert len(set(ends)) == 1
        assert spent == pytest.approx(budget, rel=1e-6, abs=1e-6)


def test_what_costs_nothing_lasts_for_ever() -> None:
    assert spent_at(5.0, [Priced(NOW, 0.0)]) == LATEST
    assert spent_at(5.0, []) == LATEST
    assert Limits().alone(NOW, 1.0) is None
    assert Limits(max_hours=2).alone(NOW, None) == NOW + 7200


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_hours": 0},
        {"max_hours": -1},
        {"max_hours": math.nan},
        {"max_hours": math.inf},
        {"max_hours": True},
        {"max_hours": "2"},
        {"budget_usd": 0},
        {"budget_usd": "1"},
        {"on_machine": True},
    ],
)
def test_bounds_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match="Nothing was sent"):
        Limits(**wrong)


def test_a_budget_needs_a_price() -> None:
    with pytest.raises(InvalidRequest, match="price"):
        Limits(budget_usd=5).alone(NOW, None)


def test_a_deadline_reads_like_a_clock() -> None:
    assert in_words(NOW + 7200, NOW) == "16:13 UTC (in 2 h 0 min)"
    assert in_words(NOW + 86400, NOW).startswith("2026-09-22 14:13 UTC (in 24 h")
    assert in_words(NOW, NOW) == "14:13 UTC (now)"
    assert in_words(NOW - 60, NOW) == "14:12 UTC (60 s ago)"


# -- what the guard does next --------------------------------------------------------------------

guarded = st.lists(
    st.builds(
        Guarded,
        id=st.integers(1, 9),
        marker=st.text("ab", min_size=1, max_size=3),
        deadline=st.floats(NOW - 100, NOW + 1e6),
        again_at=st.floats(NOW - 100, NOW + 600) | st.just(0.0),
        latest=st.floats(-100, 1e6) | st.just(math.inf),
    ),
    max_size=8,
)


@given(guarded)
def test_what_is_due_is_done_and_nothing_else(some: list[Guarded]) -> None:
    due, wait = due_of(some, NOW)
    assert {one for one in some if one.due_at(NOW) <= NOW} == set(due)
    if not some:
        assert wait is None
    elif not due:
        assert wait is not None
        assert 0 < wait <= SLICE
        assert wait <= min(one.due_at(NOW) for one in some) - NOW


def test_a_destroy_that_fails_is_tried_later_and_later() -> None:
    one, pauses = Guarded(5, "a", NOW), []
    for _ in range(8):
        one = failed(one, NOW)
        pauses.append(one.due_at(NOW) - NOW)
    assert pauses[0] == FIRST_AGAIN and pauses == sorted(pauses) and pauses[-1] == LONGEST_AGAIN
    assert one.failures == 8
