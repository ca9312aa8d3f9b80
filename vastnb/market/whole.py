"""Reading a search that one answer cannot hold.

An answer that was cut short is a sample of its search. `Split` cuts the search into ranges of
``dph_total`` that touch and do not overlap, at prices taken from the samples, until every answer is
complete; a price that too many offers share is cut further by offer number. As soon as one range
was read to its end, its share of the sample tells how large the whole is, and the other ranges are
cut to size at once, without asking for what would not fit.

A length at which answers are cut need not be a known one: an answer that is not proved whole is
probed by the upper half of its prices, which must hold nothing new. Offers without a price lie in
no range; they are asked for by themselves.

It does no I/O: `Split.bodies` is a generator that gives the next request body and is sent the rows
of its answer. Rows of cut answers count too (they are real offers); all are counted against the
day's quota, and an offer is kept once. Offers whose price moves while the market is read may be
missed: that is in the nature of the thing, not of the split.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from vastnb.errors import InvalidRequest
from vastnb.market.frames.caps import CAP_WITHOUT_KEY, Caps

PRICE: Final = "dph_total"
MAX_CALLS: Final = 60
_PACE: Final = 6.0
"""Seconds from one search to the next in a long row of them, at the service's limit."""
_ODD: Final = 0.1
"""The share of a probe that may be new before the first answer counts as cut: markets move."""
_FILL: Final = 0.75
"""How full an answer is planned to be, of the length at which answers are cut."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Range:
    """``low < key <= high``, inside another range or not."""

    key: str
    low: float
    high: float
    within: _Range | None = None
    share: float = 1.0

    def body(self, base: Mapping[str, Any]) -> dict[str, Any]:
        inner = base if self.within is None else self.within.body(base)
        ops = dict(inner.get(self.key, {}))
        if self.low > -math.inf:
            ops["gt"] = max(self.low, float(ops.get("gt", -math.inf)))
        if self.high < math.inf:
            ops["lte"] = min(self.high, float(ops.get("lte", math.inf)))
        body = {name: value for name, value in inner.items() if name != "limit"}
        if ops:
            body[self.key] = ops
        return body

    def holds(self, row: Row) -> bool:
        value: Any = row.get(self.key)
        inside = not _is_number(value) or self.low < value <= self.high
        return inside and (self.within is None or self.within.holds(row))

    def part(self, low: float, high: float, share: float) -> _Range:
        return _Range(self.key, low, high, self.within, share)


@dataclass
class Split:
    """A search read in parts.

    Parameters
    ----------
    body : dict
        The request body; its ``limit`` is left out, its order kept.
    caps : Caps
        Judges the lengths of answers, and learns from them.
    max_calls : int
        Calls after which it stops.
    max_rows : int, optional
        Rows after which it stops, for example what is left of the day's quota.
    id_column : str
        What a price shared by too many offers is cut by.

    Attributes
    ----------
    rows : list of dict
        Offers so far, each once, in the order in which they came.
    calls, rows_used : int
        Requests so far, and rows of all their answers (what the quota counts).
    expected_rows : int or None
        Estimate of `rows_used` at the end; `None` while nothing is known.
    complete : bool
        Whether every part was read to its end.
    proved : bool
        Whether that is beyond doubt.
    reason : str or None
        Why it is not complete, in words.
    """

    body: Mapping[str, Any]
    caps: Caps = field(default_factory=Caps)
    max_calls: int = MAX_CALLS
    max_rows: int | None = None
    id_column: str = "ask_contract_id"
    rows: list[Row] = field(default_factory=list)
    calls: int = 0
    rows_used: int = 0
    expected_rows: int | None = None
    complete: bool = False
    proved: bool = False
    reason: str | None = None
    _seen: set[Any] = field(default_factory=set, repr=False)
    _total: float | None = field(default=None, repr=False)
    _cap: int = field(default=0, repr=False)

    def bodies(self) -> Generator[dict[str, Any], Sequence[Row], None]:
        """Give the bodies to ask for, one by one; each must be answered by ``send(rows)``."""
        pending = [_Range(PRICE, -math.inf, math.inf)]
        samples: dict[_Range, list[Row]] = {}
        while pending:
            part = pending.pop()
            parts = self._presplit(part, samples)
            if len(parts) > 1:
                pending += reversed(parts)
                continue
            self.reason = self._spent()
            if self.reason is not None:
                return
            answer = list((yield part.body(self.body)))
            self._take(answer)
            verdict = self.caps.whole(len(answer))
            self.caps.saw(len(answer))
            long = len(answer) >= CAP_WITHOUT_KEY
            if self.calls == 1 and long and verdict == "assumed" and self._spent() is None:
                known = set(self._seen)
                half = list((yield self._probe(part, answer)))
                self._take(half)
                new = sum(row.get("id", row.get("ask_contract_id")) not in known
                          for row in half)  # fmt: skip
                verdict = "cut" if new > _ODD * len(half) else "proved"
                if verdict == "cut":
                    self.caps.learn(len(answer))
            if verdict != "cut":
                self.proved = verdict == "proved" or self.calls > 1
                if self._total is None and self.calls > 1 and part.share > 0:
                    self._total = max(len(answer) / part.share, len(self.rows))
                    self._expect(part, pending)
                continue
            self._cap = len(answer)
            self._total = None  # unknown yet, or too low: learned again from the next whole part
            if not all(part.holds(row) for row in answer):
                self.reason = (
                    "Vast.ai returned offers outside the requested range, so the search cannot be "
                    "split"
                )
                return
            cuts = self._cut(part, answer)
            if not cuts:
                self.reason = "too many offers share one price to fit into one answer"
                return
            for cut in cuts:
                samples[cut] = [row for row in answer if cut.holds(row)]
            pending += reversed(cuts)
        if self._cap and PRICE not in self.body:
            self.reason = self._spent()
            if self.reason is not None:
                return
            unpriced = list((yield without_price(self.body)))
            self._take(unpriced)
            if self.caps.whole(len(unpriced)) == "cut":
                self.reason = "too many offers without a price to fit into one answer"
                return
        self.complete = True

    def _probe(self, part: _Range, answer: Sequence[Row]) -> dict[str, Any]:
        """Return a body whose answer holds nothing new if `answer` was not cut.

        The upper half of the prices, in the opposite order: whether the service cut at random or
        kept the first, what it left out shows there.
        """
        halves = _by_quantiles(part, answer, 2)
        body = halves[-1].body(self.body) if len(halves) > 1 else dict(self.body)
        turned = {"asc": "desc", "desc": "asc"}
        body["order"] = [[name, turned.get(way, way)] for name, way in body.get("order", [])]
        return body

    def _spent(self) -> str | None:
        if self.calls >= self.max_calls:
            return f"it would have taken more than {self.max_calls} calls"
        if self.max_rows is not None and self.rows_used + self._cap > self.max_rows:
            return f"it would have used more than {self.max_rows:,} rows of the quota"
        return None

    def _take(self, answer: Sequence[Row]) -> None:
        self.calls += 1
        self.rows_used += len(answer)
        for row in answer:
            name = row.get("id", row.get("ask_contract_id"))
            if name is None or name not in self._seen:
                self._seen.add(name)
                self.rows.append(row)

    def _expect(self, read: _Range, pending: Sequence[_Range]) -> None:
        assert self._total is not None
        left = sum(part.share for part in pending)
        self.expected_rows = round(self.rows_used + left * self._total)

    def _presplit(self, part: _Range, samples: dict[_Range, list[Row]]) -> list[_Range]:
        """Cut a range that will not fit by the sample it came with, if its size can be told."""
        sample = samples.pop(part, None)
        if self._total is None or sample is None:
            return [part]
        count = math.ceil(part.share * self._total / (_FILL * self._cap))
        if part.share * self._total <= 0.95 * self._cap:
            return [part]
        return _by_quantiles(part, sample, count)

    def _cut(self, part: _Range, sample: Sequence[Row]) -> list[_Range]:
        halves = _by_quantiles(part, sample, 2)
        if len(halves) > 1:
            return halves
        values = _values(part.key, sample)
        if not values:
            return []
        # One value only: what is below it, what is above it, and the value itself.
        value = values[0]
        below = value - 1 if part.key != PRICE else math.nextafter(value, -math.inf)
        if part.low < below or value < part.high:
            cuts = [
                part.part(part.low, below, 0.0),
                part.part(max(part.low, below), value, part.share),
                part.part(value, part.high, 0.0),
            ]
            return [cut for cut in cuts if cut.low < cut.high]
        if part.key != PRICE:
            return []
        whole = _Range(self.id_column, -math.inf, math.inf, part, part.share)
        ids = _by_quantiles(whole, sample, 2)
        return ids if len(ids) > 1 else []


def without_price(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that asks for the offers of a search that have no price."""
    return {**{name: value for name, value in body.items() if name != "limit"}, PRICE: {"eq": None}}


def split_by_price(
    body: Mapping[str, Any],
    fetch: Callable[[dict[str, Any]], Sequence[Row] | None],
    *,
    caps: Caps | None = None,
    max_calls: int = MAX_CALLS,
    max_rows: int | None = None,
    warn: Callable[[str], None] | None = None,
) -> Split:
    """Read a search to its end, however many offers it has.

    Parameters
    ----------
    body : dict
        As ``Query.body`` gives it.
    fetch : callable
        Sends a body and returns the rows of the answer, or None to stop here.
    caps, max_calls, max_rows
        See `Split`.
    warn : callable, optional
        Told what it may cost before the second call, and how many rows it will take once that can
        be told. By default a `UserWarning`.

    Returns
    -------
    Split
        With `rows`, and `complete` or the `reason` why not.

    Raises
    ------
    InvalidRequest
        If `max_calls` leaves no call.
    """
    if isinstance(max_calls, bool) or not isinstance(max_calls, int) or max_calls < 1:
        raise InvalidRequest(
            f"max_calls={max_calls!r}: a whole number from 1 is needed. Nothing was searched."
        )
    split = Split(body, caps or Caps(), max_calls, max_rows)
    bodies = split.bodies()
    told = warned = False

    def say(message: str) -> None:
        if warn is None:
            warnings.warn(message, UserWarning, stacklevel=3)
        else:
            warn(message)

    try:
        asked = next(bodies)
        while True:
            answer = fetch(asked)
            if answer is None:
                split.reason = "reading was stopped"
                return split
            asked = bodies.send(answer)
            if split._cap and not warned:
                warned = True
                most = max_calls * split._cap
                say(
                    f"One answer holds no more than {split._cap:,} of these offers. Reading them "
                    f"all takes up to {max_calls} calls (max_calls=), about "
                    f"{max_calls * _PACE / 60:.0f} min, and at most "
                    f"{most if max_rows is None else min(most, max_rows):,} rows of the day's "
                    "quota of 20,000."
                )
            if split.expected_rows is not None and not told:
                told = True
                say(
                    f"Reading all of it takes about {split.expected_rows:,} rows of the day's "
                    f"quota ({split.rows_used:,} so far, in {split.calls} calls)."
                )
    except StopIteration:
        return split


def in_order(rows: Sequence[Row], order: Sequence[Sequence[str]]) -> list[Row]:
    """Return the rows of several answers in the order that the search asked for.

    Parameters
    ----------
    rows : sequence of dict
        Offers.
    order : sequence of [column, "asc" or "desc"]
        As in the request; rows without a value come last.
    """
    result = list(rows)
    for column, direction in reversed(order):
        there = [row for row in result if row.get(column) is not None]
        missing = [row for row in result if row.get(column) is None]
        try:
            there.sort(key=lambda row: row[column], reverse=direction == "desc")
        except TypeError:  # a column of mixed types has no order
            continue
        result = there + missing
    return result


def _values(key: str, rows: Sequence[Row]) -> list[float]:
    return sorted({row[key] for row in rows if _is_number(row.get(key))})


def _by_quantiles(part: _Range, sample: Sequence[Row], count: int) -> list[_Range]:
    """Cut a range into at most `count` parts that hold about equally many of the sample."""
    numbers = sorted(row[part.key] for row in sample if _is_number(row.get(part.key)))
    if not numbers:
        return [part]
    cuts: list[float] = []
    for i in range(1, count):
        cut = numbers[min(len(numbers) * i // count, len(numbers) - 1)]
        if cut == numbers[-1]:  # nothing of the sample lies above: cut below it instead
            lower = [n for n in numbers if n < cut]
            if not lower:
                continue
            cut = lower[-1]
        if part.low < cut < part.high and cut not in cuts:
            cuts.append(cut)
    edges = [part.low, *sorted(cuts), part.high]
    return [
        part.part(low, high, part.share * sum(low < n <= high for n in numbers) / len(numbers))
        for low, high in pairwise(edges)
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
