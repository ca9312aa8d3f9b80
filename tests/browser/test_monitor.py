"""The monitor in a real browser, on the simulated market."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vastnb.sim.payload_texts import BEACON

from .conftest import Opener
from .harness import Browser, OpenNotebook

SETUP = """\
import time
import vastnb
import vastnb.fleet.watch.tempo as tempo
from tests.widgets.machines import rent, stop
tempo.QUICK = tempo.SLOW = 1.0  # so that nobody waits for half a minute
client = vastnb.demo(seed=5, speed=1, limits=None, machines=400)
server, world = client.server, client.server.world
first = rent(server, label="train")
rent(server, "stuck", label="stuck-one", gpu="RTX 3090")
rent(server, label="not mine", gpu="RTX 3080", ours=False)
world.advance(minutes=5)"""
OPEN = "watching = vastnb.monitor(client)\nwatching"
NAP = """\
import pathlib
while globals().get('nap') and not pathlib.Path(nap).exists():
    time.sleep(0.05)"""
LISTS = "server.calls('show_instances')"
MACHINE = ".vnb-machine:visible"


def opened(opener: Opener, *cells: str, **options: Any) -> OpenNotebook:
    nb = opener(*(cells or (SETUP, OPEN)), **options)
    nb.page.wait_for_selector(MACHINE, timeout=15_000)
    return nb


def card(label: str) -> str:
    return f".vnb-machine:has(.vnb-name:text-is('{label}'))"


def until(nb: OpenNotebook, expression: str) -> None:
    """Wait until something is true in the kernel."""
    for _ in range(60):
        if nb.evaluate(f"bool({expression})"):
            return
        nb.page.wait_for_timeout(200)
    raise AssertionError(expression)


def test_states_change_on_screen_and_an_action_works(open_notebook: Opener) -> None:
    nb = opened(open_notebook)
    page = nb.page
    assert page.locator(MACHINE).count() == 3
    assert page.text_content(f"{card('train')} .vnb-mstate b") == "running"
    assert "$" in page.text_content(".vnb-figure b")
    assert "next in" in page.text_content(".vnb-age")

    # What happens elsewhere is seen without anybody pressing anything.
    nb.evaluate("0", code="stop(server, first)")
    page.wait_for_selector(f"{card('train')}[data-tone=off]", timeout=25_000)
    assert page.locator(".vnb-idle").is_visible()

    # Starting it costs money: it says what, asks, and does it once.
    page.click(f"{card('train')} [data-verb=start]")
    assert "Running, it costs $" in page.text_content(".vnb-dialog")
    page.click(".vnb-dialog .vnb-go")
    assert page.locator(".vnb-dialog").count() == 0
    assert page.locator(f"{card('train')} [data-verb=start]").is_disabled()
    page.wait_for_selector(f"{card('train')} .vnb-said[data-level=good]", timeout=15_000)
    assert nb.evaluate("world.instances[first].intended") == "running"
    assert nb.evaluate("server.calls('manage_instance')") == 1

    # A stranger's machine is destroyed only when its id has been typed.
    page.click(f"{card('not mine')} .vnb-dots")
    page.click("[role=menuitem] >> text=Destroy…")
    assert page.locator(".vnb-dialog .vnb-go").is_disabled()
    page.keyboard.type("xdd")
    assert page.locator(".vnb-dialog .vnb-go").is_disabled()
    page.keyboard.press("Escape")
    assert page.locator(".vnb-dialog").count() == 0
    assert page.locator(".jp-Notebook .jp-Cell").count() == 2
    assert nb.evaluate("len([i for i in world.instances.values() if i.alive])") == 3


def test_nothing_is_asked_while_nobody_looks(open_notebook: Opener) -> None:
    nb = opened(open_notebook)
    page = nb.page
    until(nb, f"{LISTS} >= 2")
    page.click("button:text-is('Pause')")
    page.wait_for_selector("text=/paused/")
    page.wait_for_timeout(700)
    before = nb.evaluate(LISTS)
    page.wait_for_timeout(2500)
    assert nb.evaluate(LISTS) == before
    page.click("button:text-is('Resume')")
    until(nb, f"{LISTS} > {before}")
    page.evaluate(
        """() => { Object.defineProperty(document, 'visibilityState',
            { configurable: true, get: () => 'hidden' });
            document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    page.wait_for_timeout(500)
    before = nb.evaluate(LISTS)
    page.wait_for_timeout(3000)
    assert nb.evaluate(LISTS) == before
    page.evaluate(
        """() => { delete document.visibilityState;
            document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    until(nb, f"{LISTS} > {before}")

    # Scrolled out of sight is the same as hidden.
    page.add_style_tag(content=".vnb-root { margin-top: 3000px; }")
    page.wait_for_timeout(700)
    before = nb.evaluate(LISTS)
    page.wait_for_timeout(3000)
    assert nb.evaluate(LISTS) == before
    nb.evaluate("0", code="watching.close()")
    page.wait_for_timeout(300)
    assert page.locator(MACHINE).count() == 0
    assert (
        nb.evaluate("[t.name for t in __import__('threading').enumerate()].count('vastnb-look')")
        == 0
    )


@pytest.mark.parametrize("server", ["lab", "classic"])
def test_a_busy_kernel_is_waited_for_and_a_late_click_does_nothing(
    open_notebook: Opener, server: str
) -> None:
    nb = opened(open_notebook, SETUP, OPEN, NAP, server=server)
    page = nb.page
    status = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    patch = "import vastnb.widgets.kit.clicks as a; a.OLDEST = 2"
    nb.evaluate("0", code=f"nap = 'enough-{server}'; {patch}")
    page.wait_for_function(f"{status} === 'idle'")
    before = nb.evaluate(LISTS)
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    nb.command("notebook:run-cell")
    page.wait_for_function(f"{status} === 'busy'")
    page.click(f"{card('train')} [data-verb=stop]")
    page.click(".vnb-dialog .vnb-go")
    page.wait_for_selector("text=waiting for the kernel")
    page.wait_for_selector("text=/The kernel is busy .for \\d+ s./", timeout=20_000)
    assert page.locator(f"{card('train')} [data-verb=stop]").is_disabled()
    page.wait_for_timeout(2000)
    (nb.server.work / f"enough-{server}").touch()
    page.wait_for_selector("text=/You clicked [\\d.]+ s ago/", timeout=15_000)
    assert nb.evaluate("world.instances[first].intended") == "running"
    page.wait_for_selector("text=/Updated (just now|\\d s ago); next in/", timeout=10_000)
    assert page.text_content(".vnb-warn") == ""
    assert 1 <= nb.evaluate(LISTS) - before <= 5  # nothing has piled up


def test_a_kernel_that_restarts_leaves_a_readable_picture(open_notebook: Opener) -> None:
    nb = opened(open_notebook)
    page = nb.page
    page.evaluate("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_selector(".vnb-lost", timeout=20_000)
    assert page.locator(MACHINE).count() == 3
    assert "As of" in page.text_content(".vnb-age")
    assert page.locator(".vnb-machine button:visible:not(:disabled)").count() == 0
    assert page.locator(".vnb-monitor[inert]").count() == 1

    nb.run_all()
    page.wait_for_selector("text=/next in/", timeout=20_000)
    saved = nb.save()
    text = json.dumps(saved)
    assert "train" in text and "jupyter_token" not in text
    nb.close()
    page.goto(nb.server.url(nb.name))
    page.wait_for_selector(".vnb-saved, td", timeout=30_000)
    page.wait_for_selector("td:has-text('train')", timeout=10_000)


def test_no_text_from_a_host_becomes_markup(open_notebook: Opener, browser: Browser) -> None:
    hostile = (
        SETUP.replace("machines=400", "machines=120, payloads=True")
        .replace('gpu="RTX 3090"', "num_gpus=2")
        .replace('gpu="RTX 3080"', "num_gpus=4")
    )
    nb = opened(open_notebook, hostile, OPEN)
    page = nb.page
    for look in ("rows", "cards"):
        page.click(f"[data-look={look}]")
        page.wait_for_timeout(200)
    page.click("button:text-is('Events')")
    page.click(f"{MACHINE} .vnb-dots >> nth=0")
    page.click("[role=menuitem] >> text=Destroy…")
    page.wait_for_timeout(300)
    page.keyboard.press("Escape")
    page.click("[data-verb=logs] >> nth=0")
    page.wait_for_function(
        "!document.querySelector('.vnb-log').textContent.startsWith('Fetching')", timeout=20_000
    )
    assert page.evaluate("window.__pwned") is None
    for tag in ("script", "img", "iframe", "details"):
        assert page.locator(f".vnb-root {tag}").count() == 0
    assert "<" in page.text_content(".vnb-machines")
    assert not [url for url in browser.requests if url.startswith(BEACON)]
