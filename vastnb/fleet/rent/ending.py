"""Destroying machines, and blocks at whose end they are destroyed.

A destroy returns as soon as the service has confirmed it and one look shows the machine gone: one
or two round trips. That it *stays* gone is an obligation like the others, in the journal and with
the guard. What is known must be destroyed, also without a journal.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from vastnb.errors import InvalidRequest, JournalError
from vastnb.fleet.env import new_marker
from vastnb.fleet.rent.attempt import CONFIRMING, Desk
from vastnb.fleet.rent.journal import Entry
from vastnb.fleet.rent.obligations import UNRENTED
from vastnb.fleet.rent.outcomes import still_there
from vastnb.fleet.rent.plan import State
from vastnb.fleet.rent.settle import CLOSED, DESTROY_BUDGET, Case
from vastnb.fleet.warned import warn
from vastnb.remote.verbs import put_away


def destroy(desk: Desk, ids: Sequence[int], *, verify: bool = True, stays: bool = False) -> None:
    """Destroy machines.

    Parameters
    ----------
    desk : Desk
        Sends and looks.
    ids : sequence of int
        The machines, whoever rented them.
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
    cases = _cases(desk, list(dict.fromkeys(ids)))
    if not cases:
        return
    try:
        desk.settler.destroy_all(cases)
        closed = [str(one.contract) for one in cases if one.left == CLOSED]
        if closed:
            raise InvalidRequest(
                f"This client is closed, so instances {', '.join(closed)} were not asked to be "
                "destroyed: they keep billing. A new client does it: client.reconcile(), or "
                "client.destroy_instance(id).",
                code="closed",
            )
        asked = [case for case in cases if case.refusal is None]
        if asked and (verify or not all(case.accepted for case in asked)):
            with desk.rights.on_wait("destroy_instance", *CONFIRMING) as tick:
                desk.settler.settle(asked, DESTROY_BUDGET, stays=stays, tick=tick)
    except KeyboardInterrupt:
        open_ = [str(one.contract) for one in cases if not one.is_ended]
        sys.stderr.write(
            f"Interrupted while destroying instances {', '.join(open_)}: not confirmed yet, so "
            "they may still bill. While this kernel lives, it goes on in the background; "
            "client.destroy_instance(id) begins again.\n"
        )
        raise
    finally:
        if desk.guard is not None:
            desk.guard.arm(cases)
    left = [case for case in cases if not (case.is_ended or (case.accepted and not verify))]
    missing = [str(one.contract) for one in cases if one.missing and one not in left]
    if missing:
        warn(
            f"There is no instance {', '.join(missing)} in this account (any more), so nothing "
            "was destroyed by this. Is the number right? client.show_instances() names those "
            "that bill.",
            stacklevel=4,
        )
    gone = [case.contract for case in cases if case.contract is not None and case not in left]
    put_away(desk.rights.account, gone)
    if left:
        raise still_there(left)


class Block:
    """Something that is destroyed at the end of its ``with`` block, whatever happens in it.

    It belongs to the process that made it: a fork that ends destroys nothing of its parent's.
    """

    _pid: int = 0

    def destroy(self) -> None:
        """Destroy it."""
        raise NotImplementedError

    @property
    def _is_over(self) -> bool:
        """Whether it has been destroyed already."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._pid = os.getpid()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pid == os.getpid() and not self._is_over:
            self.destroy()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Shielded: that the task is cancelled must not leave a machine.
        await asyncio.shield(asyncio.to_thread(self.__exit__, kind, error, trace))


def _cases(desk: Desk, ids: Sequence[int]) -> list[Case]:
    """Return machines by their rows; one is made for a machine that was not rented here."""
    cases = []
    try:
        rows = {one.contract: one for one in desk.journal.entries(desk.rights.account)}
        for number in ids:
            if number not in rows:
                desk.journal.begin(rows.setdefault(number, _unrented(desk, number)))
            cases.append(Case.of(rows[number]))
    except JournalError as error:
        warn(
            f"{error.message} The machines are destroyed all the same; that they stay gone is "
            "looked after by this kernel only."
        )
        desk.settler.journal_failed()
        now, guard = desk.clock.time(), desk.guard
        for number in ids[len(cases) :]:
            known = guard.case_of(number) if guard is not None else None
            cases.append(known or Case(State.CREATED, now, None, number))
    return cases


def _unrented(desk: Desk, number: int) -> Entry:
    now = desk.clock.time()
    return Entry(
        marker=new_marker(),
        account=desk.rights.account,
        base_url=desk.rights.base_url,
        offer_id=UNRENTED,
        machine_id=None,
        price=None,
        bid=None,
        disk=0.0,
        label=None,
        created_at=now,
        since=now,
        updated_at=now,
        state=State.DESTROYING,
        contract=number,
        **desk.journal.me._asdict(),
    )


__all__ = ["Block", "destroy"]
