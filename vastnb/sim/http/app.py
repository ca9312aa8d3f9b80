"""The HTTP face of the simulated world: a WSGI application.

A request goes through the same gates as at the real service: the path (301 without its trailing
slash), the mishaps that are planned for it, the key, the rate limiter, the daily quota, and then
its handler. What a mishap looks like on the wire is done here, on the real socket.
"""

from __future__ import annotations

import gzip
import json
import logging
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from vastnb.api.endpoints import ENDPOINTS
from vastnb.sim.faults import Fault, FaultPlan
from vastnb.sim.http.admin import HEADER as ADMIN_HEADER
from vastnb.sim.http.exchange import Call, Reply, Route
from vastnb.sim.limits import Limits, Refusal, quota_answer, refusal_answer
from vastnb.sim.refusal import Failure
from vastnb.sim.world import World

if TYPE_CHECKING:
    from vastnb.sim.accounts import Account

log = logging.getLogger("vastnb.sim")

SIMULATED = {"X-Vastnb-Simulated": "1", "Server": "simulated"}
DRIP = 30.0
"""Real seconds for which an answer drips."""

ERROR_PAGE = (
    "<!DOCTYPE html><html><head><title>{status} (simulated)</title></head>"
    "<body><center><h1>{status}</h1></center><hr><center>simulated nginx</center></body></html>"
)


@dataclass(frozen=True)
class Seen:
    """A request that arrived: what a test may ask afterwards."""

    endpoint: str
    method: str
    path: str
    status: int | None
    """`None` if the connection was closed without an answer."""
    identity: str
    at: float
    """Wall clock, epoch seconds."""
    body: Any


@cache  # compiling it takes longer than opening a small market
def _map(routes: tuple[Route, ...]) -> Map:
    return Map(
        [
            Rule(
                route.path.replace("{id}", "<int:id>").replace("{name}", "<string:name>"),
                methods=[route.method],
                endpoint=route,
            )
            for route in routes
        ],
        strict_slashes=True,
        merge_slashes=False,
    )


class App:
    """The WSGI application.

    Parameters
    ----------
    world : World
        What it shows.
    routes : iterable of Route
        What it answers to.
    limits : Limits or None
        The rate limiter; `None` lets everything through.
    faults : FaultPlan
        The mishaps.
    closing : threading.Event
        Ends delays when the server closes.

    Attributes
    ----------
    calls : Counter
        Requests by endpoint.
    seen : deque of Seen
        The last thousand requests.
    """

    def __init__(
        self,
        world: World,
        routes: Iterable[Route],
        *,
        limits: Limits | None,
        faults: FaultPlan,
        closing: threading.Event,
    ) -> None:
        self.world = world
        self.limits = limits
        self.faults = faults
        self.calls: Counter[str] = Counter()
        self.statuses: Counter[int] = Counter()
        self.seen: deque[Seen] = deque(maxlen=1000)
        self._closing = closing
        self._guard = threading.Lock()
        self._map = _map(tuple(routes))

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request; WSGI."""
        request = Request(environ)
        # The body is read in any case, for the connection is kept and the next request follows.
        raw = request.get_data(cache=True)
        try:
            response = self._respond(request, raw)
        except HTTPException as refusal:
            response = self._response(
                Reply(
                    {
                        "success": False,
                        "error": "not_found" if refusal.code == 404 else "invalid_request",
                        "msg": f"{refusal.description or refusal.name} (simulated)",
                    },
                    refusal.code or 500,
                )
            )
        except ConnectionError:
            raise
        except Exception:
            log.exception("the simulated service failed at %s %s", request.method, request.path)
            response = self._response(
                Reply({"success": False, "error": "internal", "msg": "simulated server error"}, 500)
            )
        return response(environ, start_response)

    def snapshot(self) -> tuple[Counter[str], Counter[int], list[Seen]]:
        """Return copies of `calls`, `statuses` and `seen` that belong together."""
        with self._guard:
            return self.calls.copy(), self.statuses.copy(), list(self.seen)

    # -- gates

    def _respond(self, request: Request, raw: bytes) -> Response:
        try:
            route, path = self._match(request)
        except RequestRedirect as redirect:
            self._note("redirect", request, 301, self._address(request), None)
            return self._response(Reply(b"", 301, {"Location": redirect.new_url}))
        fault = None
        if route.name != "admin":
            fault = self.faults.decide(route.name)
        if fault is not None:
            return self._befall(fault, request, raw, route, path)
        return self._answer(request, raw, route, path)

    def _match(self, request: Request) -> tuple[Route, dict[str, Any]]:
        try:
            route, path = self._map.bind_to_environ(request.environ).match()
        except (NotFound, MethodNotAllowed):
            self._note("unknown", request, 404, self._address(request), None)
            raise
        return route, dict(path)

    def _answer(self, request: Request, raw: bytes, route: Route, path: dict[str, Any]) -> Response:
        identity, body = self._address(request), None
        with self.world.lock:
            try:
                account = self._account(request, route, path)
                identity = account.identity if account else identity
                reply = self._held_up(route, identity)
                if reply is None:
                    body = _decode(raw)
                    reply = self._handle(request, route, path, body, account, identity)
            except Failure as failure:
                reply = Reply(failure.body, failure.status)
        self._note(route.name, request, reply.status, identity, body)
        return self._response(reply)

    def _held_up(self, route: Route, identity: str) -> Reply | None:
        """Return the 429 that a request meets, if it does."""
        now = self.world.clock.time()
        refusal = self.limits.admit(identity, route.name, now) if self.limits else None
        if refusal is not None and self.limits is not None:
            headers, text = refusal_answer(refusal, self.limits.form)
            return Reply(text, 429, headers)
        if self._counts_rows(route) and self.world.quota(identity).spent(now):
            headers, quota = quota_answer(now, self.world.quota_rows or 0)
            return Reply(quota, 429, headers)
        return None

    def _handle(
        self,
        request: Request,
        route: Route,
        path: dict[str, Any],
        body: Any,
        account: Account | None,
        identity: str,
    ) -> Reply:
        if route.needs_key and account is None:
            raise Failure(403, "auth_error", "This action requires login.")
        self.world.settle()
        reply = route.handler(
            Call(
                world=self.world,
                account=account,
                identity=identity,
                path=path,
                params=request.args,
                body=body,
                base_url=request.host_url.rstrip("/"),
                authorized="Authorization" in request.headers,
                address=self._address(request),
                admin_token=request.headers.get(ADMIN_HEADER),
            )
        )
        if self._counts_rows(route):
            self.world.quota(identity).spend(reply.rows, self.world.clock.time())
        return reply

    @staticmethod
    def _counts_rows(route: Route) -> bool:
        return route.name in ("search_offers", "search_offers_get", "search_asks")

    @staticmethod
    def _address(request: Request) -> str:
        return request.remote_addr or "nowhere"

    def _account(self, request: Request, route: Route, path: dict[str, Any]) -> Account | None:
        header = request.headers.get("Authorization", "")
        key = header[7:].strip() if header.lower().startswith("bearer ") else None
        key = key or request.args.get("api_key") or None
        if key is None:
            return None
        account = self.world.accounts.get(key)
        if account is not None:
            return account
        instance = self.world.fleet.with_key(key)
        if instance is None:
            raise Failure(404, "auth_error", "Invalid user key")
        # A container has a key of its own, with which it may end itself and do nothing else.
        if route.name != "destroy_instance" or path.get("id") != instance.id:
            raise Failure(403, "auth_error", "This key may only destroy its own instance.")
        return self.world.accounts[instance.owner]

    def _response(self, reply: Reply) -> Response:
        body, content_type = reply.encoded()
        response = Response(body, status=reply.status, content_type=content_type)
        for name, value in {**SIMULATED, **reply.headers}.items():
            response.headers[name] = value
        return response

    def _note(
        self, endpoint: str, request: Request, status: int | None, identity: str, body: Any
    ) -> None:
        with self._guard:
            self.calls[endpoint] += 1
            if status is not None:
                self.statuses[status] += 1
            self.seen.append(
                Seen(
                    endpoint,
                    request.method,
                    request.path,
                    status,
                    identity,
                    self.world.clock.time(),
                    body,
                )
            )

    # -- mishaps

    def _befall(
        self, fault: Fault, request: Request, raw: bytes, route: Route, path: dict[str, Any]
    ) -> Response:
        if fault.kind == "delay":
            self._closing.wait(fault.seconds)
            return self._answer(request, raw, route, path)
        good = self._answer(request, raw, route, path) if fault.takes_effect else None
        if good is None:
            dropped = fault.kind.startswith(("drop", "reset"))
            status = None if dropped else _status_of(fault)
            self._note(route.name, request, status, self._address(request), _decode_or_none(raw))
        if fault.kind.startswith("drop"):
            _hang_up(request.environ, b"")
        if fault.kind.startswith("reset"):
            _hang_up(request.environ, b"", reset=True)
        if fault.kind == "delay-after" and good is not None:
            self._closing.wait(fault.seconds)
            return good
        if fault.kind == "truncate" and good is not None:
            _hang_up(request.environ, _half(good))
        if fault.kind == "drip" and good is not None:
            self._drip(request.environ, good, fault.seconds)
        if fault.kind == "answer":
            return self._response(_as_told(fault, good))
        if fault.kind == "echo":
            return self._response(_echo(fault, request, raw))
        return self._response(self._spoilt(fault, self.world.clock.time(), route.name))

    def _drip(self, environ: dict[str, Any], response: Response, every: float) -> NoReturn:
        """Send an answer slower than anybody waits, then hang up."""
        connection: socket.socket | None = environ.get("werkzeug.socket")
        until = time.monotonic() + DRIP
        for byte in _half(response):
            if connection is None or time.monotonic() > until or self._closing.wait(every):
                break
            try:
                connection.sendall(bytes([byte]))
            except OSError:
                break
        _hang_up(environ, b"")

    def _spoilt(self, fault: Fault, now: float, name: str) -> Reply:
        if fault.kind == "429":
            threshold = self.limits.rules.get(fault.endpoint) if self.limits else None
            headers, text = refusal_answer(
                Refusal(fault.retry_after, threshold.threshold if threshold else 5.0, now),
                fault.form,
            )
            return Reply(text, 429, headers)
        if fault.kind == "quota":
            headers, quota = quota_answer(now, self.world.quota_rows or 20_000)
            return Reply(quota, 429, headers)
        if fault.kind == "empty":
            return Reply(b"", 200, content_type="application/json")
        if fault.kind == "garbage":
            return Reply(b'{"offers": [{"id": 1, ', 200, content_type="application/json")
        if fault.kind == "hollow":
            return Reply({"success": True})
        asked = (ENDPOINTS[name].expects if name in ENDPOINTS else None) or "new_contract"
        if fault.kind == "null":
            return Reply({"success": True, asked: None})
        if fault.kind == "rows":
            return Reply({"success": True, asked: [1, None, "x"]})
        if fault.kind == "bomb":
            return Reply(_bomb(asked), 200, {"Content-Encoding": "gzip"})
        status = _status_of(fault)
        return Reply(ERROR_PAGE.format(status=status), status, content_type="text/html")


def _status_of(fault: Fault) -> int:
    if fault.kind in ("answer", "echo"):
        return fault.status
    if fault.kind in ("500", "502", "503", "504", "429"):
        return int(fault.kind)
    return 429 if fault.kind == "quota" else 200


def _as_told(fault: Fault, good: Response | None) -> Reply:
    """Return the answer that a fault prescribes, with the id of the machine that was made."""
    made = (_decode_or_none(good.get_data()) or {}) if good is not None else {}
    body = fault.body
    if isinstance(body, Mapping) and "{contract}" in body.values():
        number = made.get("new_contract")
        body = {k: number if v == "{contract}" else v for k, v in body.items()}
    kind = "text/html" if isinstance(body, str) else None
    return Reply(body, fault.status, fault.headers, content_type=kind)


def _echo(fault: Fault, request: Request, raw: bytes) -> Reply:
    """Return a refusal that repeats what it was sent, the key included."""
    sent = raw.decode("utf-8", "replace")
    said = f"error 400/3467: Invalid args: {request.headers.get('Authorization', '')} sent {sent}"
    return Reply({"success": False, "error": "invalid_args", "msg": said}, fault.status)


def _decode(raw: bytes) -> Any:
    if not raw.strip():
        return None
    try:
        return json.loads(raw)
    except ValueError:
        raise Failure(400, "invalid_request", "Invalid json body") from None


def _decode_or_none(raw: bytes) -> Any:
    try:
        return _decode(raw)
    except Failure:
        return None


def _half(response: Response) -> bytes:
    """Return an answer that promises all of its body and holds half of it."""
    body = response.get_data()
    head = [f"HTTP/1.1 {response.status}"]
    head += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body[: max(1, len(body) // 2)]


@cache
def _bomb(field: str) -> bytes:
    """Return 64 MB of rows in 64 kB."""
    return gzip.compress(b'{"%s":[' % field.encode() + b"{}," * (21 * 2**20) + b"{}]}", 9)


def _hang_up(environ: dict[str, Any], last_words: bytes, *, reset: bool = False) -> NoReturn:
    """Close the client's connection, and tell the server that it is gone."""
    connection: socket.socket | None = environ.get("werkzeug.socket")
    if connection is not None:
        try:
            if last_words:
                connection.sendall(last_words)
            if reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            else:
                connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The client was quicker; the connection is closed, which is what was wanted.
    raise ConnectionAbortedError("closed by a planned fault")


__all__ = ["SIMULATED", "App", "Seen"]
