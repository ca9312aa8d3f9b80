"""One meaning of every operator: in a search, in a list, and where the client works it out."""

from __future__ import annotations

from typing import Any

import pytest

from vastnb.market.frames.offers import frame_of_offers
from vastnb.market.query.local import matches
from vastnb.sim.http.paging import select
from vastnb.sim.market.recorded import RecordedMarket
from vastnb.sim.operators import OPERATORS, comparison
from vastnb.sim.world import World

VALUES = [None, 1.0, 2.0, 3.0]
ROWS = [{"id": 1 + n, "machine_id": n, "cpu_ghz": v} for n, v in enumerate(VALUES)]


@pytest.mark.parametrize("op", OPERATORS)
@pytest.mark.parametrize("wanted", [2.0, 7.0, [2.0, 3.0], [], None, [None, 2.0]])
def test_an_operator_means_the_same_in_searches_in_lists_and_here(op: str, wanted: Any) -> None:
    if isinstance(wanted, list) is not (op in ("in", "notin")):
        return
    if wanted is None and op not in ("eq", "neq"):
        return
    filters = {"cpu_ghz": {op: wanted}}
    listed = [row["id"] for row in select(ROWS, filters)]
    searched = World(market=RecordedMarket(ROWS)).search({**filters, "rentable": {"eq": "any"}})
    assert listed == [row["id"] for row in searched.to_rows()]
    if wanted is not None and None not in (wanted if isinstance(wanted, list) else []):
        assert 1 not in listed, "a missing value fits no comparison"
        frame = frame_of_offers(ROWS, columns="all")
        assert listed == frame["id"][matches(filters, frame)].tolist()


def test_only_null_asks_for_what_is_missing() -> None:
    assert [v for v in VALUES if comparison("eq", None)(v)] == [None]
    assert [v for v in VALUES if comparison("neq", None)(v)] == [1.0, 2.0, 3.0]
    assert [v for v in VALUES if comparison("in", [None, 1.0])(v)] == [None, 1.0]
    assert [v for v in VALUES if comparison("notin", [1.0])(v)] == [2.0, 3.0]
