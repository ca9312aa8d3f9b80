"""Offers and histories to test with."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from vastnb.clock import ManualClock
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.history import History, Keep
from vastnb.market.history.columns import Sample

ROWS = 40
NOW = 1_795_521_600.0
"""Noon of 24 November 2026 (UTC)."""
DAY = 86_400.0
REAL = "https://console.vast.ai"


class Line:
    """A way to a service that is never asked."""

    def __init__(self, simulated: bool = False) -> None:
        self.simulated = simulated

    def call(self, endpoint: str, **request: Any) -> Any:
        raise AssertionError(f"{endpoint} was asked")


def row(**columns: Any) -> dict[str, Any]:
    return {
        "id": 1, "ask_contract_id": 1, "machine_id": 1, "host_id": 7, "gpu_name": "RTX 4090",
        "gpu_ram": 24_564, "num_gpus": 1, "dph_base": 0.4, "min_bid": 0.2, "storage_cost": 0.15,
        "dph_total": 0.402, "inet_down_cost": 0.001, "inet_up_cost": 0.002, "dlperf": 90.0,
        "total_flops": 82.5, "reliability": 0.99, "verification": "verified", "hosting_type": 0,
        "geolocation": "Sweden, SE", "rentable": True, "rented": False, **columns,
    }  # fmt: skip


def frame(*rows: Mapping[str, Any]) -> pd.DataFrame:
    return frame_of_offers([row(**one) for one in rows])


def offers(count: int, machine_id: int = 0) -> pd.DataFrame:
    """`count` offers of one machine."""
    return frame(*({"id": i, "machine_id": machine_id, "num_gpus": 1} for i in range(count)))


def history(folder: Path, now: float = NOW, *, keep: Keep | None = None) -> History:
    return History(folder, REAL, ManualClock(now), Line(), keep=keep)


def sample(at: float = NOW, **about: Any) -> Sample:
    values = {
        "type": "on-demand", "query": "", "restricted": False, "truncated": False,
        "simulated": False, **about,
    }  # fmt: skip
    return Sample(seen_at=datetime.fromtimestamp(at, UTC), **values)


def recorded(history: History) -> int:
    """Searches that lie in the store."""
    path = history.path.with_name("today.sqlite")
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("SELECT count(*) FROM snapshots").fetchone()[0]
        return count


def seen(history: History, at: float, rows: Sequence[Mapping[str, Any]], **about: Any) -> None:
    """Let a search find `rows` at a moment."""
    history.add(frame(*rows), sample(at, **about))
