"""The market of days gone by: what a search would have found then.

Prices and renters are functions of the time (`vastnb.sim.market.drift`), so the drawn market
has a past without having been there. A recorded market stood still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vastnb.sim.market import drift
from vastnb.sim.market.drawn import DrawnMarket, bundle
from vastnb.sim.market.listing import Market
from vastnb.sim.market.machines import Machine, Slice
from vastnb.sim.world import World

_OF_MACHINE: Final = (
    "machine_id", "host_id", "gpu_name", "gpu_ram", "storage_cost", "inet_down_cost",
    "inet_up_cost", "reliability", "verification", "hosting_type", "geolocation",
)  # fmt: skip
_OF_SLICE: Final = ("num_gpus", "dlperf", "total_flops")


@dataclass(slots=True)
class Found:
    """What could be rented at one moment.

    Parameters
    ----------
    offers : list of int
        Positions in the rows.
    dph_base, min_bid : list of float or None
        Their prices then, $/h.
    """

    offers: list[int] = field(default_factory=list)
    dph_base: list[float | None] = field(default_factory=list)
    min_bid: list[float | None] = field(default_factory=list)


def past(world: World, moments: Sequence[float]) -> tuple[list[dict[str, Any]], list[Found]]:
    """Return the verified offers that could be rented at past moments.

    Parameters
    ----------
    world : World
        The simulated world.
    moments : sequence of float
        Epoch seconds in ascending order, as a client's calendar has them.

    Returns
    -------
    rows : list of dict
        Every offer that was ever there, with what does not change about it. They have no ids:
        offers of the past cannot be rented.
    found : list of Found
        For each moment, which of them, at which prices.
    """
    if not isinstance(world.market, DrawnMarket):
        with world.lock:
            return _still(world.market, world.today(), len(moments))
    opened = world.opened()
    elapsed = [moment - opened for moment in moments]
    rows: list[dict[str, Any]] = []
    found = [Found() for _ in moments]
    # Machines of one GPU after another: what they share of the market is worked out once.
    for machine in sorted(world.market.machines, key=lambda machine: machine.gpu_key):
        if machine.columns["verification"] == "verified":
            places = {part.slot: len(rows) + i for i, part in enumerate(machine.slices)}
            rows += [_row(machine, part) for part in machine.slices]
            _live(world.seed, machine, places, elapsed, found)
    return rows, found


def _row(machine: Machine, part: Slice) -> dict[str, Any]:
    of_machine = {name: machine.columns[name] for name in _OF_MACHINE}
    return {**of_machine, **{name: part.columns[name] for name in _OF_SLICE}}


def _live(
    seed: int,
    machine: Machine,
    places: dict[int, int],
    elapsed: Sequence[float],
    found: Sequence[Found],
) -> None:
    """Add what a machine offered at each moment."""
    quote: drift.Quote | None = None
    tenants: list[drift.Tenancy] = []
    epoch_end = float("-inf")
    for moment, then in zip(elapsed, found, strict=True):
        if moment >= epoch_end:
            tenants, epoch_end = drift.tenancies(seed, machine, moment)
        taken = 0
        for tenant in tenants:
            if tenant.start <= moment < tenant.end:
                taken |= tenant.mask
        if taken == machine.full_mask:
            continue
        if quote is None or moment >= quote.until:
            quote = drift.quote(seed, machine, moment)
        for part in bundle(machine.slices, taken):
            if not part.mask & taken:
                then.offers.append(places[part.slot])
                then.dph_base.append(quote.on_demand * part.num_gpus)
                then.min_bid.append(float(f"{quote.min_bid * part.num_gpus:.7g}"))


def _still(market: Market, now: float, moments: int) -> tuple[list[dict[str, Any]], list[Found]]:
    rows = [
        row
        for listing in market.listings()
        if listing.available
        for row in [listing.row("on-demand", 10.0, now)]
        if row.get("verification") == "verified"
    ]
    prices = [[row.get(name) for row in rows] for name in ("dph_base", "min_bid")]
    return rows, [Found(list(range(len(rows))), *prices)] * moments


__all__ = ["Found", "past"]
