"""A simulated service on a clock that stands still, and clients that share its account."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.sim import Instance, Server

from .inside import transport_of

MakeClient = Callable[..., vastnb.Client]
Terminal = Callable[[], AbstractContextManager[io.StringIO]]


@pytest.fixture(autouse=True)
def _own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path / "data"))


_before: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def _own_threads() -> None:
    """Know which threads are none of this test's: a market of others may still be open."""
    _before.clear()
    _before.update(threading.enumerate())


def threads_since() -> set[threading.Thread]:
    """Return the threads that have begun since the test has."""
    return set(threading.enumerate()) - _before


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    with Server(seed=4, speed=1, clock=clock, machines=150) as running:
        yield running


@pytest.fixture
def connect(server: Server, clock: ManualClock) -> Iterator[MakeClient]:
    """Make clients, each as if in a kernel of its own that has just started."""
    made: list[vastnb.Client] = []

    def make(**options: Any) -> vastnb.Client:
        settings = {
            "base_url": server.url,
            "cache": "memory",
            "clock": clock,
            "history": False,
            **options,
        }
        made.append(vastnb.Client(server.api_key, **settings))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(connect: MakeClient) -> vastnb.Client:
    return connect()


@pytest.fixture
def journal() -> Journal:
    return Journal()


def entries(client: vastnb.Client) -> list[Entry]:
    """All attempts that the journal knows of this client's account."""
    return Journal().entries(transport_of(client).account)


def alive(server: Server) -> list[Instance]:
    """The machines that exist in truth, whoever is shown them."""
    return [one for one in server.world.instances.values() if one.alive]
