"""`prices`: what GPUs cost, in four linked charts, each also available as a frame.

`Prices` is a thin shell. `PricesModel` decides, `charts` draws; this module moves settings in from
the page and pictures out to it, and has a worker do what takes time. Everything is written from
the kernel's main thread, as in the explorer, and the kernel is never blocked by the page.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import pandas as pd
import traitlets

from vastnb.market.query.query import Query
from vastnb.values import number
from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.search import Fetching
from vastnb.widgets.kit.widget import one_a_place
from vastnb.widgets.prices import frames
from vastnb.widgets.prices.loading import load
from vastnb.widgets.prices.model import (
    DAYS,
    Load,
    Loaded,
    PricesModel,
    PricesState,
    resolved,
    split,
)
from vastnb.widgets.prices.view import TITLES, scenes, static_copy

if TYPE_CHECKING:
    from vastnb.client import Client


def prices(
    client: Client,
    query: str | Mapping[str, Any] | Query | None = None,
    *,
    gpu: str | Sequence[str] | None = None,
    type: str = "on-demand",
    storage: float = 10,
    per: str = "gpu",
    days: float = 14,
    key: str | None = None,
) -> Prices:
    """Draw what GPUs cost: by model, against performance, over time, by country.

    It searches once at the start. A click on a GPU filters all four charts; if the result is
    complete, that needs no request.

    Parameters
    ----------
    client : Client
        The client to search with.
    query : str, dict or Query, optional
        More filters for every search: ``"verified=any num_gpus=1"``. GPU models in it count as
        `gpu`.
    gpu : str or list of str, optional
        GPU models, in any spelling; a family (``"H100"``) is all of its models. By default all.
    type : str
        ``"on-demand"``, ``"bid"`` (also ``"interruptible"``) or ``"reserved"``.
    storage : float
        GB of disk that every price includes (except in the trend, whose prices have no disk).
    per : str
        ``"gpu"``: one dot per machine, at its price per GPU. ``"offer"``: one dot per offer, at the
        price of the whole offer.
    days : float
        How many days the trend covers.
    key : str, optional
        A newer widget with the same key replaces this one. By default the notebook cell is the
        key, so running a cell again leaves nothing behind.

    Returns
    -------
    Prices
        With ``.distribution()``, ``.performance()``, ``.trend()``, ``.countries()`` and
        ``.to_code()``, always up to date.

    Raises
    ------
    QueryError
        If an argument cannot be understood. Errors of Vast.ai or the network are shown in the
        widget instead.

    Examples
    --------
    >>> import vastnb
    >>> charts = vastnb.prices(vastnb.demo(), gpu=["4090", "3090"])  # doctest: +SKIP
    >>> charts.distribution().groupby("gpu_name")["price"].median()  # doctest: +SKIP
    """
    text, models = split(query)
    state = PricesState().changed(
        {"query": text, "gpu": list(resolved(gpu) or models), "type": type, "storage": storage,
         "per": per, "days": days}
    )  # fmt: skip
    widget = Prices(client, state)
    one_a_place(widget, key)
    return widget


class Prices(Fetching[Load, Loaded]):
    """Four linked charts of prices; made by `prices`.

    Parameters
    ----------
    client : Client
        The client to search with.
    state : PricesState
        What the controls say at first.

    Attributes
    ----------
    settings : dict
        The controls as the page holds them. Set them through `filter`.
    status : dict
        What the lines above and below say. Nothing secret is in it.
    """

    _esm = bundle("prices/view")
    _css = styles("kit/theme", "kit/fields", "kit/status", "prices/view")
    settings = traitlets.Dict().tag(sync=True)
    _controls = "settings"
    _model: PricesModel

    def __init__(self, client: Client, state: PricesState) -> None:
        super().__init__(client, PricesModel(state))
        self._width: float | None = None
        self._drawn: dict[str, tuple[Any, ...]] = {}
        with self._closed_on_error():
            self._fetch_now(self._model.change(state))

    # -- for the user -------------------------------------------------------------------------

    @property
    def df(self) -> pd.DataFrame:
        """The offers of the chosen GPUs."""
        self._drain()
        return self._model.shown

    def distribution(self) -> pd.DataFrame:
        """Return the first chart as a frame: a price for each machine (or offer).

        Returns
        -------
        DataFrame
            ``gpu_name``, ``price`` ($/h), and what identifies the offer.
        """
        self._drain()
        return frames.distribution(self._model.shown, self._model.state.per)

    def performance(self) -> pd.DataFrame:
        """Return the second chart as a frame: price and DLPerf, and which offers are best value.

        Returns
        -------
        DataFrame
            As `distribution`, with ``dlperf`` and ``pareto`` (boolean), cheapest first.
        """
        self._drain()
        return frames.performance(self._model.shown, self._model.state.per)

    def trend(self) -> pd.DataFrame:
        """Return the third chart as a frame: quantiles of $/h per GPU over time, without disk.

        Returns
        -------
        DataFrame
            As from ``client.history.trend``; without rows if there is no history yet.
        """
        self._drain()
        return self._model.trend

    def countries(self) -> pd.DataFrame:
        """Return the fourth chart as a frame: each country compared with the same GPUs elsewhere.

        Returns
        -------
        DataFrame
            ``country``, ``machines``, ``gpus``, ``against_market`` (0.9 is 10 % cheaper) and
            ``dph_gpu_q50`` ($/h per GPU).
        """
        self._drain()
        return frames.countries(self._model.shown)

    def to_code(self) -> str:
        """Return the line of code that creates the same charts."""
        return self._code()

    def _code(self) -> str:
        return self._model.code()

    def filter(self, **changes: Any) -> Self:
        """Change settings as the page would, and wait for the result.

        Parameters
        ----------
        **changes
            ``gpu``, ``type``, ``storage``, ``per``, ``days``, ``query``, as for `prices`.

        Returns
        -------
        Prices
            Itself.

        Raises
        ------
        QueryError
            For an option that does not exist or a value that it cannot have.
        """
        if "query" in changes:
            changes["query"], models = split(changes["query"])
            if models:
                changes.setdefault("gpu", models)
        if "gpu" in changes:
            changes["gpu"] = list(resolved(changes["gpu"]))
        self._change(changes)
        return self

    def __repr__(self) -> str:
        figures = self._model.figures()
        made_up = ", simulated" if self._model.provenance.get("simulated") else ""
        return (
            f"<Prices: {figures['machines']:,} machines, {figures['models']} GPU models{made_up}>"
        )

    # -- from the page ------------------------------------------------------------------------

    def _heard(self, content: Mapping[str, Any]) -> None:
        # A page that opens tells its width with its ``ready``, and is drawn for that.
        if content.get("type") in ("ready", "width"):
            self._drawn.clear()
            self._on_main(lambda: self._take_width(content.get("width")))
        else:
            super()._heard(content)

    def _take_width(self, width: Any) -> None:
        known = number(width)
        if known is not None and known > 0:
            self._width = known
            self._show()

    # -- searches -----------------------------------------------------------------------------

    def _fetch(self, job: Load) -> Loaded:
        return load(self._client, job)

    def _is_quick(self, job: Load) -> bool:
        return job.request is None  # the history is a file on this machine

    # -- to the page --------------------------------------------------------------------------

    def _show(self) -> None:
        """Show what there is: the pictures, if there is a page, and the lines around them."""
        if not self._closed:
            self._send_everything()
            self._tell()

    def _send_everything(self) -> int:
        """Send the charts whose page has not what they are drawn from now."""
        if self._width is not None:
            now = {name: self._model.drawn_from(name) for name in TITLES}
            new = [name for name in TITLES if self._drawn.get(name) != now[name]]
            self._drawn = now
            pictures, chips = scenes(self._model, self._width, new), self._model.chips()
            self.send({"type": "scenes", "now": time.time(), "scenes": pictures, "chips": chips})
        return 0

    def _status(self) -> dict[str, Any]:
        return {**super()._status(), "days": list(DAYS)}

    def _copy(self) -> str:
        return static_copy(self._model, css_class=self.copy_class)
