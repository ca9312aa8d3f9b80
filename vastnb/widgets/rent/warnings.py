"""What one should know before renting an offer, as a pure function of the offer and the plan.

``bad`` is what will most likely cost money or time, ``warn`` what may, ``info`` what is good to
know. An offer's values come from strangers and may be missing or absurd: nothing is said about
what is not known, except about a price.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from vastnb.fleet.rent.candidates import Offer, bid_for
from vastnb.market.money.cost import HOURS_PER_MONTH
from vastnb.market.tables.vram import SIZES, nominal
from vastnb.values import number, text
from vastnb.widgets.rent import words
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.price import number_of
from vastnb.wording import hours as in_words

Level = Literal["bad", "warn", "info"]
LEVELS: Final[tuple[Level, ...]] = ("bad", "warn", "info")

LOW: Final = 0.95
"""Reliability below which a machine goes away more often than most."""
VERY_LOW: Final = 0.90
USUAL_TRAFFIC_GB: Final = 100.0
"""A model and a data set: what traffic is judged by as long as none is planned."""
SHORT: Final = 0.02
"""Share of the nominal VRAM that may be missing without being worth a word."""
DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Warning:
    """One thing to know.

    Parameters
    ----------
    level : {"bad", "warn", "info"}
        How much it matters.
    text : str
        In words; nothing in it comes from a host but numbers.
    """

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account: $ left, and whether an SSH key is stored; None if unknown."""

    credit: float | None = None
    has_ssh_key: bool | None = None


def warnings_of(
    row: Mapping[Any, Any], plan: RentPlan, account: Account = Account()
) -> list[Warning]:
    """Return what to know before renting a row's offer like this, what matters most first."""
    found = [
        Warning(level, said)
        for part in (
            _of_price(row, plan),
            _of_account(row, plan, account),
            _of_time(row, plan),
            _of_machine(row, plan),
            _of_traffic(row, plan),
        )
        for level, said in part
    ]
    if plan.max_hours is None and plan.budget_usd is None:
        found.append(Warning("info", words.NO_LIMIT_SET))
    return worst_first(found)


def worst_first(found: Iterable[Warning]) -> list[Warning]:
    """Return warnings by level; those of one level keep their order."""
    return sorted(found, key=lambda one: LEVELS.index(one.level))


_Said = Iterator[tuple[Level, str]]


def _of_price(row: Mapping[Any, Any], plan: RentPlan) -> _Said:
    if plan.bid is None:
        if _dph(row, plan) is None:
            yield "bad", words.HAS_NO_PRICE
        return
    bid, least = _gpu_dph(row, plan), number(row.get("min_bid"))
    if bid is None:
        yield "bad", words.NO_MINIMUM_BID
    elif least is not None and bid < least:
        yield "bad", words.BID_TOO_LOW.format(bid=bid, min_bid=least)
    else:
        yield "info", words.MAY_BE_OUTBID


def _of_account(row: Mapping[Any, Any], plan: RentPlan, account: Account) -> _Said:
    if account.has_ssh_key is False and plan.runtype != "args":
        yield "bad", words.NO_SSH_KEY_YET
    dph = _dph(row, plan)
    if account.credit is None or dph is None or dph <= 0:
        return
    each_hour = dph * plan.count
    lasts = max(0.0, account.credit) / each_hour
    if lasts < plan.hours:
        said = words.CREDIT_TOO_SHORT.format(
            credit=account.credit,
            lasts=in_words(lasts),
            each_hour=each_hour,
            hours=in_words(plan.hours),
        )
        yield "bad" if lasts < min(1.0, plan.hours) else "warn", said


def _of_time(row: Mapping[Any, Any], plan: RentPlan) -> _Said:
    seconds = number_of(row, "duration")
    if seconds is None or seconds < 0:
        return
    left, wanted = in_words(seconds / 3600), max(plan.hours, plan.max_hours or 0.0)
    if seconds < wanted * 3600:
        yield "bad", words.TAKEN_BACK_BEFORE.format(left=left, wanted=in_words(wanted))
    elif seconds < DAY:
        yield "warn", words.TAKEN_BACK.format(left=left)


def _of_machine(row: Mapping[Any, Any], plan: RentPlan) -> _Said:
    trust = number_of(row, "reliability")
    if trust is not None and trust < LOW:
        often = words.OFTEN_OFFLINE if trust < VERY_LOW else words.OFFLINE_MORE_THAN_MOST
        percent = math.floor(max(0.0, trust) * 1000) / 10
        yield "bad" if trust < VERY_LOW else "warn", f"Reliability {percent:g} %: {often}."
    match text(row.get("verification")):  # pandas' NA has no truth
        case "unverified":
            yield "warn", words.NOT_VERIFIED
        case "deverified":
            yield "bad", words.VERIFICATION_WITHDRAWN
    room = number_of(row, "disk_space")
    if room is not None and room < plan.disk:
        yield "bad", words.DISK_TOO_SMALL.format(room=max(room, 0), disk=plan.disk)
    if row.get("rentable") is False or row.get("rented") is True:
        yield "warn", words.RENTED_WHEN_SEARCHED
    reported = number_of(row, "gpu_ram")
    if reported is None or reported <= 0:
        return
    size, binary = nominal(reported), reported / 1024
    if size not in SIZES:
        yield "warn", words.VRAM_UNUSUAL.format(binary=binary)
    elif (missing := 1 - binary / size) >= SHORT:
        said = words.VRAM_BELOW_NOMINAL.format(binary=binary, missing=missing * 100, size=size)
        yield "info", said


def _of_traffic(row: Mapping[Any, Any], plan: RentPlan) -> _Said:
    base = _gpu_dph(row, plan)
    if base is None or base < 0:
        return
    gpus = base * plan.hours
    down, up = (number_of(row, name) or 0.0 for name in ("inet_down_cost", "inet_up_cost"))
    if plan.download_gb or plan.upload_gb:
        planned = down * plan.download_gb + up * plan.upload_gb
        if planned > gpus > 0:
            yield "warn", words.TRAFFIC_ABOVE_GPUS.format(planned=planned, gpus=gpus)
    elif (usual := max(down, up) * USUAL_TRAFFIC_GB) > gpus > 0:
        said = words.TRAFFIC_EXPENSIVE.format(
            USUAL_TRAFFIC_GB=USUAL_TRAFFIC_GB, usual=usual, hours=in_words(plan.hours), gpus=gpus
        )
        yield "warn", said


def _gpu_dph(row: Mapping[Any, Any], plan: RentPlan) -> float | None:
    if plan.bid is None:
        return number_of(row, "dph_base")
    return bid_for(Offer(0, min_bid=number(row.get("min_bid"))), plan.bid)


def _dph(row: Mapping[Any, Any], plan: RentPlan) -> float | None:
    gpus, disk = _gpu_dph(row, plan), number_of(row, "storage_cost")
    return None if gpus is None or disk is None else gpus + disk * plan.disk / HOURS_PER_MONTH
