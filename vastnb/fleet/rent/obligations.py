"""The one table of obligations: who sees to what, by what proof, from when, and for how long.

For every state of an attempt, and every kind of process that may have left it there, a row says
whether a create may be sent meanwhile, who settles it and by what proof, whether its deadline is
guarded, what the next start does, when it is forgotten, and what the user is told. The settler, the
guard, `reconcile`, the first use of a client, `sweep`, `burn` and the widgets read it here.

"Ours" has three meanings. *Held*: this process rented it. *Known*: the journal on this computer has
its contract. *Marked*: it carries a marker. Only known machines are ever destroyed without being
named; one that is only marked is reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

from vastnb.fleet.env import label_of, read_marker
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.plan import LISTED_WITHIN, LIVE, AttemptState
from vastnb.values import number

DAY: Final = 86400.0

NEGLECTED: Final = 900.0
"""Seconds after which what a living process should have done is done for it: its client is closed,
or it is stopped. A guard that cannot destroy tries again within a third of that."""

LATE_FOR: Final = 3600.0
"""Seconds for which a machine that was called absent is looked for in the background. The next
start looks once more, for as long as its row is kept."""

SKEW: Final = 300.0
"""Seconds by which the service's clock and this one may differ."""

UNRENTED: Final = 0
"""The offer of a row that was written only to have a machine destroyed that vastnb did not rent."""


class Holder(StrEnum):
    """Who an attempt belongs to."""

    HERE = "this process"
    ALIVE = "a live process"
    DEAD = "a dead process"
    OTHER = "another key"


Settler = Literal["we", "its process", "who sees it", "nobody"]
"""Who settles it. ``"who sees it"``: we do, if a list of this account shows its machine."""

Proof = Literal["found or absent", "gone", "stays gone", ""]
"""``"found or absent"``: its machine in a list, or enough whole lists without it. ``"gone"``: such
lists, and the record. ``"stays gone"``: the same, for long enough after the last request."""

AtStart = Literal["settle", "verify", "look", "leave"]
"""What the next start does: settle it first of all, verify it in the background, look whether its
machine is there, or nothing."""


class Obligation(NamedTuple):
    """What is to be done about an attempt.

    Parameters
    ----------
    blocks : bool
        Whether no create of the account may be sent while it stands.
    settler : str
        Who settles it.
    proof : str
        By what.
    guarded : bool
        Whether its machine ends at its deadline: from the moment its contract is known.
    at_start : str
        What the next start does.
    kept_for : float
        Seconds after its last change for which its machine is looked for.
    told : str
        What the user is told of it, with ``{id}``, ``{offer}``, ``{cost}`` and ``{marker}``.
    """

    blocks: bool
    settler: Settler
    proof: Proof
    guarded: bool
    at_start: AtStart
    kept_for: float
    told: str


_MAY_EXIST: Final = (
    "Unresolved: a machine for {offer} may exist and bill {cost}; its marker is {marker}."
)
_NOT_CONFIRMED: Final = (
    "Unresolved: destroying instance {id} ({offer}) is not confirmed; it may bill {cost}."
)

_BILLS: Final = "Billing: instance {id} ({offer}) at {cost}"

# fmt: off
_OURS: Final[Mapping[str, tuple[bool, Proof, bool, AtStart, float, str]]] = {
    #             blocks proof              guarded start     kept for, told
    "sending":    (True,  "found or absent", False, "settle", math.inf, _MAY_EXIST),
    "unknown":    (True,  "found or absent", False, "settle", math.inf, _MAY_EXIST),
    "stillborn":  (False, "stays gone",      False, "settle", math.inf, _NOT_CONFIRMED),
    "destroying": (False, "stays gone",      False, "settle", math.inf, _NOT_CONFIRMED),
    "created":    (False, "gone",            True,  "look",   math.inf, _BILLS),
    "adopted":    (False, "gone",            True,  "look",   math.inf, _BILLS),
    "gone":       (False, "",                True,  "look",   30 * DAY,
                   "Gone: instance {id} ({offer}) no longer exists."),
    "absent":     (False, "",                True,  "look",   DAY,
                   "Not created: no machine exists for {offer}; no charge."),
    "refused":    (False, "",                True,  "look",   DAY,
                   "Refused: {offer} was not rented; no charge."),
    "destroyed":  (False, "",                False, "leave",  7 * DAY,
                   "Destroyed: instance {id} ({offer}) is gone."),
}
# fmt: on


def _of(state: AttemptState, holder: Holder) -> Obligation:
    blocks, proof, guarded, at_start, kept_for, told = _OURS[state]
    row = Obligation(blocks, "we", proof, guarded, at_start, kept_for, told)
    if holder is Holder.ALIVE:
        return row._replace(blocks=False, settler="its process", at_start="leave")
    if holder is Holder.OTHER:
        # It may be another account's: it neither blocks nor is proved absent by this one's lists.
        start: AtStart = "look" if row.at_start == "settle" else row.at_start
        return row._replace(blocks=False, settler="who sees it", at_start=start)
    return row


TABLE: Final[Mapping[tuple[AttemptState, Holder], Obligation]] = {
    (state, holder): _of(state, holder) for state in AttemptState for holder in Holder
}
"""Every state and holder."""


def obligation(entry: Entry, holder: Holder) -> Obligation:
    """Return what is to be done about a row of the journal."""
    row = TABLE[entry.state, holder]
    if entry.state is AttemptState.DESTROYING and entry.is_confirmed and row.at_start == "settle":
        return row._replace(at_start="verify")
    return row


def is_neglected(entry: Entry, now: float) -> bool:
    """Say whether something is long overdue, whoever should see to it."""
    if entry.state in LIVE or entry.state is AttemptState.GONE:
        return entry.deadline is not None and now - entry.deadline >= NEGLECTED
    # What is under way is written down every few minutes.
    return entry.is_open and now - max(entry.since, entry.updated_at) >= NEGLECTED


def may_come_late(entry: Entry, holder: Holder, now: float) -> bool:
    """Say whether the machine of what was called absent may still appear, and is looked for."""
    row = obligation(entry, holder)
    late = entry.state is AttemptState.ABSENT and row.settler == "we" and row.at_start == "look"
    return late and now - entry.updated_at < min(LATE_FOR, row.kept_for)


def is_sought(entry: Entry, holder: Holder, now: float) -> bool:
    """Say whether its machine is still looked for: it has not been forgotten."""
    return now - entry.updated_at < obligation(entry, holder).kept_for


def due_at(entry: Entry) -> float | None:
    """Return when a machine must end, epoch seconds; None if nothing says so."""
    guarded = TABLE[entry.state, Holder.HERE].guarded
    return entry.deadline if guarded and entry.contract is not None else None


def needs_care(entry: Entry) -> bool:
    """Say whether there is something to be settled about a row, or a deadline to be kept."""
    return entry.is_open or due_at(entry) is not None


# -- whose a machine is --------------------------------------------------------------------------


def known_contracts(entries: Iterable[Entry]) -> dict[int, Entry]:
    """Return the machines that the journal knows to have been rented here, by contract."""
    return {
        one.contract: one
        for one in entries
        if one.contract is not None and one.offer_id != UNRENTED
    }


Match = Literal["ours", "maybe", "not"]


def match(entry: Entry, record: Mapping[str, Any]) -> Match:
    """Say whether a record is of the machine of an attempt.

    The marker, or the label that was made from it, says so, unless it is on another machine: a
    marker can be copied. A record that shows neither, and began after the request on the same
    machine with the same image, may be it. Nobody may conclude anything then.
    """
    marker = read_marker(record)
    named = entry.contract is not None and record.get("id") == entry.contract
    marked = marker == entry.marker or record.get("label") == label_of(entry.marker)
    if marked and entry.contract is not None and not named:
        return "not"  # its machine is known, and is another
    if named and entry.state is not AttemptState.STILLBORN:
        return "ours"
    machine, image = record.get("machine_id"), record.get("image_uuid")
    elsewhere = None not in (entry.machine_id, machine) and machine != entry.machine_id
    if marked:
        return "not" if elsewhere else "ours"
    if marker or elsewhere:  # it carries another one
        return "not"
    in_time = _in_time(entry, record)
    if named:
        return "ours" if in_time else "not"
    if entry.contract is not None or in_time is False:
        return "not"
    if entry.image and image and image != entry.image:
        return "not"
    if str(record.get("id")) in entry.not_its.split(","):
        return "not"
    # An environment that is read, and has no marker, is that of a machine rented by other means,
    # unless everything else speaks for it.
    all_fits = in_time and machine is not None and machine == entry.machine_id
    return "maybe" if all_fits or marker is None else "not"


def _in_time(entry: Entry, record: Mapping[str, Any]) -> bool | None:
    """Say whether a record began when an attempt was sent; None if it does not say."""
    began = number(record.get("start_date"))
    if began is None:
        return None
    # A create that was lost takes effect within minutes; nobody sends it again.
    return entry.created_at - SKEW <= began <= max(entry.since, entry.created_at) + 3600.0


def listed_by(entry: Entry | None) -> float:
    """Return until when lists may lack a machine because it is new, epoch seconds."""
    if entry is None or entry.offer_id == UNRENTED or entry.state is AttemptState.ADOPTED:
        return -math.inf
    return entry.created_at + LISTED_WITHIN
