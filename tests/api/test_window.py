"""Interval and window together, what a refusal may teach, and how long it may close a lane."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.api import lane as rules
from vastnb.api.answers import Refusal
from vastnb.api.endpoints import ENDPOINTS
from vastnb.api.lane import Lane, Turn, Wait
from vastnb.clock import ManualClock
from vastnb.errors import RateLimited, ServerError
from vastnb.sim import Limits

from .peer import answer

NOW = 1_790_000_000.0
SEARCH = ENDPOINTS["search_offers"]
LIST = ENDPOINTS["show_instances"]
DESTROY = ENDPOINTS["destroy_instance"]
UNKNOWN = ENDPOINTS["show_user"]


def paced(calls: int, latencies, pauses, endpoint=SEARCH) -> list[float]:
    """Return when requests arrive that ask for their turn as soon as it may be theirs."""
    lane, now, arrived = Lane(), NOW, []
    for _, latency, pause in zip(range(calls), latencies, pauses, strict=False):
        now += pause
        lane, got = rules.claim(lane, endpoint, now)
        while isinstance(got, Wait):
            now += got.seconds
            lane, got = rules.claim(Lane.load(lane.dump()), endpoint, now)
        arrived.append(now + latency / 2)
        now += latency
        lane = rules.answered(lane, endpoint, got, now)
    return arrived


@given(
    st.lists(st.floats(0, 3), min_size=40, max_size=40),
    st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 15.0, 70.0]), min_size=40, max_size=40),
)
def test_interval_and_window_are_kept_whatever_the_network_does(latencies, pauses):
    arrived = paced(40, latencies, pauses)
    limits = Limits()
    assert all(limits.admit("a", "search_offers", at) is None for at in arrived)
    assert all(b - a >= 2 for a, b in itertools.pairwise(arrived))
    assert all(b - a >= 60 for a, b in zip(arrived, arrived[10:], strict=False))


@pytest.mark.parametrize(("calls", "least"), [(8, 14.0), (10, 18.0), (25, 128.0)])
def test_no_search_waits_longer_than_the_limits_ask_for(calls, least):
    arrived = paced(calls, itertools.repeat(0.01), itertools.repeat(0.0))
    assert least <= arrived[-1] - arrived[0] <= 1.05 * least


def test_a_turn_that_was_not_used_leaves_its_place_in_the_window():
    lane, now = Lane(), NOW
    for _ in range(9):
        lane, turn = rules.claim(lane, SEARCH, now)
        lane = rules.answered(lane, SEARCH, turn, now)
        now += 2.1
    lane, turn = rules.claim(lane, SEARCH, now)
    lane = rules.give_back(lane, turn)
    lane, turn = rules.claim(lane, SEARCH, now)
    assert isinstance(turn, Turn)
    _, wait = rules.claim(rules.answered(lane, SEARCH, turn, now), SEARCH, now + 3)
    assert isinstance(wait, Wait) and 37 < wait.seconds < 39


def test_a_lost_request_counts_in_the_window():
    lane, now = Lane(), NOW
    for _ in range(10):
        lane, turn = rules.claim(lane, SEARCH, now)
        lane = rules.lost(lane, SEARCH, turn, now + 1)
        now += 3.1
    assert len(lane.sent) == 10
    assert rules.opens_at(lane, SEARCH) >= NOW + 61


@given(st.floats(-1e7, 1e7))
def test_a_clock_that_is_set_makes_no_window_longer(jump):
    lane = Lane(sent=tuple(NOW + n for n in range(10)), next_at=NOW + 12, sent_at=NOW + 9)
    _, got = rules.claim(lane, SEARCH, max(1.0, NOW + 9 + jump))
    assert isinstance(got, Turn) or got.seconds <= 61


def test_the_simulated_limiter_keeps_the_window():
    limits = Limits()
    assert all(limits.admit("a", "search_offers", 2.0 * n) is None for n in range(10))
    refusal = limits.admit("a", "search_offers", 20.0)
    assert refusal is not None and refusal.retry_after == pytest.approx(40)
    assert limits.admit("b", "search_offers", 20.0) is None
    assert limits.admit("a", "search_offers", 60.0) is None
    assert Limits(scale=0.1).rules["search_offers"].window == (10, pytest.approx(6.0))


# -- what a refusal may teach ----------------------------------------------------------------------


def refused_once(endpoint, said: Refusal) -> tuple[Lane, float]:
    lane, turn = rules.claim(Lane(), endpoint, NOW)
    lane = rules.answered(lane, endpoint, turn, NOW)
    now = NOW + 1.01 * (endpoint.interval or 1.0)
    lane, turn = rules.claim(lane, endpoint, now)
    return rules.refused(lane, endpoint, turn, now, said), now


@pytest.mark.parametrize("endpoint", [DESTROY, LIST, SEARCH, UNKNOWN])
@pytest.mark.parametrize(
    "said",
    [
        Refusal(retry_after=604800.0), Refusal(threshold=3600.0), Refusal(limit=60.0),
        Refusal(retry_after=1.0, limit=1000.0), Refusal(retry_after=86400.0, threshold=86400.0),
    ],
)  # fmt: skip
def test_no_refusal_closes_a_lane_for_longer_than_ten_minutes(endpoint, said):
    lane, now = refused_once(endpoint, said)
    assert rules.closed_seconds(lane, now) <= 610
    assert rules.interval(lane, endpoint, now) <= max(15.0, 4 * (endpoint.interval or 1))
    _, later = rules.claim(lane, endpoint, now + 610)
    assert isinstance(later, Turn), "and then one request probes it"


def test_a_limit_of_60_a_minute_is_no_interval_of_60_seconds():
    lane, now = refused_once(LIST, Refusal(retry_after=1.0, limit=60.0))
    assert rules.interval(lane, LIST, now) == 1.0
    lane, now = refused_once(SEARCH, Refusal(retry_after=1.0, limit=5.0))
    assert rules.interval(lane, SEARCH, now) == 5.0


def test_refusals_without_a_time_at_least_double():
    lane, now, closed = Lane(), NOW, []
    for _ in range(12):
        lane, turn = rules.claim(lane, LIST, now)
        assert isinstance(turn, Turn)
        lane = rules.refused(lane, LIST, turn, now, Refusal())
        closed.append(rules.closed_seconds(lane, now))
        now += closed[-1] + 0.01
    assert all(b >= min(1.99 * a, 600) for a, b in itertools.pairwise(closed))
    assert closed[-1] <= 610


@pytest.mark.parametrize("status", [500, 503, 504])
def test_a_failing_service_that_asks_to_wait_closes_the_lane_for_every_kernel(
    make, peer, clock, status
):
    peer.default = answer({"msg": "down"}, status, Retry_After="300")
    with pytest.raises(ServerError):
        make().call("show_instances")
    with pytest.raises(RateLimited, match="overloaded") as caught:
        make().call("show_instances")
    assert 290 < caught.value.retry_after < 310 and caught.value.status == 503
    assert len(peer.asked) == 1, "the second kernel does not even ask"
    clock.advance(301)
    peer.default = answer({"instances": []})
    assert make().call("show_instances").data == {"instances": []}
    clock.advance(2)
    assert make().call("show_instances").data == {"instances": []}


def test_a_failing_service_does_not_open_what_a_spent_quota_has_closed():
    lane, turn = rules.claim(Lane(), SEARCH, NOW)
    lane = rules.quota_spent(rules.answered(lane, SEARCH, turn, NOW), NOW, NOW + 7200)
    lane, turn = rules.claim(lane, SEARCH, NOW + 1000, probe=True)
    assert isinstance(turn, Turn)
    lane = rules.busy(rules.lost(lane, SEARCH, turn, NOW + 1001), turn, NOW + 1001, 30.0)
    _, got = rules.claim(lane, SEARCH, NOW + 1100)
    assert isinstance(got, Wait) and got.reason == "quota"


def test_destroying_is_possible_again_after_a_refusal_of_a_week(make, peer, clock):
    peer.script = [answer("", 429, Retry_After="604800")]
    peer.default = answer({"success": True})
    with pytest.raises(RateLimited):
        make().call("destroy_instance", path={"id": 1}, body={})
    clock.advance(610)
    assert make().call("destroy_instance", path={"id": 1}, body={}).data == {"success": True}


def test_a_burst_of_eight_through_the_transport(make, peer):
    clock = ManualClock()
    limits = Limits()
    peer.default = lambda asked, handler: answer(
        *(
            ({"offers": []},)
            if limits.admit("a", "search_offers", clock.time()) is None
            else ("", 429)
        )
    )(asked, handler)
    transport = make(clock=clock)
    begun = clock.time()
    for number in range(8):
        transport.call("search_offers", body={"n": number})
    assert 14 <= clock.time() - begun <= 1.05 * 14
    assert transport.traffic()[0]["refused"] == 0


def test_a_lane_from_before_the_window_is_still_read():
    old = json.loads(Lane(next_at=NOW + 5, sent_at=NOW).dump())
    del old["sent"]
    assert Lane.load(json.dumps(old)) == Lane(next_at=NOW + 5, sent_at=NOW)
