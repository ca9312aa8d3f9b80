"""Imports run down: no circle, nothing upward, imports for types and inside functions counted."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

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

MOST_MODULES = 20
"""In one folder."""

UPWARD: set[tuple[str, str]] = set()
"""Imports that still go up."""


def _name(path: Path) -> str:
    parts = path.relative_to(HOME.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def modules() -> dict[str, Path]:
    return {_name(path): path for path in HOME.rglob("*.py")}


@cache
def imports() -> dict[str, set[str]]:
    return {name: _imported(name, path) - {name} for name, path in modules().items()}


def _imported(name: str, path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            whole = [f"{module}.{one.name}" for one in node.names]
            found.update(one if one in modules() else module for one in whole)
    return found & modules().keys()


def _layer(name: str) -> int:
    own = name.removeprefix("vastnb").removeprefix(".") or "__init__"
    fits = [
        (len(prefix), place)
        for place, layer in enumerate(LAYERS)
        for prefix in layer.split()
        if own == prefix or own.startswith(prefix + ".")
    ]
    return max(fits)[1]


def test_no_import_goes_round() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as circle:
        raise AssertionError(" > ".join(circle.args[1])) from None


def test_no_import_goes_up() -> None:
    upward = {
        (one, other)
        for one, others in imports().items()
        for other in others
        if other != "vastnb" and _layer(other) > _layer(one)
    }
    assert upward == UPWARD


def test_a_folder_can_be_looked_over() -> None:
    folders = {path.parent for path in modules().values()}
    many = {str(one): len(list(one.glob("*.py"))) for one in folders}
    assert {one: count for one, count in many.items() if count > MOST_MODULES + 1} == {}
