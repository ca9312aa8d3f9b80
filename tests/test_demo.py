"""What `make demo` offers: an environment in which every notebook runs, and a quiet first screen.

The environment is built by the Makefile's own rule, in a directory of its own. Where packages
is not available the tests are skipped, loudly; on a machine that says it is CI they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.harness import free_port, wait_for_url

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
UNREACHABLE = ("NewConnectionError", "Temporary failure in name resolution", "ConnectTimeout")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment as `make demo` makes it."""
    venv = tmp_path_factory.mktemp("demo") / "venv"
    command = ["make", "--no-print-directory", f"PYTHON={sys.executable}", f"VENV={venv}"]
    made = subprocess.run(
        [*command, f"{venv}/.demo"], cwd=ROOT, env=environment() | {"PIP_COMPILE": "0"},
        capture_output=True, text=True,
    )  # fmt: skip
    if made.returncode and any(sign in made.stderr for sign in UNREACHABLE):
        if os.environ.get("CI"):
            pytest.fail("no package index on this machine, and CI must not skip the demo")
        pytest.skip("no package index on this machine to build the demo's environment from")
    assert made.returncode == 0, made.stderr[-3000:]
    return venv / "bin" / "python"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_notebook_runs_in_the_environment_of_the_demo(
    python: Path, notebook: Path, tmp_path: Path
) -> None:
    ran = subprocess.run(
        [python, "-m", "jupyter", "nbconvert", "--to", "notebook", "--execute",
         "--output-dir", tmp_path, notebook],
        env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    made = json.loads((tmp_path / notebook.name).read_text())
    outputs = [out for cell in made["cells"] for out in cell.get("outputs", [])]
    assert outputs and not [out for out in outputs if out["output_type"] == "error"]


@pytest.fixture
def demo(python: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a JupyterLab as `python -m vastnb demo` starts it."""
    port = free_port()
    command = [python, "-m", "vastnb", "demo", "--dir", tmp_path / "work", "--", "--no-browser"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    command += ["--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True"]
    env = environment() | {"HOME": str(tmp_path), "JUPYTER_CONFIG_DIR": str(tmp_path / "config")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, cwd=tmp_path)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for_url(f"{url}/api/status", process)
        yield url
    finally:
        process.terminate()
        process.wait(20)


def test_the_first_screen_asks_nothing(demo: str, tmp_path: Path) -> None:
    plugin = "@jupyterlab/apputils-extension:notification"
    with urllib.request.urlopen(f"{demo}/lab/api/settings/{plugin}", timeout=10) as answer:
        told = json.load(answer)
    fetch = told["schema"]["properties"]["fetchNews"]["default"]
    assert fetch == "false", "a default: whoever wants news says so in the settings"
    copied = sorted(path.name for path in (tmp_path / "work").glob("*.ipynb"))
    assert copied == [path.name for path in NOTEBOOKS]
    shutil.rmtree(tmp_path / "work")
