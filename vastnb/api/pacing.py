"""When the next request may go: rules of one lane, as functions of values.

A lane is one row of the endpoint table for one account. Its state is a `Lane`, kept where all
kernels see it (`vastnb.api.shared`); every function here takes a state and the time, and returns
the next state. Nothing sleeps and nothing is reserved: a caller either has the turn now or learns
how long to wait, so one that is killed while waiting leaves nothing behind.

Pace is counted from the *answer*. The service counts arrivals; a request whose connection took
long arrives late, and the next one, sent an interval after it was *sent*, would arrive early.

A refusal (429) teaches. The threshold that it names is believed if it explains the refusal;
otherwise the time since the last request plus the time it asks for is the interval. A lane that was
paced right and is refused nevertheless gets a margin, which clean answers wear off. What was
learned is forgotten after a day.
"""

from __future__ import annotations

import json
import math
from typing import Literal, NamedTuple, get_args

from vastnb.api.endpoints import Endpoint

FIRST_GUESS = 1.0
"""Seconds between requests where nobody has published an interval."""

SAFETY = 0.005
"""Part of the interval that is always added: clocks are slewed by up to 0.05 %."""

LEARNED_FOR = 86400.0
PROBE_EVERY = 900.0
"""Seconds after which an explicit refresh may ask again whether the quota is open."""

PENALTY = 8 / 3
"""Intervals for which a refusal that names no time closes the lane: the ratio of the only
published penalty (12 s) to its interval (4.5 s)."""

LONGEST_CLOSING = 600.0
LONGEST_GUESS = 15.0
CLEAN_RUN = 20

Reason = Literal["", "pace", "refused", "quota"]


class Lane(NamedTuple):
    """State of one lane. All times are seconds since the epoch.

    Parameters
    ----------
    next_at : float
        When the next request may go.
    sent_at : float or None
        When the last one went.
    learned : float or None
        Interval in seconds that the service has taught, and `learned_at` when.
    margin : float
        Seconds added to the interval.
    strikes : int
        Refusals in a row.
    clean : int
        Answers since the margin was last touched.
    closed_at, closed_for, reason
        The lane is closed for so many seconds from then, and why.
    probe_at : float
        When a spent quota may be asked about.
    """

    next_at: float = 0.0
    sent_at: float | None = None
    learned: float | None = None
    learned_at: float = 0.0
    margin: float = 0.0
    strikes: int = 0
    clean: int = 0
    closed_at: float = 0.0
    closed_for: float = 0.0
    reason: Reason = ""
    probe_at: float = 0.0

    def dump(self) -> str:
        """Return the state as text."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str | None) -> Lane:
        """Return the state from its text; a fresh lane for none or for one that is damaged."""
        try:
            read = json.loads(text or "{}")
            known = {name: read[name] for name in cls._fields if name in read}
        except (ValueError, TypeError):
            return cls()
        sound = all(_sound(name, value) for name, value in known.items())
        return cls(**known) if sound else cls()


class Turn(NamedTuple):
    """The right to send one request, now.

    Parameters
    ----------
    at : float
        When it was given.
    before : Lane
        The state before, to give the turn back.
    """

    at: float
    before: Lane


class Wait(NamedTuple):
    """How long to wait before asking again.

    Parameters
    ----------
    seconds : float
        From now.
    reason : {"pace", "refused", "quota"}
        The ordinary pace, a refusal that is being waited out, or the spent daily quota.
    """

    seconds: float
    reason: Reason


class Refusal(NamedTuple):
    """What a 429 said.

    Parameters
    ----------
    retry_after : float or None
        Seconds until it may be asked again.
    threshold : float or None
        Seconds between requests, as the text says.
    limit : float or None
        A number called "limit", which is the interval in what was observed, but may not be.
    """

    retry_after: float | None = None
    threshold: float | None = None
    limit: float | None = None


def interval(lane: Lane, endpoint: Endpoint, now: float) -> float:
    """Return the seconds between two requests."""
    published = FIRST_GUESS if endpoint.interval is None else endpoint.interval
    if lane.learned is None or not 0 <= now - lane.learned_at + 60 < LEARNED_FOR:
        return published
    return max(published, lane.learned)


def gap(lane: Lane, endpoint: Endpoint, now: float) -> float:
    """Return the interval with its margins."""
    seconds = interval(lane, endpoint, now)
    return seconds * (1 + SAFETY) + min(lane.margin, seconds)


def claim(
    lane: Lane, endpoint: Endpoint, now: float, *, probe: bool = False
) -> tuple[Lane, Turn | Wait]:
    """Take the turn, or learn how long to wait.

    Parameters
    ----------
    lane, endpoint, now
        The state, the row of the table, and the time.
    probe : bool
        The user asked for a fresh answer: a lane closed by the quota may be tried now and then.
    """
    lane = _clamped(lane, endpoint, now)
    closed = closed_seconds(lane, now)
    if closed > 0:
        if not (probe and lane.reason == "quota" and now >= lane.probe_at):
            return lane, Wait(max(closed, lane.next_at - now), lane.reason)
        lane = lane._replace(probe_at=now + PROBE_EVERY)
    elif now < lane.next_at:
        return lane, Wait(lane.next_at - now, "pace")
    taken = lane._replace(next_at=now + gap(lane, endpoint, now), sent_at=now)
    return taken, Turn(now, lane)


def give_back(lane: Lane, turn: Turn) -> Lane:
    """Undo a turn that was not used, unless somebody has used the lane since."""
    if lane.sent_at != turn.at or lane.closed_at != turn.before.closed_at:
        return lane
    return lane._replace(next_at=turn.before.next_at, sent_at=turn.before.sent_at)


def answered(lane: Lane, endpoint: Endpoint, turn: Turn, now: float) -> Lane:
    """Note that the service took the request; `now` is when its answer was whole."""
    lane = lane._replace(next_at=max(lane.next_at, now + gap(lane, endpoint, now)))
    if lane.closed_at == turn.before.closed_at:
        lane = lane._replace(strikes=0, closed_for=0.0, reason="")
    if lane.clean + 1 < CLEAN_RUN:
        return lane._replace(clean=lane.clean + 1)
    eased = 0.9 * lane.margin
    return lane._replace(clean=0, margin=eased if eased > 0.001 else 0.0)


def lost(lane: Lane, endpoint: Endpoint, now: float) -> Lane:
    """Note that a request went out and may have arrived: it counts for the pace, not as clean."""
    return lane._replace(next_at=max(lane.next_at, now + gap(lane, endpoint, now)))


def refused(lane: Lane, endpoint: Endpoint, turn: Turn, now: float, said: Refusal) -> Lane:
    """Learn from a refusal, and close the lane for every kernel."""
    if lane.closed_at != turn.before.closed_at:
        return lane  # sent before another's refusal was known: one event, one strike
    before = turn.before.sent_at
    elapsed = None if before is None or before > now else now - before
    current = interval(lane, endpoint, now)
    lesson = _lesson(endpoint, current, elapsed, said)
    strikes = lane.strikes + 1
    learned, margin = max(current, lesson), lane.margin
    paced_right = elapsed is not None and elapsed >= current
    if lesson <= current and paced_right:
        margin = min(current, max(2 * margin, 0.05 * current))
    pause = said.retry_after if said.retry_after is not None else PENALTY * learned
    pause = max(pause, learned, endpoint.penalty)
    # A time that the service names is obeyed however long; our own growth of it is bounded.
    grown = pause * 1.5 ** min(strikes - 1, 8)
    closed_for = max(pause, min(grown, LONGEST_CLOSING)) + SAFETY * learned + margin
    if endpoint.urgent:  # tried now and then, whatever the service or its clock says
        closed_for = min(closed_for, LONGEST_CLOSING)
    return lane._replace(
        learned=learned if learned > (endpoint.interval or 0.0) else None,
        learned_at=now,
        margin=margin,
        strikes=strikes,
        clean=0,
        closed_at=now,
        closed_for=closed_for,
        reason="refused",
        next_at=now + closed_for,
    )


def quota_spent(lane: Lane, now: float, reset_at: float) -> Lane:
    """Close the lane until the day's quota begins anew."""
    closed_for = min(max(reset_at - now, 60.0), 25 * 3600.0)
    return lane._replace(
        closed_at=now,
        closed_for=closed_for,
        reason="quota",
        probe_at=now + PROBE_EVERY,
        strikes=0,
        clean=0,
    )


def closed_seconds(lane: Lane, now: float) -> float:
    """Return for how many seconds more the lane is closed, 0 if it is open."""
    return max(0.0, lane.closed_at + lane.closed_for - now)


def polite_delay(endpoint_gap: float, losses: int) -> float:
    """Return the seconds by which a waiter comes late to its turn.

    Those who lost more often come sooner, so nobody starves and nothing is reserved. The delay
    is at most 0.5 % of the interval, and 10 ms.
    """
    return min(0.01, 0.005 * endpoint_gap) * 0.5 ** min(losses, 10)


def _lesson(endpoint: Endpoint, current: float, elapsed: float | None, said: Refusal) -> float:
    """Return the interval that a refusal teaches, 0 if none."""
    if said.threshold is not None:
        return said.threshold
    # "limit" is taken for an interval only where it explains the refusal.
    if said.limit is not None and 0.05 <= said.limit <= 60 and (elapsed or 0.0) < said.limit:
        return said.limit
    unknown = endpoint.interval is None
    if unknown and elapsed is not None and elapsed < 10 * current:
        if said.retry_after is None:
            return 2 * max(elapsed, current)
        return min(elapsed + said.retry_after, max(LONGEST_GUESS, current))
    return 0.0


def _sound(name: str, value: object) -> bool:
    if name == "reason":
        return value in get_args(Reason)
    if value is None:
        return name in {"sent_at", "learned"}
    return isinstance(value, int | float) and math.isfinite(value)


def _clamped(lane: Lane, endpoint: Endpoint, now: float) -> Lane:
    """Mend what a clock that was set back has made of the times: no wait exceeds what was meant."""
    if lane.closed_at > now + 1:
        lane = lane._replace(closed_at=now, probe_at=min(lane.probe_at, now + PROBE_EVERY))
    longest = gap(lane, endpoint, now)
    ahead = max(closed_seconds(lane, now), longest)
    if lane.next_at - now > ahead + 0.001:
        lane = lane._replace(next_at=now + ahead)
    if lane.sent_at is not None and lane.sent_at > now:
        lane = lane._replace(sent_at=None)
    return lane


__all__ = [
    "FIRST_GUESS",
    "Lane",
    "Refusal",
    "Turn",
    "Wait",
    "answered",
    "claim",
    "closed_seconds",
    "gap",
    "give_back",
    "interval",
    "lost",
    "polite_delay",
    "quota_spent",
    "refused",
]
