"""Cache and pace on disks that fail: bounded, said once, and the answers still come."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from .conftest import KEY
from .peer import answer

SEARCHER = """
import json, os, sys, time, warnings
from vastnb.api.transport import Transport
from vastnb.clock import ManualClock
from vastnb.api.progress import silent
{before}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    begun = time.monotonic()
    transport = Transport(
        base_url=sys.argv[1], api_key=sys.argv[2], clock=ManualClock(), on_wait=silent
    )
    sizes = []
    for number in range(4):
        answer = transport.call("search_offers", body={{"n": {{"eq": number}}}})
        sizes.append(len(answer.data["offers"]))
    again = transport.call("search_offers", body={{"n": {{"eq": 3}}}})
    quota = transport.quota().used
    waited = transport.traffic()[0]["waited_s"]
    transport.close()
    took = time.monotonic() - begun
print(json.dumps({{
    "said": [str(one.message) for one in caught], "sizes": sizes, "took": took,
    "again": again.from_cache, "quota": quota, "waited": waited,
}}))
"""


def searched(peer, before: str = "", **environment: str) -> dict:
    peer.default = answer({"offers": [{"id": n, "name": os.urandom(200).hex()} for n in range(64)]})
    done = subprocess.run(
        [sys.executable, "-c", SEARCHER.format(before=before), peer.url, KEY],
        env={**os.environ, **environment},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert KEY not in done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["sizes"] == [64] * 4, "every answer came"
    assert found["waited"] > 5, "and was paced"
    assert found["quota"] == (4 if found["again"] else 5) * 64
    return found


def about(found: dict, what: str) -> list[str]:
    return [said for said in found["said"] if what in said]


@pytest.mark.slow
def test_on_a_sound_disk_nothing_is_said(peer, cache_dir):
    found = searched(peer)
    assert found["said"] == [] and found["again"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [4096, 40_000, 70_000])
def test_a_full_disk_costs_one_warning_each_and_no_answer(peer, cache_dir, limit):
    """No file may grow beyond the limit: a write that would is refused by the system."""
    pytest.importorskip("resource", reason="SKIPPED: no file size limits here")
    before = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    )
    found = searched(peer, before)
    assert len(about(found, "cache")) == 1
    assert len(about(found, "pace file")) <= 1
    assert len(found["said"]) <= 2
    assert found["took"] < 5


@pytest.mark.slow
def test_a_read_only_directory_costs_one_warning_each_and_no_answer(peer):
    """As root (who may write anywhere) the process steps down to a user who may not."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "cache"
        searched(peer, VASTNB_CACHE_DIR=str(place))
        Path(folder).chmod(0o755)
        for one in place.iterdir():
            one.chmod(0o444)
        place.chmod(0o555)
        before = "if os.geteuid() == 0: os.seteuid(65534)"
        found = searched(peer, before, VASTNB_CACHE_DIR=str(place))
        assert len(about(found, "cache file")) == 1 and len(about(found, "pace file")) == 1
        assert "VASTNB_CACHE_DIR" in found["said"][0]
        assert found["again"], "kept in memory"
        place.chmod(0o755)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/proc/vastnb", "/dev/null/vastnb", "{file}", "{file}/below"])
def test_a_place_that_is_no_directory_costs_one_warning_each(peer, tmp_path, place):
    file = tmp_path / "file"
    file.touch()
    found = searched(peer, VASTNB_CACHE_DIR=place.format(file=file))
    assert len(about(found, "cache file")) == 1 and len(about(found, "pace file")) == 1
    assert found["again"], "kept in memory"


@pytest.mark.slow
@pytest.mark.parametrize("garbage", [b"no database " * 999, b"SQLite format 3\0" + b"\xff" * 9000])
def test_files_of_garbage_are_set_aside_and_made_anew(peer, cache_dir, garbage):
    cache_dir.mkdir()
    for name in ("answers.sqlite", "pace.sqlite"):
        (cache_dir / name).write_bytes(garbage)
    found = searched(peer)
    assert not about(found, "cache file") and not about(found, "pace file")
    for name in ("answers.sqlite", "pace.sqlite"):
        assert (cache_dir / f"{name}.damaged").read_bytes() == garbage
        with closing(sqlite3.connect(cache_dir / name)) as file:
            assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


HOLDER = """
import sqlite3, sys, time
held = [sqlite3.connect(name, isolation_level=None) for name in sys.argv[1:]]
for one in held:
    one.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(60)
"""


@pytest.mark.slow
def test_both_files_locked_by_another_process_cost_seconds_once(peer, cache_dir):
    searched(peer)
    names = [str(cache_dir / name) for name in ("answers.sqlite", "pace.sqlite")]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *names], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "held\n"
        begun = time.monotonic()
        found = searched(peer)
        assert time.monotonic() - begun < 12
    finally:
        holder.kill()
        holder.wait()
    assert found["took"] < 8
    assert len(about(found, "cache")) == 1 and len(about(found, "pace file")) == 1
