"""Work beside the kernel's main thread: each piece in a daemon thread, its result on the main one.

Nothing is lost where no event loop runs: results are kept, and `take` hands them over to whoever
looks for them on the main thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from vastnb.api.progress import silent, waits_shown_by
from vastnb.widgets.kit.main_thread import MainThread

THREAD = "vastnb-form"


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


__all__ = ["Aside"]
