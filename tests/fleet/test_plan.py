"""What the state machine promises, whatever happens."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vastnb.fleet.plan import (
    ABSENT_AFTER,
    CLEAN_LISTS,
    GONE_AFTER,
    LIVE,
    OPEN,
    OVER,
    UNSETTLED,
    Adopt,
    Candidate,
    Close,
    Destroy,
    Finish,
    Leave,
    Look,
    Send,
    Settle,
    Sightings,
    State,
    Tried,
    next_move,
    next_step,
)

START = 1000.0
STATES = st.sampled_from(list(State))
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
    """A create may take effect half a minute late, and a destroyed machine has come back then."""
    assert CLEAN_LISTS >= 3
    assert ABSENT_AFTER >= 30
    assert GONE_AFTER >= 40


def test_every_state_is_open_live_or_over() -> None:
    assert set(State) == OPEN | LIVE | OVER
    assert not (OPEN & LIVE or OPEN & OVER or LIVE & OVER)
    assert UNSETTLED < OPEN


@given(STATES, LOOKS, st.booleans())
def test_what_a_living_process_does_is_left_alone(
    state: State, looks: list[tuple[float, list[int] | None]], never_ran: bool
) -> None:
    seen, now = sightings(looks, START)
    step = next_step(
        state, seen, since=START, now=now, deadline=now + 60, ours=False, never_ran=never_ran
    )
    assert step == Leave("not ours")


@given(LOOKS, st.floats(0, 100), st.booleans())
def test_absence_takes_enough_complete_lists_late_enough(
    looks: list[tuple[float, list[int] | None]], budget: float, never_ran: bool
) -> None:
    seen, now = sightings(looks, START)
    step = next_step(
        State.UNKNOWN, seen, since=START, now=now, deadline=START + budget, never_ran=never_ran
    )
    last: list[list[int] | None] = [ids for _, ids in looks if ids is not None]
    clean = 0
    for ids in reversed(last):
        if ids:
            break
        clean += 1
    if step == Close(State.ABSENT):
        assert clean >= CLEAN_LISTS
        assert seen.last_clean is not None and seen.last_clean - START >= ABSENT_AFTER
    if last and last[-1]:
        found = tuple(sorted(last[-1]))
        assert step == (Destroy(found) if never_ran else Adopt(found[0], found[1:]))
    if isinstance(step, Look):
        assert now + step.seconds <= START + budget


@given(LOOKS)
def test_a_failed_list_proves_nothing(looks: list[tuple[float, list[int] | None]]) -> None:
    failed: list[tuple[float, list[int] | None]] = [(wait, None) for wait, _ in looks]
    seen, now = sightings(failed, START)
    step = next_step(State.UNKNOWN, seen, since=START, now=now, deadline=now + 60)
    assert isinstance(step, Look)


def test_a_list_from_before_the_loss_proves_nothing() -> None:
    seen = Sightings()
    for at in (START - 5, START + 20, START + 60):
        seen = seen.saw([], at)
    step = next_step(State.UNKNOWN, seen, since=START, now=START + 60, deadline=START + 90)
    assert isinstance(step, Look)


@given(st.sampled_from([State.UNKNOWN, State.SENDING, State.DESTROYING]), st.floats(0, 600))
def test_looking_ends_with_a_proof_or_with_the_time(state: State, delay: float) -> None:
    """Nothing is ever shown: it ends soon after the proof is possible."""
    since, now, seen = START, START + delay, Sightings()
    needed = GONE_AFTER if state is State.DESTROYING else ABSENT_AFTER
    for _ in range(40):
        step = next_step(state, seen, since=since, now=now, deadline=START + delay + 120)
        if not isinstance(step, Look):
            break
        now += step.seconds
        seen = seen.saw([], now)
    assert isinstance(step, Close)
    assert now <= START + max(needed, delay + 6) + 8


def test_a_stillborn_machine_is_destroyed() -> None:
    step = next_step(
        State.STILLBORN, Sightings(), since=START, now=START, deadline=START, contract=7
    )
    assert step == Destroy((7,))


@given(STATES, st.integers(5, 60))
def test_what_is_over_or_dying_and_comes_back_is_destroyed(state: State, after: int) -> None:
    if state not in OVER and state is not State.DESTROYING:
        return
    now = START + after
    seen = Sightings().saw([7], now)
    step = next_step(state, seen, since=START, now=now, deadline=now + 60, contract=7)
    # One that lists did not show for a while was destroyed by nobody here.
    assert step == (Adopt(7) if state is State.GONE else Destroy((7,)))


@given(LOOKS, st.sampled_from(sorted(LIVE)))
def test_a_machine_in_use_is_not_taken_to_be_gone_sooner_than_one_that_never_was(
    looks: list[tuple[float, list[int] | None]], state: State
) -> None:
    seen, now = sightings(looks, START)
    step = next_step(state, seen, since=START, now=now, deadline=now + 60, contract=1)
    if isinstance(step, Close):
        assert step == Close(State.GONE) and seen.clean >= CLEAN_LISTS
        assert seen.last_clean is not None and seen.last_clean - START >= ABSENT_AFTER


def test_a_machine_that_is_ours_is_never_destroyed_by_settling() -> None:
    for state in LIVE:
        for ids in ([], [7], [7, 8]):
            seen = Sightings().saw(ids, START + 1)
            step = next_step(state, seen, since=START, now=START + 1, deadline=START + 9,
                             contract=7)  # fmt: skip
            assert not isinstance(step, Destroy)
            assert not isinstance(step, Adopt) or step == Adopt(7, (8,))


# -- a whole rental ------------------------------------------------------------------------------

CANDIDATES = st.lists(
    st.builds(Candidate, st.integers(1, 8), st.one_of(st.none(), st.integers(1, 4))),
    max_size=8,
    unique_by=lambda one: one.offer_id,
)


@given(CANDIDATES, st.lists(st.tuples(st.integers(0, 7), STATES, st.booleans())), st.integers(1, 4))
def test_nothing_is_sent_while_an_attempt_is_unknown(
    candidates: list[Candidate], history: list[tuple[int, State, bool]], wanted: int
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
        assert all(one.state is State.ABSENT for one in mine) and len(mine) < 2


@settings(max_examples=300)
@given(CANDIDATES, st.integers(1, 4), st.data())
def test_a_rental_ends_and_never_has_more_than_was_wanted(
    candidates: list[Candidate], wanted: int, data: st.DataObject
) -> None:
    """The service answers as it likes; unknown attempts are settled as they happen to turn out."""
    tried: list[Tried] = []
    answers = st.sampled_from(
        [State.CREATED, State.REFUSED, State.UNKNOWN, State.STILLBORN, State.DESTROYING]
    )
    ends = st.sampled_from([State.ADOPTED, State.ABSENT, State.DESTROYED])
    for _ in range(50):
        move = next_move(wanted, tried, candidates)
        if isinstance(move, Finish):
            break
        if isinstance(move, Settle):
            old = tried[move.index]
            tried[move.index] = Tried(old.candidate, data.draw(ends))
        else:
            fatal = data.draw(st.integers(0, 9)) == 0
            tried.append(Tried(move.candidate, State.REFUSED if fatal else data.draw(answers),
                               fatal))  # fmt: skip
    else:
        raise AssertionError("it does not end")
    live = [one for one in tried if one.state in LIVE]
    assert len(live) <= wanted
    machines = [one.candidate.machine_id for one in live if one.candidate.machine_id]
    assert len(machines) == len(set(machines))
    offers = [one.candidate.offer_id for one in live]
    assert len(offers) == len(set(offers))
