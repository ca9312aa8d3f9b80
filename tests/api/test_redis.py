"""Cache and pace in a Redis that many machines share."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time

import pytest

from vastnb.clock import SystemClock
from vastnb.errors import InvalidRequest

from .conftest import KEY
from .peer import answer

redis = pytest.importorskip("redis", reason="SKIPPED: the package redis is not installed")


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
