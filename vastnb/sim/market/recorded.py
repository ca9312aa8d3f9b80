"""A market made of recorded offers: the rows of a list or a file, as they are.

Nothing in a row is altered but what the question asks to be altered: the prices for another disk
size or for bidding, by the exact formula. Renting one offer removes those that share a GPU of the
same machine with it. Nobody else rents here, and no price moves.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vastnb.sim.market.columns import reprice
from vastnb.sim.market.listing import Listing, Market, body_of

_NEEDED = ("gpu_name", "num_gpus", "machine_id", "dph_total", "dph_base", "storage_cost")


def read_offers(source: str | Path | Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Read recorded offers.

    Parameters
    ----------
    source : path or sequence of mappings
        Rows; or a JSON file with a list of them, or with an object that holds such lists at any
        depth (``{"offers": [...]}``).

    Raises
    ------
    ValueError
        If there is no offer in it.
    """
    data: Any = source
    if isinstance(source, (str, Path)):
        data = json.loads(Path(source).read_text(encoding="utf-8"))
    rows = list(_rows(data))
    if not rows:
        raise ValueError("no offers found: expected rows with an 'id', or {'offers': [rows]}")
    names = {name for row in rows for name in row}
    if missing := [name for name in _NEEDED if name not in names]:
        alike = sorted(name for name in names if "price" in name or "dph" in name)
        hint = f" Columns with similar names: {', '.join(alike)}." if alike else ""
        warnings.warn(
            f"These offers have no {', '.join(missing)}: values that need them are missing, never "
            f"guessed.{hint} Rename them before loading.",
            UserWarning,
            stacklevel=3,
        )
    return rows


def _rows(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, Mapping):
        if "id" in data or "ask_contract_id" in data:
            yield dict(data)
            return
        for part in data.values():
            yield from _rows(part)
    elif isinstance(data, (list, tuple)):
        for part in data:
            yield from _rows(part)


class RecordedListing(Listing):
    """An offer that was recorded."""

    __slots__ = ()

    def moment(self, kind: str, storage_gb: float, now: float) -> dict[str, Any]:
        """Return the columns that differ from the record for this question."""
        columns = reprice(self.own, storage_gb, kind)
        if not self.available:
            columns.update(rentable=False, rented=self.held or self.own.get("rented"))
        return columns

    def encode(self, moment: dict[str, Any]) -> str:
        """Return the row as JSON: as recorded where nothing differs."""
        if not moment:
            return "{" + self.text() + "}"
        return "{" + body_of({**self.own, **moment}) + "}"


class RecordedMarket(Market):
    """A market that serves recorded rows.

    Parameters
    ----------
    rows : sequence of mappings
        Offers as the service gave them.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        self._listings: list[RecordedListing] = []
        self._by_id: dict[int, RecordedListing] = {}
        self._by_machine: dict[int, list[RecordedListing]] = {}
        bits: dict[tuple[int, Any], int] = {}
        width: dict[int, int] = {}
        for number, row in enumerate(rows):
            offer_id = int(row.get("id") or row.get("ask_contract_id") or number + 1)
            machine = int(row.get("machine_id") or -number - 1)
            mask = 0
            for gpu in row.get("gpu_ids") or [f"row-{number}"]:
                if (machine, gpu) not in bits:
                    bits[machine, gpu] = width.get(machine, 0)
                    width[machine] = bits[machine, gpu] + 1
                mask |= 1 << bits[machine, gpu]
            listing = RecordedListing(
                id=offer_id,
                machine=machine,
                mask=mask,
                available=row.get("rentable") is not False and row.get("rented") is not True,
                shared={},
                own=dict(row),
            )
            self._listings.append(listing)
            self._by_id[offer_id] = listing
            self._by_machine.setdefault(machine, []).append(listing)

    def refresh(self, elapsed: float) -> None:
        """Do nothing: a recording stands still."""

    def listings(self, *, bundled: bool = True) -> Sequence[Listing]:
        """Return every row."""
        return self._listings

    def find(self, offer_id: int) -> Listing | None:
        """Return the row with this id."""
        return self._by_id.get(offer_id)

    def spot(self, machine: int, num_gpus: int, elapsed: float) -> float:
        """Return the lowest winning bid for so many GPUs of a machine, $/h."""
        for listing in self._by_machine.get(machine, []):
            if listing.own.get("min_bid") is not None and listing.num_gpus:
                return float(listing.own["min_bid"]) / listing.num_gpus * num_gpus
        return 0.0

    def taken(self, machine: int, mask: int, elapsed: float, *, since: float | None = None) -> bool:
        """Tell whether another renter holds any of these GPUs: never."""
        return False

    def next_change(self, machine: int, elapsed: float) -> float:
        """Return when the machine's prices or renters may change next: never."""
        return float("inf")

    def touched(self, machine: int, elapsed: float) -> None:
        """Mark the rows that a user's instances exclude."""
        held = self.held(machine)
        for listing in self._by_machine.get(machine, []):
            recorded = listing.own
            listing.held = bool(listing.mask & held)
            listing.available = (
                not listing.held
                and recorded.get("rentable") is not False
                and recorded.get("rented") is not True
            )


__all__ = ["RecordedMarket", "read_offers"]
