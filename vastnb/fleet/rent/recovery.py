"""Settling what an earlier kernel left open, and saying what bills.

The journal names every attempt of this account on this computer; the table of obligations says
which of them are ours to settle. One list of instances then tells what each of them came to. A
machine that is past its deadline is destroyed then; its kernel is not there to do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from vastnb.errors import AuthError, InvalidRequest, VastError
from vastnb.fleet.costs import dph_meant
from vastnb.fleet.env import marker_of
from vastnb.fleet.listing import Listing, list_instances
from vastnb.fleet.rent.attempt import Sender
from vastnb.fleet.rent.deadline import in_words
from vastnb.fleet.rent.entry import FOUND, Entry
from vastnb.fleet.rent.guard import is_guarded, recognised
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import (
    TABLE,
    UNRENTED,
    Holder,
    due_at,
    is_sought,
    known_contracts,
    match,
    needs_care,
    obligation,
)
from vastnb.fleet.rent.plan import LIVE, OPEN, UNSETTLED, AttemptState
from vastnb.fleet.rent.settle import BUDGET, DESTROY_BUDGET, Case, in_flight
from vastnb.values import number

Kind = Literal["adopted", "bills", "destroyed", "absent", "gone", "unsettled", "elsewhere"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one attempt, or of one machine.

    Parameters
    ----------
    kind : str
        ``"adopted"`` (was unknown, exists, bills), ``"bills"`` (rented, exists), ``"destroyed"``,
        ``"absent"`` (proved never to have existed), ``"gone"`` (no longer exists), ``"unsettled"``
        (may bill), ``"elsewhere"`` (of another kernel that lives, or only marked: not known here).
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
                f"Billing now: {len(billing)} machine{'s' * (len(billing) > 1)}, "
                f"${sum(known):.4f}/h in total. "
                "client.destroy_instance(id) destroys one; client.show_instance(id) returns its "
                "handle."
            )
        if self.trouble:
            lines.append(f"Not everything could be resolved: {self.trouble}")
        return "\n".join(lines) or (
            "Nothing is unresolved, and nothing rented on this computer is billing."
        )

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def needs_settling(sender: Sender) -> bool:
    """Say whether there is something that this process should settle, or tell of, first of all."""
    now, account, busy = sender.clock.time(), sender.transport.account, in_flight()
    for entry in sender.journal.entries_at(sender.transport.base_url):
        holder = sender.journal.holder(entry, account, now)
        row = obligation(entry, holder)
        if entry.marker in busy or row.at_start in ("leave", "verify"):
            continue
        if row.at_start == "settle" and not is_guarded(entry.marker):
            return True
        # Looked for: what a process that has ended left behind. Our own is told of only if a
        # deadline stands that nobody keeps.
        left = holder is not Holder.HERE or due_at(entry) is not None
        sought = left and is_sought(entry, holder, now) and not is_guarded(entry.marker)
        if row.at_start == "look" and sought:
            return True
    return False


def reconcile(sender: Sender, budget: float = BUDGET) -> Report:
    """Settle every open attempt of this process and of dead ones.

    Parameters
    ----------
    sender : Sender
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
    now, account = sender.clock.time(), sender.transport.account
    listing, trouble = _first_list(sender, budget)
    mine: list[Entry] = []
    theirs: list[Entry] = []
    strange: list[Entry] = []
    rows = sender.journal.entries_at(sender.transport.base_url)
    for entry in rows:
        holder = sender.journal.holder(entry, account, now)
        settler = obligation(entry, holder).settler
        if entry.marker in in_flight() or settler == "its process":
            theirs += [entry] if entry.account == account and entry.state in OPEN | LIVE else []
        elif settler == "who sees it":
            strange.append(entry)
        elif not (entry.is_open or entry.state in LIVE):
            # What is over is only looked at: taking it over would rewrite history at every start.
            mine += [entry] if is_sought(entry, holder, now) else []
        elif holder is Holder.HERE:
            mine.append(entry)
        elif (claimed := sender.journal.take_over(entry, now, account)) is not None:
            mine.append(claimed)
    if listing is not None:
        mine += recognised(sender.transport, sender.journal, strange, listing)
    cases = [Case.of(one) for one in mine]
    for case in cases:
        if case.state in UNSETTLED:
            # Its process is dead or done with it: nothing is sent for it from now on.
            case.since = min(case.since, now)
    was = [case.state for case in cases]
    if listing is not None or any(state in OPEN for state in was):
        longest = (
            DESTROY_BUDGET
            if AttemptState.DESTROYING in was or AttemptState.STILLBORN in was
            else budget
        )
        if any(state in UNSETTLED for state in was):
            longest = max(longest, budget)
        sender.settler.settle(_worth_it(cases, listing), longest, listing)
    for case, state in zip(cases, was, strict=True):
        if state not in OPEN and case.state in LIVE and case.entry is not None:
            case.entry = sender.journal.take_over(case.entry, now, account) or case.entry
    overdue = [case for case in cases if _is_overdue(case, sender.clock.time())]
    if overdue and listing is not None:
        sender.settler.destroy_all(overdue)
        sender.settler.settle(overdue, DESTROY_BUDGET + 4 * len(overdue))
    # What a guard of this process sees to, another client's too, stays with it.
    sender.arm(
        [
            case
            for case, state in zip(cases, was, strict=True)
            if case.entry
            and needs_care(case.entry)
            and (case.state is not state or not is_guarded(case.entry.marker))
        ]
    )
    findings = [
        finding
        for case, state in zip(cases, was, strict=True)
        for finding in _findings(case, state, sender.clock.time())
    ]
    for case in cases:
        if case.state not in UNSETTLED:  # the user is told: another rent is another spec
            sender.specs.pop(case.marker or "", None)
        if case.state in LIVE and case.entry is not None and case.entry.note == FOUND:
            sender.settler.record(case, note="")
    findings += [_elsewhere(entry) for entry in theirs]
    findings += _strangers(listing, [*rows, *(c.entry for c in cases if c.entry)])
    return Report(tuple(findings), trouble)


def disown(journal: Journal, base_url: str, ids: Iterable[int], now: float) -> None:
    """Write down that machines are not what became of any create that is still unknown.

    Raises
    ------
    InvalidRequest
        If one of them is known to be ours.
    JournalError
        If it cannot be written.
    """
    ids = sorted(set(ids))
    rows = journal.entries_at(base_url) if ids else []
    ours = [str(one) for one in ids if one in known_contracts(rows)]
    if ours:
        raise InvalidRequest(
            f"Instance {', '.join(ours)} was rented by vastnb on this computer: it is yours, and "
            "you pay for it. Nothing was changed. client.destroy_instance(id) destroys it.",
            code="is_yours",
        )
    for entry in rows:
        if entry.state in UNSETTLED:
            both = dict.fromkeys([*filter(None, entry.not_its.split(",")), *map(str, ids)])
            journal.update(entry, entry.state, not_its=",".join(both), updated_at=now)


def _first_list(sender: Sender, budget: float) -> tuple[Listing | None, str]:
    try:
        return list_instances(sender.call, sender.clock, within=budget), ""
    except AuthError:
        raise
    except VastError as error:
        return None, error.message


def _worth_it(cases: list[Case], listing: Listing | None) -> list[Case]:
    """Return the open cases, and the others that the list has something to say about."""
    return [
        case
        for case in cases
        if case.state in OPEN
        or (listing is not None and case.state in LIVE)
        or (listing is not None and case.entry is not None and _shown(case.entry, listing))
    ]


def _shown(entry: Entry, listing: Listing) -> bool:
    return any(match(entry, record) == "ours" for record in listing.records)


def _is_overdue(case: Case, now: float) -> bool:
    """Say whether a machine should be gone by now, and nobody in this process sees to it."""
    moment = None if case.entry is None or case.state not in LIVE else due_at(case.entry)
    return moment is not None and moment <= now and not is_guarded(case.marker or "")


def _findings(case: Case, was: AttemptState, now: float) -> Iterator[Finding]:
    entry = case.entry
    assert entry is not None
    offer = "not rented by vastnb" if entry.offer_id == UNRENTED else f"offer {entry.offer_id}"
    number = case.contract
    dph = entry.price if case.record is None else dph_meant(case.record)
    cost = "an unknown price" if dph is None else f"${dph:.4f}/h"
    when = "" if entry.deadline is None else in_words(entry.deadline, now)
    end = f" It will be destroyed at its deadline, {when}." if when else ""

    def say(kind: Kind, text: str) -> Finding:
        return Finding(kind, number, entry.offer_id, dph, text)

    def told(state: AttemptState) -> str:
        words = TABLE[state, Holder.HERE].told
        return words.format(id=number, offer=offer, cost=cost, marker=entry.marker)

    found = entry.note == FOUND or (was not in LIVE and was is not AttemptState.GONE)
    if case.state in LIVE and found:
        status = (case.record or {}).get("actual_status") or "starting"
        yield say(
            "adopted",
            f"Found: instance {number} ({offer}, {status}) was created although the answer was "
            f"lost; it bills {cost}.{end}",
        )
    elif case.state in LIVE:
        seen = "" if case.seen.found else " (missing from the last list)"
        yield say("bills", f"{told(case.state)}{seen}.{end}")
    elif case.is_ended and was is not AttemptState.DESTROYED:
        late = was in LIVE | UNSETTLED and entry.deadline is not None and entry.deadline <= now
        why = f" It was past its deadline, {when}." if late else ""
        yield say("destroyed", f"{told(AttemptState.DESTROYED)}{why}")
    elif case.is_ended and case.destroyed:
        yield say("destroyed", f"Destroyed again: instance {number} ({offer}) had come back.")
    elif case.state is AttemptState.ABSENT and was in UNSETTLED:
        yield say("absent", told(case.state))
    elif case.state is AttemptState.GONE and was is not AttemptState.GONE:
        yield say("gone", told(case.state))
    elif case.state in OPEN:
        again = f"{_maybe(case)} Run client.reconcile() again. {case.error}"
        yield say("unsettled", f"{told(case.state)}{again}".rstrip())


def _elsewhere(entry: Entry) -> Finding:
    what = f"a request to rent offer {entry.offer_id}"
    if entry.contract:
        what = f"instance {entry.contract}"
    return Finding(
        "elsewhere",
        entry.contract,
        entry.offer_id,
        entry.price,
        f"Left alone: {what} belongs to a kernel that is running (process {entry.pid}).",
    )


def _maybe(case: Case) -> str:
    ids = ", ".join(map(str, case.seen.maybe))
    return ids and (
        f" It may be instance {ids}, which started after the request and shows no marker; if it "
        f"is not this machine, client.reconcile(not_mine=[{ids}]) says so."
    )


def _strangers(listing: Listing | None, known: list[Entry]) -> Iterator[Finding]:
    """Name the machines with a marker that this computer's journal does not know."""
    contracts = known_contracts(known)
    expected = {one.marker for one in known if one.contract is None}
    for record in listing.records if listing else ():
        contract = int(record["id"])
        marker = marker_of(record)
        if marker is not None and marker not in expected and contract not in contracts:
            yield Finding(
                "elsewhere",
                contract,
                None,
                number(record.get("dph_total")),
                f"Left alone: instance {contract} was rented by vastnb on another computer, or its "
                "environment was copied from a machine that was.",
            )
