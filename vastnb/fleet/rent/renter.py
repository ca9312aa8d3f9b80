"""Renting and ending, all of it, for one client.

A `Renter` turns what a user asks for into a `Rental` (checked, with candidates), runs it, and hands
what was rented to the caller's own maker of handles. It holds what one client's rentals share: the
journal, the sender, the guard, what is known of the account, and what each machine was rented for.
Its first use settles what an earlier kernel has left open.

It is long because it is the one place where verbs about money begin; each is a few lines of work.
"""

from __future__ import annotations

import logging
import math
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, Protocol, TypeVar

import pandas as pd

from vastnb.api.progress import wait_line
from vastnb.api.transport import Transport
from vastnb.errors import InstanceFailed, InvalidRequest, JournalError, OfferGone, VastError
from vastnb.fleet.env import new_marker
from vastnb.fleet.listing import record_of
from vastnb.fleet.rent.account import Account, require_ssh_key, warn_of_credit
from vastnb.fleet.rent.attempt import CONFIRMING, Attempt, Sender, still_there
from vastnb.fleet.rent.candidates import (
    Offer,
    asked_at,
    bid_for,
    check_kinds,
    is_query,
    offer_of,
    offers_of,
    with_disk,
)
from vastnb.fleet.rent.deadline import HOUR, LATEST, Limits, utc
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.events import Listener, warn
from vastnb.fleet.rent.guard import REREAD, Guard, owed, undone, unguarded
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.obligations import UNRENTED
from vastnb.fleet.rent.on_machine import move_command, with_line
from vastnb.fleet.rent.plan import LIVE, AttemptState
from vastnb.fleet.rent.recovery import Report, disown, needs_settling, reconcile
from vastnb.fleet.rent.rental import Rental
from vastnb.fleet.rent.replacement import (
    KEPT,
    NextOffer,
    dollars_left,
    limit_of,
    machines_of,
    untried,
)
from vastnb.fleet.rent.settle import CLOSED, DESTROY_BUDGET, Case
from vastnb.fleet.rent.spec import Spec
from vastnb.fleet.status import Wanted
from vastnb.market.search import OfferSearch
from vastnb.values import number

log = logging.getLogger("vastnb.fleet")

H = TypeVar("H")
Handles = Callable[[Sequence[int], int, pd.DataFrame], H]
"""Makes handles of ids, given how many were wanted and what became of each offer."""

MOST: Final = 256
"""Machines in one call."""

DISK_SLACK: Final = 0.98
"""The share of a disk that has to be there: what is left goes to its file system."""


class Onlooker(Protocol):
    """Who shows machines, and is told what is done to them."""

    def expect(self, id: int, wanted: Wanted) -> None:
        """Hear what an instance is to be from now on."""

    def nudge(self, id: int | None = None, text: str = "") -> None:
        """Hear what was done, and look soon."""


class Renter:
    """Rents, guards and ends machines, for one client.

    Parameters
    ----------
    transport : Transport
        Asks the service.
    search : OfferSearch
        Finds offers.
    onlooker : Onlooker
        Told what is done. It is held weakly by what runs in the background.
    over : callable
        Told which machines have ended.
    """

    def __init__(
        self,
        transport: Transport,
        search: OfferSearch,
        onlooker: Onlooker,
        *,
        over: Callable[[Sequence[int]], object] = list,
    ) -> None:
        self.transport = transport
        self.journal = Journal()
        self.account = Account(transport.call, transport.clock)
        self.guard = Guard(transport, self.journal, _telling(onlooker), expect=_expecting(onlooker))
        self.sender = Sender(transport, self.journal, self.guard.arm)
        self._search = search
        self._onlooker = onlooker
        self._over = over
        self._lock = threading.Lock()
        self._begun = False
        self._looked_after = -math.inf
        self._rented: dict[int, Rental] = {}
        self._given_up: set[int] = set()  # machines that did not come up, and are not tried again
        self._replacing: set[int] = set()

    # -- at first ----------------------------------------------------------------------------

    def begin(self, *, acting: bool = False) -> None:
        """Settle, at the first use, what an earlier kernel left open.

        Parameters
        ----------
        acting : bool
            Whether money is about to be spent: then a journal that cannot be used is an error.
        """
        with self._lock:
            begun, self._begun = self._begun, True
        if begun:
            self.look_after()
            return
        try:
            report = reconcile(self.sender) if needs_settling(self.sender) else None
            self._take_up()
            if report is not None and (report.findings or report.trouble):
                sys.stdout.write(f"From an earlier kernel:\n{report.text}\n")
        except JournalError as error:
            if acting:
                self._begun = False
                raise
            warn(error.message, stacklevel=3)
        except BaseException:  # a Ctrl-C too
            self._begun = False  # the next use tries again
            raise

    def look_after(self) -> None:
        """Take up what is owed, in the background: for whoever only looks. Never raises, waits."""
        now = self.transport.clock.steady()
        if now - self._looked_after < REREAD or self.transport.why_keyless is not None:
            return
        self._looked_after = now
        try:
            if self.journal.path.exists() and owed(self.transport, self.journal):
                self.guard.take_up_soon()
        except VastError as error:
            warn(error.message)

    def reconcile(self, not_mine: Sequence[int] = ()) -> Report:
        """Find out what became of every rental that was left open, and what bills."""
        disown(self.journal, self.transport.base_url, not_mine, self.transport.clock.time())
        self._begun = True
        report = reconcile(self.sender)
        self._take_up()
        return report

    def _take_up(self) -> None:
        if owed(self.transport, self.journal):
            self.guard.take_up()

    # -- renting -----------------------------------------------------------------------------

    def rent(
        self,
        spec: Spec,
        offers: Any,
        limits: Limits,
        handles: Handles[H],
        *,
        count: int,
        max_dph: float | None,
        bid: float | str | None,
        check_ssh_key: bool,
        on_event: Listener | None,
    ) -> H:
        """Check what was asked for, find candidates, rent, and return what `handles` makes of it.

        Raises
        ------
        InvalidRequest
            If it makes no sense, or if offers of a bid search were to be rented on demand.
        VastError
            As for `vastnb.Client.rent`.
        """
        _check(spec, limits, count, max_dph, bid)
        self.begin(acting=True)
        if is_query(offers):
            offers = self._search.search(
                with_disk(offers, spec.disk),
                type="on-demand" if bid is None else "bid",
                order="dph_total",
                storage=spec.disk,
                refresh=True,
            )
        candidates = list({one.id: one for one in offers_of(offers)}.values())
        check_kinds(candidates, bid=bid is not None)
        if not candidates:
            raise _wrong("there are no offers to try; the search found none")
        if check_ssh_key:
            require_ssh_key(self.account, spec)
        warn_of_credit(self.account, spec, candidates[:count], limits, bid)
        rental = Rental(
            self.sender,
            spec,
            candidates,
            count=count,
            max_dph=max_dph,
            bid=bid,
            checked_at=asked_at(offers, candidates, bid, self.transport.clock),
            limits=limits,
            on_event=on_event,
            line=self.transport.on_wait is wait_line,
        )
        return self._minding(rental, handles, lambda: self._rented_by(rental, handles))

    def create(
        self,
        spec: Spec,
        offer: Any,
        limits: Limits,
        handles: Handles[H],
        *,
        check_ssh_key: bool,
        on_event: Listener | None,
    ) -> H:
        """Make one attempt at one offer, see what came of it, and return its handle."""
        chosen = offer_of(offer)
        check_kinds([chosen], bid=spec.price is not None)
        _check_on_machine(spec, limits)
        self.begin(acting=True)
        if check_ssh_key:
            require_ssh_key(self.account, spec)
        # A price that was seen a while ago may have risen since. Of a bare id none was seen.
        budget, clock = limits.budget_usd is not None, self.transport.clock
        checked_at = asked_at(offer, [chosen], spec.price, clock)
        check = budget or (checked_at is None and chosen.kind is not None)
        rental = Rental(
            self.sender,
            spec,
            [chosen],
            bid=spec.price if check else None,
            checked_at=None if check else clock.time(),
            limits=limits,
            on_event=on_event,
            line=self.transport.on_wait is wait_line,
        )
        if check:
            rental.check()
        if not rental.candidates.at_hand:
            raise rental.failure()

        return self._minding(rental, handles, lambda: self._created_by(rental, handles))

    def _created_by(self, rental: Rental, handles: Handles[H]) -> H:
        attempt = rental.run_one()
        if attempt.state not in LIVE:
            assert attempt.error is not None
            raise attempt.error
        return self._handles(rental, handles, [attempt], 1)

    def _rented_by(self, rental: Rental, handles: Handles[H]) -> H:
        rental.run()
        rented = rental.rented
        if not rented:
            raise rental.failure()
        if len(rented) < rental.count:
            warn(
                f"{len(rented)} of {rental.count} machines were rented: "
                f"{rental.failure().message} The rented ones are billing; see .attempts.",
                stacklevel=7,
            )
        return self._handles(rental, handles, rented, rental.count)

    def _minding(self, rental: Rental, handles: Handles[H], work: Callable[[], H]) -> H:
        """Do the work; an error carries the machines that were rented before it."""
        try:
            return rental.minding(work)
        except VastError as error:
            rented = [self._handles(rental, handles, [one], 1) for one in rental.rented]
            error.machines = tuple(rented)
            raise

    def _handles(
        self, rental: Rental, handles: Handles[H], attempts: Sequence[Attempt], wanted: int
    ) -> H:
        ids = []
        for one in attempts:
            assert one.instance_id is not None
            self._look_at_disk(one.instance_id, one.offer, rental.spec.disk)
            self._rented[one.instance_id] = rental
            while len(self._rented) > KEPT:
                del self._rented[next(iter(self._rented))]
            ids.append(one.instance_id)
        return handles(ids, wanted, rental.frame())

    def _look_at_disk(self, id: int, offer: Offer, disk: float) -> None:
        """Warn of a disk that the service has cut without a word, where the offer allowed it.

        A machine that exists is never lost for a look that fails.
        """
        if offer.disk_space is not None and offer.disk_space >= disk:
            return
        try:
            record = record_of(self.transport.call, id) or {}
        except VastError:
            return
        got = number(record.get("disk_space"))
        if got is not None and got < disk * DISK_SLACK:
            warn(
                f"Instance {id} has a disk of {got:g} GB instead of {disk:g} GB: its offer has no "
                "more. It is running and billing. If that is too small, "
                f"client.destroy_instance({id}) destroys it; search with "
                f'"disk_space>={disk:g}" for others.',
                stacklevel=9,
            )

    # -- another one -------------------------------------------------------------------------

    def next_offer(self, id: int, record: Mapping[str, Any] | None = None) -> NextOffer | None:
        """Say what `replace` would rent. Asks nothing.

        Parameters
        ----------
        id : int
            The machine.
        record : mapping, optional
            What the service shows of it.

        Returns
        -------
        NextOffer or None
            None for a machine that this client has not rented itself.
        """
        rental = self._rented.get(id)
        if rental is None:
            return None
        left = untried(rental, self._given_up)
        return NextOffer(len(left), limit_of(rental, id, record or {}, left), rental.spec.image)

    def replace(
        self,
        id: int,
        record: Mapping[str, Any],
        handles: Handles[H],
        *,
        max_dph: float | None = None,
    ) -> H:
        """Destroy a machine, see that it stays gone, and rent the next offer for the same purpose.

        Parameters
        ----------
        id : int
            The machine; rented by this client, in this kernel.
        record : mapping
            What the service shows of it: its GPUs are searched for when no offer is left.
        handles : callable
            Makes the handle.
        max_dph : float, optional
            The most that the next one may cost, $/h with its disk; by default the rental's own
            limit, else a tenth more than the old one, or what the next offer of its list costs.

        Returns
        -------
        Any
            The new machine's handle; it bills from now on.

        Raises
        ------
        InvalidRequest
            If it is not known what the machine was rented for. Nothing was sent.
        OutcomeUnknown
            If it was not seen gone; nothing was rented then.
        VastError
            As for `Client.rent`: the old machine is gone, and there is no new one.
        """
        rental = self._rented.get(id)
        if rental is None:
            raise InvalidRequest(
                f"This kernel does not know how instance {id} was set up (its environment and "
                "start script are known only in the kernel that rented it). Nothing was sent. "
                "Destroy it, and rent another one with client.rent(...).",
                code="not_rented_here",
            )
        if max_dph is None:
            max_dph = limit_of(rental, id, record, untried(rental, self._given_up))
        if max_dph is None:
            raise InvalidRequest(
                f"The price of instance {id} is not known, so there is no price limit for its "
                "replacement. Nothing was sent. Give max_dph=."
            )
        with self._once(id):
            self.begin(acting=True)
            entry = self.journal.of_contract(self.transport.account, id)
            left = dollars_left(entry, self.transport.clock.time())
            self._end([id], stays=True)
            # From here on the old machine is gone: whatever fails, it is not billed.
            self._rented.pop(id, None)
            self._given_up |= machines_of(rental, id, record)
            if left is not None:
                if left <= 0:
                    raise InstanceFailed(
                        f"Instance {id} was destroyed, and its budget is used up: no replacement "
                        "was rented. Rent one with client.rent(...).",
                        code="budget_spent",
                    )
                rental = replace(rental, limits=replace(rental.limits, budget_usd=left, count=1))
            try:
                return self._next(rental, record, max_dph, handles)
            except VastError as error:
                error.add_note(f"Instance {id} was destroyed.")
                raise

    @contextmanager
    def _once(self, id: int) -> Iterator[None]:
        """Replace a machine once: a second call for it, meanwhile, is refused."""
        with self._lock:
            if id in self._replacing:
                raise InvalidRequest(
                    f"Instance {id} is being replaced already. Nothing was sent.", code="under_way"
                )
            self._replacing.add(id)
        try:
            yield
        finally:
            with self._lock:
                self._replacing.discard(id)

    def _next(
        self, rental: Rental, record: Mapping[str, Any], limit: float, handles: Handles[H]
    ) -> H:
        spec, bid = rental.spec, rental.bid
        if spec.price is not None:  # rented by `create`, where the bid is a part of the spec
            spec, bid = replace(spec, price=None), spec.price

        def run(offers: list[Offer]) -> H:
            again = replace(
                rental,
                spec=spec,
                offers=offers,
                count=1,
                bid=bid,
                max_dph=limit,
                checked_at=None,
                line=False,  # it is not the user's call that waits
                attempts=[],
            )
            return self._minding(again, handles, lambda: self._rented_by(again, handles))

        left = untried(rental, self._given_up)
        if left:
            try:
                return run(left)
            except OfferGone:  # none of them; the market is asked for others
                pass
        found = self._others(record, bid, spec.disk)
        if not found:
            raise OfferGone(
                f"No other machine with {record.get('num_gpus')}x {record.get('gpu_name')} is "
                "available now, and nothing was rented.",
                code="no_offer_left",
            )
        return run(found)

    def _others(
        self, record: Mapping[str, Any], bid: float | str | None, disk: float
    ) -> list[Offer]:
        """Return offers of the same GPUs on other machines, cheapest first."""
        name, count = record.get("gpu_name"), record.get("num_gpus")
        if not isinstance(name, str) or not isinstance(count, int):
            return []
        frame = self._search.search(
            {"gpu_name": name, "num_gpus": count},
            type="on-demand" if bid is None else "bid",
            order="dph_total",
            storage=disk,
            refresh=True,
        )
        return [one for one in offers_of(frame) if one.machine_id not in self._given_up]

    # -- ending ------------------------------------------------------------------------------

    def destroy(self, ids: Sequence[int], *, verify: bool = True) -> None:
        """Destroy machines; see `vastnb.Client.destroy_instance`."""
        self.look_after()  # what an earlier kernel left open can wait; this bills
        self._end(ids, verify=verify)

    def _end(self, ids: Sequence[int], *, verify: bool = True, stays: bool = False) -> None:
        for one in ids:  # first, for whoever looks meanwhile: whatever comes of it, that is meant
            self._onlooker.expect(one, "gone")
        try:
            destroy(self.sender, self.guard, ids, over=self._over, verify=verify, stays=stays)
        finally:
            self._onlooker.nudge()

    def deadline_of(self, id: int) -> datetime | None:
        """Return when a machine is destroyed (UTC), as the journal has it."""
        self.begin()
        entry = self.journal.of_contract(self.transport.account, id)
        return utc(entry.deadline) if entry is not None else None

    def has_ended(self, id: int) -> bool:
        """Say whether a machine was destroyed at its deadline by this client, and seen gone."""
        return self.guard.ended(id)

    def extend(self, id: int, hours: float) -> datetime | None:
        """Give a machine so many hours more, or that many from now if it has no deadline.

        Parameters
        ----------
        id : int
            The instance.
        hours : float
            How much longer.

        Raises
        ------
        InvalidRequest
            If it was not rented by vastnb on this computer, or is gone.
        JournalError
            If it cannot be written down; the earlier deadline holds.
        """
        if (number(hours) or 0.0) <= 0:
            raise InvalidRequest(
                f"hours={hours!r}: a number above 0 is needed. The deadline is unchanged.",
                code="invalid_args",
            )
        self.begin(acting=True)
        entry = self.journal.of_contract(self.transport.account, id)
        if entry is None or entry.state not in LIVE:
            raise InvalidRequest(
                f"Instance {id} was not rented by vastnb on this computer, or is gone: vastnb "
                "cannot keep a deadline for it. Nothing was changed.",
                code="no_such_attempt",
            )
        if self.guard.closed:
            raise InvalidRequest(
                f"This client is closed and cannot enforce a deadline for instance {id}. The "
                "deadline is unchanged. Create a new client and set it there.",
                code="closed",
            )
        now = self.transport.clock.time()
        begin = now if entry.deadline is None else max(entry.deadline, now)
        moment = min(LATEST, begin + hours * HOUR)
        self.journal.set_deadlines({entry.marker: moment})
        # Here, whoever rented it: another kernel that guards it reads the journal before it acts.
        self.guard.arm([replace(entry, deadline=moment, budget=None)])
        if entry.on_machine:
            warn(
                f"Instance {id} also destroys itself, at the deadline in its start script. To "
                f"move that one, run on the machine: {move_command(moment)}",
                stacklevel=3,
            )
        return utc(moment)

    def close(self) -> None:
        """End the guard, and say what nobody in this kernel sees to any longer."""
        left = self.guard.close()
        if not self.guard.outlasted:
            return
        if ending := [one for one in left if not one.open]:
            now = self.transport.clock.time()
            warn(unguarded(ending, now, "This client is closed"), stacklevel=3)
        if unfinished := [one for one in left if one.open]:
            warn(undone(unfinished, "This client is closed"), stacklevel=3)


def _telling(onlooker: Onlooker) -> Callable[[str, int, bool], None]:
    """Return what says aloud what the guard does, and keeps nobody alive."""
    there = weakref.ref(onlooker)

    def tell(text: str, id: int, bad: bool) -> None:
        # To the standard error: a warning of a thread is shown once, and this must be seen.
        sys.stderr.write(f"vastnb: {text}\n")
        log.log(logging.ERROR if bad else logging.WARNING, text)
        shown = there()
        if shown is not None:
            shown.nudge(id, text)

    return tell


def _expecting(onlooker: Onlooker) -> Callable[[int], None]:
    """Return what says which machines the guard destroys, and keeps nobody alive."""
    there = weakref.ref(onlooker)

    def expect(id: int) -> None:
        shown = there()
        if shown is not None:
            shown.expect(id, "gone")

    return expect


def _check(
    spec: Spec, limits: Limits, count: int, max_dph: float | None, bid: float | str | None
) -> None:
    """Refuse what makes no sense, before anything is asked or sent."""
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST:
        raise _wrong(f"count={count!r}: a whole number from 1 to {MOST} is needed")
    if max_dph is not None and not (
        isinstance(max_dph, int | float) and not isinstance(max_dph, bool) and max_dph > 0
    ):
        raise _wrong(f"max_dph={max_dph!r}: a price in $/h is needed")
    if bid is not None:
        bid_for(Offer(0), bid)  # a strategy that is no strategy is refused before anything is sent
        if not isinstance(bid, str):
            Spec(image="any", price=bid)
    _check_on_machine(spec, limits)


def _check_on_machine(spec: Spec, limits: Limits) -> None:
    """See that a machine can end itself: that its start script runs, and has room for it."""
    if not limits.on_machine:
        return
    if "args" in (spec.wire_runtype or "").split():
        raise _wrong('deadline_on_machine needs a start script, and runtype="args" runs none')
    if spec.template_hash is not None and spec.onstart is None:
        raise _wrong(
            "deadline_on_machine would replace the template's own start script; give onstart= "
            "with what should run"
        )
    # For its length; the real one has the real deadline and server.
    replace(spec, onstart=with_line(spec.onstart, LATEST, "https://console.vast.ai"))


def _wrong(what: str) -> InvalidRequest:
    return InvalidRequest(f"This cannot be rented: {what}. Nothing was sent or rented.")


def destroy(
    sender: Sender,
    guard: Guard,
    ids: Sequence[int],
    *,
    over: Callable[[Sequence[int]], object],
    verify: bool = True,
    stays: bool = False,
) -> None:
    """Destroy machines.

    Parameters
    ----------
    sender : Sender
        Sends and looks.
    guard : Guard
        Goes on with what is not finished here.
    ids : sequence of int
        The machines, whoever rented them.
    over : callable
        Told which of them are gone.
    verify : bool
        Look, after the service has confirmed it, until they are seen gone.
    stays : bool
        Look until they have stayed gone.

    Raises
    ------
    OutcomeUnknown
        If it was not confirmed, or one was not seen gone.
    InvalidRequest
        If the client is closed.
    """
    cases = _cases(sender, guard, list(dict.fromkeys(ids)))
    if not cases:
        return
    try:
        sender.settler.destroy_all(cases)
        closed = [str(one.contract) for one in cases if one.left == CLOSED]
        if closed:
            raise InvalidRequest(
                f"This client is closed, so instances {', '.join(closed)} were not destroyed: "
                "they keep billing. With a new client, run client.destroy_instance(id).",
                code="closed",
            )
        asked = [case for case in cases if case.refusal is None]
        if asked and (verify or not all(case.accepted for case in asked)):
            with sender.transport.on_wait("destroy_instance", *CONFIRMING) as tick:
                sender.settler.settle(asked, DESTROY_BUDGET, stays=stays, tick=tick)
    except KeyboardInterrupt:
        open_ = [str(one.contract) for one in cases if not one.is_ended]
        sys.stderr.write(
            f"Interrupted while destroying instances {', '.join(open_)}: not confirmed yet, so "
            "they may still bill. vastnb continues in the background while this kernel runs; "
            "client.destroy_instance(id) tries again now.\n"
        )
        raise
    finally:
        guard.arm(cases)
    left = [case for case in cases if not (case.is_ended or (case.accepted and not verify))]
    missing = [str(one.contract) for one in cases if one.missing and one not in left]
    if missing:
        warn(
            f"This account has no instance {', '.join(missing)} (any more), so nothing was "
            "destroyed. Check the id: client.show_instances() lists your instances.",
            stacklevel=5,
        )
    gone = [case.contract for case in cases if case.contract is not None and case not in left]
    over(gone)
    if left:
        raise still_there(left)


def _cases(sender: Sender, guard: Guard, ids: Sequence[int]) -> list[Case]:
    """Return machines by their rows; one is made for a machine that was not rented here."""
    cases = []
    try:
        rows = {one.contract: one for one in sender.journal.entries(sender.transport.account)}
        for number in ids:
            if number not in rows:
                sender.journal.begin(rows.setdefault(number, _unrented(sender, number)))
            cases.append(Case.of(rows[number]))
    except JournalError as error:
        warn(
            f"{error.message} The machines are destroyed all the same, but only this kernel "
            "confirms that they stay destroyed."
        )
        sender.settler.journal_failed()
        now = sender.clock.time()
        for number in ids[len(cases) :]:
            known = guard.case_of(number)
            cases.append(known or Case(AttemptState.CREATED, now, None, number))
    return cases


def _unrented(sender: Sender, number: int) -> Entry:
    now = sender.clock.time()
    return Entry(
        marker=new_marker(),
        account=sender.transport.account,
        base_url=sender.transport.base_url,
        offer_id=UNRENTED,
        machine_id=None,
        price=None,
        bid=None,
        disk=0.0,
        label=None,
        created_at=now,
        since=now,
        updated_at=now,
        state=AttemptState.DESTROYING,
        contract=number,
        **sender.journal.me._asdict(),
    )
