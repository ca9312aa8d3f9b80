"""Lengths of time as people write them: a number of days, and the step of a series."""

from __future__ import annotations

import math
import re
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from vastnb.wording import refusal

_SHORTEST: Final = 60_000_000


def step_of(every: str | timedelta) -> int:
    """Return the length of a span in microseconds."""
    if isinstance(every, str):
        every = re.sub(r"(?<=\d)\s*d$", "D", every.strip())  # pandas wants a capital letter
    try:
        step = pd.Timedelta(every) // pd.Timedelta(microseconds=1)
    except (ValueError, TypeError):
        step = 0
    if not step >= _SHORTEST:
        raise refusal(
            f'every={every!r}: give a length of one minute or more, such as "1d", "6h" or "30min".'
        )
    return int(step)


def days_of(days: float) -> float:
    """Return a number of days."""
    if isinstance(days, bool) or not isinstance(days, int | float | np.number):
        raise refusal(f"days={days!r}: a number is needed.")
    if not (days > 0 and math.isfinite(days)):
        raise refusal(f"days={days!r}: a number above 0 is needed.")
    return float(days)


__all__ = ["days_of", "step_of"]
