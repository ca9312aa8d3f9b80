"""`explore`: the market in one widget, whose state is a query, a frame and a line of code.

`Explorer` is a thin shell. `ExplorerModel` decides; this module moves its decisions about: filters
in from the page, rows and the status line out to it, searches to a worker and their answers back.

Everything is written from one thread, the kernel's main one: handlers of messages from the page
may run in others (that varies with the kernel), and searches always do, so both only hand over
(`_on_main`). The kernel is never blocked by the page; only Python code that asks for something
(`explore` itself, `filter`, `wait`) waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import traitlets

from vastnb.errors import VastError
from vastnb.market.narrow import REPRICED
from vastnb.market.query.query import Query, parse_query
from vastnb.widgets.explorer import words
from vastnb.widgets.explorer.drawer import Drawer, makes_no_widget_of_a_click
from vastnb.widgets.explorer.filters import FilterState
from vastnb.widgets.explorer.model import ExplorerModel
from vastnb.widgets.explorer.past import compared
from vastnb.widgets.explorer.view import beside_rows, static_copy
from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.search import Fetching, Problem, Request, answer
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
    renting = traitlets.Unicode().tag(sync=True)
    _controls = "filters"
    _model: ExplorerModel

    def __init__(self, client: Client, state: FilterState, *, limit: int | None = None) -> None:
        super().__init__(client, ExplorerModel(state, limit=limit))
        client.renter.look_after()
        self._drawer = Drawer(client)
        self._sent = (0, 0.0)
        self.observe(lambda _: self._on_main(self._tell), "order")
        with self._closed_on_error():
            self._fetch_now(self._model.change(state))

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
        return self._code()

    def _code(self) -> str:
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
        self._change(changes)
        return self

    def _end(self) -> None:
        """End its searches and its rent form."""
        super()._end()
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
        if content.get("type") == "reset":
            self._on_main(self._reset)
        elif content.get("type") == "rent":
            self._on_main(self._open_form)

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

    def _reset(self) -> None:
        kept = self._model.state
        state = FilterState(type=kept.type, disk=kept.disk)
        request = self._model.change(state)
        self.filters = state.page()
        self._fetch_later(request)

    # -- searches -----------------------------------------------------------------------------

    def _fetch(self, job: Request) -> pd.DataFrame | VastError:
        result = answer(self._client, job)
        return result if isinstance(result, VastError) else compared(self._client, result)

    # -- to the page --------------------------------------------------------------------------

    def _show(self) -> None:
        """Send the page what has changed: all rows, prices, or only which rows are shown."""
        if self._closed:
            return
        model, now = self._model, (self._model.answers, self._model.state.disk)
        if now[0] != self._sent[0]:
            self._send_everything()
        elif now != self._sent:
            priced = [name for name in REPRICED if name in model.frame and name in EXPLORER_COLUMNS]
            self._send_columns(model.frame, priced, model.positions, **beside_rows(model))
        else:
            self._send_rows(model.positions, **beside_rows(model))
        self._sent = now
        self._tell()

    def _send_everything(self) -> int:
        model = self._model
        self._sent = (model.answers, model.state.disk)
        extra = beside_rows(model)
        return self._send_offers(model.frame, EXPLORER_COLUMNS, model.positions, **extra)

    def _copy(self) -> str:
        return static_copy(self._model, self.order, css_class=self.copy_class)
