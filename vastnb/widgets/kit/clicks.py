"""Clicks carry the time at which they were made.

One that was made while a cell ran arrives when the cell is done, perhaps minutes later, when nobody
means it any more. It is not carried out, in any widget.
"""

from __future__ import annotations

from typing import Any, Final

from vastnb.api.text import seconds
from vastnb.values import number
from vastnb.widgets.kit import words

OLDEST: Final = 30.0
"""Seconds after which a click is not carried out any more."""

AHEAD: Final = 10.0
"""Seconds that a click may lie in the future: the page only estimates the kernel's clock."""


def too_old(at: Any, now: float) -> str:
    """Say why a click is not carried out because of its time; empty if it is.

    It was made `at`, as the page says, by the kernel's clock; both are epoch seconds.
    """
    made = number(at)
    if made is None:
        return words.CLICK_WITHOUT_TIME
    age = now - made
    if -AHEAD <= age <= OLDEST:
        return ""
    return words.OLD_CLICK.format(age=seconds(abs(age)))
