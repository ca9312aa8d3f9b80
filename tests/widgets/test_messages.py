"""What the kernel sends is what `messages.d.ts` says, which the JavaScript is checked against."""

from __future__ import annotations

import re
from pathlib import Path

from vastnb.client import Client
from vastnb.sim import Server
from vastnb.widgets import kit
from vastnb.widgets.monitor import Monitor
from vastnb.widgets.rent import rent_form

from . import renting, test_monitor
from .machines import rent


def fields(widget: str, interface: str) -> set[str]:
    """Return what a message always holds."""
    text = (Path(kit.__file__).parents[1] / widget / "messages.d.ts").read_text()
    body = text.partition(f"export interface {interface} {{\n")[2].partition("\n}\n")[0]
    return set(re.findall(r"^  (\w+):", body, re.MULTILINE))


def test_a_monitor_sends_what_its_page_is_checked_against(client: Client, market: Server) -> None:
    rent(market)
    monitor = Monitor(client)
    page = test_monitor.Page(monitor)
    page.says(type="ask", at_once=True)
    test_monitor.settled(monitor)
    assert set(page.picture) == fields("monitor", "Picture")
    assert set(page.picture["rows"][0]) - {"again", "code"} == fields("monitor", "Row")
    pace = next(one for one in page.sent if one["type"] == "pace")
    assert set(pace) == fields("kit", "Pace")
    monitor.close()


def test_a_rent_form_sends_what_its_page_is_checked_against(client: Client) -> None:
    form = rent_form(client, client.search_offers(limit=2))
    page = renting.Page(form)
    assert set(page.state) == fields("rent", "State")
    form.close()
