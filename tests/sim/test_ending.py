"""A server leaves nothing behind: no thread, no socket, no port."""

from __future__ import annotations

import gc
import os
import threading
import time
from pathlib import Path

import pytest
import requests

from vastnb.clock import ManualClock
from vastnb.sim import Fault, Server

OPTIONS = {"clock": ManualClock(), "limits": None, "machines": 5}


def files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a listing, not paths


def soon(condition: object) -> bool:
    deadline = time.monotonic() + 5
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not list files")
def test_servers_leave_no_socket_and_no_thread() -> None:
    files_before, threads_before = files(), threading.active_count()
    for number in range(10):
        with Server(**OPTIONS) as server, requests.Session() as http:
            server.faults.add(Fault("search_offers", "reset-after", nth=1))
            for _ in range(3):
                try:
                    http.post(f"{server.url}/api/v0/bundles/", json={"limit": 1}, timeout=5)
                except requests.ConnectionError:
                    assert server.faults.happened == {"reset-after": 1}
            if number % 2:
                server.close()  # while the client keeps its connection
    assert soon(lambda: threading.active_count() <= threads_before)
    gc.collect()  # the client keeps the connection that broke in its exception
    assert soon(lambda: files() <= files_before)


def test_a_port_can_be_had_again_at_once() -> None:
    with Server(**OPTIONS) as first, requests.Session() as http:
        http.post(f"{first.url}/api/v0/bundles/", json={"limit": 1}, timeout=5)
        port = int(first.url.rsplit(":", 1)[1])
        first.close()
        with Server(port=port, **OPTIONS) as second:
            answer = http.post(f"{second.url}/api/v0/bundles/", json={"limit": 1}, timeout=5)
            assert answer.status_code == 200


def test_a_server_that_is_dropped_ends() -> None:
    server = Server(**OPTIONS)
    url, thread = server.url, server._thread
    assert requests.post(f"{url}/api/v0/bundles/", json={"limit": 1}, timeout=5).ok
    del server
    gc.collect()
    assert soon(lambda: not thread.is_alive())
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=1)


def test_closing_does_not_wait_for_a_delayed_call() -> None:
    with Server(**OPTIONS) as server:
        server.faults.add(Fault("*", "delay", seconds=60))

        def call() -> None:
            try:
                requests.post(f"{server.url}/api/v0/bundles/", json={}, timeout=30)
            except requests.RequestException:
                return

        caller = threading.Thread(target=call)
        caller.start()
        assert soon(lambda: server.faults.happened == {"delay": 1})
        begun = time.monotonic()
        server.close()
        caller.join(5)
        assert not caller.is_alive() and time.monotonic() - begun < 5
