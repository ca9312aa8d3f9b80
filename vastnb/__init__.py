"""The Vast.ai GPU market in a notebook.

Importing this package imports pandas and requests-cache, and gives frames of offers their
``df.vast``. The client, the widgets and the simulated service come with their first use: they are
the names in `_FIRST_USE`, and no function below has an import for the sake of speed.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any

# Both are needed further down. From there, at the end of a long chain of imports, they take some
# 12 ms more to load: CPython keeps frames in small chunks, and deep calls cross their edges.
import pandas  # noqa: F401
import requests_cache  # noqa: F401

import vastnb.market.accessor  # noqa: F401  (registers ``df.vast``)
from vastnb import errors
from vastnb._version import __version__
from vastnb.html import show_frames_as_they_are as _show_frames_as_they_are
from vastnb.market.tables.schema import STRANGERS as _STRANGERS

if TYPE_CHECKING:
    from vastnb import sim
    from vastnb.client import Client
    from vastnb.entry import connect, demo, login
    from vastnb.widgets.explorer import explore
    from vastnb.widgets.monitor import monitor
    from vastnb.widgets.prices import prices
    from vastnb.widgets.rent import rent_form

logging.getLogger("vastnb").addHandler(logging.NullHandler())
_show_frames_as_they_are(_STRANGERS)

_FIRST_USE = {
    "Client": "vastnb.client",
    "connect": "vastnb.entry",
    "demo": "vastnb.entry",
    "login": "vastnb.entry",
    "explore": "vastnb.widgets.explorer",
    "monitor": "vastnb.widgets.monitor",
    "prices": "vastnb.widgets.prices",
    "rent_form": "vastnb.widgets.rent",
}


def __getattr__(name: str) -> Any:
    if name in ("client", "entry", "sim"):
        return importlib.import_module(f"vastnb.{name}")
    if name in _FIRST_USE:
        try:
            value = getattr(importlib.import_module(_FIRST_USE[name]), name)
        except ModuleNotFoundError as missing:
            ours = (missing.name or "").partition(".")[0] == "vastnb"
            if ours or "widgets" not in _FIRST_USE[name]:
                raise
            raise ImportError(
                f"vastnb.{name} needs {missing.name}, which is not installed: "
                "pip install 'vastnb[widgets]'"
            ) from missing
        globals()[name] = value
        return value
    raise AttributeError(f"module 'vastnb' has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Give IPython ``%%on``: ``%load_ext vastnb``."""
    from vastnb.remote.magic import register

    register(shell)


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = [
    "Client",
    "__version__",
    "connect",
    "demo",
    "errors",
    "explore",
    "login",
    "monitor",
    "prices",
    "rent_form",
    "sim",
]
