from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vastnb.api.progress import silent
from vastnb.api.transport import Transport
from vastnb.clock import ManualClock

from .peer import Peer, serving

KEY = "k3y" + "0123456789abcdef" * 3
"""Looks like a key; tests grep for it."""


@pytest.fixture(autouse=True)
def _own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the user's cache, keys, netrc or proxies."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("VASTNB_CACHE_DIR", str(tmp_path / "cache"))
    for name in (
        "VAST_API_KEY", "VASTAI_API_KEY", "VAST_AI_API_KEY", "VAST_URL", "XDG_CONFIG_HOME",
        "NETRC", "HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy",
        "REQUESTS_CA_BUNDLE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def peer(clock: ManualClock) -> Iterator[Peer]:
    yield from serving(Peer(clock=clock))


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def make(peer: Peer, clock: ManualClock) -> Iterator[Callable[..., Transport]]:
    made: list[Transport] = []

    def transport(**options: Any) -> Transport:
        one = Transport(
            **{
                "base_url": peer.url,
                "api_key": KEY,
                "clock": clock,
                "on_wait": silent,
                "timeout": 5,
                "chance": lambda: 0.5,
                **options,
            }
        )
        made.append(one)
        return one

    yield transport
    for one in made:
        one.close()


@pytest.fixture
def transport(make: Callable[..., Transport]) -> Transport:
    return make()
