"""The explorer in JupyterLab, in a real browser, on the simulated market."""

from __future__ import annotations

import json
from typing import Any

from vastnb.sim.payload_texts import BEACON

from .conftest import Opener
from .harness import Browser, OpenNotebook

# Complete answers (no cap), and no pace on the server's side; the client keeps its own.
OPEN = """\
import vastnb
client = vastnb.demo(seed=5, speed=0, cap=None, limits=None)
explorer = vastnb.explore(client)
explorer"""
CALLS = "int(client.traffic()['calls'].sum())"
ROW = ".vnb-rows .vnb-row:visible"


def opened(opener: Opener, *cells: str, **options: Any) -> OpenNotebook:
    nb = opener(*(cells or (OPEN,)), **options)
    nb.page.wait_for_selector(ROW, timeout=15_000)
    nb.page.wait_for_timeout(300)
    return nb


def figure(nb: OpenNotebook) -> int:
    """Return the number of offers that the page says it shows."""
    return int(nb.page.text_content(".vnb-figure b").replace(",", "").rstrip("+"))


def typed(nb: OpenNotebook, label: str, text: str) -> None:
    field = nb.page.locator(f"input[type=text][aria-label='{label}']")
    field.fill(text)
    field.press("Enter")
    nb.page.wait_for_timeout(400)


def test_filter_sort_and_select_in_the_page_and_read_it_back_in_python(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    everything = figure(nb)
    assert everything > 500

    typed(nb, "GPU model", "4090")
    page.keyboard.press("Escape")
    few = figure(nb)
    assert 0 < few < everything
    typed(nb, "Disk", "200")

    page.click("[data-name=dph_total]")
    assert page.get_attribute("[data-name=dph_total]", "aria-sort") == "ascending"
    page.locator(f"{ROW} >> nth=1").click()
    page.locator(f"{ROW} >> nth=3").click(modifiers=["Shift"])
    page.locator(f"{ROW} >> nth=0").click(modifiers=["Control"])
    page.wait_for_timeout(400)

    found = nb.evaluate(
        "dict(query=explorer.query, ids=explorer.selected['id'].tolist(),"
        " first=explorer.df['id'].head(4).tolist(), rows=len(explorer.df),"
        " sorted=bool(explorer.df['dph_total'].is_monotonic_increasing),"
        " names=explorer.df['gpu_name'].unique().tolist(), code=explorer.to_code(),"
        f" calls={CALLS})"
    )
    assert found["query"] == "gpu_name=RTX_4090"
    assert found["names"] == ["RTX 4090"] and found["rows"] == few
    assert found["sorted"]
    assert sorted(found["ids"]) == sorted(found["first"])
    assert found["calls"] == 1
    assert page.text_content(".vnb-code") == found["code"]
    assert "storage=200" in found["code"]
    shown = [
        float(text.strip("$").replace(",", ""))
        for text in page.locator(f"{ROW} .vnb-usd:nth-child(5)").all_text_contents()
    ]
    assert shown == sorted(shown)

    # And the other way: what Python selects is selected in the page.
    nb.evaluate("0", code="explorer.selected_ids = explorer.df['id'].iloc[2:3].tolist()")
    page.wait_for_timeout(300)
    assert page.get_attribute(f"{ROW} >> nth=2", "aria-selected") == "true"
    assert page.locator(f"{ROW}[aria-selected=true]").count() == 1


def test_keys_typed_in_the_explorer_never_reach_the_notebook(open_notebook) -> None:
    nb = opened(open_notebook, "1 + 1", OPEN, "2 + 2")
    page = nb.page
    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.locator(f"{ROW} >> nth=0").click()
    for key in ["x", "d", "d", "a", "b", "z", "m", "y", "1", "Delete", "Backspace"]:
        page.keyboard.press(key)
    for place in [".vnb-query", ".vnb-multipick input >> nth=0", "input[aria-label='Max price']"]:
        page.click(place)
        page.keyboard.type("xddabz")
        page.keyboard.press("Escape")
        page.fill(place, "")
    page.wait_for_timeout(300)
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert nb.evaluate("explorer.query") == ""


def test_every_row_can_be_reached_and_picked_by_keyboard(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    grid = page.locator(".vnb-grid")
    grid.focus()
    count = int(grid.get_attribute("aria-rowcount")) - 1
    page.keyboard.press("Control+End")
    page.wait_for_timeout(150)
    here = page.locator(f"#{grid.get_attribute('aria-activedescendant')}")
    assert here.evaluate("e => e.parentElement.getAttribute('aria-rowindex')") == str(count + 1)
    page.keyboard.press("Space")
    page.keyboard.press("PageUp")
    page.keyboard.press("Control+Home")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")  # into the head
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")  # sorts
    page.wait_for_timeout(300)
    found = nb.evaluate("[explorer.order, len(explorer.selected)]")
    assert found == [["dph_gpu", True], 2]
    page.keyboard.press("Control+a")
    page.wait_for_timeout(400)
    assert nb.evaluate("len(explorer.selected)") == count
    page.keyboard.press("Escape")
    page.wait_for_timeout(300)
    assert nb.evaluate("len(explorer.selected)") == 0
    assert page.locator(".vnb-rows .vnb-row").count() < 40  # recycled, not one a row


def test_text_from_hosts_never_runs_as_code(open_notebook, browser: Browser) -> None:
    nb = open_notebook(
        "import vastnb\n"
        "client = vastnb.demo(seed=5, cap=None, limits=None, payloads=True, machines=40)\n"
        "explorer = vastnb.explore(client, 'verified=any')\n"
        "explorer",
        "from vastnb.widgets.table import OfferTable\n"
        "OfferTable(client.search_offers('verified=any', columns='all'))",
        run=False,
    )
    page = nb.page
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    nb.run_all()
    page.wait_for_selector(ROW)
    text = page.evaluate(
        """async () => {
          let text = '';
          for (const grid of document.querySelectorAll('.vnb-grid')) {
            for (let top = 0; top <= grid.scrollHeight; top += 300) {
              grid.scrollTop = top;
              await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)));
              text += grid.textContent;
            }
          }
          return text;
        }"""
    )
    assert "<script>" in text or "<img" in text, "no payload was planted, or none was shown"
    page.hover(".vnb-plot canvas >> nth=1")
    page.click(".vnb-multipick input >> nth=0")
    page.wait_for_timeout(500)
    strange = ", ".join(f".vnb-root {tag}" for tag in ("script", "img", "iframe", "svg", "a"))
    assert page.locator(strange).count() == 0
    assert dialogs == []
    assert page.evaluate("window.__pwned") is None
    assert [url for url in browser.requests if BEACON in url] == []


def test_a_saved_notebook_is_small_holds_no_key_and_still_shows_the_offers(open_notebook) -> None:
    nb = opened(open_notebook)
    key = nb.evaluate("client.server.api_key")
    first = nb.evaluate("str(explorer.df['id'][0])")
    saved = nb.save()
    text = json.dumps(saved)
    assert key not in text and len(text) < 40_000
    outputs = saved["cells"][0]["outputs"]
    html = "".join("".join(o["data"].get("text/html", "")) for o in outputs)
    assert first in html and "SIMULATED" in html
    # While the widget lives, its copy is not seen.
    assert not nb.page.locator("td", has_text=first).first.is_visible()

    nb.close()  # the kernel is gone
    page = nb.page
    page.goto(nb.server.url(nb.name))
    page.wait_for_selector("td", timeout=30_000)
    page.wait_for_timeout(500)
    assert page.locator("td", has_text=first).first.is_visible()
    assert page.locator("text=Run the cell for the explorer").is_visible()


def test_widget_state_saved_with_the_notebook_is_small_and_says_what_to_do(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    key = nb.evaluate("client.server.api_key")
    nb.command("@jupyter-widgets/jupyterlab-manager:saveWidgetState")
    page.wait_for_timeout(500)
    saved = nb.save()
    state = saved["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    text = json.dumps(state)
    assert key not in text
    code = sum(
        len(str(m["state"].get("_esm", ""))) + len(str(m["state"].get("_css", "")))
        for m in state.values()
    )
    assert len(text) - code < 40_000

    nb.close()
    page.goto(nb.server.url(nb.name))
    page.wait_for_selector(".vnb-saved", timeout=30_000)
    assert "not connected" in page.text_content(".vnb-saved")
    assert page.locator("td").first.is_visible()


def test_light_and_dark_follow_the_notebook(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    paper = "getComputedStyle(document.querySelector('.vnb-gridframe')).backgroundColor"
    ink = "getComputedStyle(document.querySelector('.vnb-root')).color"

    def brightness(colour: str) -> float:
        numbers = [float(n) for n in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        return sum(numbers) / 3

    try:
        nb.theme("JupyterLab Dark")
        assert page.get_attribute(".vnb-root", "data-theme") == "dark"
        assert brightness(page.evaluate(paper)) < 80 < brightness(page.evaluate(ink))
    finally:
        nb.theme("JupyterLab Light")
    assert page.get_attribute(".vnb-root", "data-theme") == "light"
    assert brightness(page.evaluate(paper)) > 200 > brightness(page.evaluate(ink))


def test_it_fits_the_screen_and_reflows_in_a_narrow_column(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    assert page.locator(".vnb-explorer").bounding_box()["height"] <= 600
    page.set_viewport_size({"width": 820, "height": 900})
    page.wait_for_timeout(600)
    box = page.locator(".vnb-explorer").bounding_box()
    filters = page.locator(".vnb-filters").bounding_box()
    table = page.locator(".vnb-gridframe").bounding_box()
    assert filters["y"] + filters["height"] <= table["y"] + 1
    for part in (filters, table):
        assert part["x"] >= box["x"] - 1
        assert part["x"] + part["width"] <= box["x"] + box["width"] + 1


def test_running_the_cell_again_leaves_one_explorer(open_notebook) -> None:
    nb = opened(open_notebook, "import vastnb\nclient = vastnb.demo(limits=None)", OPEN)
    count = "__import__('ipywidgets').widgets.widget._instances.__len__()"
    before = nb.evaluate(count)
    for _ in range(3):
        nb.command("notebook:run-cell")
        nb.evaluate("0")  # the kernel answers when the cell is done
    for _ in range(50):
        if nb.evaluate(count) == before:
            break
        nb.page.wait_for_timeout(200)
    assert nb.evaluate(count) == before
    nb.page.wait_for_selector(".vnb-explorer:visible")
    assert nb.page.locator(".vnb-explorer:visible").count() == 1
    assert (
        nb.evaluate("sum(t.name == 'vastnb-search' for t in __import__('threading').enumerate())")
        == 0
    )


def test_a_busy_kernel_does_not_stop_the_page(open_notebook) -> None:
    wait = "while not pathlib.Path('awake').exists(): time.sleep(0.1)"
    nb = opened(open_notebook, OPEN, "import pathlib, time", f"if 'nap' in globals():\n  {wait}")
    page = nb.page
    nb.evaluate("0", code="nap = True")
    status = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status"
    page.wait_for_function(f"{status} === 'idle'")
    page.evaluate("window.jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    nb.command("notebook:run-cell")
    page.wait_for_function(f"{status} === 'busy'")
    page.click("[data-name=dph_total]")
    prices = page.locator(f"{ROW} .vnb-usd:nth-child(5)").all_text_contents()
    page.locator(f"{ROW} >> nth=0").click()
    page.locator(".vnb-grid").evaluate("e => { e.scrollTop = 9000; }")
    page.wait_for_timeout(300)
    assert page.evaluate(status) == "busy"
    values = [float(price.strip("$").replace(",", "")) for price in prices]
    assert values == sorted(values)
    assert "1 selected" in page.text_content(".vnb-foot")
    assert int(page.locator(f"{ROW} >> nth=5").get_attribute("aria-rowindex")) > 250
    (nb.server.work / "awake").touch()
    page.wait_for_function(f"{status} === 'idle'", timeout=20_000)
    page.wait_for_timeout(300)
    assert nb.evaluate("[explorer.order, len(explorer.selected)]") == [["dph_total", True], 1]


def test_what_goes_wrong_is_said_in_the_explorer_and_the_rows_stay(open_notebook) -> None:
    impatient = """\
from vastnb import Client, explore
from vastnb.sim import Fault, Server
server = Server(seed=5, cap=None, limits=None)
client = Client(server.api_key, base_url=server.url, cache="memory", max_wait=7)
explorer = explore(client)
explorer"""
    nb = opened(open_notebook, impatient)
    page = nb.page
    rows = figure(nb)
    page.fill(".vnb-query", "gpu_nam=RTX_4090")
    page.press(".vnb-query", "Enter")
    page.wait_for_selector(".vnb-notice:visible")
    assert "gpu_name" in page.text_content(".vnb-notice")
    assert figure(nb) == rows
    page.fill(".vnb-query", "")
    page.press(".vnb-query", "Enter")
    page.wait_for_selector(".vnb-notice", state="hidden")

    nb.evaluate("0", code="server.faults.add(Fault('search_offers', '500', times=99))")
    page.click(".vnb-toggle >> nth=0")  # also unverified machines: wider, so the service is asked
    page.wait_for_selector(".vnb-notice:visible", timeout=60_000)
    assert page.locator(".vnb-notice button", has_text="Try again").is_visible()
    assert figure(nb) > 0
    assert page.get_attribute(".vnb-live", "data-mood") == "bad"


def test_a_wait_for_the_services_pace_is_counted_down(open_notebook) -> None:
    nb = opened(open_notebook)
    nb.evaluate("len(client.search_offers('num_gpus=8'))")  # the next search waits for this one
    nb.page.click(".vnb-toggle >> nth=0")
    nb.page.wait_for_selector("text=/waiting \\d s for Vast.ai's rate limit/", timeout=5_000)
    nb.page.wait_for_selector("[data-mood=good], [data-mood=warn]", timeout=20_000)
    assert nb.evaluate("'verified=any' in explorer.query")


def test_table_and_chart_share_hover_and_selection(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    page.hover(f"{ROW} >> nth=2")
    page.wait_for_selector(".vnb-tip:visible")
    assert page.locator(".vnb-tip").bounding_box()
    box = page.locator(".vnb-plot").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 16, box["y"] + box["height"] - 24, steps=5)
    page.mouse.up()
    page.wait_for_timeout(400)
    assert nb.evaluate("len(explorer.selected)") > 0.8 * figure(nb)
