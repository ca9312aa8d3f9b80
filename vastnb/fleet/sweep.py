"""Ending everything that vastnb has rented on this computer, and nothing else.

A machine is swept if the journal knows its contract. Anything else has to be named by its id, be it
marked by vastnb: whoever rented it elsewhere may need it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from vastnb import html
from vastnb.fleet.costs import Burn


@dataclass(frozen=True)
class Sweep:
    """What `Client.sweep` found, or did.

    Parameters
    ----------
    ids : tuple of int
        The machines that were rented by vastnb on this computer.
    per_hour : float
        What they cost, $/h.
    dry_run : bool
        True if they were only named, False if they were destroyed.
    others : int
        Machines of the account that are left alone.
    machines : DataFrame
        One row for each of `ids`, as in `Burn.machines`.
    """

    ids: tuple[int, ...]
    per_hour: float
    dry_run: bool
    others: int = 0
    machines: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def __str__(self) -> str:
        rest = f" {self.others} other machines are not touched." if self.others else ""
        if not self.ids:
            return f"No machine was rented by vastnb on this computer.{rest}"
        named = ", ".join(map(str, self.ids))
        if self.dry_run:
            return (
                f"Would destroy {len(self.ids)} machines rented by vastnb, "
                f"${self.per_hour:.4f}/h: {named}. client.sweep(dry_run=False) does it; the data "
                f"on their disks is lost.{rest}"
            )
        return (
            f"Destroyed {len(self.ids)} machines rented by vastnb, which cost "
            f"${self.per_hour:.4f}/h: {named}.{rest}"
        )

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.block(f"<div>{html.escape(str(self))}</div>", html.frame(self.machines))


def sweep_of(burn: Burn, *, dry_run: bool) -> Sweep:
    """Return what there is to sweep among the machines of an account."""
    mine = burn.machines[burn.machines["ours"].to_numpy(dtype=bool)].reset_index(drop=True)
    return Sweep(
        ids=tuple(int(number) for number in mine["id"]),
        per_hour=float(mine["per_hour"].sum()),
        dry_run=dry_run,
        others=len(burn.machines) - len(mine),
        machines=mine,
    )
