"""When a machine must end: from hours and dollars to a moment. Decisions only.

A deadline is written down before the machine exists, so that it holds whatever happens to the
kernel. While machines are being rented the budget is shared out equally, which is safe at any
moment; when all of them are there, what is left is theirs together, and they end together. It is
reckoned as if a machine ran all the time, at the price that was agreed, with its disk. Traffic is
not in it: nobody knows beforehand what will be transferred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple

from vastnb.api.text import seconds as words
from vastnb.errors import InvalidRequest
from vastnb.values import number

HOUR: Final = 3600.0
LATEST: Final = 253_402_300_799.0
"""The end of the year 9999, epoch seconds: no budget lasts longer."""


LONGEST: Final = 10 * 365 * 24 * HOUR
"""Seconds: no deadline lies further ahead. A price of 0 would never spend a budget."""


class Priced(NamedTuple):
    """What a machine costs, and since when.

    Parameters
    ----------
    since : float
        When it was rented, epoch seconds.
    dph : float
        $/h with its disk.
    """

    since: float
    dph: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a rental may take at most.

    Parameters
    ----------
    max_hours : float or None
        Hours for each machine.
    budget_usd : float or None
        Dollars for all machines together, without traffic.
    count : int
        How many machines.
    on_machine : bool
        Whether each machine is to end itself as well.

    Raises
    ------
    InvalidRequest
        If a number makes no sense, or if a machine is to end itself without a bound.
    """

    max_hours: float | None = None
    budget_usd: float | None = None
    count: int = 1
    on_machine: bool = False

    def __post_init__(self) -> None:
        for name, value, unit in (
            ("max_hours", self.max_hours, "h"),
            ("budget_usd", self.budget_usd, "$"),
        ):
            if value is not None and (number(value) or 0.0) <= 0:
                raise InvalidRequest(
                    f"{name}={value!r}: a number above 0 ({unit}) is needed. Nothing was sent or "
                    "rented.",
                    code="invalid_args",
                )
        if self.on_machine and not self:
            raise InvalidRequest(
                "deadline_on_machine=True needs max_hours or budget_usd, from which the deadline "
                "follows. Nothing was sent or rented.",
                code="invalid_args",
            )

    def __bool__(self) -> bool:
        return self.max_hours is not None or self.budget_usd is not None

    @property
    def share(self) -> float | None:
        """Dollars that one machine may cost, as long as all may be rented."""
        return None if self.budget_usd is None else self.budget_usd / self.count

    def alone(self, now: float, dph: float | None) -> float | None:
        """Return the deadline of a machine that is rented now, with its share of the budget.

        Parameters
        ----------
        now : float
            Epoch seconds.
        dph : float or None
            $/h with the disk. Must be known if there is a budget.

        Returns
        -------
        float or None
            Epoch seconds; None without limits.
        """
        moments = [] if self.max_hours is None else [now + self.max_hours * HOUR]
        if self.budget_usd is not None:
            if dph is None:
                raise InvalidRequest(
                    "budget_usd needs the price of the offer, which is not known. Nothing was "
                    "sent or rented. Give max_hours, or choose another offer.",
                    code="no_price",
                )
            moments.append(spent_at(self.share or 0.0, [Priced(now, dph)]))
        return min(*moments, now + LONGEST) if moments else None

    def together(self, machines: Sequence[Priced]) -> list[float]:
        """Return the deadlines of the machines that were rented in the end, epoch seconds.

        Parameters
        ----------
        machines : sequence of Priced
            All of them; limits there must be.
        """
        end = math.inf if self.budget_usd is None else spent_at(self.budget_usd, machines)
        hours = math.inf if self.max_hours is None else self.max_hours
        return [min(end, one.since + min(hours * HOUR, LONGEST)) for one in machines]


def spent_at(budget: float, machines: Sequence[Priced]) -> float:
    """Return the moment at which machines have cost so much together.

    Parameters
    ----------
    budget : float
        Dollars.
    machines : sequence of Priced
        Each costs from its own beginning.

    Returns
    -------
    float
        Epoch seconds, at most `LATEST`.
    """
    spent, rate = 0.0, 0.0
    ordered = sorted(machines)
    moment = ordered[0].since if ordered else LATEST
    for one in ordered:
        more = rate * (one.since - moment) / HOUR
        if spent + more >= budget:
            break
        spent, moment = spent + more, one.since
        rate += max(0.0, one.dph)
    if rate <= 0 or not math.isfinite(rate):
        return LATEST if rate <= 0 else moment
    return min(LATEST, moment + max(0.0, budget - spent) / rate * HOUR)


def repriced(
    deadline: float, budget: float, since: float, price: float, now: float
) -> tuple[float, float]:
    """Return the deadline and what is left of a budget, after a look at what a machine costs.

    Parameters
    ----------
    deadline : float
        As it stands, epoch seconds; it only comes nearer.
    budget : float
        Dollars that were left at `since`.
    since : float
        Epoch seconds.
    price : float
        $/h that it costs now; it counts from `since` on.
    now : float
        Epoch seconds.
    """
    left = max(0.0, budget - max(0.0, price) * max(0.0, now - since) / HOUR)
    return min(deadline, spent_at(left, [Priced(now, price)])), left


def spent_by(moment: float, machines: Sequence[Priced]) -> float:
    """Return what machines have cost together at a moment, $."""
    return sum(max(0.0, one.dph) * max(0.0, moment - one.since) / HOUR for one in machines)


def utc(moment: float | None) -> datetime | None:
    """Return a deadline as a time (UTC)."""
    return None if moment is None else _date(moment)


def _date(moment: float) -> datetime:
    return datetime.fromtimestamp(min(max(moment, 0.0), LATEST), UTC)


def in_words(deadline: float, now: float) -> str:
    """Return ``"14:05 UTC (in 2 h)"``, with the date if that is another day."""
    then, today = _date(deadline), _date(now)
    shape = "%H:%M UTC" if then.date() == today.date() else "%Y-%m-%d %H:%M UTC"
    far = words(abs(deadline - now))
    if abs(deadline - now) < 1:
        return f"{then:{shape}} (now)"
    return f"{then:{shape}} ({f'in {far}' if deadline >= now else f'{far} ago'})"
