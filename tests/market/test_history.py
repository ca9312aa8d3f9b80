"""The price history is a by-product of searching, and never costs a search anything."""

from __future__ import annotations

import gc
import json
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import vastnb
from tests.market import histories
from tests.market.histories import NOW, history, recorded, seen
from vastnb import Client
from vastnb.api.answers import Answer
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest
from vastnb.market.history import Keep
from vastnb.market.history.history import folder_name
from vastnb.market.history.keep import Keep as SameKeep
from vastnb.market.history.keep import wanted
from vastnb.market.history.recorder import PRICED, Recorder, restricts
from vastnb.sim import Fault, Server


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    with Server(clock=clock, speed=1, machines=150, limits=None) as server:
        yield server


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VASTNB_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def client(server: Server, clock: ManualClock, data: Path) -> Iterator[Client]:
    with connect(server, clock) as client:
        yield client


def connect(server: Server, clock: ManualClock, **options: Any) -> Client:
    settings = {"cache": "memory", "clock": clock, "on_wait": silent, **options}
    return Client(server.api_key, base_url=server.url, **settings)


# -- what is recorded ------------------------------------------------------------------------------


def test_a_search_that_was_sent_leaves_its_offers_behind(client: Client) -> None:
    found = client.search_offers("num_gpus>=2", limit=1000)
    kept = client.history.frame()
    columns = ["gpu_name", "machine_id", "num_gpus", "dph_base", "storage_cost", "country"]
    want = found[columns].sort_values(columns).reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[columns].sort_values(columns, ignore_index=True), want)
    assert kept["query"].unique().tolist() == ["num_gpus>=2"]
    assert kept["type"].unique().tolist() == ["on-demand"]
    assert kept["verified"].all()
    assert kept["seen_at"].iloc[0].isoformat() == found.attrs["vastnb"]["fetched_at"]


def test_an_answer_from_the_cache_is_not_recorded_again(client: Client) -> None:
    client.search_offers()
    client.search_offers()
    assert recorded(client.history) == 1
    client.search_offers(refresh=True)
    assert recorded(client.history) == 2


def test_an_older_answer_that_has_to_do_is_not_recorded(
    client: Client, server: Server, clock: ManualClock
) -> None:
    client.search_offers()
    clock.advance(1000)
    server.faults.add(Fault("search_offers", kind="503", times=20))
    assert client.search_offers().attrs["vastnb"]["stale"]
    assert recorded(client.history) == 1


def test_a_search_in_many_calls_is_one_snapshot(
    server: Server, clock: ManualClock, data: Path
) -> None:
    server.world.cap = 64
    with connect(server, clock) as client, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = client.search_offers(complete=True, verified="any")
        assert server.calls("search_offers") == 1 or len(found) > 64
        kept = client.history.frame()
        assert len(kept) == len(found)
        assert kept["seen_at"].nunique() == 1
        assert not kept["restricted"].any()


def test_searches_in_other_threads_are_recorded(client: Client) -> None:
    threads = [
        threading.Thread(target=client.search_offers, args=(f"num_gpus>={n}",)) for n in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.history.frame()["query"].nunique() == 3


@pytest.mark.parametrize(
    ("search", "restricted"),
    [
        ({}, False),
        ({"query": "gpu_name=RTX_4090 reliability>0.9"}, False),
        ({"query": "dph<100"}, True),
        ({"query": "dph_total<100"}, True),
        ({"query": "min_bid>0"}, True),
        ({"query": "dlperf_usd>0"}, True),
        ({"query": "flops_usd>0"}, True),
        ({"query": "machine_id>0"}, True),  # somebody chose it
        ({"limit": 10}, True),  # the order chose
        ({"limit": 1000}, False),
    ],
)
def test_a_search_that_chooses_by_price_is_marked(
    client: Client, search: dict[str, Any], restricted: bool
) -> None:
    assert len(client.search_offers(**search))
    assert client.history.frame()["restricted"].unique().tolist() == [restricted]


def test_every_field_with_a_price_counts_as_choosing_by_price() -> None:
    from vastnb.market.tables.schema import COLUMNS

    priced = {name for name, column in COLUMNS.items() if "$/h" in column.unit}
    # What is not priced for the GPUs does not choose among their prices.
    assert priced - PRICED == {"dph_gpu", "storage_total_cost", "avail_vol_dph"}
    assert not restricts({"storage_cost": {"lt": 1}, "limit": None}, 512, truncated=True)


# -- it costs a search nothing ---------------------------------------------------------------------


def test_whatever_goes_wrong_is_told_once_and_the_search_succeeds(
    client: Client, data: Path
) -> None:
    data.mkdir(parents=True)
    client.history._temporary = data / "no" / "directory"
    (data / "no").write_text("a file is in the way")
    with pytest.warns(UserWarning, match="price history cannot be written") as told:
        assert len(client.search_offers())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(client.search_offers(refresh=True))
    assert len(told) == 1
    assert "Searches are not affected" in str(told[0].message)


def test_even_where_warnings_are_errors_the_search_succeeds(client: Client, data: Path) -> None:
    data.mkdir(parents=True)
    client.history._temporary = data / "no" / "directory"
    (data / "no").write_text("a file is in the way")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(client.search_offers())


def test_a_price_that_is_sent_in_another_type_is_said_once(tmp_path: Path) -> None:
    class Here:
        simulated = False

        def call(self, endpoint: str, **request: Any) -> Any:
            raise AssertionError(endpoint)

    recorder = Recorder(Here(), SameKeep(), "https://console.vast.ai", ManualClock(NOW))
    recorder._history = history(tmp_path)
    for number in range(3):
        found = histories.frame(*({"machine_id": m, "dph_base": "0.4 USD"} for m in range(5)))
        found.attrs["vastnb"] |= {"truncated": False, "query": ""}
        answer = Answer(200, b"", fetched_at=datetime.fromtimestamp(NOW, UTC), key=str(number))
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            recorder(found, {"type": "on-demand"}, [answer])
        assert [("dph_base" in str(one.message)) for one in told] == ([True] if not number else [])
    assert len(history(tmp_path).frame()) == 15, "all else is kept"


def test_it_can_be_switched_off(
    server: Server, clock: ManualClock, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(server, clock, history=False) as client:
        client.search_offers()
        assert recorded(client.history) == 0
    for word in ("0", "off", "False", " no "):
        monkeypatch.setenv("VASTNB_HISTORY", word)
        with connect(server, clock) as client:
            client.search_offers()
            assert recorded(client.history) == 0
    with connect(server, clock, history=True) as client:  # the argument decides
        client.search_offers()
        assert recorded(client.history) == 1
    assert not data.exists()


def test_how_much_is_kept_can_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted(None) == Keep(400, 2.0)
    assert wanted(Keep(days=7)) == Keep(7, 2.0)
    monkeypatch.setenv("VASTNB_HISTORY_DAYS", "30")
    monkeypatch.setenv("VASTNB_HISTORY_GB", "0.5")
    assert wanted(None) == wanted(True) == Keep(30, 0.5)
    assert Keep is SameKeep
    for odd in ("much", "-1", "0", "inf", "nan"):
        monkeypatch.setenv("VASTNB_HISTORY_GB", odd)
        with pytest.raises(InvalidRequest, match="VASTNB_HISTORY_GB"):
            wanted(None)
    with pytest.raises(InvalidRequest, match="Keep"):
        wanted("yes")  # type: ignore[arg-type]


# -- real and simulated never mix ------------------------------------------------------------------


def test_a_simulated_market_is_kept_apart_and_gone_with_its_client(
    server: Server, clock: ManualClock, data: Path
) -> None:
    client = connect(server, clock)
    before = client.history.path  # it has not said yet that it is simulated
    client.search_offers()
    path = client.history.path
    assert path != before
    assert data not in path.parents
    assert not data.exists()
    for frame in (
        client.history.frame(), client.history.trend("4090"), client.history.frame(limit=1),
        client.history.percentiles(client.search_offers()), client.history.metrics(),
    ):  # fmt: skip
        assert frame.attrs["vastnb"]["simulated"] is True
        assert json.loads(json.dumps(frame.attrs["vastnb"]))
    assert client.history.info()["simulated"] is True
    assert client.history.frame()["simulated"].all()
    client.close()
    assert not path.exists()


def test_a_watch_that_was_set_before_the_market_said_that_it_is_simulated_still_works(
    client: Client, data: Path
) -> None:
    alert = client.history.watch(below=1000)
    with pytest.warns(UserWarning, match="Price alert"):
        client.search_offers()
    assert len(client.history.alerts) == 1
    assert len(client.history.watch(below=1000).hits)
    assert len(alert.hits)


def test_a_demo_that_is_dropped_leaves_nothing(clock: ManualClock) -> None:
    client = vastnb.demo(clock=clock, machines=150, speed=1)
    client.search_offers()
    path = client.history.path.parent
    assert path.exists()
    del client
    gc.collect()
    assert not path.exists()


def test_each_server_has_a_directory_of_its_own() -> None:
    names = {
        folder_name(url)
        for url in (
            "https://console.vast.ai", "https://console.vast.ai:444", "http://console.vast.ai",
            "https://CONSOLE.vast.ai/x", "http://[::1]:80/../..", "",
        )
    }  # fmt: skip
    assert len(names) == 6
    assert all(name.strip(".") == name and "/" not in name for name in names)


def test_a_real_history_outlives_its_kernel(tmp_path: Path) -> None:
    first = history(tmp_path)
    seen(first, NOW, [{}])
    first.close()
    assert len(history(tmp_path).frame()) == 1


def test_info_says_how_much_is_kept_and_where(tmp_path: Path) -> None:
    past = history(tmp_path)
    assert past.info()["rows"] == 0
    assert past.info()["first"] is None
    seen(past, NOW, [{}, {"machine_id": 2}])
    info = past.info()
    assert (info["rows"], info["snapshots"], info["days"], info["files"]) == (2, 1, 1, 0)
    assert info["path"] == str(past.path)
    assert info["bytes"] > 0
    assert info["first"] == info["last"]
    assert "console.vast.ai" in repr(past)


# -- the past of a simulated market ----------------------------------------------------------------


@pytest.mark.slow
def test_a_demo_can_have_a_past_at_once() -> None:
    with vastnb.demo(history_days=10, machines=300) as client:
        info = client.history.info()
        assert info["snapshots"] == 40
        assert info["rows"] > 40 * 50
        trend = client.history.trend("4090", days=30)
        assert 10 <= len(trend) <= 11
        assert trend["median"].nunique() > 3
        again = client.history.simulate(days=10)
        assert client.history.info()["rows"] == again or info["rows"] > 0
        offer = client.search_offers("gpu_name=RTX_4090").iloc[0]
        assert 0 <= float(client.history.percentile(offer)) <= 100
        assert "simulated" in str(client.history.percentile(offer))


def test_the_past_is_the_one_that_the_market_had(data: Path) -> None:
    """What is written of a past moment is what a search finds when it is the present."""
    clock = ManualClock(NOW)
    with Server(clock=clock, speed=1, machines=200, limits=None, cap=None) as server:
        then = {row["machine_id"]: row for row in server.world.search(
            {"verified": {"eq": True}, "rentable": {"eq": True}}).to_rows()}  # fmt: skip
        clock.advance(86_400)
        from vastnb.sim.past import past

        rows, (found,) = past(server.world, [NOW])
        names = {rows[i]["machine_id"] for i in found.offers}
        assert names == then.keys()
        for i, base, bid in zip(found.offers, found.dph_base, found.min_bid, strict=True):
            now = then[rows[i]["machine_id"]]
            assert base == pytest.approx(now["dph_base"] / now["num_gpus"] * rows[i]["num_gpus"])
            assert bid == pytest.approx(now["min_bid"] / now["num_gpus"] * rows[i]["num_gpus"])


def test_a_recorded_market_stood_still(clock: ManualClock) -> None:
    with Server(clock=clock, machines=60) as drawn:
        rows = drawn.world.search({}).to_rows()
    with vastnb.demo(offers=rows, clock=clock, history_days=3) as client:
        trend = client.history.trend(rows[0]["gpu_name"], type="on-demand")
        assert trend["median"].nunique() <= trend["gpu_ram_gb"].nunique()


def test_only_a_simulated_markets_past_can_be_made_up(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="only for a simulated market"):
        history(tmp_path).simulate()
