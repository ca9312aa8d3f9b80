"""What eyes and screen readers meet: contrast, axe-core, and no dollars set as mathematics."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.screenshots import SCENES

from .conftest import ROOT, Opener
from .eyes import axe, formulas, low_contrast
from .harness import Browser, NotebookServer, OpenNotebook

REPRS = """\
import vastnb
from IPython.display import HTML, display
from vastnb.clock import ManualClock
client = vastnb.demo(seed=7, speed=1, clock=ManualClock())
df = client.search_offers("gpu_name=RTX_4090", order="dph_total")
box = client.rent(df, image="a/b", disk=10, max_dph=9, label="$a$ to $b$", max_hours=2)
box.wait()
display(df.head(), df.vast.explain(df.iloc[0], hours=5, download_gb=80), df.vast.summary())
display(box, box.attempts, client.show_instances(), client.burn(), client.sweep(), client.traffic())
display(client.reconcile(), client.watcher.snapshot, client)
watching = vastnb.monitor(client)
display(watching.events, watching.df)
for widget in (vastnb.explore(client), vastnb.rent_form(client, df), watching,
               vastnb.prices(client)):
    display(widget)
    display(HTML(widget._copy()))
    display({"text/html": widget._copy().replace(widget.copy_class, "")}, raw=True)"""
CONTROL = """\
from IPython.display import HTML
HTML("between $5 and $6")"""


def scene(opener: Opener, name: str, width: int) -> OpenNotebook:
    before, cell, awaited, after = SCENES[name]
    nb = opener(cell, width=width, height=1200, run=False)
    nb.command("application:toggle-left-area")
    if before:
        nb.evaluate("True", code=before, timeout=120)
    nb.run_all()
    nb.page.wait_for_selector(awaited, timeout=30_000)
    if after:
        nb.evaluate("True", code=after)
    return nb


@pytest.mark.parametrize("width", [420, 1400])
@pytest.mark.parametrize("name", SCENES)
def test_every_text_can_be_read_and_axe_finds_nothing_serious(
    open_notebook: Opener, name: str, width: int
) -> None:
    nb = scene(open_notebook, name, width)
    for theme in ("JupyterLab Light", "JupyterLab Dark"):
        nb.theme(theme)
        nb.page.wait_for_timeout(400)
        assert low_contrast(nb.page) == [], theme
        assert axe(nb.page) == [], theme


@pytest.mark.parametrize("server", ["lab", "classic"])
def test_no_dollar_of_ours_becomes_mathematics(open_notebook: Opener, server: str) -> None:
    nb = open_notebook(REPRS, CONTROL, server=server, height=3000)
    nb.page.wait_for_selector("mjx-container", timeout=30_000)
    nb.page.wait_for_timeout(1500)
    assert [text.strip()[:7] for text in formulas(nb.page)] == ["between"], "the control alone"


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem)
def test_the_notebooks_as_they_are_shipped_hold_no_formula(
    browser: Browser, lab: NotebookServer, path: Path
) -> None:
    import nbformat

    saved = nbformat.read(path, as_version=4)
    outputs = [one for cell in saved.cells for one in cell.get("outputs", [])]
    assert not any("widget-view" in str(one) or "|##" in str(one) for one in outputs)
    saved.cells.append(nbformat.v4.new_code_cell(CONTROL))
    data = {"text/html": "between $5 and $6"}
    saved.cells[-1].outputs = [nbformat.v4.new_output("display_data", data=data)]
    for cell in saved.cells:
        cell.metadata["trusted"] = True
    nbformat.write(saved, lab.work / path.name)
    with browser.page(height=30_000) as page:
        OpenNotebook(lab, page, path.name).open(run=False, kernel=False)
        page.wait_for_selector("mjx-container", timeout=30_000)
        page.wait_for_timeout(2000)
        assert [text.strip()[:7] for text in formulas(page)] == ["between"]
