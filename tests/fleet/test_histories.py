"""Whatever happens, nothing is forgotten, rented twice, or taken from others."""

from __future__ import annotations

import os

import pytest

from vastnb.clock import ManualClock
from vastnb.fleet.rent.obligations import TABLE, Holder
from vastnb.fleet.rent.plan import AttemptState
from vastnb.sim import Server

from .histories import Histories

MANY = int(os.environ.get("VASTNB_HISTORIES", "200"))
"""How many random histories the slow test walks; 2,000 take about 20 minutes."""


def histories(count: int, seed: int) -> None:
    clock = ManualClock()
    with Server(seed=seed, speed=1, clock=clock, limits=None, quota=None, credit=1e9,
                machines=150) as server:  # fmt: skip
        counted = Histories(server, clock, seed).run(count)
    assert counted.rents and counted.machines
    assert counted.clean, counted.bad[:5]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_in_many_histories_nothing_is_forgotten_rented_twice_or_taken_from_others() -> None:
    histories(MANY, seed=2)


def test_every_state_and_holder_has_a_row() -> None:
    assert set(TABLE) == {(state, holder) for state in AttemptState for holder in Holder}


def test_what_may_exist_unknown_blocks_only_where_this_account_can_settle_it() -> None:
    blocking = {pair for pair, row in TABLE.items() if row.blocks}
    assert blocking == {
        (state, holder)
        for state in (AttemptState.SENDING, AttemptState.UNKNOWN)
        for holder in (Holder.HERE, Holder.DEAD)
    }
    assert all(TABLE[pair].settler == "we" for pair in blocking)


def test_a_living_process_is_left_alone_and_another_key_only_by_sight() -> None:
    for (_, holder), row in TABLE.items():
        if holder is Holder.ALIVE:
            assert row.settler == "its process" and row.at_start == "leave"
        if holder is Holder.OTHER:
            assert row.settler == "who sees it" and not row.blocks


def test_every_machine_that_may_bill_is_guarded_settled_or_being_destroyed() -> None:
    for (state, holder), row in TABLE.items():
        if holder in (Holder.HERE, Holder.DEAD):
            assert row.guarded or row.proof or state is AttemptState.DESTROYED
