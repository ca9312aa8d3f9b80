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
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeVar, cast

import pandas as pd
import traitlets

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
from vastnb.widgets.kit.widget import LiveWidget
from vastnb.widgets.kit.work import Work

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
    query, type, storage, limit
        As for ``Client.search_offers``.
    refresh : bool
        Whether a cached answer will not do.
    """

    query: Query
    type: str
    storage: float
    limit: int | None = None
    refresh: bool = False

    @cached_property
    def body(self) -> dict[str, Any]:
        """The JSON that it becomes, to compare searches by."""
        return self.query.body(type=self.type, limit=self.limit, storage=self.storage)


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
        _log.exception("a search failed")
        return VastError(words.RESULTS_KEPT.format(error=unexpected(error)))


def quoted(text: str) -> str:
    """Return a text as Python writes it, in double quotes where that is plain."""
    plain = '"' not in text and "\\" not in text and text.isprintable()
    return f'"{text}"' if plain else repr(text)


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


class _Model(Protocol[Job]):
    """What decides: it says what must be fetched, if anything, and takes what came."""

    state: Any
    problem: Problem | None
    waiting: Any

    @property
    def provenance(self) -> dict[str, Any]: ...
    def figures(self) -> dict[str, Any]: ...
    def watched(self) -> dict[str, Any]: ...
    def change(self, state: Any) -> Job | None: ...
    def refresh(self) -> Job | None: ...
    def accept(self, job: Job, result: Any) -> bool: ...


class Fetching(LiveWidget, Generic[Job, Result]):
    """A widget that searches: its controls, its worker, and what comes back from it.

    A widget says which trait its controls are (`_controls`), how something is fetched (`_fetch`;
    what goes wrong is part of the result), and how it shows what it has (`_show`, `_code`).
    """

    status = traitlets.Dict().tag(sync=True)
    _controls: str

    def __init__(self, client: Client, model: _Model[Job]) -> None:
        super().__init__(**{self._controls: model.state.page()})
        self._client = client
        self._model = model
        self._bells = Bells(client)
        self._busy: dict[str, Any] | None = None
        self._work = Work(self._main, lambda: self._on_main(self._drain))
        self.observe(lambda _: self._on_main(self._take_controls), self._controls)

    def wait(self, timeout: float = 60) -> bool:
        """Wait for what the page has asked for; return False after `timeout` seconds."""
        done = self._work.wait(timeout)
        self._drain()
        return done

    def refresh(self) -> Self:
        """Search again, bypassing the cache, and wait for the result."""
        self._drain()
        self._fetch_now(self._model.refresh())
        return self

    # -- what a widget says ----------------------------------------------------------------------

    def _fetch(self, job: Job) -> Result:
        raise NotImplementedError

    def _show(self) -> None:
        raise NotImplementedError

    def _code(self) -> str:
        raise NotImplementedError

    def _is_quick(self, _job: Job) -> bool:
        """Say whether fetching takes no time, so that the status line need not speak of it."""
        return False

    # -- from the page ---------------------------------------------------------------------------

    def _heard(self, content: Mapping[str, Any]) -> None:
        super()._heard(content)
        if content.get("type") == "refresh":
            self._on_main(lambda: self._fetch_later(self._model.refresh(), at_once=True))
        elif content.get("type") == "bell":
            self._on_main(lambda: self._take_bell(content))

    def _show_error(self, error: Exception) -> None:
        self._model.problem = Problem.of(error)
        self._tell()

    def _take_bell(self, content: Mapping[str, Any]) -> None:
        try:
            self._bells.take(content, **self._model.watched())
        except VastError as error:
            self._model.problem = Problem.of(error, words.NO_ALERT_SET)
        self._tell()

    def _take_controls(self) -> None:
        self._drain()
        try:
            state = self._model.state.changed(getattr(self, self._controls))
        except QueryError as error:
            self._show_error(error)
            return
        if state != self._model.state:
            self._fetch_later(self._model.change(state))

    # -- searches --------------------------------------------------------------------------------

    def _change(self, changes: Mapping[str, Any]) -> None:
        """Change controls as the page would, and wait for the result."""
        self._drain()
        state = self._model.state.changed(changes)
        self._work.cancel(SLOT)
        job = self._model.change(state)
        setattr(self, self._controls, state.page())
        self._fetch_now(job)

    def _fetch_now(self, job: Job | None) -> None:
        """Fetch in this thread, if there is anything to fetch, and show."""
        if job is not None:
            self._busy = {"since": time.time()}
            self._tell()
            try:
                result = self._fetch(job)
            finally:
                self._busy = None
            self._model.accept(job, result)
        self._show()

    def _fetch_later(self, job: Job | None, *, at_once: bool = False) -> None:
        """Show what can be shown now; fetch in a while, or `at_once`, without time to think.

        Without a job, what was to be fetched is not wanted any longer.
        """
        quick = job is not None and self._is_quick(job)
        self._busy = None if job is None or quick else {"since": time.time()}
        if job is None:
            self._work.cancel(SLOT)
        else:
            self._work.do(
                partial(self._fetch_aside, job),
                partial(self._model.accept, job),
                self._failed,
                slot=SLOT,
                at_once=at_once or quick,
            )
        self._show()

    def _drain(self) -> None:
        """Take what has come; on the main thread only."""
        if not self._main.here or not self._work.take():
            return
        if not self._model.waiting:
            self._busy = None
        self._show()
        if not self._closed:
            self.send({"type": "answered"})

    def _end(self) -> None:
        """Fetch nothing more, and drop what comes; the frames stay readable."""
        if "_work" in self.__dict__:  # else it was never made whole
            self._work.close()

    # -- the status line -------------------------------------------------------------------------

    def _tell(self) -> None:
        """Set the status line."""
        if not self._closed:
            self.status = self._status()

    def _status(self) -> dict[str, Any]:
        """Return what the lines above and below say: small, JSON-able, times as epoch seconds.

        The page lets times tick: ``busy`` has ``since``, and ``until`` while a search waits its
        turn.
        """
        model, source = self._model, self._model.provenance
        status: dict[str, Any] = {
            "figures": model.figures(),
            "code": self._code(),
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
        """Show what `_fetch` did not foresee; nothing more comes of it."""
        self._model.waiting = None
        self._model.problem = Problem("unexpected", words.UNEXPECTED_ERROR, unexpected(error), True)
