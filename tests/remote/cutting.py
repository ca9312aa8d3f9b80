"""A way to a server that can be cut, or fall silent."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any


class Proxy:
    """Passes connections on to a port of this computer.

    Parameters
    ----------
    target : int
        The port.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        self._silent = threading.Event()
        self.refuses = False
        threading.Thread(target=self._serve, daemon=True).start()

    def cut(self) -> None:
        """End all connections."""
        with self._lock:
            ends, self._open = self._open, []
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def fall_silent(self) -> None:
        """Pass nothing on any more on connections that exist, without ending them."""
        self._silent.set()
        self._silent = threading.Event()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)  # or whoever waits at it goes on waiting
        self._door.close()
        self.cut()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _serve(self) -> None:
        while True:
            try:
                guest, _ = self._door.accept()
                if self.refuses:
                    guest.close()
                    continue
                there = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                there.settimeout(None)
            except OSError:
                if self._door.fileno() < 0:
                    return
                continue
            with self._lock:
                self._open += [guest, there]
            for pair in ((guest, there), (there, guest)):
                threading.Thread(target=_pass, args=(*pair, self._silent), daemon=True).start()


def _pass(source: socket.socket, target: socket.socket, silent: Any) -> None:
    with contextlib.suppress(OSError):
        while part := source.recv(1 << 16):
            if silent.is_set():
                threading.Event().wait(60)
                return
            target.sendall(part)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
