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

Action = Literal["find out", "change", "again", "search", ""]

_BY_CODE: Final[dict[str, tuple[str, str, Action]]] = {
    "no_offer_left": ("Every offer is gone or above your highest price", "Search again and choose "
                      "others, or raise the highest price.", "search"),
}  # fmt: skip

_BY_KIND: Final[tuple[tuple[type[VastError], str, str, Action], ...]] = (
    (OutcomeUnknown, "A machine may or may not have been rented",
     "Find out before you rent anything else: your list of instances tells.", "find out"),
    (OfferGone, "The offer is gone or above your highest price",
     "Search again and choose another, or raise the highest price.", "search"),
    (NoSSHKey, "Your account has no SSH key",
     "Add your public key in the Vast.ai console, or choose the run type Entrypoint, which needs "
     "none.", "change"),
    (SpendLimit, "A spending limit was reached",
     "Rent fewer or cheaper machines, or raise the limit.", "change"),
    (BadTemplate, "The template cannot be used", "Choose another one, or enter an image.",
     "change"),
    (NoCredit, "Not enough credit", "Add credit in the Vast.ai console, or rent less.", "change"),
    (InstanceFailed, "The machine did not start", "Try the next offer.", "change"),
    (AuthError, "Vast.ai rejected the API key",
     "Check the key; vastnb.connect() says where it was found.", "again"),
    (QuotaExceeded, "Today's row quota is used up, so the price could not be checked",
     "It resets at midnight UTC.", "again"),
    (RateLimited, "Rate limited by Vast.ai", "Try again in a minute.", "again"),
    (QueryError, "Invalid query", "Correct the query in the cell, and run the cell again.", ""),
    (InvalidRequest, "It cannot be rented like this", "Correct it and try again.", "change"),
    (JournalError, "Rentals cannot be recorded on this computer",
     "Without that record a lost machine could not be found again. Free disk space, or set "
     "VASTNB_DATA_DIR to a writable directory.", "again"),
    (ServerError, "Vast.ai could not be reached", "Try again in a minute.", "again"),
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
            "Unexpected error",
            f"{error.__class__.__name__}: {error} {notes}".strip()
            + " A machine may have been rented.",
            "Find out whether one was, and please report this.",
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
    return Outcome(level, "The rental failed", text, "", "again")


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
    why = f" The last reason: {reasons[-1]}" if reasons else ""
    return Outcome(
        "warn",
        f"{rented} of {wanted} machines were rented",
        f"The rented ones are billing; there was no other offer to try.{why}",
        "Rent the rest from other offers, or continue with these.",
        "search",
    )


__all__ = ["EVENT_LEVELS", "Action", "Outcome", "fell_short", "outcome_of"]
