"""What to do next about an attempt to rent: decisions, and nothing but decisions.

Whose business an attempt is, and what proves its end, stands in `obligations`. Here `next_step`
says what one attempt needs now, `next_move` what a whole rental needs. Both take what is known and
return a value; looking, sending and waiting are done elsewhere.

::

    sending ──answer──> created | refused | stillborn
       └──lost──> unknown ──seen──> adopted
                     └──absent from enough complete lists──> absent ──seen──> adopted
    stillborn, created, adopted ──> destroying ──gone from enough lists──> destroyed
    destroyed ──seen──> destroying
    created, adopted ──absent from enough complete lists──> gone ──seen──> adopted

The rules: nothing is sent while an attempt is unknown. A list proves absence only if it is
complete, and only when a request that is still under way would have arrived. Only a machine whose
id is known to be ours is destroyed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

CLEAN_LISTS: Final = 3
"""Complete lists without the machine that its absence takes."""

LISTED_WITHIN: Final = 75.0
"""Seconds in which a machine that was made is shown by the lists: 30 to 60 were observed."""

ABSENT_AFTER: Final = LISTED_WITHIN
"""Seconds from the loss of the answer to the last list that proves absence."""

ABSENT_BEHIND_GATEWAY: Final = 150.0
"""... if a gateway answered instead of the service, which may still be at work."""

GONE_AFTER: Final = 45.0
"""Seconds for which a destroyed machine must stay away. Some have come back after half a minute."""

FIRST_LOOKS: Final = (0.0, 2.0, 4.0, 8.0)
"""Seconds before each of the first looks; later ones are as far apart as the last."""

DESTROY_AGAIN_AFTER: Final = 5.0
"""Seconds from one destroy to the next, of a machine that is still there."""


class AttemptState(StrEnum):
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


UNSETTLED: Final = frozenset({AttemptState.SENDING, AttemptState.UNKNOWN})
"""A machine may exist, and nobody knows its id: nothing may be sent."""

OPEN: Final = UNSETTLED | {AttemptState.STILLBORN, AttemptState.DESTROYING}
"""Something is still to be done."""

LIVE: Final = frozenset({AttemptState.CREATED, AttemptState.ADOPTED})
"""A machine that is ours, and bills."""

OVER: Final = frozenset(
    {AttemptState.REFUSED, AttemptState.ABSENT, AttemptState.DESTROYED, AttemptState.GONE}
)


@dataclass(frozen=True, slots=True)
class Sightings:
    """What the complete lists since some moment have shown of one attempt.

    Parameters
    ----------
    found : tuple of int
        Ids of its machines in the newest list; one, unless something is badly wrong.
    maybe : tuple of int
        Machines that may be its own, and show no marker: none is taken, and none is called absent.
    clean : int
        Lists in a row without any.
    first_clean, last_clean : float or None
        When the first and the last of these were asked for, seconds since the epoch.
    looks : int
        All lists that were asked for, the failed ones included.
    """

    found: tuple[int, ...] = ()
    maybe: tuple[int, ...] = ()
    clean: int = 0
    first_clean: float | None = None
    last_clean: float | None = None
    looks: int = 0

    def saw(self, ids: Sequence[int], asked_at: float, maybe: Sequence[int] = ()) -> Sightings:
        """Return what is known after one more complete list."""
        if ids or maybe:
            return Sightings(tuple(sorted(ids)), tuple(sorted(maybe)), looks=self.looks + 1)
        first = asked_at if self.first_clean is None else self.first_clean
        return Sightings((), (), self.clean + 1, first, asked_at, self.looks + 1)

    def failed(self) -> Sightings:
        """Return what is known after a list that failed: no more than before."""
        return replace(self, looks=self.looks + 1)


@dataclass(frozen=True, slots=True)
class LookAgain:
    """List the instances, in `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Adopt:
    """The machine `keep` is ours."""

    keep: int


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy this machine."""

    id: int


@dataclass(frozen=True, slots=True)
class Close:
    """Nothing is left to do: the attempt ends as `state`."""

    state: AttemptState


@dataclass(frozen=True, slots=True)
class Leave:
    """Leave it as it is. `why` is ``"settled"``, ``"confirmed"`` or ``"no time"``."""

    why: str


Step = LookAgain | Adopt | Destroy | Close | Leave


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one attempt, beside its state and what was seen.

    Parameters
    ----------
    since : float
        The moment after which nothing more was sent for it (seconds since the epoch): when the
        answer was lost, or when the machine was last asked to be destroyed.
    contract : int, optional
        The machine's id, where it is known.
    never_ran : bool
        The machine that was found is meant to be stopped and has never been up: the lost answer
        was a refusal that left a machine behind, which bills its disk.
    listed_by : float
        Until then its machine, if new, may be missing from the lists: absence proves nothing.
    gateway : bool
        The answer was lost behind a gateway.
    accepted : bool
        The service has confirmed the last request to destroy it.
    foreign : bool
        The machine that the answer named is somebody else's.
    """

    since: float
    contract: int | None = None
    never_ran: bool = False
    listed_by: float = float("-inf")
    gateway: bool = False
    accepted: bool = True
    foreign: bool = False


def next_step(
    state: AttemptState,
    seen: Sightings,
    facts: Facts,
    *,
    now: float,
    deadline: float = float("inf"),
    stays: bool = True,
) -> Step:
    """Say what one attempt needs.

    Parameters
    ----------
    state : AttemptState
        From the journal.
    seen : Sightings
        From the lists that were asked for after `Facts.since`.
    facts : Facts
        What else is known.
    now, deadline : float
        When whoever settles it gives up.
    stays : bool
        Whether to go on until a destroyed machine has stayed gone, or leave it as "confirmed" as
        soon as it was once seen gone.
    """
    contract = facts.contract
    if state in UNSETTLED:
        if seen.found:
            return Destroy(seen.found[0]) if facts.never_ran else Adopt(seen.found[0])
        span = ABSENT_BEHIND_GATEWAY if facts.gateway else ABSENT_AFTER
        return _prove(AttemptState.ABSENT, seen, facts, span, now, deadline)
    if state is AttemptState.STILLBORN:
        if contract is None:
            return Leave("settled")
        if facts.foreign:
            return Close(AttemptState.REFUSED)
        if contract in seen.found:
            return Destroy(contract)
        return _prove(AttemptState.GONE, seen, facts, ABSENT_AFTER, now, deadline)
    if state is AttemptState.DESTROYING:
        if contract is None:
            return Leave("settled")
        waited = now - facts.since
        there = contract in seen.found or not facts.accepted
        if there:
            wait = max(0.0, DESTROY_AGAIN_AFTER - waited)
            if wait == 0.0:
                return Destroy(contract)
            return LookAgain(wait) if now + wait <= deadline else Leave("no time")
        if not stays and seen.clean:
            return Leave("confirmed")
        return _prove(AttemptState.DESTROYED, seen, facts, GONE_AFTER, now, deadline)
    if state is AttemptState.GONE and contract in seen.found and contract is not None:
        # Nobody here has destroyed it: lists have left it out, and somebody may be using it.
        return Adopt(contract)
    if state is AttemptState.DESTROYED and contract in seen.found and contract is not None:
        return Destroy(contract)  # it came back
    if state in (AttemptState.ABSENT, AttemptState.REFUSED) and seen.found:
        return Adopt(seen.found[0])  # it came after all
    if state in LIVE and contract is not None:
        if contract in seen.found:
            return Leave("settled")
        if seen.clean:
            return _prove(AttemptState.GONE, seen, facts, ABSENT_AFTER, now, deadline)
    return Leave("settled")


def _prove(
    end: AttemptState, seen: Sightings, facts: Facts, span: float, now: float, deadline: float
) -> Step:
    """Close the attempt if its absence is proved, or look: soon at first, last as the proof."""
    proof = max(facts.since + span, facts.listed_by)
    first, last = seen.first_clean, seen.last_clean
    enough = seen.clean >= CLEAN_LISTS and first is not None and last is not None
    if enough and first >= facts.since and last >= proof:  # type: ignore[operator]
        return Close(end)
    wait = FIRST_LOOKS[min(seen.looks, len(FIRST_LOOKS) - 1)]
    if seen.clean + 1 >= CLEAN_LISTS and 0 < proof - now <= wait:
        wait = proof - now  # the look that completes the proof comes late enough, and not later
    return LookAgain(wait) if now + wait <= deadline else Leave("no time")


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
    state: AttemptState
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
        lost = len(before) < SAME_OFFER and all(state is AttemptState.ABSENT for state in before)
        if lost and candidate.machine_id not in held:
            return Send(candidate)
    return Finish("no more offers")
