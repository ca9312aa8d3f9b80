"""The monitor as Python sees it: on a real server, without a browser."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import ipywidgets
import pytest

import vastnb
from vastnb.client import Client
from vastnb.sim import Fault
from vastnb.sim.payload_texts import BEACON
from vastnb.widgets.kit.pace import THREAD
from vastnb.widgets.monitor.widget import Monitor, monitor

from .machines import rent, stop


class Page:
    """What a page does: it listens, asks, clicks, and keeps what it was sent."""

    def __init__(self, widget: Monitor) -> None:
        self.widget = widget
        self.sent: list[dict[str, Any]] = []
        widget.send = lambda content, buffers=None: self.sent.append(content)  # type: ignore[method-assign]
        self.says(type="ready")

    def says(self, **message: Any) -> None:
        self.widget._on_message(self.widget, message, [])

    def clicks(self, verb: str, id: int, **more: Any) -> str:
        key = f"key-{len(self.sent)}-{verb}"
        self.says(
            **{"type": "act", "key": key, "verb": verb, "id": id, "at": self.picture["now"], **more}
        )
        return key

    @property
    def picture(self) -> dict[str, Any]:
        return next(one for one in reversed(self.sent) if one["type"] == "picture")

    def row(self, id: int) -> dict[str, Any]:
        return next(row for row in self.picture["rows"] if row["id"] == id)


def settled(widget: Monitor) -> None:
    """Wait until no action is under way, and take what came of them."""
    deadline = time.monotonic() + 20
    while any(t.name in (THREAD, "vastnb-act") for t in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert widget.df is not None


@pytest.fixture
def open_monitor(client: Client) -> Any:
    opened: list[Monitor] = []

    def opener(**options: Any) -> Page:
        opened.append(monitor(client, **options))
        return Page(opened[-1])

    yield opener
    for one in opened:
        one.close()


Opener = Callable[..., Page]


def test_a_run_without_a_page_asks_once_and_leaves_no_thread(client, market) -> None:
    rent(market)
    before = threading.active_count()
    watching = monitor(client)
    assert market.calls("show_instances") == 1
    assert len(watching.df) == 1
    assert "1 instances" in repr(watching) and "simulated" in repr(watching)
    assert not [t for t in threading.enumerate() if t.name in (THREAD, "vastnb-act")]
    assert threading.active_count() <= before + 2  # the server's, for one connection
    watching.close()


def test_what_is_left_without_a_kernel_is_a_readable_table(client, market) -> None:
    rent(market, label="train")
    stop(market, rent(market, label="idle", gpu="RTX 3090"))
    market.world.advance(minutes=5)
    watching = monitor(client)
    bundle = watching._repr_mimebundle_()
    html = bundle["text/html"]
    assert "SIMULATED: 2 machines" in html and "train" in html and "idle" in html
    assert "not running" in html and "<script" not in html
    watching.close()


@pytest.mark.slow
def test_five_monitors_on_25_machines_make_one_list_call_a_tick(
    client, market, clock, open_monitor: Opener
) -> None:
    for _ in range(25):
        rent(market)
    pages = [open_monitor() for _ in range(5)]
    assert market.calls("show_instances") == 1
    for tick in range(2, 6):
        clock.advance(60)
        for page in pages:
            page.says(type="ask")
        settled(pages[0].widget)
        for page in pages:
            _ = page.widget.df
            assert len(page.picture["rows"]) == 25
        assert market.calls("show_instances") == tick
    assert market.calls("show_instance") == 0


def test_an_action_is_carried_out_aside_and_its_result_is_shown(
    client, market, clock, open_monitor: Opener
) -> None:
    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    assert page.row(id)["state"] == "running"
    page.clicks("stop", id)
    assert page.row(id)["busy"]["verb"] == "stop"
    settled(page.widget)
    assert page.row(id)["busy"] is None and page.row(id)["said"]["level"] == "good"
    assert market.world.instances[id].intended == "stopped"
    page.widget.refresh()
    assert page.row(id)["state"] == "stopped"
    page.clicks("label", id, label="keep me")
    settled(page.widget)
    assert market.world.instances[id].label == "keep me"
    assert {"action", "state"} <= set(page.widget.events["kind"])


def test_a_machine_is_destroyed_only_after_it_was_confirmed(
    client, market, open_monitor: Opener
) -> None:
    mine, foreign = rent(market), rent(market, ours=False)
    market.world.advance(minutes=5)
    page = open_monitor()
    page.clicks("destroy", foreign)
    assert "to destroy it" in page.row(foreign)["said"]["text"]
    page.clicks("destroy", mine)
    settled(page.widget)
    page.clicks("destroy", foreign, typed=str(foreign))
    settled(page.widget)
    assert not [one for one in market.world.instances.values() if one.alive]
    kinds = page.widget.events.query("kind == 'notice'")
    assert kinds.empty, kinds["text"].tolist()


def test_a_click_that_is_late_sends_nothing(client, market, clock, open_monitor: Opener) -> None:
    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    calls = market.calls()
    clock.advance(45)
    page.clicks("destroy", id)
    assert "clicked 45 s ago" in page.row(id)["said"]["text"]
    assert market.calls() == calls
    assert market.world.instances[id].alive


def test_what_fails_is_said_where_it_was_clicked(client, market, open_monitor: Opener) -> None:
    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    market.faults.add(Fault("manage_instance", "503", nth=1, times=99))
    page.clicks("stop", id)
    settled(page.widget)
    assert page.row(id)["said"]["level"] == "bad" and page.row(id)["said"]["text"]
    assert market.world.instances[id].intended == "running"


def test_destroy_and_next_rents_another_machine_of_the_same_rental(
    client, market, open_monitor: Opener
) -> None:
    offers = client.search_offers("num_gpus=1", order="dph_total", limit=5)
    market.world.fleet.expect("runtime-error")
    old = client.rent(offers, image="pytorch/pytorch", label="job")
    market.world.advance(minutes=5)
    page = open_monitor()
    row = page.row(old.id)
    assert row["state"] == "failed" and row["again"]["left"] == 4
    page.clicks("next", old.id, shown=row["again"]["max_dph"])
    settled(page.widget)
    alive = [one for one in market.world.instances.values() if one.alive]
    assert len(alive) == 1 and alive[0].label == "job" and alive[0].id != old.id


def test_a_jupyter_address_is_sent_once_and_kept_nowhere(
    client, market, open_monitor: Opener
) -> None:
    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    token = market.world.instances[id].record(0, 0)["jupyter_token"]
    key = page.clicks("jupyter", id)
    settled(page.widget)
    answers = [one for one in page.sent if one["type"] == "answer"]
    assert [one["key"] for one in answers] == [key] and token in answers[0]["url"]
    others = [one for one in page.sent if one["type"] != "answer"]
    assert token not in json.dumps(others)
    assert token not in json.dumps(page.widget.get_state(), default=str)
    assert token not in repr(vars(page.widget._model)) + page.widget._copy()
    assert token not in page.widget.df.to_string() + page.widget.events.to_string()


def test_a_log_is_fetched_for_whoever_asks(client, market, open_monitor: Opener) -> None:
    id = rent(market)
    market.world.advance(minutes=30)
    page = open_monitor()
    key = page.clicks("logs", id)
    settled(page.widget)
    answer = next(one for one in page.sent if one["type"] == "answer")
    assert answer["key"] == key and "simulated" in answer["text"]


def test_notices_are_shown_until_dismissed_and_handed_to_the_users_function(
    client, market, clock, open_monitor: Opener
) -> None:
    told: list[Any] = []
    page = open_monitor(on_notice=told.append)
    id = rent(market, "bad-image")
    market.world.advance(minutes=5)
    clock.advance(60)
    page.says(type="ask")
    settled(page.widget)
    assert [change.id for change in told] == [id]
    assert [one["id"] for one in page.picture["notices"]] == [id]
    assert page.widget.notices and str(id) in page.widget.notices[0]
    page.says(type="dismiss", key=page.picture["notices"][0]["key"])
    assert page.picture["notices"] == []


def test_a_deadline_is_shown_and_what_runs_after_it_is_a_notice(
    client, market, clock, open_monitor: Opener
) -> None:
    box = client.rent("num_gpus=1", image="pytorch/pytorch", max_hours=2)
    client.renter.guard.close()  # as if the kernel that guards it had died
    page = open_monitor()
    assert page.row(box.id)["deadline"] == pytest.approx(clock.time() + 7200, abs=120)
    clock.advance(7300)
    page.says(type="ask")
    settled(page.widget)
    assert "Past its deadline" in page.picture["notices"][0]["text"]


def test_a_users_function_that_fails_is_shown_and_the_monitor_goes_on(
    client, market, clock, open_monitor: Opener
) -> None:
    def broken(change: Any) -> None:
        raise RuntimeError("no such phone")

    page = open_monitor(on_notice=broken)
    rent(market, "bad-image")
    market.world.advance(minutes=5)
    clock.advance(60)
    page.says(type="ask")
    settled(page.widget)
    assert "no such phone" in page.picture["trouble"]
    assert len(page.picture["rows"]) == 1


@pytest.mark.slow
def test_running_the_cell_again_keeps_what_is_known_and_adds_nothing(
    client, market, monkeypatch
) -> None:
    rent(market, "bad-image")
    market.world.advance(minutes=5)
    runs = iter(range(1000))
    monkeypatch.setattr(
        "vastnb.widgets.kit.widget.this_cell", lambda: ("cell", f"run {next(runs)}")
    )
    Page(monitor(client))
    gc.collect()
    widgets, threads = len(ipywidgets.widgets.widget._instances), threading.active_count()
    for _ in range(100):
        last = Page(monitor(client))
    gc.collect()
    assert len(ipywidgets.widgets.widget._instances) == widgets
    assert threading.active_count() <= threads
    left = [o for o in gc.get_objects() if isinstance(o, Monitor) and o._client is client]
    assert len(left) == 1
    assert len(client.watcher._subscribers) == 1
    assert market.calls("show_instances") == 1
    assert len(last.picture["notices"]) == 1  # not dismissed yet, so still there
    last.widget.close()
    last.says(type="ask", at_once=True)
    assert market.calls("show_instances") == 1 and client.watcher._subscribers == {}


def test_an_action_goes_on_when_its_monitor_is_closed(client, market, open_monitor) -> None:
    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    page.clicks("destroy", id)
    page.widget.close()
    other = open_monitor()
    settled(other.widget)
    page.widget._take_results()
    other.widget._show()
    assert not market.world.instances[id].alive
    assert all(row["busy"] is None for row in other.picture["rows"])


def test_results_come_to_the_main_thread_by_themselves(client, market) -> None:
    id = rent(market)
    market.world.advance(minutes=5)

    async def session() -> None:
        watching = monitor(client)
        page = Page(watching)
        page.clicks("stop", id)
        for _ in range(500):
            await asyncio.sleep(0.01)
            if not page.row(id)["busy"]:
                break
        assert page.row(id)["said"]["level"] == "good"
        watching.close()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, session()).result(60)


def test_without_a_key_the_monitor_opens_and_says_so(market, clock) -> None:
    with Client(base_url=market.url, cache="memory", clock=clock) as keyless:
        page = Page(monitor(keyless))
        assert "key" in page.picture["error"]
        assert page.picture["asked_at"] is None
        page.widget.close()


def test_no_text_of_a_host_leaves_as_markup(clock) -> None:
    with vastnb.sim.Server(
        seed=3, speed=0, clock=clock, limits=None, machines=120, payloads=True
    ) as market:
        ids = [rent(market, label=f"<b>{n}</b>") for n in range(12)]
        market.world.advance(minutes=5)
        with Client(market.api_key, base_url=market.url, cache="memory", clock=clock) as client:
            page = Page(monitor(client))
            assert {row["id"] for row in page.picture["rows"]} == set(ids)
            html = page.widget._copy()
            assert not re.search(r"<(script|img|svg|iframe|b>\d|details)", html)
            assert BEACON not in re.sub(r"&[a-z]+;", "", html) or "&lt;img" in html
            page.widget.close()


def test_a_notice_whose_cause_has_passed_asks_for_nothing_any_longer(
    client, market, open_monitor: Opener
) -> None:
    from vastnb.fleet.watch.changes import Change
    from vastnb.widgets.monitor.model import as_of_now

    id = rent(market)
    market.world.advance(minutes=5)
    page = open_monitor()
    (runs,) = page.widget._model.snapshot.instances
    text = "Outbid; its disk is billed. Raise the bid."
    outbid = Change(1.0, id, None, "notice", None, "outbid", text, "warn")
    now = as_of_now(outbid, runs)
    assert (now.level, now.text) == ("info", "Running again. Earlier: Outbid; its disk is billed.")
    assert as_of_now(outbid, None) == outbid
    late = Change(1.0, id, None, "notice", None, "running", "Past its deadline by 5 min.", "bad")
    assert as_of_now(late, runs) == late


def test_what_the_journal_does_not_know_is_destroyed_only_with_its_id_typed(
    client: Client, market: Any
) -> None:
    other = rent(market, ours=False)
    watching = Monitor(client, ids=(), look=False)
    page = Page(watching)
    assert market.calls("show_instances") == 0
    watching.follow(other)
    assert page.row(other)["ours"] is False
    page.clicks("destroy", other)
    settled(watching)
    assert market.world.instances[other].alive
    assert "type" in page.row(other)["said"]["text"]
    page.clicks("destroy", other, typed=str(other))
    settled(watching)
    assert not market.world.instances[other].alive
    watching.close()
