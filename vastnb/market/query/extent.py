"""What a set of comparisons with one field says: whether it can hold, and what follows from it.

The values here are plain (numbers, booleans, texts of one field, all of one kind); `None` is the
test for a missing value and is kept apart, as it is comparable with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vastnb.market.tables.fields import Kind

Plain = int | float | bool | str | None
Value = Plain | tuple[Plain, ...]
ORDERING = ("gt", "gte", "lt", "lte")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FLAGS: dict[str, bool] = {"true": True, "True": True, "1": True, "false": False, "False": False,
                           "0": False}  # fmt: skip


class Extent(NamedTuple):
    """The values that comparisons leave.

    Parameters
    ----------
    low, high : tuple or None
        Bound and whether it is excluded.
    allowed : frozenset or None
        The only values possible, or `None` if nothing enumerates them.
    excluded : frozenset
        Values that are ruled out one by one.
    """

    low: tuple[Any, bool] | None
    high: tuple[Any, bool] | None
    allowed: frozenset[Plain] | None
    excluded: frozenset[Plain]

    @classmethod
    def of(cls, ops: Mapping[str, Value]) -> Extent:
        """Read comparisons, given as operator and plain value (a tuple for ``in``, ``notin``)."""
        low: tuple[Any, bool] | None = None
        high: tuple[Any, bool] | None = None
        for op, value in ops.items():
            if op in ("gt", "gte") and (low is None or (value, op == "gt") > low):
                low = (value, op == "gt")
            # Of two upper bounds of one value the excluding one is the tighter.
            if op in ("lt", "lte") and (
                high is None or (value, op != "lt") < (high[0], not high[1])
            ):
                high = (value, op == "lt")
        allowed: frozenset[Plain] | None = None
        for op in ("eq", "in"):
            if op in ops:
                values = frozenset(_many(ops[op]))
                allowed = values if allowed is None else allowed & values
        excluded = frozenset(_many(ops.get("neq", ()))) | frozenset(_many(ops.get("notin", ())))
        return cls(low, high, allowed, excluded)

    def admits(self, value: Plain) -> bool:
        """Whether a row with this value passes."""
        if value is None:
            # A missing value passes the test for it, and no other.
            return self.allowed is not None and None in self.allowed and not self.excluded
        return (
            (self.allowed is None or value in self.allowed)
            and value not in self.excluded
            and self._in_bounds(value)
        )

    def is_empty(self) -> bool:
        """Whether no value at all can pass."""
        if self.allowed is not None:
            return not any(self.admits(value) for value in self.allowed)
        if self.low is None or self.high is None:
            return False
        if self.low[0] == self.high[0]:
            return self.low[1] or self.high[1] or self.low[0] in self.excluded
        return bool(self.low[0] > self.high[0])

    def implies(self, op: str, value: Value) -> bool:
        """Whether every value that passes here also passes the one comparison `op` `value`."""
        other = Extent.of({op: value})
        if self.allowed is not None:
            return all(other.admits(v) for v in self.allowed if self.admits(v))
        if op in ("eq", "in"):
            return False
        if op in ("neq", "notin"):
            return all(v is not None and not self.admits(v) for v in _many(value))
        if other.low is not None:
            return self.low is not None and self.low >= other.low
        assert other.high is not None
        if self.high is None:
            return False
        return bool((self.high[0], not self.high[1]) <= (other.high[0], not other.high[1]))

    def _in_bounds(self, value: Any) -> bool:
        if self.low is not None and not (
            value > self.low[0] or (value == self.low[0] and not self.low[1])
        ):
            return False
        return self.high is None or bool(
            value < self.high[0] or (value == self.high[0] and not self.high[1])
        )


def _many(value: Value) -> tuple[Plain, ...]:
    return value if isinstance(value, tuple) else (value,)


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
