"""What is closed while other threads use it: nobody crashes, hangs, or is lied to."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vastnb.api.cache import Entry, open_store
from vastnb.api.shared import FileState, KeptState

NOW = 1_790_000_000.0

WRITING = """
import os, sys, threading, time
from vastnb.api.cache import Entry, open_store
body = bytes(300_000)
for turn in range(12):
    store = open_store("sqlite", 1_790_000_000.0)
    stop = threading.Event()
    def write(key):
        while not stop.is_set():
            store.put(key, Entry(body, {}, 1_790_000_000.0))
            store.get(key)
    threads = [threading.Thread(target=write, args=(f"k{n}",)) for n in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.005 + turn % 10 / 1000)
    store.close()
    stop.set()
    for thread in threads:
        thread.join()
print("alive")
"""


@pytest.mark.slow
def test_a_cache_that_is_closed_while_threads_write_takes_no_kernel_down(cache_dir):
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-c", WRITING],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr[-2000:]


def test_a_closed_cache_opens_no_file_again(cache_dir, recwarn):
    store = open_store("sqlite", NOW)
    store.put("k", Entry(b"{}", {}, NOW))
    store.close()
    for path in cache_dir.glob("answers.sqlite*"):
        path.unlink()
    store.put("k", Entry(b"[]", {}, NOW))  # by a call that was on its way
    assert store.get("k").body == b"[]"
    assert list(cache_dir.glob("answers.sqlite*")) == []
    assert list(recwarn) == []


class Watched(FileState):
    """A shared state that is closed by another thread while it is used."""

    def __init__(self, path: Path, used: threading.Event, closed: threading.Event) -> None:
        super().__init__(path, lambda: NOW)
        self.used, self.closed = used, closed

    def update(self, key, change):
        if key == "probe":
            return super().update(key, change)
        self.used.set()
        assert self.closed.wait(10)
        return super().update(key, change)


def test_what_a_call_learns_is_told_although_its_client_was_closed(cache_dir):
    used, closed = threading.Event(), threading.Event()
    path = cache_dir / "pace.sqlite"
    opened: list[FileState] = []

    def opener() -> FileState:
        opened.append(Watched(path, used, closed))
        return opened[-1]

    state = KeptState(opener, lambda: NOW, lambda *texts: texts[1])
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(state.update, "lane", lambda _: ("closed", None))
        assert used.wait(10)
        state.close()
        closed.set()
        told.result()
    other = FileState(path, lambda: NOW)
    assert other.update("lane", lambda text: (None, text)) == "closed"
    other.close()
    assert [one._connection for one in opened] == [None]  # and no file stays open
