"""Waiting for machines, on the picture that everybody shares.

A wait asks nothing of its own: it looks through the watcher when the next look is due, so a wait
and five widgets make one list call, and what a wait sees the widgets are told. While a cell runs no
message from the page is handled; then it is the wait whose looks keep the widgets up to date.

`wait_for` blocks. `wait_for_async` leaves the kernel free: each look has a thread of its own, which
ends with it, and between looks there is nothing but a timer of the event loop.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, get_args

from vastnb.api.progress import Line
from vastnb.clock import Clock, SystemClock
from vastnb.errors import InstanceFailed, InvalidRequest, WaitTimeout
from vastnb.fleet.connect import ssh_address
from vastnb.fleet.status import MEANINGS, TO_DO, InstanceState, Wanted
from vastnb.fleet.watch.picture import Watched
from vastnb.fleet.watch.state import Snapshot
from vastnb.fleet.watch.watcher import Watcher

SLICE: Final = 1.0
"""Longest sleep at a stroke: an action elsewhere may make the next look due."""


class Wait:
    """What is waited for, and whether it has come.

    Parameters
    ----------
    watcher : Watcher
        Looks.
    clock : Clock
        The time.
    ids : sequence of int
        The instances.
    until : {"running", "stopped", "gone"}
        What to wait for.
    timeout : float
        Seconds.
    reachable : bool
        Whether SSH must answer, too.

    Raises
    ------
    InvalidRequest
        If it makes no sense.
    """

    def __init__(
        self,
        watcher: Watcher,
        clock: Clock,
        ids: Sequence[int],
        until: Wanted,
        timeout: float,
        *,
        reachable: bool = False,
    ) -> None:
        if until not in get_args(Wanted):
            raise InvalidRequest(
                f"until={until!r}: use one of {', '.join(get_args(Wanted))}. Nothing was sent.",
                code="until",
            )
        if isinstance(timeout, bool) or not (isinstance(timeout, int | float) and timeout >= 0):
            raise InvalidRequest(
                f"timeout={timeout!r}: a number of seconds is needed. Nothing was sent.",
                code="timeout",
            )
        if reachable and until != "running":
            raise InvalidRequest(
                f"reachable=True works only with until='running', not {until!r}. Nothing was sent.",
                code="until",
            )
        self.ids = tuple(dict.fromkeys(ids))
        self.until: Wanted = until
        self.reachable = reachable
        self._watcher, self._clock, self._timeout = watcher, clock, timeout
        self._began = clock.time()
        self._deadline = self._began + timeout
        self._bad_since: dict[int, tuple[InstanceState, float]] = {}
        for number in self.ids:
            watcher.expect(number, until, acted=False)

    def left(self, shown: Snapshot) -> list[str]:
        """Return what is still waited for, in words; empty if all is as wanted.

        Raises
        ------
        InstanceFailed
            If one will not get there.
        WaitTimeout
            If the time is over.
        VastError
            If looking makes no sense: the key is not accepted, the client is closed.
        """
        failure = self._watcher.failure
        if failure is not None:
            raise failure
        waiting = []
        for number in self.ids:
            one = shown.of(number)
            if one is None and self.until == "gone" and shown.asked_at is not None:
                continue
            if one is None:
                waiting.append(f"{number}: not checked yet")
                continue
            self._give_up(one, shown)
            if one.verdict.state != self.until:
                waiting.append(f"{number}: {one.verdict.reason}")
            elif self.reachable and one.reached is not True:
                waiting.append(f"{number}: running, SSH does not answer yet")
        if waiting and self._clock.time() >= self._deadline:
            last = f" Last error: {shown.error}" if shown.error else ""
            named = ", ".join(_named(shown.of(number), number) for number in self.ids)
            raise WaitTimeout(
                f"Not {self._goal} within {self._timeout:g} s: {named}. What still exists may "
                f"bill; client.destroy_instance(id) destroys one, wait() waits longer.{last}"
            )
        return waiting

    def pause(self) -> float:
        """Return the seconds to sleep until it is worth while to look again, or to see the time."""
        left = self._deadline - self._clock.time()
        return max(0.01, min(self._watcher.due_in(), left, SLICE))

    @property
    def _goal(self) -> str:
        return "reachable" if self.reachable else self.until

    def _give_up(self, one: Watched, shown: Snapshot) -> None:
        state = one.verdict.state
        if self.reachable and state == "running" and ssh_address(one.record) is None:
            runtype = str(one.record.get("image_runtype") or "")
            if runtype.split() == ["args"]:
                raise InvalidRequest(
                    f"Instance {one.id} runs without SSH (runtype 'args'), so SSH will never "
                    "answer. It is billed. Wait without reachable=True.",
                    code="no_ssh",
                )
        if state == self.until or self.until not in MEANINGS[state].hopeless:
            self._bad_since.pop(one.id, None)
            return
        if not one.verdict.settled and state != "stuck":
            return
        # What was seen before this wait began may have been put right since.
        asked_at = shown.asked_at if shown.asked_at is not None else -math.inf
        if asked_at < self._began:
            return
        first = self._bad_since.get(one.id)
        if first is None or first[0] != state:
            first = self._bad_since[one.id] = state, asked_at
        if MEANINGS[state].seen_twice and first[1] >= asked_at:
            return
        bills = "It no longer bills." if state == "gone" else "It exists and may bill."
        advised = f" {TO_DO[one.verdict.advice]}." if TO_DO[one.verdict.advice] else ""
        raise InstanceFailed(
            f"Instance {_named(one, one.id)} will not become {self._goal} on its own. "
            f"{bills}{advised}",
            code=state,
        )


def wait_for(wait: Wait, watcher: Watcher, clock: Clock) -> None:
    """Wait until all machines are as wanted; see `Instance.wait` for the errors."""
    with watcher.probing(wait.ids if wait.reachable else ()), _progress(wait, clock) as tell:
        shown = watcher.look(at_once=not watcher.is_recent)
        while waiting := wait.left(shown):
            tell(waiting)
            clock.sleep(wait.pause())
            shown = watcher.look()


async def wait_for_async(wait: Wait, watcher: Watcher, clock: Clock) -> None:
    """Do the same and leave the event loop free. May be cancelled at any moment."""
    with watcher.probing(wait.ids if wait.reachable else ()), _progress(wait, clock) as tell:
        shown = await _look(watcher, at_once=not watcher.is_recent)
        while waiting := wait.left(shown):
            tell(waiting)
            await _sleep(clock, wait.pause())
            shown = await _look(watcher)


async def _look(watcher: Watcher, *, at_once: bool = False) -> Snapshot:
    """Look in a thread that lives as long as the look does; in none if nothing is to be asked."""
    if not at_once and watcher.due_in() > 0:
        return watcher.snapshot
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Snapshot] = loop.create_future()

    def tell(set_it: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            set_it(value)

    def work() -> None:
        try:
            result: Any = watcher.look(at_once=at_once)
            way: Callable[[Any], None] = done.set_result
        except BaseException as error:  # noqa: BLE001  (it is raised where it is waited for)
            result, way = error, done.set_exception
        if not loop.is_closed():
            loop.call_soon_threadsafe(tell, way, result)

    threading.Thread(target=work, name="vastnb look", daemon=True).start()
    return await done


def _sleep(clock: Clock, seconds: float) -> Awaitable[None]:
    if isinstance(clock, SystemClock):
        return asyncio.sleep(seconds)
    # A clock that stands still has to be moved on by whoever waits.
    clock.sleep(seconds)
    return asyncio.sleep(0)


@contextmanager
def _progress(wait: Wait, clock: Clock) -> Iterator[Callable[[Sequence[str]], None]]:
    """Show a line with what is going on, once the wait has lasted a moment."""
    began = clock.time()
    line = Line(now=clock.time)

    def tell(waiting: Sequence[str]) -> None:
        more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        ready = f", {total - len(waiting)} of {total} ready" if (total := len(wait.ids)) > 1 else ""
        passed = round(clock.time() - began)
        line.show(f"{waiting[0][:100]}{more} ({passed // 60}:{passed % 60:02d}{ready})")

    try:
        yield tell
    finally:
        line.close()


def _named(one: Watched | None, number: int) -> str:
    return f"{number} ({one.verdict.state}: {one.verdict.reason})" if one else str(number)
