"""Take the pictures of the README: widgets in a real JupyterLab, on the simulated market.

The market's seed and its clock are fixed, so that a picture changes only when a widget does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.harness import Browser, NotebookServer, OpenNotebook, notebook  # noqa: E402

IMAGES = ROOT / "docs" / "images"

EXPLORER = (
    """import vastnb
client = vastnb.demo(seed=7, speed=0)
ui = vastnb.explore(client, "gpu_ram_gb>=24 num_gpus<=8 reliability>0.98 dph<12")
ui""",
)
PRICES = (
    """import vastnb
client = vastnb.demo(seed=7, speed=0, cap=None, history_days=14)
charts = vastnb.prices(client)
charts""",
)
WAIT_FOR = {"explorer": ".vnb-rows .vnb-row:visible", "prices": ".vnb-chart svg:visible"}


def main(names: list[str]) -> None:
    """Write the pictures, or only those whose name holds one of `names`."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        home = Path(folder)
        with NotebookServer("lab", home) as server:
            for theme in ("light", "dark"):
                for name, cells, size in (
                    (f"explorer-{theme}", EXPLORER, (1400, 900)),
                    (f"prices-{theme}", PRICES, (1400, 1110)),
                    (f"prices-narrow-{theme}", PRICES, (640, 1800)),
                ):
                    if not names or any(part in name for part in names):
                        shoot(browser, server, name, cells, theme, size)


def shoot(
    browser: Browser,
    server: NotebookServer,
    name: str,
    cells: tuple[str, ...],
    theme: str,
    size: tuple[int, int],
) -> None:
    """Take one picture."""
    notebook(*cells, path=server.work / f"{name}.ipynb")
    kind = name.partition("-")[0]
    with browser.page(width=size[0], height=size[1]) as page:
        opened = OpenNotebook(server, page, f"{name}.ipynb").open(run=False)
        opened.theme(f"JupyterLab {theme.title()}")
        opened.command("application:toggle-left-area")
        opened.run_all()
        page.wait_for_selector(WAIT_FOR[kind])
        if kind == "explorer":
            chosen = "ui.selected_ids = [int(ui.df['id'][i]) for i in (1, 4)]"
            opened.evaluate("True", code=chosen)
        page.wait_for_timeout(900)
        page.screenshot(path=IMAGES / f"{name}.png")
        opened.close()
    print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
