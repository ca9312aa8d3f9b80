"""A little of the harness; ``python -m bench renting`` runs all of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vastnb.clock import ManualClock
from vastnb.sim import Server

from .harness import MISHAPS, Nursery, killed_kernels, many_creates, official, ours, two_kernels


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    options = {"machines": 150, "limits": None, "credit": 1e6, "quota": None}
    with Server(seed=4, speed=1, clock=clock, **options) as running:  # type: ignore[arg-type]
        yield running


@pytest.fixture
def nursery(server: Server, tmp_path: Path) -> Iterator[Nursery]:
    with Nursery(server, tmp_path / "data", tmp_path / "cache") as running:
        yield running


@pytest.mark.slow
def test_no_mishap_rents_twice_forgets_or_leaves_something_billing(
    server: Server, clock: ManualClock
) -> None:
    client, create = ours(server, clock)
    with client:
        tally = many_creates(server, create, 3 * len(MISHAPS))
    assert tally.mishaps.keys() == MISHAPS.keys()
    assert tally.clean, tally.bad
    assert tally.machines > len(MISHAPS)


@pytest.mark.slow
def test_the_harness_finds_what_the_official_client_leaves_behind(server: Server) -> None:
    pytest.importorskip("vastai", reason="the official client is not installed")
    tally = many_creates(server, official(server), 3, mishaps=("lost after", "stopped", "none"))
    assert tally.unknown >= 1
    assert tally.stopped == 1


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked")
def test_a_killed_kernel_leaves_nothing_unknown(
    server: Server, clock: ManualClock, nursery: Nursery
) -> None:
    tally = killed_kernels(server, clock, nursery, 12)
    assert tally.creates == 12
    assert tally.clean, tally.bad


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kernels are forked")
def test_two_kernels_with_one_key_adopt_only_their_own(
    server: Server, clock: ManualClock, nursery: Nursery
) -> None:
    tally = two_kernels(server, clock, nursery, 8)
    assert tally.machines > 6
    assert tally.clean and not tally.bad, tally
