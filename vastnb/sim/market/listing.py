"""One offer as the market shows it, and what a market must be able to do.

Two markets stand behind the same interface: the drawn one (`vastnb.sim.market.drawn`) and one that
serves recorded offers (`vastnb.sim.market.recorded`). Search, renting and billing know only this.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def body_of(columns: dict[str, Any]) -> str:
    """Return a JSON object without its braces, so that several can be joined to one."""
    return _encode(columns)[1:-1]


class Listing(ABC):
    """One offer.

    Parameters
    ----------
    id : int
        The id to rent it by.
    machine : int
        Key of the machine in its market.
    mask : int
        Which of the machine's GPUs it has, a bit each.
    available : bool
        Whether it can be rented now.
    shared, own : dict
        The columns that do not depend on the moment; those of the machine, and those of the
        offer, which win.

    Attributes
    ----------
    held : bool
        Whether a user of this service, and not somebody else, has rented a GPU of it.
    """

    __slots__ = ("_text", "available", "held", "id", "machine", "mask", "own", "shared")

    def __init__(
        self,
        *,
        id: int,
        machine: int,
        mask: int,
        available: bool,
        shared: dict[str, Any],
        own: dict[str, Any],
    ) -> None:
        self.id = id
        self.machine = machine
        self.mask = mask
        self.available = available
        self.held = False
        self.shared = shared
        self.own = own
        self._text: str | None = None

    @abstractmethod
    def moment(self, kind: str, storage_gb: float, now: float) -> dict[str, Any]:
        """Return the columns that depend on the question and the time (`now`, epoch seconds)."""

    def text(self) -> str:
        """Return the lasting columns as JSON without braces, encoded once."""
        if self._text is None:
            self._text = body_of({**self.shared, **self.own})
        return self._text

    def encode(self, moment: dict[str, Any]) -> str:
        """Return the whole offer as JSON; `moment` is what the method of that name returned."""
        return "{" + self.text() + "," + body_of(moment) + "}"

    def row(self, kind: str, storage_gb: float, now: float) -> dict[str, Any]:
        """Return the whole offer."""
        return {**self.shared, **self.own, **self.moment(kind, storage_gb, now)}

    @property
    def num_gpus(self) -> int:
        """How many GPUs it has."""
        return int(self.own.get("num_gpus") or self.mask.bit_count())


class Market(ABC):
    """Offers that come and go. Times are world seconds since the market opened."""

    def __init__(self) -> None:
        self.holds: dict[int, dict[int, int]] = {}
        """machine -> instance id -> GPU mask: what the users of this service hold."""

    @abstractmethod
    def refresh(self, elapsed: float) -> None:
        """Bring the market to a moment; time never goes back."""

    @abstractmethod
    def listings(self, *, bundled: bool = True) -> Sequence[Listing]:
        """Return every offer that is shown, the unavailable ones included."""

    @abstractmethod
    def find(self, offer_id: int) -> Listing | None:
        """Return the offer with this id, if it still exists."""

    @abstractmethod
    def spot(self, machine: int, num_gpus: int, elapsed: float) -> float:
        """Return the lowest winning bid for so many GPUs of a machine at a moment, $/h."""

    @abstractmethod
    def taken(self, machine: int, mask: int, elapsed: float, *, since: float | None = None) -> bool:
        """Tell whether another renter holds any of these GPUs at a moment.

        With `since`, only those count who came after it and pay the on-demand price: they are
        the ones who push an interruptible instance out.
        """

    @abstractmethod
    def next_change(self, machine: int, elapsed: float) -> float:
        """Return when the machine's prices or renters may change next."""

    def held(self, machine: int, *, but: int | None = None) -> int:
        """Return the GPUs that this service's users hold on a machine."""
        mask = 0
        for holder, part in self.holds.get(machine, {}).items():
            if holder != but:
                mask |= part
        return mask

    def hold(self, machine: int, holder: int, mask: int, elapsed: float) -> None:
        """Take GPUs for an instance."""
        self.holds.setdefault(machine, {})[holder] = mask
        self.touched(machine, elapsed)

    def release(self, machine: int, holder: int, elapsed: float) -> None:
        """Give an instance's GPUs back to the market."""
        holders = self.holds.get(machine)
        if holders and holder in holders:
            self.touched(machine, elapsed)
            del holders[holder]
            if not holders:
                del self.holds[machine]
            self.relist(machine)
            self.touched(machine, elapsed)

    @abstractmethod
    def touched(self, machine: int, elapsed: float) -> None:
        """Work out a machine's offers anew, because its holders changed."""

    def relist(self, machine: int) -> None:  # noqa: B027 - a recording has nothing to relist
        """Give a machine's offers new ids, as happens when one of them was let and came back."""


__all__ = ["Listing", "Market", "body_of"]
