"""Fetching for the price charts: one search at most, and the history. Errors become values."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pandas as pd

from vastnb.errors import QueryError
from vastnb.widgets.kit.search import answer
from vastnb.widgets.prices import frames, words
from vastnb.widgets.prices.model import TREND_LINES, Load, Loaded

if TYPE_CHECKING:
    from vastnb.client import Client

_log = logging.getLogger("vastnb.widgets")


def load(client: Client, job: Load) -> Loaded:
    """Fetch what a `Load` asks for; what goes wrong is part of the result."""
    frame = None if job.request is None else answer(client, job.request)
    gpus = list(job.gpus)
    if not gpus and isinstance(frame, pd.DataFrame):
        gpus = list(frames.by_machines(frame))[:TREND_LINES]
    trend, note = _past(client, gpus, job.state.days, job.state.type)
    return Loaded(frame, trend, note)


def _past(client: Client, gpus: list[str], days: float, kind: str) -> tuple[pd.DataFrame, str]:
    """Return the trend of some models, and in words why it is empty."""
    nothing = frames.empty_trend()
    if not gpus:
        return nothing, words.NO_OFFERS_NO_HISTORY
    every = "1h" if days <= 2 else "6h" if days <= 14 else "1d"
    try:
        found = _asked(client.history, gpus, days=days, every=every, type=kind)
    except (ImportError, QueryError) as error:
        return nothing, str(error)
    except Exception as error:  # noqa: BLE001  (the other charts must not suffer from a damaged file)
        _log.exception("the price history could not be read")
        return nothing, words.HISTORY_NOT_READ.format(kind=type(error).__name__, error=error)
    found = frames.of_models(found, gpus)
    spans = found["at"].nunique()
    if spans == 0:
        return nothing, words.NOT_SEEN_LATELY.format(days=days)
    if spans == 1:
        return nothing, words.ONE_POINT_SO_FAR
    return found, ""


def _asked(history: Any, gpus: list[str], **options: Any) -> pd.DataFrame:
    try:
        return cast(pd.DataFrame, history.trend(gpus, **options))
    except QueryError:  # one of them is a name that nobody knows: ask for each by itself
        parts: list[pd.DataFrame] = []
        for gpu in gpus:
            with suppress(QueryError):
                parts.append(history.trend(gpu, **options))
        if not parts:
            raise
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs.update(parts[0].attrs)
        return joined
