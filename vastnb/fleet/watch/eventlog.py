"""What the watcher keeps of the past: changes and samples, bounded, as frames when asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

import pandas as pd

from vastnb.fleet.costs import dph_now
from vastnb.fleet.looks import READINGS
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.picture import Tracked
from vastnb.html import ours
from vastnb.market.frames.records import frame_of_columns
from vastnb.market.tables.schema import Dtype
from vastnb.values import number

CHANGES_KEPT: Final = 2_000
SAMPLES_KEPT: Final = 20_000
"""Samples of all instances together: a week of one, seven hours of twenty-five."""

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
        with self._lock:
            rows = [asdict(change) for change in self._changes]
        return ours(frame_of_columns(rows, _EVENTS)[0])

    def history(self) -> pd.DataFrame:
        """Return the samples, oldest first; see `vastnb.fleet.watch.watcher.Watcher.history`."""
        with self._lock:
            rows = [dict(zip(_SAMPLES, sample, strict=True)) for sample in self._samples]
        return ours(frame_of_columns(rows, _SAMPLES)[0])


def _sample(at: float, one: Tracked) -> tuple[Any, ...]:
    record, watched = one.watched.record, one.watched
    readings = [number(record.get(name)) for name in READINGS]
    if readings[-1] == -1:
        readings[-1] = None  # the service's way of saying that it does not know yet
    return at, watched.id, watched.label, watched.verdict.state, *readings, dph_now(record)
