"""``python -m vastnb demo``: JupyterLab on the explorer, with a simulated market.

The tour is copied before it is opened, so that playing with it changes no file of the project.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vastnb._version import __version__

TOUR = """\
import vastnb

client = vastnb.connect()  # your key if there is one, else a simulated market
vastnb.explore(client)
"""


QUIET = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m vastnb", description=__doc__)
    parser.add_argument("--version", action="version", version=f"vastnb {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    lab = commands.add_parser("demo", help="open the explorer in JupyterLab, on a simulated market")
    lab.add_argument("--dir", type=Path, default=None, help="directory to copy the notebooks to")
    lab.add_argument("jupyter", nargs="*", help="more arguments for `jupyter lab`, after --")
    arguments = parser.parse_args(argv)

    if find_spec("jupyterlab") is None:
        sys.stderr.write("JupyterLab is not installed: pip install 'vastnb[demo]'\n")
        return 1
    return _lab(arguments.dir or Path.cwd() / "vastnb-demo", arguments.jupyter)


def _lab(place: Path, options: list[str]) -> int:
    from jupyterlab.labapp import LabApp

    notebook = _tour_in(place)
    print(f"Opening {notebook} on a simulated market. Ctrl-C stops it.")
    arguments = [
        f"--ServerApp.root_dir={notebook.parent}",
        f"--LabApp.default_url=/lab/tree/{notebook.name}",
        "--LabApp.news_url=None",
        "--LabApp.extension_manager=readonly",  # the other one asks a server for what there is
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # In a container one is root, and Jupyter refuses to start. It listens on loopback only.
        arguments.append("--allow-root")
    with tempfile.TemporaryDirectory(prefix="vastnb-demo-") as folder:
        _set_defaults(Path(folder))
        LabApp.launch_instance([*arguments, *options])
    return 0


def _set_defaults(folder: Path) -> None:
    """Let JupyterLab start without its question about news; the user's own settings come first."""
    (folder / "labconfig").mkdir()
    (folder / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(QUIET))
    above = os.environ.get("JUPYTER_CONFIG_PATH")
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join([str(folder), *([above] if above else [])])


def _tour_in(folder: Path) -> Path:
    """Copy the notebooks to `folder` (none that is there is overwritten); return the first."""
    folder.mkdir(parents=True, exist_ok=True)
    shipped = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
    for source in shipped:
        target = folder / source.name
        if not target.exists():
            shutil.copy(source, target)
    if shipped:
        return folder / shipped[0].name

    target = folder / "explore.ipynb"
    if not target.exists():
        cell: dict[str, Any] = {
            "cell_type": "code",
            "id": "explore",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": TOUR,
        }
        notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
        target.write_text(json.dumps(notebook, indent=1), encoding="utf-8")
    return target


if __name__ == "__main__":
    raise SystemExit(main())
