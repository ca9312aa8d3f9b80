"""Aligned tables, the machine they were made on, and how things are timed."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("vastnb", "pandas", "requests-cache", "vastai", "itables", "anywidget", "jupyterlab")
Cell = str | float | int | None


def machine() -> str:
    """Return what the figures were measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    load = " ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "?"
    lines = [
        f"{model}, {os.cpu_count()} CPUs, load {load}; {platform.platform(terse=True)}",
        f"Python {platform.python_version()}; {', '.join(_versions())}",
    ]
    return "\n".join(lines)


def _versions() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return found


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
    """Print a table: the first column to the left, numbers to the right."""
    text = [[_text(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(columns), *text]) for i in range(len(columns))]
    print(f"\n{title}")
    for line in [list(columns), ["-" * width for width in widths], *text]:
        first, *others = line
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    print(end="", flush=True)


def note(text: str) -> None:
    """Print a line that explains a table."""
    print(f"  {text}", flush=True)


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        if cell != 0 and abs(cell) < 0.0995:
            return f"{cell:.4f}" if abs(cell) < 0.00995 else f"{cell:.3f}"
        return f"{cell:,.2f}" if abs(cell) < 100 else f"{cell:,.0f}"
    return f"{cell:,}" if isinstance(cell, int) else cell


def ratio(value: float | None, reference: float | None) -> str:
    """Return a ratio as text, ``-`` where there is none."""
    if value is None or not reference:
        return "-"
    return f"{value / reference:.3f}x" if value < 0.995 * reference else f"{value / reference:.2f}x"


def interleaved(
    contenders: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """Time each contender `repeats` times, taking turns, so that all meet the same machine.

    Returns
    -------
    dict of str to list of float
        Seconds. The first round warms caches up and is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, contender in contenders.items():
            gc.collect()
            started = time.perf_counter()
            result = contender()
            took = time.perf_counter() - started
            del result
            if turn:
                seconds[name].append(took)
    return seconds


def least_cpu(
    contenders: Mapping[str, Callable[[], object]], repeats: int, *, cold: bool = True
) -> dict[str, float]:
    """Return the least CPU seconds of each contender: nearly the same on a machine that is busy.

    They take turns; the first round warms caches up and is not counted. `cold` collects garbage
    before each, which also drives what it works on out of the processor's caches.
    """
    seconds = dict.fromkeys(contenders, float("inf"))
    for turn in range(repeats + 1):
        for name, contender in contenders.items():
            if cold:
                gc.collect()
            started = time.process_time()
            result = contender()
            took = time.process_time() - started
            del result
            if turn:
                seconds[name] = min(seconds[name], took)
    return seconds


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
