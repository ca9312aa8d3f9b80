"""A strict limiter as a process of its own: ``python -m bench.limiter --interval 1 --form today``.

A minimum interval for each (method, route, key), and a window if one is given. A request that comes
too early is a violation, which closes the lane for `PENALTY` intervals; requests that meet a closed
lane are refused and do not prolong it. Accepted requests get the smallest answer that is one. It
prints its port, tells its counts at ``/counts``, and ends when its input does.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PENALTY = 8 / 3
FORMS = ("today", "text", "bare")
"""How a refusal looks: JSON and Retry-After; the threshold in plain text; nothing that helps."""


class Lanes:
    """What was accepted when, and what was refused."""

    def __init__(self, interval: float, window: tuple[int, float] | None = None) -> None:
        self.interval = interval
        self.window = window
        self._sent: deque[float] = deque(maxlen=window[0] if window else 1)
        self._lock = threading.Lock()
        self._open_at: dict[tuple[str, str, str], float] = {}
        self._closed: dict[tuple[str, str, str], bool] = {}
        self.accepted = 0
        self.refused = 0
        self.violations = 0

    def admit(self, lane: tuple[str, str, str]) -> float | None:
        """Return None for "go on", else the seconds until the lane opens."""
        with self._lock:
            now = time.monotonic()
            opens = self._open_at.get(lane, 0.0)
            if self.window and len(self._sent) == self.window[0]:
                opens = max(opens, self._sent[0] + self.window[1])
            if now >= opens:
                self._open_at[lane] = now + self.interval
                self._closed[lane] = False
                self._sent.append(now)
                self.accepted += 1
                return None
            self.refused += 1
            if not self._closed.get(lane):
                self.violations += 1
                self._closed[lane] = True
                opens = self._open_at[lane] = now + PENALTY * self.interval
            return opens - now


def _answer(method: str, route: str) -> dict[str, Any]:
    if route == "/api/v0/users/current/":
        return {"id": 1, "username": "bench", "credit": 1.0}
    if route == "/api/v0/instances/{id}/" and method == "GET":
        instance = {"id": 1, "actual_status": "running", "start_date": 0.0, "extra_env": []}
        return {"instances": instance}
    if method == "PUT":
        return {"success": True, "new_contract": 1}
    return {
        "success": True, "instances": [], "next_token": None, "total_instances": 0,
        "instances_found": 0, "offers": [],
    }  # fmt: skip


def _refusal(form: str, wait: float, interval: float) -> tuple[dict[str, str], bytes, str]:
    text = "API requests too frequent"
    if form == "text":
        return {}, f"{text} endpoint threshold={interval}".encode(), "text/plain"
    body: dict[str, Any] = {"success": False, "error": "rate_limit_exceeded", "msg": text}
    headers = {}
    if form == "today":
        seconds = max(1, math.ceil(wait))
        body = {"error": "HTTPTooManyRequests", "msg": text}
        body |= {"retry_after": seconds, "limit": interval, "remaining": 0}
        headers = {
            "retry-after": str(seconds),
            "x-ratelimit-limit": str(interval),
            "x-ratelimit-remaining": "0",
            "x-ratelimit-reset": str(math.ceil(time.time() + wait)),
        }
    return headers, json.dumps(body).encode(), "application/json"


def handler(lanes: Lanes, form: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet, so that no delayed ACK is measured
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            if length:
                self.rfile.read(length)
            path = self.path.partition("?")[0].rstrip("/") + "/"
            if path == "/counts/":
                counts = {"accepted": lanes.accepted, "refused": lanes.refused}
                self._send(200, {}, json.dumps(counts).encode(), "application/json")
                return
            route = re.sub(r"/\d+/", "/{id}/", path)
            lane = (self.command, route, self.headers.get("Authorization") or "")
            wait = lanes.admit(lane)
            if wait is None:
                body = json.dumps(_answer(self.command, route)).encode()
                self._send(200, {}, body, "application/json")
            else:
                self._send(429, *_refusal(form, wait, lanes.interval))

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815

        def _send(self, status: int, headers: dict[str, str], body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.limiter")
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--form", choices=FORMS, default="today")
    parser.add_argument("--window", type=float, nargs=2, metavar=("MOST", "SECONDS"))
    options = parser.parse_args()
    window = (int(options.window[0]), options.window[1]) if options.window else None
    lanes = Lanes(options.interval, window)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(lanes, options.form))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
