"""Every mishap of the simulated service is said, in time, once, and by one list call a tick."""

from __future__ import annotations

import pytest

from vastnb.sim.instances.lifecycle import FATES

from .lives import EXPECTED, HOURS, live


def test_every_fate_has_an_expectation() -> None:
    assert set(EXPECTED) == set(FATES)


@pytest.mark.slow
@pytest.mark.parametrize("fate", FATES)
def test_every_fate_is_said_within_a_look_of_being_visible_and_nothing_flaps(fate: str) -> None:
    life = live(fate, hours=HOURS.get(fate, 0.5))
    assert life.as_expected, [(one.state, one.truth, one.reason) for one in life.said]
    assert all(one.in_time for one in life.said), life.said
    # A machine that comes back is found, and destroyed again, by the guard's looks as well.
    assert life.calls == life.looks or (fate == "resurrects" and life.calls > life.looks)
    assert life.singles == 0
    assert len(life.notices) == len(set(life.notices)) <= 2
