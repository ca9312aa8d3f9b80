"""Import time: ``import vastnb`` beside the two packages that it builds on, in new processes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import report

ROOT = Path(__file__).resolve().parents[1]
PEER = "pandas, requests_cache"
CONTENDERS = {
    "vastnb": "import vastnb",
    PEER: "import pandas, requests_cache",
    "pandas": "import pandas",
    "requests_cache": "import requests_cache",
    "official client": "import vastai",
    "nothing": "",
}
UNWANTED = (
    "IPython", "ipywidgets", "anywidget", "traitlets", "ipykernel", "matplotlib", "bqplot",
    "plotly", "altair", "werkzeug", "flask", "http.server", "wsgiref", "vastai",
)  # fmt: skip
"""Widgets, plots and servers, which an import must not bring with it."""

PROGRAM = """
import time, json, sys
started = time.perf_counter()
{statement}
took = time.perf_counter() - started
unwanted = [name for name in {unwanted!r} if name in sys.modules]
print(json.dumps([took, len(sys.modules), unwanted]))
"""


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--imports", type=int, default=11, help="processes for each contender (default 11)"
    )


def run(options: argparse.Namespace) -> None:
    _one("vastnb")  # writes the byte code, if it is not there
    seconds: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    modules: dict[str, int] = {}
    unwanted: dict[str, list[str]] = {}
    for _ in range(options.imports):
        for name in CONTENDERS:
            took, modules[name], unwanted[name] = _one(name)
            seconds[name].append(took)
    base = report.median(seconds[PEER])
    cells: list[list[report.Cell]] = [
        [
            f"import {name}" if name != "nothing" else "an empty program",
            report.median(seconds[name]) * 1e3,
            min(seconds[name]) * 1e3,
            report.ratio(report.median(seconds[name]), base) if name != "nothing" else None,
            modules[name],
            ", ".join(unwanted[name]) or "none",
        ]
        for name in CONTENDERS
    ]
    columns = ["", "ms median", "ms least", "to both", "modules", "widgets, plots, servers"]
    report.table(f"Import, {options.imports} new processes each", columns, cells)
    report.note("Measured inside the process: the interpreter's own start is not counted.")
    for part, share in _costs()[:6]:
        report.note(f"of vastnb beyond its dependencies: {part} {share / 1e3:.1f} ms")


def _one(name: str) -> tuple[float, int, list[str]]:
    program = PROGRAM.format(statement=CONTENDERS[name], unwanted=UNWANTED)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"{CONTENDERS[name]}:\n{done.stderr[-2000:]}")
    took, modules, unwanted = json.loads(done.stdout)
    return took, modules, unwanted


def _costs() -> list[tuple[str, int]]:
    """Return the modules that ``import vastnb`` adds to its dependencies', dearest first, in us."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {PEER}\nimport vastnb"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = [line.split("|") for line in done.stderr.splitlines() if line.startswith("import time")]
    own = [
        (name.strip(), int(self.partition(":")[2]))
        for self, _, name in lines
        if self.partition(":")[2].strip().isdigit()
    ]
    names = [name for name, _ in own]
    # What follows the last of the two dependencies is ours, or comes with ours.
    start = max(names.index("pandas"), names.index("requests_cache")) + 1
    return sorted(own[start:], key=lambda pair: -pair[1])
