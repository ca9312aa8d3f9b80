"""Paced calls against a strict limiter: how near to the ideal, and at what price in 429s.

Each row of the table has a limiter and client processes of its own. The rows of one table run side
by side: they sleep nearly all the time, and the whole lasts as long as its slowest row.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.limiter import FORMS
from vastnb.api.endpoints import ENDPOINTS, Window

ROOT = Path(__file__).resolve().parents[1]
PUBLISHED = {1.0: "show_instances", 2.0: "show_instance", 4.5: "create_instance"}
"""Endpoints by the interval that is published for them, in seconds."""

UNPUBLISHED = "show_user"
FIRST_GUESS = 1.0
"""Seconds that vastnb assumes of an endpoint that nobody has published."""


@dataclass(frozen=True)
class Row:
    """One client against one limiter."""

    label: str
    client: str
    endpoint: str
    interval: float
    form: str
    shares: tuple[int, ...]
    longest: float
    window: Window | None = None
    scale: float = 1.0

    @property
    def calls(self) -> int:
        return sum(self.shares)

    @property
    def ideal(self) -> float:
        return least(self.calls, self.interval, self.window)


def least(calls: int, interval: float, window: Window | None) -> float:
    """Return the least seconds from the first call to the last."""
    sent: list[float] = [0.0]
    while len(sent) < calls:
        opens = sent[-1] + interval
        if window and len(sent) >= window.most:
            opens = max(opens, sent[-window.most] + window.seconds)
        sent.append(opens)
    return sent[-1]


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--interval", type=float, nargs="+", default=[1.0], choices=sorted(PUBLISHED), metavar="S",
        help="seconds between requests that the limiter wants: 1, 2, 4.5 (default 1)",
    )  # fmt: skip
    group.add_argument("--calls", type=int, default=10, help="calls of each process (default 10)")
    group.add_argument(
        "--processes", type=int, nargs="+", default=[1, 3], help="how many (default 1 and 3)"
    )
    group.add_argument(
        "--form", choices=FORMS, nargs="+", default=["today", "text"],
        help="what a refusal says: Retry-After; the interval in its text; nothing",
    )  # fmt: skip
    group.add_argument(
        "--search-scale", type=float, default=1.0,
        help="of the published 2 s and 60 s in the table of searches (default 1)",
    )  # fmt: skip
    group.add_argument(
        "--longest", type=float, default=200.0, help="seconds after which a row is cut (200)"
    )


def run(options: argparse.Namespace) -> None:
    report.note("limiter: one request per interval for each (method, route, key); a violation")
    report.note("closes the lane for 2.67 intervals. Ideal: (calls - 1) x interval.")
    for interval in options.interval:
        for processes in options.processes:
            rows = [
                row for form in options.form for row in _rows(options, interval, processes, form)
            ]
            results = _side_by_side(rows)
            _print(interval, processes, rows, results)
    searches = _searches(options)
    _print_searches(searches, _side_by_side(searches), options.search_scale)
    report.note("A ratio is given only where every call got its answer.")


def _rows(options: argparse.Namespace, interval: float, processes: int, form: str) -> list[Row]:
    known = PUBLISHED[interval]
    # At the first guess itself there would be nothing to learn.
    unknown = interval if interval > FIRST_GUESS else 1.5 * FIRST_GUESS
    bounds = {"shares": (options.calls,) * processes, "longest": options.longest}
    return [
        Row("vastnb, published interval", "ours", known, interval, form, **bounds),
        Row("vastnb, learning", "ours", UNPUBLISHED, unknown, form, **bounds),
        Row("simple client, 0.5 s and 2^n", "simple", known, interval, form, **bounds),
        Row("official client", "official", known, interval, form, **bounds),
    ]


def _searches(options: argparse.Namespace) -> list[Row]:
    row, scale = ENDPOINTS["search_offers"], options.search_scale
    assert row.interval is not None
    assert row.window is not None
    window = Window(row.window.most, row.window.seconds * scale)
    return [
        Row(
            label, "ours", "search_offers", row.interval * scale, "today",
            tuple(calls // processes + (n < calls % processes) for n in range(processes)),
            options.longest, window, scale,
        )
        for label, calls in (("burst", 8), ("in a row", 25))
        for processes in options.processes
    ]  # fmt: skip


def _print_searches(rows: list[Row], results: list[dict[str, Any]], scale: float) -> None:
    cells: list[list[report.Cell]] = []
    for row, result in zip(rows, results, strict=True):
        failed = result["failed"] + result["left"]
        ratio = "-" if failed else report.ratio(result["seconds"], row.ideal)
        cells.append(
            [f"{row.calls} {row.label}", len(row.shares), f"{row.ideal:.1f}",
             f"{result['seconds']:.2f}", ratio, result["refused"], failed]
        )  # fmt: skip
    columns = ["searches", "processes", "ideal s", "seconds", "to ideal", "429s", "failed"]
    title = f"Searches: 2 s apart and 10 in any 60 s, both x {scale:g}"
    report.table(title, columns, cells)


def _print(interval: float, processes: int, rows: list[Row], results: list[dict[str, Any]]) -> None:
    refusals = {
        "today": "Retry-After",
        "text": "its text names the interval",
        "bare": "says nothing",
    }
    cells: list[list[report.Cell]] = []
    for row, result in zip(rows, results, strict=True):
        failed = result["failed"] + result["left"]
        cells.append(
            [
                row.label,
                refusals[row.form],
                f"{row.interval:g} s",
                f"{row.ideal:.1f}",
                f"{result['seconds']:.2f}",
                "-" if failed else report.ratio(result["seconds"], row.ideal),
                result["refused"],
                failed,
            ]
        )
    columns = ["client", "a 429", "interval", "ideal s", "seconds", "to ideal", "429s", "failed"]
    calls = rows[0].shares[0]
    plural = "processes" if processes > 1 else "process"
    report.table(f"{processes} {plural} x {calls} calls, interval {interval:g} s", columns, cells)


def _side_by_side(rows: list[Row]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="vastnb-bench-") as folder:
        races = [_Race(row, Path(folder) / str(number)) for number, row in enumerate(rows)]
        try:
            for race in races:
                race.prepare()
            ready = [race for race in races if race.is_ready()]
            for race in ready:
                race.start()
            threads = [threading.Thread(target=race.finish) for race in ready]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return [race.result for race in races]
        finally:
            for race in races:
                race.close()


class _Race:
    """The processes of one row."""

    def __init__(self, row: Row, folder: Path) -> None:
        self.row = row
        self.folder = folder
        self.result: dict[str, Any] = {}
        self._processes: list[subprocess.Popen[str]] = []
        self._url = ""

    def prepare(self) -> None:
        self.folder.mkdir()
        row = self.row
        window = [str(part) for part in row.window] if row.window else []
        limiter = self._run(
            "bench.limiter", "--interval", str(row.interval), "--form", row.form,
            *(["--window", *window] if window else []),
        )  # fmt: skip
        assert limiter.stdout is not None
        self._url = f"http://127.0.0.1:{int(limiter.stdout.readline())}"
        for share in row.shares:
            numbers = [str(share), str(row.longest), str(row.scale)]
            self._run("bench.callers", row.client, self._url, row.endpoint, *numbers)

    def _run(self, module: str, *arguments: str) -> subprocess.Popen[str]:
        environment = {k: v for k, v in os.environ.items() if not k.upper().endswith("_PROXY")}
        environment |= {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "VASTNB_CACHE_DIR": str(self.folder / "cache" / "vastnb"),
        }
        environment.pop("VAST_API_KEY", None)
        environment.pop("VAST_URL", None)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=(self.folder / "errors.txt").open("a"),
        )  # fmt: skip
        self._processes.append(process)
        return process

    def is_ready(self) -> bool:
        """Wait until every process can start; say what is wrong with one that cannot."""
        for process in self._processes[1:]:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                process.wait(10)
                errors = (self.folder / "errors.txt").read_text().strip().splitlines()
                report.note(f"{self.row.label} did not start: {errors[-1] if errors else '?'}")
                failed = self.row.calls
                self.result = {"seconds": 0.0, "refused": 0, "done": 0, "failed": failed, "left": 0}
                return False
        return True

    def start(self) -> None:
        for process in self._processes[1:]:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    def finish(self) -> None:
        ends = []
        for process in self._processes[1:]:
            assert process.stdout is not None
            ends.append(json.loads(process.stdout.readline()))
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"{self._url}/counts", timeout=10
        ) as answer:
            self.result = json.load(answer)
        self.result |= {
            "seconds": max(e["ended"] for e in ends) - min(e["started"] for e in ends),
            **{name: sum(e[name] for e in ends) for name in ("done", "failed", "left")},
            "errors": [e["errors"] for e in ends if e["errors"]],
            "stderr": (self.folder / "errors.txt").read_text()[-2000:],
        }

    def close(self) -> None:
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
