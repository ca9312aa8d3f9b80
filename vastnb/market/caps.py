"""Whether an answer may have been cut short.

The service gives no total and no mark: an answer as long as the limit, or as one of the
lengths at which it is known to cut, may be a part of the truth, and a random part at that (the
cheapest offer may be missing even from an answer ordered by price).
"""

from __future__ import annotations

from typing import Final

CAP_WITHOUT_KEY: Final = 64
CAPS_WITH_KEY: Final = (512, 1000)


def is_truncated(n_rows: int, limit: int | None = None, has_key: bool | None = None) -> bool:
    """Whether an answer of `n_rows` offers may be incomplete.

    Parameters
    ----------
    n_rows : int
        Offers in the answer.
    limit : int, optional
        The limit that was asked for.
    has_key : bool, optional
        Whether a key was sent; `None` if that is not known.

    Returns
    -------
    bool
        True if it is as long as the limit or longer, or as long as a known cap: 64 without a key,
        512 or 1,000 (observers differ, so both count).
    """
    if limit is not None and n_rows >= limit:
        return True
    caps = CAPS_WITH_KEY if has_key else (CAP_WITHOUT_KEY, *CAPS_WITH_KEY)
    return n_rows in caps
