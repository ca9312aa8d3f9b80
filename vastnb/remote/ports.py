"""Ports of the machine on this computer: ssh's own forwarding, and links that can be clicked.

Links are listened at on the loopback interface only. While there are any, a thread sees to it that
a connection that broke is made again; it ends with the last of them. A server there that speaks TLS
with a certificate of its own (the service's Jupyter does) is spoken to in TLS by us, and in plain
HTTP by the browser: what proves the machine's identity is the SSH connection around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import http.client
import socket
import ssl
import threading
import weakref
import webbrowser
from typing import Final

from vastnb.errors import InvalidRequest, RemoteError
from vastnb.remote.session import Forward, Session

PULSE: Final = 2.0
"""Seconds between two looks whether the connection is there."""

_kept: weakref.WeakKeyDictionary[Session, set[Forward]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


class Link:
    """A port of a machine, on this computer.

    Parameters
    ----------
    session : Session
        The connection.
    forward : Forward
        The way through it.
    port : int
        The port on this computer.
    there : int
        The port on the machine.
    query : str
        What the address carries after ``?``: a secret, if anything.
    relay : Relay, optional
        What speaks TLS for the browser.
    """

    def __init__(
        self,
        session: Session,
        forward: Forward,
        port: int,
        there: int,
        query: str = "",
        relay: Relay | None = None,
    ) -> None:
        self._session = session
        self._forward = forward
        self._query = query
        self._relay = relay
        self.port = port
        self.there = there

    @property
    def address(self) -> str:
        """The address without secrets."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def page(self) -> str:
        """The address for a browser: with a host name of the machine's own, if its server takes it.

        Cookies are kept for a host name and sent to all of its ports: under ``127.0.0.1`` the
        machine would get those of the notebook server here, and both would overwrite the other's.
        Names that end in ``.localhost`` are this computer to Chromium and Firefox, without DNS.
        """
        name = f"box-{self._session.instance_id}.localhost:{self.port}"
        return f"http://{name}/" if _takes(self.port, name) else self.address

    @property
    def url(self) -> str:
        """The full address, for programs; for Jupyter, with its token (a secret)."""
        return self.address + (f"?{self._query}" if self._query else "")

    def open(self) -> None:
        """Open it in this computer's browser."""
        webbrowser.open_new_tab(self.page + (f"?{self._query}" if self._query else ""))

    def close(self) -> None:
        """Close it."""
        with _lock:
            _kept.get(self._session, set()).discard(self._forward)
        if self._relay is not None:
            self._relay.close()
        with contextlib.suppress(RemoteError):
            self._session.unforward(self._forward)

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{self.address}: port {self.there} of instance {self._session.instance_id}>"

    def _repr_html_(self) -> str:
        # A saved notebook holds this: no token is in it.
        page = self.page
        shown = _anchor(page)
        if page != self.address:
            shown += f" (in Safari: {_anchor(self.address)})"
        more = " (<code>.open()</code> opens it with its token)" if self._query else ""
        return f"{shown}{more}"


def _anchor(address: str) -> str:
    address = html.escape(address)
    return f'<a href="{address}" target="_blank" rel="noopener">{address}</a>'


def _takes(port: int, name: str) -> bool:
    """Say whether a server answers under a host name; Jupyter on its own loopback does not."""
    try:
        talk = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            talk.request("GET", "/api", headers={"Host": name})
            return talk.getresponse().status not in (400, 403, 421)
        finally:
            talk.close()
    except (OSError, http.client.HTTPException):
        return False


def forward(
    session: Session,
    port: int,
    local: int | None = None,
    *,
    host: str = "localhost",
    query: str = "",
) -> Link:
    """Bring a port of a machine here.

    Parameters
    ----------
    session : Session
        The connection.
    port : int
        The machine's port.
    local : int, optional
        The port here; by default the same if it is free, else any.
    host : str
        What it listens at there.
    query : str
        What its address carries.

    Raises
    ------
    InvalidRequest
        If it is no port, or `local` is taken.
    """
    if not 0 < int(port) < 65536 or not host or host.startswith("-") or not host.isprintable():
        raise InvalidRequest(f"{host}:{port} is not a port of a machine.")
    if local is not None and not _is_free(local):
        raise InvalidRequest(f"Port {local} of this computer is in use. Nothing was changed.")
    for attempt in range(5):
        number = local or (port if attempt == 0 and port >= 1024 and _is_free(port) else _free())
        way = Forward(f"127.0.0.1:{number}", f"{host}:{port}")
        try:
            session.forward(way)
            break
        except RemoteError:
            if local is not None or attempt == 4 or not session.is_open:
                raise
    _keep(session, way)
    if not query:
        return Link(session, way, number, port)
    relay = Relay(number) if _speaks_tls(number) else None
    if relay is not None:
        session.closers.append(relay.close)
    return Link(session, way, relay.port if relay else number, port, query, relay)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keep(session: Session, way: Forward) -> None:
    with _lock:
        alone = session not in _kept or not _kept[session]
        _kept.setdefault(session, set()).add(way)
    if alone:
        threading.Thread(
            target=_see_to, args=(weakref.ref(session),), name="vastnb links", daemon=True
        ).start()


def _see_to(weak: weakref.ref[Session]) -> None:
    nothing = threading.Event()
    while True:
        nothing.wait(PULSE)
        session = weak()
        with _lock:
            if session is None or session.is_closed or not _kept.get(session):
                return
        if not session.is_open:
            with contextlib.suppress(RemoteError):
                session.open()
        del session


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _speaks_tls(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
            plain.settimeout(5)
            with _context().wrap_socket(plain):
                return True
    except OSError:
        return False


class Relay:
    """Takes plain connections on a port of its own, and passes them on in TLS.

    Parameters
    ----------
    target : int
        The port on this computer that leads to the machine.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])
        threading.Thread(target=self._serve, name="vastnb relay", daemon=True).start()

    def close(self) -> None:
        """End it."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)

    def _serve(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._pass, sock=self._door))
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self._target, ssl=_context())
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            _pump(reader, there[1]), _pump(there[0], writer), return_exceptions=True
        )


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while part := await source.read(1 << 16):
            target.write(part)
            await target.drain()
    except OSError:
        pass
    finally:
        target.close()


__all__ = ["Link", "Relay", "forward"]
