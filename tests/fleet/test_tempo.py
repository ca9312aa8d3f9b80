"""When the next look is worth while."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vastnb.fleet.watch.tempo import (
    CEILING,
    QUICK,
    SLOW,
    Tempo,
    after_action,
    after_failure,
    after_look,
)

from .watching import NOW


def test_the_interval_grows_while_nothing_changes_and_is_quick_again_when_something_does() -> None:
    tempo, now, waits = Tempo(), NOW, []
    for moved in [True, False, False, False, False, False, False, True, False]:
        tempo = after_look(tempo, now, moved=moved)
        waits.append(tempo.due_in(now))
        now += waits[-1]
    assert waits == [5, 7.5, 11.25, 16.875, 25.3125, 30, 30, 5, 7.5]


def test_errors_double_the_interval_up_to_five_minutes_and_a_success_forgets_them() -> None:
    tempo, now, waits = after_look(Tempo(), NOW, moved=True), NOW, []
    for _ in range(20):
        tempo = after_failure(tempo, now, chance=1.0)
        waits.append(tempo.due_in(now))
        now += waits[-1]
    assert waits[:7] == [10, 20, 40, 80, 160, 300, 300] and set(waits[7:]) == {300}
    assert after_look(tempo, now, moved=True).due_in(now) == QUICK


def test_what_cannot_heal_is_not_hammered() -> None:
    assert after_failure(Tempo(), NOW, chance=1.0, hopeless=True).due_in(NOW) == CEILING


def test_an_action_is_looked_at_at_once_but_not_before_the_moment_the_service_named() -> None:
    slow = after_look(Tempo(interval=SLOW), NOW, moved=False)
    quick = after_action(slow, NOW + 1)
    assert quick.due_in(NOW + 1) == 0
    assert after_look(quick, NOW + 1, moved=False).interval == QUICK * 1.5
    told = after_failure(slow, NOW, chance=0.0, retry_after=500.0)
    assert told.due_in(NOW) == 500
    assert after_action(told, NOW + 100).due_in(NOW + 100) == 400


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["look", "moved", "failed", "acted"]),
            st.floats(0, 1),
            st.none() | st.floats(0, 1000),
            st.floats(-1e6, 1e6),
        ),
        max_size=30,
    )
)
def test_nobody_looks_too_often_or_waits_for_ever(
    events: list[tuple[str, float, float, float]],
) -> None:
    tempo, now, asked = Tempo(), NOW, 0.0
    for what, chance, retry_after, passed in events:
        if what in ("look", "moved"):
            tempo, asked = after_look(tempo, now, moved=what == "moved"), 0.0
        elif what == "failed":
            tempo = after_failure(tempo, now, chance=chance, retry_after=retry_after)
            asked = max(asked, retry_after or 0.0)
            assert tempo.due_in(now) >= (retry_after or 0.0) - 1e-3
        else:
            tempo = after_action(tempo, now)
        wait = tempo.due_in(now)
        assert 0 <= wait <= max(CEILING, asked)
        assert wait >= QUICK * 0.99 or what == "acted"
        assert QUICK <= tempo.interval <= SLOW
        now += passed  # a clock may be set, back as well
