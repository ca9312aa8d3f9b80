"""Real processes: an interrupt ends a wait, and many may open the same files at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from vastnb.api.endpoints import Endpoint
from vastnb.api.transport import Transport
from vastnb.clock import SystemClock

from .conftest import KEY
from .peer import Peer, answer, serving

pytestmark = pytest.mark.slow

INTERVAL = 5.0

WAITER = f"""
import sys
from vastnb.api.endpoints import Endpoint
from vastnb.api.transport import Transport
from vastnb.api.credentials import find_key
row = Endpoint("lane", "GET", "/lane/", {INTERVAL}, repeatable=True)
transport = Transport(base_url=sys.argv[1], api_key=find_key().key, endpoints={{"lane": row}})
transport.call("lane")
print("first", flush=True)
transport.call("lane")
print("second", flush=True)
"""


@pytest.fixture
def real_peer():
    yield from serving(Peer(clock=SystemClock()))


def started(*arguments: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", *arguments],
        stdout=subprocess.PIPE, stderr=stderr,
        env={**os.environ, "VAST_API_KEY": KEY},
    )  # fmt: skip


def read_until(stream, words: bytes, seconds: float) -> bytes:
    os.set_blocking(stream.fileno(), False)
    found, end = b"", time.monotonic() + seconds
    while words not in found and time.monotonic() < end:
        found += stream.read() or b""
        time.sleep(0.02)
    os.set_blocking(stream.fileno(), True)
    assert words in found, found
    return found


def interrupted(child: subprocess.Popen[bytes]) -> tuple[float, str]:
    """Send Ctrl-C; return the seconds until the process has ended, and what it said."""
    begun = time.monotonic()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode != 0
    return time.monotonic() - begun, (out + (err or b"")).decode()


def test_a_wait_is_seen_and_ctrl_c_ends_it_within_a_second_and_leaves_nothing(real_peer):
    ours, theirs = os.openpty()  # a wait is shown on a terminal only
    child = started(WAITER, real_peer.url, stderr=theirs)
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        shown = read_until(terminal, b"waiting for its turn", 20)
        assert b"Lane" in shown
        answered = real_peer.asked[0].at
        took, _ = interrupted(child)
        said = read_until(terminal, b"KeyboardInterrupt", 5)
    os.close(theirs)
    assert took < 1
    assert KEY.encode() not in said
    assert len(real_peer.asked) == 1

    row = Endpoint("lane", "GET", "/lane/", INTERVAL, repeatable=True)
    after = Transport(base_url=real_peer.url, api_key=KEY, endpoints={"lane": row})
    after.call("lane")
    after.close()
    assert INTERVAL <= real_peer.asked[1].at - answered < INTERVAL + 0.5


def test_ctrl_c_ends_a_request_that_gets_no_answer(real_peer):
    real_peer.default = lambda asked, handler: time.sleep(8)
    child = started(WAITER, real_peer.url)
    end = time.monotonic() + 20
    while not real_peer.asked and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    took, said = interrupted(child)
    assert took < 1
    assert "KeyboardInterrupt" in said and KEY not in said


OPENER = """
import sys, warnings
warnings.simplefilter("error")
from vastnb.api.endpoints import Endpoint
from vastnb.api.transport import Transport
row = Endpoint("lane", "GET", "/lane/", 0.01, fresh=60, repeatable=True)
print("ready", flush=True)
sys.stdin.readline()
for number in range(6):
    transport = Transport(base_url=sys.argv[1], api_key="k" * 40, endpoints={"lane": row})
    assert transport.call("lane", params={"of": sys.argv[2]}).data == {"offers": []}
    transport.close()
print("done", flush=True)
"""


def test_nine_processes_open_the_cache_at_once_without_a_warning(real_peer, cache_dir):
    real_peer.default = answer({"offers": []})
    children = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, real_peer.url, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(9)
    ]  # fmt: skip
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, err = child.communicate(timeout=120)
        assert (out, err) == ("done\n", "")
    assert len(real_peer.asked) == 9, "each asked once, and found its answer five times"
