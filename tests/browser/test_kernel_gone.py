"""What widgets say and do when no kernel stands behind them, or their first search has failed."""

from __future__ import annotations

import pytest

from .conftest import Opener
from .test_rent_form import saved_with_widget_state

MARKET = """\
import vastnb
client = vastnb.demo(seed=5, speed=0, cap=None, limits=None, machines=400)
"""
WIDGETS = {
    "explorer": ("explore(client, 'gpu_name=RTX_4090')", ".vnb-rows .vnb-row"),
    "form": ("rent_form(client, 'gpu_name=RTX_4090', image='a/b')", ".vnb-rentpanel"),
    "monitor": ("monitor(client)", ".vnb-nothing"),
    "charts": ("prices(client, gpu='4090')", ".vnb-chart svg"),
}
NO_KEY = """\
import vastnb
from vastnb.sim import Fault, Server
server = Server(seed=5, cap=None, limits=None, machines=200)
server.faults.add(Fault('search_offers', '500', times=99))
client = vastnb.Client(server.api_key, base_url=server.url, cache="memory", max_wait=3)
explorer = vastnb.explore(client)
explorer"""
PRESSED = """(selector) => {
  const root = [...document.querySelectorAll('.vnb-root')].find((r) => r.querySelector(selector));
  const parts = [...root.querySelectorAll('button, input, textarea, [tabindex]')];
  return parts.filter((n) => n.offsetParent && !n.closest('[inert]')).length;
}"""


def test_after_a_restart_every_widget_says_so_and_nothing_in_it_can_be_pressed(
    open_notebook: Opener,
) -> None:
    cells = [f"{name} = vastnb.{call}\n{name}" for name, (call, _) in WIDGETS.items()]
    nb = open_notebook(MARKET, *cells)
    page = nb.page
    for _, shown in WIDGETS.values():
        page.wait_for_selector(shown, timeout=20_000)
        assert page.evaluate(PRESSED, shown) > 0
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function("document.querySelectorAll('.vnb-lost').length === 4", timeout=20_000)
    for _, shown in WIDGETS.values():
        assert page.evaluate(PRESSED, shown) == 0
    notes = page.locator(".vnb-lost > .vnb-saved").all_text_contents()
    assert len(notes) == 4 and all("Run the cell again" in note for note in notes)
    assert sum("billing" in note for note in notes) == 2

    # The cells run again, and all four live.
    nb.run_all()
    page.wait_for_function("document.querySelectorAll('.vnb-lost').length === 0", timeout=20_000)
    for _, shown in WIDGETS.values():
        page.wait_for_selector(shown, timeout=20_000)
        assert page.evaluate(PRESSED, shown) > 0


@pytest.mark.parametrize("what", sorted(WIDGETS))
def test_a_restored_widget_says_that_no_kernel_is_there_and_shows_its_copy(
    open_notebook: Opener, what: str
) -> None:
    call, shown = WIDGETS[what]
    nb = open_notebook(f"{MARKET}{what} = vastnb.{call}\n{what}")
    page = nb.page
    page.wait_for_selector(shown, timeout=20_000)
    saved_with_widget_state(nb)
    nb.close()
    page.goto(nb.server.url(nb.name))
    page.wait_for_selector(".vnb-saved", timeout=30_000)
    assert "not connected to a kernel" in page.text_content(".vnb-saved")
    assert page.locator(f"{shown}:visible").count() == 0
    page.wait_for_selector(".jp-RenderedHTMLCommon:visible", timeout=5_000)


def test_a_first_search_that_fails_shows_the_panel_the_error_and_a_way_to_try_again(
    open_notebook: Opener,
) -> None:
    nb = open_notebook(NO_KEY)
    page = nb.page
    page.wait_for_selector(".vnb-notice:visible", timeout=10_000)
    page.wait_for_timeout(3000)
    assert page.locator(".vnb-saved").count() == 0
    assert page.locator(".vnb-filters").is_visible()
    assert "could not be reached" in page.text_content(".vnb-notice")
    nb.evaluate("0", code="server.faults.clear()")
    page.click(".vnb-notice button:has-text('Try again')")
    page.wait_for_selector(".vnb-rows .vnb-row:visible", timeout=30_000)
    assert not page.locator(".vnb-notice").is_visible()
