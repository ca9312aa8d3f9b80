"""Files and servers that go wrong while they are used, and rows that a stranger wrote."""

from __future__ import annotations

import _thread
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from pathlib import Path

import pytest

from vastnb.api import shared
from vastnb.api.answers import Refusal
from vastnb.api.cache import FORMAT, MOST_IN_MEMORY, Entry, Store, _response, open_store
from vastnb.api.endpoints import ENDPOINTS
from vastnb.api.lane import Lane, Turn, Wait, claim, refused
from vastnb.api.resources import _merged
from vastnb.api.shared import FileState, KeptState
from vastnb.errors import InvalidRequest

from .peer import answer

NOW = 1_790_000_000.0
LIST = ENDPOINTS["show_instances"]


def now() -> float:
    return NOW


# -- a Ctrl-C while a file is waited for -----------------------------------------------------------


def interrupted(path, act) -> None:
    """Let `act` wait for the locked file, press Ctrl-C meanwhile, then unlock the file."""
    holder = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timers = [
        threading.Timer(0.3, _thread.interrupt_main),
        threading.Timer(0.6, holder.execute, ["COMMIT"]),
    ]
    for timer in timers:
        timer.start()
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        act()
        time.sleep(0.5)
    for timer in timers:
        timer.join()
    holder.close()
    other = sqlite3.connect(path, isolation_level=None, timeout=0.1)
    other.execute("BEGIN IMMEDIATE")
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.slow
def test_ctrl_c_while_the_pace_file_is_waited_for_leaves_no_transaction(cache_dir):
    state = FileState(cache_dir / "pace.sqlite", now)
    interrupted(cache_dir / "pace.sqlite", lambda: state.update("k", lambda _: ("x", None)))
    state.update("k", lambda _: ("y", None))
    state.close()


@pytest.mark.slow
def test_ctrl_c_while_the_answers_are_waited_for_leaves_no_transaction(cache_dir):
    store = open_store("sqlite", NOW)
    interrupted(cache_dir / "answers.sqlite", lambda: store.put("k", Entry(b"{}", {}, NOW)))
    store.put("k", Entry(b"[]", {}, NOW))
    assert store.get("k").body == b"[]"
    store.close()


# -- files that somebody deletes -------------------------------------------------------------------


def removed(cache_dir, what: str) -> None:
    if what == "directory":
        shutil.rmtree(cache_dir)
        return
    for one in cache_dir.glob(f"*{what}"):
        one.unlink()


OTHER = """
import sys
from pathlib import Path
from vastnb.api.cache import Entry, open_store
from vastnb.api.shared import FileState
state = FileState(Path(sys.argv[1]) / "pace.sqlite", lambda: 1_790_000_000.0)
store = open_store("sqlite", 1_790_000_000.0)
for line in sys.stdin:
    value = line.strip()
    if value:
        state.update("k", lambda _: (value, None))
        store.put("k", Entry(value.encode(), {}, 1_790_000_000.0))
    print(state.update("k", lambda text: (text, text)), store.get("k").body.decode(), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["directory", ".sqlite", "-wal", "-shm"])
def test_kernels_share_pace_and_answers_after_files_were_deleted(cache_dir, what):
    state = FileState(cache_dir / "pace.sqlite", now)
    store = open_store("sqlite", NOW)
    state.update("k", lambda _: ("before", None))
    store.put("k", Entry(b"before", {}, NOW))
    removed(cache_dir, what)
    other = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", OTHER, str(cache_dir)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip

    def tell(value: str) -> str:
        other.stdin.write(value + "\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tell("theirs") == "theirs theirs"
        assert state.update("k", lambda text: (text, text)) == "theirs"
        assert store.get("k").body == b"theirs"
        state.update("k", lambda _: ("ours", None))
        store.put("k", Entry(b"ours", {}, NOW))
        assert tell("") == "ours ours"
    other.stdin.close()
    assert other.wait(20) == 0
    state.close()
    store.close()
    for name in ("pace.sqlite", "answers.sqlite"):
        file = sqlite3.connect(cache_dir / name)
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        file.close()


# -- memory stands in, rests, and hands back -------------------------------------------------------


class Failing:
    """A backend whose failures are counted."""

    def __init__(self) -> None:
        self.responses = self
        self.tried = 0

    def __getitem__(self, key):
        self.tried += 1
        raise sqlite3.OperationalError("disk I/O error")

    def __setitem__(self, key, value):
        self.tried += 1
        raise sqlite3.OperationalError("database or disk is full")


def test_answers_stay_at_hand_when_the_file_fails_and_the_file_is_left_alone():
    backend = Failing()
    store = Store(backend)
    with pytest.warns(UserWarning, match="in memory") as caught:  # noqa: PT031 - one in all
        for number in range(20):
            store.put(f"k{number}", Entry(b"{}", {}, NOW))
            assert store.get(f"k{number}") == Entry(b"{}", {}, NOW)
    assert backend.tried == 2 and len(caught) == 1


def test_what_was_learned_while_memory_stood_in_is_handed_back(cache_dir, monkeypatch):
    monkeypatch.setattr(shared, "REST", 0.0)
    path, broken = cache_dir / "pace.sqlite", []

    class Breakable(FileState):
        def update(self, key, change):
            if broken:
                raise sqlite3.OperationalError("disk I/O error")
            return super().update(key, change)

    ours = KeptState(lambda: Breakable(path, now), now, _merged)
    others = FileState(path, now)
    for state in (ours, others):
        state.update("lane x", lambda text: (Lane.load(text).dump(), None))
        state.update("rows x", lambda text: (str(int(text or 0) + 5), None))
    broken.append(True)

    def refuse(text):
        lane, turn = claim(Lane.load(text), LIST, NOW)
        assert isinstance(turn, Turn)
        return refused(lane, LIST, turn, NOW, Refusal(retry_after=300)).dump(), None

    with pytest.warns(UserWarning, match="paces its own requests"):
        ours.update("lane x", refuse)
    ours.update("rows x", lambda text: (str(int(text or 0) + 7), None))
    others.update("rows x", lambda text: (str(int(text or 0) + 100), None))
    broken.clear()
    ours.update("another", lambda text: (text, None))
    lane = others.update("lane x", lambda text: (text, Lane.load(text)))
    assert isinstance(claim(lane, LIST, NOW + 100)[1], Wait), "other kernels know of the 429"
    assert others.update("rows x", lambda text: (text, text)) == "117"
    ours.close()
    others.close()


# -- rows that a stranger wrote --------------------------------------------------------------------

DEEP = "[" * 100_000
PLANTED = [
    5, 10**18, 1.5, None, "text", DEEP, b"", b"\0" * 50, DEEP.encode(), b"\xff\xfe",
    '{"closed_for": 1e18, "closed_at": 1790000000, "reason": "refused"}',
    '{"next_at": 1e308}', '{"strikes": 1e300}', '{"sent": {"a": 1}}', '{"sent": [null]}',
    '{"sent": [1e300, 1e300, 1e300, 1e300, 1e300, 1e300, 1e300, 1e300, 1e300, 1e300]}',
    '{"margin": -1e9}', '{"learned": 1e9, "learned_at": 1790000000}', "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("row", PLANTED, ids=range(len(PLANTED)))
def test_a_planted_state_is_none_whatever_is_in_it(make, peer, clock, cache_dir, row):
    make().close()
    peer.default = answer({"offers": [{"id": 1}]})
    first = make()
    first.call("search_offers", body={})
    file = sqlite3.connect(cache_dir / "pace.sqlite")
    file.execute("UPDATE state SET text=?", (row,))
    file.commit()
    file.close()
    begun = clock.steady()
    assert make(max_wait=1000).call("search_offers", body={"x": {}}).data["offers"]
    assert clock.steady() - begun < 700, "no longer than a refusal may close a lane"
    assert make().quota().used <= 12, "at most what is a number"


def row_of(body: bytes, head: object, mark: bytes = FORMAT.MARK) -> bytes:
    text = head if isinstance(head, bytes) else json.dumps(head).encode()
    return mark + len(text).to_bytes(4, "big") + text + zlib.compress(body)


GOOD = {"created_at": NOW, "headers": {}}
ROWS = [
    5, 10**18, -1, 1.5, None, "text", b"", FORMAT.MARK, FORMAT.MARK + b"\xff" * 50,
    row_of(b"{}", b"[" * 100_000), row_of(b"{}", {"created_at": 1e300, "headers": {}}),
    row_of(b"{}", {"created_at": "x", "headers": {}}), row_of(b"{}", {"created_at": NOW}),
    row_of(b"{}", {"created_at": NOW, "headers": [1]}), row_of(b"{}", 5),
    row_of(b" " * (40 * 2**20), GOOD), row_of(b'{"offers": null}', GOOD), row_of(b"{}", GOOD),
    row_of(b'{"offers": [1]}', GOOD), row_of(b"no JSON", GOOD), row_of(b"[" * 100_000, GOOD),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_planted_answer_is_a_miss_whatever_is_in_it(make, peer, cache_dir, row):
    make().call("search_offers", body={})
    file = sqlite3.connect(cache_dir / "answers.sqlite")
    file.execute("UPDATE answers SET value=?", (row,))
    file.commit()
    file.close()
    found = make().call("search_offers", body={})
    assert found.data == {"offers": []} and not found.from_cache
    assert make().call("search_offers", body={}).from_cache


# -- how much is kept ------------------------------------------------------------------------------


def test_memory_is_bounded_by_bytes():
    store = open_store("memory", NOW)
    for number in range(80):
        store.put(f"k{number}", Entry(bytes(2**20), {}, NOW + number))
    kept = store.backend.responses
    assert sum(len(one.content) for one in kept.values()) <= MOST_IN_MEMORY
    assert store.get("k79") is not None and store.get("k0") is None


def test_a_file_is_bounded_by_bytes(cache_dir, monkeypatch):
    monkeypatch.setattr("vastnb.api.cache.MOST_KEPT", 300_000)
    store = open_store("sqlite", NOW)
    for number in range(20):
        store.put(f"k{number}", Entry(os.urandom(50_000), {}, NOW + number))
    store.prune(NOW)
    assert [f"k{n}" for n in range(20) if store.get(f"k{n}")] == [f"k{n}" for n in range(15, 20)]
    store.close()


def test_what_is_unpacked_beside_the_file_is_bounded(cache_dir):
    store = open_store("sqlite", NOW)
    for number in range(6):
        store.put(f"k{number}", Entry(bytes(8 * 2**20), {}, NOW))
        store.get(f"k{number}")
    assert store.backend.responses._unpacked_bytes() <= 16 * 2**20
    store.close()


# -- places ----------------------------------------------------------------------------------------


def test_the_users_own_directory_keeps_its_mode(make, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    project.chmod(0o755)
    make(cache=str(project / "cache.sqlite")).call("search_offers", body={})
    assert project.stat().st_mode & 0o777 == 0o755
    assert (project / "cache.sqlite").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("cache", ["postgres://user:pw@host/db", "memcached://x", "redis:/x://"])
def test_an_address_of_another_kind_is_refused_and_nothing_is_made(
    make, tmp_path, monkeypatch, cache
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InvalidRequest, match="redis://") as caught:
        make(cache=cache)
    assert "pw" not in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


HOMELESS = """
import os, sys
import vastnb.entry, vastnb.sim, tqdm.auto  # while its files may be read
os.setuid(54321)
client = vastnb.demo()
client.burn()
print(len(client.search_offers(limit=3)))
client.close()
try:
    vastnb.Client().show_user()
except vastnb.errors.AuthError as error:
    print(error.code)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="SKIPPED: needs to become a nobody"
)
def test_a_user_without_a_name_and_a_home_can_work():
    left_out = {
        "HOME", "VASTNB_DATA_DIR", "VASTNB_CACHE_DIR", "VAST_API_KEY", "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME", "XDG_DATA_HOME",
    }  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if k not in left_out}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", HOMELESS],
            env={**environment, "TMPDIR": folder}, cwd=folder,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, "3\nno_key\n"), done.stderr
        assert not (place / "~").exists()
        assert (place / "vastnb-54321").stat().st_uid == 54321
        assert (place / "vastnb-54321").stat().st_mode & 0o777 == 0o700


def test_an_unreadable_row_does_not_stop_writing(cache_dir):
    store = open_store("sqlite", NOW)
    store.put("k", Entry(b"{}", {}, NOW))
    assert FORMAT.loads(FORMAT.dumps(_response(Entry(b"{}", {}, NOW)))) is not None
    store.close()
