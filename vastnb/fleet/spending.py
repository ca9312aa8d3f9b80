"""The client's verbs about money: what is spent, and how to end it.

`Spending` is a part of `vastnb.Client`, between looking at machines and renting them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vastnb.errors import JournalError, VastError
from vastnb.fleet.handling import Handling

if TYPE_CHECKING:
    from vastnb.fleet.costs import Burn
    from vastnb.fleet.sweep import Sweep


class Spending(Handling):
    """What is spent, and how to end it. A part of `Client`."""

    def burn(self) -> Burn:
        """Return what all machines of the account cost now, and how long the credit lasts.

        Returns
        -------
        Burn
            ``per_hour``, ``running_per_hour``, ``stopped_per_hour`` ($/h, without traffic),
            ``stopped`` (ids that are billed though they do not run), ``credit`` ($),
            ``runway_hours`` and ``machines``, a frame.

        Raises
        ------
        ServerError
            If the list of instances that came is not whole.
        """
        from vastnb.fleet.costs import burn_of
        from vastnb.fleet.listing import list_instances
        from vastnb.fleet.rent.obligations import known_contracts

        desk = self._fleet()
        listing = list_instances(desk.call, desk.clock, columns=["*"])
        try:
            credit = desk.account.credit()
        except VastError:
            credit = None  # a key that may not ask for it still shows what is spent
        try:
            entries = desk.journal.entries(desk.rights.account)
        except JournalError:
            entries = []
        deadlines = {one.contract: one.deadline for one in entries if one.contract and one.deadline}
        return burn_of(
            listing.records,
            now=listing.asked_at,
            credit=credit,
            deadlines={k: v for k, v in deadlines.items() if v is not None},
            known=known_contracts(entries),
        )

    def sweep(self, *, dry_run: bool = True) -> Sweep:
        """Destroy every machine that vastnb rented for this account, on this computer.

        Parameters
        ----------
        dry_run : bool
            Only name them and what they cost. This is the default.

        Returns
        -------
        Sweep
            Printing it names the machines. Those that were rented by other means, or by vastnb on
            another computer, are never among them; `destroy_instance` ends one by its id.

        Raises
        ------
        OutcomeUnknown
            If it is not confirmed: one may still bill.
        """
        from vastnb.fleet.sweep import sweep_of

        found = sweep_of(self.burn(), dry_run=dry_run)
        if found.ids and not dry_run:
            self.destroy_instance(found.ids)
        return found

    def has_ssh_key(self) -> bool:
        """Return whether the account has an SSH key; without one nobody can log in to machines.

        Once there is one, the service is not asked again.
        """
        return self._fleet().account.has_ssh_key()


__all__ = ["Spending"]
