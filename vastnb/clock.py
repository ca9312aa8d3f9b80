"""Time, as a value that is passed in.

Everything that waits or dates takes a `Clock`. The real one is `SystemClock`; a `ManualClock`
stands still until somebody sleeps on it or advances it, so that minutes of pacing, retries and
market history can be lived through without one real second.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Wall-clock seconds since the epoch, and a way to let them pass."""

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""

    def steady(self) -> float:
        """Return seconds since some moment, which setting the clock does not change."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""
        return time.time()

    def steady(self) -> float:
        """Return seconds since some moment; those of a sleeping computer may not count."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass; Ctrl-C ends it at once."""
        if seconds > 0:
            time.sleep(seconds)


class ManualClock:
    """A clock for tests: `sleep` returns at once and moves the time on.

    Parameters
    ----------
    start : float
        Seconds since the epoch at which it stands. The default is an ordinary noon, so that
        a test does not meet midnight (where daily quotas end) by accident.
    """

    def __init__(self, start: float = 1_790_000_000.0) -> None:
        self._now = start
        self._set_by = 0.0
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""
        with self._lock:
            return self._now + self._set_by

    def steady(self) -> float:
        """Return the seconds that have passed, however the clock was set."""
        with self._lock:
            return self._now

    def sleep(self, seconds: float) -> None:
        """Move the time on by `seconds`, and remember that somebody slept."""
        if seconds > 0:
            with self._lock:
                self._now += seconds
                self.slept.append(seconds)

    def advance(self, seconds: float) -> None:
        """Move the time on by `seconds` without anybody sleeping."""
        with self._lock:
            self._now += seconds

    def set_by(self, seconds: float) -> None:
        """Set the clock forward (or back), as a computer's is: nothing passes."""
        with self._lock:
            self._set_by += seconds


class Steady:
    """A clock's time at one moment, and from then on what really passes.

    By it proofs are made that take time: a clock that is set forward half way through would make
    seconds look like an hour.

    Parameters
    ----------
    clock : Clock
        The clock.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.time() - clock.steady()

    def time(self) -> float:
        """Return seconds since the epoch (UTC), as if the clock had not been set since."""
        return self._clock.steady() + self._ahead

    def steady(self) -> float:
        """Return what the clock itself returns."""
        return self._clock.steady()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._clock.sleep(seconds)
