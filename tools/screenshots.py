"""Take the pictures of the README: the widgets in a real JupyterLab, on the simulated market.

The market's seed and its clock are fixed, so that a picture changes only when its widget does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.harness import Browser, NotebookServer, OpenNotebook, notebook  # noqa: E402

IMAGES = ROOT / "docs" / "images"

SETUP = """
import vastnb
from vastnb.clock import ManualClock
from tests.widgets.machines import in_many_states

clock = ManualClock()
client = vastnb.demo(seed=7, speed=1, limits=None, clock=clock, machines=900)
in_many_states(client, clock, credit=61.20)
"""
"""Machines in many states, and two hours of watching them."""

PRICES = """import vastnb
client = vastnb.demo(seed=7, speed=0, cap=None, history_days=14)
charts = vastnb.prices(client)
charts"""

SCENES = {
    "explorer": (
        "",
        """import vastnb
client = vastnb.demo(seed=7, speed=0)
ui = vastnb.explore(client, "gpu_ram_gb>=24 num_gpus<=8 reliability>0.98 dph<12")
ui""",
        ".vnb-rows .vnb-row:visible",
        "ui.selected_ids = [int(ui.df['id'][i]) for i in (1, 4)]",
    ),
    "rent": (
        "",
        """import vastnb
client = vastnb.demo(seed=7, speed=0)
query = "gpu_name=RTX_5090 num_gpus<=2"
offers = client.search_offers(query, order="dph_total", storage=64)
vastnb.rent_form(
    client, offers.iloc[[5, 3, 9]], image="pytorch/pytorch:2.5.1-cuda12.4-cudnn9-devel",
    disk=64, env={"HF_TOKEN": "...", "-p 8000:8000": "1"}, label="llama-finetune",
    runtype="jupyter_direct", hours=12, download_gb=250, upload_gb=20, max_hours=18)""",
        ".vnb-credit:not(:empty)",
        "",
    ),
    "monitor": (
        SETUP,
        """import vastnb
watching = vastnb.monitor(client, on_notice=print)
watching""",
        ".vnb-machine:visible",
        "",
    ),
    "prices": ("", PRICES, ".vnb-chart svg:visible", ""),
}
"""By name: what runs before and is not seen, the cell, what to wait for, and what runs then."""

SIZES = {"prices": (1400, 1110)}
"""Width and height of the window where they differ, px."""


def main(names: list[str]) -> None:
    """Write the pictures, or only those whose name holds one of `names`."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        home = Path(folder)
        with NotebookServer("lab", home, {"PYTHONPATH": str(ROOT)}) as server:
            for scene in SCENES:
                for theme in ("light", "dark"):
                    name = f"{scene}-{theme}"
                    if not names or any(part in name for part in names):
                        shoot(browser, server, scene, theme)


def shoot(browser: Browser, server: NotebookServer, scene: str, theme: str) -> None:
    """Take one picture."""
    before, cell, awaited, after = SCENES[scene]
    name = f"{scene}-{theme}"
    notebook(cell, path=server.work / f"{name}.ipynb")
    width, height = SIZES.get(scene, (1400, 900))
    with browser.page(width=width, height=height) as page:
        opened = OpenNotebook(server, page, f"{name}.ipynb").open(run=False)
        opened.theme(f"JupyterLab {theme.title()}")
        opened.command("application:toggle-left-area")
        if before:
            opened.evaluate("True", code=before, timeout=120)
        opened.run_all()
        page.wait_for_selector(awaited)
        if after:
            opened.evaluate("True", code=after)
        page.wait_for_timeout(800)
        page.screenshot(path=IMAGES / f"{name}.png")
        opened.close()
    print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
