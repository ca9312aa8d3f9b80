"""The clients of the pace benchmark.

``python -m bench.callers CLIENT URL ENDPOINT CALLS LONGEST SCALE``

Each makes the same calls in its own way. A process says ``ready`` when it has imported and set up
what it needs, starts when it reads a line, and prints one line of JSON at its end.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

KEY = "bench-0123456789"
LONGEST_CALL = 900.0
Call = Callable[[], object]


def ours(url: str, endpoint: str, scale: float) -> Call:
    """The transport of vastnb; pace and cache are shared by the processes of one directory."""
    from vastnb.api.endpoints import ENDPOINTS, Window
    from vastnb.api.transport import Transport

    row = ENDPOINTS[endpoint]
    if scale != 1 and row.interval is not None:
        window = row.window and Window(row.window.most, row.window.seconds * scale)
        row = row._replace(interval=row.interval * scale, window=window)
    transport = Transport(base_url=url, api_key=KEY, cache="sqlite", max_wait=LONGEST_CALL,
                          endpoints={**ENDPOINTS, endpoint: row})  # fmt: skip
    if endpoint == "search_offers":  # each a different one: the cache is not what is measured
        number = count()
        return lambda: transport.call(endpoint, body={"n": [os.getpid(), next(number)]})
    arguments: dict[str, dict[str, Any]] = {
        "show_instance": {"path": {"id": 1}},
        "create_instance": {"path": {"id": 1}, "body": {"image": "x", "disk": 8}},
    }
    return lambda: transport.call(endpoint, refresh=True, **arguments.get(endpoint, {}))


def official(url: str, endpoint: str, scale: float) -> Call:
    """The official client's Python interface, as it is installed."""
    from vastai import VastAI  # type: ignore[import-untyped]

    sdk = VastAI(api_key=KEY, server_url=url)
    calls: dict[str, Call] = {
        "show_user": sdk.show_user,
        "show_instances": lambda: sdk.show_instances_v1({"limit": 25}),
        "show_instance": lambda: sdk.show_instance(id=1),
        "create_instance": lambda: sdk.create_instance(id=1, image="x", disk=8),
    }
    return calls[endpoint]


class Simple:
    """What one writes first: half a second between requests, and patience doubled at a 429."""

    DELAY = 0.5
    TRIES = 5

    def __init__(self, url: str) -> None:
        import requests

        self.url = url
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {KEY}"
        self.last = 0.0

    def call(self, method: str, path: str) -> object:
        for attempt in range(self.TRIES):
            time.sleep(max(0.0, self.last + self.DELAY - time.monotonic()))
            self.last = time.monotonic()
            answer = self.session.request(method, self.url + path, timeout=30)
            if answer.status_code != 429:
                answer.raise_for_status()
                return answer.json()
            time.sleep(float(answer.headers.get("Retry-After") or 2**attempt))
        raise RuntimeError("still refused after five tries")


def simple(url: str, endpoint: str, scale: float) -> Call:
    """The simple client."""
    where = {
        "show_user": ("GET", "/api/v0/users/current/"),
        "show_instances": ("GET", "/api/v1/instances/"),
        "show_instance": ("GET", "/api/v0/instances/1/"),
        "create_instance": ("PUT", "/api/v0/asks/1/"),
    }
    client = Simple(url)
    return lambda: client.call(*where[endpoint])


CLIENTS: dict[str, Callable[[str, str, float], Call]] = {
    "ours": ours,
    "official": official,
    "simple": simple,
}


def main() -> None:
    client, url, endpoint, calls, longest, scale = sys.argv[1:]
    call = CLIENTS[client](url, endpoint, float(scale))
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.monotonic()
    done = failed = 0
    errors: dict[str, int] = {}
    while done + failed < int(calls) and time.monotonic() - started < float(longest):
        try:
            call()
            done += 1
        except Exception as error:
            failed += 1
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            if failed == 1:
                print(f"{client}: {type(error).__name__}: {error}"[:300], file=sys.stderr)
    ended = time.monotonic()
    left = int(calls) - done - failed
    print(
        json.dumps(
            {"started": started, "ended": ended, "done": done, "failed": failed, "left": left}
            | {"errors": errors}
        )
    )


if __name__ == "__main__":
    main()
