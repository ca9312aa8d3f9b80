"""Arithmetic on columns, as text: ``"dph_total / dlperf"``.

The text may come from anywhere, so it is never evaluated by Python. It is parsed to a tree, and a
tree of anything but column names, numbers, ``+ - * /`` and brackets is refused. What is left is
worked out with numpy on columns that `believed` has read.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.errors import QueryError
from vastnb.market.frames.credible import believed, require
from vastnb.market.tables.fields import RENAMED, canonical
from vastnb.market.tables.schema import UNITS

LONGEST: Final = 400
"""Characters that a formula may have."""


def _divide(above: Any, below: Any) -> Any:
    """Divide; by zero there is no result, and none comes of what is built on it."""
    return np.divide(above, np.where(np.asarray(below) == 0, np.nan, below))


_APPLY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: _divide,
}
_MOST_PARTS: Final = 100
_ALLOWED: Final = (
    "A formula has columns, numbers, + - * / and brackets, such as 'dph_total / dlperf'."
)


@dataclass(frozen=True)
class Formula:
    """A formula that has been read.

    Parameters
    ----------
    text : str
        As it is written in full.
    columns : tuple of str
        The columns that it uses, in order of appearance.
    """

    text: str
    columns: tuple[str, ...]
    _tree: ast.expr

    def of(self, values: Mapping[str, np.ndarray]) -> np.ndarray:
        """Work it out.

        Parameters
        ----------
        values : mapping of str to ndarray of float64
            The columns, all of one length.

        Returns
        -------
        ndarray of float64
            NaN where a column is NaN or the result is no number (a division by zero).
        """
        with np.errstate(all="ignore"):
            result = np.asarray(_work_out(self._tree, values), dtype="float64")
        return np.where(np.isfinite(result), result, np.nan)

    @property
    def unit(self) -> str:
        """The formula with the unit of each column in its place: ``($/h) / dlperf``."""
        if isinstance(self._tree, ast.Name):
            return UNITS.get(self.text, "")
        names = {name: f"({UNITS[name]})" if name in UNITS else name for name in self.columns}
        return _write(self._tree, names)


def parse(text: str) -> Formula:
    """Read a formula.

    Parameters
    ----------
    text : str
        Columns, numbers, ``+ - * /`` and brackets.

    Returns
    -------
    Formula

    Raises
    ------
    QueryError
        If it is anything else. Whether the columns exist is not looked at here.
    """
    if not isinstance(text, str) or not text.strip():
        raise QueryError(f"{text!r} is not a formula. {_ALLOWED} Nothing was calculated.")
    if len(text) > LONGEST:
        raise QueryError(
            f"A formula of {len(text):,} characters is too long (at most {LONGEST}). "
            "Nothing was calculated."
        )
    if text.strip().endswith("/$") and text.strip() in RENAMED:
        right = canonical(RENAMED[text.strip()])
        raise QueryError(
            f"There is no column {text!r}. Did you mean {right!r}? Nothing was calculated.",
            suggestions=[right],
        )
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        why = error.msg if isinstance(error, SyntaxError) else "it cannot be read"
        raise QueryError(
            f"The formula {text!r} cannot be understood ({why}). {_ALLOWED} Nothing was calculated."
        ) from None
    parts = _checked(tree, text)
    if len(parts) > _MOST_PARTS:
        raise QueryError(
            f"A formula of {len(parts)} parts is too long (at most {_MOST_PARTS}). Nothing was "
            "calculated."
        )
    names: dict[str, None] = {}
    for node in parts:
        if isinstance(node, ast.Name):
            names[node.id] = None
    if not names:
        raise QueryError(
            f"The formula {text!r} uses no column, so all offers would be alike. {_ALLOWED} "
            "Nothing was calculated."
        )
    return Formula(_write(tree, {}), tuple(names), tree)


def _checked(tree: ast.expr, text: str) -> list[ast.expr]:
    found, todo = [], [tree]
    while todo:
        node = todo.pop()
        found.append(node)
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _APPLY:
                todo += [right, left]
            case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
                todo.append(operand)
            case ast.Name():
                pass
            case ast.Constant(value=int() | float() as value) if _is_plain(value):
                pass
            case _:
                part = ast.get_source_segment(text.strip(), node) or type(node).__name__
                raise QueryError(
                    f"{part!r} cannot be used in a formula. {_ALLOWED} Nothing was calculated."
                )
    return found


def _is_plain(value: float) -> bool:
    return not isinstance(value, bool) and abs(value) < 1e300


def _work_out(node: ast.expr, values: Mapping[str, np.ndarray]) -> Any:
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            return _APPLY[type(op)](_work_out(left, values), _work_out(right, values))
        case ast.UnaryOp(op=op, operand=operand):
            worked = _work_out(operand, values)
            return -worked if isinstance(op, ast.USub) else worked
        case ast.Name(id=name):
            return values[name]
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]
    raise AssertionError(ast.dump(node))  # `_checked` has let nothing else through


def _write(node: ast.expr, names: Mapping[str, str]) -> str:
    text = ast.unparse(node)
    if not names:
        return text
    import re

    return re.sub(r"[^\W\d]\w*", lambda word: names.get(word[0], word[0]), text)


def measured(frame: pd.DataFrame, text: str) -> np.ndarray:
    """Return a formula of believed columns as float64, NaN where it has no value."""
    formula = parse(text)
    require(frame, formula.columns)
    return formula.of({name: believed(frame, name).values for name in formula.columns})
