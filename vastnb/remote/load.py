"""How busy a machine is: one small command, which rides on the connection that is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from vastnb.remote.session import Session

_ASK: Final = """
t=$(command -v timeout) && t="$t 8"  # a driver in trouble answers nothing at all
$t nvidia-smi --query-gpu=name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw \
--format=csv,noheader,nounits 2>/dev/null | sed 's/^/gpu,/'
sed -n 's/^\\(MemTotal\\|MemAvailable\\): *\\([0-9]*\\).*/\\1,\\2/p' /proc/meminfo 2>/dev/null
df -Pk . | awk 'END { print "disk," $3 "," $3 + $4 }'
"""
_GPU: Final = ("gpu_util", "vram_used_gb", "vram_gb", "temp_c", "power_w")
COLUMNS: Final = {
    "gpu": "string",
    **dict.fromkeys((*_GPU, "ram_used_gb", "ram_gb", "disk_used_gb", "disk_gb"), "Float64"),
}


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a machine is, its GPUs together; None is not known.

    Parameters
    ----------
    gpus : int
        How many answered.
    gpu_util : float or None
        Mean utilization of the GPUs, %.
    vram_used_gb, vram_gb : float or None
        Their memory, used and in all.
    disk_used_gb, disk_gb : float or None
        The disk of the workspace.
    """

    gpus: int
    gpu_util: float | None
    vram_used_gb: float | None
    vram_gb: float | None
    disk_used_gb: float | None
    disk_gb: float | None


def peek(session: Session, timeout: float) -> Load | None:
    """Return how busy a machine is, if that makes no connection and keeps nobody waiting."""
    told = session.peek(_ASK, timeout=timeout)
    if not told:
        return None
    frame = read(told.decode(errors="replace"))
    gpus = frame[frame["gpu"].notna()]

    def of(figure: Any) -> float | None:
        return None if pd.isna(figure) else float(figure)

    return Load(
        len(gpus),
        of(gpus["gpu_util"].mean()),
        of(gpus["vram_used_gb"].sum(min_count=1)),
        of(gpus["vram_gb"].sum(min_count=1)),
        of(frame["disk_used_gb"].iloc[0]),
        of(frame["disk_gb"].iloc[0]),
    )


def load(session: Session) -> pd.DataFrame:
    """Return how busy a machine is; see `vastnb.remote.verbs.OnMachine.load`."""
    return read(session.ask(session.script(_ASK)))


def read(told: str) -> pd.DataFrame:
    """Read what the command said; what it did not say, or cannot be a number, is missing."""
    rows: list[dict[str, Any]] = []
    machine: dict[str, Any] = {}
    memory: dict[str, float] = {}
    for line in told.splitlines():
        kind, *fields = [part.strip() for part in line.split(",")]
        if kind == "gpu" and len(fields) == 6:
            row = dict(zip(_GPU, map(_number, fields[1:]), strict=True))
            for name in ("vram_used_gb", "vram_gb"):
                value = row[name]
                row[name] = None if value is None else value / 1024
            rows.append({"gpu": fields[0][:80], **row})
        elif kind in ("MemTotal", "MemAvailable") and fields:
            memory[kind] = (_number(fields[0]) or 0.0) / 1024**2
        elif kind == "disk" and len(fields) == 2:
            used, whole = (_number(field) for field in fields)
            machine["disk_used_gb"] = None if used is None else used * 1024 / 1e9
            machine["disk_gb"] = None if whole is None else whole * 1024 / 1e9
    if len(memory) == 2:
        machine["ram_gb"] = memory["MemTotal"]
        machine["ram_used_gb"] = memory["MemTotal"] - memory["MemAvailable"]
    frame = pd.DataFrame([{**row, **machine} for row in rows or [{}]], columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e12 else None  # nothing of it is ever below zero


__all__ = ["COLUMNS", "Load", "load", "peek", "read"]
