"""What a transport works with: connections, the store of answers, the pace.

All of it belongs to one process. SQLite files and sockets that a child process inherits would be
used by two processes at once, so a child opens its own (`Resources.pid` tells), and what it
inherited is kept untouched until it ends: closing it would disturb the parent.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

from vastnb.api import lane
from vastnb.api.cache import Store, open_store
from vastnb.api.endpoints import Endpoint
from vastnb.api.files import PACE, cache_dir
from vastnb.api.lane import Pace
from vastnb.api.progress import SHOW_FROM, SLICE, Tick
from vastnb.api.request import identity_of
from vastnb.api.secret import Secret
from vastnb.api.shared import SharedState, file_state
from vastnb.api.usage import CUTS, merged_cuts, merged_rows
from vastnb.api.wire import Wire
from vastnb.clock import Clock

Cache = str | os.PathLike[str] | None


class Settings(NamedTuple):
    """What a transport was made with.

    Parameters
    ----------
    base_url : str
        Scheme, host and port.
    key : Secret
        The API key, perhaps empty.
    cache : str, path or None
        Where answers are kept.
    cache_ttl, max_wait, timeout : float
        Seconds.
    clock : Clock
        The time.
    endpoints : mapping
        The endpoint table.
    """

    base_url: str
    key: Secret
    cache: Cache
    cache_ttl: float
    max_wait: float
    timeout: float
    clock: Clock
    endpoints: Mapping[str, Endpoint]


@dataclass(frozen=True, slots=True)
class Resources:
    """What one process has opened."""

    pid: int
    identity: str
    wire: Wire
    store: Store | None
    state: SharedState
    pace: Pace
    locks: KeyLocks = field(default_factory=lambda: KeyLocks())

    def close(self) -> None:
        """Let go of everything."""
        self.wire.close()
        if self.store is not None:
            self.store.close()
        self.state.close()


def open_resources(settings: Settings) -> Resources:
    """Open connections, store and pace for this process."""
    now = settings.clock.time
    identity = identity_of(settings.key, settings.base_url)
    store: Store | None
    state: SharedState
    if isinstance(settings.cache, str) and settings.cache.startswith(("redis://", "rediss://")):
        from vastnb.api.shared_redis import open_redis

        store, state = open_redis(settings.cache, settings.clock, _merged)
    else:
        store = open_store(settings.cache, now())
        # The pace is shared whatever the cache is: the service counts per account.
        state = file_state(cache_dir() / PACE, now, _merged)
    wire = Wire(base_url=settings.base_url, key=settings.key, timeout=settings.timeout)
    pace = Pace(state, identity)
    return Resources(os.getpid(), identity, wire, store, state, pace)


def _merged(key: str, shared: str | None, before: str | None, ours: str | None) -> str | None:
    """Put together what kernels have learned apart; see `KeptState`."""
    if key.startswith(lane.KEY):
        return lane.merged(lane.Lane.load(shared), lane.Lane.load(ours)).dump()
    if key.startswith(CUTS):
        return merged_cuts(shared, ours)
    return merged_rows(shared, before, ours)


class KeyLocks:
    """One lock per key, for as long as somebody wants it."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: dict[str, tuple[threading.Lock, int]] = {}

    @contextmanager
    def holding(
        self, key: str, patience: float, shown: Callable[[float], AbstractContextManager[Tick]]
    ) -> Iterator[bool]:
        """Hold the lock of `key`, waiting at most `patience` real seconds; yield whether it is.

        What lasts longer than `SHOW_FROM` happens inside ``shown(seconds left)``.
        """
        with self._guard:
            lock, users = self._locks.get(key, (threading.Lock(), 0))
            self._locks[key] = (lock, users + 1)
        held = False
        try:
            held = lock.acquire(timeout=max(0.0, min(patience, SHOW_FROM)))
            if not held and patience > SHOW_FROM:
                held = _acquire(lock, patience - SHOW_FROM, shown)
            yield held
        finally:
            if held:
                lock.release()
            with self._guard:
                lock, users = self._locks[key]
                if users == 1:
                    del self._locks[key]
                else:
                    self._locks[key] = (lock, users - 1)


def _acquire(
    lock: threading.Lock, seconds: float, shown: Callable[[float], AbstractContextManager[Tick]]
) -> bool:
    with shown(seconds) as tick:
        for _ in range(math.ceil(seconds / SLICE)):
            if lock.acquire(timeout=SLICE):
                return True
            tick(SLICE)
    return False
