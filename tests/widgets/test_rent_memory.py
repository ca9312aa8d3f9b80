"""What a rent form remembers, how long it may run, what it has cost, and alerts of prices."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

import vastnb
from vastnb.client import Client
from vastnb.errors import InvalidRequest
from vastnb.sim import Server
from vastnb.widgets.kit.bells import Bells
from vastnb.widgets.rent import memory
from vastnb.widgets.rent.plan import RentPlan

from . import test_monitor
from .renting import Page

SECRET = "hf_never_on_disk"


class Real:
    """A client of the real service, as far as the memory asks."""

    simulated = False
    base_url = "https://console.vast.ai"


def test_image_disk_and_run_type_are_remembered_and_never_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path))
    plan = RentPlan().changed(
        {"image": "a/b", "disk": 64, "runtype": "args", "env": {"T": SECRET}, "onstart": SECRET,
         "label": "mine", "count": 3}
    )  # fmt: skip
    memory.remember(Real(), plan)  # type: ignore[arg-type]
    text = (tmp_path / memory.FILE).read_text()
    assert SECRET not in text and "mine" not in text
    assert (tmp_path / memory.FILE).stat().st_mode & 0o077 == 0
    known = memory.remembered(Real(), {})  # type: ignore[arg-type]
    assert (known["image"], known["disk"], known["runtype"]) == ("a/b", 64, "args")
    given = memory.remembered(Real(), {"image": "c/d"})  # type: ignore[arg-type]
    assert given == {"disk": 64}


@pytest.mark.parametrize("text", ["", "[1]", "{", json.dumps({"image": "a b", "disk": -5})])
def test_a_memory_that_makes_no_sense_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path))
    (tmp_path / memory.FILE).write_text(text)
    known = memory.remembered(Real(), {})  # type: ignore[arg-type]
    assert not {"image", "disk"} & set(known)


@pytest.fixture
def page(client: Client) -> Page:
    form = vastnb.rent_form(
        client, "gpu_name=RTX_4090 num_gpus=1", image="a/b", disk=20, max_hours=3
    )
    return Page(form)


def test_a_deadline_is_extended_by_a_fresh_click_only(page: Page, market: Server) -> None:
    page.rent()
    monitor = test_monitor.Page(page.form._monitor)
    (machine,) = page.form.machines
    before = machine.deadline
    assert before is not None
    monitor.clicks("extend", machine.id, at=monitor.picture["now"] - 120)
    test_monitor.settled(monitor.widget)
    assert machine.deadline == before
    assert "Nothing was done" in monitor.row(machine.id)["said"]["text"]
    monitor.clicks("extend", machine.id)
    test_monitor.settled(monitor.widget)
    after = machine.deadline
    assert after is not None and round((after - before).total_seconds()) == 3600
    monitor.says(type="ask", at_once=True)
    test_monitor.settled(monitor.widget)
    (card,) = page.state["machines"]
    assert card["deadline"] == pytest.approx(after.timestamp())
    assert page.state["bill"]["hours"] == pytest.approx(4, abs=0.1)


def test_at_the_end_there_is_a_receipt(page: Page, market: Server, client: Client) -> None:
    page.rent()
    monitor = test_monitor.Page(page.form._monitor)
    (machine,) = page.form.machines
    client.watcher.look(at_once=True)
    monitor.clicks("destroy", machine.id)
    test_monitor.settled(monitor.widget)
    (card,) = page.state["machines"]
    assert card["state"] == "gone" and card["receipt"]["usd"] is not None
    assert page.state["bill"] is None
    (row,) = monitor.picture["rows"]
    assert row["verbs"] == [] and row["receipt"] == card["receipt"]
    test_monitor.settled(monitor.widget)
    calls = market.calls("show_instances")
    monitor.says(type="ask")  # there is nothing to look at
    test_monitor.settled(monitor.widget)
    assert market.calls("show_instances") == calls
    client.watcher.look(at_once=True)
    assert "notice" not in set(client.watcher.events()["kind"]), "its end surprises nobody"


def test_an_alert_is_set_and_ended_or_refused_in_words(client: Client) -> None:
    from vastnb.market.query.query import parse_query

    bells = Bells(client)
    query = parse_query("gpu_name=RTX_4090")
    for wrong in (None, 0, -1, True, "x"):
        with pytest.raises(InvalidRequest, match="No alert was set"):
            bells.take({"below": wrong}, query, per="offer", type="on-demand", storage=10)
    bells.take({"below": 9.0}, query, per="offer", type="on-demand", storage=10)
    (shown,) = bells.page()
    assert shown["price"] == "$9/h" and shown["hits"] == 0
    client.search_offers("gpu_name=RTX_4090", refresh=True)
    assert bells.page()[0]["hits"] > 0
    bells.take({"stop": shown["number"]}, query, per="offer", type="on-demand", storage=10)
    assert bells.page() == [] and list(client.history.alerts) == []


def test_the_monitor_extends_a_deadline_by_a_confirmed_click(client: Client) -> None:
    box = client.rent("gpu_name=RTX_4090 num_gpus=1", image="a/b", disk=20, max_hours=3)
    watching = vastnb.monitor(client)
    (row,) = watching._model.picture(watching._now(), client=client)["rows"]
    assert row["deadline"] is not None and "extend" in row["verbs"]
    before = box.deadline
    click = {"type": "act", "key": "k1", "verb": "extend", "id": box.id, "shown": row["dph_run"]}
    watching._on_message(watching, {**click, "at": watching._now()}, [])
    watching._on_message(watching, {**click, "at": watching._now()}, [])  # the same click again
    for _ in range(100):
        watching.drain()
        if not watching._model.busy:
            break
        time.sleep(0.02)
    after = box.deadline
    assert before is not None and after is not None
    assert round((after - before).total_seconds()) == 3600
    late = {**click, "key": "k2", "at": watching._now() - 300}
    watching._on_message(watching, late, [])
    assert (
        box.deadline == after
        and "Nothing was done" in watching._picture()["rows"][0]["said"]["text"]
    )
    watching.close()
