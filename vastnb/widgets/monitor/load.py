"""How busy a machine is, in its own words, over the connection that its user has opened.

The page's questions set the pace, so nothing is asked while nobody looks. No connection is made for
it and no other call is kept waiting (`vastnb.remote.session.Session.peek`); without a connection
nothing is shown. One question at a time to each machine, in a thread that ends with the answer.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.fleet.watch import tempo
from vastnb.remote.verbs import is_connected, peek

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.watch.watcher import Watcher
    from vastnb.remote.load import Load

ANSWER: Final = 10.0
"""Seconds for a machine to answer; later ones are dropped."""
FIRST: Final = 1.0
"""Seconds that the first picture waits for it."""
_EARLY: Final = 0.3

_log = logging.getLogger("vastnb.widgets")


class Loads:
    """What the machines of one client have last said of themselves.

    Parameters
    ----------
    account : str
        Whose they are.
    now : callable
        The time that is shown, epoch seconds.
    monotonic : callable
        The time that paces.
    """

    def __init__(
        self,
        account: str,
        now: Callable[[], float],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account, self._now, self._monotonic = account, now, monotonic
        self._lock = threading.Lock()
        self._known: dict[int, tuple[float, Load]] = {}
        self._asked: dict[int, float] = {}
        self._asking: set[int] = set()

    def ask(
        self,
        ids: Iterable[int],
        arrived: Callable[[], None] = lambda: None,
        *,
        at_once: bool = False,
        wait: float = 0.0,
    ) -> None:
        """Ask the machines that are connected and were not asked a moment ago.

        Parameters
        ----------
        ids : iterable of int
            The machines that are shown.
        arrived : callable
            Called for each answer, in a thread of its own.
        at_once : bool
            Whether it was a moment ago or not.
        wait : float
            Seconds to wait for the answers.
        """
        begun, threads = self._monotonic(), []
        with self._lock:
            for number in ids:
                last = self._asked.get(number)
                due = at_once or last is None or begun - last >= tempo.QUICK - _EARLY
                if due and number not in self._asking and is_connected(self._account, number):
                    self._asked[number] = begun
                    self._asking.add(number)
                    threads.append(
                        threading.Thread(
                            target=self._ask,
                            args=(number, arrived),
                            name="vastnb-load",
                            daemon=True,
                        )
                    )
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, begun + wait - self._monotonic()))

    def shown(self, number: int) -> dict[str, Any] | None:
        """Return what is shown of a machine; None without a connection, or if it says nothing."""
        with self._lock:
            known = self._known.get(number)
            if known is not None and not is_connected(self._account, number):
                del self._known[number]
                known = None
        if known is None:
            return None
        at, load = known
        figures = {
            "util": _rounded(load.gpu_util, 0),
            "vram_used": _rounded(load.vram_used_gb),
            "vram": _rounded(load.vram_gb),
            "disk_used": _rounded(load.disk_used_gb),
            "disk": _rounded(load.disk_gb),
        }
        told = any(one is not None for one in figures.values())
        return {"at": at, **figures} if told else None

    def _ask(self, number: int, arrived: Callable[[], None]) -> None:
        load = None
        try:
            load = peek(self._account, number, ANSWER)
        except Exception:  # noqa: BLE001  (a thread would die silently; the picture is without it)
            _log.warning("the load of instance %s could not be read", number, exc_info=True)
        finally:
            with self._lock:
                self._asking.discard(number)
                if load is not None:
                    self._known[number] = (self._now(), load)
        if load is not None:
            arrived()


def in_words(live: Mapping[str, Any] | None) -> str:
    """Return a machine's load as text, with its time: for the copy without a kernel."""
    if live is None:
        return ""
    parts = [] if live["util"] is None else [f"GPU {live['util']:.0f} %"]
    for word, name in (("memory", "vram"), ("disk", "disk")):
        used, whole = live[f"{name}_used"], live[name]
        if used is not None and whole is not None:
            parts.append(f"{word} {used:.1f} of {whole:.1f} GB")
    if not parts:
        return ""
    return f"{', '.join(parts)} at {pd.Timestamp(live['at'], unit='s'):%H:%M:%S} UTC"


def _rounded(value: float | None, digits: int = 1) -> float | None:
    return None if value is None else round(value, digits)


_LOADS: weakref.WeakKeyDictionary[Watcher, Loads] = weakref.WeakKeyDictionary()


def loads_of(client: Client) -> Loads:
    """Return what all monitors of a client share."""
    found = _LOADS.get(client.watcher)
    if found is None:
        transport = client.transport
        found = _LOADS[client.watcher] = Loads(transport.account, transport.clock.time)
    return found
