"""What one look asks for: the list, now and then the credit, and SSH where somebody wants to know.

One list call a look. The credit is asked for once in some minutes, while there are machines that
it has to pay for. Machines themselves are tried only for whoever asks for that.
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from vastnb.api.answers import Call
from vastnb.clock import Clock
from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.records import WATCH_COLUMNS
from vastnb.fleet.watch.probe import doors_of, reach
from vastnb.values import number

log = logging.getLogger("vastnb.fleet")

ONE_LIST: Final = 20.0
"""Seconds that a list may take, with its pages, turns and repetitions."""
ONE_CREDIT: Final = 5.0
"""Seconds that the credit may take."""
CREDIT_FRESH: Final = 300.0
"""Seconds for which the credit is not asked for again."""
CREDIT_SOON: Final = 60.0
"""... where a machine was stopped meanwhile: that may be because nothing is left."""
REACHED_FRESH: Final = 60.0
"""Seconds for which a machine whose SSH has answered is not tried again."""


class Fetched(NamedTuple):
    """What a look has brought.

    Parameters
    ----------
    listing : Listing
        All instances.
    credit : float or None
        $; None if it was not asked for, or could not be had.
    reached : mapping of int to bool
        Of the instances that were tried, whether SSH has answered.
    """

    listing: Listing
    credit: float | None
    reached: Mapping[int, bool]


class Looker:
    """Asks what a look needs. One look at a time.

    Parameters
    ----------
    call : callable
        Asks the service.
    clock : Clock
        The time.
    local : bool
        Whether the service, and so its machines, are on this computer.

    Attributes
    ----------
    probe : bool
        Whether SSH is tried on all machines that are shown as running.
    """

    def __init__(self, call: Call, clock: Clock, *, local: bool = False) -> None:
        self.probe = False
        self._call = call
        self._clock = clock
        self._local = local
        self._lock = threading.Lock()
        self._columns: Sequence[str] = WATCH_COLUMNS
        self._credit_at = -math.inf
        self._to_run: set[int] = set()
        self._probing: Counter[int] = Counter()
        self._reached_at: dict[int, float] = {}

    @contextmanager
    def probing(self, ids: Sequence[int]) -> Iterator[None]:
        """Try SSH on these instances, with each look inside the block."""
        with self._lock:
            self._probing.update(ids)
        try:
            yield
        finally:
            with self._lock:
                self._probing.subtract(ids)
                self._probing = +self._probing

    def fetch(self) -> Fetched:
        """Ask.

        Raises
        ------
        VastError
            If the list is not available, or is not whole.
        """
        listing = self._list()
        return Fetched(listing, self._credit(listing), self._reached(listing))

    def _list(self) -> Listing:
        try:
            return list_instances(self._call, self._clock, columns=self._columns, within=ONE_LIST)
        except InvalidRequest as error:
            if error.status is None or "*" in self._columns:
                raise
            # A service that does not know one of the columns is asked for all of them.
            listing = list_instances(self._call, self._clock, columns=["*"], within=ONE_LIST)
            self._columns = ("*",)
            return listing

    def _credit(self, listing: Listing) -> float | None:
        at = listing.asked_at
        meant = {one["id"]: one.get("intended_status") for one in listing.records}
        stopped = any(meant.get(one) == "stopped" for one in self._to_run)
        self._to_run = {one for one, word in meant.items() if word == "running"}
        fresh = CREDIT_SOON if stopped else CREDIT_FRESH
        if not listing.records or 0 <= at - self._credit_at < fresh:
            return None
        self._credit_at = at
        try:
            answer = self._call("show_user", max_wait=ONE_CREDIT)
        except VastError as error:
            # The list is what was asked for; the credit as last known has to do.
            log.debug("the credit could not be read: %s", error.message)
            return None
        return number(answer.data.get("credit")) if isinstance(answer.data, Mapping) else None

    def _reached(self, listing: Listing) -> dict[int, bool]:
        with self._lock:
            ids = None if self.probe else frozenset(self._probing)
        if ids is not None and not ids:
            return {}
        at = listing.asked_at
        doors = doors_of(listing.records, ids)
        # What stopped running meanwhile is no longer known to be reachable.
        fresh = {
            one: then
            for one, then in self._reached_at.items()
            if one in doors and 0 <= at - then < REACHED_FRESH
        }
        due = {one: address for one, address in doors.items() if one not in fresh}
        found = reach(due, local=self._local)
        self._reached_at = fresh | {one: at for one, answered in found.items() if answered}
        return found
