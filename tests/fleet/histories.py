"""Random histories of renting, against the truth of the simulated service.

Kernels rent, destroy, are killed and start again, with two keys of one account, while answers are
lost and lists are late, empty, short of the present, or without environments. In the end a kernel
starts and time passes. Counted are machines that nobody ended at their deadline, machines rented
for nothing, and machines of others that were touched. All must be 0.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from vastnb.api.progress import silent
from vastnb.api.request import identity_of
from vastnb.api.secret import Secret
from vastnb.api.transport import Transport
from vastnb.clock import ManualClock
from vastnb.errors import OutcomeUnknown, VastError
from vastnb.fleet.env import MARKER
from vastnb.fleet.rent.attempt import Sender
from vastnb.fleet.rent.candidates import Offer
from vastnb.fleet.rent.deadline import Limits
from vastnb.fleet.rent.guard import Guard, _guards
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.process import Process
from vastnb.fleet.rent.recovery import reconcile
from vastnb.fleet.rent.rental import Rental
from vastnb.fleet.rent.renter import destroy
from vastnb.fleet.rent.spec import Spec
from vastnb.sim import Fault, Server
from vastnb.sim.instances.orders import read

HOURS = 1.0


class Killed(BaseException):
    """The kernel has been killed: nothing of it goes on."""


class Mortal(Journal):
    """A journal that a dead kernel writes no more."""

    dead = False

    def _transact(self, so_far: str, work: Any) -> Any:
        if self.dead:
            raise Killed
        return super()._transact(so_far, work)


@dataclass
class Count:
    """What was counted."""

    histories: int = 0
    rents: int = 0
    machines: int = 0
    unguarded: int = 0
    for_nothing: int = 0
    touched: int = 0
    came_back: int = 0
    bad: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not (self.unguarded or self.for_nothing or self.touched)


class Kernel:
    """One kernel: a sender, a guard without a thread, and a life."""

    def __init__(self, world: Histories, key: str) -> None:
        self.world, self.key = world, key
        world.pids += 1
        me = Process("here", world.pids, "began")
        world.living.add(me.pid)
        self.pid = me.pid
        self.journal = Mortal(
            world.path, me=me, is_dead=lambda owner, _: owner.pid not in world.living
        )
        self.dies_in: int | None = None
        account = identity_of(Secret(key), world.server.url)
        service: Any = SimpleNamespace(
            call=self.call,
            account=account,
            base_url=world.server.url,
            clock=world.clock,
            timeout=1.0,
            on_wait=silent,
        )
        self.said: list[str] = []
        self.guard = Guard(
            service, self.journal, lambda text, id, bad: self.said.append(text), threaded=False
        )
        self.sender = Sender(service, self.journal, self.guard.arm)

    def call(self, endpoint: str, **request: Any) -> Any:
        if self.journal.dead:
            raise Killed
        late = False
        if self.dies_in is not None:
            self.dies_in -= 1
            late = self.dies_in == 0 and self.world.rng.random() < 0.5
            if self.dies_in <= 0 and not late:
                self.kill()
        answer = self.world.transports[self.key].call(endpoint, **request)
        if late:
            self.kill()
        return answer

    def kill(self) -> None:
        self.die()
        raise Killed

    def die(self) -> None:
        self.journal.dead = True
        self.world.living.discard(self.pid)
        _guards.discard(self.guard)

    def start(self) -> None:
        """Do what a client does at its first use."""
        try:
            reconcile(self.sender)
            self.guard.take_up()
        except VastError:
            pass


class Histories:
    """Histories on one simulated service.

    Parameters
    ----------
    server, clock
        The service, without limits, and its clock.
    seed : int
        For everything that happens.
    """

    def __init__(self, server: Server, clock: ManualClock, seed: int) -> None:
        self.server, self.clock = server, clock
        self.rng = random.Random(seed)
        self.pids = 0
        self.living: set[int] = set()
        self.other_key = "f" * 64
        with server.world.lock:
            server.world.accounts[self.other_key] = server.world.accounts[server.api_key]
        self.keys = (server.api_key, self.other_key)
        self.transports = {
            key: Transport(
                base_url=server.url, api_key=key, cache=None, clock=clock, timeout=2,
                on_wait=silent,
            )
            for key in self.keys
        }  # fmt: skip
        self.path = Path()

    def run(self, histories: int) -> Count:
        """Live through histories; return what was counted."""
        count = Count()
        for number in range(histories):
            with tempfile.TemporaryDirectory() as directory:
                self.path = Path(directory) / "rentals.sqlite"
                self._one(count, number)
        return count

    # -- one history

    def _one(self, count: Count, number: int) -> None:
        rng, fleet = self.rng, self.server.world.fleet
        count.histories += 1
        self._calm()
        before = set(self.server.world.instances)
        kernels = [Kernel(self, self.keys[0]), Kernel(self, rng.choice(self.keys))]
        self.foreign: set[int] = set()
        for _ in range(rng.randint(2, 5)):
            kernel = rng.choice(kernels)
            self._mishap()
            try:
                what = rng.random()
                if what < 0.5:
                    self._rent(kernel, count, number)
                elif what < 0.6:
                    self._others()
                elif what < 0.75:
                    ids = self._held(kernel)
                    if ids:
                        destroy(kernel.sender, kernel.guard, [rng.choice(ids)], over=list,
                                verify=rng.random() < 0.7)  # fmt: skip
                else:
                    self._pass(kernels, rng.choice((20, 60, 300)))
            except (VastError, Killed):
                pass
            fleet.lists_empty = False  # it does not last for ever
            fleet.lists_behind = 0.0
            if rng.random() < 0.4:
                dead = rng.choice(kernels)
                dead.die()
            for place, one in enumerate(kernels):
                if one.journal.dead:
                    kernels[place] = Kernel(self, rng.choice(self.keys))
                    with contextlib.suppress(Killed):
                        kernels[place].start()
        # In the end one kernel starts, and time passes until long after every deadline.
        self._calm()
        for one in kernels:
            one.die()
        last = Kernel(self, self.keys[0])
        last.start()
        self._pass([last], HOURS * 3600 + 1800, step=300.0)
        self._pass([last], 600)
        last.die()
        made = [one for one in self.server.world.instances.values() if one.id not in before]
        count.machines += len(made)
        count.came_back += sum("came back" in text for text in last.said)
        left = [one.id for one in made if one.alive and one.id not in self.foreign]
        hurt = [one.id for one in made if not one.alive and one.id in self.foreign]
        count.unguarded += len(left)
        count.touched += len(hurt)
        if left or hurt:
            count.bad.append(f"history {number}: unguarded {left}, touched {hurt}")
        with self.server.world.lock:
            for one in made:
                if one.alive:
                    one.resurrections = 1
                    fleet.destroy(one, self.server.world.elapsed())

    def _rent(self, kernel: Kernel, count: Count, number: int) -> None:
        """Rent as a user does who tries again after an unknown outcome."""
        rng, world = self.rng, self.server.world
        with world.lock:
            free = [one for one in world.market.listings() if one.available and one.num_gpus == 1]
        listing = rng.choice(free)
        others = rng.sample(free, 2)
        offers = [
            Offer(one.id, int(one.row("on-demand", 10.0, 0.0)["machine_id"]), 0.5, 0.1)
            for one in (listing, *others)
        ]
        world.fleet.expect(rng.choice(("cached", "cached", "resurrects", "pull")))
        if rng.random() < 0.25:
            kernel.dies_in = rng.randint(1, 8)
        before = set(world.instances)
        count.rents += 1
        order = Spec(image="a/b", disk=10)
        handed: set[int] = set()
        for _ in range(3):
            limits = Limits(max_hours=HOURS)
            rental = Rental(kernel.sender, order, offers, limits=limits, say=lambda text: None,
                            checked_at=self.clock.time())  # fmt: skip
            try:
                rental.minding(rental.run)
            except OutcomeUnknown:
                self._pass([kernel], 30)
                continue
            except VastError:
                break
            handed = {one.instance_id for one in rental.rented if one.instance_id is not None}
            break
        made = [
            one
            for one in world.instances.values()
            if one.id not in before and one.id not in self.foreign and one.alive
        ]
        mine = {row.marker for row in kernel.journal.entries(kernel.sender.transport.account)}
        made = [one for one in made if dict(one.env).get(MARKER) in mine]
        if handed and len(made) > 1:
            count.for_nothing += len(made) - 1
            count.bad.append(f"history {number}: {[one.id for one in made]} for one order")

    def _held(self, kernel: Kernel) -> list[int]:
        rows = kernel.journal.entries(kernel.sender.transport.account)
        return [
            one.contract for one in rows if one.contract and one.state in ("created", "adopted")
        ]

    def _others(self) -> None:
        """Rent a machine by hand; sometimes with a marker that was copied from one of ours."""
        world, rng = self.server.world, self.rng
        copied = [
            one for one in world.instances.values() if one.alive and dict(one.env).get(MARKER)
        ]
        env = dict(rng.choice(copied).env) if copied and rng.random() < 0.6 else {}
        with world.lock:
            free = [one for one in world.market.listings() if one.available]
            order = read({"image": "a/b", "disk": 10, "env": env}, None, free[0].id)
            world.settle()
            world.fleet.expect("cached")
            answer = world.fleet.rent(world.account, rng.choice(free).id, order, world.elapsed())
        self.foreign.add(answer["new_contract"])

    def _mishap(self) -> None:
        rng, fleet = self.rng, self.server.world.fleet
        self._calm()
        kinds: Any = ("drop-before", "drop-after", "truncate", "504", "502")
        if rng.random() < 0.5:
            kind = rng.choice(kinds)
            effect = rng.random() < 0.5 if kind in ("504", "502") else None
            self.server.faults.add(Fault("create_instance", kind, nth=1, effect=effect))
        what = rng.random()
        if what < 0.2:
            fleet.listed_after = rng.uniform(20, 60)
        elif what < 0.3:
            fleet.lists_behind = rng.uniform(5, 40)
        elif what < 0.5:
            self.server.faults.add(Fault("show_instances", "503", nth=1, times=rng.randint(1, 90)))
        if rng.random() < 0.3:
            fleet.env_shape = rng.choice(("texts", "object", "json", "null"))
        if rng.random() < 0.15:
            self.server.faults.add(Fault("destroy_instance", "503", nth=1, times=rng.randint(1, 9)))

    def _calm(self) -> None:
        fleet = self.server.world.fleet
        self.server.faults.clear()
        fleet._planned.clear()
        fleet.listed_after = fleet.lists_behind = 0.0
        fleet.lists_empty, fleet.env_shape, fleet.refuse_destroys = False, "pairs", ""

    def _pass(self, kernels: list[Kernel], seconds: float, step: float = 15.0) -> None:
        """Let time pass; guards do what is due."""
        fleet = self.server.world.fleet
        until = self.clock.time() + seconds
        fleet.lists_empty = self.rng.random() < 0.1 and seconds <= 60
        while self.clock.time() < until:
            self.clock.advance(step)
            for one in kernels:
                for _ in range(3):
                    if one.journal.dead:
                        break
                    try:
                        wait = one.guard.step()
                    except Killed:
                        break
                    if wait is None or wait > 0:
                        break
        fleet.lists_empty = False


__all__ = ["Count", "Histories"]
