"""The simulated service: how fast, how lean, and how near to the recorded market."""

from __future__ import annotations

import argparse
import http.client
import importlib.resources
import json
import os
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench import report
from bench.rows import simulated_rows

ROOT = Path(__file__).resolve().parents[1]
FREE = {"rentable": {"eq": True}, "rented": {"eq": False}}
SMALL = {"gpu_name": {"eq": "RTX 4090"}, "order": [["dph_total", "asc"]], "limit": 20, **FREE}
QUESTIONS: dict[str, dict[str, Any]] = {
    "one GPU type, cheapest 20": SMALL,
    "any GPU, cheapest 20": {"order": [["dph_total", "asc"]], "limit": 20, **FREE},
    "four filters, at most 512": {
        "verified": {"eq": True}, "rentable": {"eq": True}, "num_gpus": {"gte": 2},
        "dph_total": {"lt": 3.0}, "order": [["score", "desc"]], "limit": 512,
    },
    "GPU in a list and VRAM": {
        "gpu_name": {"in": ["RTX 3090", "RTX 4090", "A100 SXM4"]}, "gpu_ram": {"gte": 23000},
    },
    "no filter": {},
}  # fmt: skip


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--memory-calls", type=int, default=4000, metavar="N",
        help="small calls over which the memory is watched (default 4000; 100000 in some minutes)",
    )  # fmt: skip
    group.add_argument("--threads", type=int, default=8, help="that call at once (default 8)")
    group.add_argument("--gpus", type=int, default=20, help="GPU types to compare (default 20)")


def run(options: argparse.Namespace) -> None:
    rows = simulated_rows()
    with _service() as (process, url, key):
        _searches(_Connection(url, key), rows)
        _load(process.pid, url, key, options.threads, options.memory_calls)
    _fidelity(rows, options.gpus)


@contextmanager
def _service() -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.simserver"],
        cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        yield process, said["url"], said["key"]
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


class _Connection:
    """One kept connection; the standard library's client, so that little but the service is
    measured."""

    def __init__(self, url: str, key: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, body: bytes) -> tuple[int, bytes]:
        self._http.request("POST", "/api/v0/bundles/", body, self._headers)
        answer = self._http.getresponse()
        return answer.status, answer.read()

    def search(self, question: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
        status, body = self.post(json.dumps(question).encode())
        if status != 200:
            raise RuntimeError(f"{status}: {body[:300]!r}")
        return json.loads(body)["offers"], len(body)


def _searches(connection: _Connection, market: list[dict[str, Any]]) -> None:
    bodies = {name: json.dumps(question).encode() for name, question in QUESTIONS.items()}
    seconds = report.interleaved(
        {name: partial(connection.post, body) for name, body in bodies.items()}, 15
    )
    cells: list[list[report.Cell]] = []
    for name, question in QUESTIONS.items():
        rows, length = connection.search(question)
        times = seconds[name]
        cells.append(
            [
                name,
                len(rows),
                length / 1e6,
                report.median(times) * 1e3,
                report.quantile(times, 0.95) * 1e3,
            ]
        )
    report.table(
        f"A search among {len(market):,} offers ({sum(bool(row['rentable']) for row in market):,} "
        "of them rentable), over HTTP on one connection",
        ["", "rows", "MB", "ms median", "ms 95 %"],
        cells,
    )


def _load(pid: int, url: str, key: str, threads: int, calls: int) -> None:
    """Call from several threads, and look at the memory on the way."""
    body = json.dumps(SMALL).encode()
    lock = threading.Lock()
    left = calls
    times: list[float] = []
    errors: dict[str, int] = defaultdict(int)

    def work() -> None:
        nonlocal left
        connection = _Connection(url, key)
        while True:
            with lock:
                if left <= 0:
                    return
                left -= 1
            started = time.perf_counter()
            try:
                status, _ = connection.post(body)
                problem = "" if status == 200 else str(status)
            except (OSError, http.client.HTTPException) as error:
                problem = type(error).__name__
                connection = _Connection(url, key)
            took = time.perf_counter() - started
            with lock:
                times.append(took)
                if problem:
                    errors[problem] += 1

    marks = [_memory(pid)]
    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for step in range(1, 11):
        while len(times) < calls * step // 10 and any(w.is_alive() for w in workers):
            time.sleep(0.05)
        marks.append(_memory(pid))
    for worker in workers:
        worker.join()
    took = time.perf_counter() - started
    cells: list[list[report.Cell]] = [
        ["calls", calls],
        ["calls a second", calls / took],
        ["ms median", report.median(times) * 1e3],
        ["ms 95 %", report.quantile(times, 0.95) * 1e3],
        ["errors", ", ".join(f"{n} x {what}" for what, n in errors.items()) or 0],
    ]
    cells += [
        [f"memory after {share} % of the calls, MB", marks[share // 10]]
        for share in (0, 10, 50, 100)
    ]
    per_call = None
    if marks[1] is not None and marks[-1] is not None:
        per_call = (marks[-1] - marks[1]) * 1e6 / (0.9 * calls)
    cells.append(["growth after the first 10 %, bytes a call", per_call])
    report.table(f"{threads} threads, 20 rows a call", ["", "figure"], cells)


def _memory(pid: int) -> float | None:
    """Return the resident memory of a process in MB, where the system tells."""
    status = Path(f"/proc/{pid}/statm")
    if not status.exists():
        return None
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _fidelity(rows: list[dict[str, Any]], count: int) -> None:
    file = importlib.resources.files("vastnb.sim.market") / "profile.json"
    gpus = json.loads(file.read_text(encoding="utf-8"))["gpus"]
    prices: dict[str, list[float]] = defaultdict(list)
    sizes: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        prices[row["gpu_name"]].append(row["dph_base"] / row["num_gpus"])
        sizes[row["gpu_name"]].append(row["gpu_ram"])
    total = sum(profile["weight"] for profile in gpus.values())
    cells: list[list[report.Cell]] = []
    for name, profile in list(gpus.items())[:count]:
        shown = f"{name} *" if profile.get("few_rows") else name
        if not prices[name]:
            cells.append([shown, f"{profile['weight'] / total:.1%}", "0 %", *[None] * 5])
            continue
        recorded = profile["price"]
        drawn = [report.quantile(prices[name], share) for share in (0.1, 0.5, 0.9)]
        memory = [mb for mb, n in profile["gpu_ram"] for _ in range(n)]
        cells.append(
            [
                shown,
                f"{profile['weight'] / total:.1%}",
                f"{len(prices[name]) / len(rows):.1%}",
                " / ".join(f"{price:.3f}" for price in recorded),
                " / ".join(f"{price:.3f}" for price in drawn),
                report.ratio(drawn[1], recorded[1]),
                _three(memory),
                _three(sizes[name]),
            ]
        )
    columns = [
        "GPU", "share rec.", "share sim.", "$/h per GPU recorded", "simulated", "median to rec.",
        "VRAM MB recorded", "simulated",
    ]  # fmt: skip
    report.table(
        f"Simulated ({len(rows):,} offers) beside recorded: 10, 50 and 90 % quantiles",
        columns,
        cells,
    )
    _summary(gpus, prices, total, len(rows))


def _summary(gpus: dict[str, Any], prices: dict[str, list[float]], total: int, offers: int) -> None:
    both = [name for name in gpus if prices[name]]
    off = {
        share: report.median(
            [
                abs(report.quantile(prices[n], share) / gpus[n]["price"][i] - 1)
                for n in both
                if len(prices[n]) >= 10
            ]
        )
        for i, share in enumerate((0.1, 0.5, 0.9))
    }
    apart = sum(abs(gpus[n]["weight"] / total - len(prices[n]) / offers) for n in gpus) / 2
    report.note(
        "GPU types of 10 offers and more, typical distance from the recorded price: "
        + ", ".join(f"{off[s]:.1%} at {s:.0%}" for s in off)
    )
    guessed = sum(1 for profile in gpus.values() if profile.get("few_rows"))
    report.note(
        f"{guessed} newer GPU types, marked *, were recorded too rarely: theirs is an assumption."
    )
    report.note(
        f"{len(both)} of {len(gpus)} GPU types are on offer; "
        f"{apart:.1%} of the offers would have to be of another type to match the recorded mix."
    )


def _three(values: list[float]) -> str:
    return " / ".join(f"{report.quantile(values, share):.0f}" for share in (0.1, 0.5, 0.9))
