"""Destroying machines.

A destroy returns as soon as the service has confirmed it and one look shows the machine gone: one
or two round trips. That it *stays* gone is an obligation like the others, in the journal and with
the guard. What is known must be destroyed, also without a journal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from vastnb.errors import InvalidRequest, JournalError
from vastnb.fleet.env import new_marker
from vastnb.fleet.rent.attempt import CONFIRMING, Sender, still_there
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.guard import Guard
from vastnb.fleet.rent.obligations import UNRENTED
from vastnb.fleet.rent.plan import AttemptState
from vastnb.fleet.rent.settle import CLOSED, DESTROY_BUDGET, Case
from vastnb.fleet.warned import warn


def destroy(
    sender: Sender,
    guard: Guard,
    ids: Sequence[int],
    *,
    over: Callable[[Sequence[int]], object],
    verify: bool = True,
    stays: bool = False,
) -> None:
    """Destroy machines.

    Parameters
    ----------
    sender : Sender
        Sends and looks.
    guard : Guard
        Goes on with what is not finished here.
    ids : sequence of int
        The machines, whoever rented them.
    over : callable
        Told which of them are gone.
    verify : bool
        Look, after the service has confirmed it, until they are seen gone.
    stays : bool
        Look until they have stayed gone.

    Raises
    ------
    OutcomeUnknown
        If it was not confirmed, or one was not seen gone.
    InvalidRequest
        If the client is closed.
    """
    cases = _cases(sender, guard, list(dict.fromkeys(ids)))
    if not cases:
        return
    try:
        sender.settler.destroy_all(cases)
        closed = [str(one.contract) for one in cases if one.left == CLOSED]
        if closed:
            raise InvalidRequest(
                f"This client is closed, so instances {', '.join(closed)} were not destroyed: "
                "they keep billing. With a new client, run client.destroy_instance(id).",
                code="closed",
            )
        asked = [case for case in cases if case.refusal is None]
        if asked and (verify or not all(case.accepted for case in asked)):
            with sender.transport.on_wait("destroy_instance", *CONFIRMING) as tick:
                sender.settler.settle(asked, DESTROY_BUDGET, stays=stays, tick=tick)
    except KeyboardInterrupt:
        open_ = [str(one.contract) for one in cases if not one.is_ended]
        sys.stderr.write(
            f"Interrupted while destroying instances {', '.join(open_)}: not confirmed yet, so "
            "they may still bill. vastnb continues in the background while this kernel runs; "
            "client.destroy_instance(id) tries again now.\n"
        )
        raise
    finally:
        guard.arm(cases)
    left = [case for case in cases if not (case.is_ended or (case.accepted and not verify))]
    missing = [str(one.contract) for one in cases if one.missing and one not in left]
    if missing:
        warn(
            f"This account has no instance {', '.join(missing)} (any more), so nothing was "
            "destroyed. Check the id: client.show_instances() lists your instances.",
            stacklevel=5,
        )
    gone = [case.contract for case in cases if case.contract is not None and case not in left]
    over(gone)
    if left:
        raise still_there(left)


def _cases(sender: Sender, guard: Guard, ids: Sequence[int]) -> list[Case]:
    """Return machines by their rows; one is made for a machine that was not rented here."""
    cases = []
    try:
        rows = {one.contract: one for one in sender.journal.entries(sender.transport.account)}
        for number in ids:
            if number not in rows:
                sender.journal.begin(rows.setdefault(number, _unrented(sender, number)))
            cases.append(Case.of(rows[number]))
    except JournalError as error:
        warn(
            f"{error.message} The machines are destroyed all the same, but only this kernel "
            "confirms that they stay destroyed."
        )
        sender.settler.journal_failed()
        now = sender.clock.time()
        for number in ids[len(cases) :]:
            known = guard.case_of(number)
            cases.append(known or Case(AttemptState.CREATED, now, None, number))
    return cases


def _unrented(sender: Sender, number: int) -> Entry:
    now = sender.clock.time()
    return Entry(
        marker=new_marker(),
        account=sender.transport.account,
        base_url=sender.transport.base_url,
        offer_id=UNRENTED,
        machine_id=None,
        price=None,
        bid=None,
        disk=0.0,
        label=None,
        created_at=now,
        since=now,
        updated_at=now,
        state=AttemptState.DESTROYING,
        contract=number,
        **sender.journal.me._asdict(),
    )
