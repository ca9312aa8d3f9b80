"""A rent that is under way, apart from the form that began it.

`RentRun` rents in one daemon thread and keeps what happened. It does not know the form: a form
listens, and one that is closed (because its cell was run again) stops listening while the rent goes
on. Runs are kept by account for the life of the kernel, so the next form finds the one that is
under way, or whose end nobody has seen, and shows it: a machine is never rented unseen. If the
kernel dies too, the journal knows, and `Client.reconcile` settles it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.api.progress import waits_shown_by
from vastnb.errors import OutcomeUnknown, VastError, bare
from vastnb.widgets.kit.search import waits_told
from vastnb.widgets.rent.plan import RentPlan

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.instance import Fleet, Instance

THREAD: Final = "vastnb-rent"
EVENTS_MOST: Final = 400

_log = logging.getLogger("vastnb.widgets")


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened while renting: when (epoch seconds), of which kind, in words."""

    at: float
    kind: str
    text: str


@dataclass(eq=False, repr=False)
class RentRun:
    """One call of ``client.rent`` in a thread of its own.

    Parameters
    ----------
    client : Client
        Who rents.
    offers : DataFrame
        Candidates.
    arguments : mapping
        Keywords for ``client.rent``; they may hold secrets, and go when it has ended.
    plan : RentPlan
        What the form said.

    Attributes
    ----------
    steps : list of Step
        What happened so far.
    result : Instance, Fleet or None
        What was rented.
    error : BaseException or None
        Why nothing was, or why it is not known.
    settled : bool
        Whether what was unknown at its end has been found out.
    """

    client: Client
    offers: pd.DataFrame
    arguments: Mapping[str, Any]
    plan: RentPlan
    steps: list[Step] = field(default_factory=list)
    result: Instance | Fleet | None = None
    error: BaseException | None = None
    began: float = 0.0
    ended: float | None = None
    waits_until: float | None = None
    settled: bool = False
    _listeners: list[Callable[[], None]] = field(default_factory=list)
    _thread: threading.Thread | None = None

    @property
    def account(self) -> str:
        """Whose rent it is."""
        return self.client.transport.account

    @property
    def busy(self) -> bool:
        """Whether it is under way."""
        return self.ended is None

    @property
    def followed(self) -> bool:
        """Whether a form that is open listens to it."""
        return bool(self._listeners)

    @property
    def instances(self) -> list[Instance]:
        """The machines that were rented."""
        if self.result is None:
            return list(getattr(self.error, "machines", ()))
        return list(self.result) if isinstance(self.result, Sequence) else [self.result]

    @property
    def unknown(self) -> bool:
        """Whether a machine may exist that nobody holds."""
        if self.error is None or self.settled:
            return False
        return isinstance(self.error, OutcomeUnknown) or not isinstance(self.error, VastError)

    def start(self) -> None:
        """Begin. Once only."""
        self.began = time.time()
        self._thread = threading.Thread(target=self._run, name=THREAD, daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it has ended; return False after `timeout` seconds."""
        if self._thread is not None:
            self._thread.join(timeout)
        return not self.busy

    def listen(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, in the renting thread, after each step; return how to stop it."""
        self._listeners.append(callback)

        def stop() -> None:
            if callback in self._listeners:
                self._listeners.remove(callback)

        return stop

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with waits_shown_by(waits_told(self._waits)):
                self.result = self.client.rent(self.offers, on_event=self._event, **self.arguments)
        except Exception as error:  # noqa: BLE001  (a thread would die silently; the form shows it)
            if not isinstance(error, VastError):
                _log.exception("renting failed unexpectedly")
            # Its traceback holds the frames of the call, and they hold the environment.
            self.error = bare(error)
        finally:
            self.arguments = {}
            self.waits_until = None
            self.ended = time.time()
            self._tell()

    def _event(self, event: Any) -> None:
        self.steps.append(Step(time.time(), event.kind, event.text))
        del self.steps[:-EVENTS_MOST]
        self._tell()

    def _waits(self, until: float | None) -> None:
        self.waits_until = until
        self._tell()

    def _tell(self) -> None:
        for callback in list(self._listeners):
            try:
                callback()
            except Exception:  # noqa: BLE001  (what looks on must not end a rent)
                _log.exception("a form could not show a step of the rental")


class _Kept:
    """The runs of this kernel that are under way, or whose end nobody has seen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[RentRun] = []

    def begin(self, run: RentRun) -> bool:
        """Enter a run and start it; False if another one of its account is under way."""
        with self._lock:
            if any(one.busy for one in self._runs if one.account == run.account):
                return False
            self._runs.append(run)  # first: a Ctrl-C may come as soon as it has been started
            try:
                run.start()
            except Exception:
                self._runs.remove(run)  # one that cannot be started blocks no other
                raise
        return True

    def of_interest(self, account: str) -> RentRun | None:
        """Return the last run of an account that no open form follows."""
        with self._lock:
            left = [one for one in self._runs if one.account == account and not one.followed]
        return left[-1] if left else None

    def seen(self, run: RentRun) -> None:
        """Forget a run whose end a form has shown."""
        with self._lock:
            self._runs = [one for one in self._runs if one is not run]


RUNS: Final = _Kept()
