"""Settling what an earlier kernel left open, and saying what bills.

The journal names every attempt of this account on this computer. Those of a process that is dead
are taken over, one by one; those of one that lives are left alone. One list of instances then
tells what each of them came to. A machine that is past its deadline is destroyed then; its kernel
is not there to do it. Where a kernel lives and has not done it for long, it is done as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from vastnb.errors import AuthError, RateLimited, ServerError, VastError
from vastnb.fleet.deadline import in_words
from vastnb.fleet.desk import Desk, in_flight
from vastnb.fleet.guard import guarded
from vastnb.fleet.journal import Entry
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.marker import marker_of
from vastnb.fleet.owner import this_process
from vastnb.fleet.plan import LIVE, OPEN, OVER, UNSETTLED, State
from vastnb.fleet.settle import BUDGET, DESTROY_BUDGET, Case

Kind = Literal["adopted", "bills", "destroyed", "absent", "gone", "unsettled", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one attempt, or of one machine.

    Parameters
    ----------
    kind : str
        ``"adopted"`` (was unknown, exists, bills), ``"bills"`` (rented, exists), ``"destroyed"``,
        ``"absent"`` (proved never to have existed), ``"gone"`` (no longer exists), ``"unsettled"``
        (may bill), ``"elsewhere"`` (of another kernel that lives, or rented on another computer).
    instance_id, offer_id : int or None
        The machine, and what it was rented from.
    dph : float or None
        $/h that it costs now or may cost.
    text : str
        The same in words.
    """

    kind: Kind
    instance_id: int | None
    offer_id: int | None
    dph: float | None
    text: str


@dataclass(frozen=True)
class Report:
    """What `Client.reconcile` found and did. Printing it names every machine concerned.

    Parameters
    ----------
    findings : tuple of Finding
        In the order of the journal.
    trouble : str
        Why something could not be settled; empty if all was.
    """

    findings: tuple[Finding, ...] = ()
    trouble: str = ""

    def of(self, *kinds: Kind) -> tuple[Finding, ...]:
        """Return the findings of some kinds."""
        return tuple(one for one in self.findings if one.kind in kinds)

    @property
    def settled(self) -> bool:
        """Whether nothing is left that may bill without being known."""
        return not self.of("unsettled") and not self.trouble

    @property
    def text(self) -> str:
        """All findings in words, one a line."""
        lines = [one.text for one in self.findings]
        billing = self.of("adopted", "bills")
        if billing:
            known = [one.dph for one in billing if one.dph is not None]
            lines.append(
                f"{len(billing)} of your machines bill now, ${sum(known):.4f}/h in all. "
                "client.destroy_instance(id) ends one; client.show_instance(id) takes it up again."
            )
        if self.trouble:
            lines.append(f"Not everything could be settled: {self.trouble}")
        return "\n".join(lines) or "Nothing is open, and nothing rented here bills."

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


NEGLECTED: Final = 900.0
"""Seconds past a deadline after which it is enforced for a kernel that lives: its client is closed,
or it is stopped. A guard that cannot destroy tries again within a third of that."""


def needs_settling(desk: Desk) -> bool:
    """Say whether there is something that this process should settle or tell of."""
    now = desk.clock.time()
    return any(
        one.owner.is_dead(now - one.updated_at)
        or _is_neglected(one, now)
        or (one.is_open and one.owner == this_process() and one.marker not in in_flight())
        or unwatched(one)
        for one in desk.journal.concerning(desk.rights.account)
    )


def unwatched(entry: Entry) -> bool:
    """Say whether a machine of this process has a deadline that nobody enforces."""
    has_one = entry.deadline is not None and entry.state in LIVE
    return has_one and entry.owner == this_process() and not guarded(entry.marker)


def reconcile(desk: Desk, budget: float = BUDGET) -> Report:
    """Settle every open attempt of this process and of dead ones.

    Parameters
    ----------
    desk : Desk
        Who asks.
    budget : float
        Seconds for finding out. Machines that must be seen gone get more.

    Returns
    -------
    Report

    Raises
    ------
    AuthError
        If the key is not accepted.
    JournalError
        If the journal cannot be used.
    """
    now = desk.clock.time()
    cases: list[Case] = []
    others: list[Entry] = []
    for entry in desk.journal.entries(desk.rights.account):
        mine = _ours(desk, entry, now)
        if mine is not None:
            case = Case.of(mine)
            if mine.state in UNSETTLED:
                # Its process is dead or done with it: nothing is sent for it from now on.
                case.since = min(mine.since, now)
            cases.append(case)
        elif entry.state in OPEN | LIVE:
            others.append(entry)
    was = [case.state for case in cases]
    listing, trouble = _first_list(desk, budget)
    if listing is not None or any(state in OPEN for state in was):
        longest = DESTROY_BUDGET if State.DESTROYING in was or State.STILLBORN in was else budget
        desk.settler.settle(_worth_it(cases, listing), longest, listing)
    for case, state in zip(cases, was, strict=True):
        if state is State.GONE and case.state in LIVE and case.entry is not None:
            case.entry = desk.journal.claim(case.entry, now) or case.entry
    overdue = [case for case in cases if _is_overdue(case, desk.clock.time())]
    if overdue and listing is not None:
        desk.settler.destroy_all(overdue)
        desk.settler.settle(overdue, DESTROY_BUDGET + 4 * len(overdue))
    findings = [
        finding
        for case, state in zip(cases, was, strict=True)
        for finding in _findings(case, state, desk.clock.time())
    ]
    findings += [_elsewhere(entry) for entry in others]
    findings += _strangers(desk, listing, [*(c.entry for c in cases if c.entry), *others])
    return Report(tuple(findings), trouble)


def _ours(desk: Desk, entry: Entry, now: float) -> Entry | None:
    """Return the entry if it is this process's to settle, taken over if need be."""
    if entry.marker in in_flight():
        return None
    if entry.owner == this_process():
        return entry
    if not entry.owner.is_dead(now - entry.updated_at) and not _is_neglected(entry, now):
        return None
    # What is over is only looked at: taking it over would rewrite history at every start.
    return entry if entry.state in OVER else desk.journal.claim(entry, now)


def _is_neglected(entry: Entry, now: float) -> bool:
    """Say whether a machine is long past its deadline, whoever should see to it."""
    deadline = entry.deadline
    return entry.state in LIVE and deadline is not None and now - deadline >= NEGLECTED


def _first_list(desk: Desk, budget: float) -> tuple[Listing | None, str]:
    try:
        return list_instances(desk.call, desk.clock, within=budget), ""
    except AuthError:
        raise
    except (RateLimited, ServerError, VastError) as error:
        return None, error.message


def _worth_it(cases: list[Case], listing: Listing | None) -> list[Case]:
    """Return the open cases, and the others that the list has something to say about."""
    return [
        case
        for case in cases
        if case.state in OPEN
        or (listing is not None and case.state in LIVE)
        or (listing is not None and listing.ids_of(case.marker, None))
    ]


def _is_overdue(case: Case, now: float) -> bool:
    """Say whether a machine should be gone by now, and nobody in this process sees to it."""
    entry = case.entry
    if entry is None or case.state not in LIVE or entry.deadline is None:
        return False
    return entry.deadline <= now and not guarded(entry.marker)


def _findings(case: Case, was: State, now: float) -> Iterator[Finding]:
    entry = case.entry
    assert entry is not None
    offer = f"offer {entry.offer_id}"
    number, dph = case.contract, _dph(case.record, entry)
    cost = "at an unknown price" if dph is None else f"${dph:.4f}/h"
    when = "" if entry.deadline is None else in_words(entry.deadline, now)
    end = f" It is destroyed at its deadline, {when}." if when else ""

    def say(kind: Kind, text: str) -> Finding:
        return Finding(kind, number, entry.offer_id, dph, text)

    if case.state in LIVE and was in UNSETTLED:
        status = (case.record or {}).get("actual_status") or "starting"
        yield say(
            "adopted",
            f"Adopted: instance {number} ({offer}, {status}) exists though its answer was lost; "
            f"it bills {cost}.{end}",
        )
    elif case.state in LIVE:
        seen = "" if case.seen.found else " (not seen in the last list)"
        yield say("bills", f"Bills: instance {number} ({offer}) at {cost}{seen}.{end}")
    elif case.state is State.DESTROYED and was is not State.DESTROYED:
        late = was in LIVE | UNSETTLED and entry.deadline is not None and entry.deadline <= now
        why = f" It was past its deadline, {when}." if late else ""
        yield say("destroyed", f"Destroyed: instance {number} ({offer}) is gone.{why}")
    elif case.state is State.DESTROYED and case.destroyed:
        yield say("destroyed", f"Destroyed again: instance {number} ({offer}) had come back.")
    elif case.state is State.ABSENT and was in UNSETTLED:
        yield say("absent", f"Proved absent: nothing was created for {offer}, nothing is charged.")
    elif case.state is State.GONE and was is not State.GONE:
        yield say("gone", f"Gone: instance {number} ({offer}) no longer exists.")
    elif case.state in UNSETTLED:
        yield say(
            "unsettled",
            f"Unsettled: a machine for {offer} may exist and bill {cost}; its marker is "
            f"{entry.marker}. Run client.reconcile() again. {case.error}".rstrip(),
        )
    elif case.state in OPEN:
        yield say(
            "unsettled",
            f"Unsettled: instance {number} ({offer}) was told to be destroyed, which is "
            f"not confirmed; it may bill {cost}. Run client.reconcile() again. "
            f"{case.error}".rstrip(),
        )


def _elsewhere(entry: Entry) -> Finding:
    what = f"instance {entry.contract}" if entry.contract else f"an attempt at {entry.offer_id}"
    return Finding(
        "elsewhere",
        entry.contract,
        entry.offer_id,
        entry.price,
        f"Left alone: {what} belongs to a kernel that is running (process {entry.pid}).",
    )


def _strangers(desk: Desk, listing: Listing | None, known: list[Entry]) -> Iterator[Finding]:
    """Name the machines with a marker that this computer's journal does not know."""
    markers = {entry.marker for entry in known}
    markers |= {entry.marker for entry in desk.journal.entries(desk.rights.account)}
    for record in listing.records if listing else ():
        marker = marker_of(record)
        if marker is not None and marker not in markers:
            number = int(record["id"])
            yield Finding(
                "elsewhere",
                number,
                None,
                _number(record.get("dph_total")),
                f"Left alone: instance {number} was rented by vastnb on another computer.",
            )


def _dph(record: Mapping[str, Any] | None, entry: Entry) -> float | None:
    if record is None:
        return entry.price
    if record.get("intended_status") == "stopped":
        return _number(record.get("storage_total_cost"))
    return _number(record.get("dph_total"))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


__all__ = ["Finding", "Report", "needs_settling", "reconcile", "unwatched"]
