"""Take the pictures of the README: the explorer in a real JupyterLab, on the simulated market.

The market's seed and its clock are fixed, so that a picture changes only when the explorer does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.browser.harness import Browser, NotebookServer, OpenNotebook, notebook  # noqa: E402

IMAGES = ROOT / "docs" / "images"

CELLS = (
    """import vastnb
client = vastnb.demo(seed=7, speed=0)
ui = vastnb.explore(client, "gpu_ram_gb>=24 num_gpus<=8 reliability>0.98 dph<12")
ui""",
)


def main(names: list[str]) -> None:
    """Write the pictures, or only those whose name holds one of `names`."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, Browser() as browser:
        home = Path(folder)
        with NotebookServer("lab", home) as server:
            for theme in ("light", "dark"):
                name = f"explorer-{theme}"
                if not names or any(part in name for part in names):
                    shoot(browser, server, name, theme)


def shoot(browser: Browser, server: NotebookServer, name: str, theme: str) -> None:
    """Take one picture."""
    notebook(*CELLS, path=server.work / f"{name}.ipynb")
    with browser.page(width=1400, height=900) as page:
        opened = OpenNotebook(server, page, f"{name}.ipynb").open(run=False)
        opened.theme(f"JupyterLab {theme.title()}")
        opened.command("application:toggle-left-area")
        opened.run_all()
        page.wait_for_selector(".vnb-rows .vnb-row:visible")
        opened.evaluate("True", code="ui.selected_ids = [int(ui.df['id'][i]) for i in (1, 4)]")
        page.wait_for_timeout(800)
        page.screenshot(path=IMAGES / f"{name}.png")
        opened.close()
    print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main(sys.argv[1:])
