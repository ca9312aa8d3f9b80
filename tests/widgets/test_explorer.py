"""The explorer as Python sees it: on a real server, without a browser."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from vastnb.client import Client
from vastnb.errors import QueryError
from vastnb.sim import Fault, Server
from vastnb.widgets.explorer.widget import Explorer, explore

from .conftest import searches


def page_says(explorer: Explorer, **filters: Any) -> None:
    """Change filters as a page does."""
    explorer.filters = {**explorer.filters, **filters}


def test_a_run_without_a_page_searches_once_and_leaves_no_thread(client, market) -> None:
    explorer = explore(client)
    assert len(explorer.df) > 100
    assert searches(market) == 1
    assert not [t for t in threading.enumerate() if t.name == "vastnb-search"]
    explorer.close()


def test_query_df_selected_and_code_agree_at_any_moment(client) -> None:
    explorer = explore(client, "num_gpus>=2", gpu_name="4090")
    assert explorer.query == "num_gpus>=2 gpu_name=RTX_4090"
    frame = explorer.df
    assert set(frame["gpu_name"]) == {"RTX 4090"} and frame["num_gpus"].min() >= 2
    explorer.selected_ids = [int(frame["id"][2]), int(frame["id"][0])]
    assert explorer.selected["id"].tolist() == explorer.selected_ids
    again = eval(explorer.to_code(), {"client": client})
    pd.testing.assert_frame_equal(frame, again)
    explorer.close()


def test_a_filter_from_the_page_narrows_without_a_call(client, market) -> None:
    explorer = explore(client)
    before = len(explorer.df)
    page_says(explorer, max_price=0.3, disk=50.0)
    assert 0 < len(explorer.df) < before
    assert explorer.df["dph_total"].max() <= 0.3
    assert explorer.df.attrs["vastnb"]["storage_gb"] == 50
    assert searches(market) == 1
    explorer.close()


def test_a_widening_from_the_page_is_searched_aside_and_arrives(client, market) -> None:
    async def session() -> None:
        explorer = explore(client)
        before = len(explorer.df)
        for text in ("v", "ve", "verified=any"):
            page_says(explorer, text=text)
        assert explorer.status["busy"]
        for _ in range(200):
            await asyncio.sleep(0.02)
            if not explorer.status["busy"]:
                break
        assert explorer.status["busy"] is None
        assert len(explorer.df) > before
        assert searches(market) == 2
        explorer.close()

    # In a thread of its own: a browser test before this one leaves its loop in the main thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, session()).result(60)


def test_a_change_by_code_waits_for_its_answer(client, market) -> None:
    explorer = explore(client)
    explorer.filter(verified=False, gpu_name=["RTX 3090"])
    assert searches(market) == 2
    assert set(explorer.df["gpu_name"]) == {"RTX 3090"}
    assert explorer.filters["gpu_name"] == ["RTX 3090"]
    with pytest.raises(QueryError):
        explorer.filter(colour="red")
    explorer.close()


@pytest.mark.parametrize("kind", ["500", "html", "truncate", "empty", "reset-after", "429"])
def test_a_broken_service_is_said_and_nothing_is_lost(client, market, kind) -> None:
    explorer = explore(client)
    rows = len(explorer.df)
    market.faults.add(Fault("search_offers", kind, times=50))
    explorer.refresh()
    stale = explorer.status.get("stale")
    assert stale or explorer.status["problem"], explorer.status
    if stale:
        assert explorer.status["stale_reason"]
    assert len(explorer.df) == rows
    explorer.close()


def test_a_wrong_key_is_said_in_the_status_line(market, clock) -> None:
    with Client("0" * 64, base_url=market.url, cache="memory", clock=clock) as client:
        explorer = explore(client)
        problem = explorer.status["problem"]
        assert problem and problem["kind"] == "AuthError"
        assert explorer.df.empty
        assert "0" * 64 not in json.dumps(explorer.status)
        explorer.close()


def test_no_network_is_said_in_the_status_line(clock) -> None:
    with Client("k" * 64, base_url="http://127.0.0.1:9", cache="memory", clock=clock) as client:
        explorer = explore(client)
        problem = explorer.status["problem"]
        assert problem and problem["retry"]
        assert "<Explorer" in repr(explorer)
        html = explorer._repr_mimebundle_()["text/html"]
        assert "could not be reached" in html or problem["title"] in html
        explorer.close()


def test_a_wrong_query_at_the_start_raises_before_anything_is_sent(client, market) -> None:
    with pytest.raises(QueryError):
        explore(client, "gpu_nam=RTX_4090")
    assert searches(market) == 0


def test_the_key_is_in_no_trait_and_in_no_output(client, market) -> None:
    explorer = explore(client)
    state = json.dumps(explorer.get_state(), default=str)
    bundle = json.dumps(explorer._repr_mimebundle_())
    assert market.api_key not in state + bundle + repr(explorer)
    explorer.close()


def test_rows_are_no_part_of_the_saved_state(client) -> None:
    explorer = explore(client)
    state = explorer.get_state()
    small = {k: v for k, v in state.items() if k not in ("_esm", "_css")}
    assert len(json.dumps(small, default=str)) < 6000
    assert len(explorer._repr_mimebundle_()["text/html"]) < 20_000
    explorer.close()


def test_running_a_cell_again_replaces_the_explorer(client, monkeypatch) -> None:
    runs = iter(
        [("cell-a", "run-1"), ("cell-a", "run-1"), ("cell-b", "run-2"), ("cell-a", "run-3")]
    )
    monkeypatch.setattr("vastnb.widgets.kit.widget.this_cell", lambda: next(runs))
    first, beside, other, again = (explore(client) for _ in range(4))
    assert first._closed and beside._closed
    assert not other._closed and not again._closed
    other.close()
    again.close()


def test_a_key_of_ones_own_replaces_across_cells(client) -> None:
    first = explore(client, key="mine")
    second = explore(client, key="mine")
    assert first._closed and not second._closed
    second.close()


def test_a_closed_explorer_is_gone_from_memory(client) -> None:
    from ipywidgets.widgets.widget import _instances

    before = len(_instances)
    explorer = explore(client)
    gone = weakref.ref(explorer)
    explorer.close()
    explorer.close()
    del explorer
    gc.collect()
    assert gone() is None
    assert len(_instances) == before


def test_host_text_is_escaped_in_the_static_copy(clock) -> None:
    with (
        Server(seed=3, clock=clock, cap=None, limits=None, machines=60, payloads=True) as market,
        Client(market.api_key, base_url=market.url, cache="memory", clock=clock) as client,
    ):
        explorer = explore(client, "verified=any")
        html = explorer._repr_mimebundle_()["text/html"].lower()
        for bad in ("<script", "<img", "<svg", "<iframe", "javascript:alert"):
            assert bad not in html
        explorer.close()


def test_the_market_is_said_to_be_simulated_everywhere(client) -> None:
    explorer = explore(client)
    assert explorer.status["simulated"] is True
    assert "simulated" in repr(explorer)
    assert "SIMULATED" in explorer._repr_mimebundle_()["text/html"]
    explorer.close()
