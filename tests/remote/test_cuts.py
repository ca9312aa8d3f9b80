"""Connections cut at random moments: nothing hangs, no file is broken, no kernel is lost.

``VASTNB_CUTS=100`` says how many; the suite takes a few.
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from vastnb.errors import ConnectionLost
from vastnb.remote.copying import copy
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.run import run
from vastnb.remote.session import Session

from .conftest import Machine
from .cutting import Proxy

CUTS = int(os.environ.get("VASTNB_CUTS", "6"))
LONGEST = 60.0
"""Seconds that a call may take in all; more is a hang."""


@pytest.mark.timeout(1800)
def test_cuts_at_random_moments_hang_nothing_and_lose_nothing(
    weak: Session, proxy: Proxy, machine: Machine, tmp_path: Path
) -> None:
    rng = random.Random(16)
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        (source / f"{number}.bin").write_bytes(rng.randbytes(6_000_000))
    wanted = {file.name: file.read_bytes() for file in source.iterdir()}
    kernel = RemoteKernel(weak, "cuts").open()
    first = kernel.pid
    kernel.execute("import time\ndone = 0")
    lost = {"run": 0, "upload": 0, "cell": 0}
    tally = {"run": 0, "upload": 0, "cell": 0}
    begun_cells = 0
    try:
        for number in range(CUTS):
            action = ("run", "upload", "cell")[number % 3]
            tally[action] += 1
            threading.Timer(rng.uniform(0.0, 0.5), proxy.cut).start()
            begun = time.monotonic()
            target = f"cut-{number}"
            try:
                if action == "run":
                    result = run(weak, "sleep 0.3; echo whole", show=False)
                    assert (result.code, result.out) == (0, "whole\n")
                elif action == "upload":
                    engine = rng.choice(("rsync", "plain"))
                    copy(weak, source, target, up=True, memory=tmp_path / "m", engine=engine,
                         show=False)  # fmt: skip
                else:
                    begun_cells += 1
                    kernel.execute("time.sleep(0.3); done += 1", show=lambda *what: None)
            except ConnectionLost:
                lost[action] += 1
            assert time.monotonic() - begun < LONGEST, f"cut {number}: {action} hung"
            if action == "upload":
                place = machine.workspace / target
                for file in place.glob("*.bin") if place.exists() else ():
                    assert file.read_bytes() == wanted[file.name], f"cut {number}: {file} is broken"
        assert kernel.pid == first
        kernel.execute("print(done)", show=lambda *what: None)
        weak.open()
        assert weak.alive(first)
        reply = kernel.execute("", ask={"done": "done"}, show=lambda *what: None)
        told = int(reply["user_expressions"]["done"]["data"]["text/plain"])
        assert begun_cells - lost["cell"] <= told <= begun_cells
    finally:
        print(f"{machine.kind}: {CUTS} cuts in {tally}, calls lost: {lost}")
        kernel.shutdown()
