"""What the rent form says about an end: what happened, what it means for the money, what to do.

The errors' own messages say the first two. Here each kind gets a title, a mood, and the one thing
that can be done about it from the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pandas as pd

from vastnb.errors import (
    AuthError,
    BadTemplate,
    InstanceFailed,
    InvalidRequest,
    JournalError,
    NoCredit,
    NoSSHKey,
    OfferGone,
    OutcomeUnknown,
    QueryError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    SpendLimit,
    VastError,
)
from vastnb.widgets.rent import words

Action = Literal["find out", "change", "again", "search", ""]

_BY_CODE: Final[dict[str, tuple[str, str, Action]]] = {
    "no_offer_left": (words.EVERY_OFFER_IS_GONE, words.SEARCH_AGAIN_FOR_OTHERS, "search"),
}  # fmt: skip

_BY_KIND: Final[tuple[tuple[type[VastError], str, str, Action], ...]] = (
    (OutcomeUnknown, words.MAYBE_RENTED,
     words.FIND_OUT_BEFORE, "find out"),
    (OfferGone, words.THE_OFFER_IS_GONE,
     words.SEARCH_AGAIN_FOR_ANOTHER, "search"),
    (NoSSHKey, words.NO_SSH_KEY,
     words.ADD_A_PUBLIC_KEY, "change"),
    (SpendLimit, words.SPENDING_LIMIT_REACHED,
     words.RENT_FEWER, "change"),
    (BadTemplate, words.BAD_TEMPLATE, words.CHOOSE_ANOTHER_TEMPLATE,
     "change"),
    (NoCredit, words.NOT_ENOUGH_CREDIT, words.ADD_CREDIT, "change"),
    (InstanceFailed, words.DID_NOT_START, words.TRY_THE_NEXT_OFFER, "change"),
    (AuthError, words.KEY_REJECTED,
     words.CHECK_THE_KEY, "again"),
    (QuotaExceeded, words.QUOTA_USED_UP,
     words.RESETS_AT_MIDNIGHT, "again"),
    (RateLimited, words.RATE_LIMITED, words.TRY_AGAIN, "again"),
    (QueryError, words.INVALID_QUERY, words.CORRECT_THE_QUERY, ""),
    (InvalidRequest, words.CANNOT_BE_RENTED, words.CORRECT_IT, "change"),
    (JournalError, words.CANNOT_BE_RECORDED,
     words.WITHOUT_A_RECORD, "again"),
    (ServerError, words.NOT_REACHED, words.TRY_AGAIN, "again"),
)  # fmt: skip

EVENT_LEVELS: Final[dict[str, str]] = {
    "created": "good",
    "adopted": "good",
    "done": "good",
    "refused": "warn",
    "passed over": "warn",
    "absent": "warn",
    "destroyed": "warn",
    "finding out": "warn",
}
"""How the steps of a rent are marked; every other kind is plain."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How something ended, in words.

    Parameters
    ----------
    level : {"good", "warn", "bad"}
        The mood.
    title : str
        In one line.
    text : str
        What happened and what it means for the money.
    hint : str
        What to do.
    action : str
        What the form can do about it: ``"find out"``, ``"change"`` (back to the fields),
        ``"again"``, ``"search"`` (the offers once more), or nothing.
    """

    level: str
    title: str
    text: str
    hint: str = ""
    action: Action = ""

    def page(self) -> Mapping[str, Any]:
        """Return it as JSON."""
        return {
            "level": self.level,
            "title": self.title,
            "text": self.text,
            "hint": self.hint,
            "action": self.action,
        }


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error means to somebody who wanted to rent.

    Parameters
    ----------
    error : BaseException
        What the rent ended with.
    """
    notes = " ".join(getattr(error, "__notes__", ()))
    if not isinstance(error, VastError):
        return Outcome(
            "bad",
            words.UNEXPECTED_ERROR,
            f"{error.__class__.__name__}: {error} {notes}".strip() + words.MAY_HAVE_BEEN_RENTED,
            words.FIND_OUT_AND_REPORT,
            "find out",
        )
    text = f"{error.message} {notes}".strip()
    level = "bad"
    by_code = _BY_CODE.get(error.code or "")
    if by_code is not None:
        return Outcome("warn", by_code[0], text, by_code[1], by_code[2])
    for known, title, hint, action in _BY_KIND:
        if isinstance(error, known):
            level = "bad" if known in (OutcomeUnknown, InstanceFailed) else "warn"
            return Outcome(level, title, text, hint, action)
    return Outcome(level, words.THE_RENTAL_FAILED, text, "", "again")


def fell_short(rented: int, wanted: int, attempts: pd.DataFrame | None) -> Outcome:
    """Return what it means that fewer machines were rented than were wanted.

    Parameters
    ----------
    rented, wanted : int
        Machines.
    attempts : DataFrame or None
        What happened to each offer.
    """
    reasons = [] if attempts is None else attempts["reason"].dropna().tolist()
    why = words.THE_LAST_REASON.format(reasons=reasons[-1]) if reasons else ""
    return Outcome(
        "warn",
        words.FELL_SHORT.format(rented=rented, wanted=wanted),
        words.THE_RENTED_ONES_BILL.format(why=why),
        words.RENT_THE_REST,
        "search",
    )
