"""The widgets elsewhere: Notebook 7, and the table by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .harness import Browser, NotebookServer, OpenNotebook
from .measure import report, table_cells
from .test_explorer_in_lab import CALLS, OPEN, ROW, figure, opened, typed


def test_the_explorer_works_in_notebook_7(open_notebook) -> None:
    nb = opened(open_notebook, server="classic")
    page = nb.page
    everything = figure(nb)
    typed(nb, "Max price", "0.5")
    assert 0 < figure(nb) < everything
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.locator(f"{ROW} >> nth=2").click()
    for key in "xddab":
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    found = nb.evaluate(f"[explorer.query, len(explorer.df), len(explorer.selected), {CALLS}]")
    assert found == ["dph_total<=0.5", figure(nb), 1, 1]


def test_the_tour_can_be_taken_in_jupyterlab(browser: Browser, lab: NotebookServer) -> None:
    tour = Path(__file__).parents[2] / "notebooks" / "01_explore_offers.ipynb"
    shutil.copy(tour, lab.work / tour.name)
    with browser.page() as page:
        nb = OpenNotebook(lab, page, tour.name).open(run=False)
        for _ in range(4):  # title, client, heading, explorer; the rest takes the service's pace
            nb.command("notebook:run-cell-and-select-next")
        page.wait_for_selector(ROW, timeout=30_000)
        page.wait_for_timeout(500)
        everything = figure(nb)
        typed(nb, "Max price", "0.5")
        assert 0 < figure(nb) < everything
        page.click("[data-name=dph_total]")
        page.locator(f"{ROW} >> nth=0").click()
        page.locator(f"{ROW} >> nth=2").click(modifiers=["Shift"])
        page.wait_for_timeout(400)
        found = nb.evaluate(
            "[len(ui.df), ui.selected['id'].tolist(), ui.df['id'].head(3).tolist(),"
            " float(ui.df['dph_total'].max()), client.server.calls('search_offers')]"
        )
        assert found[0] == figure(nb)
        assert found[1] == found[2]
        assert found[3] <= 0.5
        assert found[4] == 1  # all of it was narrowing
        nb.close()
    assert browser.left_the_machine() == []


def test_5000_rows_are_drawn_with_few_elements_and_little_traffic(open_notebook) -> None:
    nb = open_notebook(*table_cells(5000), run=False)
    found = json.loads(report(nb))
    assert found["bytes"] <= 500_000
    assert nb.page.locator(".vnb-rows .vnb-row").count() < 40
    print(found)  # speed is judged by the benchmark


@pytest.mark.parametrize("server", ["lab", "classic"])
def test_no_element_of_the_explorer_lets_a_key_through(open_notebook, server) -> None:
    nb = opened(open_notebook, "1 + 1", OPEN, server=server)
    page = nb.page
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    focusable = page.locator(".vnb-root :is(button, input, [tabindex='0']):visible")
    assert focusable.count() > 20
    for i in range(focusable.count()):
        focusable.nth(i).focus()
        for key in "xddab":
            page.keyboard.press(key)
        assert page.locator(".jp-Notebook .jp-Cell").count() == cells, f"element {i}"
