"""How a query error is worded: what is wrong, where, what comes nearest, and that nothing was sent.

A query is refused rather than guessed at, because a filter that is dropped or misread shows
offers that nobody asked for, and one of them gets rented.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
