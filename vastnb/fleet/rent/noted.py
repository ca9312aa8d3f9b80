"""What the journal says of machines, at hand for whoever looks often.

The watcher asks for the deadline and the rental of every machine with every look. The journal is a
file that other kernels write too, so it is read again, once for all machines, when what was read
has grown old.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Final

from vastnb.clock import Clock
from vastnb.errors import JournalError
from vastnb.fleet.rent.journal import Entry, Journal
from vastnb.fleet.rent.obligations import due_at, known_contracts
from vastnb.fleet.rent.plan import OVER
from vastnb.fleet.watch.notices import Rental

FRESH: Final = 15.0
"""Seconds for which what was read holds."""


class Noted:
    """Deadlines and rentals of the account's machines. May be called from several threads.

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
        self._entries: dict[str, Entry] = {}
        self._deadlines: dict[int, float] = {}
        self._known: dict[int, Entry] = {}

    def deadline(self, id: int) -> float | None:
        """Return when a machine is to be destroyed, epoch seconds; None if that is not known."""
        with self._lock:
            self._refresh()
            return self._deadlines.get(id)

    def rental(self, marker: str, asked_at: float) -> Rental | None:
        """Return what is known of the rental behind a marker; None if it is not of this computer.

        Parameters
        ----------
        marker : str
            What the machine carries.
        asked_at : float
            When the list that shows it was asked for, epoch seconds: what was given up later
            could still be in it.
        """
        with self._lock:
            self._refresh()
            entry = self._entries.get(marker)
        if entry is None:
            return None
        over = entry.state in OVER and entry.updated_at < asked_at
        return Rental(
            None if entry.bid is not None else entry.price, str(entry.state) if over else ""
        )

    def is_known(self, id: int) -> bool:
        """Say whether a machine was rented by vastnb on this computer."""
        with self._lock:
            self._refresh()
            return id in self._known

    def _refresh(self) -> None:
        now = self._clock.time()
        if self._read_at is not None and 0 <= now - self._read_at < FRESH:
            return
        self._read_at = now
        # Whoever rents is told of it; looking goes on with what was read before.
        with contextlib.suppress(JournalError):
            entries = Journal().entries(self._account)
            self._entries = {entry.marker: entry for entry in entries}
            self._known = known_contracts(entries)
            self._deadlines = {
                entry.contract: due_at(entry) or 0.0
                for entry in entries
                if entry.contract is not None and due_at(entry) is not None
            }


__all__ = ["Noted"]
