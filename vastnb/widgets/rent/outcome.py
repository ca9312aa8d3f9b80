"""What the rent form says about an end: what happened, what it means for the money, what to do.

The errors' own messages say the first two. Here each kind gets a title, a mood, and the one thing
that can be done about it from the form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

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

_KNOWN: Final[tuple[tuple[type[VastError] | str, str, str, Action], ...]] = (
    ("no_offer_left", words.EVERY_OFFER_IS_GONE, words.SEARCH_AGAIN_FOR_OTHERS, "search"),
    (OutcomeUnknown, words.MAYBE_RENTED, words.FIND_OUT_BEFORE, "find out"),
    (OfferGone, words.THE_OFFER_IS_GONE, words.SEARCH_AGAIN_FOR_ANOTHER, "search"),
    (NoSSHKey, words.NO_SSH_KEY, words.ADD_A_PUBLIC_KEY, "change"),
    (SpendLimit, words.SPENDING_LIMIT_REACHED, words.RENT_FEWER, "change"),
    (BadTemplate, words.BAD_TEMPLATE, words.CHOOSE_ANOTHER_TEMPLATE, "change"),
    (NoCredit, words.NOT_ENOUGH_CREDIT, words.ADD_CREDIT, "change"),
    (InstanceFailed, words.DID_NOT_START, words.TRY_THE_NEXT_OFFER, "change"),
    (AuthError, words.KEY_REJECTED, words.CHECK_THE_KEY, "again"),
    (QuotaExceeded, words.QUOTA_USED_UP, words.RESETS_AT_MIDNIGHT, "again"),
    (RateLimited, words.RATE_LIMITED, words.TRY_AGAIN, "again"),
    (QueryError, words.INVALID_QUERY, words.CORRECT_THE_QUERY, ""),
    (InvalidRequest, words.CANNOT_BE_RENTED, words.CORRECT_IT, "change"),
    (JournalError, words.CANNOT_BE_RECORDED, words.WITHOUT_A_RECORD, "again"),
    (ServerError, words.NOT_REACHED, words.TRY_AGAIN, "again"),
)
"""By its code or its kind, the first that fits: title, hint and action."""

EVENT_LEVELS: Final = {
    **dict.fromkeys(("created", "adopted", "done"), "good"),
    **dict.fromkeys(("refused", "passed over", "absent", "destroyed", "finding out"), "warn"),
}
"""How the steps of a rent are marked; every other kind is plain."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How something ended, in words.

    Parameters
    ----------
    level : {"good", "warn", "bad"}
        The mood.
    title, text, hint : str
        What happened in one line, what it means for the money, and what to do.
    action : str
        What the form can do about it: ``"find out"``, ``"change"`` (back to the fields),
        ``"again"``, ``"search"`` (the offers once more), or nothing.
    """

    level: str
    title: str
    text: str
    hint: str = ""
    action: Action = ""


def outcome_of(error: BaseException) -> Outcome:
    """Return what an error means to somebody who wanted to rent."""
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
    for known, title, hint, action in _KNOWN:
        if error.code == known if isinstance(known, str) else isinstance(error, known):
            level = "bad" if known in (OutcomeUnknown, InstanceFailed) else "warn"
            return Outcome(level, title, text, hint, action)
    return Outcome("bad", words.THE_RENTAL_FAILED, text, action="again")


def fell_short(rented: int, wanted: int, attempts: pd.DataFrame | None) -> Outcome:
    """Return what it means that fewer machines were rented than were wanted."""
    reasons = [] if attempts is None else attempts["reason"].dropna().tolist()
    why = words.THE_LAST_REASON.format(reasons=reasons[-1]) if reasons else ""
    return Outcome(
        "warn",
        words.FELL_SHORT.format(rented=rented, wanted=wanted),
        words.THE_RENTED_ONES_BILL.format(why=why),
        words.RENT_THE_REST,
        "search",
    )
