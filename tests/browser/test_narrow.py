"""Every widget in every state at phone, tablet and desk widths: nothing is cut off."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.screenshots import SETUP

from .boxes import clipped
from .conftest import Opener
from .harness import OpenNotebook
from .test_rent_form import destroy

WIDTHS = (420, 700, 1000, 1400)
PICTURES = os.environ.get("VASTNB_PICTURES")
"""A directory that gets a picture of every state at every width."""

MARKET = """\
import vastnb
from vastnb.sim import Fault
client = vastnb.demo(seed=5, speed=60, cap=None, limits=None, machines=400, history_days=3)
"""
MACHINES = SETUP.replace("credit=61.20", 'credit=90, label="llama-finetune-with-a-long-name"')


def widen(nb: OpenNotebook, width: int) -> None:
    """Make the widgets so many px wide, whatever stands beside the notebook."""
    nb.page.add_style_tag(
        content=f".vnb-root:not(.vnb-root .vnb-root) {{ width: {width}px !important; }}"
    )
    nb.page.wait_for_timeout(500)


def check(nb: OpenNotebook, state: str) -> None:
    """Measure at every width."""
    wrong: dict[str, Any] = {}
    for width in WIDTHS:
        widen(nb, width)
        if found := clipped(nb.page):
            wrong[f"{state} at {width} px"] = found
        if PICTURES:
            theme = nb.page.get_attribute(".vnb-root", "data-theme")
            where = Path(PICTURES) / f"{state}-{width}-{theme}.png"
            nb.page.locator(".jp-Cell:last-child .vnb-root").first.screenshot(path=where)
    WRONG.update(wrong)


WRONG: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def nothing_is_cut_off() -> Iterator[None]:
    """Every state is measured before the test fails."""
    WRONG.clear()
    yield
    assert WRONG == {}


@pytest.fixture(autouse=True, params=["light", "dark"] if PICTURES else ["light"])
def theme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def check_gone(nb: OpenNotebook, state: str) -> None:
    """Measure when the kernel has gone."""
    session = "window.jupyterapp.shell.currentWidget.sessionContext.session"
    nb.page.evaluate(f"{session}.kernel.restart()")
    nb.page.wait_for_selector(".vnb-lost > .vnb-saved", timeout=20_000)
    check(nb, f"{state}-gone")


def opened(opener: Opener, theme: str, *cells: str) -> OpenNotebook:
    nb = opener(*cells, width=1900, height=1000)
    nb.command("application:toggle-left-area")
    nb.theme(f"JupyterLab {theme.title()}")
    return nb


def test_the_explorer(open_notebook: Opener, theme: str) -> None:
    nb = opened(open_notebook, theme, MARKET, "explorer = vastnb.explore(client)\nexplorer")
    page = nb.page
    page.wait_for_selector(".vnb-rows .vnb-row:visible", timeout=20_000)
    check(nb, "explorer")
    nb.evaluate(
        "0",
        code="explorer.filter(gpu_name=['RTX 4090', 'RTX 3090', 'RTX 5090'], country=['EU', 'US'],"
        " min_down=100, min_vram=24, disk=500)\n"
        "explorer.selected_ids = explorer.df['id'].head(3).tolist()",
    )
    page.wait_for_timeout(500)
    page.click("button:has-text('Alert…')")
    check(nb, "explorer-filtered")
    page.click(".vnb-bellbox button:has-text('Set alert')")
    page.wait_for_selector(".vnb-bell")
    check(nb, "explorer-bell")
    nb.evaluate("0", code="explorer.filter(text='', max_price=0.01)")
    check(nb, "explorer-empty")
    page.fill(".vnb-query", "gpu_nam=RTX_4090 reliability>0.99 cuda_vers>=12")
    page.press(".vnb-query", "Enter")
    page.wait_for_selector(".vnb-notice:visible")
    check(nb, "explorer-error")
    check_gone(nb, "explorer")
    nb.theme("JupyterLab Light")


def test_the_rent_form(open_notebook: Opener, theme: str) -> None:
    nb = opened(
        open_notebook,
        theme,
        MARKET,
        "form = vastnb.rent_form(client, 'gpu_name=RTX_4090', disk=20)\nform",
    )
    page = nb.page
    page.wait_for_selector(".vnb-rentpanel:visible", timeout=20_000)
    check(nb, "form")
    page.click("text=No variables")
    nb.evaluate(
        "0",
        code="form.set(image='pytorch/pytorch', count=2, bid='min+10%', max_hours=3, budget_usd=5,"
        " env={'HF_TOKEN': 'x', '-p 8000:8000': '1'}, download_gb=100, label='a label')",
    )
    page.click("button:has-text('Review and rent')")
    page.wait_for_selector(".vnb-question:visible")
    check(nb, "form-confirm")
    page.click(".vnb-question button:has-text('Back')")
    page.fill("input[aria-label=Disk]", "tiny")
    page.press("input[aria-label=Disk]", "Enter")
    page.wait_for_selector(".vnb-wrong:not(:empty)")
    check(nb, "form-wrong")
    page.fill("input[aria-label=Disk]", "20")
    page.press("input[aria-label=Disk]", "Enter")
    nb.evaluate("0", code="form.set(bid=None, max_dph=5)")
    slow = "Fault('create_instance', 'delay', seconds=12)"
    nb.evaluate(
        "0",
        code=f"client.server.faults.add({slow})\n"
        "client.server.faults.add(Fault('create_instance', 'drop-after'))",
    )
    page.click("button:has-text('Review and rent')")
    page.wait_for_selector(".vnb-question:visible")
    page.wait_for_timeout(600)
    page.click(".vnb-rentgo")
    page.wait_for_selector("text=/Renting, /")
    check(nb, "form-renting")
    page.wait_for_selector(".vnb-sshrow:visible >> nth=1", timeout=60_000)
    check(nb, "form-rented")
    page.click("button:text-is('Events')")
    check(nb, "form-events")
    page.click(".vnb-machine [data-verb=connect] >> nth=0")
    check(nb, "form-connect")
    page.keyboard.press("Escape")
    for _ in range(2):
        destroy(page)
    page.wait_for_selector(".vnb-ratenote:has-text('no longer billed')", timeout=60_000)
    check(nb, "form-receipt")
    check_gone(nb, "form")
    nb.theme("JupyterLab Light")


def test_the_form_without_offers_and_with_a_failed_query(open_notebook: Opener, theme: str) -> None:
    nb = opened(open_notebook, theme, MARKET, "form = vastnb.rent_form(client)\nform")
    nb.page.wait_for_selector(".vnb-rentempty:visible", timeout=20_000)
    check(nb, "form-empty")
    nb.theme("JupyterLab Light")
    failed = "form = vastnb.rent_form(client, 'gpu_name=RTX_4090')\nform"
    nb = opened(
        open_notebook,
        theme,
        MARKET + "client.server.faults.add(Fault('search_offers', 'html', times=99))",
        failed,
    )
    nb.page.wait_for_selector(".vnb-rentnotice:visible", timeout=60_000)
    assert not nb.page.locator(".vnb-rentempty").is_visible()
    check(nb, "form-failed")
    nb.theme("JupyterLab Light")


def test_the_form_in_the_explorer(open_notebook: Opener, theme: str) -> None:
    nb = opened(
        open_notebook,
        theme,
        MARKET,
        "explorer = vastnb.explore(client, 'gpu_name=RTX_4090')\nexplorer",
    )
    page = nb.page
    page.wait_for_selector(".vnb-rows .vnb-row:visible", timeout=20_000)
    nb.evaluate("0", code="explorer.selected_ids = explorer.df['id'].head(2).tolist()")
    page.click("button:has-text('Rent 2…')")
    page.wait_for_selector(".vnb-rentpanel:visible", timeout=20_000)
    check(nb, "drawer")
    for width in WIDTHS:  # in place of the table, and as high as it must be
        widen(nb, width)
        frame = page.locator(".vnb-explorer").bounding_box()
        form = page.locator(".vnb-rentdrawer .vnb-rent").bounding_box()
        assert form["height"] > 500 and form["y"] < frame["y"] + 10, width
    nb.theme("JupyterLab Light")


def test_the_monitor(open_notebook: Opener, theme: str) -> None:
    nb = opened(open_notebook, theme, MACHINES, "watching = vastnb.monitor(client)\nwatching")
    page = nb.page
    page.wait_for_selector(".vnb-machine:visible", timeout=20_000)
    page.click("button:text-is('Pause')")
    for look in ("cards", "rows"):
        page.click(f"[data-look={look}]")
        check(nb, f"monitor-{look}")
    page.click("[data-look=cards]")
    page.click("button:text-is('Events')")
    check(nb, "monitor-events")
    page.click(".vnb-machine:has-text('whisper') [data-verb=next]")
    page.wait_for_selector(".vnb-dialog")
    check(nb, "monitor-dialog")
    page.keyboard.press("Escape")
    page.click(".vnb-machine:has-text('llama') [data-verb=connect]")
    check(nb, "monitor-connect")
    page.keyboard.press("Escape")
    page.click(".vnb-machine:has-text('llama') [data-verb=stop]")
    page.click(".vnb-dialog .vnb-go")
    page.wait_for_selector(".vnb-said:visible")
    check(nb, "monitor-said")
    check_gone(nb, "monitor")
    nb.theme("JupyterLab Light")


def test_the_prices(open_notebook: Opener, theme: str) -> None:
    nb = opened(open_notebook, theme, MARKET, "charts = vastnb.prices(client)\ncharts")
    page = nb.page
    page.wait_for_selector(".vnb-chart svg:visible", timeout=20_000)
    page.click("button:has-text('Alert…')")
    check(nb, "prices")
    page.click(".vnb-gpuchips .vnb-link")
    check(nb, "prices-chips")
    page.click(".vnb-bellbox button:has-text('Set alert')")
    page.wait_for_selector(".vnb-bell")
    check(nb, "prices-bell")
    check_gone(nb, "prices")
    nb.theme("JupyterLab Light")
