"""What goes on behind a rent form: searching, renting, and finding out.

`RentSession` ties the form's model to what is done in threads: a `RentRun` that rents, and short
questions beside it. What was rented goes to a `Monitor`, which alone follows it. It has no page:
the widget gives it a function that shows the whole picture. All of its methods are called on the
kernel's main thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.instance import Instance
from vastnb.fleet.rent.candidates import is_query
from vastnb.widgets.kit.work import MainThread, Work
from vastnb.widgets.monitor.widget import Monitor
from vastnb.widgets.rent import words
from vastnb.widgets.rent.memory import remember
from vastnb.widgets.rent.model import ClickRefused, RentModel
from vastnb.widgets.rent.offers import candidates
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.questions import Found, account_of, settle, templates_of
from vastnb.widgets.rent.run import RUNS, RentRun
from vastnb.widgets.rent.view import view_of

if TYPE_CHECKING:
    from vastnb.client import Client


class RentSession:
    """State and work of one rent form.

    Parameters
    ----------
    client, given, plan, type
        As for `RentForm`.
    main : MainThread
        Where everything is taken.
    on_main : callable
        Does something there, and shows what goes wrong.
    tell : callable
        Shows the whole picture.
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
    ) -> None:
        self.client = client
        self.model = RentModel(plan, pd.DataFrame())
        # Made here and not by a click, of which some hosts make no widget.
        self.monitor = Monitor(client, ids=(), look=False, on_show=self._take_machines)
        self._given = given
        self._type = type
        self._main = main
        self._on_main = on_main
        self._tell = tell
        self._closed = False
        self._asked_facts = False
        self._stop_listening: Callable[[], None] = lambda: None
        self._work = Work(main, lambda: on_main(self.drain))

    # -- beginning and end --------------------------------------------------------------------

    def begin(self) -> None:
        """Find the candidates in this thread.

        Raises
        ------
        InvalidRequest
            If what was given is no offer. What goes wrong with the service is shown instead.
        """
        disk = self.model.plan.disk
        try:
            self.model.set_offers(candidates(self.client, self._given, type=self._type, disk=disk))
        except InvalidRequest:
            raise
        except VastError as error:
            self.model.failed(error)

    def take_up(self) -> None:
        """Take up a rent whose form was closed before anybody saw it end."""
        run = RUNS.of_interest(self.client.transport.account)
        if run is not None:
            self.model.plan = run.plan
            self.model.set_offers(run.offers)
            self._follow(run)
            if self.model.phase == "renting":
                self.model.note = words.TAKEN_OVER

    def close(self) -> None:
        """End. Machines stay, and a rent that is under way goes on."""
        self._closed = True
        self._stop_listening()
        self._work.close()
        self.monitor.close()

    def drain(self) -> None:
        """Take what threads have brought; on the main thread only."""
        if self._closed or not self._main.here:
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
        return view_of(self.model, self.monitor.rows(), self.client)

    def seen(self) -> None:
        """Take note that somebody has seen how the rent ended."""
        run = self.model.run
        if run is not None and not run.busy:
            RUNS.seen(run)

    # -- from fields to a rent ----------------------------------------------------------------

    def confirm(self, click: Mapping[str, Any]) -> None:
        """Take the click that rents.

        Raises
        ------
        ClickRefused
            If it rents nothing; see `RentModel.accept`.
        """
        offers, arguments = self.model.accept(click, time.time())
        run = RentRun(self.client, offers, arguments, self.model.plan)
        try:
            RUNS.begin(run)
        finally:  # a Ctrl-C may come as well: what has begun goes on, and the form shows it
            if RUNS.of_interest(run.account) is run:
                self._follow(run)
        if self.model.run is not run:
            raise ClickRefused(words.ANOTHER_IN_PROGRESS)
        remember(self.client, run.plan)

    def take_offers(self, offers: pd.DataFrame, changes: Mapping[str, Any]) -> None:
        """Take other candidates, unless it rents just now; what else is filled in stays."""
        if self.model.phase == "renting":
            return
        self.model.change_all({name: one for name, one in changes.items() if one is not None})
        self._given = offers
        self.model.back()
        self.model.set_offers(offers)

    def search_again(self) -> None:
        """Ask for the offers anew, unless it rents just now."""
        model = self.model
        if model.phase == "renting":
            return
        model.note = words.SEARCHING_AGAIN
        query = self._given is not None and is_query(self._given)
        given = self._given if query or not model.ids else model.ids
        search = partial(
            candidates,
            offers=given,
            type="bid" if model.of_bid_search else self._type,
            disk=model.plan.disk,
            refresh=True,
        )
        self._ask(search, partial(self._take_offers, model.run))

    def find_out(self) -> None:
        """Have what was left open settled, unless it rents just now."""
        if not self.model.finding and self.model.phase != "renting":
            self.model.finding = True
            self._ask(settle, partial(self._found_out, self.model.run))

    def ask_facts(self) -> None:
        """Ask for the account, the templates, and what was left open; once."""
        if self._asked_facts:
            return
        self._asked_facts = True
        self._ask(account_of, partial(setattr, self.model, "account"))
        self._ask(templates_of, partial(setattr, self.model, "templates"))
        if self.model.run is None:
            self._ask(settle, self._take_settled)

    # -- inside -------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Client], Any], take: Callable[[Any], None]) -> None:
        run = self.model.run

        def failed(error: BaseException) -> None:
            if self.model.run is run:  # else the form shows what came of a later rent
                self.model.failed(error)
            self.model.finding = False

        self._work.do(lambda: question(self.client), take, failed)

    def _follow(self, run: RentRun) -> None:
        self.model.begin(run)
        self._stop_listening = run.listen(lambda: self._on_main(self._take_steps))
        self._take_steps()

    def _take_steps(self) -> None:
        run = self.model.run
        if run is not None and self.model.ended():
            self._stop_listening()
            for one in run.instances:
                self._add_machine(one)
        self._tell()

    def _add_machine(self, one: Instance) -> None:
        self.model.rented[one.id] = one
        self.client.watcher.expect(one.id, "running")
        self.monitor.follow(one.id)

    def _take_machines(self) -> None:
        """Take what the monitor has seen: also what was rented there, in the place of others."""
        rented = self.model.rented
        if not rented:
            return
        for number in self.monitor.ids or ():
            if number not in rented:
                rented[number] = Instance(self.client, number)
        credit = self.client.watcher.snapshot.credit
        if credit is not None:
            self.model.account = replace(self.model.account, credit=credit)
        self._tell()

    def _take_settled(self, found: Found) -> None:
        if self.model.run is None:
            self.model.found = found

    def _found_out(self, run: RentRun | None, found: Found) -> None:
        if self.model.run is run:
            self.model.found_out(found)
        else:  # asked before the rent that the form shows: of this one it says nothing
            self.model.finding = False
        for number in found.ids:  # without asking for it: what was found bills, and is shown
            if number not in self.model.rented:
                self._add_machine(Instance(self.client, number))

    def _take_offers(self, run: RentRun | None, result: pd.DataFrame) -> None:
        if self.model.run is not run:
            return  # a rent has begun since, and the form shows what comes of it
        gone = len(set(self.model.ids) - {int(one) for one in result.get("id", ())})
        if not self.model.open_question:
            self.model.outcome = None
            self.model.back()
        self.model.set_offers(result)
        self.model.note = (
            (words.OFFER_GONE if gone == 1 else words.OFFERS_GONE.format(n=gone)) if gone else ""
        )
