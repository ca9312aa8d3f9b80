"""Values that strangers sent, read as what they should be, or as nothing.

JSON, frames and the journal hold what a service, a host or an earlier version wrote. Whoever
reckons with a value reads it here: NaN, infinity, text, a flag, what no float holds is no number.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any


def number(value: Any) -> float | None:
    """Return a number (Python's or numpy's) as a finite float, and `None` for anything else."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def whole(value: Any) -> int | None:
    """Return a whole number, exact whatever its size, and `None` for anything else."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    found = number(value)
    return int(found) if found is not None and found.is_integer() else None


def text(value: Any) -> str:
    """Return `value` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""
