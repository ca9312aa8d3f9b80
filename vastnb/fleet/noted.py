"""Deadlines as the journal has them, at hand for whoever looks often.

The watcher asks for the deadline of every machine with every look. The journal is a file that other
kernels write too, so it is read again, once for all machines, when what was read has grown old.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from vastnb.clock import Clock
from vastnb.errors import JournalError
from vastnb.fleet.journal import Journal
from vastnb.fleet.plan import LIVE

FRESH: Final = 15.0
"""Seconds for which what was read holds."""


class NotedDeadlines:
    """From an instance to its deadline. May be called from several threads.

    Parameters
    ----------
    account : str
        Fingerprint of key and server.
    clock : Clock
        The time.
    """

    def __init__(self, account: str, clock: Clock) -> None:
        self._account = account
        self._clock = clock
        self._lock = threading.Lock()
        self._read_at: float | None = None
        self._found: dict[int, float] = {}

    def __call__(self, id: int) -> float | None:
        """Return when a machine is to be destroyed, epoch seconds; None if that is not known."""
        now = self._clock.time()
        with self._lock:
            if self._read_at is None or not 0 <= now - self._read_at < FRESH:
                self._read_at = now
                # Whoever rents is told of it; looking goes on with what was read before.
                with contextlib.suppress(JournalError):
                    self._found = self._read()
            return self._found.get(id)

    def _read(self) -> dict[int, float]:
        return {
            entry.contract: entry.deadline
            for entry in Journal().entries(self._account, LIVE)
            if entry.contract is not None and entry.deadline is not None
        }


__all__ = ["NotedDeadlines"]
