"""The simulated world: its clock, its market, its accounts, its instances.

World time is ``start + speed * (clock time since the start) + whatever was advanced``. Prices,
renters and instances live in it. The rate limiter and the daily quota do not: they follow the
wall clock, as a client's own pace does.

Dates in answers are a client's dates. World time runs ahead of a client's calendar, and what was
created an hour ago in the world would lie in the client's future. So each date that is shown lies
as far back from *today* (the client's now) as it does from now in the world: ages, bills and
histories agree with each other, whatever the speed.

Everything here is meant to be called with `World.lock` held; the server does so for every
request, and the public methods take it themselves.
"""

from __future__ import annotations

import random
import threading
from datetime import UTC, datetime
from typing import Any

from vastnb.clock import Clock, SystemClock
from vastnb.sim.accounts import FIRST_CREDIT, FIRST_SSH_KEY, Account, key_for
from vastnb.sim.faults import FaultPlan
from vastnb.sim.instances.doors import Doors
from vastnb.sim.instances.fleet import Fleet
from vastnb.sim.instances.instance import Instance
from vastnb.sim.instances.logs import LogFile
from vastnb.sim.limits import ROWS_A_DAY, Quota
from vastnb.sim.market.drawn import MACHINES_FOR_A_MARKET, DrawnMarket
from vastnb.sim.market.listing import Market
from vastnb.sim.market.search import Found, find, parse
from vastnb.sim.noise import mix
from vastnb.sim.templates import public

CAP = 512
"""Rows that an answer to a search with a key may have."""
ANONYMOUS_CAP = 64
"""... and without a key."""


class World:
    """A simulated Vast, without its HTTP.

    Parameters
    ----------
    seed : int
        The same seed, clock and calls give the same world.
    speed : float
        World seconds per second of `clock`.
    clock : Clock
        What drives it.
    start : float, optional
        World time at the beginning, epoch seconds; by default the clock's.
    market : Market, optional
        Where the offers come from; by default one drawn from the seed.
    machines : int
        Size of a drawn market.
    cap, anonymous_cap : int or None
        Rows in one answer, with and without a key. Above it a random sample is given.
    quota : int or None
        Rows per account and UTC day.
    credit : float
        What the first account has to spend, $.
    ssh_key : bool
        Whether the first account has an SSH key.
    trouble : float
        Share of instances that come to grief in one of the ways the real ones do.
    key : str, optional
        The first account's API key; by default one that follows from the seed.

    Attributes
    ----------
    v0_list : str
        How the list of API version 0 answers: ``"gone"`` (410), ``"gone-200"`` (the same with
        status 200), ``"empty"`` or ``"missing"`` (200, with an empty list or without any).
    doors : Doors or None
        Where instances answer as SSH servers would.
    lock : threading.RLock
        Held while anything happens.
    fleet : Fleet
        The instances, and what can be done to them.
    """

    def __init__(
        self,
        seed: int = 0,
        speed: float = 60.0,
        *,
        clock: Clock | None = None,
        start: float | None = None,
        market: Market | None = None,
        machines: int = MACHINES_FOR_A_MARKET,
        cap: int | None = CAP,
        anonymous_cap: int | None = ANONYMOUS_CAP,
        quota: int | None = ROWS_A_DAY,
        credit: float = FIRST_CREDIT,
        ssh_key: bool = True,
        trouble: float = 0.0,
        key: str | None = None,
    ) -> None:
        self.seed = seed
        self.speed = speed
        self.clock = clock or SystemClock()
        self.lock = threading.RLock()
        self._clock_start = self.clock.time()
        self.start = self._clock_start if start is None else start
        self._advanced = 0.0
        self.cap, self.anonymous_cap, self.quota_rows = cap, anonymous_cap, quota
        self.market = (
            market
            if market is not None
            else DrawnMarket.opened(seed, self.start, machines=machines)
        )
        self.accounts: dict[str, Account] = {}
        self._quotas: dict[str, Quota] = {}
        self._searches = 0
        self.faults = FaultPlan()
        self.admin_token: str | None = None
        self.payloads = False
        self.v0_list: str = "gone"
        self.doors: Doors | None = None
        self.log_files: dict[str, LogFile] = {}
        self.logs_asked = 0
        self.templates = public(self.start, payloads=False)
        self.fleet = Fleet(self.market, seed=seed, start=self.start, trouble=trouble)
        self.account = self.add_account(credit=credit, key=key)
        if ssh_key:
            now = datetime.fromtimestamp(self.start, UTC).isoformat()
            self.account.add_ssh_key(FIRST_SSH_KEY, now)

    # -- time

    def now(self) -> float:
        """Return world time, epoch seconds."""
        passed = max(0.0, self.clock.time() - self._clock_start)
        return self.start + self.speed * passed + self._advanced

    def elapsed(self) -> float:
        """Return world seconds since the beginning."""
        return self.now() - self.start

    def today(self) -> float:
        """Return now as a client's calendar has it, epoch seconds.

        It keeps pace with `clock`, and in a slowed or frozen world (`speed` below 1) with that.
        """
        return self.start + min(self.speed, 1.0) * max(0.0, self.clock.time() - self._clock_start)

    def opened(self) -> float:
        """Return when the world began, seen from `today`, epoch seconds."""
        return self.today() - self.elapsed()

    def advance(
        self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0
    ) -> float:
        """Let world time pass at a stroke, and everything that happens in it happen.

        Parameters
        ----------
        seconds, minutes, hours, days : float
            How much; they add up. Time does not go back.

        Returns
        -------
        float
            The new world time, epoch seconds.
        """
        step = seconds + 60.0 * minutes + 3600.0 * hours + 86_400.0 * days
        if step < 0:
            raise ValueError("time does not go back, in the simulated world either")
        with self.lock:
            self._advanced += step
            self.settle()
            return self.now()

    def settle(self) -> None:
        """Let everything happen that is due by now."""
        with self.lock:
            elapsed = self.elapsed()
            self.fleet.settle(elapsed)
            self.market.refresh(elapsed)

    # -- accounts

    def add_account(self, *, credit: float = FIRST_CREDIT, key: str | None = None) -> Account:
        """Open an account.

        Parameters
        ----------
        credit : float
            What it has to spend, $.
        key : str, optional
            Its API key; by default one that follows from the seed.
        """
        with self.lock:
            number = len(self.accounts)
            account = Account(
                key or key_for(self.seed, number),
                user_id=410_000 + mix(self.seed, number) % 90_000,
                credit=credit,
                created=self.today(),
            )
            self.accounts[account.key] = account
            self.fleet.join(account)
            return account

    def quota(self, identity: str) -> Quota:
        """Return what an identity has used of today's rows."""
        if identity not in self._quotas:
            if len(self._quotas) > 4096:
                self._quotas.clear()
            self._quotas[identity] = Quota(self.quota_rows)
        return self._quotas[identity]

    # -- the market

    def search(self, query: Any, *, keyed: bool = True) -> Found:
        """Answer a search query (the JSON object that the service is sent).

        Raises
        ------
        vastnb.sim.market.search.BadQuery
            If the query is wrong.
        """
        understood = parse(query)
        with self.lock:
            self.settle()
            return find(
                understood,
                self.market.listings(bundled=understood.bundled),
                now=self.today(),
                cap=self.cap if keyed else self.anonymous_cap,
                rng=self.rng(),
            )

    def rng(self) -> random.Random:
        """Return what the next random sample is drawn with."""
        self._searches += 1
        return random.Random(mix(self.seed, self._searches, 51))

    @property
    def instances(self) -> dict[int, Instance]:
        """Every instance that was ever created, by id: the truth that tests compare with."""
        with self.lock:
            self.settle()
            return dict(self.fleet.instances)  # others may create meanwhile

    @property
    def billing(self) -> list[Instance]:
        """The instances that cost money now."""
        with self.lock:
            return [i for i in self.instances.values() if i.rate(self.elapsed()) > 0]

    def __repr__(self) -> str:
        return f"<simulated world, seed {self.seed}, {self.speed:g} x real time>"


__all__ = ["ANONYMOUS_CAP", "CAP", "World"]
