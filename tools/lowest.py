"""Run tests with the lowest versions that `pyproject.toml` allows, in an environment of their own.

    python tools/lowest.py                            duckdb, and the tests of the history
    python tools/lowest.py --of pandas tests/market   another package, other tests

The environment is made anew each time, in a temporary directory or in `--folder`. Packages come
from the usual index; everything that is not named is as new as it can be.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HISTORY = (
    "test_history.py", "test_history_files.py", "test_history_prices.py",
    "test_history_alerts.py", "test_history_processes.py", "test_metrics.py",
)  # fmt: skip
BESIDE = ("pytest", "pytest-timeout", "pytest-rerunfailures", "pytest-xdist", "hypothesis",
          "pyarrow", "polars", "tzdata")  # fmt: skip
"""What these tests need, of any version."""


def lowest(name: str) -> str:
    """Return the requirement for the lowest allowed version of a package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for lines in extras for line in lines)]:
        if match := re.fullmatch(rf"{re.escape(name)}>=([\w.]+)(,.*)?", line):
            return f"{name}=={match[1]}"
    raise SystemExit(f"pyproject.toml has no lowest version of {name}.")


def main() -> int:
    """Make the environment, run the tests in it, and return pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--of", nargs="+", default=["duckdb"], help="packages (default duckdb)")
    parser.add_argument("--folder", type=Path, help="where the environment is made")
    parser.add_argument("tests", nargs="*", help="what pytest is given (default: the history's)")
    options = parser.parse_args()
    pins = [lowest(name) for name in options.of]
    tests = options.tests or [f"tests/market/{name}" for name in HISTORY]
    with tempfile.TemporaryDirectory(prefix="vastnb-lowest-") as temporary:
        folder = options.folder or Path(temporary)
        venv.create(folder, clear=True, with_pip=True)
        python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        install = [python, "-m", "pip", "install", "-q", f"{ROOT}[history,sim]", *BESIDE, *pins]
        subprocess.run(install, check=True)
        print("Testing with", ", ".join(pins), flush=True)
        return subprocess.run(
            [python, "-m", "pytest", "-q", *tests], cwd=ROOT, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
