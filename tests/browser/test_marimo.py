"""The widgets in a real marimo: no Jupyter, its own themes, and cells that run by themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .eyes import low_contrast
from .harness import Browser, free_port, wait_for_url

ROOT = Path(__file__).resolve().parents[2]
APP = """\
import marimo

app = marimo.App(width="full")


@app.cell
def _():
    import vastnb
    client = vastnb.demo(seed=5, speed=0, cap=100, limits=None)
    return client, vastnb


@app.cell
def _(client, vastnb):
    import marimo as mo
    ui = mo.ui.anywidget(vastnb.explore(client, "num_gpus=1"))
    ui
    return mo, ui


@app.cell
def _(mo, ui):
    mo.md(f"cell sees {len(ui.df)} of {ui.query or 'everything'}, selected {len(ui.selected)}")
    return


@app.cell
def _(client, vastnb):
    vastnb.rent_form(client, "gpu_name=RTX_4090 num_gpus=1", image="a/b", disk=20)
    return


@app.cell
def _(client, vastnb):
    vastnb.prices(client)
    return


@app.cell
def _(client, vastnb):
    vastnb.monitor(client)
    return


if __name__ == "__main__":
    app.run()
"""
ROW = ".vnb-rows .vnb-row:visible"


@pytest.fixture
def marimo(browser: Browser, tmp_path: Path, request: Any) -> Iterator[str]:
    """Address of a marimo that runs or edits `APP`, in the theme that the test names."""
    verb, theme = request.param
    (tmp_path / "app.py").write_text(APP)
    settings = tmp_path / ".config" / "marimo" / "marimo.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(f'[display]\ntheme = "{theme}"\n[runtime]\nauto_instantiate = true\n')
    env = os.environ | {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / ".config"),
        "PYTHONPATH": str(ROOT),
        "MARIMO_SKIP_UPDATE_CHECK": "1",
    }
    port = free_port()
    command = [sys.executable, "-m", "marimo", verb, "app.py", "--headless", "--no-token"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], cwd=tmp_path, env=env, stdout=log, stderr=log
        )
    try:
        url = f"http://127.0.0.1:{port}/"
        wait_for_url(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.parametrize(
    "marimo", [("run", "light"), ("edit", "dark")], ids="-".join, indirect=True
)
def test_the_widgets_live_in_marimo_in_its_own_theme(
    browser: Browser, marimo: str, request: pytest.FixtureRequest
) -> None:
    _, theme = request.node.callspec.params["marimo"]
    with browser.page(height=2800) as page:
        page.goto(marimo)
        page.wait_for_selector(ROW, timeout=60_000)
        page.wait_for_selector(".vnb-rentpanel:visible", timeout=30_000)
        page.wait_for_selector(".vnb-chart svg:visible", timeout=30_000)
        page.wait_for_selector(".vnb-monitor:visible", timeout=30_000)
        page.wait_for_timeout(1000)
        themes = page.locator(".vnb-root").evaluate_all("ns => ns.map((n) => n.dataset.theme)")
        assert set(themes) == {theme}
        assert low_contrast(page) == []

        # Cells that use the explorer run when the service has answered, not only on a click.
        page.locator(".vnb-filters [role=radio]:text-is('2')").first.click()
        page.wait_for_selector("text=/cell sees [1-9].* of num_gpus=2/", timeout=15_000)
        shown = page.text_content(".vnb-figure b").replace(",", "").rstrip("+")
        page.wait_for_selector(f"text=/cell sees {shown} of num_gpus=2/", timeout=15_000)

        # What is typed lists what it fits, also where a shadow root hides the focus from the page.
        picker = page.locator(".vnb-filters [role=combobox]").first
        picker.fill("409")
        picker.press("ArrowDown")
        page.wait_for_selector(".vnb-filters .vnb-options:visible >> text=/4090/", timeout=5000)
        picker.press("Escape")

        # What the form rents is shown by its monitor, a widget inside a widget.
        page.click("button:has-text('Review and rent')")
        page.wait_for_timeout(700)
        page.click(".vnb-rentgo")
        page.wait_for_selector(".vnb-rent .vnb-monitor .vnb-machine:visible", timeout=60_000)
        page.wait_for_selector(":not(.vnb-rent) > * .vnb-monitor .vnb-machine:visible")

        # Where a click can make no widget, the line that makes it is shown.
        page.locator(ROW).first.click()
        page.wait_for_selector("text=/selected 1/", timeout=15_000)
        page.click(".vnb-rentbutton")
        page.wait_for_selector(".vnb-notice:visible pre:has-text('vastnb.rent_form(client, [')")
        assert "Error" not in page.text_content(".vnb-notice:visible")
    assert browser.left_the_machine() == []
