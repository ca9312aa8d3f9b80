"""One cached call, in order: what is sent, what is kept, what is served instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from vastnb.api.transport import Transport
from vastnb.clock import ManualClock
from vastnb.errors import AuthError, InvalidRequest, RateLimited, ServerError

from .conftest import KEY
from .peer import answer, dribble, hang_up, raw, truncated, truncated_chunks, two_lengths

Make = Callable[..., Transport]
OFFERS = {"offers": [{"id": 1}, {"id": 2}]}


def search(transport: Transport, query: object = None, **options: object):
    body = {"gpu_name": {"eq": "RTX 4090"}} if query is None else query
    return transport.call("search_offers", body=body, **options)


def test_an_answer_says_where_and_when_it_comes_from(transport, peer, clock):
    peer.default = answer(OFFERS, **{"X-Vastnb-Simulated": "1"})
    first = search(transport)
    assert (first.status, first.data, first.from_cache, first.stale) == (200, OFFERS, False, False)
    assert first.simulated
    assert first.fetched_at == datetime.fromtimestamp(clock.time(), UTC)
    clock.advance(30)
    again = search(transport)
    assert again.from_cache and not again.stale and again.data == OFFERS and again.simulated
    assert (again.key, again.fetched_at) == (first.key, first.fetched_at)
    assert again.data is again.data
    assert len(peer.asked) == 1
    assert peer.asked[0].json == {"gpu_name": {"eq": "RTX 4090"}}
    assert peer.asked[0].headers["Authorization"] == f"Bearer {KEY}"


def test_an_answer_is_fresh_for_its_time_by_our_own_clock(make, peer, clock):
    transport = make(cache_ttl=50)
    search(transport)
    clock.advance(49)
    assert search(transport).from_cache
    clock.advance(2)
    assert not search(transport).from_cache
    clock.advance(-3600)  # a clock set back must not make it fresh for an hour
    assert search(transport).stale
    clock.advance(7)
    assert not search(transport).from_cache


def test_refresh_asks_although_the_answer_is_fresh_and_keeps_the_new_one(transport, peer, clock):
    search(transport)
    clock.advance(10)
    peer.default = answer(OFFERS)
    assert search(transport, refresh=True).data == OFFERS
    assert search(transport).data == OFFERS
    assert len(peer.asked) == 2


def test_the_order_of_keys_does_not_matter_to_the_cache(transport, peer):
    search(transport, {"a": {"eq": 1, "neq": 2}, "b": {"eq": 3}})
    assert search(transport, {"b": {"eq": 3}, "a": {"neq": 2, "eq": 1}}).from_cache
    assert not search(transport, {"b": {"eq": 3}, "a": {"neq": 2, "eq": 2}}).from_cache


def test_another_key_never_gets_this_keys_answers(make, peer):
    search(make())
    assert not search(make(api_key="another" * 5)).from_cache
    assert not search(make(api_key=None)).from_cache
    assert search(make()).from_cache


def test_what_polls_is_never_cached(transport, peer):
    peer.default = answer({"instances": []})
    for _ in range(2):
        assert not transport.call("show_instances").from_cache
    assert len(peer.asked) == 2


@pytest.mark.parametrize("vary", ["Authorization", "*", "Cookie"])
def test_a_vary_header_does_not_switch_the_cache_off(transport, peer, vary):
    peer.default = answer(OFFERS, Vary=vary)
    search(transport)
    assert search(transport).from_cache


@pytest.mark.parametrize("cache_control", ["no-store", "no-cache", "max-age=0", "private"])
def test_the_servers_cache_headers_do_not_decide(transport, peer, cache_control):
    peer.default = answer(OFFERS, Cache_Control=cache_control, ETag='"x"')
    search(transport)
    assert search(transport).from_cache


@pytest.mark.parametrize(
    "trouble",
    [
        answer({"error": "HTTPTooManyRequests"}, 429, Retry_After="30"),
        answer("<h1>bad gateway</h1>", 502),
        answer("oops", 503, Retry_After="30"),
        hang_up,
        truncated,
        truncated_chunks,
        two_lengths,
        answer("<html>captive portal</html>"),
        raw(b""),
        answer({}),
    ],
    ids=["429", "502", "503", "reset", "cut", "chunks", "lengths", "html", "empty", "no-offers"],
)
def test_an_older_answer_is_served_in_trouble_and_says_why(transport, peer, clock, trouble):
    peer.script = [answer(OFFERS)]
    peer.default = trouble
    search(transport)
    clock.advance(1000)
    begun = clock.time()
    older = search(transport)
    assert older.stale and older.from_cache and older.data == OFFERS
    assert older.stale_reason
    assert clock.time() - begun <= 2.1, "patient for two seconds only"
    peer.default = answer({"offers": []})
    clock.advance(100)
    assert search(transport).data == {"offers": []}, "the trouble was not kept as an answer"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"error": "bad_request", "msg": "q.x: no"}, InvalidRequest),
        (401, {"msg": "no"}, AuthError),
        (403, {"msg": "no"}, AuthError),
        (404, {"error": "auth_error", "msg": "Invalid user key"}, AuthError),
    ],
)
def test_a_clear_no_is_never_covered_up_by_an_older_answer(
    transport, peer, clock, status, body, error
):
    peer.script = [answer(OFFERS), answer(body, status)]
    search(transport)
    clock.advance(1000)
    with pytest.raises(error):
        search(transport)
    peer.default = answer({"offers": []}, 500)
    assert search(transport).stale, "the error has not deleted the older answer"


def test_an_older_answer_is_served_before_waiting_for_a_late_turn(transport, peer, clock):
    search(transport)
    clock.advance(200)
    search(transport, {"other": {"eq": 1}})
    slept = len(clock.slept)
    older = search(transport)
    assert older.stale and "paced" in older.stale_reason
    assert len(clock.slept) == slept


def test_an_explicit_refresh_waits_for_its_turn(transport, peer, clock):
    search(transport)
    search(transport, {"other": {"eq": 1}})
    assert not search(transport, refresh=True).stale
    assert len(peer.asked) == 3


def test_a_turn_beyond_max_wait_is_refused_at_once_with_the_time(make, peer, clock):
    transport = make(max_wait=1)
    search(transport)
    with pytest.raises(RateLimited) as caught:
        search(transport, {"other": {"eq": 1}})
    assert 1.9 < caught.value.retry_after < 2.1
    assert caught.value.reset_at > datetime.fromtimestamp(clock.time(), UTC)
    assert clock.slept == []
    assert len(peer.asked) == 1


def test_eight_threads_with_one_miss_send_one_request(make, peer, clock):
    def slow(asked, handler):
        time.sleep(0.3)
        answer(OFFERS)(asked, handler)

    peer.default = slow
    transport = make()
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(search(transport))) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert [one.data for one in got] == [OFFERS] * 8
    assert len(peer.asked) == 1


@pytest.mark.slow
def test_waiting_for_another_thread_that_asks_the_same_is_shown(make, peer):
    told = []

    @contextmanager
    def hook(endpoint, seconds, reason):
        passed = []
        yield passed.append
        told.append((endpoint, reason, sum(passed)))

    peer.default = lambda asked, handler: time.sleep(3.2) or answer(OFFERS)(asked, handler)
    transport = make(on_wait=hook)
    first = threading.Thread(target=search, args=(transport,))
    first.start()
    time.sleep(0.1)
    assert search(transport).data == OFFERS
    first.join()
    ((endpoint, reason, passed),) = told
    assert (endpoint, reason) == ("search_offers", "another thread is making the same request")
    assert 0.5 <= passed <= 1.5
    assert len(peer.asked) == 1


def test_an_answer_fetched_by_another_kernel_while_waiting_is_used(make, peer, clock):
    mine, other = make(), make()
    search(mine, {"first": {"eq": 1}})  # the lane is busy for six seconds
    peer.default = answer(OFFERS)

    class Meanwhile:
        done = False

        def time(self):
            return clock.time()

        def steady(self):
            return clock.steady()

        def sleep(self, seconds):
            clock.sleep(seconds)
            if not self.done and clock.slept[2:]:
                self.done = True
                other.call("search_offers", body={"x": {"eq": 1}})

    waiter = make(clock=Meanwhile())
    assert search(waiter, {"x": {"eq": 1}}).from_cache
    assert len(peer.asked) == 2


def test_without_a_cache_nothing_is_kept(make, peer, cache_dir):
    transport = make(cache=None)
    for _ in range(2):
        assert not search(transport).from_cache
    assert len(peer.asked) == 2
    assert not (cache_dir / "answers.sqlite").exists()


def test_a_memory_cache_lives_with_its_transport(make, peer, cache_dir):
    transport = make(cache="memory")
    search(transport)
    assert search(transport).from_cache
    assert not search(make(cache="memory")).from_cache
    assert not (cache_dir / "answers.sqlite").exists()


@pytest.mark.slow
@pytest.mark.parametrize("in_headers", [False, True])
def test_a_dribbling_server_does_not_outlast_the_budget(make, peer, in_headers):
    peer.default = dribble(in_headers=in_headers)
    transport = make(max_wait=0.3, timeout=0.6)
    begun = time.monotonic()
    with pytest.raises(ServerError, match="no complete answer within"):
        search(transport)
    assert time.monotonic() - begun < 2


def test_a_server_that_hangs_is_left_after_the_timeout(make, peer):
    peer.default = lambda asked, handler: time.sleep(3)
    transport = make(max_wait=0.3, timeout=0.4)
    begun = time.monotonic()
    with pytest.raises(ServerError, match=r"no answer within 0\.4 s|no complete answer"):
        search(transport)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_error_that_names_the_place(transport, peer, status):
    peer.default = answer("", status, Location="https://user:pw@other.example/api/?token=abc")
    with pytest.raises(ServerError, match=r"https://other\.example/api/") as caught:
        search(transport)
    assert "pw" not in str(caught.value) and "token" not in str(caught.value)
    assert [one.method for one in peer.asked] == ["POST"]


def test_what_cannot_be_sent_is_said_before_sending(transport, peer):
    for call in (
        lambda: transport.call("no_such_thing"),
        lambda: transport.call("show_instance"),
        lambda: transport.call("destroy_instance", path={"id": ""}),
        lambda: transport.call("destroy_instance", path={"id": None}),
        lambda: search(transport, {"x": float("nan")}),
        lambda: search(transport, {"x": object()}),
    ):
        with pytest.raises(InvalidRequest):
            call()
    assert peer.asked == []


def test_numbers_out_of_a_frame_can_be_sent(transport, peer):
    numpy = pytest.importorskip("numpy")
    search(transport, {"num_gpus": {"gte": numpy.int64(2)}, "dph": {"lt": numpy.float64(0.5)}})
    assert peer.asked[0].json == {"num_gpus": {"gte": 2}, "dph": {"lt": 0.5}}


def test_a_path_is_filled_safely(transport, peer):
    peer.default = answer({"instances": None})
    transport.call("show_instance", path={"id": "1/../../users"}, params={"a": None, "b": [1]})
    assert peer.asked[0].path == "/api/v0/instances/1%2F..%2F..%2Fusers/?b=%5B1%5D"


def test_a_closed_transport_says_so(transport):
    transport.close()
    with pytest.raises(InvalidRequest, match="closed"):
        search(transport)


def test_traffic_counts_what_was_done(transport, peer, clock):
    peer.script = [answer(OFFERS), answer("too many", 429, Retry_After="3"), answer(OFFERS)]
    search(transport)
    search(transport)
    search(transport, refresh=True)
    peer.default = answer("", 500)
    clock.advance(500)
    search(transport)
    (row,) = transport.traffic()
    assert row["endpoint"] == "search_offers"
    assert row["calls"] == 4 and row["cache_hits"] == 1 and row["refused"] == 1
    assert row["stale"] == 1 and row["sent"] == 4 and row["errors"] == 0
    assert row["waited_s"] > 5


def test_ctrl_c_ends_a_wait_at_once_and_leaves_nothing_locked(make, peer, clock):
    class Interrupted(ManualClock):
        def sleep(self, seconds):
            raise KeyboardInterrupt

    search(make())
    waiter = make(clock=Interrupted(clock.time()))
    with pytest.raises(KeyboardInterrupt):
        search(waiter, {"x": {"eq": 1}})
    clock.advance(7)
    assert search(make(), {"x": {"eq": 1}}).data == {"offers": []}
    assert waiter._opened.locks._locks == {}
