"""Where a server's history lies, and how it is asked."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.api.files import private_file
from vastnb.market.history.columns import VERSION
from vastnb.market.history.dataset import Dataset
from vastnb.market.history.engine import Engine
from vastnb.market.history.questions import Which

if TYPE_CHECKING:
    from vastnb.recording import Line


ALERTS: Final = "alerts.sqlite"


class Place:
    """The directory of one server's history.

    Parameters
    ----------
    folder : Path
        Where histories are kept, each server's in a directory of its own.
    source : str
        The server.
    line : Line
        The way to the service. If the market turns out to be simulated, everything is kept in a
        temporary directory, which ends with `close`; it never mixes with a real market's past.
    """

    def __init__(self, folder: Path, source: str, line: Line) -> None:
        self._folder = folder
        self.source = source
        self._line = line
        self.engine = Engine()
        self._lock = threading.Lock()
        self._made_up: Path | None = None
        self._end: Callable[[], object] = lambda: None

    @property
    def simulated(self) -> bool:
        """Whether this is the past of a simulated market."""
        return self._line.simulated

    @property
    def root(self) -> Path:
        """The directory."""
        real = self._folder / VERSION / folder_name(self.source)
        if not self.simulated:
            return real
        with self._lock:
            if self._made_up is None:
                made = Path(tempfile.mkdtemp(prefix="vastnb-simulated-"))
                self._made_up = made / VERSION / "simulated"
                self._end = weakref.finalize(self, shutil.rmtree, made, ignore_errors=True)
                self._take_along(real / ALERTS)
            return self._made_up

    def _take_along(self, alerts: Path) -> None:
        """Copy alerts that were set before the market said that it is simulated."""
        if alerts.exists():
            assert self._made_up is not None
            shutil.copyfile(alerts, private_file(self._made_up / ALERTS))

    @property
    def alerts(self) -> Path:
        """The file with the price alerts."""
        return self.root / ALERTS

    @property
    def offers(self) -> Dataset:
        """The offers that were seen."""
        return self._dataset("offers")

    @property
    def metrics(self) -> Dataset:
        """The service's own figures that were imported."""
        return self._dataset("metrics")

    def _dataset(self, name: str) -> Dataset:
        # What ends with its client need not outlive a power failure.
        return Dataset(self.root / name, durable=not self.simulated)

    def ask(self, which: Which, *questions: tuple[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the columns of the answers to questions about offers, in SQL with parameters."""
        since = None if which.since is None else which.since.date()
        until = None if which.until is None else which.until.date()
        listing = self.offers.listing(since, until)
        return [self.engine.ask(listing, sql, params) for sql, params in questions]

    def about(self, more: Mapping[str, Any]) -> dict[str, Any]:
        """Return the provenance of a result, JSON-able."""
        return {
            "source": self.source,
            "path": str(self.offers.folder),
            "simulated": self.simulated,
            **more,
        }

    def told(self, frame: pd.DataFrame, more: Mapping[str, Any]) -> pd.DataFrame:
        """Write on a frame where it comes from, and return it."""
        frame.attrs["vastnb"] = self.about(more)
        return frame

    def close(self) -> None:
        """Forget connections; a simulated market's history is removed."""
        self.engine.close()
        self._end()


def folder_name(source: str) -> str:
    """Return the name of a server's directory: readable, and different for different servers."""
    host = re.sub(r"[^a-z0-9.-]+", "-", source.lower().partition("://")[2]).strip("-.") or "server"
    return f"{host[:60]}-{hashlib.blake2b(source.encode(), digest_size=4).hexdigest()}"


__all__ = ["ALERTS", "Place", "folder_name"]
