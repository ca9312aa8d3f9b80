"""The price history: what a search pays for it, and a large market asked without loading it."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench import report
from bench.rows import rows_for

ROOT = Path(__file__).resolve().parents[1]
SEARCHED = 512
DAYS = 365
TREND_DAYS = 90
GPU = "RTX 4090"
GPUS = 60
MACHINES = 7400

OURS = "history.trend"
SAME = "by hand, machines once"
PLAIN = "by hand, plain quantiles"

# What somebody who knows DuckDB would write over the same files.
PLAIN_SQL = """
    SELECT date_trunc('day', seen_at) AS span,
        quantile_cont(dph_base / num_gpus, [0.1, 0.25, 0.5, 0.75, 0.9]) AS q, count(*) AS n
    FROM read_parquet($files, hive_partitioning = true)
    WHERE day >= $day AND seen_at >= $since AND gpu_name = $gpu AND type = 'on-demand'
        AND NOT restricted
    GROUP BY span ORDER BY span
"""
SAME_SQL = """
    WITH machines AS (
        SELECT date_trunc('day', seen_at) AS span, machine_id, avg(dph_base / num_gpus) AS price,
            count(*) AS offers
        FROM read_parquet($files, hive_partitioning = true)
        WHERE day >= $day AND seen_at >= $since AND gpu_name = $gpu AND type = 'on-demand'
            AND NOT restricted
        GROUP BY ALL
    )
    SELECT span, min(price), quantile_cont(price, [0.1, 0.25, 0.5, 0.75, 0.9]) AS q, max(price),
        count(*) AS machines, sum(offers) AS offers
    FROM machines GROUP BY span ORDER BY span
"""

PROGRAM = """
import json, os, resource, sys, time
from bench import history
name, folder, what = sys.argv[1:]
ask = history.contenders(folder)[name]
started = time.perf_counter()
rows = ask()
first = time.perf_counter() - started
again = []
for _ in range(5):
    started = time.perf_counter()
    ask()
    again.append(time.perf_counter() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
peak /= 2**20 if sys.platform == "darwin" else 1024
if os.path.exists("/proc/self/status"):  # there, the figure above begins with the parent's
    lines = open("/proc/self/status").read().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
print(json.dumps([first, sorted(again)[2], peak, rows]))
"""

APPEND = """
import json, sys, time
from bench import history
print(json.dumps(history.appends(sys.argv[1], int(sys.argv[2]))))
"""


class Line:
    """A way to a service that is not asked."""

    simulated = False

    def call(self, endpoint: str, **request: Any) -> Any:
        raise AssertionError(endpoint)


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--history-rows", type=int, default=10_000_000, help="rows to ask (default 10,000,000)"
    )
    group.add_argument(
        "--history-kills", type=int, default=12, help="processes that are killed (default 12)"
    )


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="vastnb-bench-") as folder:
        _appending(Path(folder) / "appended")
        _asking(Path(folder) / "asked", options.history_rows)
        _killing(Path(folder) / "killed", options.history_kills)


# -- what a search pays ----------------------------------------------------------------------------


def appends(folder: str, times: int) -> dict[str, Any]:
    """Hand the same answer over again and again, in a new process; milliseconds."""
    from vastnb.api.answers import Answer
    from vastnb.clock import SystemClock
    from vastnb.market.frames.offers import frame_of_offers
    from vastnb.market.history import Keep
    from vastnb.market.history.recorder import Recorder

    os.environ["VASTNB_DATA_DIR"] = folder
    rows, what = rows_for(SEARCHED)
    recorder = Recorder(Line(), Keep(), "https://console.vast.ai", SystemClock())
    frame = frame_of_offers(rows)
    frame.attrs["vastnb"] = {"truncated": True, "query": "gpu_name=RTX_4090"}
    took, used = [], []
    for number in range(times):
        answer = Answer(200, b"", fetched_at=datetime.now(UTC), key=str(number))
        started, cpu = time.perf_counter(), time.process_time()
        recorder(frame, {"type": "on-demand"}, [answer])
        took.append((time.perf_counter() - started) * 1e3)
        used.append((time.process_time() - cpu) * 1e3)
    info = recorder.history.info()
    assert info["rows"] == times * len(frame), info
    days = recorder.history._open()
    (day,) = days.store.days()
    rows = days.store.rows()
    assert rows is not None
    started = time.perf_counter()
    days.fold(day)
    took_file = (time.perf_counter() - started) * 1e3
    (file,) = days.files()
    recorder.close()
    return {"took": took, "used": used, "what": what, "rows": len(frame), "file_ms": took_file,
            "file_rows": len(rows), "file_bytes": file.path.stat().st_size / len(rows)}  # fmt: skip


def _appending(folder: Path) -> None:
    firsts = []
    for turn in range(3):
        done = _python(APPEND, str(folder / str(turn)), "60")
        firsts.append(done["took"][0])
        warm = done["took"][1:]
    cells: list[list[report.Cell]] = [
        ["first in a process (three processes)", report.median(firsts), None, max(firsts), None],
        ["later", report.median(warm), report.quantile(warm, 0.95), max(warm),
         report.median(done["used"][1:])],
    ]  # fmt: skip
    columns = ["recording a search", "ms median", "ms 95 %", "ms most", "ms of CPU"]
    report.table(f"{done['rows']} offers ({done['what']}), written and flushed", columns, cells)
    report.note("In the thread of the search: rows to SQLite, one transaction, flushed.")
    report.note(
        f"The file of a day with {done['file_rows']:,} rows: {done['file_ms']:.0f} ms, "
        f"{done['file_bytes']:.1f} bytes a row."
    )


# -- a large market --------------------------------------------------------------------------------


def fill(folder: Path, rows: int) -> tuple[Any, float]:
    """Write a year of a made-up market, a file a day; return the history and its size in bytes."""
    from vastnb.clock import SystemClock
    from vastnb.market.history import History
    from vastnb.market.history.days import COLUMNS, ROWS_A_GROUP
    from vastnb.market.history.sql import Source

    history = History(folder, "https://console.vast.ai", SystemClock(), Line())
    rng = np.random.default_rng(0)
    today = datetime.now(UTC).date()
    market = _market(rng)
    size = 0
    for back in range(1, DAYS + 1):
        day = today - timedelta(days=back)
        path = history.path / f"day={day}" / f"offers-{1:010d}.parquet"
        path.parent.mkdir(parents=True)
        source = Source((), _day(day, rows // DAYS + 1, rng, market), COLUMNS)
        history._engine.copy(
            source, "SELECT * FROM {rows}", path, ("gpu_name", "machine_id", "seen_at"),
            ROWS_A_GROUP,
        )  # fmt: skip
        size += path.stat().st_size
    return history, size


def _market(rng: np.random.Generator) -> dict[str, Any]:
    names = np.array([f"GPU {number}" for number in range(GPUS - 1)] + [GPU])
    weights = 1 / (1 + np.arange(GPUS))
    weights[-1] = 0.8
    gpu = np.sort(rng.choice(GPUS, MACHINES, p=weights / weights.sum()))
    return {"names": names, "gpu": gpu, "price": rng.lognormal(-1, 0.4, MACHINES)}


def _day(day: date, rows: int, rng: np.random.Generator, market: dict[str, Any]) -> Any:
    """Return the rows of a day, some 40 searches' worth."""
    m = rng.integers(0, MACHINES, rows)
    searches = max(1, rows // SEARCHED)
    search = rng.integers(0, searches, rows)
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1e6)
    gpus = 2 ** rng.integers(0, 4, rows)
    price = market["price"][m] * (1 + 0.05 * np.sin(midnight / 7.8e11 + m))
    columns = {
        "seen_at": pd.to_datetime(
            midnight + search * (86_400_000_000 // searches), unit="us", utc=True
        ),
        "type": "on-demand", "gpu_name": market["names"][market["gpu"][m]],
        "gpu_ram": 24_564 + 0 * m, "gpu_ram_gb": 24 + 0 * m,
        "machine_id": m + 1000, "num_gpus": gpus, "host_id": m // 3,
        "dph_base": price * gpus, "min_bid": price * gpus * 0.6,
        "storage_cost": 0.1 + m % 7 * 0.03, "inet_down_cost": m % 5 * 0.003,
        "inet_up_cost": m % 5 * 0.003, "dlperf": gpus * (90 + m % 50 / 5),
        "total_flops": gpus * 82.5, "reliability": 0.9 + m % 1000 / 1e4,
        "verified": m % 10 > 0, "datacenter": m % 4 == 0,
        "country": np.array(["US", "SE", "DE", "TW", "CN", "NO"])[m % 6],
        "query": np.array(["", "num_gpus>=1", "num_gpus>=2"])[search % 3],
        "restricted": search % 11 == 0, "truncated": search % 3 == 1, "simulated": False,
    }  # fmt: skip
    return pd.DataFrame(columns)


def contenders(folder: str) -> dict[str, Any]:
    """Return who asks for the trend."""
    import duckdb

    from vastnb.clock import SystemClock
    from vastnb.market.history import History

    history = History(Path(folder), "https://console.vast.ai", SystemClock(), Line())
    since = datetime.now(UTC) - timedelta(days=TREND_DAYS)
    connection = duckdb.connect()
    connection.execute("SET threads = 2")
    values = {
        "files": str(history.path / "**" / "*.parquet"), "day": since.date(), "since": since,
        "gpu": GPU,
    }  # fmt: skip
    return {
        OURS: lambda: len(history.trend(GPU, days=TREND_DAYS)),
        SAME: lambda: len(connection.execute(SAME_SQL, values).df()),
        PLAIN: lambda: len(connection.execute(PLAIN_SQL, values).df()),
        "nothing asked": lambda: 0,
    }


def _asking(folder: Path, rows: int) -> None:
    started = time.perf_counter()
    history, size = fill(folder, rows)
    report.note("")
    report.note(f"{rows:,} rows made in {time.perf_counter() - started:.0f} s.")
    found = {name: _python(PROGRAM, name, str(folder), "") for name in contenders(str(folder))}
    asked = {name: contenders(str(folder))[name] for name in (OURS, SAME, PLAIN)}
    wall, cpu = _turns(asked, 15)
    cells: list[list[report.Cell]] = [
        [
            name,
            first * 1e3,
            wall[name] * 1e3 if name in wall else None,
            report.ratio(wall.get(name), wall[PLAIN]),
            report.ratio(wall.get(name), wall[SAME]),
            cpu[name] * 1e3 if name in cpu else None,
            report.ratio(cpu.get(name), cpu[PLAIN]),
            report.ratio(cpu.get(name), cpu[SAME]),
            peak,
        ]
        for name, (first, _, peak, _) in found.items()
    ]
    report.table(
        f"Trend of {GPU} over {TREND_DAYS} days in {rows / 1e6:g} million rows "
        f"({size / 1e6:.0f} MB, {size / rows:.1f} bytes a row, {DAYS} files)",
        ["", "ms first", "ms median", "to plain", "to same", "ms of CPU", "to plain", "to same",
         "MB resident"],
        cells,
    )  # fmt: skip
    report.note("'first' and 'MB resident' (the peak) of a new process, imports apart from the")
    report.note("time; medians of 15 turns in one process; CPU time of all threads, which other")
    report.note("work on the machine hardly touches. By hand nothing is counted of what a trend")
    report.note("tells: snapshots behind each figure, searches, and those left out.")
    today = _search_today(history)
    wall, cpu = _turns({name: asked[name] for name in (OURS, SAME)}, 15)
    cells = [
        [name, wall[name] * 1e3, report.ratio(wall[name], wall[SAME]), cpu[name] * 1e3,
         report.ratio(cpu[name], cpu[SAME])]
        for name in wall
    ]  # fmt: skip
    report.table(
        f"The same, and {today:,} rows of today, which are in no file (by hand they are left out)",
        ["", "ms median", "to same", "ms of CPU", "to same"],
        cells,
    )
    _others(history)


def _search_today(history: Any) -> int:
    """Record a search every few minutes of today; return how many rows there are."""
    from vastnb.market.frames.offers import frame_of_offers
    from vastnb.market.history.columns import Sample

    rows, _ = rows_for(SEARCHED)
    frame = frame_of_offers(rows)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for number in range(60):
        at = midnight + timedelta(minutes=number)
        history.add(frame, Sample(at, "on-demand", "num_gpus>=1", False, True, False))
    return 60 * len(frame)


def _turns(asked: dict[str, Any], turns: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return medians of the time and of the CPU time, everybody taking turns."""
    wall: dict[str, list[float]] = {name: [] for name in asked}
    cpu: dict[str, list[float]] = {name: [] for name in asked}
    for turn in range(turns + 1):
        for name, ask in asked.items():
            started, used = time.perf_counter(), time.process_time()
            ask()
            if turn:
                wall[name].append(time.perf_counter() - started)
                cpu[name].append(time.process_time() - used)
    middle = report.median
    return (
        {name: middle(values) for name, values in wall.items()},
        {name: middle(values) for name, values in cpu.items()},
    )


def _others(history: Any) -> None:
    from vastnb.market.frames.offers import frame_of_offers

    rows, _ = rows_for(SEARCHED)
    frame = frame_of_offers(rows)
    frame["gpu_name"] = GPU
    frame["gpu_ram_gb"] = 24
    questions = {
        "percentile of an offer, 14 days": lambda: history.percentile(frame.iloc[0]),
        f"percentiles of {len(frame)} offers, 14 days": lambda: history.percentiles(frame),
        "rows of a GPU, 7 days": lambda: history.frame(GPU, since=7),
        "one machine, all days": lambda: history.frame(GPU, machine_id=8000),
        "own SQL: offers by country and month": lambda: history.frame(
            sql="SELECT country, month(seen_at) AS m, count(*) AS n FROM history GROUP BY ALL"
        ),
        "info": history.info,
    }
    seconds = report.interleaved(questions, 5)
    cells: list[list[report.Cell]] = [
        [name, report.median(values) * 1e3, max(values) * 1e3] for name, values in seconds.items()
    ]
    report.table("Other questions to the same files", ["", "ms median", "ms most"], cells)


# -- processes that are killed ---------------------------------------------------------------------


def _killing(folder: Path, kills: int) -> None:
    """Kill processes that record and write files; compare what is there with what they said."""

    from tests.market.histories import ROWS, history

    folder.mkdir(parents=True)
    past = history(folder)
    rng = random.Random(0)
    said: set[int] = set()
    torn = lost = unspoken = looks = bad_looks = 0
    sql = "SELECT machine_id, count(*) AS n FROM history GROUP BY 1"
    for turn in range(kills):
        out = folder / f"{turn}.txt"
        with out.open("w") as stdout:
            pair = [
                subprocess.Popen(
                    [sys.executable, "-m", "tests.market.history_kernel", "churn",
                     str(folder), str(100_000 * (2 * turn + k))],
                    cwd=ROOT, stdout=stdout,
                )
                for k in range(2)
            ]  # fmt: skip
        while "\n" not in out.read_text():
            time.sleep(0.01)
        until = time.monotonic() + rng.uniform(0.1, 1.5)
        while time.monotonic() < until:
            looks += 1
            bad_looks += set(past.frame(sql=sql)["n"].tolist()) != {ROWS}
        for process in pair:
            process.send_signal(signal.SIGKILL)
            process.wait()
        said |= {int(line) for line in out.read_text().splitlines(True) if line.endswith("\n")}
        found = past.frame(sql=sql)
        there = dict(zip(found["machine_id"].tolist(), found["n"].tolist(), strict=True))
        torn = sum(count != ROWS for count in there.values())
        lost = len(said - there.keys())
        unspoken = len(there.keys() - said)
    report.table(
        "Pairs of processes that record and write the file of the day, killed (SIGKILL) at random",
        ["", "count"],
        [
            ["kills", 2 * kills],
            ["snapshots said to be written", len(said)],
            ["... of which lost", lost],
            ["halved or doubled", torn],
            ["written, and killed before saying so", unspoken],
            ["looks of a reader meanwhile", looks],
            ["... that saw a halved or doubled snapshot", bad_looks],
        ],
    )


def _python(program: str, *words: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])
