"""Who is told of what the watcher finds, and what is kept of it to be read later."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.eventlog import Diary
from vastnb.fleet.watch.listeners import Listeners, Subscriber, notices_only


class Audience:
    """Listeners and diary of a watcher. A part of `vastnb.fleet.watch.watcher.Watcher`."""

    def __init__(self) -> None:
        self._listeners = Listeners()
        self._diary = Diary()

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have `callback` called with what has changed, after each look that was made.

        Parameters
        ----------
        callback : callable
            ``callback(changes, snapshot)``, in the thread that looked. It should be quick.

        Returns
        -------
        callable
            Ends it.
        """
        return self._listeners.add(callback)

    def on_notice(self, callback: Callable[[Change], None]) -> Callable[[], None]:
        """Have `callback` called with each notice: what costs money and should not.

        Outbid, stuck, failed, not to be reached, back after it was destroyed, past its deadline,
        credit that runs low. Each is said once, and not again until it has been well.

        Parameters
        ----------
        callback : callable
            ``callback(change)``, in the thread that looked.

        Returns
        -------
        callable
            Ends it.
        """
        return self._listeners.add(notices_only(callback))

    def events(self) -> pd.DataFrame:
        """Return what has happened, oldest first; the newest 2,000.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``kind``, ``before``, ``after``, ``level``, ``text``;
            see `vastnb.fleet.watch.changes.Change`.
        """
        return self._diary.events()

    def history(self) -> pd.DataFrame:
        """Return a sample of each instance per look, oldest first.

        Returns
        -------
        DataFrame
            ``at`` (UTC), ``id``, ``label``, ``state``, ``gpu_util`` and ``cpu_util`` (%),
            ``gpu_temp`` (°C), ``mem_usage``, ``vmem_usage`` and ``disk_usage`` (GB), ``dph_now``
            ($/h, as charged at that moment, without traffic). The newest 20,000.
        """
        return self._diary.history()


__all__ = ["Audience"]
