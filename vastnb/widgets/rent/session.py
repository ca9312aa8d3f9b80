"""What goes on behind a rent form: searching, renting, and finding out.

`RentSession` ties the form's model to what is done in threads: a `RentRun` that rents, and short
questions beside it. What was rented goes to the form's `Monitor`, which alone follows it. It has no
page: the widget gives it a function that shows the whole picture. All of its methods are called on
the kernel's main thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.instance import Instance
from vastnb.widgets.kit.work import MainThread, Work
from vastnb.widgets.monitor.widget import Monitor
from vastnb.widgets.rent import words
from vastnb.widgets.rent.memory import remember
from vastnb.widgets.rent.model import ClickRefused, RentModel
from vastnb.widgets.rent.offers import candidates
from vastnb.widgets.rent.outcome import outcome_of
from vastnb.widgets.rent.plan import RentPlan
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
    monitor : Monitor
        Where what was rented is shown.
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
        monitor: Monitor,
    ) -> None:
        self.client = client
        self.model = RentModel(plan, pd.DataFrame())
        self.main = main
        self.on_main = on_main
        self.monitor = monitor
        self._given = given
        self._type = type
        self._tell = tell
        self._closed = False
        self._asked_facts = False
        self._stop_listening: Callable[[], None] = lambda: None
        self._work = Work(self.main, lambda: self.on_main(self.drain))

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
            self.model.note = words.TAKEN_OVER
            self._follow(run)

    def close(self) -> None:
        """End. Machines stay, and a rent that is under way goes on."""
        self._closed = True
        self._stop_listening()
        self._work.close()

    def drain(self) -> None:
        """Take what threads have brought; on the main thread only."""
        if self._closed or not self.main.here:
            return
        taken = self._work.take()
        run = self.model.run
        if run is not None and not run.busy and self.model.phase == "renting":
            self._take_steps()
        self.monitor.drain()
        if taken:
            self._tell()

    def wait(self, timeout: float) -> bool:
        """Wait for what is under way; return False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            run = self.model.run
            done = run is None or run.wait(max(0.0, deadline - time.monotonic()))
            done &= self._work.wait(max(0.0, deadline - time.monotonic()))
            self.drain()
            run = self.model.run
            idle = self._work.wait(0) and (run is None or not run.busy)
            if not done or idle:  # what was taken may have begun something else
                return done

    def view(self) -> dict[str, Any]:
        """Return the page's picture."""
        return view_of(
            self.model,
            self.monitor.rows(),
            now=time.time(),
            clock=self.client.transport.clock.time(),
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
        self.model.not_begun()  # until it has
        if not RUNS.begin(self._account, run):
            raise ClickRefused(words.ANOTHER_IN_PROGRESS)
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
        self.model.note = words.SEARCHING_AGAIN
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

    # -- inside -------------------------------------------------------------------------------

    @property
    def _account(self) -> str:
        return self.client.transport.account

    def _do(self, work: Callable[[], Any], take: Callable[[Any], None]) -> None:
        self._work.do(work, take, self.model.failed)

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
        self.model.rented[one.id] = one
        self.client.watcher.expect(one.id, "running")
        self.monitor.follow(one.id)

    def take_replacements(self) -> None:
        """Take the machines that were rented in the monitor, in the place of others."""
        for number in self.monitor.ids or ():
            if number not in self.model.rented:
                self.model.rented[number] = Instance(self.client, number)

    def _take_account(self, account: Account) -> None:
        self.model.account = account

    def _take_templates(self, templates: tuple[Template, ...] | None) -> None:
        self.model.templates = () if templates is None else templates

    def _take_settled(self, found: Found) -> None:
        if self.model.run is None:
            self.model.found = found

    def _found_out(self, found: Found) -> None:
        self.model.found_out(found)
        for number in found.ids:  # without asking for it: what was found bills, and is shown
            if number not in self.model.rented:
                self._add_machine(Instance(self.client, number))

    def _take_offers(self, result: pd.DataFrame) -> None:
        gone = len(set(self.model.ids) - {int(one) for one in result.get("id", ())})
        if not self.model.open_question:
            self.model.outcome = None
            self.model.back()
        self.model.set_offers(result)
        self.model.note = (
            (words.OFFER_GONE if gone == 1 else words.OFFERS_GONE.format(n=gone)) if gone else ""
        )
