"""What the state machine promises, whatever happens."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.fleet.rent.plan import (
    ABSENT_AFTER,
    ABSENT_BEHIND_GATEWAY,
    CLEAN_LISTS,
    GONE_AFTER,
    LIVE,
    OPEN,
    OVER,
    UNSETTLED,
    Adopt,
    AttemptState,
    Candidate,
    Close,
    Destroy,
    Facts,
    Finish,
    Leave,
    LookAgain,
    Send,
    Settle,
    Sightings,
    Tried,
    next_move,
    next_step,
)

START = 1000.0
STATES = st.sampled_from(list(AttemptState))
LOOKS = st.lists(
    st.tuples(
        st.floats(0, 40),
        st.one_of(st.none(), st.lists(st.integers(1, 3), max_size=2, unique=True)),
    ),
    max_size=12,
)
"""Seconds to the next list, and what it shows; None is a list that failed."""


def sightings(looks: list[tuple[float, list[int] | None]], since: float) -> tuple[Sightings, float]:
    seen, now = Sightings(), since
    for wait, ids in looks:
        now += wait
        seen = seen.failed() if ids is None else seen.saw(ids, now)
    return seen, now


def test_the_proofs_are_as_long_as_the_service_may_take() -> None:
    """A machine is listed a minute late; a destroyed one has come back after half of that."""
    assert CLEAN_LISTS >= 3
    assert ABSENT_AFTER >= 60
    assert GONE_AFTER >= 40


def test_every_state_is_open_live_or_over() -> None:
    assert set(AttemptState) == OPEN | LIVE | OVER
    assert not (OPEN & LIVE or OPEN & OVER or LIVE & OVER)
    assert UNSETTLED < OPEN


@given(LOOKS, st.floats(0, 200), st.booleans(), st.booleans())
def test_absence_takes_enough_complete_lists_late_enough(
    looks: list[tuple[float, list[int] | None]], budget: float, never_ran: bool, gateway: bool
) -> None:
    seen, now = sightings(looks, START)
    facts = Facts(START, never_ran=never_ran, gateway=gateway)
    step = next_step(AttemptState.UNKNOWN, seen, facts, now=now, deadline=START + budget)
    last: list[list[int] | None] = [ids for _, ids in looks if ids is not None]
    clean = 0
    for ids in reversed(last):
        if ids:
            break
        clean += 1
    if step == Close(AttemptState.ABSENT):
        assert clean >= CLEAN_LISTS
        least = ABSENT_BEHIND_GATEWAY if gateway else ABSENT_AFTER
        assert seen.last_clean is not None and seen.last_clean - START >= least
    if last and last[-1]:
        found = min(last[-1])
        assert step == (Destroy(found) if never_ran else Adopt(found))
    if isinstance(step, LookAgain):
        assert now + step.seconds <= START + budget


@given(LOOKS)
def test_a_failed_list_proves_nothing(looks: list[tuple[float, list[int] | None]]) -> None:
    failed: list[tuple[float, list[int] | None]] = [(wait, None) for wait, _ in looks]
    seen, now = sightings(failed, START)
    step = next_step(AttemptState.UNKNOWN, seen, Facts(START), now=now, deadline=now + 60)
    assert isinstance(step, LookAgain)


def test_a_list_from_before_the_loss_proves_nothing() -> None:
    seen = Sightings()
    for at in (START - 5, START + 20, START + 160):
        seen = seen.saw([], at)
    step = next_step(AttemptState.UNKNOWN, seen, Facts(START), now=START + 160)
    assert isinstance(step, LookAgain)


def test_a_machine_that_may_be_it_is_never_called_absent() -> None:
    seen = Sightings()
    for at in range(0, 2000, 20):
        seen = seen.saw([], START + at, [8])
    step = next_step(AttemptState.UNKNOWN, seen, Facts(START), now=START + 2000)
    assert isinstance(step, LookAgain) and seen.maybe == (8,)


@given(
    st.sampled_from([AttemptState.UNKNOWN, AttemptState.SENDING, AttemptState.DESTROYING]),
    st.floats(0, 600),
)
def test_looking_ends_with_a_proof_or_with_the_time(state: AttemptState, delay: float) -> None:
    """Nothing is ever shown: it ends soon after the proof is possible."""
    now, seen = START + delay, Sightings()
    needed = GONE_AFTER if state is AttemptState.DESTROYING else ABSENT_AFTER
    for _ in range(40):
        step = next_step(state, seen, Facts(START, 7), now=now, deadline=START + delay + 120)
        if not isinstance(step, LookAgain):
            break
        now += step.seconds
        seen = seen.saw([], now)
    assert isinstance(step, Close)
    assert now <= START + max(needed, delay + 6) + 8


def test_a_stillborn_machine_is_destroyed_when_it_is_seen_to_be_ours() -> None:
    facts = Facts(START, 7)
    assert isinstance(next_step(AttemptState.STILLBORN, Sightings(), facts, now=START), LookAgain)
    seen = Sightings().saw([7], START)
    assert next_step(AttemptState.STILLBORN, seen, facts, now=START) == Destroy(7)
    foreign = Facts(START, 7, foreign=True)
    assert next_step(AttemptState.STILLBORN, seen, foreign, now=START) == Close(
        AttemptState.REFUSED
    )


@given(STATES, st.integers(5, 60))
def test_what_comes_back_is_destroyed_and_what_comes_late_is_taken_up(
    state: AttemptState, after: int
) -> None:
    if state not in OVER and state is not AttemptState.DESTROYING:
        return
    now = START + after
    seen = Sightings().saw([7], now)
    contract = None if state in (AttemptState.ABSENT, AttemptState.REFUSED) else 7
    step = next_step(state, seen, Facts(START, contract), now=now, deadline=now + 60)
    destroyed = state in (AttemptState.DESTROYING, AttemptState.DESTROYED)
    assert step == (Destroy(7) if destroyed else Adopt(7))


def test_only_the_machine_that_is_known_is_ever_destroyed() -> None:
    for state in AttemptState:
        seen = Sightings().saw([8], START + 60)
        step = next_step(state, seen, Facts(START, 7), now=START + 60, deadline=START + 99)
        assert step != Destroy(8) or state in UNSETTLED


def test_a_destroy_that_was_not_confirmed_is_sent_again_though_no_list_shows_the_machine() -> None:
    seen = Sightings().saw([], START + 6)
    unsure = Facts(START, 7, accepted=False)
    assert next_step(AttemptState.DESTROYING, seen, unsure, now=START + 6) == Destroy(7)
    assert next_step(AttemptState.DESTROYING, seen, unsure, now=START + 6, stays=False) == Destroy(
        7
    )
    sure = Facts(START, 7)
    step = next_step(AttemptState.DESTROYING, seen, sure, now=START + 6, stays=False)
    assert step == Leave("confirmed")


@given(LOOKS, st.sampled_from(sorted(LIVE)))
def test_a_machine_in_use_is_not_taken_to_be_gone_sooner_than_one_that_never_was(
    looks: list[tuple[float, list[int] | None]], state: AttemptState
) -> None:
    seen, now = sightings(looks, START)
    step = next_step(state, seen, Facts(START, 1), now=now, deadline=now + 60)
    if isinstance(step, Close):
        assert step == Close(AttemptState.GONE) and seen.clean >= CLEAN_LISTS
        assert seen.last_clean is not None and seen.last_clean - START >= ABSENT_AFTER


def test_a_machine_that_is_ours_is_never_destroyed_by_settling() -> None:
    for state in LIVE:
        for ids in ([], [7], [7, 8]):
            seen = Sightings().saw(ids, START + 1)
            step = next_step(state, seen, Facts(START, 7), now=START + 1, deadline=START + 9)
            assert not isinstance(step, Destroy | Adopt)


# -- a whole rental ------------------------------------------------------------------------------

CANDIDATES = st.lists(
    st.builds(Candidate, st.integers(1, 8), st.one_of(st.none(), st.integers(1, 4))),
    max_size=8,
    unique_by=lambda one: one.offer_id,
)


@given(CANDIDATES, st.lists(st.tuples(st.integers(0, 7), STATES, st.booleans())), st.integers(1, 4))
def test_nothing_is_sent_while_an_attempt_is_unknown(
    candidates: list[Candidate], history: list[tuple[int, AttemptState, bool]], wanted: int
) -> None:
    tried = [
        Tried(candidates[place % len(candidates)], state, fatal)
        for place, state, fatal in history
        if candidates
    ]
    move = next_move(wanted, tried, candidates)
    if any(one.state in UNSETTLED for one in tried):
        assert isinstance(move, Settle) and tried[move.index].state in UNSETTLED
    if isinstance(move, Send):
        live = [one for one in tried if one.state in LIVE]
        assert len(live) < wanted
        assert not any(one.fatal for one in tried)
        assert all(
            one.candidate.machine_id != move.candidate.machine_id or not one.candidate.machine_id
            for one in live
        )
        mine = [one for one in tried if one.candidate.offer_id == move.candidate.offer_id]
        assert all(one.state is AttemptState.ABSENT for one in mine) and len(mine) < 2


@pytest.mark.slow
@settings(max_examples=300)
@given(CANDIDATES, st.integers(1, 4), st.data())
def test_a_rental_ends_and_never_has_more_than_was_wanted(
    candidates: list[Candidate], wanted: int, data: st.DataObject
) -> None:
    """The service answers as it likes; unknown attempts are settled as they happen to turn out."""
    tried: list[Tried] = []
    answers = st.sampled_from(
        [
            AttemptState.CREATED,
            AttemptState.REFUSED,
            AttemptState.UNKNOWN,
            AttemptState.STILLBORN,
            AttemptState.DESTROYING,
        ]
    )
    ends = st.sampled_from([AttemptState.ADOPTED, AttemptState.ABSENT, AttemptState.DESTROYED])
    for _ in range(50):
        move = next_move(wanted, tried, candidates)
        if isinstance(move, Finish):
            break
        if isinstance(move, Settle):
            old = tried[move.index]
            tried[move.index] = Tried(old.candidate, data.draw(ends))
        else:
            fatal = data.draw(st.integers(0, 9)) == 0
            state = AttemptState.REFUSED if fatal else data.draw(answers)
            tried.append(Tried(move.candidate, state, fatal))
    else:
        raise AssertionError("it does not end")
    live = [one for one in tried if one.state in LIVE]
    assert len(live) <= wanted
    machines = [one.candidate.machine_id for one in live if one.candidate.machine_id]
    assert len(machines) == len(set(machines))
    offers = [one.candidate.offer_id for one in live]
    assert len(offers) == len(set(offers))
