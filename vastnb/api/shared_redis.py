"""Cache and pace in Redis, for kernels on many machines (a JupyterHub).

The answers are in requests-cache's Redis backend, in the same format as in the file. The pace is
one text per lane, changed by watching it: if another kernel changes it between reading and
writing, the change is made again. The machines' clocks should agree to within a fraction of a
second, as those of a cluster do; pauses are clamped if they do not.
"""

from __future__ import annotations

import importlib
from typing import Any, TypeVar

from vastnb.api.cache import FORMAT, Store
from vastnb.api.shared import KEEP as KEEP_STATE
from vastnb.api.shared import Change, KeptState
from vastnb.api.text import bare_url
from vastnb.errors import InvalidRequest

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds for each step to the server."""

MOST_TRIES = 200
NAMESPACE = "vastnb"


def open_redis(url: str) -> tuple[Store, KeptState]:
    """Open cache and pace in a Redis.

    Parameters
    ----------
    url : str
        ``redis://host:port/db``, or ``rediss://`` for TLS.

    Raises
    ------
    InvalidRequest
        If the package ``redis`` is not installed, or the address cannot be read. A server that
        cannot be reached costs a warning, not an error.
    """
    try:
        redis: Any = importlib.import_module("redis")
        from requests_cache.backends.redis import RedisCache
    except ImportError:
        raise InvalidRequest(
            "cache='redis://...' needs the package redis: pip install 'vastnb[redis]'. Nothing was "
            "sent.",
            code="no_redis",
        ) from None
    connection = None
    try:
        connection = redis.Redis.from_url(
            url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
        )
    except ValueError:
        connection = None
    if connection is None:
        raise InvalidRequest(
            f"{bare_url(url)} is not an address of a Redis; it looks like redis://host:6379/0. "
            "Nothing was sent.",
            code="bad_redis_url",
        )
    errors = (redis.RedisError, OSError)
    backend = RedisCache(
        NAMESPACE,
        connection=connection,
        serializer=FORMAT,  # type: ignore[arg-type]  # has the two methods that are called
        ttl=True,
        ttl_offset=3600,  # entries expire after `KEEP`
    )
    state = RedisState(connection, redis.WatchError)
    return Store(backend, errors), KeptState(lambda: state, errors=errors, name="pace in Redis")


class RedisState:
    """Texts by key in Redis.

    Parameters
    ----------
    connection : redis.Redis
        The connection.
    conflict : exception class
        What a watched change raises that came too late.
    """

    def __init__(self, connection: Any, conflict: type[Exception]) -> None:
        self._redis = connection
        self._conflict = conflict

    def update(self, key: str, change: Change[T]) -> T:
        """Replace the text under `key` by what `change` makes of it; return what it says."""
        name = f"{NAMESPACE}-state:{key}"
        for _ in range(MOST_TRIES):
            with self._redis.pipeline() as pipe:
                try:
                    pipe.watch(name)
                    raw = pipe.get(name)
                    old = raw.decode() if raw else None
                    new, result = change(old)
                    if new is None or new == old:
                        return result
                    pipe.multi()
                    pipe.set(name, new, ex=int(KEEP_STATE))
                    pipe.execute()
                except self._conflict:
                    continue
                return result
        raise OSError(f"{key} in Redis is being changed all the time")

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()


__all__ = ["RedisState", "open_redis"]
