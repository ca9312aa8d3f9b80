"""The page sets the pace: one look at a time, and nothing when nobody asks."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from vastnb.sim import Fault
from vastnb.widgets.kit.pace import THREAD, Poller
from vastnb.widgets.kit.work import MainThread

from .machines import rent


class Page:
    """A poller and what it has sent to its page."""

    def __init__(self, client: Any) -> None:
        self.told: list[dict[str, Any]] = []
        self.looks: list[Any] = []
        self.changes: list[Any] = []
        self.threads: set[int] = set()
        self.poller = Poller(client.watcher, MainThread(), self.on_look, self.told.append)

    def on_look(self, snapshot: Any, changes: Any) -> None:
        self.threads.add(threading.get_ident())
        self.looks.append(snapshot)
        self.changes.extend(changes)


def threads() -> int:
    return sum(thread.name == THREAD for thread in threading.enumerate())


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert done()


@pytest.fixture
def lists(market) -> Callable[[], int]:
    return lambda: market.calls("show_instances")


def test_a_page_that_asks_too_early_is_only_told_when(client, lists) -> None:
    page = Page(client)
    page.poller.look_now()
    for _ in range(20):
        page.poller.asked()
    assert lists() == 1
    assert page.told[-1]["next_in"] > 0 and not page.told[-1]["asking"]
    assert threads() == 0


def test_when_it_is_due_one_thread_makes_one_request_and_ends(client, clock, lists) -> None:
    page = Page(client)
    page.poller.look_now()
    clock.advance(60)
    page.poller.asked()
    assert page.told[-1]["asking"]
    until(lambda: threads() == 0)
    assert lists() == 2
    assert page.poller.drain() and len(page.looks) == 2
    assert page.threads == {threading.get_ident()}


def test_five_widgets_share_one_list_for_25_machines(client, market, clock, lists) -> None:
    for _ in range(25):
        rent(market)
    pages = [Page(client) for _ in range(5)]
    for page in pages:
        page.poller.look_now()
    assert lists() == 1
    for tick in range(2, 8):
        clock.advance(60)
        for page in pages:
            page.poller.asked()
        until(lambda: threads() == 0)
        for page in pages:
            page.poller.drain()
        assert lists() == tick
    assert all(len(page.looks[-1].instances) == 25 for page in pages)
    assert market.calls("show_instance") == 0
    assert market.calls("show_user") <= 3  # the credit, every five minutes


def test_while_a_look_is_under_way_questions_start_no_second_thread(
    client, market, clock, lists
) -> None:
    page = Page(client)
    page.poller.look_now()
    clock.advance(60)
    market.faults.add(Fault("show_instances", "delay", nth=1, seconds=0.5))
    for _ in range(50):
        page.poller.asked(at_once=True)
        assert threads() <= 1
    until(lambda: threads() == 0)
    assert lists() == 2


def test_after_close_nothing_is_asked_or_handed_over(client, clock, lists) -> None:
    page, other = Page(client), Page(client)
    page.poller.look_now()
    page.poller.close()
    clock.advance(60)
    page.poller.asked(at_once=True)
    assert threads() == 0 and lists() == 1
    seen, told = len(page.looks), len(page.told)
    other.poller.look_now(at_once=True)
    assert (len(page.looks), len(page.told)) == (seen, told)


def test_a_closed_client_is_not_passed_off_as_watching(client, lists) -> None:
    page = Page(client)
    page.poller.look_now()
    client.close()
    page.poller.asked(at_once=True)
    until(lambda: threads() == 0)
    assert "client is closed" in page.poller.pace["error"]
    assert lists() == 1


def test_while_paused_only_a_press_of_the_button_looks(client, clock, lists) -> None:
    page = Page(client)
    page.poller.look_now()
    page.poller.paused = True
    clock.advance(600)
    page.poller.asked()
    assert lists() == 1 and page.told[-1]["paused"]
    page.poller.asked(at_once=True)
    until(lambda: threads() == 0)
    assert lists() == 2


def test_a_service_that_fails_is_told_and_asked_less_often(client, market, clock, lists) -> None:
    page = Page(client)
    page.poller.look_now()
    market.faults.add(Fault("show_instances", "503", nth=1, times=99))
    clock.advance(60)
    page.poller.asked()
    until(lambda: threads() == 0)
    page.poller.drain()
    assert page.looks[-1].error
    assert page.poller.pace["error"] and page.poller.pace["next_in"] > 5


def test_results_reach_the_main_thread_while_it_is_free(client, clock, lists) -> None:
    async def session() -> None:
        page = Page(client)
        page.poller.look_now()
        clock.advance(60)
        await asyncio.get_running_loop().run_in_executor(None, page.poller.asked)
        for _ in range(400):
            await asyncio.sleep(0.01)
            if len(page.looks) == 2 and page.told[-1]["next_in"] > 0:
                break
        assert len(page.looks) == 2
        assert page.threads == {threading.get_ident()}
        assert sum(message["asking"] for message in page.told) == 1
        assert not page.told[-1]["asking"]
        page.poller.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, session()).result(60)
    assert lists() == 2


def test_a_widget_that_fails_does_not_keep_news_from_the_others(client, caplog) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("broken widget")

    broken = Poller(client.watcher, MainThread(), fail, lambda message: None)
    page = Page(client)
    broken.look_now()
    assert len(page.looks) == 1
    assert "broken widget" in caplog.text
