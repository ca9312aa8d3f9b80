"""Polling without a loop: the page sets the pace, and Python makes one request when it is asked.

The page has a timer and knows whether anybody looks (``pace.js``). When it asks, `asked`
begins at most one look, in a daemon thread that ends with it; if another look is under way or none
is due, the page is only told when to ask again. Everything that a look brings is handed over on
the main thread. So nothing has to be stopped when a page is hidden or closed, and nothing is left
behind by a cell that is run again.

All pollers of one client share its watcher: a look that one begins is a look of all of them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from vastnb.widgets.kit import words
from vastnb.widgets.kit.search import unexpected
from vastnb.widgets.kit.work import MainThread

if TYPE_CHECKING:
    from vastnb.fleet.watch.changes import Change
    from vastnb.fleet.watch.state import Snapshot
    from vastnb.fleet.watch.watcher import Watcher

SLACK: Final = 0.3
"""Seconds that a page may be early: its timer and the kernel's clock do not tick together."""

THREAD: Final = "vastnb-look"

CLOSED: Final = words.CLIENT_CLOSED

_log = logging.getLogger("vastnb.widgets")


class Poller:
    """Between one widget and the client's watcher.

    On the main thread only, `on_look` takes what looks have brought, whoever began them, and `tell`
    sends a message to the page: ``asking`` (whether a look is under way), ``next_in`` (seconds
    until it is worth while to ask again), ``paused``, ``error`` (why the last look failed, or "").
    """

    def __init__(
        self,
        watcher: Watcher,
        main: MainThread,
        on_look: Callable[[Snapshot, Sequence[Change]], None],
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self._watcher = watcher
        self._main = main
        self._on_look = on_look
        self._tell = tell
        self._looking = threading.Lock()
        self._came: deque[tuple[Snapshot, Sequence[Change]]] = deque()
        self._shown: Snapshot | None = None
        self._paused = False
        self._trouble = ""
        self._closed = False
        self._said_asking = False
        self._unsubscribe = watcher.subscribe(self._take)

    # -- asked by the page, or by the widget ------------------------------------------------------

    def asked(self, *, at_once: bool = False, needed: bool = True) -> None:
        """Answer a page that asks for a fresh picture. Returns at once, in any thread.

        A button (`at_once`) looks even if no look is due, and while paused; else it must be
        `needed`: there is something to look at.
        """
        if self._closed:
            return
        due = at_once or (needed and not self._paused and self._watcher.due_in() <= SLACK)
        if not due:
            self._answer()
            return
        self._answer(asking=True)
        if not self._looking.acquire(blocking=False):
            return
        try:
            threading.Thread(target=self._look, args=(at_once,), name=THREAD, daemon=True).start()
        except RuntimeError as error:  # no more threads: the page will ask again
            self._looking.release()
            self._answer(error=words.NO_THREAD.format(error=error))

    def look_now(self, *, at_once: bool = False) -> Snapshot:
        """Look in this thread, if a look is due, and hand over what there is.

        For the first picture: a notebook that runs without a page makes one request, and ends.
        """
        snapshot = self._watcher.look(at_once=at_once)
        self.drain()
        if self._shown is not snapshot:  # nobody had to look
            self._hand_over(snapshot, ())
        return snapshot

    def drain(self) -> bool:
        """Hand over what has come; return whether there was anything. On the main thread only.

        Where no event loop runs (plain Python) this is the only way by which looks of other
        threads arrive.
        """
        if not self._main.here or not self._came:
            return False
        changes: list[Change] = []
        snapshot = None
        while self._came:
            snapshot, new = self._came.popleft()
            changes.extend(new)
        if snapshot is not None:
            self._hand_over(snapshot, changes)
        return True

    @property
    def paused(self) -> bool:
        """Whether the page's questions are put off. May be set."""
        return self._paused

    @paused.setter
    def paused(self, value: bool) -> None:
        self._paused = bool(value)
        self._answer()

    @property
    def pace(self) -> dict[str, Any]:
        """The message that tells a page when to ask again."""
        return {
            "type": "pace",
            "asking": False,
            "next_in": round(max(0.0, self._watcher.due_in()), 2),
            "paused": self._paused,
            "error": self._trouble
            or (CLOSED if self._watcher.closed else self._watcher.snapshot.error),
        }

    def close(self) -> None:
        """End: nothing is asked for or handed over any more."""
        if self._closed:
            return
        self._closed = True
        self._unsubscribe()
        self._came.clear()

    # -- in threads of their own ------------------------------------------------------------------

    def _look(self, at_once: bool) -> None:
        error = None
        try:
            self._watcher.look(at_once=at_once)
        except Exception as wrong:  # noqa: BLE001  (the page would wait for ever)
            _log.exception("updating the instances failed")
            error = unexpected(wrong)
        finally:
            self._looking.release()
        self._main.run(lambda: self._looked(error))

    def _take(self, changes: Sequence[Change], snapshot: Snapshot) -> None:
        """Take what the watcher tells its subscribers, in whatever thread it looked."""
        if self._closed:
            return
        self._came.append((snapshot, tuple(changes)))
        self._main.run(self._arrived)

    # -- on the main thread -----------------------------------------------------------------------

    def _arrived(self) -> None:
        if not self._closed and self.drain():
            self._say()

    def _looked(self, error: str | None) -> None:
        """Tell the page that its look has ended, unless what it brought has told it already."""
        if error is not None:
            self._say(error=error)
        elif self._said_asking:
            self._say()

    def _hand_over(self, snapshot: Snapshot, changes: Sequence[Change]) -> None:
        if self._closed:
            return
        self._shown = snapshot
        try:
            self._on_look(snapshot, changes)
        except Exception as wrong:  # noqa: BLE001  (other widgets hang on the same look)
            _log.exception("a widget could not show an update of the instances")
            self._trouble = words.LOOK_NOT_SHOWN.format(wrong=unexpected(wrong))
        else:
            self._trouble = ""

    def _answer(self, **fields: Any) -> None:
        self._main.run(lambda: self._say(**fields))

    def _say(self, **fields: Any) -> None:
        if not self._closed:
            message = {**self.pace, **fields}
            self._said_asking = bool(message["asking"])
            self._tell(message)
