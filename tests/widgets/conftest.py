"""A simulated market and a client on it, both on one clock that stands still until moved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vastnb.client import Client
from vastnb.clock import ManualClock
from vastnb.sim import Server


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


def searches(server: Server) -> int:
    """Return how many searches have reached the server."""
    calls = server.calls("search_offers")
    return calls if isinstance(calls, int) else len(calls)
