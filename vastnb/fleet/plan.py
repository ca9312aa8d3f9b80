"""What to do next about an attempt to rent: decisions, and nothing but decisions.

An attempt is *open* while a machine may exist that nobody holds: it was sent and not answered, or
a machine is to be destroyed and has not been seen gone. `next_step` says what an open attempt
needs, `next_move` what a whole rental needs. Both take what is known and return a value; looking,
sending and waiting are done elsewhere.

::

    sending ──answer──> created | refused | stillborn
       └──lost──> unknown ──seen──> adopted
                     └──absent from enough complete lists──> absent
    stillborn, created, adopted ──> destroying ──gone from enough lists──> destroyed
    created, adopted ──absent from enough complete lists──> gone ──seen──> adopted

The rules: nothing is sent while an attempt of the same rental is unknown. A list proves absence
only if it is complete, and only when a request that is still under way would have arrived. What a
living process does is its own business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

CLEAN_LISTS: Final = 3
"""Complete lists without the machine that its absence takes."""

ABSENT_AFTER: Final = 30.0
"""Seconds from the loss of the answer to the last of them: the service may still be at work."""

GONE_AFTER: Final = 45.0
"""Seconds for which a destroyed machine must stay away. Some have come back after half a minute."""

FIRST_LOOKS: Final = (0.0, 2.0, 4.0, 8.0)
"""Seconds before each of the first looks; later ones are as far apart as the last."""

DESTROY_AGAIN_AFTER: Final = 5.0
"""Seconds from one destroy to the next, of a machine that is still listed."""


class State(StrEnum):
    """Where an attempt stands."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    CREATED = "created"
    ADOPTED = "adopted"
    STILLBORN = "stillborn"
    REFUSED = "refused"
    ABSENT = "absent"
    DESTROYING = "destroying"
    DESTROYED = "destroyed"
    GONE = "gone"


UNSETTLED: Final = frozenset({State.SENDING, State.UNKNOWN})
"""A machine may exist, and nobody knows its id: nothing may be sent."""

OPEN: Final = UNSETTLED | {State.STILLBORN, State.DESTROYING}
"""Something is still to be done."""

LIVE: Final = frozenset({State.CREATED, State.ADOPTED})
"""A machine that is ours, and bills."""

OVER: Final = frozenset({State.REFUSED, State.ABSENT, State.DESTROYED, State.GONE})


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the complete lists since some moment have shown of one attempt.

    Parameters
    ----------
    found : tuple of int
        Ids of its machines in the newest list; one, unless something is badly wrong.
    clean : int
        Lists in a row without any.
    first_clean, last_clean : float or None
        When the first and the last of these were asked for, seconds since the epoch.
    looks : int
        All lists that were asked for, the failed ones included.
    """

    found: tuple[int, ...] = ()
    clean: int = 0
    first_clean: float | None = None
    last_clean: float | None = None
    looks: int = 0

    def saw(self, ids: Sequence[int], asked_at: float) -> Sightings:
        """Return what is known after one more complete list."""
        if ids:
            return Sightings(found=tuple(sorted(ids)), looks=self.looks + 1)
        first = asked_at if self.first_clean is None else self.first_clean
        return Sightings((), self.clean + 1, first, asked_at, self.looks + 1)

    def failed(self) -> Sightings:
        """Return what is known after a list that failed: no more than before."""
        return replace(self, looks=self.looks + 1)


@dataclass(frozen=True, slots=True)
class Look:
    """List the instances, in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Adopt:
    """The machine `keep` is ours; any in `destroy` must go."""

    keep: int
    destroy: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy these machines."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is left to do: the attempt ends as `state`."""

    state: State


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave it as it is. `why` is ``"settled"``, ``"not ours"`` or ``"no time"``."""

    why: str


Step = Look | Adopt | Destroy | Close | Leave


def next_step(
    state: State,
    seen: Sightings,
    *,
    since: float,
    now: float,
    deadline: float,
    ours: bool = True,
    contract: int | None = None,
    never_ran: bool = False,
) -> Step:
    """Say what one attempt needs.

    Parameters
    ----------
    state : State
        From the journal.
    seen : Sightings
        From the lists that were asked for after `since`.
    since : float
        The moment after which nothing more was sent for it (seconds since the epoch): when the
        answer was lost, or when the machine was last asked to be destroyed.
    now, deadline : float
        When whoever settles it gives up.
    ours : bool
        False for an attempt of another process that lives.
    contract : int, optional
        The machine's id, where it is known.
    never_ran : bool
        The machine that was found is meant to be stopped and has never been up: the lost answer
        was a refusal that left a machine behind, which bills its disk.
    """
    if not ours:
        return Leave("not ours")
    if state in UNSETTLED:
        if seen.found:
            return Destroy(seen.found) if never_ran else Adopt(seen.found[0], seen.found[1:])
        if _proven(seen, since, ABSENT_AFTER):
            return Close(State.ABSENT)
        return _look(seen, since, ABSENT_AFTER, now, deadline)
    if state is State.STILLBORN:
        return Destroy((contract,)) if contract is not None else Leave("settled")
    if state is State.DESTROYING:
        if seen.found:
            if now - since >= DESTROY_AGAIN_AFTER:
                return Destroy(seen.found)
            wait = DESTROY_AGAIN_AFTER - (now - since)
            return Look(wait) if now + wait <= deadline else Leave("no time")
        if _proven(seen, since, GONE_AFTER):
            return Close(State.DESTROYED)
        return _look(seen, since, GONE_AFTER, now, deadline)
    if state is State.GONE and contract in seen.found:
        # Nobody here has destroyed it: lists have left it out, and somebody may be using it.
        return Adopt(contract)
    if state in OVER and seen.found:
        # It came after all, or came back. Whoever rented it was told that there is none.
        return Destroy(seen.found)
    if state in LIVE and contract is not None:
        others = tuple(one for one in seen.found if one != contract)
        if others:
            return Adopt(contract, others)
        if _proven(seen, since, ABSENT_AFTER):  # a list may be late to show what is new
            return Close(State.GONE)
        if seen.clean:
            return _look(seen, since, ABSENT_AFTER, now, deadline)
    return Leave("settled")


def _proven(seen: Sightings, since: float, span: float) -> bool:
    if seen.found or seen.clean < CLEAN_LISTS or seen.first_clean is None:
        return False
    assert seen.last_clean is not None
    return seen.first_clean >= since and seen.last_clean - since >= span


def _look(seen: Sightings, since: float, span: float, now: float, deadline: float) -> Step:
    """Return when to look next: soon at first, and last when the look can be the proof."""
    wait = FIRST_LOOKS[min(seen.looks, len(FIRST_LOOKS) - 1)]
    if seen.clean + 1 >= CLEAN_LISTS:
        # The look that completes the proof must come late enough, and not later.
        proof = since + span - now
        wait = proof if 0 < proof <= wait else wait
    return Look(wait) if now + wait <= deadline else Leave("no time")


# -- a whole rental ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offer in its place in the list of candidates.

    Parameters
    ----------
    offer_id : int
        The offer.
    machine_id : int or None
        Its machine; None if that is not known.
    """

    offer_id: int
    machine_id: int | None = None


@dataclass(frozen=True, slots=True)
class Tried:
    """An attempt of this rental: which candidate, where it stands, and whether to try it anew."""

    candidate: Candidate
    state: State
    fatal: bool = False
    """Refused for a reason that holds for every offer: no credit, a wrong key, a wrong request."""


@dataclass(frozen=True, slots=True)
class Send:
    """Send a create for this candidate."""

    candidate: Candidate


@dataclass(frozen=True, slots=True)
class Settle:
    """Find out first what became of the attempt with this number."""

    index: int


@dataclass(frozen=True, slots=True)
class Finish:
    """Nothing more is sent.

    `why` is ``"done"``, ``"refused"``, ``"no more offers"``, or ``"deadline"`` if machines end
    before all of them are rented.
    """

    why: str


Move = Send | Settle | Finish
SAME_OFFER: Final = 2
"""Attempts at one offer: a second one after the first was proved never to have arrived."""


def next_move(wanted: int, tried: Sequence[Tried], candidates: Sequence[Candidate]) -> Move:
    """Say what a rental needs next.

    Parameters
    ----------
    wanted : int
        How many machines.
    tried : sequence of Tried
        Its attempts so far, oldest first.
    candidates : sequence of Candidate
        Acceptable offers, best first; those that were tried may still be among them.
    """
    for index, one in enumerate(tried):
        if one.state in UNSETTLED:
            return Settle(index)
    if sum(one.state in LIVE for one in tried) >= wanted:
        return Finish("done")
    if any(one.fatal for one in tried):
        return Finish("refused")
    held = {one.candidate.machine_id for one in tried if one.state in LIVE} - {None}
    for candidate in candidates:
        before = [one.state for one in tried if one.candidate.offer_id == candidate.offer_id]
        lost = len(before) < SAME_OFFER and all(state is State.ABSENT for state in before)
        if lost and candidate.machine_id not in held:
            return Send(candidate)
    return Finish("no more offers")


__all__ = [
    "ABSENT_AFTER",
    "CLEAN_LISTS",
    "GONE_AFTER",
    "LIVE",
    "OPEN",
    "OVER",
    "UNSETTLED",
    "Adopt",
    "Candidate",
    "Close",
    "Destroy",
    "Finish",
    "Leave",
    "Look",
    "Move",
    "Send",
    "Settle",
    "Sightings",
    "State",
    "Step",
    "Tried",
    "next_move",
    "next_step",
]
