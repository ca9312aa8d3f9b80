"""The pieces that a query is made of, and the plain values behind what is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from vastnb.errors import QueryError
from vastnb.market.query.extent import Value
from vastnb.market.tables.fields import Kind
from vastnb.wording import refusal

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FLAGS: dict[str, bool] = {"true": True, "True": True, "1": True, "false": False, "False": False,
                           "0": False}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of one field.

    Parameters
    ----------
    field : str
        The field's own name (no alias).
    op : str
        One of ``eq neq gt gte lt lte in notin``.
    value : plain value, or tuple of them
        In the unit of the column (MB, seconds); a tuple for ``in`` and ``notin``.
    wire : JSON value
        What is sent.
    written : str
        How it was given, for messages.
    """

    field: str
    op: str
    value: Value
    wire: Any
    written: str

    def __hash__(self) -> int:
        return hash((self.field, self.op, self.value))


class Drop(NamedTuple):
    """``field=any``: the field's default filter does not apply."""

    field: str
    written: str


class Place(NamedTuple):
    """Where something was written, and what is known there."""

    written: str
    gpus: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    text: str | None = None
    at: int | None = None

    def refusal(self, what: str, suggestions: Sequence[str] = ()) -> QueryError:
        """Word an error about this place."""
        return refusal(what, suggestions=suggestions, text=self.text, at=self.at)


def plain(kind: Kind, wire: Any) -> Value:
    """Return the plain value of what is sent: numbers that travel as text become numbers again."""
    if isinstance(wire, (list, tuple)):
        flat: Iterable[Any] = (plain(kind, item) for item in wire)
        return tuple(flat)
    if kind in ("number", "version") and isinstance(wire, str) and NUMBER.fullmatch(wire):
        return number(wire)
    if kind == "flag" and str(wire) in FLAGS:
        return FLAGS[str(wire)]
    return wire if wire is None or isinstance(wire, (bool, int, float, str)) else str(wire)


def number(text: str) -> int | float:
    """Read a number, whole where it is written so."""
    try:
        return int(text)
    except ValueError:
        return float(text)
