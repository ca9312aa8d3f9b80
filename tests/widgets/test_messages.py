"""What kernel and page say to each other is what `messages.d.ts` says, which the JavaScript is
checked against: every message that is sent has its fields, and every one of them is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import vastnb
from vastnb.client import Client
from vastnb.sim import Server
from vastnb.widgets import kit
from vastnb.widgets.monitor import Monitor
from vastnb.widgets.rent import rent_form
from vastnb.widgets.table import OfferTable

from . import renting, test_monitor
from .machines import rent

WIDGETS = Path(kit.__file__).parents[1]
Fields = Mapping[str, bool]
"""The fields of a message, and whether each must be there."""


@cache
def declared(widget: str) -> str:
    return (WIDGETS / widget / "messages.d.ts").read_text()


def fields(widget: str, interface: str) -> Fields:
    body = declared(widget).partition(f"export interface {interface} {{\n")[2]
    found = re.findall(r"^  (\w+)(\??):", body.partition("\n}\n")[0], re.MULTILINE)
    assert found, interface
    return {name: not optional for name, optional in found}


def fits(message: Mapping[str, Any], declared: Fields) -> bool:
    must = {name for name, needed in declared.items() if needed}
    return must <= set(message) <= set(declared)


def union(widget: str, direction: str) -> dict[str, tuple[str, str]]:
    """Return the messages of one direction: by ``type``, the widget and interface that say it."""
    text = declared(widget)
    body = re.search(rf"export type {direction} =([^;]*);", text)
    assert body is not None
    found: dict[str, tuple[str, str]] = {}
    for name in re.findall(r"\b[A-Z]\w+", body[1]):
        home, origin = widget, name
        for names, place in re.findall(r'import type \{([^}]*)\} from "\.\./(\w+)/', text):
            for one in names.split(","):
                first, _, second = one.strip().partition(" as ")
                if name == (second or first):
                    home, origin = place, first
        if origin == direction or f"export type {origin} =" in declared(home):
            found |= union(home, origin)
            continue
        line = re.search(
            rf"export interface {origin} {{\n(?:  .*\n)*?  type: ([^;]*);", declared(home)
        )
        for kind in re.findall(r'"([^"]+)"', line[1]) if line else ():
            found[kind] = (home, origin)
    return found


def kept(widget: Any) -> list[dict[str, Any]]:
    """Keep what a widget sends from now on, and let it hear that a page listens."""
    sent: list[dict[str, Any]] = []
    widget.send = lambda content, buffers=None: sent.append(content)
    for content in ({"type": "ready", "width": 600.0}, {"type": "ping"}):
        widget._on_message(widget, content, [])
    return sent


def check(widget: str, sent: list[dict[str, Any]], beside: Fields | None = None) -> None:
    wanted = union(widget, "FromKernel")
    for message in sent:
        interface = wanted[message["type"]]
        assert fits(message, {**fields(*interface), **(beside or {})}), (interface, message.keys())
    assert {one["type"] for one in sent} == set(wanted)


@pytest.mark.parametrize("widget", ["table", "explorer", "rent", "monitor", "prices"])
def test_what_a_page_says_is_known_to_its_kernel(widget: str) -> None:
    if widget == "table":
        return  # it only listens
    places = [WIDGETS / "kit", WIDGETS / widget]
    source = "".join(path.read_text() for place in places for path in place.glob("*.py"))
    for kind in union(widget, "ToKernel"):
        assert f'"{kind}"' in source, kind


def test_a_table_sends_what_its_page_is_checked_against(client: Client) -> None:
    frame = client.search_offers(limit=5)
    table = OfferTable(frame)
    sent = kept(table)
    table.show_rows([0, 1])
    table._send_columns(frame, ["dph_total"], None)
    check("table", [*sent, {"type": "answered"}])  # that one is the explorer's
    table.close()


@pytest.mark.slow
def test_an_explorer_sends_what_its_page_is_checked_against(client: Client) -> None:
    explorer = vastnb.explore(client)
    sent = kept(explorer)
    explorer.filter(max_price=1.0)
    explorer.filter(disk=80)
    explorer.filters = {**explorer.filters, "type": "bid"}
    assert explorer.wait(20)
    check("explorer", sent, fields("explorer", "Beside"))
    assert fits(explorer.status, fields("kit", "Status"))
    explorer.close()


@pytest.mark.slow
def test_prices_send_what_their_page_is_checked_against(client: Client) -> None:
    charts = vastnb.prices(client)
    sent = kept(charts)
    charts.settings = {**charts.settings, "storage": 50}
    assert charts.wait(20)
    check("prices", sent)
    assert fits(charts.status, {**fields("kit", "Status"), "days": True})
    charts.close()


def test_a_monitor_sends_what_its_page_is_checked_against(client: Client, market: Server) -> None:
    number = rent(market)
    monitor = Monitor(client)
    page = test_monitor.Page(monitor)
    page.says(type="ping")
    page.says(type="ask", at_once=True)
    page.clicks("logs", number)
    test_monitor.settled(monitor)
    check("monitor", page.sent)
    for row in page.picture["rows"]:
        assert fits(row, fields("monitor", "Row"))
    monitor.close()


def test_a_rent_form_sends_what_its_page_is_checked_against(client: Client) -> None:
    form = rent_form(client, client.search_offers(limit=2), env={"TOKEN": "x"})
    page = renting.Page(form)
    page.say("ping")
    page.say("reveal", field="env", name="TOKEN")
    check("rent", page.messages)
    form.close()


def test_a_frame_of_anything_is_a_table(client: Client) -> None:
    table = OfferTable(pd.DataFrame({"a": [1, 2]}))
    (message, _) = kept(table)
    assert fits(message, fields("table", "Offers"))
    table.close()
