"""Tidying up behind the searches: finished days to one file each, the oldest days dropped.

It runs in a thread of its own after a search, at most once a day and whenever this process has
added many files, and gives up after a second or two; what is left is done next time. A process
that ends waits for that thread, which is no longer than one day takes.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vastnb.market.history.compaction import compact, heal, sole
from vastnb.market.history.dataset import Dataset, names_in
from vastnb.recording import Keep

if TYPE_CHECKING:
    from vastnb.clock import Clock

log = logging.getLogger("vastnb.history")

MANY: Final = 64
"""Files of today that are put together before the day has ended."""
BUDGET: Final = 2.0
"""Seconds of work at a time."""
ABANDONED: Final = 3600.0
"""Seconds after which a file that was never finished belongs to nobody."""


class Upkeep:
    """Keeps a dataset small.

    Parameters
    ----------
    dataset : Dataset
        What is kept.
    keep : Keep
        How much of it.
    clock : Clock
        The time.
    new : bool
        Whether it was begun just now, so that there is nothing to do today.
    """

    def __init__(self, dataset: Dataset, keep: Keep, clock: Clock, *, new: bool = False) -> None:
        self._dataset = dataset
        self._keep = keep
        self._clock = clock
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._added = 0
        self._done_on: date | None = self._today() if new else None

    def added(self) -> None:
        """Take note of a new file; tidy up beside the caller if it is time."""
        with self._lock:
            self._added += 1
            due = self._done_on != self._today() or self._added >= MANY
            if not due or self._thread is not None or self._stop.is_set():
                return
            self._added = 0
            # No daemon: a process that ends should not tear it out of a native call.
            self._thread = threading.Thread(target=self._run, name="vastnb-history", daemon=False)
            self._thread.start()

    def _run(self) -> None:
        try:
            if self.tidy(BUDGET):
                self._done_on = self._today()
        except Exception as error:  # noqa: BLE001  (nothing depends on it; next time, perhaps)
            log.warning("The price history was not tidied up: %s", error)
            self._done_on = self._today()
        finally:
            with self._lock:
                self._thread = None

    def tidy(self, budget: float | None = None) -> bool:
        """Put files together, and drop what is too much.

        Parameters
        ----------
        budget : float, optional
            Seconds after which it stops between two days; by default never.

        Returns
        -------
        bool
            Whether nothing is left to do, or somebody else is at it.
        """
        if not self._dataset.folder.exists():
            return True
        until = None if budget is None else time.monotonic() + budget
        with sole(self._dataset.folder) as alone:
            if not alone:
                return True
            self._drop()
            today = self._today()
            moment = datetime.fromtimestamp(self._clock.time(), UTC)
            for day, folder in self._dataset.days():
                if self._stop.is_set() or (until is not None and time.monotonic() > until):
                    return False
                _sweep(folder)
                if day < today or len(names_in(folder)) > MANY:
                    compact(folder, moment, durable=self._dataset.durable)
                else:
                    heal(folder)
        return True

    def _drop(self) -> None:
        """Remove days that are too old, and the oldest while there is too much; never today."""
        today = self._today()
        first = today - timedelta(days=self._keep.days)
        sizes = [(day, folder, size_of(folder)) for day, folder in self._dataset.days()]
        total = sum(size for _, _, size in sizes)
        for day, folder, size in sizes:
            if day >= today or not (day < first or total > self._keep.gb * 1e9):
                break
            shutil.rmtree(folder, ignore_errors=True)
            total -= size

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.time(), UTC).date()

    def close(self) -> None:
        """Stop, and wait for what is running."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Wait for what is running."""
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a directory."""
    total = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _sweep(folder: Path) -> None:
    """Remove files that a killed process did not finish."""
    for path in folder.glob(".*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


__all__ = ["BUDGET", "MANY", "Upkeep", "size_of"]
