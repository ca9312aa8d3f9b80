"""What the form says a rental costs: each term by itself, and the price that is confirmed.

What is confirmed is the highest price that one machine may cost: what the user has set, or else
the dearest of the offers that are to be rented (as many as machines are wanted) and `SLACK` on top,
rounded up to a hundredth of a cent. That number is handed to the rental as ``max_dph``: offers
above it are skipped and never paid.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from vastnb.fleet.rent.candidates import bid_for, offer_of
from vastnb.market.money.cost import HOURS_PER_MONTH, cost, hourly
from vastnb.values import number
from vastnb.widgets.rent import words
from vastnb.widgets.rent.plan import RentPlan

_PLACES: Final = 4
_PRICES: Final = ("dph_base", "storage_cost", "inet_down_cost", "inet_up_cost")

SLACK: Final = 0.1
"""By how much a price may have risen when it is rented, as a share, unless the user says."""

MOST: Final = 1e15
"""A number of a row that is larger is nonsense: sums with it may not even be finite."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the price of one machine.

    `name` is ``"gpu"``, ``"disk"``, ``"download"`` or ``"upload"``, `how` what it is made of, as in
    ``"$0.2360/h x 8 h"``; `usd` is None if the offer does not say.
    """

    name: str
    label: str
    how: str
    usd: float | None


@dataclass(frozen=True, slots=True)
class Price:
    """What the first candidate costs, and what any may cost; None if an offer does not say.

    Parameters
    ----------
    dph : float or None
        $/h of one machine with its disk, as it is now; for a bid, at most.
    max_dph : float or None
        $/h that one machine may cost at most: what is confirmed.
    terms, total
        GPU, disk, traffic either way, and their sum in $, for the candidate `offer_id` alone.
    dph_all, total_all : float or None
        $/h and $ for all `count` machines: the first candidates, each at its own price.
    within : int
        How many of the candidates cost at most `max_dph`.
    at_most : bool
        Whether less may be charged: a bid pays no more than the price on demand.
    """

    offer_id: int | None = None
    dph: float | None = None
    max_dph: float | None = None
    terms: tuple[Term, ...] = ()
    total: float | None = None
    dph_all: float | None = None
    total_all: float | None = None
    within: int = 0
    count: int = 1
    hours: float = 0.0
    at_most: bool = False


def priced(frame: pd.DataFrame, plan: RentPlan) -> pd.Series[float]:
    """Return $/h of each candidate with the plan's disk; for a bid, what is charged at most."""
    return hourly(bids_in(frame, plan), plan.disk)


def bids_in(frame: pd.DataFrame, plan: RentPlan) -> pd.DataFrame:
    """Return the candidates with what is charged at most for the GPUs in ``dph_base``."""
    if plan.bid is None:
        return frame
    offers = [offer_of(row) for row in frame.to_dict("records")]
    out = frame.copy(deep=False)
    out["dph_base"] = pd.array([bid_for(one, plan.bid) for one in offers], dtype="Float64")
    return out


def cost_of(charged: pd.DataFrame, plan: RentPlan) -> pd.DataFrame:
    """Return what the planned hours cost on each of the candidates that `bids_in` gives."""
    return cost(
        charged,
        plan.hours,
        disk=plan.disk,
        download_gb=plan.download_gb,
        upload_gb=plan.upload_gb,
    )


def price_of(frame: pd.DataFrame, plan: RentPlan) -> Price:
    """Return the price of a plan on these candidates, the first one first."""
    nothing = Price(count=plan.count, hours=plan.hours, at_most=plan.bid is not None)
    if not len(frame) or not set(_PRICES[:2]) <= set(frame.columns):
        return nothing
    charged = _complete(bids_in(frame, plan))
    dph, usd = hourly(charged, plan.disk), cost_of(charged.head(plan.count), plan)
    limit = plan.max_dph
    if bool(dph.isna().any()):
        limit = None
    elif limit is None:
        limit = _rounded_up(float(dph.head(plan.count).max()) * (1 + SLACK))
    return replace(
        nothing,
        offer_id=int(frame["id"].iloc[0]),
        dph=number(dph.iloc[0]),
        max_dph=limit,
        terms=_terms(charged.iloc[0].to_dict(), usd.iloc[0], plan),
        total=number(usd["total_usd"].iloc[0]),
        dph_all=_of_all(dph.head(plan.count), plan.count),
        total_all=_of_all(usd["total_usd"], plan.count),
        within=0 if limit is None else int((dph <= limit).fillna(False).sum()),
    )


def _of_all(each: pd.Series[float], count: int) -> float | None:
    """Return the sum for all machines; those without a candidate count like the last one."""
    if bool(each.isna().any()):
        return None
    return float(each.sum()) + float(each.iloc[-1]) * (count - len(each))


def guard_text(price: Price, plan: RentPlan) -> str:
    """Return in words what the money guard lets the machines cost; empty without one."""
    limits, dollars = [], []
    if plan.max_hours is not None:
        limits.append(words.AFTER_HOURS.format(hours=plan.max_hours))
        if price.max_dph is not None:
            dollars.append(price.max_dph * plan.max_hours * plan.count)
    if plan.budget_usd is not None:
        limits.append(words.BEFORE_IT_IS_SPENT.format(budget_usd=plan.budget_usd))
        dollars.append(plan.budget_usd)
    if not limits:
        return ""
    most = words.AT_MOST_IN_ALL.format(dollars=min(dollars)) if dollars else ""
    return words.GUARD.format(limits=" or ".join(limits), most=most)


def _terms(row: Mapping[Any, Any], usd: pd.Series[float], plan: RentPlan) -> tuple[Term, ...]:
    """Return the terms of one candidate: a row with what is charged, and what that comes to."""
    count, hours = number_of(row, "num_gpus"), f"\N{MULTIPLICATION SIGN} {plan.hours:g} h"
    gpus = "GPU" if count in (None, 1) else f"{count:.0f} GPUs"
    disk = words.DISK_TERM.format(gb=plan.disk)
    down = words.DOWNLOAD_TERM.format(gb=plan.download_gb)
    up = words.UPLOAD_TERM.format(gb=plan.upload_gb)
    disk_each = _each(row, "storage_cost", plan.disk / HOURS_PER_MONTH)
    return (
        Term("gpu", gpus, f"{_each(row, 'dph_base')}/h {hours}", number(usd["gpu_usd"])),
        Term("disk", disk, f"{disk_each}/h {hours}", number(usd["storage_usd"])),
        Term("download", down, f"{_each(row, 'inet_down_cost')}/GB", number(usd["download_usd"])),
        Term("upload", up, f"{_each(row, 'inet_up_cost')}/GB", number(usd["upload_usd"])),
    )


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates with every price column; what is not there is missing."""
    out = frame.copy(deep=False)
    for name in set(_PRICES) - set(frame.columns):
        out[name] = math.nan
    return out


def _rounded_up(dph: float) -> float:
    """Return the least price of four decimals that is not below `dph`."""
    near = round(dph, _PLACES)
    return near if near >= dph * (1 - 1e-9) else round(near + 10.0**-_PLACES, _PLACES)


def _each(row: Mapping[Any, Any], name: str, amount: float = 1.0) -> str:
    value = number_of(row, name)
    return "$?" if value is None else f"${value * amount:.4f}"


def number_of(row: Mapping[Any, Any], name: str) -> float | None:
    """Return a number of a row; None for what is missing, none, or beyond anything that can be."""
    found = number(row.get(name))
    return found if found is not None and abs(found) < MOST else None
