"""What can be done with machines that exist."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock, SystemClock
from vastnb.errors import InstanceFailed, InvalidRequest, ServerError, WaitTimeout
from vastnb.fleet.instance import Instance
from vastnb.fleet.logs import fetch_log
from vastnb.sim import Server

from .conftest import alive

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 10}


@pytest.fixture
def box(client: vastnb.Client, server: Server) -> Instance:
    server.world.fleet.expect("cached")
    return client.create_instance(
        client.search_offers("num_gpus=1", order="dph_total").iloc[0],
        **ORDER, label="mine", env={"TOKEN": "hunter2"}, runtype="jupyter_direct",
    )  # fmt: skip


def test_a_machine_is_waited_for_and_can_be_connected_to(
    box: Instance, server: Server, clock: ManualClock
) -> None:
    assert box.status == "starting"
    assert box.wait() is box
    assert box.status == "running"
    assert box.ssh_command is not None and box.ssh_command.startswith("ssh ")
    assert box.jupyter_url is not None and box.label == "mine"
    assert server.refused == {}


def test_a_repr_holds_no_secret(box: Instance, client: vastnb.Client) -> None:
    box.wait()
    token = box.record()["jupyter_token"]
    for text in (repr(box), str(box), client.show_instances().to_csv(), repr(client)):
        assert token not in text and "hunter2" not in text
    assert str(box.id) in repr(box) and "running" in repr(box)


def test_a_handle_can_be_had_by_id(box: Instance, client: vastnb.Client) -> None:
    again = client.show_instance(box.id)
    assert (again.id, again.label) == (box.id, "mine")
    with pytest.raises(InvalidRequest, match="no instance 5"):
        client.show_instance(5)


def test_stop_start_reboot_and_rename(
    box: Instance, client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    (machine,) = alive(server)
    box.wait()
    box.reboot()
    assert machine.actual == "rebooting"
    box.stop()
    assert machine.intended == "stopped"
    assert box.wait(until="stopped").status == "stopped"
    box.start()
    assert box.wait().status == "running"
    box.rename("other")
    assert machine.label == "other" == client.show_instance(box.id).label
    box.rename(None)
    assert machine.label is None
    with pytest.raises(InvalidRequest):
        box.rename("x" * 257)


def test_a_start_that_is_queued_is_told(
    box: Instance, client: vastnb.Client, server: Server
) -> None:
    box.wait()
    box.stop()
    server.world.fleet.refuse_starts = 1
    with pytest.raises(InstanceFailed, match=f"queued.*stop_instance\\({box.id}\\)"):
        box.start()
    client.stop_instance([box.id])


def test_a_bid_can_be_changed(client: vastnb.Client, server: Server) -> None:
    bids = client.search_offers("num_gpus=1", type="bid")
    box = client.rent(bids, **ORDER, bid="min+50%")
    assert isinstance(box, Instance)
    box.change_bid(2.5)
    assert alive(server)[0].bid == 2.5
    for wrong in (0, 200, float("nan"), True):
        with pytest.raises(InvalidRequest):
            box.change_bid(wrong)


def test_waiting_ends_when_there_is_no_hope(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("bad-image")
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    with pytest.raises(InstanceFailed, match=r"pull access denied.*may bill"):
        box.wait()


def test_waiting_ends_with_the_time(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("slow")
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    with pytest.raises(TimeoutError, match=f"{box.id} \\(starting"):
        client.wait(box.id, timeout=60)
    with pytest.raises(InvalidRequest):
        box.wait(until="happy")  # type: ignore[arg-type]


def test_several_are_waited_for_with_one_list(client: vastnb.Client, server: Server) -> None:
    server.world.fleet.expect("cached", "cached", "cached")
    fleet = client.rent("num_gpus=1", count=3, **ORDER)
    client.wait([one.id for one in fleet])  # type: ignore[union-attr]
    assert server.calls("show_instance") == 0
    assert server.calls("show_instances") < 15


def test_several_are_destroyed_by_id(client: vastnb.Client, server: Server) -> None:
    fleet = client.rent("num_gpus=1", count=3, **ORDER)
    client.destroy_instance([one.id for one in fleet])  # type: ignore[union-attr]
    assert alive(server) == []
    client.destroy_instance(12345)  # what does not exist is as it should be


@pytest.mark.parametrize("wrong", [0, -1, "", "x", None, True, 1.5j])
def test_an_id_that_is_none_destroys_nothing(
    client: vastnb.Client, server: Server, wrong: Any
) -> None:
    with pytest.raises(InvalidRequest, match="not an instance id"):
        client.destroy_instance(wrong)
    assert server.calls("destroy_instance") == 0


# -- logs ----------------------------------------------------------------------------------------


def test_logs_are_fetched_without_the_key(box: Instance, server: Server) -> None:
    """The simulated storage refuses whoever shows it a key."""
    box.wait()
    assert f"instance {box.id}" in box.logs()
    assert "daemon" in box.logs(daemon=True)
    assert box.logs(tail=1).count("\n") == 1
    assert box.logs(filter="sshd").count("\n") == 1


class _Storage(BaseHTTPRequestHandler):
    statuses: list[int] = []  # noqa: RUF012
    headers_seen: list[Any] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.headers_seen.append(dict(self.headers))
        status = self.statuses.pop(0) if self.statuses else 200
        self.send_response(status)
        self.send_header("Location", "http://elsewhere.invalid/")
        self.end_headers()
        self.wfile.write(b"line \xff\n")

    def log_message(self, *arguments: Any) -> None:
        return


@pytest.fixture
def storage() -> Iterator[str]:
    _Storage.statuses, _Storage.headers_seen = [], []
    with HTTPServer(("127.0.0.1", 0), _Storage) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/log"
        running.shutdown()
        thread.join()


def test_a_log_is_waited_for(storage: str, clock: ManualClock, tmp_path: Any,
                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login a password hunter2\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    _Storage.statuses = [404, 403]
    assert fetch_log(storage, clock) == "line \ufffd\n"
    assert len(clock.slept) == 2
    assert not any("Authorization" in headers for headers in _Storage.headers_seen)


def test_a_log_that_does_not_come_is_told(storage: str, clock: ManualClock) -> None:
    _Storage.statuses = [404] * 1000
    with pytest.raises(WaitTimeout):
        fetch_log(storage, clock, timeout=10)
    _Storage.statuses = [302]
    with pytest.raises(ServerError, match="302"):
        fetch_log(storage, clock)
    with pytest.raises(ServerError, match="no link to the logs"):
        fetch_log("file:///etc/passwd", clock)


@pytest.mark.slow
def test_a_log_that_comes_byte_by_byte_is_not_waited_for_longer_than_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            connection, _ = server.accept()
            with suppress(OSError), connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                for _ in range(100):
                    connection.sendall(b"x")
                    time.sleep(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(WaitTimeout, match="no complete answer"):
            fetch_log(f"http://127.0.0.1:{server.getsockname()[1]}/log", SystemClock(), timeout=1)
        assert time.monotonic() - begun < 2
        thread.join()
