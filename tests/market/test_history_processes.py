"""The price history among several processes, and among processes that are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.market.histories import ROWS, history
from vastnb.market.history import History
from vastnb.market.history.days import sole

ROOT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("VASTNB_KILLS", "12"))
"""How many writers are killed, two at a time."""
HOLD = """
import os, signal, sys
from pathlib import Path
from vastnb.market.history.days import sole
with sole(Path(sys.argv[1])) as alone:
    os.write(1, b"held" if alone else b"no")
    signal.pause()
"""


class Kernel:
    """A process that writes snapshots, and what it has said so far."""

    def __init__(self, out: Path, *words: object) -> None:
        self.out = out
        with out.open("w") as stdout:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.market.history_kernel", *map(str, words)],
                cwd=ROOT, stdout=stdout, env={**os.environ, "PYTHONPATH": str(ROOT)},
            )  # fmt: skip

    def said(self) -> set[int]:
        """The snapshots that it said it had written; a last line may be cut short."""
        lines = self.out.read_text().splitlines(keepends=True)
        return {int(line) for line in lines if line.endswith("\n")}

    def wait_until_at_work(self) -> None:
        until = time.monotonic() + 60
        while not self.said():
            assert self.process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.005)


def snapshots(past: History) -> dict[int, int]:
    """Rows of each snapshot."""
    found = past.frame(sql="SELECT machine_id, count(*) AS n FROM history GROUP BY 1 ORDER BY 1")
    return dict(zip(found["machine_id"].tolist(), found["n"].tolist(), strict=True))


@pytest.mark.slow
def test_kernels_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    past = history(tmp_path)
    kernels = [Kernel(tmp_path / f"{first}.txt", "add", tmp_path, 30, first) for first in (0, 1000)]
    for kernel in kernels:
        assert kernel.process.wait(timeout=60) == 0
    said = sorted(kernels[0].said() | kernels[1].said())
    assert len(said) == 60
    assert snapshots(past) == dict.fromkeys(said, ROWS)


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_no_snapshot_that_was_said_to_be_written(
    tmp_path: Path,
) -> None:
    rng = random.Random(7)
    past = history(tmp_path)
    said: set[int] = set()
    killed = 0
    for turn in range(KILLS // 2):
        kernels = [
            Kernel(tmp_path / f"{turn}-{k}.txt", "churn", tmp_path, 10_000 * (2 * turn + k))
            for k in range(2)
        ]
        for kernel in kernels:
            kernel.wait_until_at_work()
        until = time.monotonic() + rng.uniform(0.05, 0.5)
        while time.monotonic() < until:  # somebody looks all the time
            assert set(snapshots(past).values()) == {ROWS}
        for kernel in kernels:
            kernel.process.send_signal(signal.SIGKILL)
        for kernel in kernels:
            kernel.process.wait(timeout=30)
            said |= kernel.said()
            killed += 1
        found = snapshots(past)
        assert set(found.values()) == {ROWS}, "a snapshot was halved or doubled"
        assert said <= found.keys(), "a snapshot that was written is gone"
        # At most the one that was under way was written without being spoken of.
        assert len(found) <= len(said) + killed
    assert len(said) > 2 * killed
    assert killed == KILLS // 2 * 2
    assert list(past.path.rglob("offers-*.parquet"))


@pytest.mark.slow
def test_a_lock_whose_holder_was_killed_is_free_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "offers"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        cwd=ROOT, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.read(4) == b"held"
        with sole(folder) as alone:
            assert not alone
    finally:
        holder.kill()
        holder.communicate(timeout=10)
    with sole(folder) as alone:
        assert alone


BLOCKED = """
import sys, warnings
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split(","):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
warnings.simplefilter("error")
import vastnb
from vastnb.clock import ManualClock
clock = ManualClock()
with vastnb.demo(clock=clock, speed=1, machines=150) as client:
    frame = client.search_offers()
    assert len(frame) > 10, len(frame)
    alert = client.history.watch(below=1000)
    clock.advance(200)
    warnings.simplefilter("ignore")
    client.search_offers()
    assert len(alert.hits), "alerts need neither package"
    assert len(client.gpu_metrics())
    asked = {
        "frame": lambda: client.history.frame(),
        "trend": lambda: client.history.trend("4090"),
        "percentile": lambda: client.history.percentile(frame.iloc[0]),
        "percentiles": lambda: client.history.percentiles(frame),
        "info": lambda: client.history.info(),
        "simulate": lambda: client.history.simulate(),
        "diff": lambda: client.history.diff(1, 0),
    }
    for name, ask in asked.items():
        try:
            ask()
        except ImportError as error:
            print(name, error)
        else:
            print(name, "worked")
"""


@pytest.mark.slow
@pytest.mark.parametrize("blocked", ["pyarrow,duckdb", "duckdb"])
def test_without_the_extra_everything_else_works_and_the_word_is_clear(blocked: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, blocked], cwd=ROOT, capture_output=True, text=True,
        timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 7
    for line in lines:
        assert "pip install 'vastnb[history]'" in line, line
        assert "needs duckdb" in line


@pytest.mark.slow
def test_pyarrow_is_not_needed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, "pyarrow"], cwd=ROOT, capture_output=True, text=True,
        timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        word for name in ("frame", "trend", "percentile", "percentiles", "info", "simulate", "diff")
        for word in (name, "worked")
    ]  # fmt: skip


@pytest.mark.slow
def test_importing_the_package_imports_no_history() -> None:
    # pandas itself imports pyarrow, its core, where it is installed.
    code = (
        "import sys, vastnb; print([m for m in ('duckdb', 'pyarrow.parquet',"
        " 'vastnb.market.history.history') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert found.strip() == "[]"
