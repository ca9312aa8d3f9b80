"""Lives of simulated machines, watched: what happened when, and when the watcher said so.

Second by second the truth of the service is noted, and the watcher looks when it is due. The tests
live through every fate; ``python -m bench watching`` prints the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import vastnb
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.fleet.status import GRACE, NO_PROGRESS, TOO_LONG
from vastnb.sim import Instance, Server

from .watching import machines

EXPECTED: dict[str, list[str]] = {
    "cached": ["starting", "running"],
    "pull": ["starting", "running"],
    "slow": ["starting", "stuck", "running"],
    "stuck": ["starting", "stuck"],
    "bad-image": ["starting", "failed"],
    "runtime-error": ["starting", "failed"],
    "outbid-loading": ["starting", "outbid"],
    "outbid-running": ["starting", "running", "outbid"],
    "offline": ["starting", "running", "offline", "running"],
    "offline-for-good": ["starting", "running", "offline"],
    "stale": ["starting", "running", "unreachable"],
    "unreachable": ["starting", "running", "unreachable"],
    "lagging": ["starting", "running"],
    "resurrects": ["starting", "running", "gone", "running", "gone"],
}
"""What a watcher that probes has to say of each fate, in this order and nothing else."""

HOURS = {"slow": 3.4, "offline": 2.0, "offline-for-good": 1.0, "stale": 1.0, "outbid-running": 0.8}
"""How long it takes until a fate has run its course; half an hour for any other."""

TWO_LOOKS = {"gone", "unreachable"}
"""States that one look alone does not prove."""


@dataclass
class Said:
    """A verdict of the watcher: when the truth could be seen, when it was said."""

    state: str
    truth: str
    visible_at: float
    said_at: float
    tick: float
    """Seconds between the looks at that time."""
    reason: str = ""

    @property
    def late(self) -> float:
        return self.said_at - self.visible_at

    @property
    def in_time(self) -> bool:
        return self.late <= self.tick * (2 if self.state in TWO_LOOKS else 1) + 1.0


@dataclass
class Life:
    """What was said of one machine, in order, and how often was asked."""

    fate: str
    said: list[Said] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    looks: int = 0
    calls: int = 0
    singles: int = 0

    @property
    def states(self) -> list[str]:
        return [one.state for one in self.said]

    @property
    def as_expected(self) -> bool:
        """Whether it was told right, and without flapping; what is over early is not seen start."""
        expected = EXPECTED[self.fate]
        return self.states in (expected, expected[1:])


class Truth:
    """What can be seen of a machine, and since when."""

    def __init__(self, one: Instance, server: Server) -> None:
        self.one, self._server = one, server
        self._since: dict[str, float] = {}
        self._mark: Any = None
        self._moved = self._begun = self._shown_running = 0.0

    def look(self, now: float) -> None:
        """Note what can be seen now."""
        one = self.one
        shown = one.alive and one.id not in self._server.world.fleet._hidden
        runs = shown and one.actual == one.intended == "running"
        mark = (shown, one.actual, one.status_msg)
        if mark != self._mark:
            self._mark, self._moved = mark, now
        self._begun = self._begun or now
        self._shown_running = (self._shown_running or now) if runs else 0.0
        error = shown and "rror" in (one.status_msg or "") and "imeout" not in one.status_msg
        starts = shown and one.intended == "running" and one.actual in (None, "created", "loading")
        usable = one.reachable and one.container_up
        found = {
            "starting": starts and not error,
            "running": runs and usable,
            "failed": error,
            "outbid": shown and one.outbid,
            "offline": shown and one.actual == "offline",
            "stuck": starts and (now - self._moved >= NO_PROGRESS or now - self._begun >= TOO_LONG),
            "unreachable": runs and not usable and now - self._shown_running >= GRACE,
            "gone": not shown,
        }
        # A machine that is shown as running is taken for one until it was tried.
        found["running"] = runs and (usable or not found["unreachable"])
        for state, true in found.items():
            if true:
                self._since.setdefault(state, now)
            else:
                self._since.pop(state, None)

    def since(self, state: str, now: float) -> float:
        """Return since when a state can be seen; long ago if it cannot be seen at all."""
        return self._since.get(state, now - 1e9)

    def words(self) -> str:
        """Say how it is in truth."""
        one = self.one
        if not one.alive or one.id in self._server.world.fleet._hidden:
            return "not listed"
        lost = "" if one.actual != "running" or (one.container_up and one.reachable) else ", lost"
        return f"{one.actual or 'no status'}, to be {one.intended}{lost}"


def live(fate: str, *, hours: float, seed: int = 4) -> Life:
    """Live through a fate with a watcher that probes, and return what it said."""
    clock = ManualClock()
    with (
        Server(seed=seed, speed=1, clock=clock, machines=150, doors=True, credit=1e6) as server,
        vastnb.Client(
            server.api_key, base_url=server.url, cache="memory", clock=clock, on_wait=silent
        ) as client,
    ):
        server.world.fleet.resumes = False
        # Other renters stay out of it: the fate alone decides.
        server.world.market.taken = lambda *a, **k: 0  # type: ignore[method-assign, assignment]
        bid = 100.0 if fate.startswith("outbid") else None
        (one,) = machines(server, fate, bid=bid)
        life, truth, watcher = Life(fate), Truth(one, server), client.watcher
        watcher.probe = True
        watcher.on_notice(lambda change: life.notices.append(change.text))
        watcher.expect(one.id, "running", acted=False)
        destroys = iter((True, True)) if fate == "resurrects" else iter(())
        for tick in _looks(clock, server, client, truth, hours):
            seen = watcher.snapshot.of(one.id)
            now = clock.time()
            if seen is not None and seen.verdict.state not in life.states[-1:]:
                said = Said(seen.verdict.state, truth.words(), truth.since(seen.verdict.state, now),
                            now, tick, seen.verdict.reason)  # fmt: skip
                life.said.append(said)
            if seen is not None and seen.verdict.state == "running" and next(destroys, False):
                clock.advance(60)
                client.destroy_instance(one.id, verify=False)
        life.looks = watcher.snapshot.looks
        life.calls = server.calls("show_instances")
        life.singles = server.calls("show_instance")
    return life


def _looks(
    clock: ManualClock, server: Server, client: vastnb.Client, truth: Truth, hours: float
) -> Iterator[float]:
    """Let the time pass second by second; give the seconds between looks, after each."""
    until, last = clock.time() + hours * 3600, clock.time()
    while clock.time() < until:
        server.world.settle()
        truth.look(clock.time())
        if client.watcher.due_in() <= 0:
            began = clock.time()
            client.watcher.look()
            truth.look(clock.time())
            yield began - last
            last = began
        clock.advance(1.0)
