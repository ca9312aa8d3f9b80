"""How much of the past is kept, and tidying up.

Age is counted in recorded days, not by the clock, so that a wrong clock deletes nothing. The
largest `Keep` that any kernel was given counts; unasked, one day is dropped at a time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from vastnb.errors import InvalidRequest

if TYPE_CHECKING:
    from vastnb.clock import Clock
    from vastnb.market.history.days import Days

log = logging.getLogger("vastnb.history")

OFF: Final = frozenset({"0", "off", "no", "false"})
BUDGET: Final = 2.0
"""Seconds of tidying up at a time."""
Day = TypeVar("Day")


class Keep(NamedTuple):
    """How much of the price history is kept; the oldest days go first.

    Several kernels may be given different ones: the largest counts, until ``history.tidy()`` is
    called, which applies the one of its own client.

    Parameters
    ----------
    days : int
        Days with something recorded.
    gb : float
        Size on the disk, in 10**9 bytes.
    """

    days: int = 400
    gb: float = 2.0

    @classmethod
    def usual(cls) -> Keep:
        """Return what ``VASTNB_HISTORY_DAYS`` and ``VASTNB_HISTORY_GB`` say, or the defaults.

        Raises
        ------
        InvalidRequest
            If they are not numbers above 0.
        """
        return cls(
            max(1, int(_number("VASTNB_HISTORY_DAYS", cls._field_defaults["days"]))),
            _number("VASTNB_HISTORY_GB", cls._field_defaults["gb"]),
        )

    def larger(self, other: Keep) -> Keep:
        """Return what satisfies both."""
        return Keep(max(self.days, other.days), max(self.gb, other.gb))


def surplus(sizes: Sequence[tuple[Day, int]], keep: Keep, *, asked: bool) -> list[Day]:
    """Return the finished days to drop.

    Parameters
    ----------
    sizes : sequence of (day, int)
        Finished days, oldest first, and their bytes.
    keep : Keep
        How much is kept.
    asked : bool
        Whether the user asked for it; otherwise one day at most.
    """
    total, left = sum(size for _, size in sizes), len(sizes)
    gone: list[Day] = []
    for day, size in sizes:
        if left <= keep.days and total <= round(keep.gb * 1e9):
            break
        gone.append(day)
        total, left = total - size, left - 1
    return gone if asked else gone[:1]


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        number = float(text or default)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InvalidRequest(f"{variable}={text!r}: a number above 0 is needed. Nothing was sent.")
    return number


def wanted(history: bool | Keep | None) -> Keep | None:
    """Return how much of the searches is kept; None for nothing.

    Parameters
    ----------
    history : bool or Keep, optional
        The client's argument; by default ``VASTNB_HISTORY`` decides, and without it, yes.

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    if isinstance(history, Keep):
        return history
    if history is not None and not isinstance(history, bool):
        raise InvalidRequest(
            f"history={history!r}: True, False or a Keep(days=..., gb=...) is needed. Nothing was "
            "sent."
        )
    if history is None and os.environ.get("VASTNB_HISTORY", "").strip().lower() in OFF:
        history = False
    return None if history is False else Keep.usual()


class Upkeep:
    """Tidies up beside the searches: in a thread of its own, once a day, in small portions.

    Parameters
    ----------
    days : Days
        What is tidied up.
    keep : Keep
        How much is kept.
    clock : Clock
        The time.
    """

    def __init__(self, days: Days, keep: Keep, clock: Clock) -> None:
        self._days = days
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._done_on: date | None = None

    @property
    def today(self) -> date:
        """The day (UTC)."""
        return datetime.fromtimestamp(self._clock.time(), UTC).date()

    def added(self) -> None:
        """Tidy up beside the caller if that was not done today."""
        with self._lock:
            if self._done_on == self.today or self._thread is not None or self._stop.is_set():
                return
            # No daemon: a process that ends should not tear it out of a native call.
            self._thread = threading.Thread(target=self._run, name="vastnb-history", daemon=False)
            self._thread.start()

    def _run(self) -> None:
        from vastnb.market.history.earlier import migrate

        until = time.monotonic() + BUDGET
        try:
            migrate(self._days, self.today)
            done = self._days.tidy(
                self.today, self._keep,
                go_on=lambda: not self._stop.is_set() and time.monotonic() < until,
            )  # fmt: skip
            if done:
                self._done_on = self.today
        except Exception as error:  # noqa: BLE001  (nothing depends on it; tomorrow, perhaps)
            log.warning("The price history was not tidied up: %s", error)
            self._done_on = self.today
        finally:
            with self._lock:
                self._thread = None

    def now(self) -> None:
        """Tidy up, all of it, by this client's own `Keep`."""
        from vastnb.market.history.earlier import migrate

        self.wait()
        migrate(self._days, self.today)
        self._days.tidy(self.today, self._keep, asked=True, go_on=lambda: True)

    def close(self) -> None:
        """Stop, and wait for what is running."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait for what is running."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


__all__ = ["Keep", "Upkeep", "surplus", "wanted"]
