"""When the next request may go: rules of one lane, as functions of values.

A lane is one row of the endpoint table for one account. Its state is a `Lane`, kept where all
kernels see it (`vastnb.api.shared`); every function here takes a state and the time, and returns
the next state. Nothing sleeps and nothing is reserved: a caller either has the turn now or learns
how long to wait, so one that is killed while waiting leaves nothing behind.

Pace is counted from the *answer*. The service counts arrivals; a request whose connection took
long arrives late, and the next one, sent an interval after it was *sent*, would arrive early.

A *window* (10 searches in any 60 s) is kept beside the interval: a lane remembers when its last
requests were answered, and the next one waits until the oldest has left the window.

A refusal (429) teaches. An interval that it names is believed if it is near the published one;
otherwise the time since the last request plus the time it asks for is the interval. A lane that was
paced right and is refused nevertheless gets a margin, which clean answers wear off. What was
learned is forgotten after a day. No refusal closes a lane for more than ten minutes: then the next
request probes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, NamedTuple, TypeVar, get_args

from vastnb.api.answers import LONGEST_QUOTA, QuotaSpent, Refusal, Refused, Trouble, Verdict
from vastnb.api.endpoints import Endpoint
from vastnb.api.shared import SharedState
from vastnb.api.wire import Failure, Response

T = TypeVar("T")

KEY = "lane "
"""What the keys of lanes begin with."""

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
"""Seconds for which a refusal closes a lane at most, whatever it says."""

LONGEST_GUESS = 15.0
NEAR = 4.0
"""Times the published interval up to which an interval that a refusal names is believed."""

CLEAN_RUN = 20

Reason = Literal["", "pace", "refused", "busy", "quota"]


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
    sent : tuple of float
        When the last requests were answered (or sent, as long as they were not), oldest first; as
        many as the endpoint's window counts.
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
    sent: tuple[float, ...] = ()

    def dump(self) -> str:
        """Return the state as text."""
        return json.dumps(self._asdict())

    @classmethod
    def load(cls, text: str | None) -> Lane:
        """Return the state from its text; a fresh lane for none or for one that is damaged."""
        try:
            read = json.loads(text or "{}")
            known = {name: read[name] for name in cls._fields if name in read}
        except (ValueError, TypeError, RecursionError):
            return cls()
        if not all(_sound(name, value) for name, value in known.items()):
            return cls()
        return cls(**{**known, "sent": tuple(known.get("sent", ()))})


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
    reason : {"pace", "refused", "busy", "quota"}
        The ordinary pace, a refusal that is being waited out, a failing service that asked to
        wait, or the spent daily quota.
    """

    seconds: float
    reason: Reason


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


def opens_at(lane: Lane, endpoint: Endpoint) -> float:
    """Return when interval and window allow the next request."""
    window = endpoint.window
    if window is None or len(lane.sent) < window.most:
        return lane.next_at
    return max(lane.next_at, lane.sent[-window.most] + window.seconds * (1 + SAFETY))


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
    pace = opens_at(lane, endpoint) - now
    if closed > 0 and not (probe and lane.reason == "quota" and now >= lane.probe_at):
        return lane, Wait(max(closed, pace), lane.reason)
    if closed > 0:
        lane = lane._replace(probe_at=now + PROBE_EVERY)
    elif pace > 0:
        return lane, Wait(pace, "pace")
    taken = lane._replace(next_at=now + gap(lane, endpoint, now), sent_at=now)
    return _noted(taken, endpoint, now), Turn(now, lane)


def give_back(lane: Lane, turn: Turn) -> Lane:
    """Undo a turn that was not used, unless somebody has used the lane since."""
    if lane.sent_at != turn.at or lane.closed_at != turn.before.closed_at:
        return lane
    before = turn.before
    return lane._replace(next_at=before.next_at, sent_at=before.sent_at, sent=before.sent)


def answered(lane: Lane, endpoint: Endpoint, turn: Turn, now: float) -> Lane:
    """Note that the service took the request; `now` is when its answer was whole."""
    lane = lost(lane, endpoint, turn, now)
    if lane.closed_at == turn.before.closed_at:
        lane = lane._replace(strikes=0, closed_for=0.0, reason="")
    if lane.clean + 1 < CLEAN_RUN:
        return lane._replace(clean=lane.clean + 1)
    eased = 0.9 * lane.margin
    return lane._replace(clean=0, margin=eased if eased > 0.001 else 0.0)


def lost(lane: Lane, endpoint: Endpoint, turn: Turn, now: float) -> Lane:
    """Note that a request went out and may have arrived: it counts for the pace, not as clean."""
    lane = lane._replace(next_at=max(lane.next_at, now + gap(lane, endpoint, now)))
    if turn.at not in lane.sent:
        return lane
    others = list(lane.sent)
    others.remove(turn.at)
    return _noted(lane._replace(sent=tuple(others)), endpoint, now)


def busy(lane: Lane, turn: Turn, now: float, seconds: float) -> Lane:
    """Close the lane for the time that a failing service asks for (a 503 with Retry-After)."""
    if lane.closed_at != turn.before.closed_at or closed_seconds(lane, now) > seconds:
        return lane
    return lane._replace(
        closed_at=now, closed_for=min(seconds, LONGEST_CLOSING), reason="busy", clean=0
    )


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
    growth = 2.0 if said.retry_after is None else 1.5
    pause = max(pause, learned, endpoint.penalty) * growth ** min(strikes - 1, 10)
    closed_for = min(pause, LONGEST_CLOSING) + SAFETY * learned + margin
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
    closed_for = min(max(reset_at - now, 60.0), LONGEST_QUOTA)
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


def merged(one: Lane, other: Lane) -> Lane:
    """Return what two kernels know together that have paced the same lane apart for a while."""
    both = (one, other)
    later = max(both, key=lambda lane: lane.sent_at or 0.0)
    closed = max(both, key=lambda lane: lane.closed_at + lane.closed_for)
    taught = max(both, key=lambda lane: lane.learned_at)
    return closed._replace(
        next_at=max(one.next_at, other.next_at),
        sent_at=later.sent_at,
        learned=taught.learned,
        learned_at=taught.learned_at,
        margin=max(one.margin, other.margin),
        strikes=max(one.strikes, other.strikes),
        clean=min(one.clean, other.clean),
        sent=tuple(sorted({*one.sent, *other.sent})),
    )


def polite_delay(endpoint_gap: float, losses: int) -> float:
    """Return the seconds by which a waiter comes late to its turn.

    Those who lost more often come sooner, so nobody starves and nothing is reserved. The delay
    is at most 0.5 % of the interval, and 10 ms.
    """
    return min(0.01, 0.005 * endpoint_gap) * 0.5 ** min(losses, 10)


def _lesson(endpoint: Endpoint, current: float, elapsed: float | None, said: Refusal) -> float:
    """Return the interval that a refusal teaches, 0 if none."""
    # "limit" may be a number of requests: as an interval it must also explain the refusal.
    longest = LONGEST_GUESS if endpoint.interval is None else NEAR * endpoint.interval
    if said.threshold is not None and said.threshold <= max(longest, LONGEST_GUESS):
        return said.threshold
    if said.limit is not None and max(0.05, elapsed or 0.0) <= said.limit <= longest:
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
    if name == "sent":
        return isinstance(value, list) and all(_sound("", one) for one in value)
    # No time or count is negative, or anywhere near this.
    return isinstance(value, int | float) and 0 <= value < 1e12


def _noted(lane: Lane, endpoint: Endpoint, at: float) -> Lane:
    """Remember a request for the window."""
    most = endpoint.window.most if endpoint.window else 0
    return lane._replace(sent=tuple(sorted((*lane.sent, at)))[-most:] if most else ())


def _clamped(lane: Lane, endpoint: Endpoint, now: float) -> Lane:
    """Mend what a clock that was set back has made of the times: no wait exceeds what was meant."""
    if lane.closed_at > now + 1:
        lane = lane._replace(closed_at=now, probe_at=min(lane.probe_at, now + PROBE_EVERY))
    most = LONGEST_QUOTA if lane.reason == "quota" else 1.5 * LONGEST_CLOSING
    if lane.closed_for > most:
        lane = lane._replace(closed_for=most)
    if lane.sent and lane.sent[-1] > now:
        lane = lane._replace(sent=tuple(min(one, now) for one in lane.sent))
    longest = gap(lane, endpoint, now)
    ahead = max(closed_seconds(lane, now), longest)
    if lane.next_at - now > ahead + 0.001:
        lane = lane._replace(next_at=now + ahead)
    if lane.sent_at is not None and lane.sent_at > now:
        lane = lane._replace(sent_at=None)
    return lane


# -- the lanes of one account ------------------------------------------------------------------


class Pace:
    """Turns of one account.

    Parameters
    ----------
    state : SharedState
        Where lanes are kept.
    identity : str
        Whose lanes.
    """

    def __init__(self, state: SharedState, identity: str) -> None:
        self._state = state
        self._identity = identity

    def claim(self, endpoint: Endpoint, *, probe: bool = False) -> Turn | Wait:
        """Take the turn, or learn how long to wait."""
        return self._change(endpoint, lambda lane, now: claim(lane, endpoint, now, probe=probe))

    def give_back(self, endpoint: Endpoint, turn: Turn) -> None:
        """Undo a turn that was not used."""
        self._change(endpoint, lambda lane, now: (give_back(lane, turn), None))

    def tell(
        self, endpoint: Endpoint, turn: Turn, outcome: Response | Failure, verdict: Verdict
    ) -> None:
        """Note what came of a turn: it teaches, and decides when the next one is."""
        if isinstance(outcome, Failure) and outcome.kind in {"unsent", "unsendable"}:
            self.give_back(endpoint, turn)
            return

        def learn(lane: Lane, now: float) -> tuple[Lane, None]:
            if isinstance(verdict, Refused):
                return refused(lane, endpoint, turn, now, verdict.said), None
            if isinstance(verdict, Trouble):
                lane = lost(lane, endpoint, turn, now)
                asked = verdict.retry_after
                return (busy(lane, turn, now, asked) if asked else lane), None
            lane = answered(lane, endpoint, turn, now)
            if isinstance(verdict, QuotaSpent):
                lane = quota_spent(lane, now, verdict.reset_at)
            return lane, None

        self._change(endpoint, learn)

    def wait(self, endpoint: Endpoint) -> float:
        """Return the seconds until the next turn, without taking it."""

        def look(lane: Lane, now: float) -> tuple[Lane, float]:
            _, result = claim(lane, endpoint, now)
            return lane, result.seconds if isinstance(result, Wait) else 0.0

        return self._change(endpoint, look)

    def politeness(self, endpoint: Endpoint, losses: int) -> float:
        """Return the seconds to add to a wait, fewer for those who have lost turns before."""
        return self._change(
            endpoint,
            lambda lane, now: (
                lane,
                polite_delay(gap(lane, endpoint, now), losses),
            ),
        )

    def closed_until(self, endpoint: Endpoint) -> float | None:
        """Return when the quota opens again, None if it is not spent."""

        def look(lane: Lane, now: float) -> tuple[Lane, float | None]:
            closed = closed_seconds(lane, now) if lane.reason == "quota" else 0.0
            return lane, now + closed if closed > 0 else None

        return self._change(endpoint, look)

    def _change(self, endpoint: Endpoint, rule: Callable[[Lane, float], tuple[Lane, T]]) -> T:
        # The time is read inside the transaction: the wait for the file is part of the wait.
        def change(text: str | None) -> tuple[str | None, T]:
            old = Lane.load(text)
            new, result = rule(old, self._state.time())
            return (text if new == old else new.dump()), result

        key = f"{KEY}{self._identity} {endpoint.method} {endpoint.path}"
        return self._state.update(key, change)
