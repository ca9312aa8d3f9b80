"""How busy a machine is, in its own words, over the connection that its user has opened.

The page's questions set the pace, so nothing is asked while nobody looks. No connection is made for
it and no other call is kept waiting (`vastnb.remote.session.Session.peek`); without a connection
nothing is shown. One question at a time to each machine, in a thread that ends with the answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.fleet.watch import tempo
from vastnb.remote.verbs import is_connected, peek

if TYPE_CHECKING:
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
        Whose they are; by default nobody's, so that none is connected.
    now : callable
        The time that is shown, epoch seconds.
    """

    def __init__(self, account: str = "", now: Callable[[], float] = time.time) -> None:
        self._account, self._now = account, now
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
        begun = time.monotonic()
        with self._lock:
            due = [
                number
                for number in ids
                if number not in self._asking
                and (at_once or begun - self._asked.get(number, -inf) >= tempo.QUICK - _EARLY)
                and is_connected(self._account, number)
            ]
            self._asked |= dict.fromkeys(due, begun)
            self._asking |= set(due)
        threads = [
            threading.Thread(target=self._ask, args=(one, arrived), name="vastnb-load", daemon=True)
            for one in due
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, begun + wait - time.monotonic()))

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
            "util": rounded(load.gpu_util, 0),
            "vram_used": rounded(load.vram_used_gb),
            "vram": rounded(load.vram_gb),
            "disk_used": rounded(load.disk_used_gb),
            "disk": rounded(load.disk_gb),
        }
        return None if set(figures.values()) == {None} else {"at": at, **figures}

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


def rounded(value: float | None, digits: int = 1) -> float | None:
    """Return a number with fewer digits, where there is one."""
    return None if value is None else round(value, digits)
