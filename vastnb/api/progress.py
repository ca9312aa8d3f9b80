"""Waits that one can see.

A wait hook is called before every wait and returns a context manager; inside it, the function that
it yields is told of the seconds that pass. The default, `wait_line`, shows a line for waits longer
than two seconds and removes it afterwards. It does so in the main thread only: output of a worker
thread lands in whichever notebook cell happens to run.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

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
    bar: Any = None
    with contextlib.suppress(Exception):  # what only shows a wait may not end it
        from tqdm.auto import tqdm  # a wait can afford the import; `import vastnb` cannot

        bar = tqdm(
            total=seconds,
            desc=f"{endpoint}: {reason}",
            bar_format="{desc} |{bar}| {n:.0f}/{total:.0f} s",
            leave=False,
        )

    def show(passed: float) -> None:
        if bar is not None:
            with contextlib.suppress(Exception):
                # A wait may end a little late, and tqdm warns of a bar that is more than full.
                bar.update(max(0.0, min(passed, seconds - bar.n)))

    try:
        yield show
    finally:
        if bar is not None:
            with contextlib.suppress(Exception):
                bar.close()


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


__all__ = ["SHOW_FROM", "SLICE", "Nap", "Tick", "WaitHook", "silent", "wait_line"]
