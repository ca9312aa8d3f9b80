"""The lanes of one account: the rules of `lane`, applied to the state that kernels share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from vastnb.api import lane as rules
from vastnb.api.answers import QuotaSpent, Refused, Trouble, Verdict
from vastnb.api.endpoints import Endpoint
from vastnb.api.lane import Lane, Turn, Wait
from vastnb.api.shared import State
from vastnb.api.wire import Failure, Reply
from vastnb.clock import Clock

T = TypeVar("T")


class Pace:
    """Turns of one account.

    Parameters
    ----------
    state : State
        Where lanes are kept.
    identity : str
        Whose lanes.
    clock : Clock
        The time.
    """

    def __init__(self, state: State, identity: str, clock: Clock) -> None:
        self._state = state
        self._identity = identity
        self._clock = clock

    def claim(self, endpoint: Endpoint, *, probe: bool = False) -> Turn | Wait:
        """Take the turn, or learn how long to wait."""
        return self._change(
            endpoint, lambda lane, now: rules.claim(lane, endpoint, now, probe=probe)
        )

    def give_back(self, endpoint: Endpoint, turn: Turn) -> None:
        """Undo a turn that was not used."""
        self._change(endpoint, lambda lane, now: (rules.give_back(lane, turn), None))

    def tell(
        self, endpoint: Endpoint, turn: Turn, outcome: Reply | Failure, verdict: Verdict
    ) -> None:
        """Note what came of a turn: it teaches, and decides when the next one is."""
        if isinstance(outcome, Failure) and outcome.kind in {"unsent", "unsendable"}:
            self.give_back(endpoint, turn)
            return

        def learn(lane: Lane, now: float) -> tuple[Lane, None]:
            if isinstance(verdict, Refused):
                return rules.refused(lane, endpoint, turn, now, verdict.said), None
            if isinstance(verdict, Trouble):
                return rules.lost(lane, endpoint, now), None
            lane = rules.answered(lane, endpoint, turn, now)
            if isinstance(verdict, QuotaSpent):
                lane = rules.quota_spent(lane, now, verdict.reset_at)
            return lane, None

        self._change(endpoint, learn)

    def wait(self, endpoint: Endpoint) -> float:
        """Return the seconds until the next turn, without taking it."""

        def look(lane: Lane, now: float) -> tuple[Lane, float]:
            _, result = rules.claim(lane, endpoint, now)
            return lane, result.seconds if isinstance(result, Wait) else 0.0

        return self._change(endpoint, look)

    def politeness(self, endpoint: Endpoint, losses: int) -> float:
        """Return the seconds to add to a wait, fewer for those who have lost turns before."""
        return self._change(
            endpoint,
            lambda lane, now: (
                lane,
                rules.polite_delay(rules.gap(lane, endpoint, now), losses),
            ),
        )

    def closed_until(self, endpoint: Endpoint) -> float | None:
        """Return when the quota opens again, None if it is not spent."""

        def look(lane: Lane, now: float) -> tuple[Lane, float | None]:
            closed = rules.closed_seconds(lane, now) if lane.reason == "quota" else 0.0
            return lane, now + closed if closed > 0 else None

        return self._change(endpoint, look)

    def _change(self, endpoint: Endpoint, rule: Callable[[Lane, float], tuple[Lane, T]]) -> T:
        # The time is read inside the transaction: the wait for the file is part of the wait.
        def change(text: str | None) -> tuple[str | None, T]:
            old = Lane.load(text)
            new, result = rule(old, self._clock.time())
            return (text if new == old else new.dump()), result

        key = f"lane {self._identity} {endpoint.method} {endpoint.path}"
        return self._state.update(key, change)


__all__ = ["Pace"]
