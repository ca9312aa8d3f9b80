"""Fixtures for every test: recorded answers of the real service, where they are at hand.

They are no part of the project. `VASTNB_RECORDED` names their directory; otherwise it is looked
for beside the checkout. Tests that need them are marked `recorded`, and say so when they skip.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing about the code.
settings.register_profile("vastnb", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=25)
settings.load_profile("vastnb")

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "vast-api"
_FIXTURES = {"recorded_dir", "offers_2024", "offers_2026"}


def _recorded() -> Path:
    return Path(os.environ.get("VASTNB_RECORDED") or _BESIDE)


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the user's files or leaves something there; kernels inherit this too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VASTNB_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("VASTNB_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and keeps what is written to it."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal() -> Callable[[], AbstractContextManager[io.StringIO]]:
    """Return what makes ``sys.stderr`` a terminal for a block, and keeps what is shown on it."""
    return lambda: redirect_stderr(Terminal())


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """Let Ctrl-C interrupt: a shell that starts this in the background has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Spare the collector of garbage what was imported: it lasts as long as the process."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs recorded answers; begin with the slow files, so that no worker ends alone."""
    slow: dict[Path, int] = {}
    for item in items:
        if _FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("recorded")
        weight = 10 if "browser" in item.keywords else "slow" in item.keywords
        slow[item.path] = slow.get(item.path, 0) + weight
    items.sort(key=lambda item: -slow[item.path])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    count = sum("recorded answers" in str(report.longrepr) for report in reports)
    if count:
        terminalreporter.section("NOT CHECKED AGAINST REAL OFFERS", sep="!", yellow=True)
        terminalreporter.line(
            f"{count} tests were skipped: no recorded answers in {_recorded()}. "
            "Set VASTNB_RECORDED to their directory."
        )


@pytest.fixture(scope="session")
def recorded_dir() -> Path:
    """The directory of recorded answers (it has a subdirectory `data`)."""
    directory = _recorded()
    if not (directory / "data").is_dir():
        pytest.skip(f"no recorded answers in {directory} (set VASTNB_RECORDED)")
    return directory


def _load(directory: Path, name: str) -> Any:
    path = directory / "data" / name
    if not path.is_file():
        pytest.skip(f"no recorded answers in {path} (set VASTNB_RECORDED)")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def offers_2024(recorded_dir: Path) -> list[dict[str, Any]]:
    """691 real offers of one search, 86 columns. Do not change them."""
    return _load(recorded_dir, "offers_2024_real.json")["offers"]


@pytest.fixture(scope="session")
def offers_2026(recorded_dir: Path) -> list[dict[str, Any]]:
    """8 real offers of three searches (on-demand, bid, reserved), 100 columns. Do not change."""
    by_type = _load(recorded_dir, "offers_2026_sample_8.json")["offers"]
    return [row for rows in by_type.values() for row in rows]
