"""Between a client and its guard: who makes it, when it ends, and who hears what it says."""

from __future__ import annotations

import logging
import math
import sys
import weakref
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.rent.deadline import HOUR, LATEST, utc
from vastnb.fleet.rent.guard import REREAD, Guard, owed, undone, unguarded
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.on_machine import move_command
from vastnb.fleet.rent.plan import LIVE
from vastnb.fleet.warned import warn

if TYPE_CHECKING:
    from vastnb.fleet.base import Footing
    from vastnb.fleet.rent.attempt import Desk

log = logging.getLogger("vastnb.fleet")


def guard_of(client: Footing, desk: Desk) -> Guard:
    """Return the client's guard; make it if there is none yet."""
    if desk.guard is None:
        listener = weakref.ref(client)

        def tell(text: str, id: int, bad: bool) -> None:
            # To the standard error: a warning of a thread is shown once, and this must be seen.
            sys.stderr.write(f"vastnb: {text}\n")
            log.log(logging.ERROR if bad else logging.WARNING, text)
            there = listener()
            watcher: Any = None if there is None else there.__dict__.get("_watcher")
            if watcher is not None:
                watcher.expect(id, "gone")
                watcher.nudge(id, text)

        there: Any = client
        # A simulated service in this process ends with its client, and its machines with it.
        outlasted = there.server is None
        guard = desk.guard = Guard(desk, tell, outlasted=outlasted)

        def end() -> None:
            left = guard.close()
            now = desk.clock.time()
            why = "This client is closed"
            if outlasted and (some := [one for one in left if not one.open]):
                warn(unguarded(some, now, why), stacklevel=5)
            if outlasted and (some := [one for one in left if one.open]):
                warn(undone(some, why), stacklevel=5)

        there.on_close(end)
        if not outlasted:
            weakref.finalize(client, guard.close)
    return desk.guard


def take_up(client: Footing, desk: Desk) -> None:
    """See to what the journal says is owed, and nobody in this process sees to."""
    if owed(desk):
        guard_of(client, desk).take_up()


def look_after(client: Footing) -> None:
    """Take up what is owed, in the background: for whoever only looks. Never raises or waits."""
    there: Any = client
    looked: float = client.__dict__.get("_looked_after", -math.inf)
    now = client._clock_of_fleet().steady()
    if now - looked < REREAD or not there.has_key:
        return
    client.__dict__["_looked_after"] = now
    try:
        if not Journal().path.exists():
            return
        desk = client._fleet(first=False)
        if owed(desk):
            guard_of(client, desk).take_up_soon()
    except VastError as error:
        warn(error.message)


def deadline_of(client: Footing, id: int) -> datetime | None:
    """Return when a machine is destroyed (UTC), as the journal has it."""
    desk = client._fleet()
    entry = desk.journal.of_contract(desk.rights.account, id)
    return utc(entry.deadline) if entry is not None else None


def has_ended(client: Footing, id: int) -> bool:
    """Say whether a machine was destroyed at its deadline by this client, and seen gone."""
    guard = client._desk.guard if client._desk is not None else None
    return guard is not None and guard.ended(id)


def extend(client: Footing, id: int, hours: float) -> datetime | None:
    """Give a machine so many hours more, or that many from now if it has no deadline.

    Parameters
    ----------
    client : Client
        Whose guard enforces it.
    id : int
        The instance.
    hours : float
        How much longer.

    Raises
    ------
    InvalidRequest
        If it was not rented by vastnb on this computer, or is gone.
    JournalError
        If it cannot be written down; the earlier deadline holds.
    """
    number = isinstance(hours, int | float) and not isinstance(hours, bool)
    if not (number and math.isfinite(hours) and hours > 0):
        raise InvalidRequest(
            f"hours={hours!r}: a number above 0 is needed. The deadline is as it was.",
            code="invalid_args",
        )
    desk = client._fleet(acting=True)
    entry = desk.journal.of_contract(desk.rights.account, id)
    if entry is None or entry.state not in LIVE:
        raise InvalidRequest(
            f"Instance {id} was not rented by vastnb on this computer, or is gone: a deadline "
            "cannot be kept for it. Nothing was changed.",
            code="no_such_attempt",
        )
    if guard_of(client, desk).closed:
        raise InvalidRequest(
            f"This client is closed, so nobody would enforce a deadline of instance {id}. It is as "
            "it was. Make a new client, and move it there.",
            code="closed",
        )
    now = desk.clock.time()
    begin = now if entry.deadline is None else max(entry.deadline, now)
    moment = min(LATEST, begin + hours * HOUR)
    desk.journal.set_deadlines({entry.marker: moment})
    # Here, whoever rented it: another kernel that guards it reads the journal before it acts.
    guard_of(client, desk).arm([replace(entry, deadline=moment, budget=None)])
    if entry.on_machine:
        warn(
            f"Instance {id} also ends itself, at the deadline that stands in its start script. "
            f"That one is moved on the machine: {move_command(moment)}",
            stacklevel=3,
        )
    return utc(moment)


__all__ = ["deadline_of", "extend", "guard_of", "has_ended", "look_after", "take_up"]
