"""Links to a machine: on the loopback interface only, over drops, and without secrets in sight."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from vastnb.errors import InvalidRequest
from vastnb.remote import ports
from vastnb.remote.ports import forward
from vastnb.remote.session import Session

from .cutting import Proxy


class _Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"hello from {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: object) -> None:
        pass


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Hello)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def read(url: str) -> str:
    return urllib.request.urlopen(url, timeout=10).read().decode()


def test_a_link_leads_there_until_it_is_closed_and_shows_no_token(session: Session) -> None:
    with serving() as port:
        link = forward(session, port, query="token=hunter2")
        assert read(link.url) == "hello from /?token=hunter2"
        assert link.url.startswith("http://127.0.0.1:")
        assert "hunter2" not in repr(link) + link._repr_html_()
        link.close()
        with pytest.raises(OSError):
            read(link.url)


def test_a_link_is_made_again_after_a_cut_without_being_asked(
    weak: Session, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "PULSE", 0.1)
    with serving() as port, forward(weak, port) as link:
        assert read(link.url) == "hello from /"
        proxy.cut()
        until = time.monotonic() + 15
        while True:
            try:
                assert read(link.url) == "hello from /"
                break
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)
    assert weak.generation == 2


def test_a_server_with_a_certificate_of_its_own_needs_no_question(
    session: Session, tmp_path: Path
) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=strange",
         "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl here")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serving(context) as port, forward(session, port, query="token=x") as link:
        assert link.url.startswith("http://")
        assert read(link.url) == "hello from /?token=x"


def test_what_is_no_port_and_one_that_is_taken_are_refused(session: Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(InvalidRequest, match="is in use"):
            forward(session, 80, number)
        with serving() as port, forward(session, port) as link:
            assert link.port != port  # it is taken on this computer, too
    for bad in (0, 70_000):
        with pytest.raises(InvalidRequest, match="not a port"):
            forward(session, bad)
    with pytest.raises(InvalidRequest, match="not a port"):
        forward(session, 80, host="-oProxyCommand=x")
