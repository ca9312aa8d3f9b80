"""The explorer without a page: what it holds, what it shows, what it must ask.

A change of the filters becomes a `Plan`. If the answer at hand is complete and the new filters
only narrow it, the plan is local: a mask over the frame. If only the disk changed, the prices are
worked out again. Everything else must go to the service, as one `Request`; until its answer comes
(`accept`) or fails (`fail`), the rows at hand stay, filtered as far as they can be. Nothing here
waits, sends or draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from vastnb.errors import QueryError, VastError
from vastnb.market.money.summary import median_per_gpu
from vastnb.market.narrow import evaluable, local_filters, reprice
from vastnb.market.query.local import matches
from vastnb.market.query.query import Query
from vastnb.market.tables.gpus import all_names
from vastnb.values import number
from vastnb.widgets.explorer.filters import FilterState
from vastnb.widgets.explorer.past import COLUMN
from vastnb.widgets.explorer.regions import names, regions
from vastnb.widgets.kit.search import Problem, Request


@dataclass(frozen=True)
class Plan:
    """What a change of the filters means: nothing more to do, or a request to send."""

    request: Request | None = None


class ExplorerModel:
    """State of one explorer.

    Parameters
    ----------
    state : FilterState
        What the panel says at first.
    limit : int, optional
        Most offers of one answer; by default the service decides.
    """

    def __init__(self, state: FilterState, *, limit: int | None = None) -> None:
        self.state = state
        self.limit = limit
        self.problem: Problem | None = None
        self.searches = 0
        self._query = state.query()
        self._held: Request | None = None
        self._raw = pd.DataFrame()
        self._frame = pd.DataFrame()
        self._waiting: Request | None = None
        self._positions = np.zeros(0, dtype="<u4")
        self._numbers = 0

    # -- what the page and the user look at ---------------------------------------------------

    @property
    def frame(self) -> pd.DataFrame:
        """The whole answer at hand, priced for the disk that is wanted."""
        return self._frame

    @property
    def positions(self) -> np.ndarray:
        """Which rows of `frame` pass the filters, as row numbers (uint32)."""
        return self._positions

    @property
    def waiting(self) -> Request | None:
        """The search that was asked for and has not been answered."""
        return self._waiting

    @property
    def query(self) -> Query:
        """What is shown, or being searched for."""
        return self._query

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
        found = self._frame.iloc[self._positions]
        if len(order) == 2 and order[0] in found.columns:
            found = found.sort_values(
                order[0], ascending=bool(order[1]), kind="stable", na_position="last"
            )
        found = found.reset_index(drop=True)
        if self._held is not None:
            mine = {"query": self._query.text, "storage_gb": self.state.disk}
            found.attrs["vastnb"] = {**self.provenance, **mine}
        return found

    def code(self, order: Sequence[Any] = ()) -> str:
        """Return the line that gives the same frame."""
        parts = [_quoted(self._query.text)] if self._query.text else []
        if self.state.type != "on-demand":
            parts.append(f'type="{self.state.type}"')
        if self.limit is not None:
            parts.append(f"limit={self.limit}")
        if self.state.disk != 10:
            parts.append(f"storage={self.state.disk:g}")
        line = f"client.search_offers({', '.join(parts)})"
        if COLUMN in self._frame.columns:
            line += f".assign({COLUMN}=client.history.percentiles)"
        if len(order) == 2 and order[0] in self._frame.columns:
            # Not `order=`: the service cannot sort by every column, and of an answer that it cuts
            # short another order would be another answer.
            way = "" if order[1] else ", ascending=False"
            line += f'.sort_values("{order[0]}"{way}, kind="stable", ignore_index=True)'
        return line

    # -- what happens -------------------------------------------------------------------------

    def change(self, state: FilterState) -> Plan:
        """Take new filters; say what must be asked.

        A state that cannot be understood is kept in the panel and reported in `problem`; what is
        shown stays.
        """
        self.state = state
        try:
            query = state.query(self._names())
            body = query.body(type=state.type, limit=self.limit, storage=state.disk)
        except QueryError as error:
            self.problem = Problem.of(error)
            self._waiting = None
            return Plan()
        self.problem = None
        self._query = query
        if self._held is not None:
            rest = local_filters(
                self._held.body, body, complete=self._complete, columns=self._raw.columns
            )
            self._show(body, rest)
            if rest is not None:
                self._waiting = None
                return Plan()
        return Plan(self._ask(query, body))

    def refresh(self) -> Plan:
        """Ask the service again for what the panel says."""
        plan = self.change(self.state)
        if self.problem is not None:
            return plan
        body = self._query.body(type=self.state.type, limit=self.limit, storage=self.state.disk)
        return Plan(replace(plan.request or self._ask(self._query, body), refresh=True))

    def accept(self, request: Request, frame: pd.DataFrame) -> bool:
        """Take the service's answer; return False if it is out of date."""
        if self._waiting is None or request.number != self._waiting.number:
            return False
        self.searches += 1
        self._waiting = None
        self._held = request
        self._raw = frame
        self._frame = frame
        self.problem = None
        self._show(request.body, {})
        return True

    def fail(self, request: Request, error: VastError) -> bool:
        """Take note that the search failed; the rows at hand stay."""
        if self._waiting is None or request.number != self._waiting.number:
            return False
        self.searches += 1
        self._waiting = None
        self.problem = Problem.of(error)
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
        if self._held is None:
            return {"gpus": [[name, 0] for name in all_names()], "countries": self._places()}
        gpus = self._counts("gpu_name", "gpu_name")
        known = {name for name, _ in gpus}
        gpus += [[name, 0] for name in all_names() if name not in known]
        return {"gpus": gpus, "countries": self._places()}

    def figures(self) -> dict[str, Any]:
        """Return the headline numbers of the offers that are shown (`None` where there is none)."""
        shown = self._frame.iloc[self._positions]
        numbers: dict[str, Any] = {
            "shown": len(shown),
            "answer": len(self._frame),
            "cheapest": None,
            "median_gpu": None,
            "models": 0,
        }
        if len(shown):
            numbers["cheapest"] = number(shown["dph_total"].min())
            numbers["median_gpu"] = median_per_gpu(shown)
            numbers["models"] = int(shown["gpu_name"].nunique())
        return numbers

    # -- inside -------------------------------------------------------------------------------

    @property
    def _complete(self) -> bool:
        return not self.provenance.get("truncated", True)

    def _names(self) -> list[str]:
        if "gpu_name" not in self._raw.columns:
            return list(self.state.gpu_name)
        return [str(name) for name in self._raw["gpu_name"].dropna().unique()]

    def _ask(self, query: Query, body: Mapping[str, Any]) -> Request:
        self._numbers += 1
        self._waiting = Request(
            self._numbers, query, self.state.type, self.state.disk, self.limit, body
        )
        return self._waiting

    def _show(self, body: Mapping[str, Any], rest: Mapping[str, Any] | None) -> None:
        """Work out prices and rows; without exact filters (`rest`), as far as can be."""
        assert self._held is not None
        same_disk = self.state.disk == self._held.storage
        self._frame = self._raw if same_disk else reprice(self._raw, self.state.disk)
        filters = evaluable(body, self._frame) if rest is None else rest
        self._positions = np.flatnonzero(matches(filters, self._frame)).astype("<u4")

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
        if column not in self._frame.columns:
            return []
        body = self._query.body(type=self.state.type, limit=self.limit, storage=self.state.disk)
        filters = evaluable(body, self._frame)
        filters.pop(field, None)
        values = self._frame.loc[matches(filters, self._frame), column]
        counts = values.value_counts()
        every = self._frame[column].dropna().unique()
        pairs = [[str(name), int(counts.get(name, 0))] for name in every]
        return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _quoted(text: str) -> str:
    if '"' not in text:
        return f'"{text}"'
    return f"'{text}'" if "'" not in text else repr(text)
