"""A cell that runs on a machine, seen in JupyterLab: its plot under it, and nothing that runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import vastnb
from tests.remote.openssh import free_port
from vastnb.clock import ManualClock

from .harness import Browser

BEGIN = """
%load_ext vastnb
import vastnb
from vastnb.clock import ManualClock
client = vastnb.demo(seed=11, speed=1, clock=ManualClock())
client.server.world.fleet.expect("cached")
box = client.rent("num_gpus=1", image="pytorch/pytorch", disk=20)
"""
PLOT = """%%on box
%matplotlib inline
import matplotlib.pyplot as plt
from IPython.display import HTML, Javascript, display
plt.plot([3, 1, 2])
display(HTML('<script>window.ran = 1</script><img src=x onerror="window.ran = 2"><b>kept</b>'))
display(Javascript("window.ran = 3"))
"""


@pytest.mark.timeout(180)
def test_a_plot_made_on_the_machine_appears_under_the_cell(open_notebook: Any) -> None:
    nb = open_notebook(BEGIN, PLOT, "box.destroy(); client.close()", run=False)
    nb.run_all(timeout=120)
    cell = nb.page.locator(".jp-Cell >> nth=1")
    picture = cell.locator(".jp-OutputArea img[src^='data:image/png']")
    picture.wait_for(timeout=60_000)
    assert picture.evaluate("image => image.naturalWidth") > 200
    assert cell.locator("b", has_text="kept").count() == 1
    nb.page.wait_for_timeout(500)
    assert nb.page.evaluate("window.ran") is None
    assert "javascript from the machine is not shown" in cell.inner_text()


LIVE = ".vnb-meters:visible"


@pytest.mark.timeout(180)
def test_the_monitor_shows_the_load_of_a_machine_with_a_session(open_notebook: Any) -> None:
    quick = "import vastnb.fleet.watch.tempo as tempo; tempo.QUICK = tempo.SLOW = 1.0\n"
    ticking = BEGIN.replace(", clock=ManualClock()", "")
    nb = open_notebook(
        f"{ticking}{quick}box.wait(reachable=True)",
        "watching = vastnb.monitor(client)\nwatching",
        "session = box.session()",
        "box.destroy(); watching.close(); client.close()",
        run=False,
    )
    page = nb.page
    for cell in (0, 1):
        page.evaluate(f"window.jupyterapp.shell.currentWidget.content.activeCellIndex = {cell}")
        nb.command("notebook:run-cell")
    page.wait_for_selector(".vnb-machine:visible", timeout=60_000)
    assert page.locator(LIVE).count() == 0
    nb.evaluate("session.generation", code="session = box.session()")
    page.wait_for_selector(LIVE, timeout=20_000)
    text = page.text_content(LIVE)
    assert "GPU3 %" in text
    assert "GB" in text
    page.wait_for_function(
        f"/\\d s ago/.test(document.querySelector('{LIVE.partition(':')[0]}').textContent)"
    )
    for look in ("rows", "cards"):
        page.click(f"[data-look={look}]")
        inside = page.evaluate(
            """() => { const card = document.querySelector('.vnb-machine').getBoundingClientRect();
            const meters = document.querySelector('.vnb-meters').getBoundingClientRect();
            return meters.height > 8 && meters.right <= card.right + 1
                && meters.bottom <= card.bottom + 1; }"""
        )
        assert inside, look
    nb.evaluate("0", code="box.disconnect()")
    page.wait_for_function("document.querySelector('.vnb-meters').hidden", timeout=20_000)
    assert nb.evaluate("session.generation") == 1


ECHO = """
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ("cookies: " + self.headers.get("Cookie", "none")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


@pytest.mark.timeout(120)
def test_a_page_of_a_machine_gets_no_cookie_of_this_computers_servers(
    browser: Browser, tmp_path: Path
) -> None:
    with vastnb.demo(seed=11, speed=1, clock=ManualClock()) as client:
        assert client.server is not None
        client.server.world.fleet.expect("cached")
        with client.rent("num_gpus=1", image="pytorch/pytorch", disk=20) as box:
            (tmp_path / "echo.py").write_text(ECHO)
            box.upload(tmp_path / "echo.py", show=False)
            port = free_port()
            box.start(f"{sys.executable} echo.py {port}")
            box.run(f"until (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done")
            with box.forward(port) as link, browser.page() as page:
                browser.requests.clear()
                page.goto(link.address)
                page.evaluate("document.cookie = 'login=hunter2'")
                page.goto(link.address)
                assert page.text_content("body") == "cookies: login=hunter2"
                assert link.page == f"http://box-{box.id}.localhost:{link.port}/"
                page.goto(link.page)
                assert page.text_content("body") == "cookies: none"
                assert browser.left_the_machine() == []
