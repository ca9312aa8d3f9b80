"""Something that answers where a simulated instance is said to have SSH.

Each instance that is shown as running gets a port of this computer. Whoever connects to one that
could really be logged in to reads a banner, as from an SSH server, and is hung up on; at any other
the connection ends without a word. Nobody can log in: it only makes the difference visible between
an instance that is shown as running and one that can be reached.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Any

from .instances import Instance

BANNER = b"SSH-2.0-simulated\r\n"
HOST = "127.0.0.1"


class Doors:
    """The doors of all instances, watched over by one thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: dict[int, int] = {}
        self._selector = selectors.DefaultSelector()
        self._wake, woken = socket.socketpair()
        self._selector.register(woken, selectors.EVENT_READ, None)
        self._thread: threading.Thread | None = None
        self._closed = False

    def show(self, instance: Instance, record: dict[str, Any]) -> dict[str, Any]:
        """Write into a record where the instance's door is; return the record."""
        ports = record.get("ports")
        if ports and "22/tcp" in ports:
            port = self._port(instance)
            if port is not None:
                record["public_ipaddr"] = HOST
                record["ports"] = {**ports, "22/tcp": [{"HostIp": HOST, "HostPort": str(port)}]}
        return record

    def close(self) -> None:
        """Close all of them, and wait for the thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
        with contextlib.suppress(OSError):
            self._wake.send(b".")
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout=5)
        elif thread is None:
            self._shut()

    def _port(self, instance: Instance) -> int | None:
        with self._lock:
            if self._closed:
                return None
            if instance.id not in self._ports:
                door = socket.create_server((HOST, 0))
                door.setblocking(False)
                self._ports[instance.id] = door.getsockname()[1]
                self._selector.register(door, selectors.EVENT_READ, instance)
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._serve, name="vastnb-sim doors", daemon=True
                    )
                    self._thread.start()
                self._wake.send(b".")
            return self._ports[instance.id]

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                with contextlib.suppress(OSError):
                    self._answer(key)
            if self._closed:
                self._shut()
                return

    def _answer(self, key: selectors.SelectorKey) -> None:
        source: Any = key.fileobj
        if key.data is None:
            source.recv(64)
            return
        guest, _ = source.accept()
        with guest:
            if key.data.alive and key.data.container_up and key.data.reachable:
                guest.send(BANNER)

    def _shut(self) -> None:
        for key in list((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._wake.close()


__all__ = ["BANNER", "Doors"]
