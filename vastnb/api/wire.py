"""One exchange over the network: a request goes out, and a value comes back.

`Wire.exchange` never raises what the HTTP library raised. It returns a `Response` or a `Failure`,
for two reasons. What happens next is decided by a pure function that needs values. And the frames
of an HTTP library hold the Authorization header in their locals, which a verbose traceback would
print into the notebook; so no traceback may ever reach into them, not even that of a Ctrl-C.

Two things are known here that exceptions do not tell. Whether the first byte of the request has
left (`Watch.sent`), which separates "certainly not done" from "perhaps done". And when to
stop: the library's timeout starts anew with every byte that arrives, so a timer closes the socket
when the whole exchange has had its time.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family

from vastnb._version import __version__
from vastnb.api.secret import Secret
from vastnb.api.text import is_local
from vastnb.errors import bare

log = logging.getLogger("vastnb.api")

LARGEST_ANSWER = 16 * 2**20
"""Bytes, unpacked. An answer of 1,000 offers has 3 MB; anything larger than this is not one."""

CHUNK = 2**16


class Request(NamedTuple):
    """What is sent, apart from what every request carries.

    Parameters
    ----------
    method, url : str
        As in HTTP; the address without its parameters.
    params : mapping of str to str
        Query parameters.
    body : bytes or None
        JSON.
    """

    method: str
    url: str
    params: Mapping[str, str]
    body: bytes | None

    def __repr__(self) -> str:
        size = 0 if self.body is None else len(self.body)
        return f"<Request {self.method} {self.url}, {size} bytes>"


@dataclass(frozen=True, slots=True)
class Response:
    """What the service answered, whole.

    Parameters
    ----------
    status : int
        HTTP status.
    headers : mapping
        Response headers; look-ups ignore case.
    body : bytes
        The decoded body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Failure(NamedTuple):
    """Why there is no whole answer.

    Parameters
    ----------
    kind : {"unsent", "lost", "broken", "unsendable"}
        Certainly not sent (may be sent again); sent, but no answer; an answer that is not whole;
        or a request that cannot be sent at all.
    what : str
        The reason in words, without addresses or secrets.
    """

    kind: Literal["unsent", "lost", "broken", "unsendable"]
    what: str


class Wire:
    """The connection pool of one client.

    Parameters
    ----------
    base_url : str
        Scheme, host and port. The key goes there and nowhere else.
    key : Secret
        The API key; an empty one sends no Authorization header.
    timeout : float
        Seconds for each step on the socket.
    """

    def __init__(
        self,
        *,
        base_url: str,
        key: Secret,
        timeout: float,
    ) -> None:
        self._local = is_local(base_url)
        self._auth = _Bearer(key, _origin(base_url))
        self._timeout = timeout
        # Not a session of requests-cache: that one keeps what it likes, polling GETs and errors
        # too. What is kept is decided by the caller, after the answer has been judged.
        self.session = _Session()
        self.session.headers.update(
            {"User-Agent": f"vastnb/{__version__}", "Accept": "application/json"}
        )
        self.session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, Adapter(max_retries=0, pool_maxsize=8))

    def prepare(self, request: Request) -> requests.PreparedRequest:
        """Make a request ready to be sent."""
        headers = {"Content-Type": "application/json"} if request.body is not None else None
        return self.session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                params=request.params,
                data=request.body,
                headers=headers,
                # Of our own, even without a key: otherwise ~/.netrc would provide one.
                auth=self._auth,
            )
        )

    def exchange(self, request: Request, within: float, *, cut: bool = False) -> Response | Failure:
        """Send a request and read the whole answer.

        Parameters
        ----------
        request : Request
            What to send.
        within : float
            Real seconds that sending and reading may take together.
        cut : bool
            Return the beginning of an answer that is larger than `LARGEST_ANSWER`.

        Returns
        -------
        Response or Failure
            Never an exception of the HTTP library.
        """
        watch = Watch()
        timer = threading.Timer(within, watch.expire)
        timer.daemon = True
        timer.start()
        _current.watch = watch
        started = time.monotonic()
        thrown: BaseException | None = None
        try:
            result = self._exchange(request, within, watch, cut=cut)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C, or what a signal's handler raised
            thrown = error
        finally:
            timer.cancel()
            _current.watch = None
        if thrown is not None:
            raise bare(thrown)  # without the library's frames
        log.debug(
            "%s %s: %s in %.3f s",
            request.method,
            urlsplit(request.url).path,
            result.status if isinstance(result, Response) else f"{result.kind}, {result.what}",
            time.monotonic() - started,
        )
        return result

    def close(self) -> None:
        """Close the connections."""
        for adapter in self.session.adapters.values():
            adapter.close()

    def _exchange(
        self, request: Request, within: float, watch: Watch, *, cut: bool
    ) -> Response | Failure:
        step = max(0.05, min(self._timeout, within))
        response = None
        bundle: Any = None
        try:
            prepared = self.prepare(request)
            environment = self.session.merge_environment_settings(
                prepared.url or "", {}, True, None, None
            )
            bundle = environment["verify"]
            if self._local:
                environment["proxies"] = {}  # a proxy's "localhost" is not ours
            response = self.session.send(
                prepared, timeout=(step, step), allow_redirects=False, **environment
            )
            body = _read(response, watch, cut=cut)
        except Exception as error:  # noqa: BLE001 - whatever a stranger's bytes break, is a value
            if isinstance(bundle, str) and not watch.touched and not Path(bundle).exists():
                return Failure("unsendable", f"the certificate file {bundle} does not exist")
            headers_came = response is not None
            return _failure(error, watch, headers_came=headers_came, within=within, step=step)
        finally:
            if response is not None:
                response.close()
        if body is None:
            return Failure("broken", f"an answer of more than {LARGEST_ANSWER >> 20} MB")
        return Response(response.status_code, response.headers, body)


# -- reading ----------------------------------------------------------------------------------


def _read(response: requests.Response, watch: Watch, *, cut: bool) -> bytes | None:
    """Return the whole body; None if it is too large. Raises if it is cut short."""
    raw = response.raw
    raw.enforce_content_length = True
    parts: list[bytes] = []
    size = 0
    for part in raw.stream(CHUNK, decode_content=True):
        size += len(part)
        if size > LARGEST_ANSWER:
            raw.close()
            return b"".join(parts) if cut else None
        parts.append(part)
    # A socket that the timer closed looks like the end of an answer without a length.
    if watch.expired:
        raise TimeoutError
    return b"".join(parts)


def _failure(
    error: Exception, watch: Watch, *, headers_came: bool, within: float, step: float
) -> Failure:
    what = _in_words(error, watch, within=within, step=step)
    # (The same errors are raised for headers of an answer.)
    if isinstance(error, _UNSENDABLE) and not watch.sent:
        return Failure("unsendable", what)
    if headers_came:
        return Failure("broken", what)
    return Failure("lost" if watch.sent or watch.blind else "unsent", what)


_UNSENDABLE = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
    requests.exceptions.InvalidProxyURL,
    urllib3.exceptions.LocationParseError,
)


def _in_words(error: BaseException, watch: Watch, *, within: float, step: float) -> str:
    if watch.expired:
        return f"no complete answer within {within:.1f} s"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy refused or cannot be reached"
    names = {type(one).__name__ for one in _causes(error)}
    for marks, words in _WORDS:
        if names & marks:
            return words.format(step=step)
    return type(error).__name__


_WORDS: tuple[tuple[set[str], str], ...] = (
    ({"InvalidURL", "LocationParseError"}, "the server's address is not valid"),
    ({"NameResolutionError", "gaierror"}, "the server's name cannot be resolved (no network?)"),
    ({"ConnectionRefusedError"}, "the connection was refused"),
    ({"ConnectTimeoutError", "ConnectTimeout"}, "no connection within {step:.1f} s"),
    ({"ReadTimeoutError", "ReadTimeout", "TimeoutError"}, "no answer within {step:.1f} s"),
    (
        {"SSLCertVerificationError", "CertificateError"},
        "the server's certificate is not trusted",
    ),
    ({"SSLError", "SSLEOFError"}, "the encrypted connection failed"),
    ({"IncompleteRead", "InvalidChunkLength"}, "the answer was cut short"),
    (
        {"ConnectionResetError", "RemoteDisconnected", "BrokenPipeError", "ConnectionAbortedError"},
        "the connection was lost",
    ),
    ({"DecodeError", "ContentDecodingError"}, "the answer cannot be decompressed"),
)


def _causes(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    todo: list[Any] = [error]
    while todo and len(found) < 20:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found


# -- the session ----------------------------------------------------------------------------


class _Session(requests.Session):
    """A session that follows no redirect, not even to look where it leads."""

    def get_redirect_target(self, resp: Any) -> str | None:
        return None


class _Bearer(AuthBase):
    """Writes the Authorization header, for one server only."""

    def __init__(self, key: Secret, origin: tuple[str, str, int | None]) -> None:
        self._key = key
        self._origin = origin

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key and _origin(request.url or "") == self._origin:
            request.headers["Authorization"] = f"Bearer {self._key.reveal()}"
        return request


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return what makes a server the same one: scheme, host, port."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port


# -- connections: they tell the watch of the exchange that their thread carries out what has left --


class Watch:
    """What is known about the exchange under way in this thread."""

    def __init__(self) -> None:
        self.touched = False  # one of our connections was asked to carry it
        self.blind = False  # another's connection carries it, of which nothing is known
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


_current = _Current()


class WatchedConnection(HTTPConnection):
    """A connection that tells the watch when it connects and sends."""

    _connecting = False

    def connect(self) -> None:
        """Connect."""
        watch = _current.watch
        if watch:
            watch.touched = True
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def _new_conn(self) -> socket.socket:
        """Connect to one of the name's addresses; its time is for all of them together.

        The library gives each address the whole time-out, and a name may have eight.
        """
        host, timeout = self._dns_host, self.timeout
        if not isinstance(timeout, int | float):
            return super()._new_conn()
        until = time.monotonic() + timeout
        addresses = self._addresses(host, timeout)
        try:
            for left in range(len(addresses), 0, -1):
                self._dns_host = addresses[-left]
                self.timeout = max(0.05, (until - time.monotonic()) / left)
                try:
                    return super()._new_conn()
                except HTTPError:
                    if left == 1:
                        raise
        finally:
            self._dns_host, self.timeout = host, timeout
        raise NewConnectionError(self, "the name has no address")

    def _addresses(self, host: str, timeout: float) -> list[str]:
        """Return the addresses of a name. The system's resolver knows no time-out."""
        found: list[Any] = []

        def ask() -> None:
            try:
                found[:] = socket.getaddrinfo(
                    host, self.port, allowed_gai_family(), socket.SOCK_STREAM
                )
            except OSError as error:  # (UnicodeError is a ValueError: a name that is none)
                found[:] = [error]
            except ValueError:
                found[:] = [socket.gaierror("not a valid name")]

        asking = threading.Thread(target=ask, name="vastnb-name", daemon=True)
        asking.start()
        asking.join(timeout)
        if not found or isinstance(found[0], OSError):
            error = found[0] if found else socket.gaierror("no answer in time")
            raise NameResolutionError(self.host, self, error)
        return list(dict.fromkeys(str(one[4][0]) for one in found))

    def send(self, data: Any) -> None:
        """Send."""
        watch = _current.watch
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


class WatchedTLSConnection(WatchedConnection, HTTPSConnection):
    """The same, encrypted."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = WatchedConnection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = WatchedTLSConnection


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
        elif _current.watch:
            _current.watch.blind = True
        return manager
