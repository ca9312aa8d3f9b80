"""What a host needs beside the widget itself: Colab its metadata, the others nothing."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import anywidget._util
import pandas as pd
import pytest

from vastnb.widgets.table.widget import OfferTable

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def colab(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A stub of Colab's module, and what has been asked of it."""
    asked: list[str] = []
    output: Any = ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: asked.append("enable")
    output._widgets = SimpleNamespace(_installed_url="https://colab.example/manager")
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    anywidget._util.enable_custom_widget_manager_once.cache_clear()
    return asked


def displayed(widget: OfferTable, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    shown: list[tuple[Any, Any]] = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, metadata=None, raw=False: shown.append((data, metadata)),
    )
    widget._ipython_display_()
    return shown


def test_colab_gets_the_metadata_that_it_renders_by(
    colab: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = OfferTable(pd.DataFrame({"id": [1, 2]}))
    data, metadata = table._repr_mimebundle_()
    manager = {"custom_widget_manager": {"url": "https://colab.example/manager"}}
    assert metadata == {VIEW: {"colab": manager}}
    assert data[VIEW]["model_id"] == table.model_id and "<table" in data["text/html"]
    (view, told), (copy, _) = displayed(table, monkeypatch)
    assert told == metadata and VIEW in view
    assert VIEW not in copy and colab == ["enable"]


def test_jupyter_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    table = OfferTable(pd.DataFrame({"id": [1, 2]}))
    assert set(table._repr_mimebundle_()) == {VIEW, "text/html", "text/plain"}
    (view, told), (copy, _) = displayed(table, monkeypatch)
    assert not told and VIEW in view and VIEW not in copy
