"""Cache and pace in a Redis that many machines share."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from vastnb.api.cache import MOST_ENTRIES, Entry
from vastnb.clock import ManualClock, SystemClock
from vastnb.errors import InvalidRequest

from .conftest import KEY
from .peer import answer

redis = pytest.importorskip("redis", reason="SKIPPED: the package redis is not installed")


running: list[subprocess.Popen[bytes]] = []


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory):
    program = shutil.which("redis-server")
    if not program:
        pytest.skip("SKIPPED: no redis-server on this machine; cache='redis://' is not checked")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    directory = tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [
            program,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(directory),
        ],
        stdout=subprocess.DEVNULL,
    )
    running.append(process)
    client = redis.Redis(port=port)
    for _ in range(100):
        try:
            client.ping()
            break
        except redis.ConnectionError:
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}/0"
    client.close()
    process.kill()
    process.wait()


@pytest.fixture
def database(redis_url):
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    yield client
    client.close()


def test_machines_share_answers_and_pace(make, peer, clock, redis_url, database, cache_dir):
    peer.default = answer({"offers": [{"id": 1}]})
    here, there = make(cache=redis_url), make(cache=redis_url)
    here.call("search_offers", body={})
    assert there.call("search_offers", body={}).from_cache
    there.call("search_offers", body={"x": {}})
    assert sum(clock.slept) == pytest.approx(2, abs=0.2), "the other machine's request counts"
    assert here.quota().used == there.quota().used == 2
    assert not cache_dir.exists()


def test_the_key_is_not_in_redis_and_entries_expire(make, redis_url, database):
    make(cache=redis_url, clock=SystemClock()).call("search_offers", body={})
    keys = list(database.scan_iter("*"))
    assert len(keys) == 3
    for key in keys:
        assert KEY.encode() not in key + database.get(key)
        assert 0 < database.ttl(key) <= 8 * 86400


def test_a_redis_that_is_gone_costs_warnings_not_answers(make, peer, clock):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"redis://127.0.0.1:{probe.getsockname()[1]}/0"
    transport = make(cache=url)
    with pytest.warns(UserWarning, match=r"cannot be used|could not be") as caught:  # noqa: PT031
        for number in range(3):
            transport.call("search_offers", body={"x": {"eq": number}})
    assert len(caught) == 2, "one for the answers, one for the pace"
    assert sum(clock.slept) > 3.9, "and it still paces"


def test_an_address_that_is_none_is_refused_without_its_password(make):
    with pytest.raises(InvalidRequest, match="redis") as caught:
        make(cache="redis://user:pw@host:port/x")
    assert "pw" not in str(caught.value)


@pytest.mark.slow
def test_many_threads_never_get_the_same_turn(redis_url, database):
    code = f"""
import redis, threading, sys
from vastnb.api.shared_redis import RedisState
from vastnb.clock import SystemClock
state = RedisState(redis.Redis.from_url({redis_url!r}), SystemClock())
def work():
    for _ in range(25):
        state.update("n", lambda text: (str(int(text or 0) + 1), None))
threads = [threading.Thread(target=work) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert database.get("vastnb-state:n") == b"200"


def test_machines_whose_clocks_differ_share_one_pace_and_fresh_answers(
    make, peer, redis_url, database
):
    """Everybody goes by Redis' own time."""
    here, there = ManualClock(), ManualClock()
    there.advance(30)
    first, second = make(cache=redis_url, clock=here), make(cache=redis_url, clock=there)
    for transport in (first, second):
        transport.quota()
    first.call("show_ssh_keys")
    second.call("show_ssh_keys")
    assert sum(there.slept) == pytest.approx(1, abs=0.3), "not sooner, not half a minute later"
    first.call("search_offers", body={})
    assert second.call("search_offers", body={}).from_cache
    second.call("search_offers", body={"x": {}})
    assert first.call("search_offers", body={"x": {}}).from_cache


@pytest.mark.slow
def test_a_redis_that_hangs_costs_seconds_once_and_memory_stands_in(
    make, peer, clock, redis_url, database
):
    peer.default = answer({"offers": [{"id": 1}]})
    transport = make(cache=redis_url)
    transport.call("search_offers", body={})
    running[-1].send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        with pytest.warns(UserWarning) as caught:  # noqa: PT030, PT031
            for number in range(4):
                transport.call("search_offers", body={"x": {"eq": number}})
            assert transport.call("search_offers", body={"x": {"eq": 3}}).from_cache
        assert time.monotonic() - begun < 4
        assert len(caught) == 2
    finally:
        running[-1].send_signal(signal.SIGCONT)


def test_a_redis_holds_no_more_than_a_file_would(make, redis_url, database):
    store = make(cache=redis_url)._opened.store
    now = time.time()
    for number in range(MOST_ENTRIES + 30):
        store.put(f"k{number}", Entry(b"{}", {}, now + number))
    store.prune(now)
    assert len(list(database.scan_iter("vastnb:*"))) == MOST_ENTRIES
    assert store.get(f"k{MOST_ENTRIES + 29}") is not None and store.get("k0") is None


@pytest.mark.parametrize("planted", [b"\xff\xfe", b"[" * 100_000, b"5"])
def test_a_planted_value_in_redis_is_none(make, peer, redis_url, database, planted):
    peer.default = answer({"offers": []})
    make(cache=redis_url).call("search_offers", body={})
    for key in list(database.scan_iter("*")):
        database.set(key, planted)
    assert not make(cache=redis_url).call("search_offers", body={}).from_cache
