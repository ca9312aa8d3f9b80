"""How the market moves: prices and other renters, as functions of the time.

Nothing here remembers anything. The price of a machine at a moment follows from the seed, the
machine and the moment, and so does who else is renting it; so the clock may be moved by a second
or by a month at a stroke, and what is found there is the same.

Hosts change a price now and then, so prices are steps; under the steps lies a curve for the GPU
(the whole market for it moves by a few percent a day), one for the machine, and a daily tide.
Spot prices move more and more often. Other renters come in epochs: in each, every smallest part
of a machine may be taken for some of the time, or the whole machine at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from vastnb.sim.market.machines import Machine
from vastnb.sim.noise import uniform, wander

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Quote:
    """The price of one GPU of a machine, $/h, and until when it stays (world seconds)."""

    on_demand: float
    min_bid: float
    until: float


def _host_cents(price: float) -> float:
    """Return what the renter pays for a host's price: the host sets tenths of a cent."""
    return max(0.001, round(price, 3)) * 4 / 3


def quote(seed: int, machine: Machine, elapsed: float) -> Quote:
    """Return the prices of a machine, `elapsed` world seconds after the market opened."""
    shifted = elapsed + machine.phase
    step = math.floor(shifted / machine.price_step)
    then = step * machine.price_step - machine.phase
    market = 0.045 * wander(then / DAY, seed, machine.gpu_key)
    own = 0.035 * wander(then / (1.5 * DAY), seed, machine.index, 21)
    tide = 0.02 * math.sin(2 * math.pi * (then / DAY + uniform(machine.gpu_key, 22)))
    on_demand = _host_cents(machine.host_price * math.exp(market + own + tide))

    bid_step = math.floor(shifted / machine.bid_step)
    bid_then = bid_step * machine.bid_step - machine.phase
    spot = 0.10 * wander(bid_then / (0.25 * DAY), seed, machine.index, 23)
    min_bid = _host_cents(machine.host_price * machine.bid_ratio * math.exp(market + spot))

    until = min(
        (step + 1) * machine.price_step - machine.phase,
        (bid_step + 1) * machine.bid_step - machine.phase,
    )
    return Quote(on_demand, min_bid, until)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Another renter: which GPUs, from when to when (world seconds since the market opened)."""

    key: int
    mask: int
    start: float
    end: float


def tenancies(seed: int, machine: Machine, elapsed: float) -> tuple[list[Tenancy], float]:
    """Return the other renters of the epoch that `elapsed` falls into, and when it ends."""
    number = math.floor((elapsed + machine.phase) / machine.epoch)
    begin = number * machine.epoch - machine.phase
    end = begin + machine.epoch
    found: list[Tenancy] = []
    smallest = machine.slices[0].num_gpus
    whole = uniform(seed, machine.index, number, 31) < machine.busy * 0.45
    parts = (
        [machine.full_mask] if whole else [s.mask for s in machine.slices if s.num_gpus == smallest]
    )
    for position, mask in enumerate(parts):
        if not whole and uniform(seed, machine.index, number, position, 32) > machine.busy:
            continue
        late = uniform(seed, machine.index, number, position, 33)
        early = uniform(seed, machine.index, number, position, 34)
        start = begin + machine.epoch * max(0.0, 0.8 * late - 0.4)
        stop = end - machine.epoch * max(0.0, 0.8 * early - 0.4)
        found.append(Tenancy(number * 64 + position, mask, start, stop))
    return found, end


def relisted(machine: Machine, elapsed: float) -> tuple[int, float]:
    """Return how often the host has listed the machine anew, and when that happens next.

    Each time, its offers get new ids.
    """
    every = machine.epoch * 5
    number = math.floor((elapsed + machine.phase) / every)
    return number, (number + 1) * every - machine.phase


__all__ = ["DAY", "Quote", "Tenancy", "quote", "relisted", "tenancies"]
