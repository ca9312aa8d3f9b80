"""Price alerts ride on searches: each machine once, in every kernel, nothing asked for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.market.histories import NOW, frame, history, sample
from vastnb import Client
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest, QueryError
from vastnb.market.history import History
from vastnb.market.history.alerts import HITS_KEPT, Hit
from vastnb.sim import Server


@pytest.fixture
def past(tmp_path: Path) -> History:
    return history(tmp_path)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Price alert")
        yield


def found(past: History, *rows: Mapping[str, Any], at: float = NOW, **about: Any) -> None:
    """A search finds `rows`."""
    past.look_for_alerts(frame(*rows), sample(at, **about))


def offer(machine: int, dph: float, gpus: int = 1, **columns: Any) -> dict[str, Any]:
    """An offer at a price with 10 GB of disk."""
    base = dph - 0.15 * 10 / 720
    return {"machine_id": machine, "id": machine * 10 + gpus, "num_gpus": gpus,
            "dph_base": base, **columns}  # fmt: skip


def test_an_offer_below_the_price_is_told_of_in_words(past: History) -> None:
    past.watch("gpu_name=RTX_4090", below=0.3)
    with pytest.warns(UserWarning, match="Price alert") as told:
        found(past, offer(5, 0.25), offer(6, 0.28), offer(7, 0.3))
    (one,) = told
    assert "1x RTX 4090 at $0.25/h per GPU, offer 51 on machine 5, and 1 more" in str(one.message)


def test_what_was_found_can_be_had_as_a_frame(past: History) -> None:
    alert = past.watch("gpu_name=RTX_4090", below=0.3)
    empty = alert.hits
    found(past, offer(6, 0.56, 2), offer(5, 0.25))
    hits = alert.hits
    assert hits.dtypes.to_dict() == empty.dtypes.to_dict()
    assert hits["machine_id"].tolist() == [5, 6]
    assert hits["price"].tolist() == pytest.approx([0.25, 0.28])
    assert hits["offer_id"].tolist() == [51, 62]
    assert hits["at"].iloc[0].timestamp() == NOW


def test_a_machine_is_told_of_once_until_it_rises_again(past: History) -> None:
    alert = past.watch(below=0.3)
    for dph in (0.25, 0.2, 0.29):
        found(past, offer(5, dph))
    assert len(alert.hits) == 1
    found(past, offer(6, 0.5))  # not seen is not risen
    found(past, offer(5, 0.25))
    assert len(alert.hits) == 1
    found(past, offer(5, 0.3))
    found(past, offer(5, 0.29))
    assert len(alert.hits) == 2


def test_several_slices_of_a_machine_are_one_machine(past: History) -> None:
    alert = past.watch(below=0.3)
    found(past, offer(5, 0.25, 1), offer(5, 0.5, 2), offer(5, 1.0, 4))
    assert len(alert.hits) == 1
    found(past, offer(5, 1.9, 8))
    assert len(alert.hits) == 1


def test_the_price_may_be_meant_for_the_whole_offer(past: History) -> None:
    alert = past.watch(below=0.3, per="offer")
    found(past, offer(5, 0.4, 2), offer(6, 0.29, 2))
    assert alert.hits["machine_id"].tolist() == [6]
    found(past, offer(6, 0.6, 4))  # a larger slice of it is dearer: it has not risen
    found(past, offer(6, 0.29, 2))
    assert len(alert.hits) == 1


def test_a_machine_that_rose_is_told_of_again_though_its_largest_slice_is_gone(
    past: History,
) -> None:
    alert = past.watch(below=0.3)
    found(past, offer(5, 8 * 0.2, 8))  # told of, and then rented
    found(past, offer(5, 0.4))  # what is left of it has become more expensive
    found(past, offer(5, 0.2))
    assert alert.hits["num_gpus"].tolist() == [8, 1]
    found(past, offer(5, 0.2), offer(5, 8 * 0.2, 8))
    assert len(alert.hits) == 2


def test_a_slice_that_is_above_does_not_tell_of_one_that_is_below_again(past: History) -> None:
    alert = past.watch(below=0.3)
    for _ in range(3):
        found(past, offer(5, 0.4), offer(5, 8 * 0.2, 8))
    assert len(alert.hits) == 1


def test_nobody_is_called_for_a_price_that_cannot_be_true(past: History) -> None:
    alerts = [past.watch(below=0.3), past.watch(below=0.3, per="offer")]
    found(
        past, offer(1, 0.2, dph_base=-0.5), offer(2, 0.2, dph_base=0.0), offer(3, 0.2, num_gpus=0),
        offer(4, 0.2, storage_cost=-900.0), offer(5, 0.2, dph_base="n/a"),
    )  # fmt: skip
    assert [len(alert.hits) for alert in alerts] in ([0, 0], [0, 1])
    found(past, offer(2**53 + 1, 0.2), offer(2**53 + 2, 0.2))
    assert alerts[0].hits["machine_id"].tolist() == [2**53 + 1, 2**53 + 2]


def test_the_price_includes_the_disk(past: History) -> None:
    small, large = past.watch(below=0.3, storage=10), past.watch(below=0.3, storage=500)
    found(past, offer(5, 0.25))
    assert (len(small.hits), len(large.hits)) == (1, 0)


def test_only_offers_that_fit_count_with_the_defaults_of_a_search(past: History) -> None:
    alert = past.watch("num_gpus>=2 geolocation=SE", below=0.3)
    found(
        past, offer(1, 0.2), offer(2, 0.4, 2, geolocation="Texas, US"),
        offer(3, 0.4, 2, verification="unverified"), offer(4, 0.4, 2, rentable=False),
        offer(5, 0.4, 2), offer(6, 0.4, 2, dph_base=None), offer(7, 0.4, 2, storage_cost=None),
    )  # fmt: skip
    assert alert.hits["machine_id"].tolist() == [5]


def test_only_searches_of_the_same_kind_are_looked_through(past: History) -> None:
    bids = past.watch(below=0.3, type="interruptible")
    found(past, offer(5, 0.2))
    assert bids.hits.empty
    found(past, offer(5, 0.2), type="bid")
    assert len(bids.hits) == 1


def test_all_kernels_share_a_watch_and_a_machine_is_told_of_once(tmp_path: Path) -> None:
    one, other = history(tmp_path), history(tmp_path)
    heard: list[Hit] = []
    alert = one.watch(below=0.3, callback=heard.append)
    found(other, offer(5, 0.2))
    assert len(alert.hits) == 1
    assert heard == []
    found(one, offer(5, 0.2), offer(6, 0.2))  # tells what the other found, too
    assert [hit.machine_id for hit in heard] == [5, 6]
    found(one, offer(5, 0.2))
    assert len(heard) == 2
    (same,) = other.alerts
    same.stop()
    found(one, offer(7, 0.2))
    assert one.alerts == []
    assert len(heard) == 2
    assert alert.hits.empty


def test_the_same_watch_again_is_the_same_alert(past: History) -> None:
    first = past.watch("num_gpus>=2", below=0.3)
    again = past.watch(num_gpus=(2, None), below=0.3)
    other = past.watch("num_gpus>=2", below=0.31)
    assert first.number == again.number != other.number
    assert len(past.alerts) == 2
    assert repr(first) == "<price alert 1: num_gpus>=2 below $0.3/h per GPU>"


def test_a_callback_that_fails_breaks_nothing(past: History) -> None:
    heard: list[int] = []

    def callback(hit: Hit) -> None:
        heard.append(hit.machine_id)
        raise RuntimeError("oh")

    past.watch(below=0.3, callback=callback)
    found(past, offer(5, 0.2), offer(6, 0.25))
    found(past, offer(7, 0.2))
    assert heard == [5, 6, 7]


def test_where_warnings_are_errors_nothing_breaks(past: History) -> None:
    alert = past.watch(below=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found(past, offer(5, 0.2))
    assert len(alert.hits) == 1


def test_old_hits_are_forgotten(past: History) -> None:
    alert = past.watch(below=0.3)
    found(past, *(offer(m, 0.2) for m in range(HITS_KEPT + 25)))
    assert len(alert.hits) == HITS_KEPT


def test_without_a_watch_no_file_is_made(past: History, tmp_path: Path) -> None:
    found(past, offer(5, 0.2))
    assert past.alerts == []
    assert list(tmp_path.rglob("*.sqlite")) == []


@pytest.mark.parametrize(
    ("arguments", "error", "word"),
    [
        ({"below": 0}, QueryError, "below=0"),
        ({"below": True}, QueryError, "below=True"),
        ({"below": float("nan")}, QueryError, "below=nan"),
        ({"below": float("inf")}, QueryError, "below=inf"),
        ({"below": 1, "per": "machine"}, QueryError, '"gpu" or "offer"'),
        ({"below": 1, "type": "spot"}, QueryError, "type='spot'"),
        ({"query": "num_gpu=2", "below": 1}, QueryError, "num_gpus"),
        ({"query": "driver_version>=535.0.0", "below": 1}, InvalidRequest, "driver_version"),
    ],
)
def test_what_cannot_be_watched_for_is_refused_at_once(
    past: History, arguments: dict[str, Any], error: type[Exception], word: str
) -> None:
    with pytest.raises(error, match=word):
        past.watch(**arguments)
    assert past.alerts == []


def test_it_rides_on_searches_and_asks_nothing_itself() -> None:
    clock = ManualClock(NOW)
    with (
        Server(clock=clock, speed=1, machines=150, limits=None) as server,
        Client(server.api_key, base_url=server.url, cache="memory", clock=clock, on_wait=silent,
               history=False) as client,
    ):  # fmt: skip
        client.show_user()  # it says that it is simulated
        alert = client.history.watch("gpu_name=RTX_4090", below=100)
        calls = server.calls()
        assert alert.hits.empty
        assert client.history.alerts
        assert server.calls() == calls
        frame = client.search_offers("gpu_name=RTX_4090")
        assert server.calls() == calls + 1
        assert sorted(alert.hits["machine_id"]) == sorted(set(frame["machine_id"]))
