"""Time for instances: plans come due, money is spent, machines are won and lost.

Everything happens in its order, and between two happenings every instance is billed for the state
it was in, to the second. An account whose credit runs out is stopped at that very moment, however
far the clock was moved at a stroke.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable
from typing import Any

from vastnb.sim.accounts import Account
from vastnb.sim.instances.instance import Instance
from vastnb.sim.instances.lifecycle import Step, plan
from vastnb.sim.market.listing import Market
from vastnb.sim.noise import mix
from vastnb.sim.payload_texts import payload

_LOOK = "look"


class Living:
    """Instances, and the passing of time for them.

    Parameters
    ----------
    market : Market
        Where GPUs are held and given back.
    seed : int
        For durations.
    start : float
        When the world began, epoch seconds.

    Attributes
    ----------
    instances : dict
        Every instance that was ever created, by id.
    payloads : bool
        Whether status messages carry mischief.
    resumes : bool
        Whether an interruptible instance starts again by itself when its bid suffices.
    """

    def __init__(self, market: Market, *, seed: int, start: float) -> None:
        self.market = market
        self.seed = seed
        self.start = start
        self.instances: dict[int, Instance] = {}
        self.payloads = False
        self.resumes = True
        self._existing: dict[int, Instance] = {}
        self._hidden: set[int] = set()
        self._accounts: dict[str, Account] = {}
        self._broke_at: dict[str, float] = {}
        self._changed: set[str] = set()
        self._queue: list[tuple[float, int, int, int, Step]] = []
        self._sequence = 0
        self._elapsed = 0.0

    def join(self, account: Account) -> None:
        """Add an account."""
        self._accounts[account.key] = account
        self._changed.add(account.key)

    # -- the passing of time

    def settle(self, elapsed: float) -> None:
        """Let everything happen that is due, in its order."""
        # A test may have given or taken credit meanwhile.
        self._changed.update(instance.owner for instance in self._existing.values())
        while True:
            self._reckon()
            due = self._queue[0][0] if self._queue else math.inf
            poor = min(self._broke_at, key=self._broke_at.__getitem__, default=None)
            broke = self._broke_at[poor] if poor is not None else math.inf
            moment = min(due, broke)
            if moment > elapsed:
                break
            self._elapsed = max(self._elapsed, moment)
            if broke <= due and poor is not None:
                self._out_of_credit(poor, self._elapsed)
                continue
            _, _, instance_id, token, step = heapq.heappop(self._queue)
            instance = self.instances[instance_id]
            if instance.alive and token in (instance.token, -1):
                self._happen(instance, step, self._elapsed)
        self._elapsed = max(self._elapsed, elapsed)
        for instance in self._existing.values():
            self._bill(instance, self._elapsed)

    def _bill(self, instance: Instance, elapsed: float) -> None:
        self._accounts[instance.owner].pay(instance.bill(elapsed))

    def _change(self, instance: Instance, elapsed: float, **attributes: Any) -> None:
        """Bill what was, and set what is from now on."""
        self._bill(instance, elapsed)
        for name, value in attributes.items():
            setattr(instance, name, value)
        self._changed.add(instance.owner)

    def _reckon(self) -> None:
        """Work out when the accounts run out of credit, where something changed."""
        for key in self._changed:
            account = self._accounts[key]
            rate, runs = 0.0, False
            for instance in self._existing.values():
                if instance.owner == key:
                    self._bill(instance, self._elapsed)
                    rate += instance.rate(self._elapsed)
                    runs = runs or instance.holds or instance.waiting
            if not runs or rate <= 0:
                self._broke_at[key] = math.inf
            else:
                self._broke_at[key] = self._elapsed + max(0.0, account.credit) / rate * 3600.0
        self._changed.clear()

    def _out_of_credit(self, key: str, elapsed: float) -> None:
        self._broke_at[key] = math.inf
        for instance in list(self._existing.values()):
            if instance.owner == key and (instance.holds or instance.waiting):
                self._halt(instance, elapsed, waiting=False)

    # -- plans

    def _plan(self, instance: Instance, elapsed: float, steps: Iterable[Step]) -> None:
        for step in steps:
            self._push(elapsed + step.after, instance, instance.token, step)

    def _push(self, moment: float, instance: Instance, token: int, step: Step) -> None:
        self._sequence += 1
        heapq.heappush(self._queue, (moment, self._sequence, instance.id, token, step))

    def _forget_plans(self, instance: Instance) -> None:
        instance.token += 1

    def _happen(self, instance: Instance, step: Step, elapsed: float) -> None:
        if step.event == _LOOK:
            instance.watched = False
            self._look_around(instance, elapsed)
            return
        change = dict(step.change)
        if self.payloads and change.get("status_msg"):
            change["status_msg"] += payload(instance.id + len(change["status_msg"]))
        self._change(instance, elapsed, **change)
        if change.get("container_up") and instance.running_since is None:
            instance.running_since = elapsed
        if step.event == "give-up":
            self._halt(instance, elapsed, waiting=False)
        elif step.event == "outbid":
            self._outbid(instance, elapsed)
        elif step.event == "resurrect":
            self._hidden.discard(instance.id)

    def _boot(self, instance: Instance, elapsed: float, *, again: bool) -> None:
        self._forget_plans(instance)
        self._change(
            instance,
            elapsed,
            intended="running",
            cur_state="running",
            next_state="running",
            waiting=False,
            outbid=False,
        )
        instance.boots += 1
        rng = random.Random(mix(self.seed, instance.id, instance.boots, 81))
        steps = plan(
            instance.fate,
            rng,
            image=instance.image,
            runtype=instance.runtype,
            again=again,
        )
        self._plan(instance, elapsed, steps)
        self._watch(instance, elapsed)

    def _halt(self, instance: Instance, elapsed: float, *, waiting: bool) -> None:
        """Stop an instance, whoever wanted it."""
        self._forget_plans(instance)
        instance.ends += 1
        ran = instance.container_up or instance.actual in ("running", "rebooting")
        self._change(
            instance,
            elapsed,
            container_up=False,
            pull_rate=0.0,
            intended="stopped",
            cur_state="stopped",
            next_state="stopped",
            waiting=waiting,
        )
        self._release(instance, elapsed)
        if ran:
            late = 75.0 if instance.fate == "lagging" else 3.0 + mix(instance.id, 82) % 8
            self._plan(instance, elapsed, [Step(late, {"actual": "exited"})])
        if waiting:
            self._watch(instance, elapsed)

    # -- winning and losing GPUs

    def _hold(self, instance: Instance, elapsed: float) -> None:
        self._change(instance, elapsed, holds=True, held_since=elapsed)
        self.market.hold(instance.machine, instance.id, instance.mask, elapsed)

    def _release(self, instance: Instance, elapsed: float) -> None:
        if instance.holds:
            self._change(instance, elapsed, holds=False)
            self.market.release(instance.machine, instance.id, elapsed)

    def _can_run(self, instance: Instance, elapsed: float) -> bool:
        if self._accounts[instance.owner].credit <= 0:
            return False
        if self.market.held(instance.machine, but=instance.id) & instance.mask:
            return False
        if self.market.taken(instance.machine, instance.mask, elapsed):
            return False
        return not instance.is_bid or self._wins(instance, elapsed)

    def _wins(self, instance: Instance, elapsed: float) -> bool:
        spot = self.market.spot(instance.machine, instance.num_gpus, elapsed)
        return (instance.bid or 0.0) >= spot

    def _outbid(self, instance: Instance, elapsed: float) -> None:
        self._halt(instance, elapsed, waiting=self.resumes)
        instance.outbid = True

    def _look_around(self, instance: Instance, elapsed: float) -> None:
        """Look whether a bid still wins, or whether what is waited for is free."""
        if not instance.alive:
            return
        if instance.waiting:
            if self._can_run(instance, elapsed):
                self._hold(instance, elapsed)
                self._boot(instance, elapsed, again=instance.running_since is not None)
                return
        elif instance.is_bid and instance.holds:
            pushed_out = self.market.taken(
                instance.machine, instance.mask, elapsed, since=instance.held_since
            )
            if pushed_out or not self._wins(instance, elapsed):
                self._outbid(instance, elapsed)
                return
        self._watch(instance, elapsed)

    def _watch(self, instance: Instance, elapsed: float) -> None:
        """Look again when the machine's prices or renters change, as long as that matters."""
        if instance.watched or not (instance.waiting or (instance.is_bid and instance.holds)):
            return
        moment = self.market.next_change(instance.machine, elapsed)
        if math.isfinite(moment):
            instance.watched = True
            self._push(moment, instance, -1, Step(0.0, event=_LOOK))


__all__ = ["Living"]
