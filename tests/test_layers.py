"""Imports run down: no circle, nothing upward, imports for types and inside functions counted.

What is held is the order of packages, `LAYERS`, and how many of them stand on one another. Modules
of one package may stand on one another as they like, as long as none goes round.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import vastnb

HOME = Path(vastnb.__file__).parent

LAYERS = (
    "errors clock html values wording _version",
    "api",
    "market",
    "sim",
    "fleet",  # what renting, watching and handles share
    "fleet.rent",
    "fleet.watch fleet.ledger",
    "remote",
    "fleet.instance",
    "client",
    "entry",
    "widgets",
    "__init__ __main__",
)
"""From the lowest to the highest; a module belongs to the longest name that fits."""

MARKET = [
    "market.tables",
    "market.query",
    "market.frames",
    "market.money",
    "market",
    "market.history",
]
"""The rooms of the market, from the lowest up."""

WIDGETS = {
    "kit": set(),
    "table": {"kit"},
    "prices": {"kit", "table"},
    "monitor": {"kit", "table"},
    "rent": {"kit", "table", "monitor"},
    "explorer": {"kit", "table", "rent", "monitor"},
}
"""The folders of the widgets, and which of the others each may import."""

OPTIONAL = {
    "vastnb.api.shared_redis",
    "vastnb.remote.magic",
    "vastnb.sim",
    "vastnb.sim.past",
}
"""Modules that may be imported inside a function."""

MOST_FLOORS = 11
"""Layers on one another, by the longest chain of imports between them."""

MOST_MODULES = 20
"""In one folder."""


def _name(path: Path) -> str:
    parts = path.relative_to(HOME.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {_name(path): path for path in HOME.rglob("*.py")}


@cache
def trees() -> dict[str, ast.Module]:
    return {name: ast.parse(path.read_text("utf-8")) for name, path in modules().items()}


@cache
def imports() -> dict[str, set[str]]:
    return {name: _imported(tree) - {name} for name, tree in trees().items()}


def _imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            whole = [f"{node.module}.{one.name}" for one in node.names]
            found.update(one if one in modules() else node.module for one in whole)
    return found & modules().keys()


def _own(name: str) -> str:
    return name.removeprefix("vastnb").removeprefix(".") or "__init__"


def _place(name: str, layers: Sequence[str]) -> int:
    """Return which layer a module belongs to: that of the longest name that fits."""
    fits = [
        (len(prefix), place)
        for place, layer in enumerate(layers)
        for prefix in layer.split()
        if _own(name) == prefix or _own(name).startswith(prefix + ".")
    ]
    return max(fits)[1]


def _pairs(within: str = "vastnb") -> list[tuple[str, str]]:
    """Return each module of a package with each that it imports."""
    return [
        (one, other)
        for one, others in imports().items()
        if one.startswith(within)
        for other in others
        if other != "vastnb"
    ]


@pytest.mark.slow
def test_no_import_goes_round() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as circle:
        raise AssertionError(" > ".join(circle.args[1])) from None


def test_no_import_goes_up() -> None:
    pairs = _pairs()
    assert len(pairs) > 1000
    assert [x for x in pairs if _place(x[1], LAYERS) > _place(x[0], LAYERS)] == []


def test_no_more_than_eleven_layers_stand_on_one_another() -> None:
    below: dict[int, set[int]] = {place: set() for place in range(len(LAYERS))}
    for one, other in _pairs():
        below[_place(one, LAYERS)].add(_place(other, LAYERS))

    def height(place: int) -> int:
        return 1 + max((height(one) for one in below[place] - {place}), default=0)

    assert max(map(height, below)) <= MOST_FLOORS


def test_no_room_of_the_market_imports_one_above_it() -> None:
    pairs = [x for x in _pairs("vastnb.market") if x[1].startswith("vastnb.market")]
    assert len(pairs) > 100
    assert [x for x in pairs if _place(x[1], MARKET) > _place(x[0], MARKET)] == []


def test_the_simulation_shares_with_the_client_its_clock_and_the_table_of_endpoints_only() -> None:
    others = {other for _, other in _pairs("vastnb.sim") if not other.startswith("vastnb.sim")}
    assert others == {"vastnb.clock", "vastnb.api.endpoints"}


def test_widgets_import_each_other_one_way_only() -> None:
    folders = {path.name for path in (HOME / "widgets").glob("*/") if path.name[0] != "_"}
    assert folders == set(WIDGETS)
    for widget, below in WIDGETS.items():
        found = {
            tuple(_own(other).split(".")[:2]) for _, other in _pairs(f"vastnb.widgets.{widget}")
        }
        used = {room for top, *rest in found if top == "widgets" for room in rest}
        assert used <= below | {widget}, widget
        for script in (HOME / "widgets" / widget).glob("*.js"):
            text = script.read_text(encoding="utf-8")
            assert set(re.findall(r'from "\.\./(\w+)/', text)) <= below, script
        shell = (HOME / "widgets" / widget / "widget.py").read_text(encoding="utf-8")
        sheets = "".join(re.findall(r"styles\((.*?)\)", shell, re.DOTALL))
        assert set(re.findall(r'"(\w+)/', sheets)) <= below | {widget}, widget


def test_no_import_is_relative() -> None:
    """It would hide where it leads."""
    found = {
        (name, node.lineno)
        for name, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    }
    assert found == set()


def test_only_what_is_optional_is_imported_inside_a_function() -> None:
    """The client and all below it; what is heavy comes with the first use of `vastnb` itself."""
    found = {
        other
        for name, tree in trees().items()
        if _own(name).split(".")[0] in ("api", "fleet", "client", "entry", "__init__")
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for other in _imported(function)
    }
    assert found == OPTIONAL


def test_a_folder_can_be_looked_over() -> None:
    folders = {path.parent for path in modules().values()}
    many = {str(one): len(list(one.glob("*.py"))) for one in folders}
    assert {one: count for one, count in many.items() if count > MOST_MODULES + 1} == {}
