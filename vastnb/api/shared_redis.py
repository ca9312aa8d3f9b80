"""Cache and pace in Redis, for kernels on many machines (a JupyterHub).

The answers are in requests-cache's Redis backend, in the same format as in the file. The pace is
one text per lane, changed in a watched transaction. Everybody goes by Redis' own time, since the
machines' clocks need not agree. A server that hangs costs two seconds, then memory stands in.
"""

from __future__ import annotations

import importlib
from itertools import count
from typing import Any, TypeVar

from requests_cache.backends.base import BaseCache

from vastnb.api.cache import FORMAT, MOST_ENTRIES, MOST_KEPT, Store
from vastnb.api.shared import KEEP as KEEP_STATE
from vastnb.api.shared import PATIENCE, Change, KeptState, Merge, Rest
from vastnb.api.text import bare_url
from vastnb.clock import Clock
from vastnb.errors import InvalidRequest

T = TypeVar("T")

MOST_TRIES = 200
NAMESPACE = "vastnb"
TIME_FOR = 60.0
"""Seconds after which the server is asked for its time again."""


def open_redis(url: str, clock: Clock, merge: Merge) -> tuple[Store, KeptState]:
    """Open cache and pace in a Redis.

    Parameters
    ----------
    url : str
        ``redis://host:port/db``, or ``rediss://`` for TLS.
    clock : Clock
        This machine's time.
    merge : callable
        Puts together what Redis and memory know, after Redis was away.

    Raises
    ------
    InvalidRequest
        If the package ``redis`` is not installed, or the address cannot be read. A server that
        cannot be reached costs a warning, not an error.
    """
    try:
        redis: Any = importlib.import_module("redis")
        retry: Any = importlib.import_module("redis.retry")
        backoff: Any = importlib.import_module("redis.backoff")
        from requests_cache.backends.redis import RedisDict
    except ImportError:
        raise InvalidRequest(
            "cache='redis://...' needs the package redis: pip install 'vastnb[redis]'. Nothing was "
            "sent.",
            code="no_redis",
        ) from None
    connection = None
    try:
        connection = redis.Redis.from_url(
            url,
            socket_timeout=PATIENCE,  # for each step
            socket_connect_timeout=PATIENCE,
            retry=retry.Retry(backoff.NoBackoff(), 0),
        )
    except ValueError:
        connection = None
    if connection is None:
        raise InvalidRequest(
            f"{bare_url(url)} is not a Redis address; use redis://host:6379/0. Nothing was sent.",
            code="bad_redis_url",
        )

    class Answers(RedisDict):
        """`RedisDict` with a bound on what it keeps."""

        def with_start(self, key: str, other: str, length: int) -> tuple[Any, Any]:
            """Return an entry, and the first bytes of another one, none if there is none."""
            return self[key], self.connection.getrange(self._bkey(other), 0, length - 1)

        def prune(self, now: float) -> None:
            """Drop the oldest beyond `MOST_ENTRIES` and `MOST_KEPT` bytes; the rest expires."""
            keys = list(self.connection.scan_iter(match=f"{NAMESPACE}:*", count=1000))
            with self.connection.pipeline(transaction=False) as pipe:
                for key in keys:
                    pipe.ttl(key)
                    pipe.strlen(key)
                told = pipe.execute(raise_on_error=False)
            left = [one if isinstance(one, int) else 0 for one in told]
            total = 0
            newest = sorted(zip(left[::2], left[1::2], keys, strict=True), reverse=True)
            for place, (_, size, key) in enumerate(newest):
                total += size
                if place >= MOST_ENTRIES or total > MOST_KEPT:
                    self.connection.delete(key)

    backend = BaseCache(cache_name=NAMESPACE)
    backend.responses = Answers(
        NAMESPACE,
        connection=connection,
        serializer=FORMAT,  # type: ignore[arg-type]  # has the two methods that are called
        ttl=True,
        ttl_offset=3600,  # entries expire after `KEEP`
    )
    errors, rest = (redis.RedisError, OSError), Rest()
    state = RedisState(connection, clock)
    kept = KeptState(
        lambda: state,
        clock.time,
        merge,
        errors=errors,
        name="pace in Redis",
        advice="Check that the Redis server is running and can be reached.",
        rest=rest,
    )
    return Store(backend, errors, rest), kept


class RedisState:
    """Texts by key in Redis.

    Parameters
    ----------
    connection : redis.Redis
        The connection.
    clock : Clock
        This machine's time, for what passes between two looks at the server's.
    """

    def __init__(self, connection: Any, clock: Clock) -> None:
        self._redis = connection
        self._clock = clock
        self._server: tuple[float, float] | None = None  # its time, and ours when it told

    def time(self) -> float:
        """Return seconds since the epoch by the server's clock, as far as it has been asked."""
        if self._server is None:
            return self._clock.time()
        told, then = self._server
        return told + self._clock.steady() - then

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        name = f"{NAMESPACE}-state:{key}"
        tries = count(1)
        if self._server is None or self._clock.steady() - self._server[1] > TIME_FOR:
            seconds, micros = self._redis.time()
            self._server = (seconds + micros / 1e6, self._clock.steady())

        def attempt(pipe: Any) -> T:
            if next(tries) > MOST_TRIES:
                raise OSError(f"{key} in Redis keeps changing")
            old = _text(pipe.get(name))
            new, result = change(old)
            pipe.multi()
            if new is not None and new != old:
                pipe.set(name, new, ex=int(KEEP_STATE))
            return result

        result: T = self._redis.transaction(attempt, name, value_from_callable=True)
        return result

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


def _text(raw: bytes | None) -> str | None:
    try:
        return raw.decode() if raw else None
    except UnicodeDecodeError:
        return None
