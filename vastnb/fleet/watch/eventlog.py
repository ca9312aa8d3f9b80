"""What the watcher keeps of the past: changes and samples, bounded, as frames when asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import astuple, fields
from typing import Any, Final

import pandas as pd

from vastnb.fleet.costs import dph_now
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.picture import Tracked
from vastnb.html import ours
from vastnb.market.frames.arrays import array_of
from vastnb.market.tables.schema import Dtype
from vastnb.values import number

CHANGES_KEPT: Final = 2_000
SAMPLES_KEPT: Final = 20_000
"""Samples of all instances together: a week of one, seven hours of twenty-five."""

READINGS: Final = ("gpu_util", "gpu_temp", "cpu_util", "mem_usage", "vmem_usage", "disk_usage")
_SAMPLES: Final[dict[str, Dtype]] = {
    "at": "datetime",
    "id": "Int64",
    "label": "string",
    "state": "string",
    **dict.fromkeys(READINGS, "Float64"),
    "dph_now": "Float64",
}
_EVENTS: Final[dict[str, Dtype]] = {
    "at": "datetime",
    "id": "Int64",
    "label": "string",
    "kind": "string",
    "before": "string",
    "after": "string",
    "level": "string",
    "text": "string",
}


class EventLog:
    """Changes and samples, the newest of each. May be used from several threads.

    Parameters
    ----------
    changes, samples : int
        How many are kept.
    """

    def __init__(self, changes: int = CHANGES_KEPT, samples: int = SAMPLES_KEPT) -> None:
        self._lock = threading.Lock()
        self._changes: deque[Change] = deque(maxlen=changes)
        self._samples: deque[tuple[Any, ...]] = deque(maxlen=samples)

    def add(self, changes: Iterable[Change]) -> None:
        """Keep changes."""
        with self._lock:
            self._changes.extend(changes)

    def sample(self, at: float, picture: Iterable[Tracked]) -> None:
        """Keep how busy each instance is, and what it costs."""
        rows = [_sample(at, one) for one in picture if one.present]
        with self._lock:
            self._samples.extend(rows)

    def events(self) -> pd.DataFrame:
        """Return the changes, oldest first; see `vastnb.fleet.watch.watcher.Watcher.events`."""
        names = [field.name for field in fields(Change)]
        with self._lock:
            rows = [dict(zip(names, astuple(change), strict=True)) for change in self._changes]
        return _frame([tuple(row[name] for name in _EVENTS) for row in rows], _EVENTS)

    def history(self) -> pd.DataFrame:
        """Return the samples, oldest first; see `vastnb.fleet.watch.watcher.Watcher.history`."""
        with self._lock:
            rows = list(self._samples)
        return _frame(rows, _SAMPLES)


def _sample(at: float, one: Tracked) -> tuple[Any, ...]:
    record, watched = one.watched.record, one.watched
    readings = [number(record.get(name)) for name in READINGS]
    if readings[-1] == -1:
        readings[-1] = None  # the service's way of saying that it does not know yet
    return at, watched.id, watched.label, watched.verdict.state, *readings, dph_now(record)


def _frame(rows: Sequence[tuple[Any, ...]], columns: dict[str, Dtype]) -> pd.DataFrame:
    arrays: dict[str, Any] = {}
    for place, (name, dtype) in enumerate(columns.items()):
        cells = [row[place] for row in rows]
        if dtype == "datetime":
            moments = [pd.Timestamp(round(cell * 1e6), unit="us", tz="UTC") for cell in cells]
            arrays[name] = pd.array(moments, dtype=pd.DatetimeTZDtype("us", "UTC"))
        else:
            arrays[name] = array_of(cells, dtype)[0]
    return ours(pd.DataFrame(arrays, index=pd.RangeIndex(len(rows)), copy=False))
