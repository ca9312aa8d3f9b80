"""Something that answers where a simulated instance is said to have SSH.

Each instance that is shown as running gets a port of this computer. Whoever connects to one that
could really be logged in to meets an SSH server (`ssh`; where asyncssh is not installed,
only its banner); at any other the connection ends without a word. So an instance that is shown as
running differs from one that can be reached. The server is made at the first knock, since making
it takes a moment.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from vastnb.sim.instances.instance import Instance

if TYPE_CHECKING:
    from vastnb.sim.instances.ssh import SSH

BANNER = b"SSH-2.0-simulated\r\n"
HOST = "127.0.0.1"
_CAN_SERVE = os.name == "posix" and find_spec("asyncssh") is not None


class Doors:
    """The doors of all instances, watched over by one thread.

    Parameters
    ----------
    keys_of : callable
        Returns the public keys of an instance's account.
    """

    def __init__(self, keys_of: Callable[[Instance], list[str]]) -> None:
        self._keys_of = keys_of
        self._ssh: SSH | None = None
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

    @property
    def ssh(self) -> SSH | None:
        """The servers behind the doors; None without asyncssh, and once closed."""
        with self._lock:
            if self._ssh is None and not self._closed and _CAN_SERVE:
                from vastnb.sim.instances.ssh import SSH

                self._ssh = SSH(self._keys_of)
            return self._ssh

    def close(self) -> None:
        """Close all of them, and wait for the thread."""
        with self._lock:
            self._closed = True
            thread, ssh, self._ssh = self._thread, self._ssh, None
        if ssh is not None:
            ssh.close()
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
        if key.data.answers:
            ssh = self.ssh
            if ssh is not None:
                ssh.welcome(guest, key.data)
                return
            guest.send(BANNER)
        guest.close()

    def _shut(self) -> None:
        for key in list((self._selector.get_map() or {}).values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()
        self._wake.close()


__all__ = ["BANNER", "Doors"]
