"""`OfferTable`: any frame of offers as a table that scrolls, sorts and selects in the page.

The rows go to the page as one binary message when a page asks for them (it says ``ready``), and
are no part of the widget's synced state: a notebook that is saved with its widget state keeps a
few small values and none of the rows. Sorting happens in the page. Which rows are selected comes
back as offer ids, never as positions, so a selection survives a new answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import traitlets

from vastnb.widgets.kit.bundle import bundle, styles
from vastnb.widgets.kit.widget import LiveWidget
from vastnb.widgets.table import words
from vastnb.widgets.table.columns import looks_of
from vastnb.widgets.table.packing import pack, pack_rows
from vastnb.widgets.table.saved import static_table


class RowsWidget(LiveWidget):
    """Base of widgets that show the rows of a frame: the link to the page.

    Attributes
    ----------
    selected_ids : list of int
        Ids of the selected rows, in the order in which they were selected. May be set.
    order : list
        ``[column, ascending]`` as the page sorts, or empty for the frame's own order.
    """

    selected_ids = traitlets.List(traitlets.Int()).tag(sync=True)
    order: Any = traitlets.List().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        self._revision = 0

    def _send_offers(
        self,
        frame: pd.DataFrame,
        columns: Sequence[str],
        positions: np.ndarray | None,
        *,
        id_column: str = "id",
        **extra: Any,
    ) -> int:
        """Send a whole answer; return the bytes of its buffers (0 when no page listens)."""
        looks = looks_of(frame, columns)
        names = dict.fromkeys(look["name"] for look in looks)
        if id_column in frame.columns:
            names[id_column] = None
        message = {"type": "offers", "looks": looks, "count": len(frame), "id_column": id_column}
        return self._send_columns(frame, list(names), positions, **message, **extra)

    def _send_rows(self, positions: np.ndarray | None, **extra: Any) -> int:
        """Send which rows of the last answer to show."""
        return self._post({"type": "rows", **extra}, [], positions) if self._listening else 0

    def _send_columns(
        self,
        frame: pd.DataFrame,
        columns: Sequence[str],
        positions: np.ndarray | None,
        **extra: Any,
    ) -> int:
        """Send columns of the last answer whose values have changed."""
        if not self._listening:
            return 0
        decimals = {look["name"]: look["decimals"] + 1 for look in looks_of(frame, columns)}
        header, buffer = pack(frame, columns, decimals)
        return self._post({"type": "columns", "columns": header, **extra}, [buffer], positions)

    def _post(
        self, message: dict[str, Any], buffers: list[bytes], positions: np.ndarray | None
    ) -> int:
        if positions is not None:
            buffers = [*buffers, pack_rows(positions)]
            message["shown"] = len(positions)
        self._revision += 1
        self.send({**message, "rev": self._revision}, buffers)
        return sum(map(len, buffers))


class OfferTable(RowsWidget):
    """A table of offers with virtual scrolling, sorting and selection by offer id.

    Parameters
    ----------
    frame : DataFrame
        The rows to show; offers or anything else.
    columns : sequence of str, optional
        What to show, in this order. Default: every column.
    height : int
        Pixels.
    id_column : str
        What identifies a row (whole numbers). Without such a column the position does.

    Examples
    --------
    >>> table = OfferTable(client.search_offers("gpu_name=RTX_4090"))  # doctest: +SKIP
    >>> table.selected["dph_total"].min()  # doctest: +SKIP
    """

    _esm = bundle("table/view")
    _css = styles("kit/theme", "table/view")
    height = traitlets.Int(340).tag(sync=True)

    def __init__(
        self,
        frame: pd.DataFrame,
        columns: Sequence[str] | None = None,
        *,
        height: int = 340,
        id_column: str = "id",
    ) -> None:
        super().__init__(height=height)
        self._frame = frame
        self._columns = None if columns is None else list(columns)
        self._id_column = id_column
        self._positions: np.ndarray | None = None

    @property
    def df(self) -> pd.DataFrame:
        """The rows that are shown, in the frame's own order."""
        if self._positions is None:
            return self._frame
        return self._frame.iloc[self._positions]

    @property
    def selected(self) -> pd.DataFrame:
        """The selected rows that are shown, in the order of selection."""
        ids = self._ids()
        places = {int(value): at for at, value in enumerate(ids)}
        return self._frame.iloc[[places[i] for i in self.selected_ids if i in places]]

    def update(self, frame: pd.DataFrame) -> int:
        """Show other rows; scroll position and selection stay. Return the bytes sent."""
        self._frame = frame
        self._positions = None
        return self._send_everything()

    def show_rows(self, positions: Iterable[int] | np.ndarray | None) -> int:
        """Show only these positions of the frame (`None`: all). Return the bytes sent."""
        self._positions = None if positions is None else np.asarray(list(positions), dtype="<u4")
        return self._send_rows(self._positions)

    def _ids(self) -> np.ndarray:
        if self._id_column in self._frame.columns:
            return self._frame[self._id_column].to_numpy(dtype="int64", na_value=-1)
        return np.arange(len(self._frame))

    def _send_everything(self) -> int:
        columns = self._columns if self._columns is not None else list(self._frame.columns)
        return self._send_offers(self._frame, columns, self._positions, id_column=self._id_column)

    def _copy(self) -> str:
        return static_table(
            self.df,
            caption=f"{len(self.df):,} offers",
            note=words.RUN_FOR_ALL,
            columns=self._columns,
            css_class=self.copy_class,
        )
