"""Where a call and a frame meet: from the body of a search to a frame that knows its origin.

The decode of an answer and the building of its frame cost ten times as much as finding it in the
cache. So built frames are remembered by the identity of their answer, and copies are handed out;
and they are kept beside it, as typed arrays, for the user's other kernels.
"""

from __future__ import annotations

import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol, get_args

import numpy as np
import pandas as pd

from vastnb.api.answers import Answer, Call
from vastnb.api.usage import Quota
from vastnb.errors import InvalidRequest, QueryError, RateLimited, ServerError
from vastnb.market.frames.caps import Caps
from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.frames.packed import name_of, pack, unpack
from vastnb.market.query.local import narrowing
from vastnb.market.query.query import OfferType, Order, QueryLike, parse_query

Columns = Literal["default", "all"]

RECENT = 8
"""Answers that a new one is compared with, to see whether one of them was cut."""
FEW_NEW = 8
"""Fewer new offers than these may have come in the meantime."""
FRAMES_KEPT = 32
BYTES_KEPT = 48 * 2**20
"""Built frames that are remembered, and bytes of the answers behind them; one of 500 offers has
about 1.5 MB."""


class Record(Protocol):
    """Keeps what was found, for the price history; raises nothing."""

    def __call__(
        self, frame: pd.DataFrame, body: Mapping[str, Any], answers: Sequence[Answer]
    ) -> None:
        """Keep a frame with its provenance, if an answer behind it is new."""


class Search(NamedTuple):
    """One search as it is sent, and how its frame is to look.

    Parameters
    ----------
    text : str
        The query in the official client's language.
    body : dict
        The JSON that is sent.
    refresh : bool
        Ask the service even if a fresh answer is in the cache.
    columns : {"default", "all"}
        Columns of the frame.
    max_calls : int
        Calls that reading it to its end may take.
    """

    text: str
    body: dict[str, Any]
    refresh: bool
    columns: Columns
    max_calls: int = 60

    def check(self) -> None:
        """Refuse, before anything is sent, what would be found out when the rows have been paid.

        Raises
        ------
        QueryError
            If there are no such columns.
        """
        if self.columns not in get_args(Columns):
            raise QueryError(
                f'columns={self.columns!r}: use "default" or "all". Nothing was searched.'
            )

    def provenance(self, source: str) -> dict[str, Any]:
        """Return what is known before an answer is there."""
        return {
            "query": self.text,
            "type": self.body["type"],
            "order": self.body["order"],
            "limit": self.body.get("limit"),
            "storage_gb": self.body["allocated_storage"],
            "body": self.body,
            "source": source,
        }


class OfferSearch:
    """Searches, through a client's calls.

    Parameters
    ----------
    call : callable
        ``call(endpoint, body=..., refresh=...)``.
    quota : callable
        Returns today's `Quota`.
    source : str
        The server's address, for the provenance.
    has_key : bool
        Whether a key is sent: the caps on answers depend on it.
    keep : callable, optional
        ``keep(answer, name, bytes)`` keeps what was made of an answer beside it.
    record : callable, optional
        Is handed every frame.
    cuts : callable, optional
        What all kernels know of the lengths at which answers are cut; see `Caps`.
    """

    def __init__(
        self,
        call: Call,
        quota: Callable[[], Quota],
        source: str,
        *,
        has_key: bool,
        keep: Callable[[Answer, str, bytes], None] | None = None,
        record: Record | None = None,
        cuts: Callable[[int | None], Collection[int]] | None = None,
    ) -> None:
        self._call = call
        self._quota = quota
        self._source = source
        self._caps = Caps(has_key, cuts)
        self._keep = keep
        self._record = record
        self._frames: OrderedDict[Hashable, tuple[pd.DataFrame, int]] = OrderedDict()
        self._recent: deque[tuple[datetime, Mapping[str, Any], Any]] = deque(maxlen=RECENT)
        self._lock = threading.Lock()

    def search(
        self,
        query: QueryLike = None,
        *,
        type: OfferType = "on-demand",
        order: Order | None = None,
        limit: int | None = None,
        storage: float = 10,
        refresh: bool = False,
        columns: Columns = "default",
        complete: bool = False,
        max_calls: int = 60,
        **keywords: Any,
    ) -> pd.DataFrame:
        """Search the market; see `vastnb.Client.search_offers`."""
        parsed = parse_query(query, **keywords)
        body = parsed.body(type=type, order=order, limit=limit, storage=storage)
        search = Search(parsed.text, body, refresh, columns, max_calls)
        search.check()
        for doubt in parsed.doubts:
            warnings.warn(doubt, UserWarning, stacklevel=3)
        return self.whole(search) if complete else self.once(search)

    def once(self, search: Search) -> pd.DataFrame:
        """Return the frame of one answer."""
        made = name_of(search.columns)
        answer = self._call("search_offers", body=search.body, refresh=search.refresh, made=made)
        frame = self._remembered(answer, search)
        if frame is None and answer.made is not None:
            frame = unpack(answer.made, search.columns)
            if frame is None:  # damaged: the answer itself is there as well
                answer = self._call("search_offers", body=search.body)
        if frame is None:
            frame = frame_of_offers(
                answer.data["offers"],
                columns=search.columns,
                provenance=search.provenance(self._source),
            )
            # Of its origin only what does not depend on the search is kept; `dated` has the rest.
            frame.attrs["vastnb"] = {"unfit": frame.attrs["vastnb"]["unfit"]}
            if self._keep is not None and not answer.stale:
                self._keep(answer, made, pack(frame))
        frame = self._remember(answer, search, frame)
        if not answer.from_cache:
            self._learn(answer, search.body, frame)
        whole = self._caps.whole(len(frame), search.body.get("limit"))
        return self._found(frame, search, {"truncated": whole == "cut", "whole": whole}, [answer])

    def _learn(self, answer: Answer, body: Mapping[str, Any], frame: pd.DataFrame) -> None:
        """See what a new answer gives away about the length at which answers are cut.

        A narrower search that finds what a wider one, minutes ago, did not: the wider was cut.
        """
        self._caps.saw(len(frame))
        ids = frame["id"].dropna().to_numpy("int64")
        with self._lock:
            earlier = list(self._recent)
            self._recent.append((answer.fetched_at, body, ids))
        for at, its_body, its_ids in earlier:
            minutes = abs((answer.fetched_at - at).total_seconds()) / 60
            if minutes < 10 and len(its_ids) and narrowing(its_body, body) is not None:
                new = int((~np.isin(ids, its_ids)).sum())
                if new >= FEW_NEW and new > len(ids) / 4:
                    self._caps.learn(len(its_ids))

    def whole(self, search: Search) -> pd.DataFrame:
        """Return the frame of all offers that fit, in as many calls as it takes.

        If the service stops answering half-way, what was read is returned and marked as
        truncated: it has used up its rows of the quota.
        """
        from vastnb.market.whole import in_order, split_by_price, without_price

        answers: list[Answer] = []
        trouble: list[str] = []
        doubtful: list[str] = []
        unpriced = without_price(search.body)

        def fetch(part: dict[str, Any]) -> list[dict[str, Any]] | None:
            try:
                answer = self._call("search_offers", body=part, refresh=search.refresh)
            except InvalidRequest as error:
                if part != unpriced:
                    raise
                doubtful.append(error.message)  # it cannot be asked for offers without a price
                return []
            except (RateLimited, ServerError) as error:
                if not answers:
                    raise
                trouble.append(error.message)
                return None
            answers.append(answer)
            offers: list[dict[str, Any]] = answer.data["offers"]
            return offers

        split = split_by_price(
            search.body,
            fetch,
            caps=self._caps,
            max_calls=search.max_calls,
            max_rows=self._quota().remaining,
            warn=lambda text: warnings.warn(text, UserWarning, stacklevel=7),
        )
        rows = in_order(split.rows, search.body["order"])
        frame = frame_of_offers(
            rows, columns=search.columns, provenance=search.provenance(self._source)
        )
        proved = "proved" if split.proved and not doubtful else "assumed"
        found = {
            "truncated": not split.complete,
            "whole": proved if split.complete else "cut",
            "truncated_reason": trouble[0] if trouble else split.reason,
            "rows_used": sum(len(a.data["offers"]) for a in answers if not a.from_cache),
        }
        return self._found(frame, search, found, answers)

    def _found(
        self,
        frame: pd.DataFrame,
        search: Search,
        found: Mapping[str, Any],
        answers: Sequence[Answer],
    ) -> pd.DataFrame:
        dated(frame, {**search.provenance(self._source), **found}, answers)
        if self._record is not None:
            self._record(frame, search.body, answers)
        return frame

    def _remembered(self, answer: Answer, search: Search) -> pd.DataFrame | None:
        """Return the frame that this process has for an answer."""
        with self._lock:
            frame, _ = self._frames.get(_identity(answer, search), (None, 0))
        return frame

    def _remember(self, answer: Answer, search: Search, frame: pd.DataFrame) -> pd.DataFrame:
        """Remember the frame of an answer, and return a copy."""
        key = _identity(answer, search)
        with self._lock:
            self._frames[key] = (frame, len(answer.made or answer.body))
            self._frames.move_to_end(key)
            while len(self._frames) > FRAMES_KEPT or self._bytes_kept() > BYTES_KEPT:
                self._frames.popitem(last=False)
        return frame.copy()

    def _bytes_kept(self) -> int:
        return sum(size for _, size in self._frames.values())


def _identity(answer: Answer, search: Search) -> Hashable:
    return answer.key, answer.fetched_at, search.columns


def dated(
    frame: pd.DataFrame, provenance: Mapping[str, Any], answers: Sequence[Answer]
) -> pd.DataFrame:
    """Write on a frame where it comes from, how old it is, and what is doubtful about it.

    Parameters
    ----------
    frame : DataFrame
        Changed in place, and returned.
    provenance : dict
        What is known of the search; JSON-able.
    answers : sequence of Answer
        Those that the frame was built from, one at least.
    """
    stale = [answer for answer in answers if answer.stale]
    frame.attrs["vastnb"] = {
        **frame.attrs.get("vastnb", {}),
        **provenance,
        "fetched_at": min(answer.fetched_at for answer in answers).isoformat(),
        "from_cache": all(answer.from_cache for answer in answers),
        "stale": bool(stale),
        "stale_reason": stale[0].stale_reason if stale else None,
        "simulated": any(answer.simulated for answer in answers),
    }
    return frame


__all__ = ["Columns", "OfferSearch", "Record", "Search", "dated"]
