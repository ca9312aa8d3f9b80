"""Waits that one can see.

`Line` is one quiet line of text: in a notebook a display that is updated and emptied at the end, in
a terminal a line that is overwritten and cleared, elsewhere nothing. No widget is made, so none is
left in the kernel or in a saved notebook. It shows in the main thread only: output of a worker
thread lands in whichever notebook cell happens to run.

A wait hook is called before every wait and returns a context manager; inside it, the function that
it yields is told of the seconds that pass. The default, `wait_line`, shows a `Line` for waits
longer than two seconds.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

from vastnb import html
from vastnb.clock import Clock

SHOW_FROM = 2.0
"""Seconds; shorter waits are not shown."""

SLICE = 0.25
"""Seconds of sleep at a time."""

T = TypeVar("T")
Tick = Callable[[float], None]


class WaitHook(Protocol):
    """What is called around every wait."""

    def __call__(self, endpoint: str, seconds: float, reason: str) -> AbstractContextManager[Tick]:
        """Begin to show a wait.

        Parameters
        ----------
        endpoint : str
            What is waited for, a name of the endpoint table.
        seconds : float
            How long it will take.
        reason : str
            Why, in words.

        Returns
        -------
        context manager
            Yields a function that is told how many seconds have passed since it was last told.
        """


class Line:
    """One line that says what is waited for, from when the wait is long until it is over.

    Parameters
    ----------
    after : float
        Seconds for which nothing is shown.
    now : callable
        The time, s.
    """

    def __init__(
        self, *, after: float = SHOW_FROM, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._from = now() + after
        self._shown = ""
        self._display: Any = None
        self._quiet = threading.current_thread() is not threading.main_thread()

    @property
    def is_shown(self) -> bool:
        """Whether something stands there."""
        return bool(self._shown)

    def show(self, text: str, *, at_once: bool = False) -> None:
        """Show `text` in place of what stands there."""
        if (
            self._quiet
            or text == self._shown
            or not (at_once or self._shown or self._now() >= self._from)
        ):
            return
        self._draw(text)

    def close(self) -> None:
        """Take the line away."""
        if self._shown:
            self._draw("")

    def _draw(self, text: str) -> None:
        self._shown = text
        with contextlib.suppress(Exception):  # what only shows a wait may not end it
            if hasattr(_shell(), "kernel"):
                data = {"text/html": html.line(text) if text else "", "text/plain": text}
                if self._display is not None:
                    self._display.update(data, raw=True)
                else:
                    from IPython.display import display  # a wait can afford the import

                    self._display = display(data, raw=True, display_id=True)  # type: ignore[no-untyped-call]
            elif sys.stderr.isatty():
                width = shutil.get_terminal_size().columns - 1
                sys.stderr.write(f"\r\x1b[K{text[:width]}")
                sys.stderr.flush()


def _shell() -> Any:
    """Return IPython's shell; None where there is none."""
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


@contextmanager
def silent(endpoint: str, seconds: float, reason: str) -> Iterator[Tick]:
    """Show nothing."""
    yield lambda passed: None


_watcher: ContextVar[WaitHook | None] = ContextVar("vastnb_waits", default=None)


@contextmanager
def waits_shown_by(hook: WaitHook) -> Iterator[None]:
    """Let `hook` show what this thread waits for inside the block, instead of `wait_line`."""
    token = _watcher.set(hook)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def wait_line(endpoint: str, seconds: float, reason: str) -> Iterator[Tick]:
    """Show a progress line that disappears when the wait is over, however it ends."""
    watcher = _watcher.get()
    if watcher is not None:
        with watcher(endpoint, seconds, reason) as tick:
            yield tick
        return
    if seconds <= SHOW_FROM or threading.current_thread() is not threading.main_thread():
        with silent(endpoint, seconds, reason) as tick:
            yield tick
        return
    line = Line(after=0)
    what = endpoint.replace("_", " ").capitalize()
    left = seconds

    def show(passed: float) -> None:
        nonlocal left
        left -= passed
        line.show(f"{what}: {reason}, {max(0.0, left):.0f} s left")

    show(0.0)
    try:
        yield show
    finally:
        line.close()


class Nap:
    """A wait in slices, which closing the client or a welcome event ends.

    Parameters
    ----------
    clock : Clock
        The time.
    check : callable
        Called before every slice; raises to end the wait.

    Attributes
    ----------
    passed : float
        Seconds that have passed.
    """

    def __init__(self, clock: Clock, check: Callable[[], None]) -> None:
        self._clock = clock
        self._check = check
        self.passed = 0.0

    def take(
        self, seconds: float, shown: AbstractContextManager[Tick], peek: Callable[[], T | None]
    ) -> T | None:
        """Let `seconds` pass, unless `peek`, called about once a second, finds something."""
        peeked = 0.0
        with shown as tick:
            while self.passed < seconds:
                self._check()
                step = min(SLICE, seconds - self.passed)
                before = self._clock.steady()
                self._clock.sleep(step)
                # By the clock, so that slices do not add up.
                step = max(self._clock.steady() - before, step)
                self.passed += step
                tick(step)
                if self.passed - peeked >= 1.0:
                    peeked = self.passed
                    found = peek()
                    if found is not None:
                        return found
        return None
