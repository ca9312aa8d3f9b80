"""Renting while everything goes wrong, compared with the truth.

The simulated service knows which machines exist; a client knows which it says exist. `Tally`
counts the difference: machines that nobody was told of, rented twice, or left stopped and billing.
The tests run a little of it, ``python -m bench renting`` runs all.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import vastnb
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.errors import OutcomeUnknown, VastError
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import LIVE
from vastnb.fleet.rent.process import Process, began, this_process
from vastnb.sim import Fault, Instance, Server

from .inside import guard_of, transport_of

TIMEOUT = 0.4
"""Seconds that a client of the harness waits for an answer: real ones, for sockets are real."""

ROOT = Path(__file__).resolve().parents[2]

MISHAPS: dict[str, dict[str, Any]] = {
    "none": {},
    "lost before": {"kind": "drop-before"},
    "reset before": {"kind": "reset-before"},
    "lost after": {"kind": "drop-after"},
    "reset after": {"kind": "reset-after"},
    "429": {"kind": "429"},
    "500 before": {"kind": "500"},
    "500 after": {"kind": "500", "effect": True},
    "502 after": {"kind": "502", "effect": True},
    "503 before": {"kind": "503"},
    "504 after": {"kind": "504", "effect": True},
    "error page after": {"kind": "html", "effect": True},
    "slow": {"kind": "delay", "seconds": 0.02},
    "too slow": {"kind": "delay-after", "seconds": TIMEOUT * 1.5},
    "truncated": {"kind": "truncate"},
    "empty": {"kind": "empty"},
    "garbage": {"kind": "garbage"},
    "stopped": {"fate": "created-stopped"},
    "stopped and lost": {"fate": "created-stopped", "kind": "drop-after"},
    "gone": {"fate": "gone"},
}
"""What may befall a create: a fault of the network or service, a fate of the create, or both."""

LOOKING = ("503", "drop-before", "truncate", "empty", "garbage", "429")
"""What may befall the lists and destroys that follow."""


@dataclass
class Tally:
    """What was counted; `unknown`, `twice` and `stopped` must be 0."""

    creates: int = 0
    machines: int = 0
    unknown: int = 0
    twice: int = 0
    stopped: int = 0
    came_back: int = 0
    """Machines that were destroyed, came back, and are still there."""
    wrong: int = 0
    """Machines that the client speaks of and that do not exist."""
    mishaps: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def count(self, name: str, existing: list[Instance], known: set[int]) -> None:
        """Compare what exists after one create with what its maker was told."""
        self.creates += 1
        self.mishaps[name] = self.mishaps.get(name, 0) + 1
        ids = {one.id for one in existing}
        stopped = [one for one in existing if one.intended == "stopped"]
        self.machines += len(ids)
        self.unknown += len(ids - known)
        self.wrong += len(known - ids)
        self.twice += max(0, len(ids) - 1)
        self.stopped += len(stopped)
        if ids != known or stopped or len(ids) > 1:
            self.bad.append(f"{name}: exist {sorted(ids)}, told {sorted(known)}")

    @property
    def clean(self) -> bool:
        return not (self.unknown or self.twice or self.stopped or self.wrong or self.came_back)


Create = Callable[[int, bool], set[int]]
"""Rents an offer (may it be left stopped?) and returns the ids that the caller was told of."""


def sample(mishap: str, server: Server, rng: random.Random, *, looks: bool) -> None:
    """Have a mishap befall the next create, and perhaps the looks after it."""
    settings = dict(MISHAPS[mishap])
    fate = settings.pop("fate", None)
    server.faults.clear()
    server.world.fleet._planned.clear()
    if fate:
        server.world.fleet.expect(fate)
    if settings:
        server.faults.add(Fault("create_instance", nth=1, **settings))
    if looks and rng.random() < 0.4:
        kind: Any = rng.choice(LOOKING)
        server.faults.add(Fault("show_instances", kind, nth=1, times=rng.randint(1, 3)))
    if looks and rng.random() < 0.2:
        server.faults.add(Fault("destroy_instance", rng.choice(("503", "drop-before")), nth=1))


def many_creates(
    server: Server, create: Create, trials: int, *, seed: int = 0, mishaps: tuple[str, ...] = ()
) -> Tally:
    """Rent many times, one mishap each, and count what is left behind."""
    rng = random.Random(seed)
    tally = Tally()
    started = time.perf_counter()
    names = mishaps or tuple(MISHAPS)
    for number in range(trials):
        name = names[number % len(names)] if number < len(names) else rng.choice(names)
        offer = free_offer(server, rng)
        before = set(server.world.instances)
        sample(name, server, rng, looks=True)
        known = create(offer, "stopped" in name)
        server.faults.clear()
        if name == "too slow":
            time.sleep(0.05)
        made = [one for one in server.world.instances.values() if one.id not in before]
        tally.count(name, [one for one in made if one.alive], known)
        clear(server)
    tally.seconds = time.perf_counter() - started
    return tally


def free_offer(server: Server, rng: random.Random) -> int:
    """Return an offer that can be rented."""
    with server.world.lock:
        free = [one.id for one in server.world.market.listings() if one.available]
    return rng.choice(free)


def clear(server: Server) -> None:
    """Make every machine go away, without anybody being told."""
    with server.world.lock:
        for one in server.world.instances.values():
            if one.alive:
                one.resurrections = 1
                server.world.fleet.destroy(one, server.world.elapsed())


def ours(server: Server, clock: ManualClock) -> tuple[vastnb.Client, Create]:
    """Return vastnb's client, and how it rents."""
    client = vastnb.Client(
        server.api_key,
        base_url=server.url,
        cache="memory",
        clock=clock,
        timeout=TIMEOUT,
        on_wait=silent,
    )

    def create(offer: int, may_be_stopped: bool) -> set[int]:
        cancel = False if may_be_stopped else None
        try:
            box = client.create_instance(offer, image="a/b", disk=10, cancel_unavail=cancel)
        except OutcomeUnknown:
            found = client.reconcile().of("adopted")
            return {one.instance_id for one in found if one.instance_id is not None}
        except VastError:
            return set()
        return {box.id}

    return client, create


def official(server: Server) -> Create:
    """Return how the official client rents."""
    from vastai import VastAI

    sdk = VastAI(api_key=server.api_key, server_url=server.url)

    def create(offer: int, may_be_stopped: bool) -> set[int]:
        try:
            answer = sdk.create_instance(
                id=offer, image="a/b", disk=10, cancel_unavail=not may_be_stopped
            )
        except Exception:
            return set()
        number = answer.get("new_contract") if isinstance(answer, dict) else None
        return {number} if isinstance(number, int) else set()

    return create


# -- kernels that are killed ---------------------------------------------------------------------


class Nursery:
    """A process that has imported everything, and forks a kernel whenever it is told to."""

    def __init__(self, server: Server, data: Path, cache: Path) -> None:
        environment = {
            **os.environ,
            "VASTNB_DATA_DIR": str(data),
            "VASTNB_CACHE_DIR": str(cache),
            "PYTHONPATH": str(ROOT),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fleet.kernel", server.url, server.api_key],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self._said: list[tuple[str, str]] = []
        self.line("ready")

    def line(self, word: str) -> str:
        """Return what was said after `word`, by a kernel or by the process itself.

        Two kernels speak at the same time; what the other one says is kept.
        """
        assert self._process.stdout is not None
        while not any(one == word for one, _ in self._said):
            line = self._process.stdout.readline()
            if not line:
                raise RuntimeError("the kernels have died")
            first, _, rest = line.strip().partition(" ")
            self._said.append((first, rest))
        place = next(i for i, (one, _) in enumerate(self._said) if one == word)
        return self._said.pop(place)[1]

    def kernel(self, *words: Any) -> int:
        """Start a kernel, and return its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self.line("pid"))

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def kill(pid: int) -> None:
    """Kill a kernel, and wait until it is dead: on a busy machine that takes its time."""
    owner = Process(this_process().host, pid, began(pid))
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + 10
    while not owner.is_dead(0.0) and time.monotonic() < until:
        time.sleep(0.005)


def wait_for_attempt(account: str, pid: int) -> None:
    """Wait until a kernel has written an attempt down: nothing can go wrong before that."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if any(one.pid == pid for one in Journal().entries(account)):
            return
        time.sleep(0.01)


def killed_kernels(
    server: Server, clock: ManualClock, nursery: Nursery, kills: int, *, seed: int = 0
) -> Tally:
    """Kill kernels at random moments of a rent, and let a new one settle it."""
    rng = random.Random(seed)
    tally = Tally()
    started = time.perf_counter()
    with ours(server, clock)[0] as first:
        account = transport_of(first).account
    for _ in range(kills):
        server.faults.clear()
        before = set(server.world.instances)
        kind: Any = rng.choice(("delay", "delay-after"))
        server.faults.add(Fault("create_instance", kind, nth=1, seconds=rng.uniform(0, 0.1)))
        pid = nursery.kernel("rent", free_offer(server, rng))
        nursery.line("renting")
        if rng.random() < 0.85:
            wait_for_attempt(account, pid)
        time.sleep(rng.uniform(0.0, 0.2))
        kill(pid)
        # The clock stands still: what is on its way arrives now or a month later.
        time.sleep(0.12)
        server.faults.clear()
        client, _ = ours(server, clock)
        with client:
            left = [one for one in Journal().entries(account) if one.pid == pid]
            moment = left[-1].state if left else "not begun"
            report = client.reconcile()
            known = {one.instance_id for one in report.of("adopted", "bills")}
            guard = guard_of(client)
            guarded = {one.id for one in guard.guarded} if guard else set()
            if known - guarded:
                tally.bad.append(f"{moment}: {sorted(known - guarded)} have lost their deadlines")
            if guard:
                guard.close()
        made = [one for one in server.world.instances.values() if one.id not in before]
        live = {one.contract for one in Journal().entries(account, LIVE)}
        told = {number for number in known & live if number is not None and number not in before}
        tally.count(
            f"{moment}, {'a' if made else 'no'} machine", [one for one in made if one.alive], told
        )
        clear(server)
    tally.seconds = time.perf_counter() - started
    return tally


def two_kernels(
    server: Server, clock: ManualClock, nursery: Nursery, rents: int, *, seed: int = 0
) -> Tally:
    """Let two kernels rent at once with one key while answers are lost; count what is mixed up."""
    tally = Tally()
    started = time.perf_counter()
    server.faults.clear()
    before = set(server.world.instances)
    for kind in ("drop-before", "drop-after", "truncate"):
        server.faults.add(Fault("create_instance", kind, probability=0.2))
    pids = [nursery.kernel("many", seed + number, rents) for number in (1, 2)]
    held = [{int(one) for one in nursery.line("done").split(",") if one} for _ in pids]
    server.faults.clear()
    made = [one for one in server.world.instances.values() if one.id not in before and one.alive]
    ids = {one.id for one in made}
    tally.creates, tally.machines = 2 * rents, len(made)
    tally.unknown = len(ids - held[0] - held[1])
    tally.wrong = len((held[0] | held[1]) - ids)
    tally.twice = len(held[0] & held[1])
    tally.stopped = sum(one.intended == "stopped" for one in made)
    # A third one looks while they live, and again when they are dead.
    client, _ = ours(server, clock)
    with client:
        touched = client.reconcile().of("adopted", "destroyed", "bills")
        tally.bad += [f"touched while its kernel lived: {one.text}" for one in touched]
        for pid in pids:
            kill(pid)
        bills = {one.instance_id for one in client.reconcile().of("bills", "adopted")}
    tally.unknown += len(ids - bills)
    tally.seconds = time.perf_counter() - started
    clear(server)
    return tally


def destroyed_machines(server: Server, clock: ManualClock, trials: int) -> Tally:
    """Destroy machines that come back, some of them after their kernel has ended."""
    rng, tally, started = random.Random(0), Tally(), time.perf_counter()
    server.faults.clear()
    server.world.fleet._planned.clear()
    for number in range(trials):
        before = set(server.world.instances)
        server.world.fleet.expect("resurrects")
        client, _ = ours(server, clock)
        client.create_instance(free_offer(server, rng), image="a/b", disk=10).destroy()
        guard = guard_of(client)
        if number % 2:
            client.close()
            client, _ = ours(server, clock)
            client.show_instances()
            guard = guard_of(client)
        for _ in range(40):
            clock.advance(3)
            if guard is not None:
                guard.step()
        client.close()
        made = [one for one in server.world.instances.values() if one.id not in before]
        tally.creates, tally.machines = tally.creates + 1, tally.machines + len(made)
        tally.came_back += sum(one.alive for one in made)
        clear(server)
    tally.seconds = time.perf_counter() - started
    return tally


def table(rows: Mapping[str, Tally]) -> list[list[Any]]:
    """Return the rows of a table: who, creates, machines, what is left behind, seconds."""
    return [
        [
            name,
            one.creates,
            one.machines,
            one.unknown,
            one.twice,
            one.stopped,
            one.came_back,
            round(one.seconds),
        ]
        for name, one in rows.items()
    ]
