"""What the form says a rental costs: each term by itself, and the price that is confirmed.

What is confirmed is the highest price that one machine may cost: what the user has set, or else
the dearest of the offers that are to be rented (as many as machines are wanted) and `SLACK` on top,
rounded up to a hundredth of a cent. That number is handed to the rental as ``max_dph``: offers
above it are skipped and never paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from vastnb.fleet.rent.candidates import bid_for, offer_of
from vastnb.market.money.cost import cost, hourly
from vastnb.values import number
from vastnb.widgets.rent import words
from vastnb.widgets.rent.plan import RentPlan

_PLACES: Final = 4
_PRICES: Final = ("dph_base", "storage_cost", "inet_down_cost", "inet_up_cost")


SLACK: Final = 0.1
"""By how much a price may have risen when it is rented, as a share, unless the user says."""

CENT: Final = 0.01

MOST: Final = 1e15
"""A number of a row that is larger is nonsense: sums with it may not even be finite."""


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the price.

    Parameters
    ----------
    name : str
        ``"gpu"``, ``"disk"``, ``"download"`` or ``"upload"``.
    label : str
        For people.
    how : str
        What it is made of: ``"$0.2360/h x 8 h"``.
    usd : float or None
        $ for one machine; None if the offer does not say.
    """

    name: str
    label: str
    how: str
    usd: float | None


@dataclass(frozen=True, slots=True)
class Price:
    """What the first candidate costs, and what any may cost.

    Parameters
    ----------
    offer_id : int or None
        The candidate that the terms belong to.
    dph : float or None
        $/h of one machine with its disk, as it is now; for a bid, at most.
    max_dph : float or None
        $/h that one machine may cost at most: what is confirmed.
    terms : tuple of Term
        GPU, disk, traffic either way, for one machine.
    total : float or None
        $ for the first machine.
    dph_all, total_all : float or None
        $/h and $ for all machines: the first `count` candidates, each at its own price.
    within : int
        How many of the candidates cost at most `max_dph`.
    count : int
        How many machines.
    hours : float
        For how many hours.
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
    """Return $/h of each candidate with the plan's disk; for a bid, what is charged at most.

    Parameters
    ----------
    frame : DataFrame
        Candidates.
    plan : RentPlan
        Disk and bid.

    Returns
    -------
    Series of Float64, on the frame's index
        Missing where a price is.
    """
    return hourly(bids_in(frame, plan), plan.disk)


def bids_in(frame: pd.DataFrame, plan: RentPlan) -> pd.DataFrame:
    """Return the candidates with what is charged at most for the GPUs in ``dph_base``."""
    if plan.bid is None:
        return frame
    offers = [offer_of(row) for row in frame.to_dict("records")]
    out = frame.copy(deep=False)
    out["dph_base"] = pd.array([bid_for(one, plan.bid) for one in offers], dtype="Float64")
    return out


def price_of(frame: pd.DataFrame, plan: RentPlan) -> Price:
    """Return the price of a plan on these candidates.

    Parameters
    ----------
    frame : DataFrame
        Candidates, the first one first.
    plan : RentPlan
        What is wanted.
    """
    if not len(frame) or not set(_PRICES[:2]) <= set(frame.columns):
        return Price(count=plan.count, hours=plan.hours, at_most=plan.is_bid)
    dph = priced(frame, plan)
    terms = _terms(bids_in(frame.head(1), plan), plan)
    known = [one.usd for one in terms]
    wanted = frame.head(plan.count)
    limit = plan.max_dph
    if bool(dph.isna().any()):
        limit = None
    elif limit is None:
        limit = _rounded_up(float(dph.head(plan.count).max()) * (1 + SLACK))
    first = dph.iloc[0]
    usd = cost(
        _complete(bids_in(wanted, plan)),
        plan.hours,
        disk=plan.disk,
        download_gb=plan.download_gb,
        upload_gb=plan.upload_gb,
    )["total_usd"]
    return Price(
        offer_id=int(frame["id"].iloc[0]),
        dph=None if pd.isna(first) else float(first),
        max_dph=limit,
        terms=terms,
        total=None if any(one is None for one in known) else sum(one or 0.0 for one in known),
        dph_all=_of_all(dph.head(plan.count), plan.count),
        total_all=_of_all(usd, plan.count),
        within=0 if limit is None else int((dph <= limit).fillna(False).sum()),
        count=plan.count,
        hours=plan.hours,
        at_most=plan.is_bid,
    )


def _of_all(each: pd.Series[float], count: int) -> float | None:
    """Return the sum for all machines; those without a candidate count like the last one."""
    if bool(each.isna().any()):
        return None
    return float(each.sum()) + float(each.iloc[-1]) * (count - len(each))


def guard_text(price: Price, plan: RentPlan) -> str:
    """Return in words what the money guard lets the machines cost; empty without one.

    Parameters
    ----------
    price : Price
        Of the plan.
    plan : RentPlan
        With ``max_hours`` or ``budget_usd``.
    """
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


def _terms(first: pd.DataFrame, plan: RentPlan) -> tuple[Term, ...]:
    frame = _complete(first)
    usd = cost(
        frame,
        plan.hours,
        disk=plan.disk,
        download_gb=plan.download_gb,
        upload_gb=plan.upload_gb,
    ).iloc[0]
    row = frame.iloc[0].to_dict()
    hours = f"{plan.hours:g} h"
    count = number_of(row, "num_gpus")
    gpus = "GPU" if count in (None, 1) else f"{count:.0f} GPUs"
    what = (
        ("gpu", gpus, f"{_each(row, 'dph_base')}/h \N{MULTIPLICATION SIGN} {hours}", "gpu_usd"),
        (
            "disk",
            words.DISK_TERM.format(gb=plan.disk),
            f"{_each(row, 'storage_cost', plan.disk / 720)}/h \N{MULTIPLICATION SIGN} {hours}",
            "storage_usd",
        ),
        (
            "download",
            words.DOWNLOAD_TERM.format(gb=plan.download_gb),
            f"{_each(row, 'inet_down_cost')}/GB",
            "download_usd",
        ),
        (
            "upload",
            words.UPLOAD_TERM.format(gb=plan.upload_gb),
            f"{_each(row, 'inet_up_cost')}/GB",
            "upload_usd",
        ),
    )
    return tuple(
        Term(name, label, how, None if pd.isna(usd[column]) else float(usd[column]))
        for name, label, how, column in what
    )


def _complete(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the candidates with every price column; what is not there is missing."""
    out = frame.copy(deep=False)
    for name in _PRICES:
        if name not in out.columns:
            out[name] = pd.array([None] * len(out), dtype="Float64")
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
