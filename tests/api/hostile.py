"""Answers that no service should give, byte by byte: shapes, sizes, headers, drips and resets."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from .peer import Asked

Act = Callable[[Asked, BaseHTTPRequestHandler], None]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def wire(*parts: bytes, every: float = 0.0, reset: bool = False, times: int = 1) -> Act:
    """Send exactly these bytes, `times` over, then close."""

    def act(asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        for _ in range(times):
            for part in parts:
                handler.wfile.write(part)
                time.sleep(every)
        if reset:
            handler.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
            handler.connection.close()

    return act


def body(data: bytes, *headers: bytes) -> Act:
    head = b"".join(header + b"\r\n" for header in headers)
    return wire(HEAD + head + b"Content-Length: %d\r\n\r\n" % len(data) + data)


def said(value: object) -> Act:
    return body(value if isinstance(value, bytes) else json.dumps(value).encode())


def status(line: bytes, *headers: bytes, data: bytes = b"") -> Act:
    head = b"".join(header + b"\r\n" for header in headers)
    return wire(
        b"HTTP/1.1 " + line + b"\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(data) + data
    )


def packed(data: bytes) -> Act:
    return body(gzip.compress(data, 9), b"Content-Encoding: gzip")


def chunks(*parts: bytes, end: bytes = b"0\r\n\r\n") -> Act:
    sent = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return wire(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + sent + end)


FIELDS = ("offers", "instances", "templates", "gpu_types", "gpus", "id")


def everywhere(value: object) -> bytes:
    """Put a value where each kind of answer has what it holds."""
    return json.dumps(dict.fromkeys(FIELDS, value)).encode()


MB = 2**20
SHAPES: dict[str, Act] = {
    "null": said(None),
    "true": said(True),
    "a number": said(7),
    "a text": said("x"),
    "an empty text": said(""),
    "an empty list": said([]),
    "a list": said([1, None, "x"]),
    "an empty object": said({}),
    "fields of null": said(everywhere(None)),
    "fields of text": said(everywhere("x")),
    "fields of numbers": said(everywhere(1)),
    "fields of objects": said(everywhere({"a": 1})),
    "fields of odd lists": said(everywhere([1, None, "x"])),
    "fields of lists in lists": said(everywhere([[{}]])),
    "the error of a success": said({"success": False}),
    "an error of the wrong kind": status(b"400 No", data=b'{"error": [1], "msg": {"a": [null]}}'),
    "detail of the wrong kind": status(b"422 No", data=b'{"detail": [null, {"loc": 5}, []]}'),
    "no JSON": said(b"{offers: []}"),
    "half of a JSON": said(b'{"offers": [{"id": 1'),
    "two JSONs": said(b'{"offers": []}{"offers": []}'),
    "NaN": said(b'{"offers": NaN}'),
    "not UTF-8": said(b'\xff\xfe{"offers"'),
    "zero bytes": said(b"\0" * 100),
    "an integer of 5,000 digits": said(b'{"offers": [{"id": ' + b"9" * 5000 + b"}]}"),
    "204": status(b"204 No Content"),
    "206": status(b"206 Partial", data=b'{"offers": null}'),
    "a page": status(b"200 OK", b"Content-Type: text/html", data=b"<html>maintenance</html>"),
}
HEADERS: dict[str, Act] = {
    "no head": wire(b'{"offers": []}'),
    "HTTP 0.9": wire(b"\r\n\r\n"),
    "HTTP 7": wire(b"HTTP/7.7 200 OK\r\n\r\n{}"),
    "status 999": status(b"999 What"),
    "status x": status(b"x What"),
    "a negative length": wire(HEAD + b"Content-Length: -5\r\n\r\n{}"),
    "a huge length": wire(HEAD + b"Content-Length: 99999999999999999999\r\n\r\n{}"),
    "a length of letters": wire(HEAD + b"Content-Length: many\r\n\r\n{}"),
    "two lengths": wire(HEAD + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
    "too short": wire(HEAD + b"Content-Length: 900\r\n\r\n{}"),
    "no such encoding": body(b"{}", b"Content-Encoding: rot13"),
    "not packed": body(b'{"offers": null}', b"Content-Encoding: gzip"),
    "chunks of letters": chunks(end=b"zz\r\n"),
    "chunks cut short": chunks(b'{"offers": [', end=b""),
    "a redirect": status(b"302 Away", b"Location: http://127.0.0.1:9/"),
    "a redirect nowhere": status(b"301 Away"),
    "a redirect to nonsense": status(b"307 Away", b"Location: http://[::1"),
    "a redirect in a loop": status(b"308 Away", b"Location: /api/v0/bundles/"),
    "bytes in a header": wire(HEAD + b"X-\xff: \xfe\xff\r\nContent-Length: 2\r\n\r\n{}"),
    "a cookie": body(b"{}", b"Set-Cookie: " + b"a=b; " * 5000),
    "429 for a week": status(b"429 No", b"Retry-After: 604800"),
    "429 in the past": status(b"429 No", b"Retry-After: Thu, 01 Jan 1970 00:00:00 GMT"),
    "429 for no time": status(b"429 No", b"Retry-After: -5", b"X-RateLimit-Reset: NaN"),
    "429 with a threshold": status(b"429 No", data=b"requests too frequent threshold=3600"),
    "429 of nonsense": status(b"429 No", b"Retry-After: " + b"9" * 5000, data=b"[" * 5000),
    "503 for a day": status(b"503 No", b"Retry-After: 86400"),
    "a spent quota of nonsense": status(
        b"429 No", b"X-RateLimit-Reset: 1e400", data=b'{"error": "search_quota_exceeded"}'
    ),
}
DRIPS: dict[str, Act] = {
    "a head byte by byte": wire(*(bytes([b]) for b in HEAD), every=0.05),
    "a body byte by byte": wire(HEAD + b"Content-Length: 99\r\n\r\n", *[b" "] * 60, every=0.05),
    "chunks byte by byte": wire(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1\r\n \r\n"] * 60, every=0.05
    ),
    "a trailer byte by byte": wire(
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", *[b"a: b\r\n"] * 60, every=0.05
    ),
    "silence": wire(b"", every=3.0),
    "silence after the head": wire(HEAD + b"Content-Length: 2\r\n\r\n", b"", every=1.5),
    "100s now and then": wire(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 60, every=0.05),
}
GOOD = json.dumps({"offers": [], "instances": [], "success": True, "new_contract": 7}).encode()
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD


def cut(at: int) -> Act:
    """Send that much of a good answer, then reset the connection."""
    return wire(WHOLE[:at], reset=True)


def sizes() -> dict[str, Act]:
    """Build the answers that are too great: a second's work, and 400 MB while they are kept."""
    return {
        "rows that unpack to 63 MB": packed(b'{"offers":[' + b"{}," * (21 * MB) + b"{}]}"),
        "zeros that unpack to 200 MB": packed(b" " * (200 * MB)),
        "packed twice": body(
            gzip.compress(gzip.compress(b" " * (100 * MB))), b"Content-Encoding: gzip, gzip"
        ),
        "deflated": body(zlib.compress(b" " * (100 * MB)), b"Content-Encoding: deflate"),
        "17 MB as they are": said(b'{"offers": [' + b" " * (17 * MB) + b"]}"),
        "5 million rows": said(b'{"offers":[' + b"{}," * (5 * MB) + b"{}]}"),
        "500,000 rows": said(b'{"offers":[' + b"{}," * 500_000 + b"{}]}"),
        "100,000 columns": said({"offers": [{f"c{n}": n for n in range(100_000)}]}),
        "a column a row": said({"offers": [{f"c{n}": n} for n in range(15_000)]}),
        "lists in lists, deep": said(b"[" * 100_000 + b"]" * 100_000),
        "lists in lists, often": said(b"[" + b"[[[[[[]]]]]]," * MB + b"[]]"),
        "objects in objects": said(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        "4 million floats": said(b'{"offers":[' + b"0.1," * (4 * MB - 10) + b"0]}"),
        "a text of 15 MB": said(b'{"offers": [{"a": "' + b"x" * (15 * MB) + b'"}], "x": 1'),
        "an error of 15 MB": status(b"500 No", data=b'{"msg": "' + b"x" * (15 * MB) + b'"}'),
        "an endless body": wire(HEAD + b"\r\n", b" " * MB, times=100),
        "endless chunks": wire(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            b"100000\r\n" + b" " * MB + b"\r\n",
            times=100,
        ),
        "an endless trailer": chunks(b"{}", end=b"0\r\n" + b"x" * (100 * MB)),
        "a trailer of many lines": chunks(b"{}", end=b"0\r\n" + b"a: b\r\n" * (2 * MB)),
        "an endless header": wire(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (10 * MB)),
        "a million headers": wire(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * MB),
        "an endless status": wire(b"HTTP/1.1 200 " + b"x" * (10 * MB)),
        "endless 100s": wire(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000),
        "a chunk of many digits": chunks(end=b"f" * 100_000 + b"\r\n"),
    }
