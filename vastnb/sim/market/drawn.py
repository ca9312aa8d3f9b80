"""The drawn market: which offers are shown at a moment, under which ids, at which prices.

Each machine keeps its present state and the moment until which that state holds; a refresh works
out only the machines whose time has come. Identical slices of a machine are bundled, as the real
market does: of each size the first free slice is shown, and when none is free one of them is
shown as not rentable.
"""

from __future__ import annotations

import copy
import heapq
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from vastnb.sim.market import drift
from vastnb.sim.market.columns import priced
from vastnb.sim.market.listing import Listing, Market
from vastnb.sim.market.machines import Machine, Slice, draw
from vastnb.sim.noise import mix, uniform

FIRST_ID = 38_000_000
MACHINES_FOR_A_MARKET = 1850
"""Gives about 2,000 offers that can be rented."""


class DrawnListing(Listing):
    """An offer of a drawn machine."""

    __slots__ = ("min_bid", "on_demand", "source")

    def __init__(self, source: Slice, offer_id: int, available: bool) -> None:
        super().__init__(
            id=offer_id,
            machine=source.machine.index,
            mask=source.mask,
            available=available,
            shared=source.machine.columns,
            own={"id": offer_id, "ask_contract_id": offer_id, **source.columns},
        )
        self.source = source
        self.on_demand = 0.0
        self.min_bid = 0.0

    def copy(self) -> DrawnListing:
        """Return the same offer for another market; what lasts of it is shared."""
        other = DrawnListing.__new__(DrawnListing)
        for name in _SLOTS:
            setattr(other, name, getattr(self, name))
        return other

    def moment(self, kind: str, storage_gb: float, now: float) -> dict[str, Any]:
        """Return the columns that depend on the question and the time."""
        machine, shared, own = self.source.machine, self.shared, self.own
        count = own["num_gpus"]
        min_bid = float(f"{self.min_bid * count:.7g}")
        columns = priced(
            dph_base=min_bid if kind == "bid" else self.on_demand * count,
            min_bid=min_bid,
            storage_cost=shared["storage_cost"],
            storage_gb=storage_gb,
            inet_down_cost=shared["inet_down_cost"],
            gpu_total_ram=own["gpu_total_ram"],
            dlperf=own["dlperf"],
            total_flops=own["total_flops"],
        )
        columns["score"] = (
            columns["dlperf_per_dphtotal"] * shared["reliability_mult"] * machine.score_factor
        )
        columns["duration"] = shared["end_date"] - now
        columns["rentable"] = self.available
        columns["rented"] = self.held
        refreshed = math.floor((now + machine.phase) / 390.0) * 390.0 - machine.phase
        columns["start_date"] = None if uniform(machine.index, 41) < 0.01 else refreshed
        return columns


_SLOTS = (*Listing.__slots__, *DrawnListing.__slots__)


class _State:
    """A machine at this moment."""

    __slots__ = ("bumps", "ignored", "listings", "shown", "until")

    def __init__(self) -> None:
        self.until = -math.inf
        self.bumps = 0
        self.ignored: set[int] = set()
        self.listings: dict[int, DrawnListing] = {}
        self.shown: list[DrawnListing] = []

    def copy(self) -> _State:
        """Return the same state for another market."""
        other = _State()
        other.until, other.bumps, other.ignored = self.until, self.bumps, set(self.ignored)
        other.shown = [listing.copy() for listing in self.shown]
        other.listings = {listing.source.slot: listing for listing in other.shown}
        return other


class DrawnMarket(Market):
    """A market drawn from a seed.

    Parameters
    ----------
    seed : int
        The same seed gives the same market.
    start : float
        World time at which it opens, epoch seconds.
    machines : int
        How many machines it has.
    """

    def __init__(self, seed: int, start: float, *, machines: int = MACHINES_FOR_A_MARKET) -> None:
        super().__init__()
        self.seed = seed
        self.machines: Sequence[Machine] = draw(seed, machines, start)
        self.slices: list[Slice] = [s for machine in self.machines for s in machine.slices]
        self._span = _coprime_span(len(self.slices))
        self._stride = _stride(seed, self._span)
        self._unstride = pow(self._stride, -1, self._span)
        self._states = [_State() for _ in self.machines]
        self._due: list[tuple[float, int]] = [(-math.inf, m.index) for m in self.machines]
        self._elapsed = 0.0
        self._shown: list[DrawnListing] | None = None
        self.refresh(0.0)

    @classmethod
    def opened(
        cls, seed: int, start: float, *, machines: int = MACHINES_FOR_A_MARKET
    ) -> DrawnMarket:
        """Return such a market as it opens, which is worked out once for all that open alike."""
        known = _opening(seed, start, machines)
        other = copy.copy(known)
        other.holds = {}
        other._states = [state.copy() for state in known._states]
        other._due = list(known._due)
        other._shown = None
        return other

    # -- moments

    def refresh(self, elapsed: float) -> None:
        """Bring the market to a moment; time never goes back."""
        self._elapsed = elapsed = max(elapsed, self._elapsed)
        due = self._due
        while due and due[0][0] <= elapsed:
            _, index = heapq.heappop(due)
            state = self._states[index]
            if state.until <= elapsed:
                self._work_out(index, elapsed)
                heapq.heappush(due, (state.until, index))

    def touched(self, machine: int, elapsed: float) -> None:
        """Work out a machine's offers anew, because its holders changed."""
        before = self._states[machine].until
        self._work_out(machine, max(elapsed, self._elapsed))
        if self._states[machine].until != before:
            heapq.heappush(self._due, (self._states[machine].until, machine))

    def own(self) -> Sequence[Machine]:
        """Take copies of the machines, which other markets of this seed share, to change them."""
        self.machines = copy.deepcopy(self.machines)
        self.slices = [s for machine in self.machines for s in machine.slices]
        for state in self._states:
            state.listings = {}
            state.until = -math.inf
        self._due = [(-math.inf, m.index) for m in self.machines]
        self.refresh(self._elapsed)
        return self.machines

    def relist(self, machine: int) -> None:
        """Give a machine's offers new ids."""
        self._states[machine].bumps += 1

    def _work_out(self, index: int, elapsed: float) -> None:
        machine, state = self.machines[index], self._states[index]
        quote = drift.quote(self.seed, machine, elapsed)
        others, epoch_end = drift.tenancies(self.seed, machine, elapsed)
        listed, relisted_at = drift.relisted(machine, elapsed)
        held = self.held(index)
        taken = held
        until = min(quote.until, epoch_end, relisted_at)
        state.ignored.intersection_update(t.key for t in others)
        for tenant in others:
            if tenant.start <= elapsed < tenant.end:
                if tenant.mask & held:
                    # Whoever came while a user held the GPUs went elsewhere for good.
                    state.ignored.add(tenant.key)
                if tenant.key not in state.ignored:
                    taken |= tenant.mask
                until = min(until, tenant.end)
            elif tenant.start > elapsed:
                until = min(until, tenant.start)
        state.until = until
        generation = listed + state.bumps
        state.shown = [
            self._listing(state, part, generation, not part.mask & taken, quote)
            for part in bundle(machine.slices, taken)
        ]
        shown = {listing.source.slot: listing for listing in state.shown}
        state.listings = shown
        self._shown = None

    def _listing(
        self, state: _State, part: Slice, generation: int, available: bool, quote: drift.Quote
    ) -> DrawnListing:
        offer_id = self._id(part.slot, generation)
        listing = state.listings.get(part.slot)
        if listing is None or listing.id != offer_id:
            listing = DrawnListing(part, offer_id, available)
        listing.available = available
        listing.held = bool(part.mask & self.held(part.machine.index))
        listing.on_demand, listing.min_bid = quote.on_demand, quote.min_bid
        return listing

    # -- offers

    def listings(self, *, bundled: bool = True) -> Sequence[Listing]:
        """Return every offer that is shown, the unavailable ones included."""
        if not bundled:
            return [listing for index in range(len(self.machines)) for listing in self._all(index)]
        if self._shown is None:
            self._shown = [listing for state in self._states for listing in state.shown]
        return self._shown

    def _all(self, index: int) -> list[DrawnListing]:
        machine = self.machines[index]
        taken = self.held(index) | self._tenants(index, self._elapsed)
        quote = drift.quote(self.seed, machine, self._elapsed)
        generation = drift.relisted(machine, self._elapsed)[0] + self._states[index].bumps
        state = self._states[index]
        return [
            self._listing(state, part, generation, not part.mask & taken, quote)
            for part in machine.slices
        ]

    def find(self, offer_id: int) -> Listing | None:
        """Return the offer with this id, if it still exists."""
        generation, code = divmod(offer_id - FIRST_ID, self._span)
        slot = code * self._unstride % self._span
        if generation < 0 or slot >= len(self.slices):
            return None
        index = self.slices[slot].machine.index
        for listing in self._all(index):
            if listing.id == offer_id:
                return listing
        return None

    def _id(self, slot: int, generation: int) -> int:
        return FIRST_ID + generation * self._span + slot * self._stride % self._span

    # -- what instances ask

    def spot(self, machine: int, num_gpus: int, elapsed: float) -> float:
        """Return the lowest winning bid for so many GPUs of a machine at a moment, $/h."""
        per_gpu = drift.quote(self.seed, self.machines[machine], elapsed).min_bid
        return float(f"{per_gpu * num_gpus:.7g}")

    def _tenants(self, index: int, elapsed: float, since: float | None = None) -> int:
        others, _ = drift.tenancies(self.seed, self.machines[index], elapsed)
        ignored = self._states[index].ignored
        mask = 0
        for tenant in others:
            if not tenant.start <= elapsed < tenant.end or tenant.key in ignored:
                continue
            pays_in_full = uniform(self.seed, index, tenant.key, 42) < 0.5
            if since is None or (tenant.start > since and pays_in_full):
                mask |= tenant.mask
        return mask

    def taken(self, machine: int, mask: int, elapsed: float, *, since: float | None = None) -> bool:
        """Tell whether another renter holds any of these GPUs at a moment."""
        return bool(self._tenants(machine, elapsed, since) & mask)

    def next_change(self, machine: int, elapsed: float) -> float:
        """Return when the machine's prices or renters may change next."""
        one = self.machines[machine]
        others, end = drift.tenancies(self.seed, one, elapsed)
        moments = [drift.quote(self.seed, one, elapsed).until, end]
        moments += [t.start for t in others] + [t.end for t in others]
        # A hair later, so that rounding never leaves the clock standing at the change itself.
        return min(m for m in moments if m > elapsed) + 1e-3


@lru_cache(maxsize=4)
def _opening(seed: int, start: float, machines: int) -> DrawnMarket:
    return DrawnMarket(seed, start, machines=machines)


def bundle(slices: Sequence[Slice], taken: int) -> list[Slice]:
    """Return one slice of each size: a free one, if there is any."""
    chosen: dict[int, Slice] = {}
    for part in slices:
        size = part.mask.bit_count()
        known = chosen.get(size)
        if known is None or (known.mask & taken and not part.mask & taken):
            chosen[size] = part
    return list(chosen.values())


def _coprime_span(slots: int) -> int:
    """Return a prime above `slots`, so that any stride walks through all of them."""
    candidate = max(slots, 5) | 1
    while any(candidate % divisor == 0 for divisor in range(3, math.isqrt(candidate) + 1, 2)):
        candidate += 2
    return candidate


def _stride(seed: int, span: int) -> int:
    return 2 + mix(seed, 43) % (span - 3)


__all__ = ["FIRST_ID", "MACHINES_FOR_A_MARKET", "DrawnListing", "DrawnMarket"]
