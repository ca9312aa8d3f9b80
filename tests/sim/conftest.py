"""A simulated service on a clock that stands still, and a thin way to talk to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from vastnb.clock import ManualClock
from vastnb.sim import Server, World

SMALL = 150
"""Machines of a market that is quick to draw."""


OK = {"success": True, "simulated": True}


class Api:
    """Requests to a server, with its key, over one kept connection."""

    def __init__(self, server: Server, key: str | None = "") -> None:
        self.server = server
        self.world = server.world
        self.session = requests.Session()
        self.session.trust_env = False
        key = server.api_key if key == "" else key
        if key:
            self.session.headers["Authorization"] = f"Bearer {key}"

    def __call__(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        base = self.server.url if path.startswith("/") else self.server.url + "/api/v0/"
        return self.session.request(
            method, base + path, json=body, params=params, timeout=10, allow_redirects=False
        )

    def search(self, **query: Any) -> list[dict[str, Any]]:
        answer = self("POST", "bundles/", query)
        assert answer.status_code == 200, answer.text
        return answer.json()["offers"]

    def offer(self, **query: Any) -> dict[str, Any]:
        query = {"rentable": {"eq": True}, "order": [["dph_total", "asc"]], **query}
        return self.search(**query)[0]

    def create(self, offer: int | dict[str, Any], **body: Any) -> Any:
        number = offer if isinstance(offer, int) else offer["id"]
        body = {"image": "pytorch/pytorch", "disk": 10, "cancel_unavail": True, **body}
        return self("PUT", f"asks/{number}/", body)

    def rent(self, offer: int | dict[str, Any] | None = None, **body: Any) -> int:
        answer = self.create(self.offer() if offer is None else offer, **body)
        assert answer.status_code == 200, answer.text
        return answer.json()["new_contract"]

    def show(self, instance: int) -> dict[str, Any] | None:
        return self("GET", f"instances/{instance}/").json()["instances"]

    def until(
        self, instance: int, status: str, *, step: float = 5, most: float = 4 * 3600
    ) -> float:
        """Let time pass until an instance shows a status; return the seconds it took."""
        passed = 0.0
        while (self.show(instance) or {}).get("actual_status") != status:
            assert passed < most, f"never {status}: {self.show(instance)}"
            self.world.advance(step)
            passed += step
        return passed


def fated(api: Api, fate: str, **body: Any) -> int:
    """Rent an instance whose fate is settled."""
    api.world.fleet.expect(fate)
    return api.rent(**body)


def states(record: dict[str, Any] | None) -> tuple[Any, ...]:
    """Return the four words that say how an instance is."""
    assert record is not None
    names = ("actual_status", "intended_status", "cur_state", "next_state")
    return tuple(record[name] for name in names)


MakeApi = Callable[..., Api]


@pytest.fixture
def make(clock: ManualClock) -> Iterator[MakeApi]:
    """Start a server (no limits unless asked) and return a way to talk to it."""
    servers: list[Server] = []

    def start(**options: Any) -> Api:
        settings = {"clock": clock, "speed": 1.0, "limits": None, "machines": SMALL, **options}
        servers.append(Server(**settings))
        return Api(servers[-1])

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def api(make: MakeApi) -> Api:
    return make()


@pytest.fixture(scope="session")
def market() -> World:
    """A whole market as it opens. Do not change it."""
    return World(0, clock=ManualClock(), cap=None)


@pytest.fixture(scope="session")
def rows(market: World) -> list[dict[str, Any]]:
    """Every offer of that market, the rented ones included. Do not change them."""
    return market.search({"rentable": {"eq": "any"}}).to_rows()
