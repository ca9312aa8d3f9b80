"""The explorer without a page: what it holds, what it shows, what it must ask.

If the answer at hand is complete and new filters only narrow it, they are a mask over the frame. If
only the disk changed, the prices are worked out again. Everything else must go to the service, as
one `Request`; until its answer comes or fails (`accept`), the rows at hand stay, filtered as far as
they can be. Nothing here waits, sends or draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from vastnb.errors import QueryError, VastError
from vastnb.market.money.summary import median_per_gpu
from vastnb.market.narrow import evaluable, local_filters, reprice
from vastnb.market.query.local import matches
from vastnb.market.tables.gpus import all_names
from vastnb.values import number
from vastnb.widgets.explorer.filters import FilterState
from vastnb.widgets.explorer.past import COLUMN
from vastnb.widgets.explorer.regions import names, regions
from vastnb.widgets.kit.search import Problem, Request, quoted


class ExplorerModel:
    """State of one explorer.

    Parameters
    ----------
    state : FilterState
        What the panel says at first.
    limit : int, optional
        Most offers of one answer; by default the service decides.

    Attributes
    ----------
    query : Query
        What is shown, or being searched for.
    frame : DataFrame
        The whole answer at hand, priced for the disk that is wanted.
    positions : ndarray of uint32
        Which of its rows pass the filters.
    waiting : Request or None
        The search that was asked for and has not been answered.
    answers : int
        How many have been taken.
    """

    def __init__(self, state: FilterState, *, limit: int | None = None) -> None:
        self.state = state
        self.limit = limit
        self.problem: Problem | None = None
        self.query = state.query()
        self.frame = pd.DataFrame()
        self.positions = np.zeros(0, dtype="<u4")
        self.waiting: Request | None = None
        self.answers = 0
        self._held: Request | None = None
        self._raw = pd.DataFrame()

    # -- what the page and the user look at ---------------------------------------------------

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the answer at hand is from (``attrs["vastnb"]`` of its frame)."""
        return dict(self._raw.attrs.get("vastnb", {}))

    def shown(self, order: Sequence[Any] = ()) -> pd.DataFrame:
        """Return the offers that pass the filters, as the table shows them.

        Parameters
        ----------
        order : sequence
            ``[column, ascending]``, or empty for the service's order.
        """
        found = self.frame.iloc[self.positions]
        if len(order) == 2 and order[0] in found.columns:
            found = found.sort_values(
                order[0], ascending=bool(order[1]), kind="stable", na_position="last"
            )
        found = found.reset_index(drop=True)
        if self._held is not None:
            mine = {"query": self.query.text, "storage_gb": self.state.disk}
            found.attrs["vastnb"] = {**self.provenance, **mine}
        return found

    def code(self, order: Sequence[Any] = ()) -> str:
        """Return the line that gives the same frame."""
        parts = [quoted(self.query.text)] if self.query.text else []
        if self.state.type != "on-demand":
            parts.append(f'type="{self.state.type}"')
        if self.limit is not None:
            parts.append(f"limit={self.limit}")
        if self.state.disk != 10:
            parts.append(f"storage={self.state.disk:g}")
        line = f"client.search_offers({', '.join(parts)})"
        if COLUMN in self.frame.columns:
            line += f".assign({COLUMN}=client.history.percentiles)"
        if len(order) == 2 and order[0] in self.frame.columns:
            # Not `order=`: the service cannot sort by every column, and of an answer that it cuts
            # short another order would be another answer.
            way = "" if order[1] else ", ascending=False"
            line += f'.sort_values("{order[0]}"{way}, kind="stable", ignore_index=True)'
        return line

    # -- what happens -------------------------------------------------------------------------

    def change(self, state: FilterState) -> Request | None:
        """Take new filters; return the search that must be made, if any.

        A state that cannot be understood is kept in the panel and reported in `problem`; what is
        shown stays.
        """
        self.state = state
        self.waiting = None
        try:
            query = state.query(self._names())
            request = Request(query, state.type, state.disk, self.limit)
            body = request.body
        except QueryError as error:
            self.problem = Problem.of(error)
            return None
        self.problem = None
        self.query = query
        if self._held is not None:
            complete = not self.provenance.get("truncated", True)
            rest = local_filters(
                self._held.body, body, complete=complete, columns=self._raw.columns
            )
            self._show(body, rest)
            if rest is not None:
                return None
        self.waiting = request
        return request

    def refresh(self) -> Request | None:
        """Return the search that asks the service again for what the panel says."""
        self.change(self.state)
        if self.problem is None:
            self.waiting = replace(self._request(), refresh=True)
        return self.waiting

    def accept(self, request: Request, result: pd.DataFrame | VastError) -> bool:
        """Take what came of a search; return False if it is out of date. Rows stay if it failed."""
        if request is not self.waiting:
            return False
        self.waiting = None
        if isinstance(result, VastError):
            self.problem = Problem.of(result)
            return True
        self.problem = None
        self.answers += 1
        self._held, self._raw = request, result
        self._show(request.body, {})
        return True

    # -- what the status line says ------------------------------------------------------------

    def facets(self) -> dict[str, list[list[Any]]]:
        """Return what one can pick, with the offers that each would show, most first.

        Returns
        -------
        dict
            ``gpus``: ``[name, offers]``; those that are known but not in this answer follow with 0.
            ``countries``: ``[key, offers, name]``, regions first.
        """
        gpus = self._counts("gpu_name", "gpu_name")
        known = {name for name, _ in gpus}
        gpus += [[name, 0] for name in all_names() if name not in known]
        return {"gpus": gpus, "countries": self._places()}

    def figures(self) -> dict[str, Any]:
        """Return the headline numbers of the offers that are shown (`None` where there is none)."""
        shown = self.frame.iloc[self.positions]
        return {
            "shown": len(shown),
            "answer": len(self.frame),
            "cheapest": number(shown["dph_total"].min()) if len(shown) else None,
            "median_gpu": median_per_gpu(shown) if len(shown) else None,
            "models": int(shown["gpu_name"].nunique()) if len(shown) else 0,
        }

    def watched(self) -> dict[str, Any]:
        """Return what a price alert watches."""
        state = self.state
        return {"query": self.query, "per": "offer", "type": state.type, "storage": state.disk}

    # -- inside -------------------------------------------------------------------------------

    def _request(self) -> Request:
        return Request(self.query, self.state.type, self.state.disk, self.limit)

    def _names(self) -> list[str]:
        if "gpu_name" not in self._raw.columns:
            return list(self.state.gpu_name)
        return [str(name) for name in self._raw["gpu_name"].dropna().unique()]

    def _show(self, body: Mapping[str, Any], rest: Mapping[str, Any] | None) -> None:
        """Work out prices and rows; without exact filters (`rest`), as far as can be."""
        assert self._held is not None
        same_disk = self.state.disk == self._held.storage
        self.frame = self._raw if same_disk else reprice(self._raw, self.state.disk)
        filters = evaluable(body, self.frame) if rest is None else rest
        self.positions = np.flatnonzero(matches(filters, self.frame)).astype("<u4")

    def _places(self) -> list[list[Any]]:
        """Return regions and countries with their offers."""
        counts = self._counts("country", "geolocation")
        of = dict(counts)
        areas = [
            [key, sum(count for code, count in of.items() if code in codes), name]
            for key, (name, codes) in regions().items()
        ]
        named = names()
        return [*areas, *([code, count, named.get(code, code)] for code, count in counts)]

    def _counts(self, column: str, field: str) -> list[list[Any]]:
        """Count the values of `column` among the rows that pass all filters but that on `field`."""
        if column not in self.frame.columns:
            return []
        filters = evaluable(self._request().body, self.frame)
        filters.pop(field, None)
        values = self.frame.loc[matches(filters, self.frame), column]
        counts = values.value_counts()
        every = self.frame[column].dropna().unique()
        pairs = [[str(name), int(counts.get(name, 0))] for name in every]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
