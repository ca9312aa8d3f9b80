"""The keyboard belongs to the widget: no key gets to the notebook, and the focus stays inside."""

from __future__ import annotations

import pytest

from .conftest import Opener
from .harness import OpenNotebook
from .test_explorer_in_lab import OPEN, ROW
from .test_monitor import OPEN as MONITOR
from .test_monitor import SETUP
from .test_rent_form import FORM

PRICES = """\
import vastnb
client = vastnb.demo(seed=7, speed=0, cap=None, history_days=3)
charts = vastnb.prices(client)
charts"""
WIDGETS = {
    "explorer": ((OPEN,), ROW),
    "rent form": ((FORM,), ".vnb-rentpanel:visible"),
    "monitor": ((SETUP, MONITOR), ".vnb-machine:visible"),
    "prices": ((PRICES,), ".vnb-chart svg:visible"),
}
# What asks for something, goes away, or opens a dialog has tests of its own.
POINTS = """
() => {
  const root = document.querySelector('.vnb-root');
  const box = root.getBoundingClientRect();
  const points = [];
  for (let y = box.top + 6; y < Math.min(box.bottom, innerHeight) - 4; y += 37) {
    for (let x = box.left + 9; x < box.right - 4; x += 83) {
      const at = document.elementFromPoint(x, y);
      if (at && root.contains(at) && !at.closest('button, input, a, textarea, select, summary'))
        points.push([x, y]);
    }
  }
  return points;
}"""
INSIDE = """() => document.activeElement.closest('.vnb-root') !== null"""


def cells(nb: OpenNotebook) -> int:
    return nb.page.locator(".jp-Notebook .jp-Cell").count()


@pytest.mark.parametrize("name", WIDGETS)
@pytest.mark.parametrize("server", ["lab", "classic"])
def test_a_click_anywhere_keeps_the_keys_in_the_widget(
    open_notebook: Opener, name: str, server: str
) -> None:
    code, awaited = WIDGETS[name]
    nb = open_notebook(*code, "1 + 1", "2 + 2", server=server)
    page = nb.page
    page.wait_for_selector(awaited, timeout=30_000)
    page.wait_for_timeout(500)
    before = cells(nb)
    points = page.evaluate(POINTS)
    assert len(points) > 30
    for x, y in points[:: max(1, len(points) // 40)]:
        page.mouse.click(x, y)
        for key in "xddab":
            page.keyboard.press(key)
        assert page.evaluate(INSIDE), f"at {x:.0f}, {y:.0f}"
        assert cells(nb) == before, f"at {x:.0f}, {y:.0f}"
        page.keyboard.press("Escape")


def test_a_button_that_is_disabled_while_it_works_gets_the_focus_back(
    open_notebook: Opener,
) -> None:
    nb = open_notebook(OPEN, "1 + 1")
    page = nb.page
    page.wait_for_selector(ROW, timeout=15_000)
    before = cells(nb)
    refresh = page.locator(".vnb-button:text-is('Refresh')")
    refresh.focus()
    page.keyboard.press("Enter")
    for key in "xdd":
        page.keyboard.press(key)
    assert page.evaluate(INSIDE) and cells(nb) == before
    page.wait_for_function(
        "document.activeElement.textContent === 'Refresh' && !document.activeElement.disabled",
        timeout=15_000,
    )


def test_tab_leads_from_the_list_of_gpus_to_the_next_control(open_notebook: Opener) -> None:
    nb = open_notebook(OPEN)
    page = nb.page
    page.wait_for_selector(ROW, timeout=15_000)
    page.focus("input[aria-label='GPU model']")
    page.wait_for_selector(".vnb-options:visible")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "radio"


def test_ids_are_never_used_twice(open_notebook: Opener) -> None:
    nb = open_notebook(
        OPEN, FORM.replace("form\n", "form2\n"), "form", SETUP + "\nvastnb.monitor(client)"
    )
    nb.page.wait_for_selector(".vnb-machine:visible", timeout=30_000)
    ids = nb.page.eval_on_selector_all(".vnb-root [id]", "nodes => nodes.map((n) => n.id)")
    assert len(ids) > 10 and len(ids) == len(set(ids))


def test_what_ticks_is_not_announced(open_notebook: Opener) -> None:
    nb = open_notebook(SETUP, MONITOR)
    page = nb.page
    page.wait_for_selector(".vnb-machine:visible", timeout=30_000)
    page.wait_for_timeout(3000)
    page.evaluate(
        """() => {
          window.said = [];
          const live = document.querySelectorAll('.vnb-root [role=status], .vnb-root [aria-live]');
          for (const node of live) new MutationObserver(() => window.said.push(node.textContent))
            .observe(node, { childList: true, characterData: true, subtree: true });
        }"""
    )
    page.wait_for_timeout(5000)
    assert len(page.evaluate("window.said")) <= 1


def test_who_wants_less_motion_gets_none(open_notebook: Opener) -> None:
    nb = open_notebook(SETUP, MONITOR)
    page = nb.page
    page.wait_for_selector(".vnb-machine:visible", timeout=30_000)
    page.emulate_media(reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll('.vnb-root, .vnb-root *')].filter((node) =>
        getComputedStyle(node).animationName !== 'none').length"""
    assert page.evaluate(moving) == 0


def test_a_review_that_cannot_be_goes_to_the_field_that_is_wrong(open_notebook: Opener) -> None:
    nb = open_notebook(FORM)
    page = nb.page
    page.wait_for_selector(".vnb-rentpanel:visible", timeout=15_000)
    disk = page.locator("input[aria-label='Disk']:visible")
    disk.fill("a lot")
    disk.press("Enter")
    page.wait_for_selector(".vnb-wrong:not(:empty)")
    page.focus("button:has-text('Review and rent')")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.getAttribute('aria-label') === 'Disk'")
    assert page.locator(".vnb-question:visible").count() == 0
