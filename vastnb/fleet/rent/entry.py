"""One row of the journal: an attempt to rent, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from vastnb.fleet.rent.plan import OPEN, AttemptState
from vastnb.fleet.rent.process import Process, this_process

FOUND: Final = "found in the background"
"""The note of a machine that was found, and that `reconcile` has not told of yet."""

CONFIRMED: Final = "seen gone"
"""The note of a machine that was destroyed and seen gone once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt.

    Parameters
    ----------
    marker : str
        What its machine carries.
    account : str
        Fingerprint of key and server.
    base_url : str
        The server.
    offer_id, machine_id : int, int or None
        What was asked for.
    price : float or None
        $/h that it was to cost, with its disk.
    bid : float or None
        $/h offered; None is on demand.
    disk : float
        GB.
    label : str or None
        The machine's label.
    created_at : float
        Seconds since the epoch.
    since : float
        The latest moment at which something can have been sent for it.
    updated_at : float
        When the row was last written.
    state : AttemptState
        Where it stands.
    contract : int or None
        The machine's id, as soon as it is known.
    note : str
        In words: why it was refused, what was found.
    deadline : float or None
        When the machine is to be destroyed, seconds since the epoch; None is never.
    on_machine : int
        1 if its start script has a deadline of its own as well.
    image : str
        What it runs; empty if that is not known.
    budget : float or None
        Dollars that were left for it at `priced_at`; None if it has no budget.
    priced_at : float or None
        Up to when it is known what it has cost, seconds since the epoch.
    not_its : str
        Ids of machines that the user has said are not its own, with commas between them.
    """

    marker: str
    account: str
    base_url: str
    offer_id: int
    machine_id: int | None
    price: float | None
    bid: float | None
    disk: float
    label: str | None
    created_at: float
    since: float
    updated_at: float
    state: AttemptState = AttemptState.SENDING
    contract: int | None = None
    note: str = ""
    host: str = field(default_factory=lambda: this_process().host)
    pid: int = field(default_factory=lambda: this_process().pid)
    began: str = field(default_factory=lambda: this_process().began)
    deadline: float | None = None
    on_machine: int = 0
    image: str = ""
    budget: float | None = None
    priced_at: float | None = None
    not_its: str = ""

    @property
    def is_confirmed(self) -> bool:
        """Whether its machine was destroyed and seen gone, and has to stay gone only."""
        return self.state is AttemptState.DESTROYING and self.note == CONFIRMED

    @property
    def owner(self) -> Process:
        """The process that it belongs to."""
        return Process(self.host, self.pid, self.began)

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done about it."""
        return self.state in OPEN
