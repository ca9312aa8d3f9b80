"""Watching machines: how many calls it takes, how soon a mishap is said, and what a look costs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import tempfile
import threading
import time
import tracemalloc
from typing import Any

import vastnb
from bench import report
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.errors import WaitTimeout
from vastnb.fleet.watch.eventlog import EventLog
from vastnb.sim import Fault, Server

FAULTS: dict[str, dict[str, Any]] = {
    "an error page (502)": {"kind": "502"},
    "503 for a while": {"kind": "503", "times": 12},
    "429, retry after 40 s": {"kind": "429", "retry_after": 40},
    "half an answer": {"kind": "truncate", "times": 5},
    "200 without a body": {"kind": "empty", "times": 5},
    "200 without 'instances'": {"kind": "hollow", "times": 5},
    "no answer": {"kind": "drop-after", "times": 5},
}


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--watch-looks", type=int, default=1000, metavar="N",
        help="looks over which threads and memory are watched (default 1000)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        settings = {"VASTNB_DATA_DIR": directory, "TQDM_DISABLE": "1"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            _calls()
            _mishaps()
            _lists()
            _growth(options.watch_looks)
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


class _World:
    """A simulated service on a clock that stands still, with machines, and a client."""

    def __init__(self, *fates: str) -> None:
        from tests.fleet.watching import machines

        self.clock = ManualClock()
        self.server = Server(seed=7, speed=1, clock=self.clock, machines=400, credit=1e6)
        self.ours = machines(self.server, *fates)
        self.client = vastnb.Client(
            self.server.api_key, base_url=self.server.url, cache="memory", clock=self.clock,
            on_wait=silent,
        )  # fmt: skip

    def watch(self, seconds: float) -> None:
        until, watcher = self.clock.time() + seconds, self.client.watcher
        while self.clock.time() < until:
            watcher.look()
            self.clock.advance(max(0.01, min(watcher.due_in(), until - self.clock.time())))

    def row(self, name: str) -> list[report.Cell]:
        server = self.server
        return [
            name,
            self.client.watcher.snapshot.looks,
            server.calls("show_instances"),
            server.calls("show_instance"),
            server.calls("show_user"),
            sum(server.refused.values()),
        ]

    def __enter__(self) -> _World:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.server.close()


def _calls() -> None:
    rows = []
    fates = ["slow", *["pull"] * 24]
    with _World(*fates) as world:
        watcher = world.client.watcher
        for _ in range(5):
            watcher.subscribe(lambda found, shown: None)
            watcher.subscribe(lambda found, shown: watcher.look() and None)
        with contextlib.suppress(WaitTimeout):
            world.client.wait([one.id for one in world.ours], timeout=600)
        rows.append(world.row("25 machines, 5 listeners, a wait; 10 min"))
    with _World(*fates) as world:

        async def waits() -> None:
            many = (world.client.wait_async(one.id, timeout=600) for one in world.ours)
            await asyncio.gather(*many, return_exceptions=True)

        asyncio.run(waits())
        rows.append(world.row("25 machines, 25 awaited waits; 10 min"))
    with _World(*["cached"] * 25) as world:
        world.watch(3600)
        rows.append(world.row("25 machines that run; 1 h"))
    with _World("cached") as world:
        world.client.watcher.subscribe(lambda found, shown: None)
        world.clock.advance(3600)
        rows.append(world.row("nobody looks; 1 h"))
        world.client.close()
        world.client.watcher.look(at_once=True)
        rows.append(world.row("after close()"))
    report.table(
        "What watching asks of the service (simulated time)",
        ["", "looks", "list calls", "single calls", "credit", "429s"],
        rows,
    )


def _mishaps() -> None:
    from tests.fleet.lives import HOURS, live
    from vastnb.sim.instances.lifecycle import FATES

    rows: list[list[report.Cell]] = []
    wrong = []
    for fate in FATES:
        life = live(fate, hours=HOURS.get(fate, 0.5))
        if not (life.as_expected and all(one.in_time for one in life.said)):
            wrong.append(f"{fate}: {life.states}")
        for number, one in enumerate(life.said):
            name = fate if number == 0 else ""
            rows.append([name, one.truth, one.state, one.late, one.tick])
        rows[-1].append(len(life.notices))
    for row in rows:
        row += [None] * (6 - len(row))
    report.table(
        "Every fate: when it could be seen, and when it was said",
        ["fate", "in truth", "verdict", "s until said", "s between looks", "notices"],
        rows,
    )
    report.note(
        "unreachable and gone take two looks; a start is stuck after 10 min without a new word."
    )
    report.note(f"NOT AS EXPECTED: {'; '.join(wrong)}" if wrong else "All as expected, no flaps.")


def _lists() -> None:
    rows: list[list[report.Cell]] = []
    for name, fault in FAULTS.items():
        with _World("cached", "cached", "cached") as world:
            world.watch(120)
            asked = world.server.calls("show_instances")
            told: list[Any] = []
            world.client.watcher.subscribe(lambda found, shown, told=told: told.extend(found))
            world.server.faults.add(Fault("show_instances", nth=1, **fault))
            world.watch(600)
            rows.append(_told(name, world, told, asked))
    for name, hidden in (("an empty list, once", 3), ("a list cut short, once", 2)):
        with _World("cached", "cached", "cached") as world:
            world.watch(120)
            asked = world.server.calls("show_instances")
            told = []
            world.client.watcher.subscribe(lambda found, shown, told=told: told.extend(found))
            fleet = world.server.world.fleet
            fleet._hidden |= {one.id for one in world.ours[:hidden]}
            world.client.watcher.look(at_once=True)
            fleet._hidden.clear()
            world.watch(600)
            rows.append(_told(name, world, told, asked))
    report.table(
        "A list that goes wrong, three machines that run; the next 10 min",
        ["", "requests", "states", "changes of state", "told"],
        rows,
    )


def _told(name: str, world: _World, told: list[Any], asked: int) -> list[report.Cell]:
    states = sorted({one.verdict.state for one in world.client.watcher.snapshot.instances})
    moves = [change for change in told if change.kind in ("state", "gone", "appeared")]
    words = [change.kind for change in told if change.kind not in ("state", "gone", "appeared")]
    count = world.server.calls("show_instances") - asked
    return [name, count, ", ".join(states), len(moves), ", ".join(words) or "-"]


def _growth(looks: int) -> None:
    with _World("slow", "stuck", *["cached"] * 23) as world:
        watcher = world.client.watcher
        watcher.subscribe(lambda found, shown: None)

        def look(times: int) -> float:
            spent = 0.0
            for _ in range(times):
                began = time.perf_counter()
                watcher.look()
                spent += time.perf_counter() - began
                world.clock.advance(watcher.due_in())
            return spent

        milliseconds = look(50) / 50 * 1e3
        # A short history, which is full before anything is measured: it is kept on purpose.
        watcher._events = EventLog(samples=1000)
        tracemalloc.start()
        try:
            look(100)
            rows: list[list[report.Cell]] = []
            for count in (0, looks // 2, looks - looks // 2):
                look(count)
                gc.collect()
                kept = tracemalloc.get_traced_memory()[0] / 1e6
                done = count + sum(row[0] for row in rows[-1:] if isinstance(row[0], int))
                rows.append([done, threading.active_count(), kept])
        finally:
            tracemalloc.stop()
        report.table(
            "25 machines, look after look: what is left behind",
            ["looks", "threads", "MB allocated"],
            rows,
        )
        report.note(f"A look takes {milliseconds:.1f} ms, the simulated service included.")
