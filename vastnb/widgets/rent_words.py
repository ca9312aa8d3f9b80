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
    "no_offer_left": ("Every offer was taken, or has become dearer", "Search again and choose "
                      "others, or agree to a higher price.", "search"),
}  # fmt: skip

_BY_KIND: Final[tuple[tuple[type[VastError], str, str, Action], ...]] = (
    (OutcomeUnknown, "It is not known whether a machine was rented",
     "Find out before anything else is sent: the list of your instances tells.", "find out"),
    (OfferGone, "The offer is gone, or has become dearer",
     "Search again and choose another, or agree to a higher price.", "search"),
    (NoSSHKey, "The account has no SSH key",
     "Add your public key in the console, or rent with the run type Entrypoint, which needs none.",
     "change"),
    (SpendLimit, "A spending limit forbids it",
     "Rent fewer or cheaper machines, or raise the limit.", "change"),
    (BadTemplate, "The template cannot be used", "Choose another one, or give an image.", "change"),
    (NoCredit, "The account cannot pay for it",
     "Add credit in the console, or rent less.", "change"),
    (InstanceFailed, "The machine could not be started",
     "Try the next offer.", "change"),
    (AuthError, "The service does not accept the key",
     "Check the key; vastnb.connect() says where it was found.", "again"),
    (QuotaExceeded, "Today's rows are used up, so the price could not be checked",
     "It begins anew at midnight UTC.", "again"),
    (RateLimited, "The service asks for patience",
     "Try again in a while.", "again"),
    (QueryError, "These offers cannot be searched for", "Correct the query.", "change"),
    (InvalidRequest, "The service cannot rent it like this", "Correct it and try again.", "change"),
    (JournalError, "Rentals cannot be written down on this computer",
     "Without that record a lost machine could not be found again. Free the disk, or set "
     "VASTNB_DATA_DIR to a directory that can be written.", "again"),
    (ServerError, "The service could not be reached", "Try again in a while.", "again"),
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
            "Something unforeseen went wrong",
            f"{error.__class__.__name__}: {error} {notes}".strip()
            + " A machine may have been rented.",
            "Find out what became of it, and please report this.",
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
    return Outcome(level, "It could not be rented", text, "", "again")


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
    why = f" The last one: {reasons[-1]}" if reasons else ""
    return Outcome(
        "warn",
        f"{rented} of {wanted} machines were rented",
        f"Those that were rented bill; there was no other offer to try.{why}",
        "Rent the rest from other offers, or go on with these.",
        "search",
    )


__all__ = ["EVENT_LEVELS", "Action", "Outcome", "fell_short", "outcome_of"]
