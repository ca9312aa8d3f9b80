"""What the client promises to whoever searches."""

from __future__ import annotations

import copy
import gc
import json
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vastnb
import vastnb.market.search
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, InvalidRequest, QueryError, QuotaExceeded, ServerError
from vastnb.sim import Fault, Server

QUERY = "gpu_name=RTX_4090 num_gpus>=2"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def server(clock: ManualClock) -> Iterator[Server]:
    with Server(seed=3, speed=0, clock=clock) as running:
        yield running


@pytest.fixture
def client(server: Server, clock: ManualClock) -> Iterator[vastnb.Client]:
    with vastnb.Client(
        server.api_key, base_url=server.url, cache="memory", clock=clock
    ) as connected:
        yield connected


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VAST_API_KEY", "VASTAI_API_KEY", "VAST_AI_API_KEY", "VAST_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_looking_twice_asks_once(client: vastnb.Client, server: Server) -> None:
    frames = [client.search_offers(QUERY) for _ in range(100)]
    assert server.calls("search_offers") == 1
    assert not frames[0].vast.provenance["from_cache"]
    assert frames[-1].vast.provenance["from_cache"]
    pd.testing.assert_frame_equal(frames[0], frames[-1])


def test_text_keywords_and_dict_are_one_search(client: vastnb.Client, server: Server) -> None:
    client.search_offers("gpu_name=RTX_4090 num_gpus>=2")
    client.search_offers(gpu_name="4090", num_gpus=(2, None))
    assert server.calls("search_offers") == 1


def test_a_frame_that_is_changed_changes_no_other(client: vastnb.Client) -> None:
    first = client.search_offers(QUERY)
    first["dph_total"] = 0.0
    first.attrs["vastnb"]["query"] = "spoiled"
    second = client.search_offers(QUERY)
    assert (second["dph_total"] > 0).all()
    assert second.vast.provenance["query"] == QUERY


def test_an_answer_is_asked_again_when_it_is_old_or_on_demand(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    client.search_offers(QUERY)
    clock.advance(89)
    assert client.search_offers(QUERY).vast.provenance["from_cache"]
    clock.advance(2)
    assert not client.search_offers(QUERY).vast.provenance["from_cache"]
    assert not client.search_offers(QUERY, refresh=True).vast.provenance["from_cache"]
    assert server.calls("search_offers") == 3
    assert server.refused.get("search_offers", 0) == 0


def test_provenance_is_plain_json_and_complete(client: vastnb.Client) -> None:
    provenance = client.search_offers(QUERY, type="interruptible", storage=50).vast.provenance
    assert json.loads(json.dumps(provenance)) == provenance
    assert provenance.keys() >= {
        "query", "type", "order", "storage_gb", "fetched_at", "from_cache", "stale",
        "stale_reason", "truncated", "simulated",
    }  # fmt: skip
    assert provenance["type"] == "bid"
    assert provenance["storage_gb"] == 50
    assert provenance["simulated"] is True


def test_an_empty_answer_has_the_same_columns_and_dtypes(client: vastnb.Client) -> None:
    some = client.search_offers(QUERY)
    none = client.search_offers("num_gpus>=1000")
    assert len(some) > 0
    assert len(none) == 0
    pd.testing.assert_series_equal(some.dtypes, none.dtypes)
    assert isinstance(none.index, pd.RangeIndex)


def test_a_failing_service_is_replaced_by_the_older_answer_with_the_reason(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    before = client.search_offers(QUERY)
    clock.advance(600)
    server.faults.add(Fault("search_offers", "503", times=50))
    after = client.search_offers(QUERY)
    assert after.vast.provenance["stale"]
    assert "503" in after.vast.provenance["stale_reason"]
    pd.testing.assert_frame_equal(before, after)


def test_a_wrong_key_is_never_hidden_by_an_older_answer(server: Server, clock: ManualClock) -> None:
    with vastnb.Client("0" * 64, base_url=server.url, cache="memory", clock=clock) as wrong:
        with pytest.raises(AuthError):
            wrong.show_user()
        with pytest.raises(AuthError):
            wrong.search_offers(QUERY)


def test_a_spent_quota_says_when_it_begins_anew(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    server.faults.add(Fault("search_offers", "quota"))
    with pytest.raises(QuotaExceeded) as spent:
        client.search_offers(QUERY)
    assert spent.value.reset_at is not None
    assert 0 < spent.value.reset_at.timestamp() - clock.time() <= 86_400
    assert client.quota().closed


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["html", "truncate", "empty", "garbage", "500", "drop-before", "reset-after"]
)
def test_a_broken_answer_is_a_typed_error_and_keeps_nothing(
    client: vastnb.Client, server: Server, kind: str
) -> None:
    server.faults.add(Fault("search_offers", kind, times=50))
    with pytest.raises(ServerError):
        client.search_offers(QUERY)
    server.faults.clear()
    assert len(client.search_offers(QUERY)) > 0


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "refused"),
        ("https://127.0.0.1:9", "refused"),
        ("https://no-such-host.invalid", "cannot be resolved"),
    ],
)
def test_no_network_is_a_typed_error(url: str, words: str) -> None:
    with (
        vastnb.Client("some-key", base_url=url, cache="memory", clock=ManualClock()) as lonely,
        pytest.raises(ServerError, match=f"{words}.*Nothing was done or charged"),
    ):
        lonely.search_offers(QUERY)


def test_a_capped_answer_is_marked_and_can_be_completed(
    server: Server, client: vastnb.Client
) -> None:
    cut = client.search_offers()
    assert len(cut) == 512
    assert cut.vast.provenance["truncated"]
    with pytest.warns(UserWarning, match="rows of the day's quota"):
        whole = client.search_offers(complete=True)
    server.world.cap = None
    truth = server.world.search(whole.vast.provenance["body"]).to_rows(["id"])
    assert not whole.vast.provenance["truncated"]
    assert whole.vast.provenance["whole"] == "proved"
    assert set(whole["id"]) == {row["id"] for row in truth}
    assert whole["id"].is_unique
    # The first part was still in the cache, and cost nothing again.
    assert client.quota().used == whole.vast.provenance["rows_used"] + len(cut)
    assert client.quota().used <= 2 * len(whole)


def test_what_was_read_before_the_quota_ended_is_kept(
    server: Server, client: vastnb.Client
) -> None:
    server.faults.add(Fault("search_offers", "quota", nth=3))
    with pytest.warns(UserWarning, match="rows of the day's quota"):
        part = client.search_offers(complete=True, order="dph_total")
    assert len(part) > 512
    assert part.vast.provenance["truncated"]
    assert "quota" in part.vast.provenance["truncated_reason"]
    assert part["dph_total"].is_monotonic_increasing


@pytest.mark.parametrize("cap", [64, 256, 300, 500])
def test_an_answer_cut_at_an_unlisted_length_is_found_out_by_a_narrower_search(
    client: vastnb.Client, server: Server, clock: ManualClock, cap: int
) -> None:
    server.world.cap = cap
    wide = client.search_offers()
    assert wide.vast.provenance["whole"] == ("cut" if cap == 64 else "assumed")
    narrow = client.search_offers("num_gpus=1")  # most of it is new
    cut = len(narrow) == cap
    assert narrow.vast.provenance["whole"] == ("cut" if cut else "proved")
    assert narrow.vast.provenance["truncated"] is cut
    again = client.search_offers()
    assert again.vast.provenance["from_cache"] and again.vast.provenance["whole"] == "cut"
    few = client.search_offers("gpu_name=RTX_4090 num_gpus=8 dph<2")
    assert len(few) < cap and few.vast.provenance["whole"] == "proved"
    with vastnb.Client(server.api_key, base_url=server.url, cache="memory", clock=clock) as other:
        assert other.search_offers().vast.provenance["whole"] == "cut"  # in another kernel
    with vastnb.Client("another-key", base_url=server.url) as stranger:
        assert stranger.transport.cut_lengths() == set()


def test_a_small_number_of_calls_is_kept_to_and_told_before(
    client: vastnb.Client, server: Server
) -> None:
    with pytest.warns(UserWarning, match=r"up to 3 calls \(max_calls=\)"):
        part = client.search_offers(complete=True, max_calls=3)
    assert server.calls("search_offers") == 3
    assert part.vast.provenance["whole"] == "cut"
    assert "3 calls" in part.vast.provenance["truncated_reason"]
    with pytest.raises(InvalidRequest, match="max_calls"):
        client.search_offers(complete=True, max_calls=0)


def test_a_value_in_the_wrong_unit_is_a_warning(client: vastnb.Client) -> None:
    with pytest.warns(UserWarning, match="Did you mean compute_cap>=800"):
        client.search_offers("compute_cap>=8.0 gpu_name=RTX_4090")


def test_a_limit_that_was_met_is_marked(client: vastnb.Client) -> None:
    assert client.search_offers(QUERY, limit=3).vast.provenance["truncated"]
    assert not client.search_offers(QUERY).vast.provenance["truncated"]


def test_many_searches_are_understood_before_the_first_is_sent(
    client: vastnb.Client, server: Server
) -> None:
    with pytest.raises(QueryError, match="num_gpus"):
        client.search_many({"good": QUERY, "bad": "num_gpu=1"})
    with pytest.raises(InvalidRequest):
        client.search_many(QUERY)
    assert server.calls() == 0


def test_many_searches_come_in_one_typed_frame(client: vastnb.Client, server: Server) -> None:
    queries: dict[str, Any] = {
        "4090": "gpu_name=RTX_4090",
        "none": "num_gpus>=1000",
        "h100": {"gpu_name": ["H100 SXM", "H100 NVL"]},
    }
    many = client.search_many(queries, order="dph_total")
    assert many.columns[0] == "query"
    assert set(many["query"]) == {"4090", "h100"}
    single = client.search_offers("gpu_name=RTX_4090", order="dph_total")
    pd.testing.assert_series_equal(many.dtypes.drop("query"), single.dtypes)
    assert server.refused.get("search_offers", 0) == 0


@pytest.mark.parametrize(
    ("kind", "word"),
    [("on-demand", "on-demand"), ("bid", "interruptible"), ("interruptible", "interruptible"),
     ("reserved", "reserved")],
)  # fmt: skip
def test_every_row_says_which_rental_and_which_disk_its_price_is_for(
    client: vastnb.Client, kind: Any, word: str
) -> None:
    asked: dict[str, Any] = {"type": kind, "storage": 50}
    frames = [
        client.search_offers(QUERY, **asked),
        client.search_offers(QUERY, **asked),  # from the cache
        client.search_offers(QUERY, columns="all", **asked),
        client.search_offers(QUERY, complete=True, **asked),
        client.search_many([QUERY, "num_gpus>=1000"], **asked),
        client.search_offers("num_gpus>=1000", **asked),
    ]
    for frame in frames:
        assert set(frame["rental_type"]) <= {word} and set(frame["storage_gb"]) <= {50.0}
        assert frame["rental_type"].dtype == pd.StringDtype("python")
        assert frame["storage_gb"].dtype == "Float64"
    assert all(len(frame) for frame in frames[:-1])


def test_without_a_key_one_can_search_and_is_told_what_needs_one(
    no_key: None, server: Server, clock: ManualClock
) -> None:
    with vastnb.Client(base_url=server.url, cache="memory", clock=clock) as anonymous:
        assert len(anonymous.search_offers()) == 64
        assert not anonymous.has_key
        with pytest.raises(AuthError, match="VAST_API_KEY"):
            anonymous.show_user()
    assert server.calls("show_user") == 0


def test_the_key_is_in_no_repr_and_no_traceback(server: Server, clock: ManualClock) -> None:
    from IPython.core.ultratb import VerboseTB

    key = "a-key-that-must-not-be-seen"
    client = vastnb.Client(key, base_url=server.url, cache="memory", clock=clock)
    try:
        client.show_user()
    except AuthError as error:
        frames = VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__)
        assert key not in frames
    else:
        pytest.fail("a wrong key was accepted")
    assert key not in repr(client)
    assert key not in json.dumps(client.traffic().to_dict("records"))
    client.close()


def test_no_way_of_giving_a_key_wrongly_shows_it() -> None:
    from IPython.core.ultratb import VerboseTB

    seen = "a-key-that-must-not-be-seen"

    class Holder:
        def __repr__(self) -> str:
            return seen

    attempts = [
        lambda key: vastnb.Client(key),
        lambda key: vastnb.Client(key, base_url="ftp://nowhere"),
        lambda key: vastnb.connect(api_key=key),
        lambda key: vastnb.connect(api_key=key, base_url="ftp://nowhere"),
        lambda key: vastnb.connect(api_key=key, timeout=-1),
    ]
    for attempt in attempts:
        for given in (seen.encode(), f"{seen} {seen}", Holder()):
            with pytest.raises(vastnb.errors.VastError) as caught:
                attempt(given)
            ours = caught.value.__traceback__.tb_next.tb_next  # type: ignore[union-attr]
            assert seen not in VerboseTB(theme_name="nocolor").text(
                type(caught.value), caught.value, ours
            )


def test_a_client_cannot_be_pickled_and_a_copy_shows_no_key(server: Server) -> None:
    client = vastnb.Client(server.api_key, base_url=server.url, cache="memory")
    for way in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            way(client)
        assert server.api_key not in str(caught.value)
    assert server.api_key not in repr(copy.copy(client)) + repr(vars(client))
    client.close()


@pytest.mark.parametrize(
    "options",
    [
        {"type": "x"}, {"type": None}, {"type": ["bid"]}, {"order": 5}, {"order": [5]},
        {"order": "nothing"}, {"limit": 0}, {"limit": "5"}, {"limit": float("nan")},
        {"limit": float("inf")}, {"limit": True}, {"storage": -1}, {"storage": "10"},
        {"storage": None}, {"storage": float("nan")}, {"columns": "some"}, {"columns": None},
        {"gpu_name": "RTX 9091"}, {"num_gpu": 2}, {"num_gpus": "many"},
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_search_is_refused_before_anything_is_sent(options: dict[str, Any]) -> None:
    with vastnb.Client("some-key", base_url="http://127.0.0.1:9", cache="memory") as nowhere:
        for complete in (False, True):
            with pytest.raises(QueryError, match="Nothing was searched"):
                nowhere.search_offers(**options, complete=complete)
        assert nowhere.traffic().empty


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "ftp://x"}, {"base_url": "http://a b"}, {"base_url": "http://\ud800"},
        {"base_url": 5}, {"cache": ""}, {"cache": 5}, {"cache_ttl": -1}, {"max_wait": "long"},
        {"timeout": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_a_client_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        vastnb.Client("some-key", **{"base_url": "http://127.0.0.1:9", **options})


def test_what_is_asked_with_numpys_numbers_is_plain_json(
    client: vastnb.Client, server: Server
) -> None:
    client.search_offers(num_gpus=2, storage=50, limit=5)
    found = client.search_offers(num_gpus=np.int64(2), storage=np.float64(50.0), limit=np.int64(5))
    assert server.calls("search_offers") == 1
    json.dumps(found.vast.provenance)


def test_a_repeated_search_is_decoded_and_built_once(
    client: vastnb.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    real = vastnb.market.search.frame_of_offers
    monkeypatch.setattr(
        vastnb.market.search, "frame_of_offers", lambda *a, **k: built.append(1) or real(*a, **k)
    )
    for _ in range(3):
        client.search_offers(QUERY)
    assert len(built) == 1


@pytest.mark.slow
def test_connect_says_that_the_market_is_simulated(
    no_key: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with vastnb.connect() as client:
        assert client.simulated
        assert "simulated" in repr(client)
    assert "simulated" in capsys.readouterr().out


def test_connect_uses_a_key_and_says_which(
    no_key: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    server: Server,
) -> None:  # fmt: skip
    monkeypatch.setenv("VAST_API_KEY", server.api_key)
    monkeypatch.setenv("VAST_URL", server.url)
    with vastnb.connect(cache="memory") as client:
        assert client.base_url == server.url
    said = capsys.readouterr().out
    assert "VAST_API_KEY" in said
    assert server.api_key not in said


def test_connect_does_not_pass_over_a_misspelt_key(
    no_key: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VASTAI_API_KEY", "something")
    with pytest.raises(AuthError, match="VASTAI_API_KEY"):
        vastnb.connect()


@pytest.mark.slow
def test_a_demo_ends_with_its_client() -> None:
    def servers() -> int:
        return sum(thread.name == "vastnb-sim" for thread in threading.enumerate())

    before = servers()
    with vastnb.demo():
        assert servers() == before + 1
    assert servers() == before
    gc.disable()  # it must not take a collection, which may be long in coming
    try:
        for _ in range(3):
            client = vastnb.demo()
            client.search_offers(QUERY)
            assert servers() <= before + 2  # the new one, and the old one until it is replaced
        assert servers() == before + 1
        del client
        assert servers() == before
    finally:
        gc.enable()


@pytest.mark.recorded
def test_recorded_offers_can_be_explored_unaltered(offers_2024: list[dict[str, Any]]) -> None:
    with vastnb.demo(offers=offers_2024, cap=None, limits=None) as client:
        df = client.search_offers("verified=any", storage=5)
    assert len(df) == len(offers_2024)
    truth = {row["id"]: row for row in offers_2024}
    for name in ("gpu_name", "gpu_ram", "cpu_name", "inet_up", "reliability", "storage_cost"):
        for offer, value in zip(df["id"], df[name], strict=True):
            expected = truth[offer][name]
            assert (pd.isna(value) and expected is None) or value == expected
