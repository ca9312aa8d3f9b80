"""Clocks that are set, names with silent addresses, certificates that are not there."""

from __future__ import annotations

import _thread
import json
import signal
import socket
import threading
import time

import pytest

from vastnb.api.credentials import base_url
from vastnb.api.secret import without_secrets
from vastnb.api.transport import Transport
from vastnb.clock import ManualClock, SystemClock
from vastnb.errors import InvalidRequest, RateLimited, ServerError, VastError

from .conftest import KEY
from .peer import answer
from .test_secrets import everything_about


@pytest.mark.parametrize("set_by", [-86400.0, 86400.0])
@pytest.mark.parametrize("trouble", [answer("", 503), answer("", 429, Retry_After="20")])
def test_a_clock_that_is_set_does_not_change_how_long_a_call_takes(make, peer, trouble, set_by):
    class Set(ManualClock):
        def sleep(self, seconds):
            super().sleep(seconds)
            if len(self.slept) == 3:
                self.set_by(set_by)

    clock = Set()
    peer.default = trouble
    with pytest.raises((ServerError, RateLimited)):
        make(clock=clock, max_wait=60).call("show_instances")
    assert sum(clock.slept) <= 61


def test_an_answer_says_when_it_came_whatever_the_clock_does(make, clock):
    transport = make()
    transport.call("search_offers", body={})
    clock.set_by(-3600)
    assert not transport.call("search_offers", body={"x": {}}).stale


@pytest.fixture
def silent_addresses():
    """Eight addresses that take no connection and do not say so: their queues are full."""
    held, port = [], 0
    for number in range(8):
        listener = socket.socket()
        listener.bind((f"127.0.0.{11 + number}", port))
        listener.listen(0)
        port = listener.getsockname()[1]
        held.append(listener)
        for _ in range(3):
            waiting = socket.socket()
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
            held.append(waiting)
    yield port
    for one in held:
        one.close()


@pytest.mark.slow
def test_a_name_with_eight_silent_addresses_takes_no_longer_than_one(
    make, monkeypatch, silent_addresses
):
    real = socket.getaddrinfo

    def eight(host, port, *rest, **more):
        if host != "silent.test":
            return real(host, port, *rest, **more)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (f"127.0.0.{11 + n}", port)) for n in range(8)]

    monkeypatch.setattr(socket, "getaddrinfo", eight)
    with pytest.warns(UserWarning, match="not encrypted"):
        address = base_url(f"http://silent.test:{silent_addresses}")
    transport = make(base_url=address, timeout=30, max_wait=1.5, clock=SystemClock())
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"no (connection|complete answer)") as caught:
        transport.call("show_instances")
    assert time.monotonic() - begun < 7, "five seconds is what an exchange gets at least"
    assert "Nothing was done" in str(caught.value)


def test_a_resolver_that_is_silent_is_not_waited_for_longer_than_asked(make, monkeypatch):
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(60) and [])
    transport = make(base_url="https://silent.test", timeout=0.5, max_wait=0.5, clock=SystemClock())
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"cannot be resolved|no complete answer"):
        transport.call("create_instance", path={"id": 1}, body={})
    assert time.monotonic() - begun < 3
    done.set()


def test_certificates_that_are_not_there_are_named_and_nothing_was_sent(make, monkeypatch, clock):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    transport = make(base_url="https://127.0.0.1:9")
    with pytest.raises(InvalidRequest, match=r"/no/such/bundle\.pem") as caught:
        transport.call("create_instance", path={"id": 1}, body={})
    assert "Nothing was done" in str(caught.value)
    assert clock.slept == []


def test_a_server_that_is_not_there_was_sent_nothing(make):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerError, match="Nothing was done"):
        make(base_url=f"http://127.0.0.1:{port}", max_wait=1).call(
            "create_instance", path={"id": 1}, body={}
        )


# -- the key ---------------------------------------------------------------------------------------


class Stop(BaseException):
    """What a signal's handler, or a test's time limit, may raise."""


@pytest.mark.slow
def test_no_exception_of_any_kind_shows_a_frame_with_the_key(transport, peer):
    def stop(*_):
        raise Stop("enough")

    def silent(asked, handler):
        _thread.interrupt_main(signal.SIGUSR1)
        time.sleep(0.3)

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        peer.default = silent
        with pytest.raises(Stop) as caught:  # noqa: PT012
            transport.call("show_instances")
            time.sleep(0.5)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert KEY not in everything_about(caught.value)


def echoes():
    spelt = "".join(f"\\u{ord(character):04x}" for character in KEY)
    body = b'{"offers": [{"a": "%s"}]}'
    return [
        answer({"offers": []}, Content_Type=f"x/{KEY}", X_Vastnb_Simulated=KEY),
        answer((body % KEY.encode()).decode(), Content_Type="application/json"),
        answer((body % spelt.encode()).decode(), Content_Type="application/json"),
    ]


@pytest.mark.parametrize("echo", echoes(), ids=["header", "body", "escaped"])
def test_a_key_that_is_echoed_is_not_kept_on_disk(make, peer, cache_dir, echo):
    peer.default = echo
    transport = make()
    assert transport.call("search_offers", body={}).status == 200
    entry = transport._opened.store.get(transport.call("search_offers", body={}).key)
    transport.close()
    if entry is not None:
        assert KEY not in json.dumps(json.loads(entry.body)) + str(entry.headers)
    for one in cache_dir.iterdir():
        assert KEY.encode() not in one.read_bytes()


@pytest.mark.parametrize("pad", [0, 150, 170, 190, 198])
def test_no_part_of_a_key_is_left_when_a_text_is_cut(transport, peer, pad):
    head = "x" * (pad - 20 if pad > 20 else 0)
    for act in (
        answer("", 302, Location=f"http://far.example/{head}{KEY}"),
        answer("x" * (2000 - pad) + KEY, 400),
        answer({"error": "no", "msg": "x" * (300 - pad) + KEY if pad < 300 else KEY}, 400),
    ):
        peer.default = act
        with pytest.raises(VastError) as caught:
            transport.call("show_instances")
        assert KEY[:8] not in str(caught.value)


def test_the_account_is_shown_without_its_secrets_at_any_depth():
    user = {
        "id": 1, "api_key": KEY, "team": {"api_key": KEY, "name": "a"},
        "members": [{"login_token": KEY, "id": 2}], "sid": {"Secret": KEY}, "password": KEY,
    }  # fmt: skip
    shown = without_secrets(user)
    assert KEY not in str(shown)
    assert shown == {"id": 1, "team": {"name": "a"}, "members": [{"id": 2}], "sid": {}}


@pytest.mark.parametrize(
    ("given", "one"),
    [
        ("http://LOCALHOST:8123", "http://localhost:8123"),
        ("https://Console.Vast.AI/", "https://console.vast.ai"),
        ("https://console.vast.ai:443", "https://console.vast.ai"),
        ("https://host.example:0443", "https://host.example"),
        ("https://@host.example", "https://host.example"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("HTTPS://host.example:08443/api", "https://host.example:8443/api"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_a_servers_address_has_one_spelling(given, one):
    assert base_url(given) == one
    assert base_url(one) == one


@pytest.mark.parametrize("spelt", ["http://LocalHost:0{}", "http://@localhost:{}"])
def test_the_key_is_sent_however_the_address_is_spelt(make, peer, spelt):
    port = peer.url.rpartition(":")[2]
    make(base_url=base_url(spelt.format(port))).call("search_offers", body={})
    assert peer.asked[-1].headers["Authorization"] == f"Bearer {KEY}"
    again = Transport(
        base_url=base_url(f"http://localhost:{port}"), api_key=KEY, clock=ManualClock()
    )
    assert again.call("search_offers", body={}).from_cache, "one server, one cache, one lane"
    again.close()
