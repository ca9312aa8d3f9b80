"""What was used: rows of today's quota (all kernels), and this client's traffic.

Rows are counted when they arrive from the service, never when they come from the cache. The count
stands beside the pace, per account and UTC day, so it survives the kernel. So do the lengths at
which answers to this account were found to be cut.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any, NamedTuple

from vastnb.api.answers import next_midnight, utc
from vastnb.api.endpoints import ROWS_A_DAY
from vastnb.api.shared import SharedState


class Quota(NamedTuple):
    """The day's quota of search rows.

    Parameters
    ----------
    used : int
        Rows received today by this account through vastnb, on this machine.
    limit : int
        Rows that the service allows in a day.
    remaining : int
        What is left, 0 at least.
    resets_at : datetime
        When it resets (UTC).
    closed : bool
        Whether the service has said that it is spent. Other programs use rows too, so this may
        come while some seem to remain.
    """

    used: int
    limit: int
    remaining: int
    resets_at: datetime
    closed: bool


def add_rows(state: SharedState, identity: str, now: float, rows: int) -> None:
    """Count `rows` for today."""
    state.update(_key(identity, now), lambda text: (str(_count(text) + rows), None))


def quota(state: SharedState, identity: str, now: float, closed_until: float | None) -> Quota:
    """Return how much of the quota is used."""
    used = state.update(_key(identity, now), lambda text: (text, _count(text)))
    return Quota(
        used=used,
        limit=ROWS_A_DAY,
        remaining=max(0, ROWS_A_DAY - used),
        resets_at=utc(closed_until or next_midnight(now)),
        closed=closed_until is not None,
    )


def merged_rows(shared: str | None, before: str | None, ours: str | None) -> str:
    """Return the count of all kernels, when one has counted by itself for a while.

    Where the shared count is gone, ours is what is left of it.
    """
    if shared is None:
        return str(_count(ours))
    return str(_count(shared) + max(0, _count(ours) - _count(before)))


def _key(identity: str, now: float) -> str:
    return f"rows {identity} {datetime.fromtimestamp(now, UTC):%Y-%m-%d}"


def _count(text: str | None) -> int:
    return int(text) if text and len(text) < 12 and text.isascii() and text.isdigit() else 0


CUTS = "cuts "
MOST_CUTS = 16
"""Lengths that are remembered; the service has had three."""


def cut_lengths(state: SharedState, identity: str, another: int | None = None) -> frozenset[int]:
    """Return the lengths at which answers to an account were cut, with `another` among them."""
    more = "" if another is None else str(another)

    def change(text: str | None) -> tuple[str | None, frozenset[int]]:
        both = merged_cuts(text, more)
        return both or None, frozenset(map(int, both.split()))

    return state.update(f"{CUTS}{identity}", change)


def merged_cuts(one: str | None, other: str | None) -> str:
    """Return the lengths that two kernels know of, as text."""
    words = dict.fromkeys(f"{one or ''} {other or ''}".split())
    known = [word for word in words if word.isascii() and word.isdigit() and len(word) < 7]
    return " ".join(known[-MOST_CUTS:])


COUNTERS = ("calls", "sent", "cache_hits", "stale", "waited_s", "refused", "errors")


class Traffic:
    """Counters per endpoint, for one client."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, dict[str, Any]] = {}

    def add(self, endpoint: str, **amounts: float) -> None:
        """Add to the counters of one endpoint."""
        with self._lock:
            row = self._rows.setdefault(
                endpoint, {name: 0.0 if name == "waited_s" else 0 for name in COUNTERS}
            )
            for name, amount in amounts.items():
                row[name] += amount

    def rows(self) -> list[dict[str, Any]]:
        """Return one dict per endpoint that was called, in order of the first call."""
        with self._lock:
            return [{"endpoint": name, **row} for name, row in self._rows.items()]
