"""One JupyterLab, one Notebook 7 and one Chromium for all browser tests.

Without Chromium the tests are skipped, loudly; on a machine that says it is CI they fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from .harness import Browser, NotebookServer, OpenNotebook, find_chromium, notebook

ROOT = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker("browser")
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    count = sum("no Chromium" in str(report.longrepr) for report in reports)
    if count:
        terminalreporter.section("NOT CHECKED IN A BROWSER", sep="!", yellow=True)
        terminalreporter.line(f"{count} tests were skipped: no Chromium. apt-get install chromium")


@pytest.fixture(scope="session")
def chromium() -> str:
    found = find_chromium()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI must not skip the browser tests")
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser for a file's tests: while it is open, its event loop is this thread's."""
    with Browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: Any) -> Iterator[NotebookServer]:
    home = tmp_path_factory.mktemp("lab")
    with NotebookServer("lab", home, {"PYTHONPATH": str(ROOT)}) as server:
        yield server


@pytest.fixture(scope="session")
def classic(chromium: str, tmp_path_factory: Any) -> Iterator[NotebookServer]:
    home = tmp_path_factory.mktemp("notebook")
    with NotebookServer("notebook", home, {"PYTHONPATH": str(ROOT)}) as server:
        yield server


Opener = Callable[..., OpenNotebook]


@pytest.fixture
def open_notebook(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Return a function that writes, opens and runs a notebook; its page closes with the test.

    A request that leaves the machine, and an error in the page, fail the test.
    """
    browser.requests.clear()  # a page of nbconvert that was shown before asks for more
    with ExitStack() as stack:
        opened: list[OpenNotebook] = []

        def opener(
            *cells: str, server: str = "lab", width: int = 1400, height: int = 900, **options: Any
        ) -> OpenNotebook:
            running: NotebookServer = request.getfixturevalue(server)
            name = f"{request.node.originalname}-{len(opened)}.ipynb"
            notebook(*cells, path=running.work / name)
            page = stack.enter_context(browser.page(width=width, height=height))
            nb = OpenNotebook(running, page, name)
            opened.append(nb)
            run = options.pop("run", True)
            nb.open(run=False, **options)
            browser.console.clear()  # what the application itself said while it started
            if run:
                nb.run_all()
            return nb

        yield opener
        errors = [line for line in browser.console if line.startswith("pageerror")]
        for nb in opened:
            nb.close()
    assert browser.left_the_machine() == []
    assert errors == []
