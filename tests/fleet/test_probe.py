"""A machine that is shown as running and cannot be reached: the commonest way to fail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

import vastnb
from vastnb.api.text import is_local
from vastnb.clock import ManualClock
from vastnb.errors import InstanceFailed, InvalidRequest, WaitTimeout
from vastnb.fleet.connect import Address
from vastnb.fleet.watch.probe import may_be_tried, reach
from vastnb.sim import Server

from .watching import machines


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    with Server(seed=4, speed=1, clock=clock, machines=150, doors=True) as running:
        yield running


class Door:
    """A server that says something to whoever connects, in pieces, and keeps what it is sent."""

    def __init__(self, *parts: bytes) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._socket.getsockname()[1], "direct")
        self.heard = b""
        self._parts = parts
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        guest, _ = self._socket.accept()
        with guest:
            for part in self._parts:
                guest.sendall(part)
                threading.Event().wait(0.02)
            guest.settimeout(2)
            self.heard += guest.recv(100)

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join(5)
        self._socket.close()


def test_whoever_speaks_as_an_ssh_server_is_reached() -> None:
    with (
        Door(b"SSH-2.0-OpenSSH_9.6\r\n") as one,
        Door(b"Welcome!\n", b"SS", b"H-2.0-x\r\n") as two,
        Door(b"HTTP/1.1 400 Bad Request\r\n") as three,
        Door() as four,
        socket.create_server(("127.0.0.1", 0)) as closed,
    ):
        port = closed.getsockname()[1]
        closed.close()
        doors = [one.address, two.address, three.address, four.address]
        doors.append(Address("127.0.0.1", port, "direct"))
        found = reach(dict(enumerate(doors)), local=True, timeout=0.4)
    assert found == {0: True, 1: True, 2: False, 3: False, 4: False}
    assert one.heard == two.heard == three.heard == b""  # nothing is ever sent


def test_nobody_is_made_to_knock_at_doors_in_the_users_own_network() -> None:
    for ip in ("127.0.0.1", "10.0.0.5", "192.168.1.1", "169.254.169.254", "::1", "fe80::1",
               "::ffff:192.168.1.1", "224.0.0.1", "0.0.0.0", "not an address"):  # fmt: skip
        assert not may_be_tried(ip, local=False), ip
    assert may_be_tried("8.8.8.8", local=False) and may_be_tried("127.0.0.1", local=True)
    assert not may_be_tried("8.8.8.8", local=True)
    with Door(b"SSH-2.0-x\r\n") as door:
        assert reach({1: door.address}, local=False) == {}
        reach({1: door.address}, local=True)
    assert reach({1: Address("ssh4.simulated.invalid", 22, "proxy")}, local=True) == {}
    assert is_local("http://127.0.0.1:80") and is_local("http://localhost:1")
    assert not is_local("https://console.vast.ai")


def test_a_wait_until_ssh_answers_ends_when_it_does(client: vastnb.Client, server: Server) -> None:
    (one,) = machines(server, "cached")
    (box,) = client.wait(one.id, reachable=True)
    watched = client.watcher.snapshot.of(one.id)
    assert box.status == "running" and watched is not None and watched.reached is True


def test_a_machine_that_runs_and_cannot_be_reached_ends_the_wait(
    client: vastnb.Client, server: Server
) -> None:
    (one,) = machines(server, "unreachable")
    client.wait(one.id)  # nothing in its record gives it away
    told = []
    client.watcher.on_notice(told.append)
    with pytest.raises(InstanceFailed, match="attempts to connect have failed") as caught:
        client.wait(one.id, reachable=True)
    assert caught.value.code == "unreachable"
    assert "Destroy it and try the next offer" in str(caught.value)
    assert len(told) == 1 and told[0].level == "bad"


def test_a_machine_is_tried_only_for_whoever_asks(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (one,) = machines(server, "cached")
    client.wait(one.id)
    watcher = client.watcher
    assert watcher.look(at_once=True).of(one.id).reached is None  # type: ignore[union-attr]
    watcher.probe = True
    assert watcher.look(at_once=True).of(one.id).reached is True  # type: ignore[union-attr]
    one.reachable = False
    for _ in range(6):
        clock.sleep(30)
        watcher.look(at_once=True)
    assert watcher.snapshot.of(one.id).verdict.state == "unreachable"  # type: ignore[union-attr]
    one.reachable = True
    watcher.look(at_once=True)
    assert watcher.snapshot.of(one.id).verdict.state == "running"  # type: ignore[union-attr]


def test_a_machine_without_ssh_is_not_waited_for(client: vastnb.Client, server: Server) -> None:
    (one,) = machines(server, "cached")
    one.runtype = "args"
    with pytest.raises(InvalidRequest, match="without SSH"):
        client.wait(one.id, reachable=True)


def test_addresses_of_a_market_without_doors_are_left_alone(clock: ManualClock) -> None:
    with (
        Server(seed=4, speed=1, clock=clock, machines=150) as server,
        vastnb.Client(server.api_key, base_url=server.url, cache="memory", clock=clock) as client,
    ):
        (one,) = machines(server, "cached")
        with pytest.raises(WaitTimeout, match="Not reachable within 300 s"):
            client.wait(one.id, reachable=True, timeout=300)
