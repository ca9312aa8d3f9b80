"""Destroying machines, and seeing that they stay gone."""

from __future__ import annotations

from collections.abc import Sequence

from vastnb.errors import OutcomeUnknown
from vastnb.fleet.desk import Desk, still_there
from vastnb.fleet.plan import State
from vastnb.fleet.settle import DESTROY_BUDGET, Case


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
    """
    cases = [_case(desk, number) for number in dict.fromkeys(ids)]
    for case in cases:
        assert case.contract is not None
        desk.settler.destroy(case, [case.contract])
    if not verify:
        return
    desk.settler.settle(cases, DESTROY_BUDGET + 4 * len(cases))
    left = [case for case in cases if case.state is not State.DESTROYED]
    if len(left) == 1:
        raise still_there(left[0])
    if left:
        raise OutcomeUnknown(
            f"Instances {', '.join(str(one.contract) for one in left)} were asked to be destroyed "
            "and have not been seen gone: they may still bill. Run client.reconcile(), which goes "
            f"on with them, or look at https://cloud.vast.ai/instances/. {left[0].error}".rstrip(),
            code="not_seen_gone",
        )


def _case(desk: Desk, number: int) -> Case:
    entry = desk.journal.of_contract(desk.rights.account, number)
    if entry is not None:
        return Case.of(entry)
    return Case(State.CREATED, desk.clock.time(), None, number)


__all__ = ["destroy"]
