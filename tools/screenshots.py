"""Make the pictures of the documentation anew: the explorer in JupyterLab, light and dark.

Run as ``python tools/screenshots.py``. Everything is real: JupyterLab, a kernel, the simulated
market with a fixed seed, Chromium. Only the market's clock stands still, so that the same code
gives the same picture.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.harness import Browser, NotebookServer, OpenNotebook, notebook  # noqa: E402

IMAGES = ROOT / "docs" / "images"
CELL = """\
import vastnb

client = vastnb.demo(seed=0, speed=0)
explorer = vastnb.explore(client, "gpu_ram_gb>=24 reliability>=0.98")
explorer"""
ROW = ".vnb-rows .vnb-row"


def picture(server: NotebookServer, page: Any, theme: str, file: Path) -> None:
    """Open the explorer, sort and select as a user would, and write what is seen to `file`."""
    notebook(CELL, path=server.work / "explore.ipynb")
    nb = OpenNotebook(server, page, "explore.ipynb").open()
    page.evaluate("window.jupyterapp.shell.collapseLeft()")
    nb.theme(theme)
    page.wait_for_selector(ROW)
    page.click("[data-name=dlperf_per_dphtotal]")
    page.click(f"{ROW} >> nth=1")
    page.click(f"{ROW} >> nth=4", modifiers=["Control"])
    page.mouse.move(5, 5)
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(1200)
    page.screenshot(path=str(file))
    nb.close()
    sys.stdout.write(f"{file.relative_to(ROOT)}  {file.stat().st_size // 1024} kB\n")


def main() -> None:
    """Write all pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        NotebookServer("lab", Path(home), {"PYTHONPATH": str(ROOT)}) as server,
        Browser() as browser,
    ):
        for theme in ("light", "dark"):
            with browser.page(width=1400, height=860, scale=1.5) as page:
                file = IMAGES / f"explorer-{theme}.png"
                picture(server, page, f"JupyterLab {theme.title()}", file)
        away = browser.left_the_machine()
        if away:
            raise SystemExit(f"these requests left the machine: {away}")


if __name__ == "__main__":
    main()
