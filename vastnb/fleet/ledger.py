"""What machines have cost: an estimate, from what is shown of them.

The service's list says when a machine was created and what it costs now, and not for how long its
GPUs were billed. So the first sight of a machine is an estimate, which `Spent.how` names; from
then on every stretch between two looks is counted at the price that the earlier look showed. The
bill itself is the service's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from vastnb.fleet.status import MEANINGS
from vastnb.values import number

DAY: Final = 86_400.0
MB_PER_GB: Final = 1000.0

How = Literal[
    "as if its GPUs had been billed since it was created",
    "as if only its disk had been billed before",
    "",
]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a machine costs now, $/h.

    Parameters
    ----------
    gpu, disk : float
        The two terms. Traffic is no rate.
    """

    gpu: float
    disk: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.gpu + self.disk


def rates_of(record: Mapping[str, Any], state: str) -> Rates:
    """Return what a machine costs now.

    Parameters
    ----------
    record : mapping
        As the service lists it. Its ``instance`` says what is charged at the moment.
    state : str
        The verdict's word, for a record that does not say it.
    """
    parts = record.get("instance")
    parts = parts if isinstance(parts, Mapping) else {}
    disk = number(parts.get("diskHour"))
    if disk is None:
        disk = number(record.get("storage_total_cost")) or 0.0
    gpu = number(parts.get("gpuCostPerHour"))
    if gpu is None:
        gpu = (number(record.get("dph_base")) or 0.0) if state in _BILLED else 0.0
    return Rates(max(0.0, gpu), max(0.0, disk))


_BILLED: Final = frozenset(one for one, meaning in MEANINGS.items() if meaning.gpu_billed)


def traffic_of(record: Mapping[str, Any]) -> float:
    """Return what a machine's traffic has cost since it was created, $; 0 if it is not said."""
    total = 0.0
    for way in ("down", "up"):
        megabytes = number(record.get(f"inet_{way}_billed")) or 0.0
        total += megabytes / MB_PER_GB * (number(record.get(f"inet_{way}_cost")) or 0.0)
    return max(0.0, total)


def age_of(record: Mapping[str, Any], now: float) -> float | None:
    """Return for how long a machine has been there, s; None if its record does not say it."""
    start = number(record.get("start_date"))
    return now - start if start is not None and 0 < start <= now else None


@dataclass(slots=True)
class _Account:
    usd: float
    today: float
    seen: float
    age: float | None
    rates: Rates
    traffic: float
    how: How


@dataclass(frozen=True, slots=True)
class Spent:
    """What one machine has cost.

    Parameters
    ----------
    usd : float
        GPUs, disk and traffic, as far as they are known.
    how : str
        What was supposed of the time before the first look; empty if nothing had to be.
    """

    usd: float
    how: How


@dataclass
class Ledger:
    """Counts what machines cost, look by look. Times are epoch seconds."""

    _accounts: dict[int, _Account] = field(default_factory=dict)
    _day: float = 0.0
    _gone_today: float = 0.0

    def see(self, id: int, record: Mapping[str, Any], state: str, now: float) -> None:
        """Take one look at a machine."""
        self._turn(now)
        rates, traffic = rates_of(record, state), traffic_of(record)
        account = self._accounts.get(id)
        if account is None:
            self._accounts[id] = self._first(record, rates, traffic, now)
            return
        self._count(account, now, age_of(record, now), max(0.0, traffic - account.traffic))
        account.rates, account.traffic = rates, max(account.traffic, traffic)

    def gone(self, id: int, now: float) -> Spent | None:
        """Close the account of a machine that is no more; what it cost today still counts.

        Returns
        -------
        Spent or None
            What it has come to; None if it was never seen.
        """
        self._turn(now)
        account = self._accounts.pop(id, None)
        if account is None:
            return None
        self._count(account, now, None, 0.0)
        self._gone_today += account.today
        return Spent(account.usd, account.how)

    def _count(self, account: _Account, now: float, age: float | None, more: float) -> None:
        """Count the time since the look before, at the price that it showed.

        A service whose time runs faster than ours, as a simulated one may, bills for more of it:
        the machine's own age tells. A start that is dated later, as after a stop, tells nothing.
        """
        passed = max(0.0, now - account.seen)
        known = age is not None and account.age is not None
        aged = max(passed, age - account.age) if known else passed  # type: ignore[operator]
        today = min(1.0, max(0.0, now - self._day) / passed) if passed else 1.0
        cost = account.rates.total * aged / 3600.0
        account.usd += cost + more
        account.today += cost * today + more
        account.seen, account.age = now, age

    def known(self) -> set[int]:
        """Return the machines whose account is open."""
        return set(self._accounts)

    def spent(self, id: int) -> Spent | None:
        """Return what a machine has cost until it was last seen; None if it never was."""
        account = self._accounts.get(id)
        return None if account is None else Spent(account.usd, account.how)

    def today(self, now: float) -> float:
        """Return what has been spent since midnight (UTC), $.

        It counts the machines that are there and those that were seen to go; of what was destroyed
        before anybody looked, nothing is known.
        """
        self._turn(now)
        return self._gone_today + sum(account.today for account in self._accounts.values())

    def _first(
        self, record: Mapping[str, Any], rates: Rates, traffic: float, now: float
    ) -> _Account:
        start = number(record.get("start_date"))
        start = now if start is None or not 0 < start <= now else start
        hours = (now - start) / 3600.0
        today = (now - max(start, self._day)) / 3600.0
        # A minute of loading is no matter; a machine that stands still may have run before.
        how: How = ""
        if hours > 0.05:
            how = (
                "as if its GPUs had been billed since it was created"
                if rates.gpu
                else "as if only its disk had been billed before"
            )
        first_today = traffic if start >= self._day else 0.0
        return _Account(
            rates.total * hours + traffic,
            rates.total * today + first_today,
            now,
            age_of(record, now),
            rates,
            traffic,
            how,
        )

    def _turn(self, now: float) -> None:
        """Begin a new day where one has begun."""
        day = now - now % DAY
        if day > self._day:
            if self._day:
                for account in self._accounts.values():
                    account.today = 0.0
                self._gone_today = 0.0
            self._day = day
