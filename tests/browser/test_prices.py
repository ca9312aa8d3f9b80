"""The price charts in JupyterLab, in a real browser, on the simulated market."""

from __future__ import annotations

import json

from vastnb.sim.payload_texts import BEACON, PAYLOADS

from .conftest import Opener
from .harness import Browser, OpenNotebook

OPEN = """\
import vastnb
client = vastnb.demo(seed=5, speed=0, cap=None, limits=None, machines=400, history_days=3)
charts = vastnb.prices(client)
charts"""
PICTURE = ".vnb-chart svg:visible"
CONTRAST = """() => {
  const parts = (c) => c.match(/[\\d.]+/g).map(Number);
  const light = (c) => {
    const [r, g, b] = parts(c).map((v) => (v > 1 && !c.startsWith('color') ? v / 255 : v))
      .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const text = document.querySelector('.vnb-chart svg text');
  const ink = light(getComputedStyle(text).fill);
  const paper = light(getComputedStyle(text.closest('.vnb-chart')).backgroundColor);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}"""


def opened(opener: Opener, *cells: str, **options: object) -> OpenNotebook:
    nb = opener(*(cells or (OPEN,)), **options)
    nb.page.wait_for_selector(PICTURE, timeout=20_000)
    nb.page.wait_for_timeout(300)
    return nb


def drawn_to_fit(nb: OpenNotebook) -> bool:
    """Whether each picture was drawn for the width at which it is shown."""
    return nb.page.locator(PICTURE).evaluate_all(
        "ns => ns.every(n => Math.abs(n.clientWidth - n.viewBox.baseVal.width) <= 4)"
    )


def test_a_click_on_a_gpu_filters_all_four_charts_in_both_themes_and_widths(open_notebook) -> None:
    nb = opened(open_notebook)
    page = nb.page
    assert page.locator(PICTURE).count() == 4
    assert page.evaluate(CONTRAST) > 7
    nb.theme("JupyterLab Dark")
    assert page.evaluate(CONTRAST) > 7

    # Two beside two, each as wide as its picture was drawn.
    assert drawn_to_fit(nb)
    tops = page.locator(PICTURE).evaluate_all("ns => ns.map(n => n.getBoundingClientRect().top)")
    assert tops[0] == tops[1] < tops[2] == tops[3]

    row = page.locator(".vnb-chart >> nth=0 >> [data-gpu='RTX 4090']")
    row.hover(position={"x": 300, "y": 8})
    assert "median" in page.text_content(".vnb-chart >> nth=0 >> .vnb-tip")
    row.click(position={"x": 300, "y": 8})
    page.wait_for_selector("[data-name='RTX 4090'][aria-pressed=true]")
    page.wait_for_timeout(900)
    for chart in (0, 1, 2):
        names = page.locator(f".vnb-chart >> nth={chart} >> [data-gpu]")
        assert set(names.evaluate_all("ns => ns.map(n => n.dataset.gpu)")) == {"RTX 4090"}, chart
    found = nb.evaluate(
        "dict(code=charts.to_code(), names=charts.distribution()['gpu_name'].unique().tolist(),"
        " countries=len(charts.countries()), points=len(charts.trend()),"
        " calls=int(client.traffic()['calls'].sum()))"
    )
    assert found["names"] == ["RTX 4090"] and found["calls"] == 1 and found["points"] > 5
    assert found["code"] == 'vastnb.prices(client, gpu=["RTX 4090"])'
    assert page.text_content(".vnb-code") == found["code"]
    shown = page.locator(".vnb-chart >> nth=3 >> [data-tip]").count()
    assert shown == min(found["countries"], 11)

    # A second model joins by its chip, with the keyboard; "All GPUs" takes the filter away.
    page.locator("[data-name='RTX 3090']").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-name='RTX 3090'][aria-pressed=true]")
    page.wait_for_timeout(900)
    names = nb.evaluate("sorted(charts.performance()['gpu_name'].unique())")
    assert names == ["RTX 3090", "RTX 4090"]
    page.click(".vnb-all")
    page.wait_for_timeout(600)
    assert nb.evaluate("charts.performance()['gpu_name'].nunique()") > 5

    page.set_viewport_size({"width": 640, "height": 900})
    page.wait_for_timeout(900)
    tops = page.locator(PICTURE).evaluate_all("ns => ns.map(n => n.getBoundingClientRect().top)")
    assert tops == sorted(set(tops))  # one under another
    assert drawn_to_fit(nb)


def test_text_from_hosts_never_runs_in_a_chart(open_notebook, browser: Browser) -> None:
    nb = open_notebook(
        f"payloads = {list(PAYLOADS)!r}\n"
        "import vastnb\n"
        "plain = vastnb.demo(seed=5, cap=None, limits=None, machines=60)\n"
        "frame = plain.search_offers('verified=any')\n"
        "frame['gpu_name'] = [payloads[i % len(payloads)] for i in range(len(frame))]\n"
        "frame['country'] = frame['gpu_name']\n"
        "plain.search_offers = lambda *a, **k: frame\n"
        "charts = vastnb.prices(plain)\n"
        "charts",
        run=False,
    )
    page = nb.page
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    nb.run_all()
    page.wait_for_selector(PICTURE)
    page.wait_for_timeout(500)
    assert "<script>" in page.text_content(".vnb-charts"), "no payload was shown"
    for chip in range(1, 4):
        page.locator(".vnb-gpuchip").nth(chip).click()
        page.locator(".vnb-gpuchip").nth(chip).hover()
        page.wait_for_timeout(300)
    page.hover(".vnb-chart >> nth=0 >> [data-gpu] >> nth=0")
    assert page.locator(".vnb-tip:visible").count() == 1
    strange = ", ".join(f".vnb-root {tag}" for tag in ("script", "img", "iframe", "a", "details"))
    assert page.locator(strange).count() == 0
    handlers = ".vnb-root [onload], .vnb-root [onerror], .vnb-root [style*=url]"
    assert page.locator(handlers).count() == 0
    assert dialogs == [] and page.evaluate("window.__pwned") is None
    assert [url for url in browser.requests if BEACON in url] == []


def test_a_saved_notebook_keeps_pictures_and_numbers_and_no_key(open_notebook) -> None:
    nb = opened(open_notebook)
    key = nb.evaluate("client.server.api_key")
    saved = nb.save()
    text = json.dumps(saved)
    assert key not in text and len(text) < 150_000
    assert not nb.page.locator("td", has_text="RTX 4090").first.is_visible()

    nb.close()  # the kernel is gone
    page = nb.page
    page.goto(nb.server.url(nb.name))
    page.wait_for_selector("td", timeout=30_000)
    page.wait_for_timeout(500)
    assert page.locator("td", has_text="RTX 4090").first.is_visible()
    assert page.locator("text=Run the cell for the live charts").is_visible()
