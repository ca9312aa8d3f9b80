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

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""
        return time.time()

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
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def time(self) -> float:
        """Return seconds since the epoch (UTC)."""
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
