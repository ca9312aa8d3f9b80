"""Run the notebooks on the simulated market and save them with fresh outputs.

Widget views are taken out of what is saved: without a kernel their static twins (HTML and text)
are what GitHub, nbconvert and JupyterLab show. Machine-made ids and timings of the run are
dropped, so that saving twice changes as little as possible.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
LARGEST = 300_000


def save(path: Path) -> None:
    """Run one notebook and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=180,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _make_static(output)]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    text = nbformat.writes(notebook)
    if len(text) > LARGEST:
        raise SystemExit(f"{path.name} would be {len(text):,} bytes; {LARGEST:,} is the most")
    path.write_text(text + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(text):,} bytes")


def _make_static(output: nbformat.NotebookNode) -> bool:
    """Take the widget out of an output; return whether anything worth saving is left.

    A progress line that has been emptied is nothing.
    """
    data = output.get("data")
    if data is None:
        return True
    widget = data.pop(WIDGET_VIEW, None) is not None
    return "text/html" in data if widget else any(data.values())


if __name__ == "__main__":
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    for notebook_path in chosen or sorted((ROOT / "notebooks").glob("*.ipynb")):
        save(notebook_path)
