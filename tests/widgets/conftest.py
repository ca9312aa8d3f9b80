"""A simulated market and a client on it, both on one clock that stands still until moved."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vastnb.client import Client
from vastnb.clock import ManualClock
from vastnb.sim import Server
from vastnb.widgets.rent.widget import RentForm, rent_form

from .renting import QUERY


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def market(clock: ManualClock) -> Iterator[Server]:
    """A market that gives complete answers."""
    with Server(seed=3, speed=0, clock=clock, cap=None, limits=None, machines=300) as server:
        yield server


@pytest.fixture
def client(market: Server, clock: ManualClock) -> Iterator[Client]:
    with Client(market.api_key, base_url=market.url, cache="memory", clock=clock) as client:
        yield client


@pytest.fixture
def own_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rental journal of the test's own."""
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def form(own_data: None, client: Client) -> Iterator[RentForm]:
    """A rent form on 4090s of that market."""
    form = rent_form(client, QUERY, image="pytorch/pytorch", disk=20, key="form")
    yield form
    form.wait(10)
    form.close()


def searches(server: Server) -> int:
    """Return how many searches have reached the server."""
    calls = server.calls("search_offers")
    return calls if isinstance(calls, int) else len(calls)
