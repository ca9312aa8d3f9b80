"""Whether an answer may have been cut short.

The service gives no total and no mark: an answer as long as the limit, or as one of the
lengths at which it is known to cut, may be a part of the truth, and a random part at that (the
cheapest offer may be missing even from an answer ordered by price).

Observers differ about the lengths, so `Caps` learns them: an answer that another one shows to be
cut gives away a length, and an answer shorter than the longest one seen was not cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final, Literal

Whole = Literal["proved", "assumed", "cut"]
"""Whether an answer holds every offer that fits: surely, as far as is known, or perhaps not."""

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


class Caps:
    """What is known of the lengths at which the service cuts answers to one key.

    Parameters
    ----------
    has_key : bool, optional
        Whether a key is sent; `None` if that is not known.
    shared : callable, optional
        ``shared(length or None)`` tells the user's other kernels of a length, and returns all that
        they know.
    """

    def __init__(
        self,
        has_key: bool | None = None,
        shared: Callable[[int | None], Collection[int]] | None = None,
    ) -> None:
        self._has_key = has_key
        self._shared = shared
        self._learned: set[int] = set()
        self._up_to_date = shared is None
        self.longest = 0

    def saw(self, rows: int) -> None:
        """Take note of the length of an answer: the cap is no less."""
        self.longest = max(self.longest, rows)
        self._up_to_date = self._shared is None

    def learn(self, rows: int) -> None:
        """Take note that an answer of this length was cut."""
        self._learned.add(rows)
        if self._shared is not None:
            self._learned.update(self._shared(rows))

    def whole(self, rows: int, limit: int | None = None) -> Whole:
        """Judge an answer by its length.

        Parameters
        ----------
        rows : int
            Offers in the answer.
        limit : int, optional
            The limit that was asked for.
        """
        if is_truncated(rows, limit, self._has_key):
            return "cut"
        if not self._up_to_date and self._shared is not None and rows >= CAP_WITHOUT_KEY:
            self._learned.update(self._shared(None))
            self._up_to_date = True
        if rows in self._learned:
            return "cut"
        if rows < self.longest:
            return "proved"
        return "cut" if rows == CAP_WITHOUT_KEY else "assumed"
