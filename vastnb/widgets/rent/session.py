"""What goes on behind a rent form: searching, renting, following machines, and finding out.

`RentSession` ties the form's model to what is done in threads: a `RentRun` that rents, the client's
watcher that follows the machines, and short questions beside them. It has no page: the widget gives
it two functions, one that shows the whole picture and one that sends a single message. All of its
methods are called on the kernel's main thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.ledger import Ledger
from vastnb.widgets.kit.clicks import too_old
from vastnb.widgets.kit.pace import Poller
from vastnb.widgets.kit.work import Aside, MainThread
from vastnb.widgets.monitor.actions import Click, carry_out
from vastnb.widgets.monitor.actions import Outcome as MonitorOutcome
from vastnb.widgets.rent.machines import Machine, Receipt, seen_in
from vastnb.widgets.rent.memory import remember
from vastnb.widgets.rent.model import TAKEN_OVER, ClickRefused, RentModel
from vastnb.widgets.rent.offers import candidates
from vastnb.widgets.rent.outcome import outcome_of
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.price import number_of
from vastnb.widgets.rent.questions import (
    Found,
    Template,
    account_of,
    offers_again,
    settle,
    templates_of,
)
from vastnb.widgets.rent.run import RUNS, RentRun
from vastnb.widgets.rent.view import view_of
from vastnb.widgets.rent.warnings import Account

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.instance import Instance
    from vastnb.fleet.watch.changes import Change
    from vastnb.fleet.watch.state import Snapshot

_log = logging.getLogger("vastnb.widgets")


class RentSession:
    """State and work of one rent form.

    Parameters
    ----------
    client : Client
        Who rents.
    given : Any
        Candidates, as for `vastnb.rent_form`.
    plan : RentPlan
        What the form says at first.
    type : str
        Where offers have to be searched for: ``"on-demand"`` or ``"bid"``.
    main : MainThread
        Where everything is taken.
    on_main : callable
        Does something there, and shows what goes wrong.
    tell : callable
        Shows the whole picture.
    send : callable
        Sends one message to the page.
    """

    def __init__(
        self,
        client: Client,
        given: Any,
        plan: RentPlan,
        *,
        type: str,
        main: MainThread,
        on_main: Callable[[Callable[[], None]], None],
        tell: Callable[[], None],
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        self.client = client
        self.model = RentModel(plan, pd.DataFrame())
        self.main = main
        self.on_main = on_main
        self.instances: dict[int, Instance] = {}
        self.ledger = Ledger()
        self.poller: Poller | None = None
        self._given = given
        self._type = type
        self._tell = tell
        self._send = send
        self._closed = False
        self._asked_facts = False
        self._stop_listening: Callable[[], None] = lambda: None
        self._aside = Aside(self.main, lambda: self.on_main(self.drain))

    # -- beginning and end --------------------------------------------------------------------

    def begin(self) -> None:
        """Find the candidates in this thread.

        Raises
        ------
        InvalidRequest
            If what was given is no offer. What goes wrong with the service is shown instead.
        """
        try:
            found = candidates(self.client, self._given, type=self._type, disk=self.model.plan.disk)
        except InvalidRequest:
            raise
        except VastError as error:
            self.model.outcome = outcome_of(error)
        else:
            self.model.set_offers(found)

    def take_up(self) -> None:
        """Take up a rent whose form was closed before anybody saw it end."""
        run = RUNS.of_interest(self._account)
        if run is not None:
            self.model.plan = run.plan
            self.model.set_offers(run.offers)
            self.model.note = TAKEN_OVER
            self._follow(run)

    def close(self) -> None:
        """End. Machines stay, and a rent that is under way goes on."""
        self._closed = True
        self._stop_listening()
        self._aside.close()
        if self.poller is not None:
            self.poller.close()

    def drain(self) -> None:
        """Take what threads have brought; on the main thread only."""
        if self._closed or not self.main.here:
            return
        taken = self._aside.take()
        run = self.model.run
        if run is not None and not run.busy and self.model.phase == "renting":
            self._take_steps()
        if self.poller is not None:
            self.poller.drain()
        if taken:
            self._tell()

    def wait(self, timeout: float) -> bool:
        """Wait for what is under way; return False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            run = self.model.run
            done = run is None or run.wait(max(0.0, deadline - time.monotonic()))
            done &= self._aside.wait(max(0.0, deadline - time.monotonic()))
            self.drain()
            run = self.model.run
            idle = self._aside.wait(0) and (run is None or not run.busy)
            if not done or idle:  # what was taken may have begun something else
                return done

    def view(self) -> dict[str, Any]:
        """Return the page's picture."""
        return view_of(
            self.model,
            now=time.time(),
            clock=self._clock(),
            simulated=self.client.simulated,
            has_key=self.client.has_key,
        )

    def seen(self) -> None:
        """Take note that somebody has seen how the rent ended."""
        run = self.model.run
        if run is not None and not run.busy and not run.shown:
            RUNS.seen(self._account, run)

    # -- from fields to a rent ----------------------------------------------------------------

    def review(self) -> None:
        """Ask for a confirmation.

        Raises
        ------
        InvalidRequest
            If it cannot be rented like this.
        """
        self.model.review(time.time())

    def confirm(self, click: Mapping[str, Any]) -> None:
        """Take the click that rents.

        Raises
        ------
        ClickRefused
            If it rents nothing; see `RentModel.accept`.
        """
        accepted = self.model.accept(click, time.time())
        run = RentRun(self.client, accepted.offers, accepted.arguments, self.model.plan)
        if not RUNS.begin(self._account, run):
            self.model.not_begun()
            raise ClickRefused(
                "Another rental of this account is in progress in this kernel. Nothing was sent: "
                "wait for it, and confirm again."
            )
        remember(self.client, self.model.plan)
        self._follow(run)

    def take_offers(
        self, offers: pd.DataFrame, *, disk: float | None = None, count: int | None = None
    ) -> None:
        """Take other candidates, unless it rents just now; what else is filled in stays."""
        if self.model.phase == "renting":
            return
        changes = {"disk": disk, "count": count}
        self.model.change_all({name: one for name, one in changes.items() if one is not None})
        self._given = offers
        self.model.back()
        self.model.set_offers(offers)

    def search_again(self) -> None:
        """Ask for the offers anew."""
        self.model.note = "Searching again…"
        query = isinstance(self._given, str | Mapping)
        given = self._given if query or not self.model.ids else self.model.ids
        kind = "bid" if self.model.of_bid_search else self._type
        disk = self.model.plan.disk
        self._do(lambda: offers_again(self.client, given, kind, disk), self._take_offers)

    def find_out(self) -> None:
        """Have what was left open settled."""
        if not self.model.finding:
            self.model.finding = True
            self._do(lambda: settle(self.client), self._found_out)

    def ask_facts(self) -> None:
        """Ask for the account, the templates, and what was left open; once."""
        if self._asked_facts:
            return
        self._asked_facts = True
        self._do(lambda: account_of(self.client), self._take_account)
        self._do(lambda: templates_of(self.client), self._take_templates)
        if self.model.run is None:
            self._do(lambda: settle(self.client), self._take_settled)

    # -- the machines -------------------------------------------------------------------------

    def ask_jupyter(self, number: Any) -> None:
        """Fetch the address of a machine's Jupyter, and send it."""
        if number in self.model.machines:
            self._act("jupyter", number, partial(self._send_jupyter, number))

    def extend(self, content: Mapping[str, Any]) -> None:
        """Move a machine's deadline by an hour.

        Raises
        ------
        ClickRefused
            If the click is too old.
        """
        if old := too_old(content.get("at"), time.time()):
            raise ClickRefused(old)
        number = content.get("id")
        machine = self.model.machines.get(number) if isinstance(number, int) else None
        if machine is None or machine.is_gone:
            return
        self._act("extend", machine.id, partial(self._take_extended, machine.id))

    def destroy(self, number: Any, at: Any) -> None:
        """Destroy a machine of this form.

        Raises
        ------
        ClickRefused
            If the click is too old.
        """
        if old := too_old(at, time.time()):
            raise ClickRefused(old)
        machine = self.model.machines.get(number) if isinstance(number, int) else None
        if machine is None or machine.ending or machine.is_gone:
            return
        self.model.machines[machine.id] = replace(machine, ending=True, trouble="")
        self._act("destroy", machine.id, partial(self._take_end, machine.id))

    # -- inside -------------------------------------------------------------------------------

    @property
    def _account(self) -> str:
        return self.client.transport.account

    def _do(self, work: Callable[[], Any], take: Callable[[Any], None]) -> None:
        self._aside.do(work, take, self.model.failed)

    def _follow(self, run: RentRun) -> None:
        self.model.begin(run)
        self._stop_listening = run.listen(lambda: self.on_main(self._take_steps))
        self._take_steps()

    def _take_steps(self) -> None:
        if self.model.ended():
            self._stop_listening()
            assert self.model.run is not None
            for one in self.model.run.instances:
                self._add_machine(one)
        self._tell()

    def _add_machine(self, one: Instance) -> None:
        self.instances[one.id] = one
        self.model.machines[one.id] = Machine(one.id, deadline=_seconds(one.deadline))
        watcher = self.client.watcher
        watcher.expect(one.id, "running")
        if self.poller is None:
            self.poller = Poller(watcher, self.main, self._on_look, self._send)

    def _on_look(self, snapshot: Snapshot, _changes: Sequence[Change]) -> None:
        for machine in list(self.model.machines.values()):
            seen = seen_in(machine, snapshot)
            handle = self.instances.get(machine.id)
            if handle is not None and not seen.is_gone:  # it may have been extended
                seen = replace(seen, deadline=_seconds(handle.deadline))
            if seen.is_gone:
                seen = self._over(seen)
            elif seen.record:
                self.ledger.see(seen.id, seen.record, seen.state, self._clock())
            self.model.machines[machine.id] = seen
        if snapshot.credit is not None:
            self.model.account = replace(self.model.account, credit=snapshot.credit)
        self._tell()

    def _take_account(self, account: Account) -> None:
        self.model.account = account

    def _take_templates(self, templates: tuple[Template, ...] | None) -> None:
        self.model.templates = () if templates is None else templates

    def _take_settled(self, found: Found) -> None:
        if self.model.run is None:
            self.model.found = found

    def _found_out(self, found: Found) -> None:
        self.model.found_out(found)
        for number in found.ids:
            if number not in self.model.machines:
                self._do(partial(self.client.show_instance, number), self._add_machine)

    def _take_offers(self, result: pd.DataFrame) -> None:
        gone = len(set(self.model.ids) - {int(one) for one in result.get("id", ())})
        if not self.model.open_question:
            self.model.outcome = None
            self.model.back()
        self.model.set_offers(result)
        words = "offer is" if gone == 1 else "offers are"
        self.model.note = f"{gone} {words} gone." if gone else ""

    def _act(self, verb: str, number: int, take: Callable[[MonitorOutcome], None]) -> None:
        """Do what a button of a machine says, as the monitor does it."""
        click = Click("", verb, number, time.time())
        self._do(lambda: carry_out(self.client, click, {}), take)

    def _take_extended(self, number: int, outcome: MonitorOutcome) -> None:
        trouble = "" if outcome.level == "good" else outcome.text
        machine = self.model.machines[number]
        handle = self.instances.get(number)
        deadline = machine.deadline if handle is None else _seconds(handle.deadline)
        self.model.machines[number] = replace(machine, deadline=deadline, trouble=trouble)

    def _take_end(self, number: int, outcome: MonitorOutcome) -> None:
        trouble = "" if outcome.level == "good" else outcome.text
        machine = self.model.machines[number]
        self.model.machines[number] = (
            replace(machine, ending=False, trouble=trouble)
            if trouble
            else self._over(replace(machine, state="gone", reason="destroyed", ending=False))
        )

    def _over(self, machine: Machine) -> Machine:
        """Return a machine that has gone, with its receipt."""
        if machine.receipt is not None:
            return machine
        now = self._clock()
        if machine.record:
            self.ledger.see(machine.id, machine.record, "running", now)
        spent = self.ledger.spent(machine.id)
        self.ledger.gone(machine.id, now)
        start = number_of(machine.record, "start_date")
        ran = now - start if start is not None and 0 < start <= now else None
        return replace(machine, receipt=Receipt(ran, None if spent is None else spent.usd))

    def _clock(self) -> float:
        return self.client.transport.clock.time()

    def _send_jupyter(self, number: int, outcome: MonitorOutcome) -> None:
        url = outcome.answer.get("url")
        self._send({"type": "jupyter", "id": number, "url": url, "trouble": outcome.text})


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


__all__ = ["TAKEN_OVER", "RentSession"]
