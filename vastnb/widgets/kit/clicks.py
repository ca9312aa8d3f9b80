"""Clicks carry the time at which they were made.

One that was made while a cell ran arrives when the cell is done, perhaps minutes later, when nobody
means it any more. It is not carried out, in any widget.
"""

from __future__ import annotations

import math
from typing import Any, Final

from vastnb.api.text import seconds

OLDEST: Final = 30.0
"""Seconds after which a click is not carried out any more."""

AHEAD: Final = 10.0
"""Seconds that a click may lie in the future: the page only estimates the kernel's clock."""


def too_old(at: Any, now: float) -> str:
    """Say why a click is not carried out because of its time; empty if it is.

    Parameters
    ----------
    at : Any
        When the page says that it was made, by the kernel's clock, epoch seconds.
    now : float
        Epoch seconds.
    """
    known = isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at)
    if not known:
        return "It is not known when this was clicked. Nothing was done. Click again."
    age = now - at
    if -AHEAD <= age <= OLDEST:
        return ""
    return (
        f"You clicked {seconds(abs(age))} ago, while the kernel was busy. Nothing was done; click "
        "again if you still want it."
    )


__all__ = ["AHEAD", "OLDEST", "too_old"]
