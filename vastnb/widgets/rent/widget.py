"""`rent_form`: from an offer to a machine that one can log in to, with the price confirmed.

`RentForm` is a thin shell. `RentModel` decides what a click means, `RentRun` rents in a thread of
its own, a `Monitor` follows and shows what was rented; this module moves what they say about. The
page gets its whole picture as one message after every change, and no trait holds any of it, so
nothing that is typed into the form is part of a saved notebook.

Everything is written from the kernel's main thread, which is never blocked by the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import traitlets

from vastnb.errors import InvalidRequest
from vastnb.fleet.rent.candidates import as_given, disk_for, is_query, offers_of
from vastnb.market.frames.terms import DISK_GB
from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.widget import LiveWidget, one_a_place
from vastnb.widgets.rent import words
from vastnb.widgets.rent.memory import remembered
from vastnb.widgets.rent.messages import handle
from vastnb.widgets.rent.model import RentModel
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.price import bids_in, cost_of
from vastnb.widgets.rent.session import RentSession
from vastnb.widgets.rent.view import static_form
from vastnb.widgets.rent.warnings import Warning

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.instance import Fleet, Instance


def rent_form(
    client: Client,
    offers: Any = None,
    *,
    type: str = "on-demand",
    key: str | None = None,
    **plan: Any,
) -> RentForm:
    """Open the rent form: price, warnings, one confirmed click, and progress.

    This call rents nothing. A confirmed click in the page rents once, at most at the price that it
    shows, or not at all.

    Parameters
    ----------
    client : Client
        The client that rents.
    offers : DataFrame, row, id, sequence of ids, or query, optional
        Candidates, best first; the next is tried if one is gone. A query (or dict, as for
        ``Client.search_offers``) gives its eight cheapest offers. Without offers, the form says
        what to pass.
    type : str
        ``"on-demand"`` or ``"bid"``, for a query.
    key : str, optional
        A newer form with the same key replaces this one. By default the notebook cell is the key.
        A rental in progress continues, and the next form shows it.
    **plan
        Initial values of the fields: ``image``, ``disk`` (by default that of the search),
        ``label``, ``env``, ``onstart``, ``runtype``, ``template_hash``, ``bid``, ``count``,
        ``max_dph``, ``hours``, ``download_gb``, ``upload_gb``, ``max_hours``, ``budget_usd``.

    Returns
    -------
    RentForm
        With ``.result``, ``.machines``, ``.cost``, ``.warnings`` and ``.to_code()`` at any moment.

    Raises
    ------
    InvalidRequest
        If a field does not exist or cannot have that value. Errors of Vast.ai or the network are
        shown in the form instead.

    Examples
    --------
    >>> import vastnb
    >>> client = vastnb.demo()
    >>> df = client.search_offers("gpu_name=RTX_4090", order="dph_total")
    >>> form = vastnb.rent_form(client, df.head(3), image="pytorch/pytorch")  # doctest: +SKIP
    """
    if type not in ("on-demand", "bid", "interruptible"):
        raise InvalidRequest(words.BAD_TYPE.format(type=type))
    given = as_given(offers)
    if "disk" not in plan and offers is not None and not is_query(offers):
        searched = disk_for(offers_of(given), None)
        if searched > DISK_GB:  # the default says nothing; what was rented last time does
            plan["disk"] = searched
    understood = RentPlan().changed({**remembered(client, plan), **plan})
    if understood.template_hash and "runtype" not in plan:
        understood = understood.changed({"runtype": None})
    kind = "on-demand" if type == "on-demand" and understood.bid is None else "bid"
    form = RentForm(client, given, understood, type=kind)
    one_a_place(form, key)
    form.take_up()  # only now: it may be that of the form which was just replaced
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

    Attributes
    ----------
    monitoring : str
        Model id of the monitor of what was rented; empty before.
    """

    _esm = bundle("rent/view")
    monitoring = traitlets.Unicode().tag(sync=True)
    _css = styles(
        "kit/theme", "kit/status", "kit/fields", "rent/price", "rent/progress", "rent/view"
    )

    def __init__(
        self, client: Client, offers: Any, plan: RentPlan, *, type: str = "on-demand"
    ) -> None:
        super().__init__()
        self._acked: dict[str, int] = {}
        self._session = RentSession(
            client,
            offers,
            plan,
            type=type,
            main=self._main,
            on_main=self._on_main,
            tell=self._tell,
        )
        self._monitor = self._session.monitor
        with self._closed_on_error():
            self._session.begin()

    # -- for the user -------------------------------------------------------------------------

    @property
    def _model(self) -> RentModel:
        """What it holds, with what threads have brought."""
        self._session.drain()
        return self._session.model

    @property
    def phase(self) -> str:
        """Its phase: ``"plan"``, ``"confirm"``, ``"renting"`` or ``"rented"`` (ended)."""
        return self._model.phase

    @property
    def offers(self) -> pd.DataFrame:
        """The candidates, in the order in which they are tried."""
        return self._model.offers

    @property
    def cost(self) -> pd.DataFrame:
        """What the job costs on each candidate, for one machine; terms as ``df.vast.cost``.

        For a bid, the GPUs are counted at the bid, the most that is charged.
        """
        model = self._model
        return cost_of(bids_in(model.offers, model.plan), model.plan)

    @property
    def max_dph(self) -> float | None:
        """The price that you confirm: the most that one machine may cost, $/h with its disk."""
        return self._model.price.max_dph

    @property
    def warnings(self) -> list[Warning]:
        """Warnings about the first candidate, most important first."""
        return self._model.warnings()

    @property
    def result(self) -> Instance | Fleet | None:
        """What was rented; None before that, or if nothing was."""
        run = self._model.run
        self._session.seen()
        return None if run is None else run.result

    @property
    def machines(self) -> list[Instance]:
        """The machines that this form rented and has not destroyed."""
        rented = self._model.rented
        gone = {row["id"] for row in self._monitor.rows() if row["state"] == "gone"}
        return [one for id, one in rented.items() if id not in gone]

    @property
    def error(self) -> BaseException | None:
        """Why nothing was rented, or why that is unknown."""
        run = self._model.run
        return None if run is None else run.error

    def to_code(self) -> str:
        """Return the code that rents what the form would rent.

        Values of environment variables become ``os.environ["NAME"]``, the start script a file.
        """
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
        self._model.change_all(changes)
        self._tell()
        return self

    def wait(self, timeout: float = 300) -> bool:
        """Wait for a rental or search in progress; return False after `timeout` seconds."""
        return self._session.wait(timeout)

    def take_offers(
        self, offers: pd.DataFrame, *, disk: float | None = None, count: int | None = None
    ) -> None:
        """Replace the candidates; filled-in fields stay. Not while renting.

        Parameters
        ----------
        offers : DataFrame
            Candidates with prices, best first.
        disk : float, optional
            GB.
        count : int, optional
            Machines.
        """
        self._session.drain()
        self._session.take_offers(offers, {"disk": disk, "count": count})
        self._tell()

    def take_up(self) -> None:
        """Show a rental of a closed form that is in progress, or ended unseen."""
        self._session.take_up()
        self._tell()

    def _end(self) -> None:
        """End the form. Machines stay, and a rent that is under way goes on.

        The next form on this account shows it; so does ``client.reconcile()``.
        """
        if "_session" in self.__dict__:  # else it was never made whole
            self._session.close()

    def __repr__(self) -> str:
        if machines := self.machines:
            return f"<RentForm: rented {', '.join(str(one.id) for one in machines)}>"
        many = len(self._session.model.offers)
        made_up = ", simulated" if self._session.client.simulated else ""
        return f"<RentForm: {many} offer{'s' * (many != 1)}, {self._session.model.phase}{made_up}>"

    # -- the page -----------------------------------------------------------------------------

    def _heard(self, content: Mapping[str, Any]) -> None:
        self._on_main(lambda: self._take(content))

    def _show_error(self, error: Exception) -> None:
        self._session.model.failed(error)
        self._tell()

    def _take(self, content: Mapping[str, Any]) -> None:
        if content.get("type") == "ready":
            self._listening = True
        page, number = content.get("page"), content.get("seq")
        if isinstance(page, str) and isinstance(number, int):
            self._acked.pop(page, None)
            self._acked[page] = number
            while len(self._acked) > _PAGES:
                del self._acked[next(iter(self._acked))]
        handle(self._session, content, self._to_page)
        self._tell()

    def _to_page(self, message: dict[str, Any]) -> None:
        if self._listening:  # it may be a secret, which goes to nobody who is not there
            self.send(message)

    def _tell(self) -> None:
        """Send the page its whole picture."""
        if self._session.model.rented and not self._closed:
            self.monitoring = self._monitor.model_id or ""
        if self._listening and not self._closed:
            self.send({**self._session.view(), "acked": self._acked})
            self._session.seen()

    def _copy(self) -> str:
        form = static_form(
            self._session.model,
            simulated=self._session.client.simulated,
            css_class=self.copy_class,
        )
        if not self._session.model.rented:
            return form
        machines = self._monitor._copy(css_class=self.copy_class, note=words.COPY_OF_MACHINES)
        return machines + form


_PAGES = 8
"""Pages whose last message is remembered."""
