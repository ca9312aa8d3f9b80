"""Work beside the kernel's main thread; results are taken on it, and nowhere else.

Two threads that write the traits of one widget leave page and kernel in disagreement, silently and
for good. Handlers of messages run in this thread or that, depending on the kernel's version, and
workers always run in their own; all of them hand their work to the main one (`MainThread`).

`SearchWorker` does one job at a time and the newest wins, after a pause for thought while somebody
drags a slider. `Aside` does each piece of work in a thread of its own. Where no event loop runs
nothing is lost: results are kept for whoever looks for them on the main thread. There is no thread
while there is nothing to do, and no timer at all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from vastnb.api.progress import silent, waits_shown_by

Job = TypeVar("Job")
Result = TypeVar("Result")

DEBOUNCE_S = 0.4
THREAD = "vastnb-form"


class MainThread:
    """The thread in which this object is made, and its event loop where it has one."""

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    @property
    def here(self) -> bool:
        """Whether this is the main thread."""
        return threading.get_ident() == self._ident

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` on the main thread: at once if this is it, else when it is free.

        Without a running loop (plain Python) there is nobody to run it: what has to arrive anyway
        must be kept, and looked for.
        """
        if self.here:
            work()
        elif self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(work)


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


class Aside:
    """Threads of one widget.

    Parameters
    ----------
    main : MainThread
        Where results are taken.
    arrived : callable
        Called on the main thread when a result waits to be taken.
    """

    def __init__(self, main: MainThread, arrived: Callable[[], None]) -> None:
        self._main = main
        self._arrived = arrived
        self._results: deque[Callable[[], None]] = deque()
        self._running = 0
        self._change = threading.Condition()
        self._closed = False

    def do(
        self,
        work: Callable[[], Any],
        take: Callable[[Any], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        """Do `work` in a thread; its result goes to `take`, what it raises to `failed`."""

        def go() -> None:
            deliver: Callable[[], None]
            try:
                with waits_shown_by(silent):
                    result = work()
                deliver = lambda: take(result)  # noqa: E731
            except BaseException as error:  # noqa: BLE001  (a thread would die silently)
                # Its traceback holds the frames of the work, and they may hold secrets.
                wrong = error.with_traceback(None)
                deliver = lambda: failed(wrong)  # noqa: E731
            with self._change:
                if not self._closed:
                    self._results.append(deliver)
                self._running -= 1
                self._change.notify_all()
            self._main.run(self._arrived)

        with self._change:
            if self._closed:
                return
            self._running += 1
        threading.Thread(target=go, name=THREAD, daemon=True).start()

    def take(self) -> bool:
        """Take the results that have come; return whether there were any. On the main thread."""
        taken = False
        while True:
            with self._change:
                if not self._results:
                    return taken
                deliver = self._results.popleft()
            deliver()
            taken = True

    def wait(self, timeout: float) -> bool:
        """Block until nothing runs; return False after `timeout` seconds. Takes nothing."""
        deadline = time.monotonic() + timeout
        with self._change:
            return self._change.wait_for(
                lambda: self._running == 0, max(0.0, deadline - time.monotonic())
            )

    def close(self) -> None:
        """Drop what comes from now on."""
        with self._change:
            self._closed = True
            self._results.clear()
