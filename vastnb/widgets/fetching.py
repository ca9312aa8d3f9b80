"""What a widget fetches: beside the main thread if the page asks for it, in it if Python does.

A result is taken on the kernel's main thread and nowhere else; until then it is kept. The status
line shows what is waited for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

from vastnb.api.progress import waits_shown_by
from vastnb.errors import VastError
from vastnb.widgets.main_thread import MainThread
from vastnb.widgets.search_worker import Job, Result, SearchWorker
from vastnb.widgets.searching import waits_told

if TYPE_CHECKING:
    from vastnb.client import Client


class Fetching(Generic[Job, Result]):
    """A part of a widget: its worker, and what comes back from it.

    A widget says how something is fetched (`_fetch`), what becomes of it (`_take`), whether more
    is to come (`_waits`), and how it shows what it has (`_show`, `_tell`).
    """

    _client: Client
    _closed: bool
    send: Callable[..., None]
    if TYPE_CHECKING:  # the widget's own

        def _guarded(self, work: Callable[[], None], *, always: bool = False) -> None: ...

    def _set_up(self, client: Client) -> None:
        """Make the parts; in the kernel's main thread."""
        self._client = client
        self._main = MainThread()
        self._busy: dict[str, Any] | None = None
        self._results: deque[tuple[Job, Result]] = deque()
        self._worker: SearchWorker[Job, Result] = SearchWorker(self._fetch_aside, self._fetched)

    def wait(self, timeout: float = 60) -> bool:
        """Wait for what the page has asked for; return False after `timeout` seconds."""
        done = self._worker.wait(timeout)
        self._drain()
        return done

    # -- what a widget says ----------------------------------------------------------------------

    def _fetch(self, job: Job) -> Result:
        """Fetch; what goes wrong is part of the result."""
        raise NotImplementedError

    def _take(self, job: Job, result: Result) -> None:
        """Take a result in."""
        raise NotImplementedError

    def _waits(self) -> bool:
        """Say whether more is to come."""
        raise NotImplementedError

    def _show(self) -> None:
        """Show what there is."""
        raise NotImplementedError

    def _tell(self) -> None:
        """Set the status line."""
        raise NotImplementedError

    # -- what it is given ------------------------------------------------------------------------

    def _fetch_now(self, job: Job | None) -> None:
        """Fetch in this thread, if there is anything to fetch, and show."""
        if job is not None:
            self._busy = {"since": time.time()}
            self._tell()
            try:
                result = self._fetch(job)
            finally:
                self._busy = None
            self._take(job, result)
        self._show()

    def _fetch_later(self, job: Job | None, *, at_once: bool = False, seen: bool = True) -> None:
        """Show what can be shown now; fetch in a while.

        Parameters
        ----------
        job : Job or None
            None is nothing to fetch: what was to be fetched is not wanted any longer.
        at_once : bool
            Without the pause in which another may come.
        seen : bool
            Whether the status line says so.
        """
        if job is None:
            self._worker.cancel()
            self._busy = None
        else:
            self._busy = {"since": time.time()} if seen else None
            self._worker.submit(job, at_once=at_once)
        self._show()

    def _on_main(self, work: Callable[[], None]) -> None:
        self._main.run(lambda: self._guarded(work))

    def _drain(self) -> None:
        """Take what has come; on the main thread only."""
        if not self._results or not self._main.here:
            return
        while self._results:
            self._take(*self._results.popleft())
        if not self._waits():
            self._busy = None
        self._show()
        if not self._closed:
            self.send({"type": "answered"})

    def _end_fetching(self) -> None:
        """Fetch nothing more, and drop what comes."""
        if "_worker" in self.__dict__:  # else it was never made whole
            self._worker.close()
            self._results.clear()

    def _quota(self) -> dict[str, int] | None:
        try:
            quota = self._client.quota()
        except (VastError, OSError):  # a number that is nice to have; the search said what is wrong
            return None
        return {"used": quota.used, "limit": quota.limit}

    # -- in the worker's thread ------------------------------------------------------------------

    def _fetch_aside(self, job: Job) -> Result:
        told = waits_told(lambda until: self._on_main(lambda: self._tell_wait(until)))
        with waits_shown_by(told):
            return self._fetch(job)

    def _tell_wait(self, until: float | None) -> None:
        if self._busy is not None:
            self._busy = {"since": self._busy["since"], "until": until}
            self._tell()

    def _fetched(self, job: Job, result: Result) -> None:
        self._results.append((job, result))
        self._on_main(self._drain)


__all__ = ["Fetching"]
