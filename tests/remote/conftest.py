"""Machines to log in to: OpenSSH's own server, and the simulated market's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.fleet.instance import Instance
from vastnb.remote.session import Session
from vastnb.remote.ssh import Target
from vastnb.sim import Server

from .cutting import Proxy
from .openssh import SSHD, OpenSSH


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here) and _REAL & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = terminalreporter.stats.get("skipped", [])
    count = sum("no sshd" in str(report.longrepr) for report in reports)
    if count:
        terminalreporter.section("NOT CHECKED AGAINST OPENSSH", sep="!", yellow=True)
        terminalreporter.line(f"{count} tests were skipped: apt-get install openssh-server rsync")


_REAL = {"machine", "openssh", "market"}
"""Fixtures of real servers, which take a second or two."""


@dataclass
class Machine:
    """Somewhere to log in."""

    kind: str
    target: Target
    home: Path
    workspace: Path
    server: Any


@pytest.fixture(scope="session")
def openssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSSH]:
    if SSHD is None:
        if os.environ.get("CI"):
            pytest.fail("no sshd on this machine, and CI must not skip these tests")
        pytest.skip("no sshd on this machine (apt-get install openssh-server)")
    server = OpenSSH(tmp_path_factory.mktemp("sshd"))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def market() -> Iterator[Server]:
    with Server(
        seed=4, speed=1, clock=ManualClock(), machines=150, doors=True, limits=None
    ) as running:
        yield running


@pytest.fixture
def client(market: Server) -> Iterator[vastnb.Client]:
    clock = market.world.clock
    with vastnb.Client(
        market.api_key, base_url=market.url, cache="memory", clock=clock
    ) as connected:
        connected.server = market
        yield connected
        connected.server = None  # it outlives this client


Rent = Callable[[], Instance]


@pytest.fixture
def rent(client: vastnb.Client, market: Server) -> Iterator[Rent]:
    rented: list[Instance] = []

    def one() -> Instance:
        market.world.fleet.expect("cached")
        box = client.rent("num_gpus=1", image="pytorch/pytorch", disk=20)
        rented.append(box)
        return box

    yield one
    for box in rented:
        if not box._is_over:
            box.destroy()


@pytest.fixture
def box(rent: Rent) -> Instance:
    return rent()


@pytest.fixture(params=["openssh", "simulated"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    known = tmp_path / "known"
    if request.param == "openssh":
        ssh: OpenSSH = request.getfixturevalue("openssh")
        target = Target("127.0.0.1", ssh.port, "vast-1", known, user=ssh.user, key_file=ssh.key)
        return Machine("openssh", target, ssh.home, ssh.workspace, ssh)
    box: Instance = request.getfixturevalue("box")
    market: Server = request.getfixturevalue("market")
    box.wait(reachable=True)
    port = int(box.record()["ports"]["22/tcp"][0]["HostPort"])
    key = market.ssh_key_file
    assert key is not None
    place = key.parent / str(box.id)
    target = Target("127.0.0.1", port, "vast-1", known, key_file=key)
    return Machine("simulated", target, place / "root", place / "workspace", market)


MakeSession = Callable[..., Session]


@pytest.fixture
def connect(machine: Machine) -> Iterator[MakeSession]:
    """Return a function that makes sessions to the machine, each as if in a kernel of its own."""
    with ExitStack() as stack:

        def make(target: Target | None = None, **options: Any) -> Session:
            session = Session(lambda attempt: [target or machine.target], instance_id=1, **options)
            stack.callback(session.close)
            return session

        yield make


@pytest.fixture
def session(connect: MakeSession) -> Session:
    return connect()


@pytest.fixture
def proxy(machine: Machine) -> Iterator[Proxy]:
    """A way to the machine that can be cut."""
    with Proxy(machine.target.port) as running:
        yield running


@pytest.fixture
def weak(machine: Machine, proxy: Proxy, connect: MakeSession) -> Session:
    """A session whose way can be cut."""
    target = machine.target
    through = Target(
        target.host, proxy.port, target.alias, target.known_hosts, target.user, target.key_file
    )
    return connect(through)
