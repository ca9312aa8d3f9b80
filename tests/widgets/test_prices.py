"""Prices as Python sees them: on a real server, without a browser."""

from __future__ import annotations

import json
import threading
from typing import Any

import pandas as pd
import pytest

import vastnb
from vastnb.errors import QueryError
from vastnb.sim import Fault, Server
from vastnb.widgets.prices.widget import Prices, prices

from .conftest import searches


def page_says(charts: Prices, **settings: Any) -> None:
    """Change settings as a page does."""
    charts.settings = {**charts.settings, **settings}


def sent_by(charts: Prices, width: Any = 500) -> list[dict[str, Any]]:
    """Open a page of that width; return the list in which its messages arrive."""
    messages: list[dict[str, Any]] = []
    charts.send = lambda content, buffers=None: (  # type: ignore[method-assign]
        messages.append(content) if content["type"] != "answered" else None
    )
    charts._on_message(charts, {"type": "ready", "width": width}, [])
    return messages


def test_a_run_without_a_page_searches_once_and_leaves_no_thread(client, market) -> None:
    charts = prices(client)
    assert len(charts.distribution()) > 50
    assert searches(market) == 1
    assert not [t for t in threading.enumerate() if t.name == "vastnb-search"]
    assert "simulated" in repr(charts)
    charts.close()


def test_each_chart_can_be_had_as_the_frame_it_is_drawn_from(client) -> None:
    charts = prices(client, gpu=["4090", "RTX 3090"])
    names = {"RTX 4090", "RTX 3090"}
    for frame in (charts.distribution(), charts.performance(), charts.df):
        assert set(frame["gpu_name"]) == names
        assert frame.attrs["vastnb"]["simulated"]
    assert (
        charts.performance()["pareto"].dtype == "boolean" and charts.performance()["pareto"].any()
    )
    assert charts.countries()["machines"].sum() <= len(charts.distribution())
    assert list(charts.trend()) == list(client.history.trend("4090"))
    charts.close()


def test_the_code_makes_the_same_again(client) -> None:
    charts = prices(client, "verified=any", gpu="4090", type="bid", storage=50, per="offer", days=7)
    assert charts.to_code() == (
        "vastnb.prices(client, \"verified=any\", gpu=[\"RTX 4090\"], type=\"bid\", per=\"offer\", "
        "storage=50, days=7)"
    )  # fmt: skip
    again = eval(charts.to_code(), {"client": client, "vastnb": vastnb})
    pd.testing.assert_frame_equal(again.distribution(), charts.distribution())
    assert prices(client).to_code() == "vastnb.prices(client)"
    for one in (charts, again):
        one.close()


@pytest.mark.slow
def test_a_gpu_that_the_page_chooses_filters_all_four_charts_without_a_search(
    client, market
) -> None:
    charts = prices(client)
    messages = sent_by(charts)
    page_says(charts, gpu=["RTX 4090"])
    charts.wait()
    assert set(charts.distribution()["gpu_name"]) == {"RTX 4090"}
    assert searches(market) == 1
    last = messages[-1]
    assert [chip["name"] for chip in last["chips"] if chip["on"]] == ["RTX 4090"]
    assert len(last["chips"]) > 5  # the others can still be chosen
    drawn = [name for message in messages[1:] for name in message.get("scenes", ())]
    assert sorted(drawn) == ["countries", "distribution", "performance", "trend"]  # each once
    scenes = {k: v for message in messages for k, v in message.get("scenes", {}).items()}
    for name in ("distribution", "performance"):
        assert "RTX 3090" not in json.dumps(scenes[name])
    page_says(charts, gpu=[])
    assert charts.distribution()["gpu_name"].nunique() > 5 and searches(market) == 1
    charts.close()


def test_a_model_keeps_its_colour_when_others_are_filtered_out(client) -> None:
    charts = prices(client)
    messages = sent_by(charts)
    before = {chip["name"]: chip["colour"] for chip in messages[-1]["chips"]}
    page_says(charts, gpu=["RTX 3090"])
    charts.wait()
    after = {chip["name"]: chip["colour"] for chip in messages[-1]["chips"]}
    assert after["RTX 3090"] == before["RTX 3090"] != ""
    charts.close()


@pytest.mark.slow
def test_a_choice_from_a_market_that_was_cut_short_is_searched_for(clock, monkeypatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("VAST_API_KEY", raising=False)
    with Server(seed=3, speed=0, clock=clock, limits=None, machines=300) as server:
        client = vastnb.Client(
            base_url=server.url, cache="memory", clock=clock
        )  # without a key: 64
        charts = prices(client)
        assert charts.status["truncated"] and len(charts.df) == 64
        before = len(charts.df[charts.df["gpu_name"] == "RTX 4090"])
        clock.advance(60)
        page_says(charts, gpu=["RTX 4090"])
        assert charts.wait() and searches(server) == 2
        assert len(charts.df) > before
        page_says(charts, gpu=[])
        charts.wait()
        assert searches(server) == 2  # the market is still at hand
        charts.close()
        client.close()


def test_the_page_tells_its_width_and_gets_pictures_of_it(client) -> None:
    charts = prices(client)
    messages = sent_by(charts, 444)
    assert all(picture[1]["width"] == "444" for picture in messages[-1]["scenes"].values())
    for nonsense in (None, "wide", -3, True, float("nan")):
        count = len(messages)
        charts._on_message(charts, {"type": "width", "width": nonsense}, [])
        assert len(messages) == count
    charts._on_message(charts, {"type": "width", "width": 10**9}, [])
    assert float(messages[-1]["scenes"]["trend"][1]["width"]) <= 1400
    charts.close()


def test_what_goes_wrong_is_shown_in_words_and_the_charts_stay(client, market, clock) -> None:
    charts = prices(client)
    before = charts.distribution()
    market.faults.add(Fault("search_offers", "500", times=99))
    clock.advance(600)
    charts.refresh()
    status = charts.status
    assert status["problem"] or status["stale"]
    pd.testing.assert_frame_equal(charts.distribution(), before, check_exact=True)
    charts.close()


@pytest.mark.slow
def test_before_the_first_answer_the_charts_say_that_they_wait_or_why_they_cannot(client, market):
    market.faults.add(Fault("search_offers", "500", times=99))
    charts = prices(client)
    messages = sent_by(charts)
    assert charts.status["problem"]["title"] and len(charts.distribution()) == 0
    assert "The search failed" in json.dumps(messages[-1]["scenes"]["countries"])
    market.faults.clear()
    market.faults.add(Fault("search_offers", "delay", times=1, seconds=0.5))
    page_says(charts, type="bid")
    assert "Searching" in json.dumps(messages[-1]["scenes"]["distribution"])
    charts.wait()
    assert len(charts.distribution()) > 50 and charts.status["problem"] is None
    charts.close()


@pytest.mark.parametrize(
    "wrong",
    [{"gpu": "RTX 4900"}, {"per": "machine"}, {"days": 0}, {"storage": -1}, {"type": "spot"},
     {"query": "gpu_name!=RTX_4090"}, {"query": "prise<1"}],
)  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_sent(client, market, wrong) -> None:
    with pytest.raises(QueryError):
        prices(client, **wrong)
    assert searches(market) == 0


def test_a_query_that_names_gpus_is_taken_as_its_siblings_take_it(client) -> None:
    for given in ("gpu_name=RTX_4090 num_gpus=1", {"gpu_name": "4090", "num_gpus": 1}):
        charts = prices(client, given)
        assert set(charts.distribution()["gpu_name"]) == {"RTX 4090"}
        assert charts.to_code() == 'vastnb.prices(client, "num_gpus=1", gpu=["RTX 4090"])'
        charts.filter(query="gpu_name=RTX_3090")
        assert set(charts.distribution()["gpu_name"]) == {"RTX 3090"}
        charts.close()


def test_nonsense_from_the_page_is_told_and_changes_nothing(client, market) -> None:
    charts = prices(client)
    for wrong in ({"gpu": "RTX 4090"}, {"gpu": [1]}, {"days": "x"}, {"evil": 1}, {"per": None}):
        charts.settings = {**PAGE, **wrong}
        assert charts.status["problem"]["kind"] == "QueryError", wrong
    assert charts._model.state.page() == PAGE and searches(market) == 1
    charts.close()


MARKET = {"seed": 3, "speed": 0, "cap": None, "limits": None, "machines": 120}
PAGE = {"gpu": [], "type": "on-demand", "storage": 10.0, "per": "gpu", "days": 14.0, "query": ""}


def test_running_a_cell_again_replaces_its_widget(client, monkeypatch) -> None:
    runs = iter(["run 1", "run 2"])
    monkeypatch.setattr("vastnb.widgets.kit.widget.this_cell", lambda: ("cell", next(runs)))
    first = prices(client)
    second = prices(client)
    assert first._closed and not second._closed
    assert len(first.distribution()) > 0  # the frames stay readable
    second.close()
    second.close()


def test_the_copy_that_stays_has_pictures_and_their_numbers_and_no_secret(client, market) -> None:
    charts = prices(client, gpu=["4090"])
    html = charts._repr_mimebundle_()["text/html"]
    assert (
        html.count('src="data:image/svg+xml;base64,') == 4
        and "SIMULATED MARKET" in html
        and "<table>" in html
    )
    assert "script" not in html and market.api_key not in html
    assert market.api_key not in json.dumps([charts.status, charts.settings])
    assert "vastnb.prices(client, gpu=[&quot;RTX 4090&quot;])" in html
    assert len(html) < 60_000
    charts.close()


@pytest.mark.slow
def test_the_trend_comes_from_the_price_history_and_an_empty_one_says_why() -> None:
    with vastnb.demo(**MARKET, history_days=4) as client:
        charts = prices(client, gpu="4090", days=7)
        assert charts.trend()["at"].nunique() > 8
        assert set(charts.trend()["gpu_name"]) == {"RTX 4090"}
        page_says(charts, days=2)
        charts.wait()
        assert charts.trend()["at"].min() > pd.Timestamp.now("UTC") - pd.Timedelta(days=3)
        page_says(charts, gpu=[])
        charts.wait()
        assert charts.trend()["gpu_name"].nunique() > 2
        charts.close()


def test_no_history_is_no_error(client) -> None:
    charts = prices(client)
    assert len(charts.trend()) == 0
    assert "becomes a line" in charts._model.trend_note
    charts.close()


def test_the_explorer_says_how_offers_stand_against_the_last_fortnight() -> None:
    with vastnb.demo(**{**MARKET, "machines": 300}, history_days=4) as client:
        explorer = vastnb.explore(client, "num_gpus=1")
        frame = explorer.df
        assert frame["percentile"].between(0, 100).all() and frame["percentile"].nunique() > 5
        assert explorer.to_code().endswith(".assign(percentile=client.history.percentiles)")
        explorer.order = ["percentile", False]
        assert explorer.df["percentile"].is_monotonic_decreasing
        again = eval(explorer.to_code(), {"client": client})
        pd.testing.assert_frame_equal(again, explorer.df)
        explorer.close()


def test_without_a_past_the_explorer_has_no_such_column(client) -> None:
    explorer = vastnb.explore(client)
    assert "percentile" not in explorer.df and "assign" not in explorer.to_code()
    explorer.close()


def test_a_fetch_that_fails_unexpectedly_is_shown_and_no_longer_waited_for(client) -> None:
    charts = prices(client)

    def fails(_job: Any) -> None:
        raise RuntimeError("planted")

    charts._fetch = fails  # type: ignore[method-assign]
    page_says(charts, type="bid")
    assert charts.wait(20)
    assert "planted" in charts.status["problem"]["text"]
    assert charts.status["busy"] is None
    charts.close()
