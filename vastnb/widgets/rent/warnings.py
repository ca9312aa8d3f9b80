"""What one should know before renting an offer, as a pure function of the offer and the plan.

``bad`` is what will most likely cost money or time, ``warn`` what may, ``info`` what is good to
know. An offer's values come from strangers and may be missing or absurd: nothing is said about
what is not known, except about a price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from vastnb.fleet.rent.candidates import bid_for, offer_of
from vastnb.market.tables.vram import SIZES, nominal
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
    """What is known of the account.

    Parameters
    ----------
    credit : float or None
        $ left; None if not known.
    has_ssh_key : bool or None
        Whether a key is stored; None if not known.
    """

    credit: float | None = None
    has_ssh_key: bool | None = None


def warnings_of(
    offer_row: Mapping[Any, Any], plan: RentPlan, account: Account = Account()
) -> list[Warning]:
    """Return what to know before renting this offer like this, what matters most first.

    Parameters
    ----------
    offer_row : mapping
        A row of a frame of offers, or an offer as the service gives it.
    plan : RentPlan
        What is wanted.
    account : Account
        What is known of it.
    """
    row = offer_row
    found = [
        *_prices(row, plan),
        *_access(plan, account),
        *_money(row, plan, account),
        *_lasting(row, plan),
        *_machine(row, plan),
        *_traffic(row, plan),
        *_guard(plan),
    ]
    return sorted(found, key=lambda one: LEVELS.index(one.level))


def _prices(row: Mapping[Any, Any], plan: RentPlan) -> list[Warning]:
    if plan.bid is None:
        if _dph(row, plan) is None:
            return [Warning("bad", words.HAS_NO_PRICE)]
        return []
    offer = _offer(row)
    bid = None if offer is None else bid_for(offer, plan.bid)
    if offer is None or bid is None:
        return [Warning("bad", words.NO_MINIMUM_BID)]
    if offer.min_bid is not None and bid < offer.min_bid:
        return [
            Warning(
                "bad",
                words.BID_TOO_LOW.format(bid=bid, min_bid=offer.min_bid),
            )
        ]
    return [Warning("info", words.MAY_BE_OUTBID)]


def _access(plan: RentPlan, account: Account) -> list[Warning]:
    if account.has_ssh_key is False and plan.runtype != "args":
        return [
            Warning(
                "bad",
                words.NO_SSH_KEY_YET,
            )
        ]
    return []


def _money(row: Mapping[Any, Any], plan: RentPlan, account: Account) -> list[Warning]:
    dph = _dph(row, plan)
    if account.credit is None or dph is None or dph <= 0:
        return []
    each_hour = dph * plan.count
    lasts = max(0.0, account.credit) / each_hour
    if lasts >= plan.hours:
        return []
    level: Level = "bad" if lasts < min(1.0, plan.hours) else "warn"
    return [
        Warning(
            level,
            words.CREDIT_TOO_SHORT.format(
                credit=account.credit,
                lasts=in_words(lasts),
                each_hour=each_hour,
                hours=in_words(plan.hours),
            ),
        )
    ]


def _lasting(row: Mapping[Any, Any], plan: RentPlan) -> list[Warning]:
    left = number_of(row, "duration")
    if left is None or left < 0:
        return []
    wanted = max(plan.hours, plan.max_hours or 0.0)
    if left < wanted * 3600:
        return [
            Warning(
                "bad",
                words.TAKEN_BACK_BEFORE.format(left=in_words(left / 3600), wanted=in_words(wanted)),
            )
        ]
    if left < DAY:
        return [Warning("warn", words.TAKEN_BACK.format(left=in_words(left / 3600)))]
    return []


def _machine(row: Mapping[Any, Any], plan: RentPlan) -> list[Warning]:
    found: list[Warning] = []
    trust = number_of(row, "reliability")
    if trust is not None and trust < LOW:
        often = words.OFTEN_OFFLINE if trust < VERY_LOW else words.OFFLINE_MORE_THAN_MOST
        percent = math.floor(max(0.0, trust) * 1000) / 10
        found.append(
            Warning("bad" if trust < VERY_LOW else "warn", f"Reliability {percent:g} %: {often}.")
        )
    state = row.get("verification")
    state = state if isinstance(state, str) else ""  # pandas' NA has no truth
    if state == "unverified":
        found.append(Warning("warn", words.NOT_VERIFIED))
    elif state == "deverified":
        found.append(Warning("bad", words.VERIFICATION_WITHDRAWN))
    room = number_of(row, "disk_space")
    if room is not None and room < plan.disk:
        found.append(Warning("bad", words.DISK_TOO_SMALL.format(room=max(room, 0), disk=plan.disk)))
    if row.get("rentable") is False or row.get("rented") is True:
        found.append(Warning("warn", words.RENTED_WHEN_SEARCHED))
    short = _vram_short(row)
    if short:
        found.append(Warning("info" if "nominal" in short else "warn", short))
    return found


def _vram_short(row: Mapping[Any, Any]) -> str:
    reported = number_of(row, "gpu_ram")
    if reported is None or reported <= 0:
        return ""
    size, binary = nominal(reported), reported / 1024
    if size not in SIZES:
        return words.VRAM_UNUSUAL.format(binary=binary)
    missing = 1 - binary / size
    if missing < SHORT:
        return ""
    return words.VRAM_BELOW_NOMINAL.format(binary=binary, missing=missing * 100, size=size)


def _traffic(row: Mapping[Any, Any], plan: RentPlan) -> list[Warning]:
    base = _gpu_dph(row, plan)
    down, up = number_of(row, "inet_down_cost"), number_of(row, "inet_up_cost")
    if base is None or base < 0:
        return []
    gpus = base * plan.hours
    planned = (down or 0.0) * plan.download_gb + (up or 0.0) * plan.upload_gb
    if plan.download_gb or plan.upload_gb:
        if planned > gpus > 0:
            return [Warning("warn", words.TRAFFIC_ABOVE_GPUS.format(planned=planned, gpus=gpus))]
        return []
    usual = max(down or 0.0, up or 0.0) * USUAL_TRAFFIC_GB
    if usual > gpus > 0:
        return [
            Warning(
                "warn",
                words.TRAFFIC_EXPENSIVE.format(
                    USUAL_TRAFFIC_GB=USUAL_TRAFFIC_GB,
                    usual=usual,
                    hours=in_words(plan.hours),
                    gpus=gpus,
                ),
            )
        ]
    return []


def _guard(plan: RentPlan) -> list[Warning]:
    if plan.max_hours is None and plan.budget_usd is None:
        return [Warning("info", words.NO_LIMIT_SET)]
    return []


def _offer(row: Mapping[Any, Any]) -> Any:
    try:
        return offer_of({"id": 0, **row})
    except Exception:  # noqa: BLE001  (a row without a proper id still has properties)
        return None


def _gpu_dph(row: Mapping[Any, Any], plan: RentPlan) -> float | None:
    if plan.bid is None:
        return number_of(row, "dph_base")
    offer = _offer(row)
    return None if offer is None else bid_for(offer, plan.bid)


def _dph(row: Mapping[Any, Any], plan: RentPlan) -> float | None:
    gpus, disk = _gpu_dph(row, plan), number_of(row, "storage_cost")
    return None if gpus is None or disk is None else gpus + disk * plan.disk / 720
