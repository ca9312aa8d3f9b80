"""`rent_form`: from an offer to a machine that one can log in to, with the price confirmed.

`RentForm` is a thin shell. `RentModel` decides what a click means, `RentRun` rents in a thread of
its own, the client's watcher follows the machines at the page's pace; this module moves what they
say about. The page gets its whole picture as one message after every change, and no trait holds
any of it, so nothing that is typed into the form is part of a saved notebook.

Everything is written from the kernel's main thread, which is never blocked by the page.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from vastnb.api.progress import silent, waits_shown_by
from vastnb.errors import InvalidRequest, VastError
from vastnb.market.cost import cost

from . import registry
from .assets import bundle, styles
from .live import LiveWidget
from .main_thread import MainThread
from .poller import Poller
from .rent_facts import Found, Template, account_of, settle, templates_of
from .rent_machines import Machine, seen_in
from .rent_model import ClickRefused, RentModel
from .rent_offers import as_given, candidates
from .rent_plan import RentPlan
from .rent_run import RUNS, RentRun
from .rent_view import static_form, view_of
from .rent_warnings import Account, Warning
from .rent_words import Outcome, outcome_of

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.instance import Fleet, Instance
    from vastnb.fleet.watch import Change, Snapshot

THREAD = "vastnb-form"
TAKEN_OVER = "This rent was begun by a form whose cell was run again. It goes on here."


def rent_form(
    client: Client,
    offers: Any = None,
    *,
    type: str = "on-demand",
    key: str | None = None,
    **plan: Any,
) -> RentForm:
    """Open the form that rents: what it costs, what to know, one confirmed click, and progress.

    Nothing is rented by this call. A click in the page rents at the price that it shows or not at
    all, once.

    Parameters
    ----------
    client : Client
        Who rents.
    offers : DataFrame, row, id, sequence of ids, or query, optional
        Candidates, best first; the next is tried if one is taken. A query (or dict, as for
        ``Client.search_offers``) gives its eight cheapest offers. Without offers the form says
        what to give.
    type : str
        ``"on-demand"`` or ``"bid"``, where the offers have to be searched for.
    key : str, optional
        A newer form with the same key replaces this one. By default the notebook cell is the key.
        A rent that is under way goes on and is shown by the next form.
    **plan
        What the form says at first: ``image``, ``template_hash``, ``disk`` (GB), ``runtype``,
        ``label``, ``env``, ``onstart``, ``count``, ``bid``, ``max_hours``, ``budget_usd`` as for
        ``Client.rent``; ``hours``, ``download_gb`` and ``upload_gb`` for the price.

    Returns
    -------
    RentForm
        With ``.result``, ``.machines``, ``.cost``, ``.warnings`` and ``.to_code()`` at any moment.

    Raises
    ------
    InvalidRequest
        If there is no such field, or it cannot have that value. What goes wrong with the service
        does not raise: it is shown in the form.

    Examples
    --------
    >>> import vastnb
    >>> client = vastnb.demo()
    >>> df = client.search_offers("gpu_name=RTX_4090", order="dph_total")
    >>> form = vastnb.rent_form(client, df.head(3), image="pytorch/pytorch")  # doctest: +SKIP
    """
    if type not in ("on-demand", "bid", "interruptible"):
        raise InvalidRequest(
            f'type={type!r}: the form rents "on-demand" or "bid" (also "interruptible"). Nothing '
            "was sent."
        )
    given = as_given(offers)
    understood = RentPlan().changed(plan)
    if understood.template_hash and "runtype" not in plan:
        understood = understood.changed({"runtype": None})
    kind = "on-demand" if type == "on-demand" and understood.bid is None else "bid"
    form = RentForm(client, given, understood, type=kind)
    cell, run = registry.this_cell()
    registry.replace(form, "rent", key or cell, None if key else run)
    return form


class RentForm(LiveWidget):
    """The rent form; made by `rent_form`, or by the explorer's button.

    Parameters
    ----------
    client : Client
        Who rents.
    offers : Any
        Candidates, as for `rent_form`.
    plan : RentPlan
        What it says at first.
    type : str
        Where the offers have to be searched for: ``"on-demand"`` or ``"bid"``.
    """

    _esm = bundle("rent")
    _css = styles("theme", "bars", "filters", "rent")

    def __init__(
        self, client: Client, offers: Any, plan: RentPlan, *, type: str = "on-demand"
    ) -> None:
        super().__init__()
        self._client = client
        self._given = offers
        self._type = type
        self._model = RentModel(plan, pd.DataFrame())
        self._main = MainThread()
        self._closed = False
        self._acked: dict[str, int] = {}
        self._asked_facts = False
        self._results: deque[Callable[[], None]] = deque()
        self._busy = 0
        self._idle = threading.Condition()
        self._run: RentRun | None = None
        self._stop_listening: Callable[[], None] = lambda: None
        self._machines: dict[int, Machine] = {}
        self._instances: dict[int, Instance] = {}
        self._outcome: Outcome | None = None
        self._finding = False
        self._found = Found()
        self._templates: tuple[Template, ...] | None = None
        self._note = ""
        self._poller: Poller | None = None
        try:
            self._search_now()
        except BaseException:  # Ctrl-C while it waits: nobody would hold this widget
            self.close()
            raise
        self._take_over()

    # -- for the user -------------------------------------------------------------------------

    @property
    def phase(self) -> str:
        """Where it is: ``"plan"``, ``"confirm"``, ``"renting"`` or ``"rented"`` (ended)."""
        self._drain()
        return self._model.phase

    @property
    def offers(self) -> pd.DataFrame:
        """The candidates, in the order in which they are tried."""
        self._drain()
        return self._model.offers

    @property
    def cost(self) -> pd.DataFrame:
        """What the job costs on each candidate, for one machine; terms as ``df.vast.cost``.

        For a bid the GPUs are counted at the bid, which is charged at most.
        """
        from .rent_price import bids_in

        self._drain()
        plan = self._model.plan
        return cost(
            bids_in(self._model.offers, plan),
            plan.hours,
            disk=plan.disk,
            download_gb=plan.download_gb,
            upload_gb=plan.upload_gb,
        )

    @property
    def max_dph(self) -> float | None:
        """What a confirmation confirms: $/h that one machine may cost at most, with its disk."""
        self._drain()
        return self._model.price.max_dph

    @property
    def warnings(self) -> list[Warning]:
        """What to know about the first candidate, what matters most first."""
        self._drain()
        return self._model.warnings()

    @property
    def result(self) -> Instance | Fleet | None:
        """What was rented; None before, or if nothing was."""
        self._drain()
        if self._run is None:
            return None
        self._seen()
        return self._run.result

    @property
    def machines(self) -> list[Instance]:
        """The machines that were rented from here and have not been destroyed from here."""
        self._drain()
        return [
            self._instances[one.id]
            for one in self._machines.values()
            if not one.is_gone and one.id in self._instances
        ]

    @property
    def error(self) -> BaseException | None:
        """Why nothing was rented, or why it is not known."""
        self._drain()
        return None if self._run is None else self._run.error

    def to_code(self) -> str:
        """Return the code that rents what the form would rent.

        Values of the environment stand as ``os.environ["NAME"]``, the start script as a file.
        """
        self._drain()
        return self._model.code()

    def set(self, **changes: Any) -> Self:
        """Fill in fields as the page would.

        Parameters
        ----------
        **changes
            As for `rent_form`.

        Returns
        -------
        RentForm
            Itself.

        Raises
        ------
        InvalidRequest
            For a field that does not exist or a value that it cannot have.
        """
        self._drain()
        self._model.change_all(changes)
        self._tell()
        return self

    def wait(self, timeout: float = 300) -> bool:
        """Wait for what is under way (a rent, a search); return False after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        done = self._run is None or self._run.wait(timeout)
        with self._idle:
            done &= self._idle.wait_for(
                lambda: self._busy == 0, max(0.0, deadline - time.monotonic())
            )
        self._drain()
        return done

    def close(self) -> None:
        """End the form. Machines stay, and a rent that is under way goes on.

        The next form on this account shows it; so does ``client.reconcile()``.
        """
        if self._closed:
            return
        self._closed = True
        self._stop_listening()
        if self._poller is not None:
            self._poller.close()
        self._results.clear()
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def __repr__(self) -> str:
        ids = ", ".join(str(one.id) for one in self._machines.values() if not one.is_gone)
        if ids:
            return f"<RentForm: rented {ids}>"
        many = len(self._model.offers)
        made_up = ", simulated" if self._client.simulated else ""
        return f"<RentForm: {many} offer{'s' * (many != 1)}, {self._model.phase}{made_up}>"

    # -- from the page ------------------------------------------------------------------------

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        kind = content.get("type")
        if kind == "look":
            if self._poller is not None:
                self._poller.asked(at_once=content.get("at_once") is True)
            return
        handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is not None:
            self._on_main(lambda: self._handle(handler, content))

    def _handle(
        self, handler: Callable[[RentForm, Mapping[str, Any]], None], content: Mapping[str, Any]
    ) -> None:
        self._drain()
        page, number = content.get("page"), content.get("seq")
        if isinstance(page, str) and isinstance(number, int):
            self._acked = {**dict(list(self._acked.items())[-8:]), page: number}
        try:
            handler(self, content)
        except ClickRefused as refused:
            self._note = refused.message
        except VastError as error:
            self._outcome = outcome_of(error)
            self._model.take_back()
        self._tell()

    def _ready(self, _content: Mapping[str, Any]) -> None:
        self._listening = True
        if not self._asked_facts:
            self._asked_facts = True
            self._ask_facts()

    def _change(self, content: Mapping[str, Any]) -> None:
        self._note = ""
        self._model.change(str(content.get("field")), content.get("value"))

    def _change_env(self, content: Mapping[str, Any]) -> None:
        rows = content.get("rows")
        if isinstance(rows, list):
            self._note = ""
            self._model.change_env([row for row in rows if isinstance(row, dict)])

    def _choose_template(self, content: Mapping[str, Any]) -> None:
        wanted = content.get("hash")
        for one in self._templates or ():
            if one.hash_id == wanted:
                self._model.choose_template(one.hash_id, one.name, one.disk)
                return
        self._model.choose_template(None)

    def _change_offers(self, content: Mapping[str, Any]) -> None:
        number = content.get("id")
        if isinstance(number, int):
            (self._model.drop if content.get("drop") else self._model.first)(number)

    def _reveal(self, content: Mapping[str, Any]) -> None:
        """Send a value back to the page that asks to see it: by a message, which nothing keeps."""
        plan, name = self._model.plan, content.get("name")
        value = plan.onstart or "" if content.get("field") == "onstart" else None
        if content.get("field") == "env" and isinstance(name, str):
            value = plan.env.get(name)
        if value is not None and self._listening:
            kept = {"field": content.get("field"), "name": name, "page": content.get("page")}
            self.send({"type": "secret", "value": value, **kept})

    def _review(self, _content: Mapping[str, Any]) -> None:
        self._note, self._outcome = "", None
        self._model.review(time.time())

    def _back(self, _content: Mapping[str, Any]) -> None:
        self._note = ""
        self._model.take_back()
        if self._model.phase == "rented" and not (self._run and self._run.unknown):
            self._outcome = None
            self._model.phase = "plan"

    def _confirm(self, content: Mapping[str, Any]) -> None:
        self._note = ""
        accepted = self._model.accept(content, time.time())
        run = RentRun(self._client, accepted.offers, accepted.arguments, self._model.plan)
        if not RUNS.begin(self._account, run):
            self._model.phase = "plan"
            raise ClickRefused(
                "Another rent of this account is under way in this kernel. Nothing was sent by "
                "this click: wait for it, and confirm again."
            )
        self._follow(run)

    def _machines_again(self, _content: Mapping[str, Any]) -> None:
        if self._machines and self._model.phase in ("plan", "confirm"):
            self._model.take_back()
            self._model.phase = "rented"

    def _find_out(self, _content: Mapping[str, Any]) -> None:
        if self._finding:
            return
        self._finding = True
        self._aside(lambda: settle(self._client), self._found_out)

    def _search_again(self, _content: Mapping[str, Any]) -> None:
        self._note = "Asking for the offers again…"
        given = self._model.ids or self._given
        given = self._given if _is_query_text(self._given) else given
        plan, kind = self._model.plan, self._type
        self._aside(
            lambda: _attempted(self._client, given, kind, plan.disk),
            self._take_offers,
        )

    def _ask_jupyter(self, content: Mapping[str, Any]) -> None:
        number = content.get("id")
        if number not in self._machines:
            return
        self._aside(lambda: _jupyter(self._client, int(number)), self._send_jupyter)

    def _destroy(self, content: Mapping[str, Any]) -> None:
        number = content.get("id")
        machine = self._machines.get(number) if isinstance(number, int) else None
        if machine is None or machine.ending or machine.is_gone:
            return
        self._machines[machine.id] = replace(machine, ending=True, trouble="")
        self._aside(lambda: _destroyed(self._client, machine.id), self._take_end)

    # -- renting ------------------------------------------------------------------------------

    @property
    def _account(self) -> str:
        return self._client._fleet_base.account

    def _take_over(self) -> None:
        """Show a rent that is under way, or ended unseen, instead of beginning anew."""
        run = RUNS.of_interest(self._account)
        if run is None:
            return
        self._model.plan = run.plan
        self._model.set_offers(run.offers)
        self._note = TAKEN_OVER
        self._follow(run)

    def _follow(self, run: RentRun) -> None:
        self._run, self._outcome, self._found = run, None, Found()
        self._model.take_back()
        self._model.phase = "renting"
        self._stop_listening = run.listen(lambda: self._on_main(self._take_steps))
        self._take_steps()

    def _take_steps(self) -> None:
        run = self._run
        if run is not None and not run.busy and self._model.phase == "renting":
            self._model.phase = "rented"
            self._stop_listening()
            self._take_end_of_run(run)
        self._tell()

    def _take_end_of_run(self, run: RentRun) -> None:
        for one in run.instances:
            self._add_machine(one)
        if run.error is not None:
            self._outcome = outcome_of(run.error)
        elif len(run.instances) < run.count:
            attempts = getattr(run.result, "attempts", None)
            self._outcome = _fell_short(len(run.instances), run.count, attempts)
        elif self._note == TAKEN_OVER:
            self._note = ""

    def _add_machine(self, one: Instance) -> None:
        deadline = getattr(one, "deadline", None)
        self._instances[one.id] = one
        self._machines[one.id] = Machine(
            one.id, deadline=None if deadline is None else deadline.timestamp()
        )
        watcher = self._client.watcher
        watcher.expect(one.id, "running")
        if self._poller is None:
            self._poller = Poller(watcher, self._main, self._on_look, self._tell_pace)

    def _on_look(self, snapshot: Snapshot, _changes: Sequence[Change]) -> None:
        for machine in list(self._machines.values()):
            self._machines[machine.id] = seen_in(machine, snapshot)
        if snapshot.credit is not None:
            self._model.account = replace(self._model.account, credit=snapshot.credit)
        self._tell()

    def _seen(self) -> None:
        """Take note that somebody has seen how the rent ended."""
        if self._run is not None and not self._run.busy and not self._run.shown:
            RUNS.seen(self._account, self._run)

    # -- what is done in threads, and taken on the main one ----------------------------------------

    def _aside(self, work: Callable[[], Any], take: Callable[[Any], None]) -> None:
        """Do `work` in a daemon thread; have the main thread `take` what it returns."""

        def go() -> None:
            try:
                with waits_shown_by(silent):
                    result = work()
            except BaseException as error:  # noqa: BLE001  (it is shown in the form)
                result = error.with_traceback(None)
            if not self._closed:
                self._results.append(lambda: self._taken(take, result))
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()
            self._on_main(self._drain)

        with self._idle:
            self._busy += 1
        threading.Thread(target=go, name=THREAD, daemon=True).start()

    def _taken(self, take: Callable[[Any], None], result: Any) -> None:
        if isinstance(result, BaseException):
            self._finding, self._note = False, ""
            self._outcome = outcome_of(result)
        else:
            take(result)

    def _ask_facts(self) -> None:
        client = self._client
        self._aside(lambda: account_of(client), self._take_account)
        self._aside(lambda: templates_of(client), self._take_templates)
        if self._run is None:
            self._aside(lambda: settle(client), self._take_settled)

    def _take_account(self, account: Account) -> None:
        self._model.account = account

    def _take_templates(self, templates: tuple[Template, ...] | None) -> None:
        self._templates = () if templates is None else templates

    def _take_settled(self, found: Found) -> None:
        self._found = found

    def _found_out(self, found: Found) -> None:
        self._finding, self._found = False, found
        if found.level != "bad":
            self._outcome = None
            if self._run is not None:
                self._run.error = None if self._run.unknown else self._run.error
        for number in found.ids:
            if number not in self._machines:
                self._aside(lambda one=number: self._client.show_instance(one), self._add_machine)

    def _take_offers(self, result: pd.DataFrame | VastError) -> None:
        self._note = ""
        if isinstance(result, VastError):
            self._outcome = outcome_of(result)
            return
        gone = len(set(self._model.ids) - {int(one) for one in result.get("id", ())})
        self._outcome = None
        self._model.set_offers(result)
        if self._model.phase == "rented":
            self._model.phase = "plan"
        if gone:
            self._note = f"{gone} of the offers {'is' if gone == 1 else 'are'} no longer there."

    def _take_end(self, ended: tuple[int, str]) -> None:
        number, trouble = ended
        machine = self._machines[number]
        self._machines[number] = (
            replace(machine, ending=False, trouble=trouble)
            if trouble
            else replace(machine, state="gone", reason="destroyed, and seen gone", ending=False)
        )

    def _send_jupyter(self, found: tuple[int, str | None, str]) -> None:
        number, url, trouble = found
        if self._listening and not self._closed:
            self.send({"type": "jupyter", "id": number, "url": url, "trouble": trouble})

    def _search_now(self) -> None:
        """Find the candidates in this thread; what goes wrong is shown."""
        plan = self._model.plan
        try:
            found = candidates(self._client, self._given, type=self._type, disk=plan.disk)
        except InvalidRequest:
            raise
        except VastError as error:
            self._outcome = outcome_of(error)
            return
        self._model.set_offers(found)

    def take_offers(self, offers: pd.DataFrame, *, disk: float | None = None) -> None:
        """Take other candidates; what is filled in stays. Not while it rents.

        Parameters
        ----------
        offers : DataFrame
            Candidates with prices, best first.
        disk : float, optional
            GB.
        """
        self._drain()
        if self._model.phase == "renting":
            return
        if disk is not None:
            self._model.change_all({"disk": disk})
        self._given, self._note = offers, ""
        if not (self._run and self._run.unknown):
            self._outcome = None
        self._model.set_offers(offers)
        if self._model.phase == "rented" and not (self._run and self._run.unknown):
            self._model.phase = "plan"
        self._tell()

    # -- inside -------------------------------------------------------------------------------

    def _on_main(self, work: Callable[[], None]) -> None:
        self._main.run(lambda: None if self._closed else work())

    def _drain(self) -> None:
        """Take what threads have brought; on the main thread only."""
        if self._closed or not self._main.here:
            return
        changed = bool(self._results)
        while self._results:
            self._results.popleft()()
        if self._run is not None and not self._run.busy and self._model.phase == "renting":
            self._take_steps()
        if self._poller is not None:
            self._poller.drain()
        if changed:
            self._tell()

    def _tell(self) -> None:
        """Send the page its whole picture."""
        if self._closed or not self._listening:
            return
        state = view_of(
            self._model,
            now=time.time(),
            run=self._run,
            machines=list(self._machines.values()),
            outcome=self._outcome,
            finding=self._finding,
            found=self._found,
            templates=self._templates,
            simulated=self._client.simulated,
            has_key=self._client.has_key,
            note=self._note,
        )
        self.send({**state, "acked": self._acked})
        if self._run is not None and not self._run.busy:
            self._seen()

    def _tell_pace(self, message: dict[str, Any]) -> None:
        if self._listening and not self._closed:
            self.send(message)

    def _copy(self) -> str:
        return static_form(
            self._model,
            list(self._machines.values()),
            simulated=self._client.simulated,
            css_class=self.copy_class,
        )


_HANDLERS: dict[str, Callable[[RentForm, Mapping[str, Any]], None]] = {
    "ready": RentForm._ready,
    "change": RentForm._change,
    "env": RentForm._change_env,
    "template": RentForm._choose_template,
    "offers": RentForm._change_offers,
    "reveal": RentForm._reveal,
    "review": RentForm._review,
    "back": RentForm._back,
    "confirm": RentForm._confirm,
    "machines": RentForm._machines_again,
    "find out": RentForm._find_out,
    "search": RentForm._search_again,
    "jupyter": RentForm._ask_jupyter,
    "destroy": RentForm._destroy,
}
"""What the page may say, and what it leads to."""


def _is_query_text(given: Any) -> bool:
    return isinstance(given, str | Mapping)


def _attempted(client: Client, given: Any, kind: str, disk: float) -> pd.DataFrame | VastError:
    try:
        return candidates(client, given, type=kind, disk=disk, refresh=True)
    except VastError as error:
        return error


def _jupyter(client: Client, number: int) -> tuple[int, str | None, str]:
    try:
        url = client.show_instance(number).jupyter_url
    except VastError as error:
        return number, None, error.message
    return number, url, "" if url else "It has no Jupyter address yet."


def _destroyed(client: Client, number: int) -> tuple[int, str]:
    try:
        client.destroy_instance(number)
    except VastError as error:
        return number, error.message
    return number, ""


def _fell_short(rented: int, wanted: int, attempts: Any) -> Outcome:
    reasons = [] if attempts is None else attempts["reason"].dropna().tolist()
    why = f" The last one: {reasons[-1]}" if reasons else ""
    return Outcome(
        "warn",
        f"{rented} of {wanted} machines were rented",
        f"Those that were rented bill; there was no other offer to try.{why}",
        "Rent the rest from other offers, or go on with these.",
        "search",
    )


__all__ = ["RentForm", "rent_form"]
