"""The explorer's decisions, without a page."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vastnb.client import Client
from vastnb.errors import ServerError
from vastnb.market.narrow import local_filters, reprice
from vastnb.widgets.explorer.filters import FilterState
from vastnb.widgets.explorer.model import ExplorerModel
from vastnb.widgets.kit.search import Request

from .conftest import searches


def ask(client: Client, request: Request) -> pd.DataFrame:
    return client.search_offers(
        request.query, type=request.type, storage=request.storage, limit=request.limit
    )


def opened(client: Client, state: FilterState | None = None) -> ExplorerModel:
    model = ExplorerModel(state or FilterState())
    request = model.change(model.state)
    assert request is not None
    model.accept(request, ask(client, request))
    return model


def test_100_narrowing_changes_send_one_search(client, market) -> None:
    model = opened(client)
    dice = random.Random(1)
    state = model.state
    for step in range(100):
        changes = [
            {"max_price": dice.choice([0.2, 0.5, 1.0, 2.0, None])},
            {"gpu_name": dice.choice([[], ["RTX 4090"], ["RTX 3090", "RTX 4090"]])},
            {"min_vram": dice.choice([None, 12, 24, 48])},
            {"min_reliability": dice.choice([None, 0.9, 0.99])},
            {"num_gpus": dice.choice([None, 1, 2, 4])},
            {"country": dice.choice([[], ["US"]])},
            {"datacenter": dice.choice([True, False])},
            {"text": dice.choice(["", "inet_down>200"])},
        ][step % 8]
        state = state.changed(changes)
        assert model.change(state) is None
    assert searches(market) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"max_price": 0.5},
        {"gpu_name": ["RTX 4090", "RTX 3090"], "min_vram": 24},
        {"min_reliability": 0.99, "country": ["US"]},
        {"num_gpus": 2, "datacenter": True},
        {"text": "inet_down>300 cpu_cores_effective>=8"},
        {"disk": 200, "max_price": 1.0},
    ],
)
def test_local_filters_show_what_the_service_would_return(client, clock, changes) -> None:
    model = opened(client)
    assert model.change(model.state.changed(changes)) is None
    shown = model.shown()
    state = model.state
    served = client.search_offers(model.query, storage=state.disk)
    assert set(shown["id"]) == set(served["id"])
    prices = served.set_index("id")["dph_total"].loc[shown["id"].tolist()]
    np.testing.assert_allclose(shown["dph_total"].astype(float), prices.astype(float), rtol=1e-9)


def test_a_disk_change_prices_every_row_again_without_a_call(client, market) -> None:
    model = opened(client)
    before = model.shown()
    assert model.change(model.state.changed({"disk": 500})) is None
    after = model.shown()
    expected = before["dph_base"] + before["storage_cost"] * 500 / 720
    np.testing.assert_allclose(after["dph_total"].astype(float), expected.astype(float))
    np.testing.assert_allclose(
        after["dph_gpu"].astype(float), (expected / before["num_gpus"]).astype(float)
    )
    assert list(after.dtypes) == list(before.dtypes)
    assert after.attrs["vastnb"]["storage_gb"] == 500
    assert searches(market) == 1


def test_another_disk_under_a_price_limit_asks_the_service(client) -> None:
    model = opened(client, FilterState(max_price=0.5))
    assert model.change(model.state.changed({"disk": 500})) is not None


@pytest.mark.parametrize("changes", [{"verified": False}, {"type": "bid"}])
def test_what_widens_or_changes_the_market_asks_the_service(client, changes) -> None:
    model = opened(client)
    assert model.change(model.state.changed(changes)) is not None


def test_a_truncated_answer_is_filtered_at_once_and_asked_again() -> None:
    wanted = {"gpu_name": {"eq": "RTX 4090"}, "type": "bid", "allocated_storage": 10}
    held = {"type": "bid", "allocated_storage": 10}
    assert local_filters(held, wanted, complete=True) is not None
    assert local_filters(held, wanted, complete=False) is None


def test_a_truncated_answer_with_another_disk_is_priced_here() -> None:
    held = {"type": "bid", "allocated_storage": 10}
    assert local_filters(held, {**held, "allocated_storage": 99}, complete=False) == {}


def test_an_answer_that_was_overtaken_is_dropped(client) -> None:
    model = opened(client)
    first = model.change(model.state.changed({"verified": False}))
    second = model.change(model.state.changed({"type": "bid"}))
    assert first is not None and second is not None
    late = ask(client, first)
    assert not model.accept(first, late)
    assert model.waiting is second
    assert model.accept(second, ask(client, second))


def test_going_back_to_what_is_at_hand_drops_the_search_under_way(client) -> None:
    model = opened(client)
    wide = model.change(model.state.changed({"verified": False}))
    assert wide is not None
    assert model.change(model.state.changed({"verified": True})) is None
    assert model.waiting is None
    assert not model.accept(wide, ask(client, wide))


def test_a_failed_search_keeps_the_rows_and_says_what_to_do(client) -> None:
    model = opened(client)
    rows = len(model.shown())
    request = model.change(model.state.changed({"type": "bid"}))
    assert request is not None
    model.accept(request, ServerError("No answer. Nothing was rented. Try again."))
    assert model.problem is not None and model.problem.retry
    assert "Nothing was rented" in model.problem.text
    assert len(model.frame) >= rows


def test_a_wrong_query_keeps_the_rows_and_names_the_nearest_field(client, market) -> None:
    model = opened(client)
    rows = len(model.shown())
    assert model.change(model.state.changed({"text": "gpu_nam=RTX_4090"})) is None
    assert model.problem is not None and "gpu_name" in model.problem.text
    assert len(model.shown()) == rows
    model.change(model.state.changed({"text": ""}))
    assert model.problem is None
    assert searches(market) == 1


@pytest.mark.parametrize("order", [[], ["dph_total", True], ["dlperf", False], ["country", True]])
def test_the_line_of_code_gives_the_same_frame(client, order) -> None:
    model = opened(client)
    changes = {"gpu_name": ["RTX 4090"], "min_vram": 24, "min_reliability": 0.9}
    model.change(model.state.changed(changes))
    other = eval(model.code(order), {"client": client})
    pd.testing.assert_frame_equal(model.shown(order), other)
    assert model.shown(order).attrs["vastnb"]["query"] == other.attrs["vastnb"]["query"]


def test_with_another_disk_the_line_of_code_gives_the_same_offers_and_prices(client) -> None:
    # Their order is the service's: it ranks by a score that depends on the price.
    model = opened(client)
    model.change(model.state.changed({"gpu_name": ["RTX 4090"], "disk": 64}))
    mine, other = (
        frame.sort_values("id", ignore_index=True)
        for frame in (model.shown(), eval(model.code(), {"client": client}))
    )
    prices = ["dph_total", "dph_gpu", "dlperf_per_dphtotal", "id"]
    pd.testing.assert_frame_equal(mine[prices], other[prices], check_exact=False, rtol=1e-9)


def test_counts_beside_the_gpus_ignore_the_gpu_filter_and_obey_the_others(client) -> None:
    model = opened(client)
    model.change(model.state.changed({"gpu_name": ["RTX 4090"], "num_gpus": 1}))
    counts = dict(map(tuple, model.facets()["gpus"]))
    frame = model.frame
    for name in ("RTX 4090", "RTX 3090"):
        assert counts[name] == int(((frame.gpu_name == name) & (frame.num_gpus == 1)).sum())
    assert "H200" in counts  # known, whether or not it is for rent now


def test_an_empty_answer_is_no_crash(client) -> None:
    model = opened(client, FilterState(text="num_gpus>=1000"))
    assert len(model.shown(["dph_total", True])) == 0
    assert model.figures()["cheapest"] is None
    assert "gpu_name" in model.shown().columns
    model.change(model.state.changed({"disk": 100, "max_price": 0.1}))
    assert len(model.shown()) == 0


def test_repricing_survives_missing_and_absurd_numbers() -> None:
    frame = pd.DataFrame(
        {
            "dph_total": pd.array([0.5, None, 0.0], dtype="Float64"),
            "dph_base": pd.array([0.4, None, 0.0], dtype="Float64"),
            "storage_cost": pd.array([0.1, 0.2, 0.0], dtype="Float64"),
            "num_gpus": pd.array([2, 1, 0], dtype="Int64"),
            "dph_gpu": pd.array([0.25, None, None], dtype="Float64"),
            "dlperf_per_dphtotal": pd.array([10.0, None, None], dtype="Float64"),
        }
    )
    out = reprice(frame, 720)
    assert out["dph_total"].tolist()[0] == pytest.approx(0.5)
    assert pd.isna(out["dph_total"][1])
    assert pd.isna(out["dph_gpu"][2])
    assert list(out.dtypes) == list(frame.dtypes)


def test_the_state_is_a_value(client) -> None:
    model = opened(client)
    assert replace(model.state) == model.state
