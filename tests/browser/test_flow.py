"""From a question to machines: how many clicks and keystrokes it takes, in a real browser."""

from __future__ import annotations

from typing import Any

from .conftest import Opener
from .test_rent_form import destroy

OPEN = """\
import vastnb
client = vastnb.demo(seed=5, speed=60, cap=None, limits=None)
explorer = vastnb.explore(client)
explorer"""
ALIVE = "[one.id for one in client.server.world.instances.values() if one.alive]"
MOST_CLICKS, MOST_KEYS = 10, 40


class Hands:
    """Somebody at the page, whose clicks and keystrokes are counted."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.clicks = 0
        self.keys = 0

    def click(self, what: str) -> None:
        self.clicks += 1
        self.page.locator(what).first.click()

    def type(self, text: str) -> None:
        self.keys += len(text)
        self.page.keyboard.type(text)

    def press(self, key: str) -> None:
        self.keys += 1
        self.page.keyboard.press(key)


def test_two_cheap_24_gb_cards_in_the_eu_for_three_hours_and_five_dollars(
    open_notebook: Opener,
) -> None:
    nb = open_notebook(OPEN)
    page = nb.page
    page.wait_for_selector(".vnb-rows .vnb-row:visible", timeout=15_000)
    hands = Hands(page)
    hands.click("input[aria-label='Min VRAM']")
    hands.type("24")
    hands.press("Tab")
    hands.click("input[aria-label='Min Mbit/s']")
    hands.type("500")
    hands.press("Enter")
    hands.click("input[aria-label='Region or country']")
    hands.type("EU")
    hands.press("Enter")
    hands.click(".vnb-orderbar button:text-is('Cheapest')")
    page.wait_for_function("!document.querySelector('.vnb-searching')")
    page.wait_for_timeout(500)
    assert "Price ↑" in page.text_content(".vnb-orderword")
    hands.click(".vnb-rows .vnb-row:visible >> nth=0 >> .vnb-pick")
    hands.click(".vnb-rows .vnb-row:visible >> nth=1 >> .vnb-pick")
    hands.click("button:has-text('Rent 2…')")
    page.wait_for_selector(".vnb-rentpanel:visible")
    hands.click("input[aria-label='Image']")
    hands.type("pytorch/pytorch")
    hands.click("input[aria-label='End after']")
    hands.type("3")
    hands.press("Tab")
    hands.type("5")
    hands.press("Enter")
    page.wait_for_selector("text=/Destroyed after 3 h or before \\$5.00/")
    assert page.input_value("input[aria-label='Machines']") == "2"
    assert page.input_value("input[aria-label='Priced for']") == "3"
    assert "for both machines" in page.text_content(".vnb-ratenote")
    hands.click("button:has-text('Review and rent')")
    page.wait_for_selector(".vnb-question:visible")
    page.wait_for_timeout(600)
    hands.press("Enter")  # the button has the focus
    page.wait_for_selector(".vnb-sshrow:visible >> nth=1", timeout=60_000)

    assert hands.clicks <= MOST_CLICKS and hands.keys <= MOST_KEYS, (hands.clicks, hands.keys)
    found = nb.evaluate(
        "dict(alive=" + ALIVE + ", query=explorer.query, ids=explorer.selected['id'].tolist(),"
        " cheapest=explorer.df['id'].head(2).tolist(),"
        " vram=float(explorer.selected['gpu_ram_gb'].min()),"
        " down=float(explorer.selected['inet_down'].min()),"
        " where=explorer.selected['country'].tolist())"
    )
    assert len(found["alive"]) == 2
    assert found["vram"] >= 24 and found["down"] >= 500
    assert sorted(found["ids"]) == sorted(found["cheapest"])
    assert "geolocation" in found["query"] and "inet_down>=500" in found["query"]
    assert page.text_content(".vnb-rent .vnb-title").startswith("Rented 2 \N{MULTIPLICATION SIGN}")
    assert "Until the deadline" in page.text_content(".vnb-terms")

    # Many machines are shown as rows, which have no room for the SSH command.
    shown = """() => { const shell = document.querySelector('.vnb-few');
        shell.dataset.layout = 'rows';
        const rows = [...shell.querySelectorAll('.vnb-sshrow')];
        const there = rows.filter((row) => row.checkVisibility()).length;
        shell.dataset.layout = 'cards';
        return there; }"""
    assert page.evaluate(shown) == 0

    # An hour more, on a click; and at the end what it has cost.
    before = nb.evaluate("[one.deadline.timestamp() for one in explorer.rent_form.machines]")
    page.click(".vnb-endchip >> nth=0")
    page.click(".vnb-dialog:has-text('One more hour costs about') .vnb-go")
    page.wait_for_timeout(1500)
    after = nb.evaluate("[one.deadline.timestamp() for one in explorer.rent_form.machines]")
    assert sorted(round(b - a) for a, b in zip(before, after, strict=True)) == [0, 3600]
    for _ in range(2):
        destroy(page)
    page.wait_for_selector(".vnb-ratenote:has-text('no longer billed')", timeout=60_000)
    assert page.locator(".vnb-reason:has-text('no longer billed')").count() == 2

    # The next form knows image and run type; nothing has to be typed again.
    page.click("button:has-text('← Offers')")
    other = nb.evaluate("vastnb.rent_form(client)._session.model.plan.image")
    assert other == "pytorch/pytorch"


def test_a_bell_for_a_price_is_set_in_the_explorer_and_rings(open_notebook: Opener) -> None:
    nb = open_notebook(OPEN.replace("explore(client)", "explore(client, 'gpu_name=RTX_4090')"))
    page = nb.page
    page.wait_for_selector(".vnb-rows .vnb-row:visible", timeout=15_000)
    page.click("button:has-text('Alert…')")
    page.fill(".vnb-below", "9")
    page.press(".vnb-below", "Enter")
    page.wait_for_selector(".vnb-bell:has-text('below $9/h')")
    page.click("button:text-is('Refresh')")
    page.wait_for_selector(".vnb-rang:has-text('found')", timeout=20_000)
    page.click(".vnb-bell button:has-text('Stop')")
    page.wait_for_selector(".vnb-bell", state="detached")
    assert nb.evaluate("len(client.history.alerts)") == 0
