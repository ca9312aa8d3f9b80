"""One search of a widget, with every outcome as a value."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, cast

import pandas as pd

from vastnb.api.progress import Tick, WaitHook
from vastnb.errors import VastError
from vastnb.market.query.query import OfferType
from vastnb.widgets.explorer_model import Request

if TYPE_CHECKING:
    from vastnb.client import Client

_log = logging.getLogger("vastnb.widgets")


def answer(client: Client, request: Request) -> pd.DataFrame | VastError:
    """Send a request; return its frame, or what went wrong. Never raises an `Exception`."""
    try:
        return client.search_offers(
            request.query,
            type=cast(OfferType, request.type),
            storage=request.storage,
            limit=request.limit,
            refresh=request.refresh,
        )
    except VastError as error:
        return error
    except Exception as error:  # noqa: BLE001  (a worker would die silently; the page shows this)
        _log.exception("a search of the explorer failed")
        return VastError(f"{unexpected(error)} Nothing was rented; earlier results are kept.")


def unexpected(error: BaseException) -> str:
    """Return the sentence for an error that nobody has foreseen."""
    return f"Unexpected error ({error.__class__.__name__}: {error}). Please report it."


def waits_told(tell: Callable[[float | None], None]) -> WaitHook:
    """Return a wait hook that tells until when it waits (epoch seconds), and `None` afterwards."""

    @contextmanager
    def waiting(seconds: float) -> Iterator[Tick]:
        tell(time.time() + seconds)
        try:
            yield lambda passed: None
        finally:
            tell(None)

    def hook(endpoint: str, seconds: float, reason: str) -> AbstractContextManager[Tick]:
        return waiting(seconds)

    return hook
