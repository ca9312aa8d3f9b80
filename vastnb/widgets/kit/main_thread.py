"""The kernel's main thread, as the one place from which a widget is written.

Two threads that write the traits of one widget leave page and kernel in disagreement, silently
and for good. Handlers of messages run in this thread or that, depending on the kernel's version,
and workers always run in their own; all of them hand their work to the main one.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable


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
