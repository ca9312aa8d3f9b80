"""How busy a machine is, in the monitor: over the connection that is there, and no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import vastnb
from tests.widgets.test_monitor import Page
from vastnb.fleet.instance import Instance
from vastnb.remote import load
from vastnb.remote import session as session_module
from vastnb.remote.session import Session
from vastnb.sim import Server
from vastnb.widgets.monitor.load import Loads, in_words
from vastnb.widgets.monitor.widget import Monitor

from .conftest import Rent


def answered(monitor: Monitor) -> None:
    until = time.monotonic() + 10
    while any(thread.name == "vastnb-load" for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.01)
    assert monitor.df is not None


def asked_of(market: Server, box: Instance) -> Path:
    """Have the machine's nvidia-smi note that it was run; return where."""
    assert market.ssh_key_file is not None
    smi = market.ssh_key_file.parent / str(box.id) / "bin" / "nvidia-smi"
    if not smi.with_name("smi").exists():
        smi.rename(smi.with_name("smi"))
        smi.write_text('#!/bin/sh\necho >>"$HOME/asked"\nexec "$(dirname "$0")/smi" "$@"\n')
        smi.chmod(0o755)
    return market.ssh_key_file.parent / str(box.id) / "root" / "asked"


def test_the_card_shows_the_load_while_there_is_a_session_and_asks_only_when_asked(
    box: Instance, client: vastnb.Client, market: Server
) -> None:
    box.wait(reachable=True)
    with closing(vastnb.monitor(client)) as watching:
        page = Page(watching)
        page.says(type="ask", at_once=True)
        answered(watching)
        assert page.row(box.id)["live"] is None
        assert "GPU 3 %" not in watching._copy()

        session = box.session()
        noted = asked_of(market, box)
        page.says(type="ask", at_once=True)
        answered(watching)
        page.says(type="ready")
        live = page.row(box.id)["live"]
        assert live["util"] == 3
        assert 0 < live["vram_used"] < live["vram"]
        assert 0 < live["disk_used"] < live["disk"]
        assert live["at"] == client.transport.clock.time()
        assert session.generation == 1
        assert len(noted.read_text()) == 1
        page.says(type="ask")  # a moment later nothing is asked again
        watching.paused = True
        watching._loads._asked.clear()
        page.says(type="ask")  # nor while the monitor is paused
        answered(watching)
        assert len(noted.read_text()) == 1
        watching.paused = False
        page.says(type="ask")
        answered(watching)
        assert len(noted.read_text()) == 2
        copy = watching._copy()
        assert "GPU 3 %, memory" in copy
        assert " UTC" in copy.partition("GPU 3 %")[2][:80]

        box.disconnect()
        page.says(type="ask", at_once=True)
        answered(watching)
        page.says(type="ready")
        assert page.row(box.id)["live"] is None
        assert session.generation == 1
        assert "GPU 3 %" not in watching._copy()


def test_the_first_picture_has_the_load_for_a_notebook_without_a_page(
    box: Instance, client: vastnb.Client
) -> None:
    box.session()
    with closing(vastnb.monitor(client)) as watching:
        assert "GPU 3 %, memory" in watching._copy()


def test_a_load_that_is_not_answered_harms_no_other_call(session: Session) -> None:
    session.open()
    assert session.peek("sleep 0.8; echo late", timeout=0.2) is None
    assert session.peek("echo second", timeout=0.5) is None  # not before the first has ended
    assert session.ask("echo there").strip() == "there"
    assert session.generation == 1


def test_a_load_waits_for_no_slot_and_makes_no_connection(session: Session) -> None:
    assert session.peek("echo x") is None
    assert session.generation == 0
    session.open()
    for _ in range(session_module.AT_ONCE):
        session._slots.acquire()
    assert session.peek("echo x") is None
    session._slots.release()
    assert session.peek("head -c 10000000 /dev/zero", most=1000) == bytes(1000)
    session.drop()
    assert session.peek("echo x") is None
    assert session.generation == 1


def test_what_a_machine_does_not_say_is_left_out() -> None:
    live = {"at": 0.0, "util": None, "vram_used": None, "vram": 24.0, "disk_used": 1.0, "disk": 9.0}
    assert in_words(live) == "disk 1.0 of 9.0 GB at 00:00:00 UTC"
    assert in_words(None) == in_words(dict.fromkeys(live, None) | {"at": 0.0}) == ""


def test_a_machine_that_says_nothing_or_nonsense_is_shown_without_a_load(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vastnb.widgets.monitor.load.is_connected", lambda account, number: True)
    loads = Loads("me", lambda: 0.0)
    for told in ("", "\x1b[2J<script>", "gpu,x,-5,-5,nan,1e999,1\ndisk,-1,-1\n", "\n" * 65_536):
        answer = load.peek(Told(told.encode()), 1.0)  # type: ignore[arg-type]
        if answer is not None:
            loads._known[1] = (0.0, answer)
        assert loads.shown(1) is None


class Told:
    def __init__(self, told: bytes) -> None:
        self.told = told

    def peek(self, command: str, *, timeout: float) -> bytes:
        return self.told


def test_nothing_is_asked_of_a_machine_without_a_connection(
    rent: Rent, monkeypatch: pytest.MonkeyPatch
) -> None:
    del rent
    started: list[str] = []
    begin: Callable[[threading.Thread], None] = threading.Thread.start
    monkeypatch.setattr(
        threading.Thread, "start", lambda one: (started.append(one.name), begin(one))[1]
    )
    Loads("nobody", time.time).ask([1, 2, 3], at_once=True)
    assert started == []


def test_what_a_machine_has_cost_is_told_while_it_is_there(
    box: Instance, client: vastnb.Client, market: Server
) -> None:
    box.wait()
    with closing(vastnb.monitor(client)) as watching:
        watching.refresh()
        market.world.advance(hours=1)
        spent = watching.refresh().spent
        billed = market.world.instances[box.id].billed
        assert spent.loc[box.id, "usd"] == pytest.approx(billed, rel=0.2)
        box.destroy()
        assert watching.refresh().spent.empty
