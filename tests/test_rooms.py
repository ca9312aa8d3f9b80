"""Imports run down: no room of the market knows one above it; the simulation knows no client,
and widgets use each other one way."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import vastnb

ROOT = Path(vastnb.__file__).parent
FLOORS = (
    "_version", "errors", "clock", "values", "wording", "html", "api", "market.tables",
    "market.query", "market.frames", "market.money", "market", "market.history",
)  # fmt: skip
"""From the lowest up. A module belongs to the longest name that it begins with."""


def imports(room: str) -> Iterator[tuple[str, str]]:
    """Yield each module of a room with each module of the package that it imports, ever."""
    for path in sorted((ROOT / room).rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module}: a relative import hides where it leads"
                if (node.module or "").startswith("vastnb."):
                    yield module, (node.module or "").removeprefix("vastnb.")


def floor(module: str) -> int:
    names = [name for name in FLOORS if module == name or module.startswith(name + ".")]
    assert names, f"{module} stands on no floor below the market's history"
    return FLOORS.index(max(names, key=len))


def test_no_room_of_the_market_imports_one_above_it() -> None:
    found = list(imports("market"))
    assert len(found) > 100
    assert [pair for pair in found if floor(pair[1]) > floor(pair[0])] == []


def test_the_simulation_shares_with_the_client_its_clock_and_the_table_of_endpoints_only() -> None:
    others = {target for _, target in imports("sim") if not target.startswith("sim")}
    assert others == {"clock", "api.endpoints"}


WIDGETS = {
    "kit": set(),
    "table": {"kit"},
    "prices": {"kit", "table"},
    "monitor": {"kit", "table"},
    "rent": {"kit", "table", "monitor"},
    "explorer": {"kit", "table", "rent", "monitor"},
}
"""The folders of the widgets, and which of the others each may import."""


def test_widgets_import_each_other_one_way_only() -> None:
    folders = {path.name for path in (ROOT / "widgets").glob("*/") if path.name[0] != "_"}
    assert folders == set(WIDGETS)
    for widget, below in WIDGETS.items():
        found = list(imports(f"widgets/{widget}"))
        used = {name.split(".")[1] for _, name in found if name.startswith("widgets.")}
        assert used <= below | {widget}, widget
        for script in (ROOT / "widgets" / widget).glob("*.js"):
            text = script.read_text(encoding="utf-8")
            assert set(re.findall(r'from "\.\./(\w+)/', text)) <= below, script
        shell = (ROOT / "widgets" / widget / "widget.py").read_text(encoding="utf-8")
        sheets = "".join(re.findall(r"styles\((.*?)\)", shell, re.DOTALL))
        assert set(re.findall(r'"(\w+)/', sheets)) <= below | {widget}, widget


def test_no_folder_has_more_than_twenty_modules() -> None:
    for room in ("market", "sim", "widgets"):
        for folder in [ROOT / room, *(ROOT / room).rglob("*/")]:
            assert len(list(folder.glob("*.py"))) <= 20, folder
