"""`explore`: the market in one widget, whose state is a query, a frame and a line of code.

`Explorer` is a thin shell. `ExplorerModel` decides; this module moves its decisions about: filters
in from the page, rows and the status line out to it, searches to a worker and their answers back.

Everything is written from one thread, the kernel's main one: handlers of messages from the page
may run in others (that varies with the kernel), and searches always do, so both only hand over
(`_on_main`). The kernel is never blocked by the page; only Python code that asks for something
(`explore` itself, `filter`, `wait`) waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import traitlets

from vastnb.errors import QueryError, VastError
from vastnb.market.narrow import REPRICED
from vastnb.market.query.query import Query, parse_query
from vastnb.widgets.explorer import words
from vastnb.widgets.explorer.drawer import Drawer, makes_no_widget_of_a_click
from vastnb.widgets.explorer.filters import FilterState
from vastnb.widgets.explorer.model import ExplorerModel
from vastnb.widgets.explorer.past import compared
from vastnb.widgets.explorer.view import beside_rows, static_copy
from vastnb.widgets.kit.bells import Bells
from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.search import SLOT, Fetching, Problem, Request, answer
from vastnb.widgets.kit.widget import one_a_place
from vastnb.widgets.table.columns import EXPLORER_COLUMNS
from vastnb.widgets.table.widget import RowsWidget

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.widgets.rent.widget import RentForm


def explore(
    client: Client,
    query: str | Mapping[str, Any] | Query | None = None,
    *,
    type: str = "on-demand",
    storage: float = 10,
    limit: int | None = None,
    key: str | None = None,
    **keywords: Any,
) -> Explorer:
    """Open the explorer on a client: filter, sort, plot and select GPU offers.

    It searches once at the start. Filters that narrow a complete result are applied locally; others
    are sent to Vast.ai, one at a time, within its rate limit.

    Parameters
    ----------
    client : Client
        The client to search with.
    query : str, dict or Query, optional
        The first query, as for ``Client.search_offers``; combined with `keywords`.
    type : str
        ``"on-demand"``, ``"bid"`` (also ``"interruptible"``) or ``"reserved"``.
    storage : float
        GB of disk that every price includes.
    limit : int, optional
        Maximum number of offers in one result; by default Vast.ai decides.
    key : str, optional
        A newer explorer with the same key replaces this one. By default the notebook cell is the
        key, so running a cell again leaves nothing behind.
    **keywords
        More of the query: ``gpu_name="RTX 4090"``, ``num_gpus=(2, None)``.

    Returns
    -------
    Explorer
        With ``.query``, ``.df``, ``.selected`` and ``.to_code()``, always up to date.

    Raises
    ------
    QueryError
        If `query` cannot be understood. Errors of Vast.ai or the network are shown in the explorer
        instead.

    Examples
    --------
    >>> import vastnb
    >>> explorer = vastnb.explore(vastnb.demo(), "gpu_name=RTX_4090")  # doctest: +SKIP
    >>> explorer.df["dph_total"].min()  # doctest: +SKIP
    """
    understood = parse_query(query, **keywords)
    state = FilterState.from_query(understood, type=type, disk=storage)
    explorer = Explorer(client, state, limit=limit)
    one_a_place(explorer, key)
    explorer.take_up()
    return explorer


class Explorer(Fetching[Request, "pd.DataFrame | VastError"], RowsWidget):
    """Filters, offers and a chart in one widget; made by `explore`.

    Parameters
    ----------
    client : Client
        The client to search with.
    state : FilterState
        What the filter panel says at first.
    limit : int, optional
        Maximum number of offers in one result.

    Attributes
    ----------
    filters : dict
        The panel's state as the page holds it. Set it through `filter`.
    status : dict
        What the status line says. Nothing secret is in it.
    renting : str
        Model id of the rent form while it is open, else empty.
    """

    _esm = bundle("explorer/view")
    _css = styles(
        "kit/theme", "table/view", "kit/fields", "kit/status", "explorer/controls", "explorer/view"
    )
    filters = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    _model: ExplorerModel
    renting = traitlets.Unicode().tag(sync=True)

    def __init__(self, client: Client, state: FilterState, *, limit: int | None = None) -> None:
        model = ExplorerModel(state, limit=limit)
        super().__init__(filters=state.page())
        self._set_up(client)
        client.renter.look_after()
        self._drawer = Drawer(client)
        self._bells = Bells(client)
        self._model = model
        self._priced: tuple[int, float] | None = None
        self._loaded = 0
        self._answers = 0
        self.observe(self._on_filters, "filters")
        self.observe(self._on_order, "order")
        with self._closed_on_error():
            self._fetch_now(model.change(state).request)

    # -- for the user -------------------------------------------------------------------------

    @property
    def query(self) -> str:
        """What is shown, in Vast's query language; ``client.search_offers`` takes it."""
        self._drain()
        return self._model.query.text

    @property
    def df(self) -> pd.DataFrame:
        """The offers that are shown, in the order of the table.

        ``df.attrs["vastnb"]`` says where they come from. Prices include the disk of the panel.
        """
        self._drain()
        return self._model.shown(self.order)

    @property
    def selected(self) -> pd.DataFrame:
        """The selected offers (including those hidden by filters), in the order of selection."""
        self._drain()
        frame = self._model.frame
        if "id" not in frame.columns:
            return frame
        places = {int(offer): at for at, offer in enumerate(frame["id"])}
        found = frame.iloc[[places[i] for i in self.selected_ids if i in places]]
        found = found.reset_index(drop=True)
        found.attrs["vastnb"] = self._model.provenance
        return found

    @property
    def rent_form(self) -> RentForm:
        """The rent form that the *Rent* button opens, created for the selected offers.

        Raises
        ------
        InvalidRequest
            For reserved offers.
        """
        return self._drawer.form or self._form_for_selection()

    def take_up(self) -> None:
        """Open the rent form if a rent is under way whose form was closed with its explorer."""
        if self._drawer.left_open():
            disk = self._model.state.disk
            form = self._drawer.open(self.selected, type="on-demand", disk=disk)
            self.renting = form.model_id or ""

    def to_code(self) -> str:
        """Return the line of code that returns the same offers as a DataFrame."""
        self._drain()
        return self._model.code(self.order)

    def filter(self, **changes: Any) -> Self:
        """Change filters as the panel would, and wait for the result.

        Parameters
        ----------
        **changes
            Fields of `vastnb.widgets.explorer.filters.FilterState`: ``gpu_name=["RTX 4090"]``,
            ``max_price=1.5``, ``disk=100``; ``None`` (or an empty list) means any.

        Returns
        -------
        Explorer
            Itself.

        Raises
        ------
        QueryError
            For a filter that does not exist or a value that it cannot have.
        """
        self._drain()
        state = self._model.state.changed(changes)
        self._work.cancel(SLOT)
        plan = self._model.change(state)
        self.filters = state.page()
        self._fetch_now(plan.request)
        return self

    def refresh(self) -> Self:
        """Search again, bypassing the cache, and wait for the result."""
        self._drain()
        self._fetch_now(self._model.refresh().request)
        return self

    def _end(self) -> None:
        """End its searches and its rent form; the frames stay readable."""
        self._end_fetching()
        if "_drawer" in self.__dict__:
            self._drawer.close()

    def __repr__(self) -> str:
        figures = self._model.figures()
        where = f"from {self._model.query.text}" if self._model.query.text else "of the market"
        made_up = ", simulated" if self._model.provenance.get("simulated") else ""
        return f"<Explorer: {figures['shown']:,} offers {where}{made_up}>"

    # -- from the page ------------------------------------------------------------------------

    def _heard(self, content: Mapping[str, Any]) -> None:
        super()._heard(content)
        kind = content.get("type")
        if kind == "refresh":
            self._on_main(lambda: self._fetch_later(self._model.refresh().request, at_once=True))
        elif kind == "reset":
            self._on_main(self._reset)
        elif kind == "rent":
            self._on_main(self._open_form)
        elif kind == "bell":
            self._on_main(lambda: self._take_bell(content))

    def _show_error(self, error: Exception) -> None:
        self._model.problem = Problem.of(error)
        self._tell()

    def _on_filters(self, _change: Any) -> None:
        self._on_main(self._take_filters)

    def _on_order(self, _change: Any) -> None:
        self._on_main(self._tell)

    def _take_filters(self) -> None:
        self._drain()
        try:
            state = self._model.state.changed(self.filters)
        except QueryError as error:
            self._model.problem = Problem.of(error)
            self._tell()
            return
        if state != self._model.state:
            self._fetch_later(self._model.change(state).request)

    def _form_for_selection(self) -> RentForm:
        state = self._model.state
        return self._drawer.open(self.selected, type=state.type, disk=state.disk)

    def _open_form(self) -> None:
        if makes_no_widget_of_a_click():
            ids = [int(one) for one in self.selected["id"]]
            code = f"vastnb.rent_form(client, {ids}, disk={self._model.state.disk:g})"
            self._model.problem = Problem(
                "host", words.MARIMO_OPENS_NO_FORM, words.RUN_IN_A_CELL.format(code=code), False
            )
            self._tell()
            return
        try:
            self.renting = self._form_for_selection().model_id or ""
        except VastError as error:
            self._model.problem = Problem.of(error, words.CANNOT_BE_RENTED)
        self._tell()

    def _take_bell(self, content: Mapping[str, Any]) -> None:
        state = self._model.state
        try:
            self._bells.take(
                content, self._model.query, per="offer", type=state.type, storage=state.disk
            )
        except VastError as error:
            self._model.problem = Problem.of(error, words.NO_ALERT_SET)
        self._tell()

    def _reset(self) -> None:
        kept = self._model.state
        state = FilterState(type=kept.type, disk=kept.disk)
        plan = self._model.change(state)
        self.filters = state.page()
        self._fetch_later(plan.request)

    # -- searches -----------------------------------------------------------------------------

    def _fetch(self, job: Request) -> pd.DataFrame | VastError:
        result = answer(self._client, job)
        return result if isinstance(result, VastError) else compared(self._client, result)

    def _take(self, job: Request, result: pd.DataFrame | VastError) -> None:
        if isinstance(result, VastError):
            self._model.fail(job, result)
        elif self._model.accept(job, result):
            self._answers += 1

    def _waits(self) -> bool:
        return self._model.waiting is not None

    # -- to the page --------------------------------------------------------------------------

    def _show(self) -> None:
        """Send the page what has changed: all rows, prices, or only which rows are shown."""
        if self._closed:
            return
        model = self._model
        extra = beside_rows(self._model, time.time())
        if self._loaded != self._answers:
            self._send_everything()
        elif self._priced != self._price_key():
            columns = [name for name in REPRICED if name in model.frame.columns]
            shown = [name for name in columns if name in EXPLORER_COLUMNS]
            self._send_columns(model.frame, shown, model.positions, **extra)
        else:
            self._send_rows(model.positions, **extra)
        self._priced = self._price_key()
        self._tell()

    def _send_everything(self) -> int:
        model = self._model
        self._loaded = self._answers
        self._priced = self._price_key()
        extra = beside_rows(model, time.time())
        return self._send_offers(model.frame, EXPLORER_COLUMNS, positions=model.positions, **extra)

    def _price_key(self) -> tuple[int, float]:
        return self._answers, self._model.state.disk

    def _tell(self) -> None:
        """Set the status line."""
        if not self._closed:
            self.status = self._status(self._model.figures(), self._model.code(self.order))

    def _copy(self) -> str:
        return static_copy(self._model, self.order, css_class=self.copy_class)
