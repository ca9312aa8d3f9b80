"""Thousands of calls from threads and processes while everything goes wrong, by a seed.

Time runs two hundred times as fast for the clients, so that pace, retries and staleness are lived
through. Every request that changes something carries a number of its own: the server counts how
often each took effect.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler

import pytest

from .conftest import KEY
from .hostile import HEAD, cut, wire
from .peer import Act, Asked, answer, hang_up, truncated

SPEED = 200.0
TTL = 90.0
SLACK = 60.0
"""Seconds of the clients' time that an answer may be on its way."""

CHILD = """
import gc, json, os, random, resource, sys, threading, time, warnings
from vastnb.api.endpoints import Endpoint, Window
from vastnb.api.progress import silent
from vastnb.api.transport import Transport
from vastnb.errors import OutcomeUnknown, VastError

url, key, seed, calls, speed, zero, ttl, slack = sys.argv[1:]
calls, speed, zero, ttl, slack = int(calls), float(speed), float(zero), float(ttl), float(slack)


class Fast:
    def time(self):
        return zero + (time.time() - zero) * speed

    steady = time

    def sleep(self, seconds):
        time.sleep(max(0.0, seconds) / speed)


clock = Fast()
table = {row.name: row for row in (
    Endpoint("search", "POST", "/search/", 0.1, fresh="cache_ttl", repeatable=True,
             expects="offers", window=Window(50, 10.0)),
    Endpoint("list", "GET", "/list/", 0.1, repeatable=True, expects="instances"),
    Endpoint("create", "PUT", "/create/", 0.1),
    Endpoint("destroy", "DELETE", "/destroy/", 0.1, repeatable=True),
)}
transport = Transport(base_url=url, api_key=key, clock=clock, endpoints=table, cache_ttl=ttl,
                      timeout=0.15, max_wait=60, on_wait=silent)
faults, counts, lock = [], {}, threading.Lock()


def measured():
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {"mb": pages * resource.getpagesize() / 2**20, "threads": threading.active_count(),
            "handles": len(os.listdir("/proc/self/fd"))}


def work(number, share):
    rng = random.Random(f"{seed} {number}")
    for index in range(share):
        name = rng.choices(["search", "list", "create", "destroy"], [6, 2, 2, 1])[0]
        body = {"q": rng.randrange(30)} if name == "search" else None
        if name in {"create", "destroy"}:
            body = {"number": f"{os.getpid()}-{number}-{index}-{share}"}
        begun = clock.time()
        try:
            answer = transport.call(name, body=body, refresh=rng.random() < 0.1,
                                    max_wait=rng.choice([0.5, 5, 60]))
        except VastError as error:
            outcome = type(error).__name__
            if isinstance(error, OutcomeUnknown) and name != "create":
                faults.append(f"{name}: {outcome}")
        except BaseException as error:
            outcome = "crash"
            faults.append(f"{name}: {type(error).__name__}: {error}")
        else:
            outcome = "stale" if answer.stale else "cached" if answer.from_cache else "sent"
            if name == "search" and not answer.stale:
                at = answer.data["offers"][0]["at"]
                if at < begun - ttl - slack:
                    faults.append(f"unmarked stale: {begun - at:.0f} s old, {outcome}")
                if answer.data["offers"][0]["q"] != body["q"]:
                    faults.append("another question's answer")
        with lock:
            counts[outcome] = counts.get(outcome, 0) + 1


def run(share):
    threads = [threading.Thread(target=work, args=(n, share)) for n in range(4)]
    [one.start() for one in threads]
    [one.join() for one in threads]


with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    run(max(1, calls // 16))
    early = measured()
    run(calls // 4 - max(1, calls // 16))
    late = measured()
transport.close()
print(json.dumps({"faults": faults, "counts": counts, "early": early, "late": late,
                  "said": [str(one.message) for one in said]}))
"""


class Service:
    """Counts what took effect, and lets things go wrong by a seed."""

    def __init__(self, seed: int, zero: float, rate: float = 0.15) -> None:
        self.rng = random.Random(seed)
        self.zero, self.rate = zero, rate
        self.lock = threading.Lock()
        self.took_effect: Counter[str] = Counter()
        self.befell: Counter[str] = Counter()

    def now(self) -> float:
        return self.zero + (time.time() - self.zero) * SPEED

    def good(self, asked: Asked) -> Act:
        if asked.path == "/search/":
            return answer({"offers": [{"at": self.now(), "q": asked.json["q"]}]})
        if asked.path == "/list/":
            return answer({"instances": []})
        with self.lock:
            self.took_effect[f"{asked.method} {asked.json['number']}"] += 1
        return answer({"success": True, "new_contract": 1})

    def __call__(self, asked: Asked, handler: BaseHTTPRequestHandler) -> None:
        with self.lock:
            fault = self.rng.random() < self.rate
            kind = self.rng.choice(KINDS) if fault else ""
            at = self.rng.random()
        self.befell[kind] += 1
        if not fault:
            self.good(asked)(asked, handler)
        elif kind == "429":
            text = {"error": "HTTPTooManyRequests", "msg": "API requests too frequent"}
            answer(text, 429, Retry_After=str(int(1 + 3 * at)))(asked, handler)
        elif kind == "before":
            hang_up(asked, handler)
        elif kind == "silent":
            handler.close_connection = True
            time.sleep(0.3)
        else:
            self.good(asked)  # it takes effect, and its answer goes wrong
            ODD[kind](at)(asked, handler)


ODD = {
    "reset": lambda at: cut(int(120 * at)),
    "truncated": lambda at: truncated,
    "hang up": lambda at: hang_up,
    "500": lambda at: answer("<html>", 500),
    "502": lambda at: answer("<html>", 502),
    "503": lambda at: answer({"msg": "down"}, 503, Retry_After=str(int(1 + 5 * at))),
    "null": lambda at: answer({"offers": None, "instances": None}),
    "shape": lambda at: answer(["x"]),
    "hollow": lambda at: answer({}),
    "garbage": lambda at: wire(HEAD + b"Content-Length: 9\r\n\r\n{{{{{{{{{"),
}
KINDS = ["429", "before", "silent", *ODD]


def run(peer, calls: int, seed: int):
    zero = time.time()
    peer.default = service = Service(seed, zero)
    peer.clock = None
    begun = time.monotonic()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, peer.url, KEY, f"{seed} {number}", str(calls // 2),
             str(SPEED), str(zero), str(TTL), str(SLACK)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
        )
        for number in range(2)
    ]  # fmt: skip
    results = []
    for child in children:
        out, err = child.communicate(timeout=1500)
        assert child.returncode == 0, err
        assert KEY not in out + err
        results.append(json.loads(out))
    print(f"{calls} calls, seed {seed}, {time.monotonic() - begun:.0f} s:", results, service.befell)
    return service, results


def check(service: Service, results: list[dict], calls: int) -> None:
    assert [result["faults"] for result in results] == [[], []]
    assert sum(sum(result["counts"].values()) for result in results) == calls
    creates = {k: n for k, n in service.took_effect.items() if k.startswith("PUT") and n > 1}
    assert creates == {}, "nothing that changes something took effect twice"
    assert set(KINDS) <= set(service.befell)
    for result in results:
        early, late = result["early"], result["late"]
        assert late["threads"] <= early["threads"]
        assert late["handles"] <= early["handles"] + 8  # of the connection pool
        assert late["mb"] <= early["mb"] + 25


@pytest.mark.slow
@pytest.mark.timeout(1700)
def test_thousands_of_calls_under_random_faults(peer):
    calls = int(os.environ.get("VASTNB_RANDOM_CALLS", "20000"))
    service, results = run(peer, calls, seed=20)
    check(service, results, calls)
