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
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import traitlets

from vastnb.api.progress import waits_shown_by
from vastnb.errors import QueryError, VastError
from vastnb.market.query import Query, parse_query

from . import registry
from .against_history import compared
from .assets import bundle, styles
from .display import EXPLORER_COLUMNS
from .explorer_drawer import Drawer
from .explorer_model import ExplorerModel, Plan, Problem, Request
from .explorer_status import beside_rows, static_copy, status_of
from .filters import FilterState
from .main_thread import MainThread
from .narrow import REPRICED
from .search_worker import SearchWorker
from .searching import answer, waits_told
from .table import RowsWidget

if TYPE_CHECKING:
    from vastnb.client import Client

    from .rent import RentForm


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

    One search is made at once. Filters that narrow a complete answer are worked out here; others
    go to the service, one at a time, at its pace.

    Parameters
    ----------
    client : Client
        Whose market to look at.
    query : str, dict or Query, optional
        What to begin with, as for ``Client.search_offers``; with `keywords`.
    type : str
        ``"on-demand"``, ``"bid"`` (also ``"interruptible"``) or ``"reserved"``.
    storage : float
        GB of disk that every price includes.
    limit : int, optional
        Most offers of one answer. By default the service decides.
    key : str, optional
        A newer explorer with the same key replaces this one. By default the notebook cell is the
        key, so running a cell again leaves nothing behind.
    **keywords
        More of the query: ``gpu_name="RTX 4090"``, ``num_gpus=(2, None)``.

    Returns
    -------
    Explorer
        With ``.query``, ``.df``, ``.selected`` and ``.to_code()`` at any moment.

    Raises
    ------
    QueryError
        If `query` cannot be understood. What goes wrong with the service does not raise: it is
        shown in the explorer.

    Examples
    --------
    >>> import vastnb
    >>> explorer = vastnb.explore(vastnb.demo(), "gpu_name=RTX_4090")  # doctest: +SKIP
    >>> explorer.df["dph_total"].min()  # doctest: +SKIP
    """
    understood = parse_query(query, **keywords)
    state = FilterState.from_query(understood, type=type, disk=storage)
    explorer = Explorer(client, state, limit=limit)
    cell, run = registry.this_cell()
    registry.replace(explorer, "explore", key or cell, None if key else run)
    explorer.take_up()
    return explorer


class Explorer(RowsWidget):
    """Filters, offers and a chart in one widget; made by `explore`.

    Parameters
    ----------
    client : Client
        Whose market to look at.
    state : FilterState
        What the filter panel says at first.
    limit : int, optional
        Most offers of one answer.

    Attributes
    ----------
    filters : dict
        The panel's state as the page holds it. Set it through `filter`.
    status : dict
        What the status line says. Nothing secret is in it.
    renting : str
        Model id of the rent form while it is open, else empty.
    """

    _esm = bundle("explore")
    _css = styles("theme", "grid", "filters", "bars", "explore")
    filters = traitlets.Dict().tag(sync=True)
    status = traitlets.Dict().tag(sync=True)
    renting = traitlets.Unicode().tag(sync=True)

    def __init__(self, client: Client, state: FilterState, *, limit: int | None = None) -> None:
        model = ExplorerModel(state, limit=limit)
        super().__init__(filters=state.page())
        self._client = client
        self._drawer = Drawer(client)
        self._model = model
        self._main = MainThread()
        self._closed = False
        self._results: deque[tuple[Request, pd.DataFrame | VastError]] = deque()
        self._worker: SearchWorker[Request, pd.DataFrame | VastError] = SearchWorker(
            self._search_aside, self._post_result
        )
        self._busy: dict[str, Any] | None = None
        self._priced: tuple[int, float] | None = None
        self._loaded = 0
        self._answers = 0
        self.observe(self._on_filters, "filters")
        self.observe(self._on_order, "order")
        try:
            self._do_now(model.change(state))
        except BaseException:  # Ctrl-C while it waits: nobody would hold this widget
            self.close()
            raise

    # -- for the user -------------------------------------------------------------------------

    @property
    def query(self) -> str:
        """What is shown, in Vast's query language; ``client.search_offers`` takes it."""
        self._drain()
        return self._model.query.text

    @property
    def df(self) -> pd.DataFrame:
        """The offers that are shown, in the order of the table.

        ``df.attrs["vastnb"]`` says where they are from. Prices include the disk of the panel.
        """
        self._drain()
        return self._model.shown(self.order)

    @property
    def selected(self) -> pd.DataFrame:
        """The selected offers (also those that filters hide now), in the order of selection."""
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
        """The rent form that the button 'Rent' opens; made for the selected offers at first.

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
        """Return the line of code that gives the same offers as a DataFrame."""
        self._drain()
        return self._model.code(self.order)

    def filter(self, **changes: Any) -> Self:
        """Change filters as the panel would, and wait for the result.

        Parameters
        ----------
        **changes
            Fields of `vastnb.widgets.filters.FilterState`: ``gpu_name=["RTX 4090"]``,
            ``max_price=1.5``, ``disk=100``; ``None`` (or an empty list) is any.

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
        self._worker.cancel()
        plan = self._model.change(state)
        self.filters = state.page()
        self._do_now(plan)
        return self

    def refresh(self) -> Self:
        """Ask the service again, past the cache, and wait for the answer."""
        self._drain()
        self._do_now(self._model.refresh())
        return self

    def wait(self, timeout: float = 60) -> bool:
        """Wait for a search that the page has started; return False after `timeout` seconds."""
        done = self._worker.wait(timeout)
        self._drain()
        return done

    def close(self) -> None:
        """End the explorer: its view, its messages and its searches. The frames stay readable."""
        if self._closed:
            return
        self._closed = True
        self._worker.close()
        self._drawer.close()
        self.unobserve_all()
        self._results.clear()
        layout = self.layout
        super().close()
        if layout is not None:
            layout.close()

    def __repr__(self) -> str:
        figures = self._model.figures()
        where = f"from {self._model.query.text}" if self._model.query.text else "of the market"
        made_up = ", simulated" if self._model.provenance.get("simulated") else ""
        return f"<Explorer: {figures['shown']:,} offers {where}{made_up}>"

    # -- from the page ------------------------------------------------------------------------

    def _on_message(self, widget: Any, content: Any, buffers: Any) -> None:
        super()._on_message(widget, content, buffers)
        kind = content.get("type") if isinstance(content, dict) else None
        if kind == "refresh":
            self._on_main(lambda: self._do_later(self._model.refresh(), at_once=True))
        elif kind == "reset":
            self._on_main(self._reset)
        elif kind == "rent":
            self._on_main(self._open_form)

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
            self._do_later(self._model.change(state))

    def _form_for_selection(self) -> RentForm:
        state = self._model.state
        return self._drawer.open(self.selected, type=state.type, disk=state.disk)

    def _open_form(self) -> None:
        try:
            self.renting = self._form_for_selection().model_id or ""
        except VastError as error:
            self._model.problem = Problem.of(error, "This cannot be rented from here.")
        self._tell()

    def _reset(self) -> None:
        kept = self._model.state
        state = FilterState(type=kept.type, disk=kept.disk)
        plan = self._model.change(state)
        self.filters = state.page()
        self._do_later(plan)

    # -- searches -----------------------------------------------------------------------------

    def _do_later(self, plan: Plan, *, at_once: bool = False) -> None:
        """Show what can be shown now; send what must be sent in a while."""
        if plan.request is None:
            self._worker.cancel()
            self._busy = None
        else:
            self._busy = {"since": time.time()}
            self._worker.submit(plan.request, at_once=at_once)
        self._show()

    def _do_now(self, plan: Plan) -> None:
        """Carry a plan out in this thread."""
        if plan.request is not None:
            self._busy = {"since": time.time()}
            self._tell()
            try:
                result = self._search(plan.request)
            finally:
                self._busy = None
            self._take_result(plan.request, result)
        self._show()

    def _search_aside(self, request: Request) -> pd.DataFrame | VastError:
        """Search in the worker's thread; the status line shows what it waits for."""
        told = waits_told(lambda until: self._on_main(lambda: self._tell_wait(until)))
        with waits_shown_by(told):
            return self._search(request)

    def _search(self, request: Request) -> pd.DataFrame | VastError:
        result = answer(self._client, request)
        return result if isinstance(result, VastError) else compared(self._client, result)

    def _tell_wait(self, until: float | None) -> None:
        if self._busy is not None:
            self._busy = {"since": self._busy["since"], "until": until}
            self._tell()

    def _post_result(self, request: Request, result: pd.DataFrame | VastError) -> None:
        self._results.append((request, result))
        self._on_main(self._drain)

    def _on_main(self, work: Callable[[], None]) -> None:
        self._main.run(lambda: None if self._closed else work())

    def _drain(self) -> None:
        """Take the answers that have come; on the main thread only."""
        if not self._results or not self._main.here:
            return
        while self._results:
            self._take_result(*self._results.popleft())
        if self._model.waiting is None:
            self._busy = None
        self._show()

    def _take_result(self, request: Request, result: pd.DataFrame | VastError) -> None:
        if isinstance(result, VastError):
            self._model.fail(request, result)
        elif self._model.accept(request, result):
            self._answers += 1

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
        if model.frame.columns.empty:
            return 0
        self._loaded = self._answers
        self._priced = self._price_key()
        extra = beside_rows(model, time.time())
        return self._send_offers(model.frame, EXPLORER_COLUMNS, positions=model.positions, **extra)

    def _price_key(self) -> tuple[int, float]:
        return self._answers, self._model.state.disk

    def _tell(self) -> None:
        """Set the status line."""
        if not self._closed:
            self.status = status_of(self._model, self.order, busy=self._busy, quota=self._quota())

    def _quota(self) -> dict[str, int] | None:
        try:
            quota = self._client.quota()
        except (VastError, OSError):  # a number that is nice to have; the search said what is wrong
            return None
        return {"used": quota.used, "limit": quota.limit}

    def _copy(self) -> str:
        return static_copy(self._model, self.order, css_class=self.copy_class)
