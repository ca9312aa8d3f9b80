"""Tidying up the history beside the searches."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from vastnb.market.history.days import Days
from vastnb.market.history.earlier import migrate
from vastnb.market.history.keep import Keep

if TYPE_CHECKING:
    from vastnb.clock import Clock

log = logging.getLogger("vastnb.history")

BUDGET: Final = 2.0
"""Seconds of tidying up at a time."""


class Upkeep:
    """Tidies up beside the searches: in a thread of its own, once a day, in small portions.

    Parameters
    ----------
    days : Days
        What is tidied up.
    keep : Keep
        How much is kept.
    clock : Clock
        The time.
    """

    def __init__(self, days: Days, keep: Keep, clock: Clock) -> None:
        self._days = days
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._done_on: date | None = None

    @property
    def today(self) -> date:
        """The day (UTC)."""
        return datetime.fromtimestamp(self._clock.time(), UTC).date()

    def added(self) -> None:
        """Tidy up beside the caller if that was not done today."""
        with self._lock:
            if self._done_on == self.today or self._thread is not None or self._stop.is_set():
                return
            # No daemon: a process that ends should not tear it out of a native call.
            self._thread = threading.Thread(target=self._run, name="vastnb-history", daemon=False)
            self._thread.start()

    def _run(self) -> None:
        until = time.monotonic() + BUDGET
        try:
            migrate(self._days, self.today)
            done = self._days.tidy(
                self.today, self._keep,
                go_on=lambda: not self._stop.is_set() and time.monotonic() < until,
            )  # fmt: skip
            if done:
                self._done_on = self.today
        except Exception as error:  # noqa: BLE001  (nothing depends on it; tomorrow, perhaps)
            log.warning("The price history could not be tidied: %s", error)
            self._done_on = self.today
        finally:
            with self._lock:
                self._thread = None

    def now(self) -> None:
        """Tidy up, all of it, by this client's own `Keep`."""
        self.wait()
        migrate(self._days, self.today)
        self._days.tidy(self.today, self._keep, asked=True, go_on=lambda: True)

    def close(self) -> None:
        """Stop, and wait for what is running."""
        with self._lock:  # whoever is about to begin has begun, or sees it
            self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait for what is running."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


__all__ = ["Upkeep"]
