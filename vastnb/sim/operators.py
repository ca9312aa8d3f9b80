"""The operators of a filter, for searches and for lists, with one meaning of what is missing.

As in SQL, a missing value fits no comparison, ``neq`` and ``notin`` included. Only null itself
asks for it: ``eq`` null (or ``in`` a list that holds null) fits what is missing, ``neq`` null what
is there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

Test = Callable[[Any], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip
OPERATORS = ("eq", "neq", *_ORDER, "in", "notin")


def comparison(op: str, wanted: Any, wider: Callable[[Any], Any] | None = None) -> Test:
    """Return the test that a comparison is.

    Parameters
    ----------
    op : str
        One of `OPERATORS`.
    wanted : Any
        What is compared with; a list for ``in`` and ``notin``.
    wider : callable, optional
        From a value to one that contains it and equals as well: ``"Sweden, SE"`` is in ``"SE"``.
    """
    if op in _ORDER:
        compare = _ORDER[op]
        return lambda v: v is not None and compare(v, wanted)
    values = list(wanted) if op in ("in", "notin") else [wanted]

    def equal(v: Any) -> bool:
        if wider is None or v is None or v in values:
            return v in values
        container = wider(v)
        return container is not None and container in values

    return equal if op in ("eq", "in") else lambda v: v is not None and not equal(v)


__all__ = ["OPERATORS", "Test", "comparison"]
