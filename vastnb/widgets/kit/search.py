"""One search of a widget as a value, asked and answered or a problem; and how it is fetched.

Beside the main thread if the page asks for it, in it if Python does. A result is taken on the
kernel's main thread and nowhere else; until then it is kept. The status line shows what is waited
for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar, cast

import pandas as pd

from vastnb.api.progress import Tick, WaitHook, waits_shown_by
from vastnb.errors import (
    AuthError,
    InvalidRequest,
    QueryError,
    QuotaExceeded,
    RateLimited,
    ServerError,
    VastError,
)
from vastnb.market.query.query import OfferType, Query
from vastnb.widgets.kit import words
from vastnb.widgets.kit.bells import Bells
from vastnb.widgets.kit.work import MainThread, Work

if TYPE_CHECKING:
    from vastnb.client import Client

_log = logging.getLogger("vastnb.widgets")

_KEPT: Final = ("from_cache", "stale", "stale_reason", "truncated", "simulated")
_TITLES: tuple[tuple[type[VastError], str], ...] = (
    (QueryError, words.INVALID_QUERY),
    (AuthError, words.KEY_REJECTED),
    (QuotaExceeded, words.QUOTA_USED_UP),
    (RateLimited, words.RATE_LIMITED),
    (ServerError, words.NOT_REACHED),
)


@dataclass(frozen=True)
class Request:
    """One search that the service must answer.

    Parameters
    ----------
    number : int
        Counts up; an answer to an older number is out of date.
    query, type, storage, limit
        As for ``Client.search_offers``.
    body : dict
        The JSON that it becomes, to compare searches by.
    refresh : bool
        Whether a cached answer will not do.
    """

    number: int
    query: Query
    type: str
    storage: float
    limit: int | None
    body: Mapping[str, Any]
    refresh: bool = False


@dataclass(frozen=True)
class Problem:
    """What went wrong, in words: what happened, and what to do."""

    kind: str
    title: str
    text: str
    retry: bool

    @classmethod
    def of(cls, error: Exception, title: str = words.SEARCH_FAILED) -> Problem:
        """Describe an error; `title` is for kinds that have none of their own."""
        if not isinstance(error, VastError):
            return cls(
                "unexpected", words.UNEXPECTED_ERROR, f"{type(error).__name__}: {error}", True
            )
        for kind, title in _TITLES:
            if isinstance(error, kind):
                return cls(kind.__name__, title, str(error), kind is not QueryError)
        return cls(type(error).__name__, title, str(error), not isinstance(error, InvalidRequest))


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
        return VastError(words.RESULTS_KEPT.format(error=unexpected(error)))


def unexpected(error: BaseException) -> str:
    """Return the sentence for an error that nobody has foreseen."""
    return words.UNEXPECTED.format(kind=error.__class__.__name__, error=error)


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


Job = TypeVar("Job")
Result = TypeVar("Result")

SLOT: Final = "search"
"""Searches of a widget are made one at a time, and the newest wins."""


class Searched(Protocol):
    """What the model of a widget that searches has."""

    problem: Problem | None

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the answer at hand is from."""


class Fetching(Generic[Job, Result]):
    """A part of a widget: its worker, and what comes back from it.

    A widget says how something is fetched (`_fetch`), what becomes of it (`_take`), whether more
    is to come (`_waits`), and how it shows what it has (`_show`, `_tell`).
    """

    _client: Client
    _closed: bool
    send: Callable[..., None]
    if TYPE_CHECKING:  # the widget's own
        _main: MainThread
        _model: Searched
        _bells: Bells

        def _on_main(self, work: Callable[[], None]) -> None: ...

    def _set_up(self, client: Client) -> None:
        """Make the parts; in the kernel's main thread."""
        self._client = client
        self._busy: dict[str, Any] | None = None
        self._work = Work(self._main, lambda: self._on_main(self._drain))

    def wait(self, timeout: float = 60) -> bool:
        """Wait for what the page has asked for; return False after `timeout` seconds."""
        done = self._work.wait(timeout)
        self._drain()
        return done

    # -- what a widget says ----------------------------------------------------------------------

    def _fetch(self, job: Job) -> Result:
        """Fetch; what goes wrong is part of the result."""
        raise NotImplementedError

    def _take(self, job: Job, result: Result) -> None:
        """Take a result in."""
        raise NotImplementedError

    def _waits(self) -> bool:
        """Say whether more is to come."""
        raise NotImplementedError

    def _show(self) -> None:
        """Show what there is."""
        raise NotImplementedError

    def _tell(self) -> None:
        """Set the status line."""
        raise NotImplementedError

    # -- what it is given ------------------------------------------------------------------------

    def _fetch_now(self, job: Job | None) -> None:
        """Fetch in this thread, if there is anything to fetch, and show."""
        if job is not None:
            self._busy = {"since": time.time()}
            self._tell()
            try:
                result = self._fetch(job)
            finally:
                self._busy = None
            self._take(job, result)
        self._show()

    def _fetch_later(self, job: Job | None, *, at_once: bool = False, seen: bool = True) -> None:
        """Show what can be shown now; fetch in a while.

        Parameters
        ----------
        job : Job or None
            None is nothing to fetch: what was to be fetched is not wanted any longer.
        at_once : bool
            Without the pause in which another may come.
        seen : bool
            Whether the status line says so.
        """
        if job is None:
            self._work.cancel(SLOT)
            self._busy = None
        else:
            self._busy = {"since": time.time()} if seen else None
            self._work.do(
                partial(self._fetch_aside, job),
                partial(self._take, job),
                self._failed,
                slot=SLOT,
                at_once=at_once,
            )
        self._show()

    def _drain(self) -> None:
        """Take what has come; on the main thread only."""
        if not self._main.here or not self._work.take():
            return
        if not self._waits():
            self._busy = None
        self._show()
        if not self._closed:
            self.send({"type": "answered"})

    def _end_fetching(self) -> None:
        """Fetch nothing more, and drop what comes."""
        if "_work" in self.__dict__:  # else it was never made whole
            self._work.close()

    def _status(self, figures: Mapping[str, Any], code: str) -> dict[str, Any]:
        """Return what the lines above and below say: small, JSON-able, times as epoch seconds.

        The page lets times tick: ``busy`` has ``since``, and ``until`` while a search waits its
        turn.
        """
        model, source = self._model, self._model.provenance
        status: dict[str, Any] = {
            "figures": dict(figures),
            "code": code,
            "busy": self._busy,
            "problem": asdict(model.problem) if model.problem else None,
            "quota": self._quota(),
            "bells": self._bells.page(),
        }
        if source:
            status["answer_query"] = source.get("query") or ""
            status["fetched_at"] = datetime.fromisoformat(source["fetched_at"]).timestamp()
            status |= {name: source.get(name) for name in _KEPT}
        return status

    def _quota(self) -> dict[str, int] | None:
        try:
            quota = self._client.quota()
        except (VastError, OSError):  # a number that is nice to have; the search said what is wrong
            return None
        return {"used": quota.used, "limit": quota.limit}

    # -- in the worker's thread ------------------------------------------------------------------

    def _fetch_aside(self, job: Job) -> Result:
        told = waits_told(lambda until: self._on_main(lambda: self._tell_wait(until)))
        with waits_shown_by(told):
            return self._fetch(job)

    def _tell_wait(self, until: float | None) -> None:
        if self._busy is not None:
            self._busy = {"since": self._busy["since"], "until": until}
            self._tell()

    def _failed(self, error: BaseException) -> None:
        """Show what `_fetch` did not foresee."""
        self._model.problem = Problem("unexpected", words.UNEXPECTED_ERROR, unexpected(error), True)
