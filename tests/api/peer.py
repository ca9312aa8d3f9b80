"""A small HTTP server on loopback that does what a test tells it, byte by byte if need be."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from vastnb.clock import Clock

Act = Callable[["Asked", BaseHTTPRequestHandler], None]


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answer(data: Any, status: int = 200, **headers: str) -> Act:
    """Answer with JSON, or with text as it stands."""
    body = data.encode() if isinstance(data, str) else json.dumps(data).encode()
    kind = "text/html" if isinstance(data, str) else "application/json"
    return raw(body, status, **{"Content-Type": kind, **headers})


def raw(body: bytes, status: int = 200, **headers: str) -> Act:
    def act(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    return act


def truncated(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
    raw(b'{"offers": [{"id": 1}', Content_Length="5000")(asked, handler)
    handler.close_connection = True


def truncated_chunks(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    handler.wfile.write(b'10\r\n{"offers": []')
    handler.close_connection = True


def two_lengths(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")
    handler.close_connection = True


def hang_up(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def dribble(seconds: float = 0.05, *, in_headers: bool = False) -> Act:
    """Send a byte now and then, for ever."""

    def act(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        if not in_headers:
            handler.wfile.write(b"no\r\nContent-Length: 100000\r\n\r\n")
        handler.close_connection = True
        for _ in range(400):
            handler.wfile.write(b"x")
            time.sleep(seconds)

    return act


@dataclass
class Peer:
    """`script` is used up one act a request, then `default` answers."""

    default: Act = field(default_factory=lambda: answer({"offers": []}))
    script: list[Act] = field(default_factory=list)
    clock: Clock | None = None
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.lock = threading.Lock()

    def times(self) -> list[float]:
        return [one.at for one in self.asked]


class Strict:
    """A limiter: a minimum interval per lane, and a penalty that hammering renews.

    ``form`` is how a refusal looks.
    """

    def __init__(self, interval: float, clock: Clock, form: str = "header", penalty: float = 0.0):
        self.interval, self.clock, self.form, self.penalty = interval, clock, form, penalty
        self.lock = threading.Lock()
        self.open_at = 0.0
        self.refused: list[float] = []
        self.served: list[float] = []

    def __call__(self, asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            now = self.clock.time()
            early = now < self.open_at - 1e-6
            if early:
                self.refused.append(now)
                self.open_at = max(self.open_at, now + self.penalty * self.interval)
            else:
                self.served.append(now)
                self.open_at = now + self.interval
            wait = self.open_at - now
        if not early:
            answer({"id": 1, "offers": [{"id": len(self.served)}]})(asked, handler)
        elif self.form == "header":
            answer({"error": "HTTPTooManyRequests"}, 429, Retry_After=f"{wait:.3f}")(asked, handler)
        elif self.form == "text":
            text = f"API requests too frequent endpoint threshold={self.interval}"
            answer(text, 429)(asked, handler)
        else:
            body = {
                "error": "HTTPTooManyRequests",
                "msg": "API requests too frequent",
                "retry_after": wait,
                "limit": self.interval,
                "remaining": 0,
            }
            answer(body, 429, Retry_After=str(int(wait) + 1))(asked, handler)


def serving(peer: Peer) -> Iterator[Peer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 0
        disable_nagle_algorithm = True

        def act(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            now = peer.clock.time() if peer.clock else time.time()
            asked = Asked(self.command, self.path, dict(self.headers), body, now)
            with peer.lock:
                peer.asked.append(asked)
                act = peer.script.pop(0) if peer.script else peer.default
            try:
                act(asked, self)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = act  # noqa: N815 - the library's names

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 50

        def handle_error(self, *args: Any) -> None:
            pass

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    peer.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield peer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
