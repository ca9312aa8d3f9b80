"""Connections that tell what has left, and that can be cut off.

The HTTP library raises the same error for a request that never left and for one whose answer was
lost. And its timeout starts anew with every byte, so that a server which sends one byte a second
is never too slow. Both are mended where the bytes pass: a connection reports to the `Watch` of the
exchange that its thread is carrying out.
"""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

log = logging.getLogger("vastnb.api")


class Watch:
    """What is known about the exchange under way in this thread."""

    def __init__(self) -> None:
        self.touched = False  # one of our connections was asked to carry it
        self.sent = False  # its first byte may have left
        self.expired = False
        self.sock: Any = None

    def expire(self) -> None:
        """End the exchange; called by the timer, in another thread."""
        self.expired = True
        if self.sock is not None:
            try:
                # The plain socket's method: that of an SSLSocket drops its state under the
                # feet of the thread that is reading.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
            except OSError as error:
                log.debug("The socket was closed already: %s", type(error).__name__)


class _Current(threading.local):
    watch: Watch | None = None


current = _Current()


class Watched(HTTPConnection):
    """A connection that tells the watch when it connects and sends."""

    _connecting = False

    def connect(self) -> None:
        watch = current.watch
        if watch:
            watch.touched = True
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        watch = current.watch
        if self.sock is None and self.auto_open:
            self.connect()
        if watch:
            watch.touched = True
            watch.sock = self.sock
            if watch.expired:
                raise TimeoutError
            # What is sent while connecting is the word to a proxy, not the request.
            watch.sent = watch.sent or not self._connecting
        super().send(data)


class WatchedTLS(Watched, HTTPSConnection):
    """The same, encrypted."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = WatchedTLS


_POOLS: dict[str, Any] = {"http": _Pool, "https": _TLSPool}


class Adapter(HTTPAdapter):
    """Never retries by itself: it cannot know what may be sent twice."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use our connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Use our connections towards a proxy too (SOCKS has its own)."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager


__all__ = ["Adapter", "Watch", "current"]
