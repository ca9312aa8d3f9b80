"""What the client's verbs about instances stand on: the desk, the watcher, and one way to ask.

What is behind it is imported when it is first used, so that importing the package stays quick.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from vastnb.api.progress import WaitHook, wait_line
from vastnb.clock import Clock
from vastnb.errors import InvalidRequest, JournalError
from vastnb.fleet.warned import warn

if TYPE_CHECKING:
    from vastnb.api.transport import Call
    from vastnb.fleet.rent.attempt import Desk
    from vastnb.fleet.watch.watcher import Watcher


class FleetBase(NamedTuple):
    """What a client hands to its verbs about instances.

    Parameters
    ----------
    call : callable
        Asks the service.
    base_url : str
        The server.
    account : str
        Fingerprint of key and server.
    clock : Clock
        The time.
    timeout : float
        Seconds for one exchange.
    on_wait : WaitHook
        Shows waits.
    """

    call: Call
    base_url: str
    account: str
    clock: Clock
    timeout: float
    on_wait: WaitHook = wait_line


class Footing:
    """What verbs about instances share. A part of `Client`."""

    _fleet_base: FleetBase
    _desk: Desk | None = None
    _watcher: Watcher | None = None

    @property
    def watcher(self) -> Watcher:
        """The one picture of all instances that widgets, waits and handles share."""
        from vastnb.fleet.guarding import look_after

        look_after(self)
        lock = self.__dict__.setdefault("_watch_lock", threading.Lock())
        with lock:
            if self._watcher is None:
                from vastnb.fleet.rent.noted import Noted
                from vastnb.fleet.watch.probe import is_local
                from vastnb.fleet.watch.watcher import Watcher

                base = self._fleet_base
                noted = Noted(base.account, base.clock)
                self._watcher = Watcher(
                    base.call,
                    base.clock,
                    deadline_of=noted.deadline,
                    rental_of=noted.rental,
                    is_known=noted.is_known,
                    local=is_local(base.base_url),
                )
                self.on_close(self._watcher.close)
            return self._watcher

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the client closes."""
        raise NotImplementedError

    # -- in private --------------------------------------------------------------------------

    def _ask(self, endpoint: str, id: int, body: Any, *, judge: bool = True) -> Mapping[str, Any]:
        # What an earlier kernel left open can wait: it is taken up in the background, and settled
        # before anything is created.
        from vastnb.fleet.guarding import look_after

        look_after(self)
        answer = self._fleet_base.call(endpoint, path={"id": id_of(id)}, body=body)
        data = answer.data if isinstance(answer.data, Mapping) else {}
        if judge and data.get("success") is False:
            said = data.get("msg") or data.get("error") or "no reason given"
            raise InvalidRequest(
                f'The service refused {endpoint} for instance {id} ("{str(said)[:200]}"). Nothing '
                "was changed by it.",
                code=str(data.get("error") or "refused"),
            )
        return data

    def _record_of(self, id: int) -> dict[str, Any] | None:
        answer = self._fleet_base.call("show_instance", path={"id": id_of(id)})
        record = answer.data["instances"]
        return dict(record) if isinstance(record, Mapping) and record else None

    def _clock_of_fleet(self) -> Clock:
        return self._fleet_base.clock

    def _fleet(self, *, acting: bool = False, first: bool = True) -> Desk:
        """Return the desk; at its first use, settle what an earlier kernel left open."""
        from vastnb.fleet.guarding import look_after
        from vastnb.fleet.rent.attempt import Desk, Rights
        from vastnb.fleet.rent.journal import Journal

        lock = self.__dict__.setdefault("_first_use", threading.Lock())
        with lock:
            if self._desk is None:
                base = self._fleet_base
                rights = Rights(base.account, base.base_url, base.clock, base.timeout, base.on_wait)
                self._desk = Desk(base.call, rights, Journal())
            desk, begun = self._desk, self.__dict__.get("_begun", False)
            self.__dict__["_begun"] = begun or first
        if not first:
            return desk
        if not begun:
            self._settle_the_past(desk, acting)
        else:
            look_after(self)
        return desk

    def _settle_the_past(self, desk: Desk, acting: bool) -> None:
        from vastnb.fleet.guarding import take_up
        from vastnb.fleet.rent.recovery import needs_settling, reconcile

        try:
            settled = not needs_settling(desk)
            report = None if settled else reconcile(desk)
            take_up(self, desk)
            if report is not None and (report.findings or report.trouble):
                sys.stdout.write(f"From an earlier kernel:\n{report.text}\n")
        except JournalError as error:
            if acting:
                self.__dict__["_begun"] = False
                raise
            warn(error.message, stacklevel=4)
        except BaseException:  # a Ctrl-C too
            self.__dict__["_begun"] = False  # the next use tries again
            raise


def id_of(value: Any) -> int:
    """Return the id of an instance, which may be given as a handle.

    Raises
    ------
    InvalidRequest
        If it is neither.
    """
    number = getattr(value, "id", value)
    try:
        whole = int(number)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    odd = isinstance(value, bool) or (not isinstance(number, str) and whole != number)
    if whole <= 0 or odd:
        raise InvalidRequest(f"{value!r} is not an instance id. Nothing was sent.", code="no_id")
    return whole


__all__ = ["FleetBase", "Footing", "id_of"]
