"""What is left behind when renting goes wrong: machines nobody knows of, rented twice, billing.

The truth is the simulated service's; the mishaps are those of `tests.fleet.harness`. Unknown are
machines that exist and that the caller was not told of, after the error it got was dealt with as
it says; came back are those that were destroyed and exist again. All of these should be 0.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from pathlib import Path

import vastnb
from bench import report
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.sim import Server


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--creates", type=int, default=1000, help="(default 1000)")
    group.add_argument("--kills", type=int, default=100, help="(default 100)")
    group.add_argument(
        "--official", type=int, default=100,
        help="creates of the official client, which sleeps for real (default 100)",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        before = {name: os.environ.get(name) for name in ("VASTNB_DATA_DIR", "VASTNB_CACHE_DIR")}
        os.environ["VASTNB_DATA_DIR"] = f"{directory}/data"
        os.environ["VASTNB_CACHE_DIR"] = f"{directory}/cache"
        try:
            _run(options, Path(directory))
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _run(options: argparse.Namespace, directory: Path) -> None:
    # Here, since the harness needs the packages of the tests.
    from tests.fleet import harness

    rows = {}
    clock = ManualClock(time.time())
    with Server(seed=7, speed=1, clock=clock, limits=None, quota=None, credit=1e9) as server:
        client, create = harness.ours(server, clock)
        with client:
            rows["vastnb, a mishap each"] = harness.many_creates(server, create, options.creates)
        rows["official client, the same mishaps"] = harness.many_creates(
            server, harness.official(server), options.official
        )
        rows["vastnb, destroyed and came back"] = harness.destroyed_machines(server, clock, 20)
        # Its sessions are not closed by it.
        warnings.simplefilter("ignore", ResourceWarning)
        if hasattr(os, "fork"):
            with harness.Nursery(server, directory / "data", directory / "kernels") as nursery:
                rows["vastnb, kernels killed (SIGKILL)"] = harness.killed_kernels(
                    server, clock, nursery, options.kills
                )
                rows["vastnb, two kernels at once"] = harness.two_kernels(
                    server, clock, nursery, 25
                )
    heads = ["", "creates", "machines", "unknown", "twice", "stopped", "came back", "s"]
    report.table("What is left behind", heads, harness.table(rows))
    for name, one in rows.items():
        counted = ", ".join(f"{what} {n}" for what, n in sorted(one.mishaps.items()))
        print(f"{name}: {counted}" if counted else name)
        for line in one.bad[:3]:
            print(f"    for one: {line}")
    _ten()


def _ten() -> None:
    clock = ManualClock()
    with (
        Server(seed=7, speed=1, clock=clock) as server,
        vastnb.Client(
            server.api_key, base_url=server.url, cache="memory", clock=clock, on_wait=silent
        ) as client,
    ):
        started = clock.time()
        fleet = client.rent("num_gpus=1", image="a/b", disk=10, count=10)
        took, least = clock.time() - started, 9 * 4.5
        refused = server.refused.get("create_instance", 0)
        print(
            f"10 machines in one rent: {len(list(fleet))} rented in {took:.1f} s, "  # type: ignore[arg-type]
            f"{took / least:.3f}x the paced minimum of {least:.1f} s, {refused} refused (429)"
        )
