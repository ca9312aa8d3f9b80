"""Supply, demand and prices of a GPU type: a snapshot, and how they were over time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from vastnb.sim.market import drift
from vastnb.sim.market.drawn import DrawnMarket
from vastnb.sim.market.listing import Listing, Market


def _percentile(values: Sequence[float], share: float) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4)


def _column(listing: Listing, name: str) -> Any:
    return listing.own.get(name, listing.shared.get(name))


def _per_gpu(listings: Sequence[Listing], name: str) -> float:
    values = [
        float(_column(listing, name)) / max(1, listing.num_gpus)
        for listing in listings
        if _column(listing, name) is not None
    ]
    return round(statistics.median(values), 2) if values else 0.0


def snapshot(name: str, listings: Sequence[Listing], now: float) -> dict[str, Any]:
    """Return one row of the current metrics.

    Parameters
    ----------
    name : str
        GPU name.
    listings : sequence of Listing
        Its offers, rented ones included.
    now : float
        The present, epoch seconds.
    """
    count = {True: {True: 0, False: 0}, False: {True: 0, False: 0}}
    for listing in listings:
        count[_column(listing, "verification") == "verified"][listing.available] += 1
    prices = []
    for listing in listings:
        base = listing.row("on-demand", 8.0, now).get("dph_base")
        if base is not None:
            prices.append(float(base) / max(1, listing.num_gpus))
    total = len(listings)
    rented = count[True][False] + count[False][False]
    middle = _percentile(prices, 0.5) or 0.0
    dlperf, tflops = _per_gpu(listings, "dlperf"), _per_gpu(listings, "total_flops")
    usage = round(100.0 * rented / total, 1) if total else 0.0
    return {
        "gpu_name": name,
        "total": total,
        "available": total - rented,
        "rented_verified": count[True][False],
        "avail_verified": count[True][True],
        "rented_unverified": count[False][False],
        "avail_unverified": count[False][True],
        "usage": usage,
        "usage_30d": usage,
        "dlperf": dlperf,
        "tflops": tflops,
        "price_p10": _percentile(prices, 0.1),
        "price_p25": _percentile(prices, 0.25),
        "price_median": _percentile(prices, 0.5),
        "price_p75": _percentile(prices, 0.75),
        "price_p90": _percentile(prices, 0.9),
        "tflops_per_dollar": round(tflops / middle, 1) if middle else None,
        "dlperf_per_dollar": round(dlperf / middle, 1) if middle else None,
    }


def history(
    market: Market,
    opened: float,
    listings: Sequence[Listing],
    times: Sequence[float],
    now: float,
) -> dict[str, Any]:
    """Return supply, demand and prices of one GPU type at past moments.

    Parameters
    ----------
    market : Market
        Where they are traded. Only a drawn market has a past; a recorded one stood still.
    opened : float
        When the market opened, epoch seconds.
    listings : sequence of Listing
        The offers of this GPU.
    times : sequence of float
        The moments, epoch seconds.
    now : float
        The present, epoch seconds.
    """
    static = snapshot("", listings, now)
    counts: dict[str, list[int]] = {
        key: []
        for key in ("rented_verified", "avail_verified", "rented_unverified", "avail_unverified")
    }
    prices: dict[str, list[float | None]] = {
        f"{side}_{point}": [] for side in ("rented", "avail") for point in ("p10", "median", "p90")
    }
    for moment in times:
        found: dict[bool, list[float]] = {True: [], False: []}
        tally = dict.fromkeys(counts, 0)
        known: dict[int, tuple[float, int]] = {}
        for listing in listings:
            if listing.machine not in known:
                known[listing.machine] = _then(market, listing, moment - opened)
            price, others = known[listing.machine]
            taken = bool(others & listing.mask)
            found[taken].append(price)
            verified = _column(listing, "verification") == "verified"
            side = "rented" if taken else "avail"
            tally[f"{side}_{'verified' if verified else 'unverified'}"] += 1
        for key, value in tally.items():
            counts[key].append(value)
        for side, values in (("rented", found[True]), ("avail", found[False])):
            for point, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
                prices[f"{side}_{point}"].append(_percentile(values, share))
    stamps = [int(moment) for moment in times]
    return {
        "supply_demand": {
            "timestamps": stamps,
            **counts,
            "total": [len(listings)] * len(stamps),
        },
        "pricing": {"timestamps": stamps, **prices},
        "stats": {
            key: static[key]
            for key in ("tflops", "dlperf", "tflops_per_dollar", "dlperf_per_dollar")
        },
    }


def _then(market: Market, listing: Listing, elapsed: float) -> tuple[float, int]:
    """Return what one GPU of an offer's machine cost at a moment, and the mask of those taken."""
    if not isinstance(market, DrawnMarket):
        base = float(listing.own.get("dph_base") or 0.0)
        return base / max(1, listing.num_gpus), 0 if listing.available else listing.mask
    machine = market.machines[listing.machine]
    tenants, _ = drift.tenancies(market.seed, machine, elapsed)
    mask = 0
    for tenant in tenants:
        if tenant.start <= elapsed < tenant.end:
            mask |= tenant.mask
    return drift.quote(market.seed, machine, elapsed).on_demand, mask


__all__ = ["history", "snapshot"]
