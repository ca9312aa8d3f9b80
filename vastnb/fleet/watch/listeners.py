"""Those who want to be told what has changed."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence

from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.state import Snapshot

Subscriber = Callable[[Sequence[Change], Snapshot], None]


class Listeners:
    """Functions that are called one after the other. May be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: dict[object, Subscriber] = {}

    def add(self, callback: Subscriber) -> Callable[[], None]:
        """Have `callback` called from now on; the function that is returned ends it."""
        token = object()
        with self._lock:
            self._callbacks[token] = callback

        def end() -> None:
            with self._lock:
                self._callbacks.pop(token, None)

        return end

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._callbacks.clear()

    def tell(self, found: Sequence[Change], shown: Snapshot) -> None:
        """Tell all of them, in this thread. One that fails costs the others nothing."""
        with self._lock:
            callbacks = list(self._callbacks.values())
        for callback in callbacks:
            try:
                callback(found, shown)
            except Exception as error:  # noqa: BLE001  (it is somebody else's; the others must be told)
                warnings.warn(
                    f"A callback of client.watcher failed: {type(error).__name__}: {error}. The "
                    "other callbacks were called.",
                    RuntimeWarning,
                    stacklevel=2,
                )


def notices_only(callback: Callable[[Change], None]) -> Subscriber:
    """Return a listener that hands on notices, one by one."""

    def each(found: Sequence[Change], shown: Snapshot) -> None:
        for change in found:
            if change.kind == "notice":
                callback(change)

    return each


__all__ = ["Listeners", "Subscriber", "notices_only"]
