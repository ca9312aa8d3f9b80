"""Searches beside the kernel's main thread: one at a time, the newest wins, none left over.

A request waits a moment, since another may follow while somebody drags a slider. Then one daemon
thread sends it. There is no thread while there is nothing to do, and no timer at all. Results are
handed to `post`, which brings them to the main thread; nothing is written from here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

DEBOUNCE_S = 0.4


class SearchWorker(Generic[Job, Result]):
    """Runs the newest of the jobs that it is given.

    Parameters
    ----------
    work : callable
        ``work(job)`` does it and returns a result; it must not raise.
    post : callable
        ``post(job, result)`` takes the result, in the worker's thread.
    debounce : float
        Seconds for which a newer job may replace one that has not begun.
    """

    def __init__(
        self,
        work: Callable[[Job], Result],
        post: Callable[[Job, Result], None],
        *,
        debounce: float = DEBOUNCE_S,
    ) -> None:
        self._work = work
        self._post = post
        self._debounce = debounce
        self._change = threading.Condition()
        self._next: Job | None = None
        self._due = 0.0
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job waits or runs."""
        return self._thread is not None

    def submit(self, job: Job, *, at_once: bool = False) -> None:
        """Do `job` after the pause for thought, instead of one that has not begun."""
        with self._change:
            if self._closed:
                return
            self._next = job
            self._due = time.monotonic() + (0.0 if at_once else self._debounce)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="vastnb-search", daemon=True)
                self._thread.start()
            self._change.notify_all()

    def cancel(self) -> None:
        """Forget the job that has not begun."""
        with self._change:
            self._next = None
            self._change.notify_all()

    def close(self) -> None:
        """Take no more jobs. One that runs ends by itself, and its result is dropped."""
        with self._change:
            self._closed = True
            self._next = None
            self._change.notify_all()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing waits or runs; return False after `timeout` seconds."""
        with self._change:
            return self._change.wait_for(lambda: self._thread is None, timeout)

    def _take(self) -> Job | None:
        """Wait until the newest job is due and take it; without one, end the thread."""
        with self._change:
            while self._next is not None:
                left = self._due - time.monotonic()
                if left <= 0:
                    job, self._next = self._next, None
                    return job
                self._change.wait(left)
            self._thread = None
            self._change.notify_all()
            return None

    def _run(self) -> None:
        while (job := self._take()) is not None:
            result = self._work(job)
            if not self._closed:
                self._post(job, result)
