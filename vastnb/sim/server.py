"""The simulated Vast as a server on this machine.

``Server`` starts a threaded HTTP/1.1 server on loopback in a daemon thread, and is a context
manager that ends it. Everything that is sent by it says that it is simulated.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import selectors
import socket
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from vastnb.clock import Clock
from vastnb.sim.accounts import FIRST_CREDIT, key_for
from vastnb.sim.faults import Fault, FaultPlan
from vastnb.sim.http import account, admin, instances, market
from vastnb.sim.http.app import App, Seen
from vastnb.sim.instances.doors import Doors
from vastnb.sim.instances.instance import Instance
from vastnb.sim.limits import ROWS_A_DAY, Limits
from vastnb.sim.market.drawn import MACHINES_FOR_A_MARKET
from vastnb.sim.market.listing import Market
from vastnb.sim.market.recorded import RecordedMarket, read_offers
from vastnb.sim.payloads import plant
from vastnb.sim.world import ANONYMOUS_CAP, CAP, World

log = logging.getLogger("vastnb.sim")

ROUTES = (
    *market.ROUTES,
    *instances.ROUTES,
    *account.ROUTES,
    *admin.ROUTES,
)


class _Handler(WSGIRequestHandler):
    """Werkzeug's request handler, with connections that are kept and without a request log."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's acknowledgement
    timeout = 120  # an idle connection does not hold its thread for ever

    def setup(self) -> None:
        """Begin a connection."""
        super().setup()
        self.server.connections.add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        """End a connection."""
        self.server.connections.discard(self.connection)  # type: ignore[attr-defined]
        with contextlib.suppress(OSError):
            super().finish()

    def run_wsgi(self) -> None:
        """Answer one request.

        Werkzeug's own version closes every connection, and reads whatever comes after a request
        as its remainder. Here each body is read by its length and each answer has one, so the
        connection can be kept.
        """
        environ = self.make_environ()
        answer: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None
        ) -> Any:
            answer.append((status, headers))

        try:
            body = b"".join(self.server.app(environ, start_response))
            status, headers = answer[-1]
            code, _, reason = status.partition(" ")
            self.send_response_only(int(code), reason)
            self.send_header("Date", self.date_time_string())
            for name, value in headers:
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (ConnectionError, TimeoutError) as gone:
            self.close_connection = True
            self.connection_dropped(gone, environ)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log at debug level only."""
        log.debug(message, *args)


class _HTTPServer(ThreadedWSGIServer):
    """A threaded server that can end the connections which clients keep open."""

    daemon_threads = True
    block_on_close = False
    timeout = 0  # a connection that is gone before it is taken is not waited for

    def __init__(self, host: str, port: int, app: App) -> None:
        self.connections: set[socket.socket] = set()
        super().__init__(host, port, app, handler=_Handler)
        self._stopped, self._stop = socket.socketpair()

    def serve(self) -> None:
        """Take connections until `stop` is called; the library's own loop would look for it."""
        with self._stopped, selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.register(self._stopped, selectors.EVENT_READ)
            while all(key.fileobj is self for key, _ in selector.select()):
                self.handle_request()

    def stop(self) -> None:
        """End `serve`, at once."""
        with self._stop:
            self._stop.send(b".")

    def hang_up(self) -> None:
        """Close every connection."""
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log at debug level only."""
        log.debug(message, *args)


class Server:
    """A simulated Vast on loopback.

    Parameters
    ----------
    seed : int
        The same seed, clock and calls give the same market and the same instances.
    speed : float
        World seconds per second: 60 lets an hour of the market pass in a minute.
    port : int
        0 picks a free one.
    host : str
        Address to listen on.
    clock : Clock, optional
        Drives the rate limiter and the quota, and (times `speed`) the world.
    start : float, optional
        World time at the beginning, epoch seconds; by default the clock's.
    offers : path or sequence of mappings, optional
        Recorded offers to serve instead of the drawn market.
    payloads : bool
        Plant scripts and other attacks in every text that comes from hosts.
    limits : Limits, "published" or None
        The rate limiter; by default the published intervals. `None` switches it off.
    faults : FaultPlan or iterable of Fault
        Faults, see `vastnb.sim.faults`.
    fault_rate : float
        Share of calls that meet a random fault.
    cap, anonymous_cap : int or None
        Rows in one answer to a search, with and without a key.
    quota : int or None
        Rows per account and UTC day.
    credit : float
        What the account has to spend, $.
    ssh_key : bool
        Whether the account has an SSH key.
    trouble : float
        Share of instances that fail.
    machines : int
        Size of the drawn market.
    doors : bool
        Whether instances have a port on this computer at which an SSH server answers, if they can
        be reached (see `vastnb.sim.instances.ssh`); otherwise their addresses lead nowhere.

    Attributes
    ----------
    world : World
        What it simulates; tests look at the truth and move the time here.
    url, api_key : str
        What a client needs.
    admin_token : str
        Opens the admin routes.
    faults : FaultPlan
        May be added to at any time.
    limits : Limits or None
        The rate limiter.

    Examples
    --------
    >>> with Server(seed=1) as server:  # doctest: +SKIP
    ...     client = vastnb.Client(server.api_key, base_url=server.url)
    """

    def __init__(
        self,
        seed: int = 0,
        speed: float = 60.0,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        clock: Clock | None = None,
        start: float | None = None,
        offers: str | Path | Sequence[Mapping[str, Any]] | None = None,
        payloads: bool = False,
        limits: Limits | str | None = "published",
        faults: FaultPlan | Iterable[Fault] = (),
        fault_rate: float = 0.0,
        cap: int | None = CAP,
        anonymous_cap: int | None = ANONYMOUS_CAP,
        quota: int | None = ROWS_A_DAY,
        credit: float = FIRST_CREDIT,
        ssh_key: bool = True,
        trouble: float = 0.0,
        machines: int = MACHINES_FOR_A_MARKET,
        doors: bool = False,
    ) -> None:
        market: Market | None = None
        if offers is not None:
            market = RecordedMarket(read_offers(offers))
        self.world = World(
            seed,
            speed,
            clock=clock,
            start=start,
            market=market,
            machines=machines,
            cap=cap,
            anonymous_cap=anonymous_cap,
            quota=quota,
            credit=credit,
            ssh_key=ssh_key,
            trouble=trouble,
            # With doors, an account opens machines that run commands as this user: who else has an
            # account on this computer must not be able to work its key out from the seed.
            key=f"simulated{secrets.token_hex(32)}"[:64] if doors else None,
        )
        if payloads:
            plant(self.world)
        if isinstance(limits, str):
            if limits != "published":
                raise ValueError("limits is a Limits, 'published', or None for no limits at all")
            limits = Limits(seed=seed)
        self.limits: Limits | None = limits
        self.faults = (
            faults
            if isinstance(faults, FaultPlan)
            else FaultPlan(faults, rate=fault_rate, seed=seed)
        )
        self.admin_token = key_for(seed, 99)[:32]
        self._closing = threading.Event()
        self._app = App(
            self.world, ROUTES, limits=self.limits, faults=self.faults, closing=self._closing
        )
        self.world.admin_token = self.admin_token
        self.world.faults = self.faults
        self.world.doors = Doors(_keys_in(self.world)) if doors else None
        self._http = _HTTPServer(host, port, self._app)
        self._thread = threading.Thread(target=self._http.serve, name="vastnb-sim", daemon=True)
        self._thread.start()
        # Whoever drops a server without closing it (a cell that is run again) leaves none behind.
        self._end = weakref.finalize(
            self, _end, self._http, self._closing, self._thread, self.world.doors
        )

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        host, port = self._http.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else str(host)
        return f"http://{name}:{port}"

    @property
    def api_key(self) -> str:
        """The key of the first account."""
        return self.world.account.key

    @property
    def ssh_key_file(self) -> Path | None:
        """The private key that opens its machines; None without doors, or without asyncssh."""
        ssh = self.world.doors.ssh if self.world.doors is not None else None
        return ssh.key_file if ssh is not None else None

    def calls(self, endpoint: str | None = None) -> int:
        """Return how many requests arrived, in all or for one endpoint."""
        counts, _, _ = self._app.snapshot()
        return sum(counts.values()) if endpoint is None else counts[endpoint]

    @property
    def seen(self) -> list[Seen]:
        """The last thousand requests, oldest first."""
        return self._app.snapshot()[2]

    @property
    def statuses(self) -> dict[int, int]:
        """How often each status was answered."""
        return dict(self._app.snapshot()[1])

    @property
    def refused(self) -> dict[str, int]:
        """How many requests of each endpoint the rate limiter refused."""
        return dict(self.limits.refused) if self.limits else {}

    def close(self) -> None:
        """Stop listening, end every connection, and wait for the server's thread."""
        self._end()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<simulated Vast at {self.url}, seed {self.world.seed}>"


def _keys_in(world: World) -> Callable[[Instance], list[str]]:
    """Return what looks up the keys of an instance's account, without holding the server."""

    def keys_of(instance: Instance) -> list[str]:
        account = world.accounts.get(instance.owner)
        return [str(one.get("public_key") or "") for one in account.ssh_keys] if account else []

    return keys_of


def _end(
    http: _HTTPServer, closing: threading.Event, thread: threading.Thread, doors: Doors | None
) -> None:
    """End a server. It must not wait for the thread that it runs in."""
    closing.set()
    if threading.current_thread() is thread:  # the collector of garbage may run anywhere
        threading.Thread(target=_end, args=(http, closing, thread, doors), daemon=True).start()
        return
    if doors is not None:
        doors.close()
    http.stop()
    thread.join(timeout=5)
    http.hang_up()
    http.server_close()


__all__ = ["ROUTES", "Server"]
