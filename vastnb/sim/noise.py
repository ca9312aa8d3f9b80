"""Randomness as a function: the same numbers give the same number, in any order.

The simulated market must look the same whenever it is looked at, however far its clock was
moved in one step. So nothing in it is drawn from a running generator: every draw is a hash of
what it is about (the seed, the machine, the step in time).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


def mix(*parts: int) -> int:
    """Hash whole numbers to 64 well-mixed bits."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = (state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def uniform(*parts: int) -> float:
    """Return a number in [0, 1) that belongs to `parts`."""
    return (mix(*parts) >> 11) * (1.0 / (1 << 53))


@lru_cache(maxsize=4096)  # a knot of a curve is asked for again and again
def bell(*parts: int) -> float:
    """Return a number that is roughly normal (mean 0, deviation 1, never beyond 3.5)."""
    return (
        uniform(*parts, 1) + uniform(*parts, 2) + uniform(*parts, 3) + uniform(*parts, 4) - 2.0
    ) * 1.7320508075688772


def wander(x: float, *parts: int) -> float:
    """Return a smooth, mean-reverting curve at `x` (mean 0, deviation about 1, one knot per unit).

    Between two knots it eases from one to the other, so that it never jumps.
    """
    knot = int(x // 1)
    part = x - knot
    ease = part * part * (3.0 - 2.0 * part)
    return bell(*parts, knot) * (1.0 - ease) + bell(*parts, knot + 1) * ease


def pick(choices: Sequence[tuple[T, float]], *parts: int) -> T:
    """Choose one of ``(value, weight)`` pairs."""
    total = 0.0
    for _, weight in choices:
        total += weight
    target = uniform(*parts) * total
    for value, weight in choices:
        target -= weight
        if target < 0:
            return value
    return choices[-1][0]


def quantile(points: Sequence[float], values: Sequence[float], share: float) -> float:
    """Read a distribution that is given by some of its quantiles, straight between them."""
    if share <= points[0]:
        return values[0]
    for low, high, a, b in zip(points, points[1:], values, values[1:], strict=False):
        if share <= high:
            return a + (b - a) * (share - low) / (high - low)
    return values[-1]


__all__ = ["bell", "mix", "pick", "quantile", "uniform", "wander"]
