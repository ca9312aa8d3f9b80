"""How often to look: decisions about time, and nothing but decisions.

Quick while something changes, slower and slower while nothing does, much slower while the service
fails, and never before the moment that the service itself has named. Nothing here waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

QUICK: Final = 5.0
"""Seconds between looks while something changes, and after an action."""
SLOWER: Final = 1.5
"""What the interval grows by with every look that shows nothing new."""
SLOW: Final = 30.0
"""Seconds between looks while nothing changes."""
CEILING: Final = 300.0
"""Longest interval while looking fails."""


@dataclass(frozen=True, slots=True)
class Tempo:
    """When the next look is worth while.

    Parameters
    ----------
    next_at : float
        Epoch seconds.
    interval : float
        Seconds between looks, as long as nothing fails.
    failures : int
        Looks in a row that failed.
    not_before : float
        Epoch seconds that the service has named; asking earlier prolongs a ban.
    longest : float
        Seconds that nobody waits longer than, should the clock be set back.
    """

    next_at: float = 0.0
    interval: float = QUICK
    failures: int = 0
    not_before: float = 0.0
    longest: float = CEILING

    def due_in(self, now: float) -> float:
        """Return the seconds until the next look, 0 if it is due."""
        return min(max(0.0, self.next_at - now), self.longest)


def after_look(tempo: Tempo, now: float, *, moved: bool) -> Tempo:
    """Return the tempo after a look that succeeded.

    Parameters
    ----------
    tempo : Tempo
        As it was.
    now : float
        When the answer had come, epoch seconds.
    moved : bool
        Whether something was new, or is to be asked again.
    """
    interval = QUICK if moved else min(SLOW, max(QUICK, tempo.interval) * SLOWER)
    return Tempo(now + interval, interval)


def after_failure(
    tempo: Tempo,
    now: float,
    *,
    chance: float,
    retry_after: float | None = None,
    hopeless: bool = False,
) -> Tempo:
    """Return the tempo after a look that failed.

    Parameters
    ----------
    tempo : Tempo
        As it was.
    now : float
        When it had failed, epoch seconds.
    chance : float
        A random number from 0 to 1, so that kernels which failed together do not return together.
    retry_after : float, optional
        Seconds that the service asks for.
    hopeless : bool
        Whether repeating it changes nothing, as with a key that is not accepted.
    """
    failures = tempo.failures + 1
    # Not 2 ** failures: that number may be great.
    longest = CEILING if hopeless or failures > 8 else min(CEILING, tempo.interval * 2.0**failures)
    wait = max(QUICK, longest * (0.8 + 0.2 * chance))
    not_before, named = tempo.not_before, retry_after or 0.0
    if named > 0:
        not_before = max(not_before, now + named)
    return replace(
        tempo,
        next_at=max(now + wait, not_before),
        failures=failures,
        not_before=not_before,
        longest=max(tempo.longest, named),
    )


def after_action(tempo: Tempo, now: float) -> Tempo:
    """Return the tempo after something was done: the next look is due, and quick ones follow."""
    return replace(tempo, next_at=max(now, tempo.not_before), interval=QUICK)
