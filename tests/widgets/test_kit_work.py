"""Searches beside the main thread: the newest wins, and no thread is left."""

from __future__ import annotations

import threading
import time

from vastnb.widgets.kit.work import SearchWorker


def threads() -> int:
    return sum(thread.name == "vastnb-search" for thread in threading.enumerate())


def test_only_the_newest_of_many_changes_is_searched() -> None:
    done: list[int] = []
    worker: SearchWorker[int, int] = SearchWorker(
        lambda job: job, lambda job, result: done.append(result), debounce=0.05
    )
    for job in range(1, 51):
        worker.submit(job)
    assert worker.wait(5)
    assert done == [50]
    assert threads() == 0


def test_a_change_during_a_search_is_searched_next_and_one_at_a_time() -> None:
    running, most, done = 0, 0, []
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

    worker: SearchWorker[int, int] = SearchWorker(
        work, lambda job, result: done.append(result), debounce=0.0
    )
    worker.submit(1)
    assert began.wait(5)
    worker.submit(2)
    worker.submit(3)
    go.set()
    assert worker.wait(5)
    assert done == [1, 3] and most == 1


def test_a_closed_worker_posts_nothing_and_ends() -> None:
    done: list[int] = []
    go = threading.Event()
    worker: SearchWorker[int, int] = SearchWorker(
        lambda job: (go.wait(5) and job) or 0, lambda job, result: done.append(result), debounce=0.0
    )
    worker.submit(1)
    worker.close()
    worker.submit(2)
    go.set()
    assert worker.wait(5)
    assert done == []
    assert threads() == 0


def test_a_cancelled_search_is_never_sent() -> None:
    sent: list[int] = []
    worker: SearchWorker[int, None] = SearchWorker(sent.append, lambda *_: None, debounce=0.2)
    worker.submit(1)
    worker.cancel()
    start = time.monotonic()
    assert worker.wait(5)
    assert sent == [] and time.monotonic() - start < 0.15
