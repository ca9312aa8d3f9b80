"""Work beside the kernel's main thread; results are taken on it, and nowhere else.

Two threads that write the traits of one widget leave page and kernel in disagreement, silently and
for good. Handlers of messages run in this thread or that, depending on the kernel's version, and
workers always run in their own; all of them hand their work to the main one (`MainThread`).

`Work` does each piece of work in a thread of its own, or one at a time in a named slot, where the
newest wins, after a pause for thought while somebody drags a slider. Where no event loop runs
nothing is lost: results are kept for whoever looks for them on the main thread. There is no thread
while there is nothing to do, and no timer at all.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from vastnb.api.progress import silent, waits_shown_by

DEBOUNCE_S = 0.4


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


class _Piece(NamedTuple):
    work: Callable[[], Any]
    take: Callable[[Any], object]
    failed: Callable[[BaseException], None]
    due: float


class Work:
    """What one widget does beside the main thread, on which `arrived` says that a result waits.

    Threads are named after the slot, or else ``vastnb-<name>``. For `debounce` seconds newer work
    in a slot may replace what has not begun.
    """

    def __init__(
        self,
        main: MainThread,
        arrived: Callable[[], None],
        *,
        name: str = "form",
        debounce: float = DEBOUNCE_S,
    ) -> None:
        self._main = main
        self._arrived = arrived
        self._name = name
        self._debounce = debounce
        self._results: deque[Callable[[], object]] = deque()
        self._running = 0
        self._next: dict[str, _Piece | None] = {}  # the slots that have a thread
        self._change = threading.Condition()
        self._closed = False

    def do(
        self,
        work: Callable[[], Any],
        take: Callable[[Any], object],
        failed: Callable[[BaseException], None],
        *,
        slot: str = "",
        at_once: bool = True,
    ) -> None:
        """Do `work` in a thread; its result goes to `take`, what it raises to `failed`.

        These are called on the main thread. In a `slot` it waits its turn, instead of what waits
        there, and unless `at_once` for newer work.
        """
        due = time.monotonic() + (0.0 if at_once else self._debounce)
        piece = _Piece(work, take, failed, due)
        with self._change:
            if self._closed:
                return
            serves = slot in self._next
            if slot:
                self._next[slot] = piece
            if serves:
                self._change.notify_all()
                return
            self._running += 1
        target, name = (self._serve, slot) if slot else (self._once, self._name)
        args = (slot or piece,)
        threading.Thread(target=target, args=args, name=f"vastnb-{name}", daemon=True).start()

    def cancel(self, slot: str) -> None:
        """Forget the work in a slot that has not begun."""
        with self._change:
            if slot in self._next:
                self._next[slot] = None
                self._change.notify_all()

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

    def wait(self, timeout: float | None = None) -> bool:
        """Block until nothing waits or runs; return False after `timeout` s. Takes nothing."""
        with self._change:
            return self._change.wait_for(lambda: self._running == 0, timeout)

    def close(self) -> None:
        """Begin nothing more, and drop what comes from now on."""
        with self._change:
            self._closed = True
            self._results.clear()
            self._next = dict.fromkeys(self._next)
            self._change.notify_all()

    # -- in threads of their own ------------------------------------------------------------------

    def _once(self, piece: _Piece) -> None:
        self._go(piece)
        with self._change:
            self._running -= 1
            self._change.notify_all()

    def _serve(self, slot: str) -> None:
        while (piece := self._newest(slot)) is not None:
            self._go(piece)

    def _newest(self, slot: str) -> _Piece | None:
        """Wait until the newest work of a slot is due; without any, end its thread."""
        with self._change:
            while (piece := self._next[slot]) is not None:
                left = piece.due - time.monotonic()
                if left <= 0:
                    self._next[slot] = None
                    return piece
                self._change.wait(left)
            del self._next[slot]
            self._running -= 1
            self._change.notify_all()
            return None

    def _go(self, piece: _Piece) -> None:
        deliver: Callable[[], object]
        try:
            with waits_shown_by(silent):
                result = piece.work()
            deliver = lambda: piece.take(result)  # noqa: E731
        except BaseException as error:  # noqa: BLE001  (a thread would die silently)
            # Its traceback holds the frames of the work, and they may hold secrets.
            wrong = error.with_traceback(None)
            deliver = lambda: piece.failed(wrong)  # noqa: E731
        with self._change:
            if self._closed:
                return
            self._results.append(deliver)
        self._main.run(self._arrived)
