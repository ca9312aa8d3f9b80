"""How much of the past is kept, and which days go.

Age is counted in recorded days, not by the clock, so that a wrong clock deletes nothing. The
largest `Keep` that any kernel was given counts; unasked, one day is dropped at a time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from vastnb.errors import InvalidRequest

OFF: Final = frozenset({"0", "off", "no", "false"})
Day = TypeVar("Day")


class Keep(NamedTuple):
    """How much of the price history to keep; the oldest days are dropped first.

    If several kernels have different ones, the largest counts, until ``history.tidy()`` applies
    the one of its own client.

    Parameters
    ----------
    days : int
        Days with something recorded.
    gb : float
        Size on disk, in 10**9 bytes.
    """

    days: int = 400
    gb: float = 2.0

    @classmethod
    def usual(cls) -> Keep:
        """Return what ``VASTNB_HISTORY_DAYS`` and ``VASTNB_HISTORY_GB`` say, or the defaults.

        Raises
        ------
        InvalidRequest
            If they are not numbers above 0.
        """
        return cls(
            max(1, int(_number("VASTNB_HISTORY_DAYS", cls._field_defaults["days"]))),
            _number("VASTNB_HISTORY_GB", cls._field_defaults["gb"]),
        )

    def larger(self, other: Keep) -> Keep:
        """Return what satisfies both."""
        return Keep(max(self.days, other.days), max(self.gb, other.gb))


def surplus(sizes: Sequence[tuple[Day, int]], keep: Keep, *, asked: bool) -> list[Day]:
    """Return the finished days to drop.

    Parameters
    ----------
    sizes : sequence of (day, int)
        Finished days, oldest first, and their bytes.
    keep : Keep
        How much is kept.
    asked : bool
        Whether the user asked for it; otherwise one day at most.
    """
    total, left = sum(size for _, size in sizes), len(sizes)
    gone: list[Day] = []
    for day, size in sizes:
        if left <= keep.days and total <= round(keep.gb * 1e9):
            break
        gone.append(day)
        total, left = total - size, left - 1
    return gone if asked else gone[:1]


def _number(variable: str, default: float) -> float:
    text = os.environ.get(variable, "").strip()
    try:
        number = float(text or default)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise InvalidRequest(f"{variable}={text!r}: a number above 0 is needed. Nothing was sent.")
    return number


def wanted(history: bool | Keep | None) -> Keep | None:
    """Return how much of the searches is kept; None for nothing.

    Parameters
    ----------
    history : bool or Keep, optional
        The client's argument; by default ``VASTNB_HISTORY`` decides, and without it, yes.

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    if isinstance(history, Keep):
        return history
    if history is not None and not isinstance(history, bool):
        raise InvalidRequest(
            f"history={history!r}: True, False or a Keep(days=..., gb=...) is needed. Nothing was "
            "sent."
        )
    if history is None and os.environ.get("VASTNB_HISTORY", "").strip().lower() in OFF:
        history = False
    return None if history is False else Keep.usual()


__all__ = ["Keep", "surplus", "wanted"]
