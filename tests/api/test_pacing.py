"""The pace: rules as functions, then lanes shared by threads, transports and processes."""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vastnb.api import lane as rules
from vastnb.api import shared
from vastnb.api.answers import Refusal
from vastnb.api.endpoints import ENDPOINTS, Endpoint
from vastnb.api.lane import Lane, Turn, Wait
from vastnb.clock import ManualClock, SystemClock
from vastnb.errors import QuotaExceeded, RateLimited

from .conftest import KEY
from .peer import Peer, Strict, answer, serving

NOW = 1_790_000_000.0
SEARCH = ENDPOINTS["search_offers"]
UNKNOWN = ENDPOINTS["show_user"]
CREATE = ENDPOINTS["create_instance"]


def turn_at(lane, now, endpoint=SEARCH):
    lane, turn = rules.claim(lane, endpoint, now)
    assert isinstance(turn, Turn)
    return lane, turn


# -- the rules -------------------------------------------------------------------------------------


def test_one_turn_an_interval_and_the_wait_is_told_without_sleeping():
    lane, _ = turn_at(Lane(), NOW)
    same, wait = rules.claim(lane, SEARCH, NOW + 0.5)
    assert same == lane and isinstance(wait, Wait) and wait.reason == "pace"
    assert 1.5 <= wait.seconds < 1.6
    turn_at(lane, NOW + 0.5 + wait.seconds)


def test_pace_is_counted_from_the_answer():
    lane, turn = turn_at(Lane(), NOW)
    lane = rules.answered(lane, SEARCH, turn, NOW + 3)
    assert NOW + 5 <= lane.next_at < NOW + 5.1


def test_a_turn_that_was_not_used_is_given_back():
    lane, turn = turn_at(Lane(), NOW)
    turn_at(rules.give_back(lane, turn), NOW)
    lane, turn = turn_at(lane, NOW + 7)
    later, _ = turn_at(lane, NOW + 14)
    assert rules.give_back(later, turn) == later, "somebody has used the lane since"


@pytest.mark.parametrize(
    ("said", "learned"),
    [
        (Refusal(retry_after=2.0, threshold=3.0), 3.0),
        (Refusal(threshold=3.0), 3.0),
        (Refusal(retry_after=10.0, limit=5.0), 5.0),
        (Refusal(retry_after=2.0), 3.01),
        (Refusal(retry_after=2.0, limit=20000.0), 3.01),
        (Refusal(retry_after=3600.0), 15.0),
        (Refusal(), 2.02),
    ],
)
def test_an_unknown_interval_is_learned_from_one_refusal(said, learned):
    lane, turn = turn_at(Lane(), NOW, UNKNOWN)
    lane = rules.answered(lane, UNKNOWN, turn, NOW)
    lane, turn = turn_at(lane, NOW + 1.01, UNKNOWN)
    lane = rules.refused(lane, UNKNOWN, turn, NOW + 1.01, said)
    assert rules.interval(lane, UNKNOWN, NOW + 2) == pytest.approx(learned)
    closed = rules.closed_seconds(lane, NOW + 1.01)
    assert closed >= max(min(said.retry_after or 0, 600), learned)


def test_a_published_interval_is_raised_only_by_a_threshold_that_says_more():
    lane, turn = turn_at(Lane(), NOW)
    lane = rules.refused(lane, SEARCH, turn, NOW, Refusal(retry_after=10, threshold=1))
    assert rules.interval(lane, SEARCH, NOW) == 2
    lane, turn = turn_at(lane, NOW + 50)
    lane = rules.refused(lane, SEARCH, turn, NOW + 50, Refusal(threshold=9))
    assert rules.interval(lane, SEARCH, NOW + 60) == 9


def test_a_lane_that_was_paced_right_and_is_refused_gets_a_margin_that_wears_off():
    lane, turn = turn_at(Lane(), NOW)
    lane, turn = turn_at(lane, NOW + 6.1)
    lane = rules.refused(lane, SEARCH, turn, NOW + 6.1, Refusal(retry_after=1))
    grown = lane.margin
    assert 0 < grown < 2
    now = NOW + 100
    for _ in range(400):
        lane, turn = turn_at(lane, now)
        lane = rules.answered(lane, SEARCH, turn, now)
        now += 20
    assert lane.margin < grown / 4


def test_refusals_in_a_row_close_the_lane_for_longer_and_a_clean_answer_ends_the_row():
    lane, now, closed = Lane(), NOW, []
    for _ in range(4):
        lane, turn = turn_at(lane, now, CREATE)
        lane = rules.refused(lane, CREATE, turn, now, Refusal(retry_after=5))
        closed.append(lane.closed_for)
        now += lane.closed_for + 0.1
    assert closed[0] == pytest.approx(12, rel=0.01), "the published penalty at least"
    assert all(b > 1.4 * a for a, b in itertools.pairwise(closed))
    lane, turn = turn_at(lane, now, CREATE)
    assert rules.answered(lane, CREATE, turn, now).strikes == 0


def test_two_requests_refused_by_one_event_are_one_strike():
    lane, first = turn_at(Lane(), NOW)
    lane, second = turn_at(lane, NOW + 7)
    lane = rules.refused(lane, SEARCH, first, NOW + 8, Refusal(retry_after=10))
    assert rules.refused(lane, SEARCH, second, NOW + 8, Refusal(retry_after=10)) == lane


def test_what_was_learned_is_forgotten_after_a_day():
    lane, turn = turn_at(Lane(), NOW, UNKNOWN)
    lane = rules.refused(lane, UNKNOWN, turn, NOW, Refusal(threshold=9))
    assert rules.interval(lane, UNKNOWN, NOW + 86000) == 9
    assert rules.interval(lane, UNKNOWN, NOW + 86500) == 1


@given(
    jump=st.floats(-1e7, 1e7),
    closed_for=st.floats(0, 600),
    reason=st.sampled_from(["", "refused", "quota"]),
)
def test_a_clock_that_jumps_never_makes_a_wait_longer_than_it_was_meant(jump, closed_for, reason):
    lane, _ = turn_at(Lane(), NOW)
    lane = lane._replace(
        closed_at=NOW, closed_for=closed_for, reason=reason, next_at=NOW + closed_for
    )
    now = max(1.0, NOW + jump)
    lane, got = rules.claim(lane, SEARCH, now)
    if isinstance(got, Wait):
        assert got.seconds <= max(closed_for, 2.1) + 1
        _, later = rules.claim(lane, SEARCH, now + got.seconds + 1.1)
        assert isinstance(later, Turn), "and the wait ends"


@given(st.text(), st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_a_damaged_state_is_a_fresh_lane(text, mapping):
    for damaged in (text, json.dumps(mapping), '{"next_at": "x"}', '{"next_at": NaN}', "[1]"):
        assert isinstance(Lane.load(damaged), Lane)
    for odd in ('{"closed_at": null}', '{"reason": "odd"}', '{"reason": []}', '{"margin": "1"}'):
        assert Lane.load(odd) == Lane()
    assert Lane.load('{"sent_at": null, "learned": null}') == Lane()
    assert Lane.load(Lane(next_at=5, reason="quota").dump()) == Lane(next_at=5, reason="quota")


def test_those_who_lost_more_often_ask_sooner():
    delays = [rules.polite_delay(2.0, losses) for losses in range(4)]
    assert delays == sorted(delays, reverse=True) and delays[0] <= 0.01


# -- with a transport ------------------------------------------------------------------------------


def call(transport, name="show_ssh_keys"):
    return transport.call(name)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["header", "text", "json"])
@pytest.mark.parametrize("penalty", [0, 8 / 3])
@pytest.mark.parametrize("interval", [1.0, 2.0, 4.5, 7.3])
def test_an_unknown_interval_costs_one_429_at_most(make, peer, clock, form, penalty, interval):
    peer.default = strict = Strict(interval, clock, form, penalty)
    transport = make(max_wait=600)
    for _ in range(60):
        call(transport, "show_user")
    assert len(strict.refused) <= 1
    assert len(strict.served) == 60


def test_published_intervals_are_kept_without_a_429(make, peer, clock):
    for name in ("show_ssh_keys", "show_instance", "change_bid", "create_instance"):
        row = ENDPOINTS[name]
        peer.default = strict = Strict(row.interval, clock)
        peer.default = lambda asked, handler, s=strict: s(
            asked, handler
        )  # a limiter per lane, as the service has
        transport = make()
        begun = clock.time()
        for _ in range(10):
            body = {} if row.method == "PUT" else None
            try:
                transport.call(name, path={"id": 1}, body=body)
            except Exception as error:
                assert "without 'instances'" in str(error)  # noqa: PT017 - a made-up answer
                break
        assert strict.refused == []
        assert clock.time() - begun <= 9.2 * row.interval


def test_transports_of_one_key_share_the_pace_and_others_do_not(make, peer, clock):
    call(make())
    call(make())
    assert clock.slept, "the second waits for its turn"
    slept = len(clock.slept)
    call(make(api_key="other" * 8))
    assert len(clock.slept) == slept


def test_the_pace_is_shared_whatever_the_cache(make, peer, clock):
    call(make(cache=None))
    call(make(cache="memory"))
    assert clock.slept


def test_a_closed_lane_is_closed_for_every_kernel(make, peer, clock):
    peer.script = [answer("", 429, Retry_After="500")]
    with pytest.raises(RateLimited) as caught:
        call(make())
    assert caught.value.status == 429 and 500 <= caught.value.retry_after < 520
    with pytest.raises(RateLimited):
        call(make())
    assert len(peer.asked) == 1, "the second kernel does not even ask"


QUOTA = answer({"error": "search_quota_exceeded", "msg": "spent", "retry_after": 7200}, 429)


def test_a_spent_quota_closes_search_until_its_reset_for_every_kernel(make, peer, clock):
    peer.script = [answer({"offers": [{"id": 1}]}), QUOTA]
    first = make()
    first.call("search_offers", body={})
    clock.advance(100)
    older = first.call("search_offers", body={})
    assert older.stale and "quota" in older.stale_reason
    with pytest.raises(QuotaExceeded) as caught:
        make().call("search_offers", body={"x": {}})
    assert caught.value.reset_at.timestamp() == pytest.approx(clock.time() + 7200, abs=5)
    assert make().quota().closed and len(peer.asked) == 2
    with pytest.raises(QuotaExceeded):  # even a refresh does not hammer
        make().call("search_offers", body={"x": {}}, refresh=True)
    clock.advance(901)
    peer.script = [QUOTA]
    with pytest.raises(QuotaExceeded):
        make().call("search_offers", body={"x": {}}, refresh=True)
    assert len(peer.asked) == 3, "but may ask again every 15 minutes"
    with pytest.raises(QuotaExceeded):
        make().call("search_offers", body={"x": {}}, refresh=True)
    clock.advance(901)
    assert make().call("search_offers", body={"x": {}}, refresh=True).data == {"offers": []}
    clock.advance(7)
    assert not make().quota().closed, "an answer opens it"


def test_rows_are_counted_per_account_and_day_and_survive_the_kernel(make, peer, clock):
    peer.default = answer({"offers": [{"id": n} for n in range(40)]})
    first = make()
    first.call("search_offers", body={})
    first.call("search_offers", body={})
    assert first.quota().used == 40, "what comes from the cache is free"
    first.close()
    second = make()
    second.call("search_offers", body={"x": {}})
    quota = second.quota()
    assert (quota.used, quota.limit, quota.remaining, quota.closed) == (80, 20000, 19920, False)
    assert quota.resets_at.hour == quota.resets_at.minute == 0
    assert 0 < quota.resets_at.timestamp() - clock.time() <= 86400
    assert make(api_key="other" * 8).quota().used == 0
    clock.advance(86400)
    assert second.quota().used == 0


def test_a_broken_pace_file_is_made_anew_and_paces_on(make, peer, clock, cache_dir, recwarn):
    cache_dir.mkdir()
    (cache_dir / "pace.sqlite").write_bytes(b"no database" * 1000)
    transport = make()
    call(transport)
    call(transport)
    assert list(recwarn) == [] and sum(clock.slept) > 0.9


@pytest.mark.slow
def test_a_locked_pace_file_costs_two_seconds_once(make, peer, cache_dir):
    transport = make()
    call(transport)
    with sqlite3.connect(cache_dir / "pace.sqlite", isolation_level=None) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        begun = time.monotonic()
        with pytest.warns(UserWarning, match="paces its own requests"):
            call(transport)
        call(transport)
        assert time.monotonic() - begun < 3.5
    holder.close()
    times = peer.times()
    assert all(b - a >= 1 for a, b in itertools.pairwise(times)), "and it still paces"


def test_an_emptied_cache_directory_is_survived(make, peer, cache_dir):
    transport = make()
    call(transport)
    for one in cache_dir.iterdir():
        one.unlink()
    call(transport)
    call(make())
    assert len(peer.asked) == 3


def test_untouched_lanes_are_dropped(cache_dir):
    now = [NOW]
    state = shared.FileState(cache_dir / "pace.sqlite", lambda: now[0])
    state.update("lane", lambda text: ("x", None))
    state.close()
    now[0] += shared.KEEP + 1
    state = shared.FileState(cache_dir / "pace.sqlite", lambda: now[0])
    assert state.update("lane", lambda text: (text, text)) is None
    state.close()


# -- real seconds, real processes ------------------------------------------------------------------

CHILD = """
import json, sys, time, warnings
warnings.simplefilter("error")
from vastnb.api.endpoints import Endpoint
from vastnb.api.transport import Transport
url, key, interval, calls, method = sys.argv[1:]
row = Endpoint("lane", method, "/lane/", json.loads(interval), repeatable=True)
transport = Transport(base_url=url, api_key=key, endpoints={"lane": row}, max_wait=300)
print("ready", flush=True)
sys.stdin.readline()
slowest = 0
for _ in range(int(calls)):
    begun = time.monotonic()
    transport.call("lane")
    slowest = max(slowest, time.monotonic() - begun)
print(json.dumps({"slowest": slowest, **transport.traffic()[0]}))
"""


def run_processes(peer, interval, calls, processes):
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, peer.url, KEY, json.dumps(interval), str(calls), "GET"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(processes)
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    return [json.loads(child.communicate(timeout=170)[0]) for child in children]


@pytest.fixture
def real_peer():
    yield from serving(Peer(clock=SystemClock()))


@pytest.mark.slow
def test_three_processes_share_a_lane_without_a_429(real_peer):
    real_peer.default = strict = Strict(0.2, SystemClock(), penalty=8 / 3)
    rows = run_processes(real_peer, 0.2, 8, 3)
    assert strict.refused == []
    assert len(strict.served) == 24 and sum(row["calls"] for row in rows) == 24
    assert strict.served[-1] - strict.served[0] < 1.2 * 23 * 0.2


@pytest.mark.slow
def test_three_processes_with_one_miss_send_one_request(real_peer):
    """Each child asks the same cached question once, all at the same time."""
    code = """
import sys
from vastnb.api.endpoints import Endpoint
from vastnb.api.transport import Transport
row = Endpoint("lane", "GET", "/lane/", 2.0, fresh=60, repeatable=True)
transport = Transport(base_url=sys.argv[1], api_key="k" * 40, endpoints={"lane": row})
print("ready", flush=True)
sys.stdin.readline()
print(transport.call("lane").data)
"""
    children = [
        subprocess.Popen([sys.executable, "-c", code, real_peer.url],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    assert {child.communicate(timeout=60)[0] for child in children} == {"{'offers': []}\n"}
    assert len(real_peer.asked) == 1


@pytest.mark.slow
def test_threads_of_one_kernel_share_the_lane(make, real_peer):
    # Four lanes would send four requests in 0.1 s; a busy machine delays one of them a little.
    real_peer.default = strict = Strict(0.04, SystemClock())
    row = Endpoint("lane", "GET", "/lane/", 0.1, repeatable=True)
    transport = make(base_url=real_peer.url, clock=SystemClock(), endpoints={"lane": row})
    threads = [
        threading.Thread(target=lambda: [transport.call("lane") for _ in range(5)])
        for _ in range(4)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert strict.refused == [] and len(strict.served) == 20


def test_a_killed_waiter_leaves_nothing_behind(make, peer, clock, cache_dir):
    class Killed(ManualClock):
        def sleep(self, seconds):
            raise SystemExit

    call(make())
    with pytest.raises(SystemExit):
        call(make(clock=Killed(clock.time())))
    clock.advance(1.1)
    slept = len(clock.slept)
    call(make())
    assert len(clock.slept) == slept
