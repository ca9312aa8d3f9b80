"""How things are worded: the refusal of a query, amounts, shares, lengths of time.

A query is refused rather than guessed at, because a filter that is dropped or misread shows
offers that nobody asked for, and one of them gets rented.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from vastnb.errors import QueryError


def nearest(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of `names` that resemble `name`, best first; case does not matter."""
    import difflib

    by_lower = {candidate.lower(): candidate for candidate in reversed(list(names))}
    found = difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.55)
    return [by_lower[candidate] for candidate in found]


def refusal(
    what: str,
    *,
    suggestions: Sequence[str] = (),
    text: str | None = None,
    at: int | None = None,
) -> QueryError:
    """Build the error for a query that cannot be understood.

    Parameters
    ----------
    what : str
        The problem and its remedy, in one or two sentences.
    suggestions : sequence of str
        The nearest right names, best first.
    text : str, optional
        The query text; shown with a mark below the place.
    at : int, optional
        Where in `text` it went wrong (0 is the first character).

    Returns
    -------
    QueryError
        To be raised by the caller.
    """
    parts = [what]
    if suggestions:
        parts.append(f"Did you mean {_either(suggestions)}?")
    parts.append("Nothing was searched.")
    message = " ".join(parts)
    if text is not None and at is not None:
        line = " ".join(text.split("\n")).replace("\t", " ").replace("\r", " ")
        message += f"\n  {line}\n  {' ' * at}^ character {at + 1}"
    return QueryError(message, suggestions=suggestions)


def _either(names: Sequence[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def usd(value: float | None) -> str:
    """Return an amount with as many places as it needs."""
    if value is None or math.isnan(value):
        return "unknown"
    size = abs(value)
    if 0 < size < 5e-7:
        return "under $0.000001"
    places = 2 if size >= 100 else 3 if size >= 0.1 or size == 0 else 4 if size >= 1e-3 else 6
    return f"-${size:,.{places}f}" if value < 0 else f"${size:,.{places}f}"


UNDER_A_CENT: Final = "under 1 c"


def price(value: float) -> str:
    """Return a price as tables show it: cents matter where machines cost cents, parts do not."""
    size = abs(value)
    if 0 < value < 0.01:
        return UNDER_A_CENT
    return f"${value:,.{2 if size >= 100 else 3 if size >= 0.1 or size == 0 else 4}f}"


def percent(share: float) -> str:
    """Return a share as a whole percentage."""
    return f"{share * 100:.0f} %"


def hours(value: float) -> str:
    """Return hours in words, without places that say nothing."""
    if value >= 72:
        return f"{value / 24:,.0f} days"
    if value >= 10:
        return f"{value:.0f} h"
    return f"{value:.1f} h".replace(".0 h", " h") if value >= 1 else f"{value * 60:.0f} min"


def span(seconds: float) -> str:
    """Return a length of time in words."""
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 2 * 86400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"
