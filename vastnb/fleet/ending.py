"""Destroying machines, and seeing that they stay gone; blocks at whose end they do."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from vastnb.errors import InvalidRequest, OutcomeUnknown
from vastnb.fleet.desk import GONE, Desk
from vastnb.fleet.outcomes import still_there
from vastnb.fleet.plan import State
from vastnb.fleet.settle import CLOSED, DESTROY_BUDGET, Case


def destroy(desk: Desk, ids: Sequence[int], *, verify: bool = True) -> None:
    """Destroy machines.

    Parameters
    ----------
    desk : Desk
        Sends and looks.
    ids : sequence of int
        The machines, whoever rented them.
    verify : bool
        Look until all have been gone for long enough.

    Raises
    ------
    OutcomeUnknown
        If one was not seen gone.
    InvalidRequest
        If the client is closed.
    """
    cases = [_case(desk, number) for number in dict.fromkeys(ids)]
    if not cases:
        return
    try:
        desk.settler.destroy_all(cases)
        closed = [str(one.contract) for one in cases if one.left == CLOSED]
        if closed:
            raise InvalidRequest(
                f"This client is closed, so instances {', '.join(closed)} were not asked to be "
                "destroyed: they keep billing. A new client does it: client.reconcile() for those "
                "rented by vastnb, client.destroy_instance(id) for any.",
                code="closed",
            )
        if not verify:
            return
        with desk.rights.on_wait("destroy_instance", *GONE) as tick:
            desk.settler.settle(cases, DESTROY_BUDGET + 4 * len(cases), tick=tick)
    except KeyboardInterrupt:
        open_ = [str(one.contract) for one in cases if one.state is not State.DESTROYED]
        sys.stderr.write(
            f"Interrupted while destroying instances {', '.join(open_)}: not confirmed as "
            "destroyed yet, so they may still bill. client.reconcile() goes on with those rented "
            "by vastnb; client.destroy_instance(id) begins again.\n"
        )
        raise
    left = [case for case in cases if case.state is not State.DESTROYED]
    if desk.guard is not None:
        desk.guard.forget(one.contract for one in cases if one.contract and one not in left)
    if len(left) == 1:
        raise still_there(left[0])
    if left:
        raise OutcomeUnknown(
            f"Instances {', '.join(str(one.contract) for one in left)} were asked to be destroyed "
            "and are not confirmed as destroyed: they may still bill. Run client.reconcile(), "
            "which goes on with them, or check https://cloud.vast.ai/instances/. "
            f"{left[0].error}".rstrip(),
            code="not_seen_gone",
        )


class Block:
    """Something that is destroyed at the end of its ``with`` block, whatever happens in it."""

    def destroy(self) -> None:
        """Destroy it, and see that it stays gone."""
        raise NotImplementedError

    @property
    def _is_over(self) -> bool:
        """Whether it has been destroyed already."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._is_over:
            self.destroy()


def _case(desk: Desk, number: int) -> Case:
    entry = desk.journal.of_contract(desk.rights.account, number)
    if entry is not None:
        return Case.of(entry)
    return Case(State.CREATED, desk.clock.time(), None, number)


__all__ = ["Block", "destroy"]
