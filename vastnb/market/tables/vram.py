"""VRAM as it is printed on the box.

Drivers report less than the nominal size (error correction, reserved memory), or a little more or
less from one firmware to the next: a 24 GB card says anything from 23,028 to 24,576 MB, a 16 GB
Tesla T4 15,360, an 80 GB H100 81,559, a 96 GB RTX PRO 6000 97,887. So every nominal size owns a
band: from 7 % below to its own full size in binary units, but never into the band of the size
below. Checked against every VRAM value in 1,396 recorded offers of 63 GPU models.

Bands begin and end on multiples of 125 MB, because eighths of a GB survive the multiplication
by 1000 exactly, here and in the official client.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

SIZES: Final = (
    1, 2, 3, 4, 5, 6, 8, 10, 11, 12, 16, 20, 22, 24, 32, 40, 44, 48, 64, 72, 80, 94, 96, 128, 141,
    144, 180, 192, 256, 268, 288, 384, 432,
)  # fmt: skip
"""Nominal sizes that exist, in GB."""

_BELOW: Final = 0.93
_STEP: Final = 8


def _ceil(gb: float) -> float:
    return math.ceil(gb * _STEP - 1e-9) / _STEP


def _bands() -> dict[int, tuple[float, float]]:
    bands: dict[int, tuple[float, float]] = {}
    before, top = 0, 0.0
    for size in SIZES:
        start = top + 1 / _STEP
        if size > before + 1:  # between neighbours such as 11 and 12 nothing else can lie
            start = max(start, _ceil(size * 1.024 * _BELOW))
        before, top = size, _ceil(size * 1.024)
        bands[size] = (start, top)
    return bands


_BANDS: Final = _bands()


def band(size: int) -> tuple[float, float]:
    """Return the first and last GB (1,000 MB each) that a nominal `size` may report.

    Raises
    ------
    KeyError
        If `size` is not in `SIZES`.
    """
    return _BANDS[size]


def at_least(gb: float) -> float:
    """Return the least VRAM in GB (of 1,000 MB) that counts as `gb` or more, nominally."""
    i = bisect_left(SIZES, gb)
    if i == len(SIZES):
        return max(_ceil(gb * 1.024 * _BELOW), _BANDS[SIZES[-1]][1] + 1 / _STEP)
    if SIZES[i] == gb or i == 0:
        return _BANDS[SIZES[i]][0]
    # Between two sizes: what lies between their bands counts for what it reports.
    between = max(_ceil(gb * 1.024 - 0.512), _BANDS[SIZES[i - 1]][1] + 1 / _STEP)
    return min(between, _BANDS[SIZES[i]][0])


def at_most(gb: float) -> float:
    """Return the most VRAM in GB (of 1,000 MB) that counts as `gb` or less, nominally."""
    if gb in _BANDS:
        return _BANDS[int(gb)][1]
    return at_least(gb) - 1 / _STEP


def nominal(mb: float) -> int:
    """Return the nominal size in GB of a card that reports `mb` MB.

    Between the bands, and beyond the largest, it is the reported size in binary units, rounded.
    """
    gb = mb / 1000
    i = bisect_left(SIZES, gb / 1.024 - 1e-9)
    for size in SIZES[max(i - 1, 0) : i + 2]:
        low, high = _BANDS[size]
        if low <= gb <= high:
            return size
    size = round(mb / 1024)
    if size in _BANDS:  # but outside its band, so it is the neighbour
        size += 1 if gb > _BANDS[size][1] else -1
    return size
