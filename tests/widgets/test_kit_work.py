"""Work beside the main thread: in a slot the newest wins, and no thread is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from vastnb.widgets.kit.work import MainThread, Work


def threads() -> int:
    return sum(thread.name == "vastnb-search" for thread in threading.enumerate())


class Bench:
    """Work whose results are kept."""

    def __init__(self, debounce: float = 0.0) -> None:
        self.done: list[Any] = []
        self.work = Work(MainThread(), lambda: None, debounce=debounce)

    def submit(
        self, job: Callable[[], Any], *, at_once: bool = False, slot: str = "search"
    ) -> None:
        self.work.do(job, self.done.append, self.done.append, slot=slot, at_once=False)

    def ended(self) -> bool:
        ended = self.work.wait(5)
        self.work.take()
        return ended


def test_only_the_newest_of_many_changes_is_searched() -> None:
    bench = Bench(debounce=0.05)
    for job in range(1, 51):
        bench.submit(partial(int, job))
    assert bench.ended()
    assert bench.done == [50]
    assert threads() == 0


def test_a_change_during_a_search_is_searched_next_and_one_at_a_time() -> None:
    running, most = 0, 0
    began = threading.Event()
    go = threading.Event()

    def work(job: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        began.set()
        go.wait(5)
        running -= 1
        return job

    bench = Bench()
    bench.submit(partial(work, 1))
    assert began.wait(5)
    bench.submit(partial(work, 2))
    bench.submit(partial(work, 3))
    go.set()
    assert bench.ended()
    assert bench.done == [1, 3] and most == 1


def test_what_has_no_slot_runs_side_by_side() -> None:
    both = threading.Barrier(2, timeout=5)
    bench = Bench(debounce=60)
    for _ in range(2):
        bench.submit(both.wait, slot="")
    assert bench.ended()
    assert sorted(bench.done) == [0, 1]


def test_what_fails_is_told_and_holds_no_frame() -> None:
    def work() -> None:
        raise ValueError("secret")

    bench = Bench()
    for slot in ("", "search"):
        bench.submit(work, slot=slot)
    assert bench.ended()
    assert [(type(one), one.__traceback__) for one in bench.done] == [(ValueError, None)] * 2


def test_closed_work_delivers_nothing_and_ends() -> None:
    go = threading.Event()
    bench = Bench()
    bench.submit(lambda: go.wait(5))
    bench.work.close()
    bench.submit(lambda: 2)
    go.set()
    assert bench.ended()
    assert bench.done == []
    assert threads() == 0


def test_a_cancelled_search_is_never_sent() -> None:
    bench = Bench(debounce=0.2)
    bench.submit(lambda: 1)
    bench.work.cancel("search")
    start = time.monotonic()
    assert bench.ended()
    assert bench.done == [] and time.monotonic() - start < 0.15
