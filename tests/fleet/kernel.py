"""Kernels for the harness: a process that forks one for every line it reads.

``rent OFFER`` rents an offer for 1,000 hours by the real clock. ``many SEED COUNT`` rents `COUNT`
times on a clock of its own and says ``done`` with the ids it holds. Each kernel first says ``pid``
and its own.
"""

from __future__ import annotations

import os
import random
import signal
import sys

import vastnb
import vastnb.fleet.rent.recovery
import vastnb.fleet.rent.renter
from vastnb.api.progress import silent
from vastnb.clock import ManualClock
from vastnb.errors import OfferGone, ServerError


def say(text: object) -> None:
    # One write, so that the lines of two kernels do not mix.
    os.write(1, f"{text}\n".encode())


def rent(url: str, key: str, offer: str) -> None:
    with vastnb.Client(key, base_url=url, cache="memory", on_wait=silent) as client:
        say("renting")
        client.create_instance(int(offer), image="a/b", disk=10, max_hours=1000)
        signal.pause()


def many(url: str, key: str, seed: str, count: str) -> None:
    rng, clock = random.Random(int(seed)), ManualClock()
    held: list[int] = []
    with vastnb.Client(
        key, base_url=url, cache="memory", clock=clock, timeout=2, on_wait=silent
    ) as client:
        for _ in range(int(count)):
            offers = client.search_offers("num_gpus=1", limit=40, refresh=True)
            try:
                box = client.create_instance(offers.iloc[rng.randrange(len(offers))], image="a/b")
            except (OfferGone, ServerError):
                continue
            held.append(box.id)
        say("done " + ",".join(map(str, held)))
        signal.pause()


def main() -> None:
    url, key = sys.argv[1:3]
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    say("ready")
    children: list[int] = []
    for line in iter(sys.stdin.readline, ""):
        pid = os.fork()
        if pid:
            children.append(pid)
            continue
        # A pace of its own: the harness is about what happens while a create is on its way.
        os.environ["VASTNB_CACHE_DIR"] = f"{os.environ['VASTNB_CACHE_DIR']}/{os.getpid()}"
        say(f"pid {os.getpid()}")
        what, *rest = line.split()
        {"rent": rent, "many": many}[what](url, key, *rest)
        os._exit(0)
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main()
