"""The store of answers: private, safe to read, bounded, and never in the way."""

from __future__ import annotations

import os
import pickle
import sqlite3
import stat
import subprocess
import sys
import time
import warnings
import zlib
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests_cache.backends.base import BaseCache

from vastnb.api.answers import SIMULATED
from vastnb.api.cache import FORMAT, KEEP, MOST_ENTRIES, Entry, Store, _response, open_store
from vastnb.api.files import sound
from vastnb.api.resources import _merged
from vastnb.api.shared import file_state
from vastnb.clock import ManualClock

from .conftest import KEY
from .peer import answer

NOW = 1_790_000_000.0
OFFERS = {"offers": [{"id": 1}]}


def search(transport, query=None, **options):
    return transport.call("search_offers", body=query or {"a": {"eq": 1}}, **options)


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directory_and_files_are_the_users_alone(transport, cache_dir):
    search(transport)
    assert mode(cache_dir) == 0o700
    names = {one.name for one in cache_dir.iterdir()}
    assert {"answers.sqlite", "pace.sqlite"} <= names
    assert any(name.endswith("-wal") for name in names)
    assert {one.name: oct(mode(one)) for one in cache_dir.iterdir()} == dict.fromkeys(
        names, "0o600"
    )


def test_files_that_were_open_to_others_are_closed_to_them(make, cache_dir):
    """A directory that was there keeps its mode: it may be the user's own."""
    cache_dir.mkdir(mode=0o755)
    (cache_dir / "answers.sqlite").touch(0o644)
    (cache_dir / "answers.sqlite").chmod(0o644)
    search(make())
    assert mode(cache_dir) == 0o755 and mode(cache_dir / "answers.sqlite") == 0o600


def test_a_directory_with_other_things_in_it_is_left_as_it_is(make, cache_dir, tmp_path):
    shared = tmp_path / "project"
    shared.mkdir()
    shared.chmod(0o755)
    (shared / "notebook.ipynb").touch()
    search(make(cache=shared / "mine.sqlite"))
    assert mode(shared) == 0o755
    assert mode(shared / "mine.sqlite") == 0o600


def test_a_path_may_be_a_file_or_a_directory(make, tmp_path):
    search(make(cache=tmp_path / "one" / "answers.db"))
    assert (tmp_path / "one" / "answers.db").is_file()
    search(make(cache=str(tmp_path / "two")))
    assert (tmp_path / "two" / "answers.sqlite").is_file()


def test_the_key_stands_in_no_file(transport, peer, cache_dir):
    peer.default = answer(OFFERS, Set_Cookie=f"session={KEY}", X_Echo=KEY)
    search(transport)
    peer.default = answer({"offers": [], "api_key": KEY})
    search(transport, {"b": {"eq": 1}})
    search(transport, {"b": {"eq": 1}})
    transport.close()
    read = b"".join(one.read_bytes() for one in cache_dir.iterdir())
    assert KEY.encode() not in read and b"Bearer" not in read and b"session=" not in read
    with sqlite3.connect(cache_dir / "answers.sqlite") as connection:
        for (value,) in connection.execute("SELECT value FROM answers"):
            plain = value + zlib.decompress(value[value.index(b"}") + 1 :].lstrip(b"}"))
            assert KEY.encode() not in plain and b"uthorization" not in plain
            assert b"cookie" not in plain.lower() and b"X-Echo" not in plain


def test_cookies_are_neither_kept_nor_sent(transport, peer):
    peer.default = answer(OFFERS, Set_Cookie="session=1; Path=/")
    search(transport)
    search(transport, refresh=True)
    assert all("Cookie" not in one.headers for one in peer.asked)


def test_a_planted_pickle_does_not_run(transport, peer, clock, cache_dir, tmp_path):
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (os.mkdir, (str(mark),))

    search(transport)
    with sqlite3.connect(cache_dir / "answers.sqlite") as connection:
        connection.execute("UPDATE answers SET value=?", (pickle.dumps(Evil()),))
    connection.close()
    assert not search(transport, refresh=False).from_cache
    assert not mark.exists()


@given(st.binary(max_size=300))
def test_a_damaged_row_is_no_entry_and_no_error(data):
    assert FORMAT.loads(data) is None
    good = FORMAT.dumps(_response(Entry(b'{"a": 1}', {}, NOW)))
    FORMAT.loads(good[: len(good) // 2] + data)
    FORMAT.loads(FORMAT.MARK + data)


@given(st.binary(max_size=2000), st.floats(0, 4e9))
def test_what_is_written_is_read_back(body, created_at):
    kept = FORMAT.loads(FORMAT.dumps(_response(Entry(body, {SIMULATED: "1"}, created_at))))
    assert kept.content == body
    assert kept.created_at.timestamp() == pytest.approx(created_at, abs=1e-5)
    assert dict(kept.headers) == {SIMULATED: "1"}


def test_old_entries_and_too_many_are_dropped(cache_dir):
    for cache in ("memory", "sqlite"):
        store = open_store(cache, NOW)
        store.put("old", Entry(b"{}", {}, NOW - KEEP - 1))
        for number in range(MOST_ENTRIES + 60):
            store.put(f"k{number}", Entry(b"{}", {}, NOW + number))
        store.prune(NOW + 400)
        assert len(store.backend.responses) == MOST_ENTRIES
        assert store.get("old") is None and store.get("k0") is None
        assert store.get(f"k{MOST_ENTRIES + 59}") is not None
        store.close()


def test_a_reader_sees_at_once_what_any_kernel_has_written(cache_dir):
    """Rows that were read before are remembered, but never longer than they are true."""
    one, other = open_store("sqlite", NOW), open_store("sqlite", NOW)
    for number in range(12):
        writer = (one, other)[number % 2]
        writer.put("k", Entry(b"%d" % number, {}, NOW))
        for reader in (one, other, one, other):
            assert reader.get("k").body == b"%d" % number
    for remove in (one, other):
        one.put("k", Entry(b"there", {}, NOW))
        assert one.get("k") and other.get("k")
        del remove.backend.responses["k"]
        assert one.get("k") is None and other.get("k") is None
    one.put("old", Entry(b"{}", {}, NOW - KEEP - 5))
    assert other.get("old") and one.get("old")
    one.prune(NOW)
    assert one.get("old") is None and other.get("old") is None
    one.close()
    other.close()


def holder(path, seconds):
    """Another process that holds the write lock of a file."""
    code = (
        "import sqlite3,sys,time\n"
        "c=sqlite3.connect(sys.argv[1],isolation_level=None)\n"
        "c.execute('BEGIN EXCLUSIVE'); print('held',flush=True); time.sleep(float(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().strip() == "held"
    return process


@pytest.mark.slow
def test_a_file_locked_by_another_process_costs_seconds_not_for_ever(make, peer, cache_dir):
    transport = make()
    search(transport)
    process = holder(cache_dir / "answers.sqlite", 60)
    try:
        begun = time.monotonic()
        with pytest.warns(UserWarning, match="not be written") as caught:  # noqa: PT031 - one in all
            assert search(transport, {"b": {"eq": 1}}).data == {"offers": []}
            search(transport, {"c": {"eq": 1}})
        assert time.monotonic() - begun < 8
        assert len(caught) == 1, "one warning is enough"
        assert search(transport).from_cache, "reading goes on"
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_file_that_is_locked_at_the_start_is_replaced_by_memory(make, cache_dir):
    make().close()
    process = holder(cache_dir / "answers.sqlite", 60)
    try:
        begun = time.monotonic()
        with pytest.warns(UserWarning, match="kept in memory"):
            transport = make()
        assert time.monotonic() - begun < 5
        search(transport)
        assert search(transport).from_cache
    finally:
        process.kill()
        process.wait()


def one_warning(make):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        transport = make()
        search(transport)
        assert search(transport).from_cache
        search(transport, {"b": {"eq": 1}})
    return [str(one.message) for one in caught if "answers" in str(one.message)]


def test_a_file_that_is_no_database_is_set_aside_and_made_anew(make, cache_dir):
    cache_dir.mkdir()
    spoilt = b"this is no database" * 100
    (cache_dir / "answers.sqlite").write_bytes(spoilt)
    assert one_warning(make) == []
    assert (cache_dir / "answers.sqlite.damaged").read_bytes() == spoilt
    assert search(make()).from_cache  # other kernels see what is kept


def test_a_file_of_the_users_that_is_no_database_is_left_alone(make, tmp_path):
    notes = tmp_path / "notes.txt"
    notes.write_bytes(b"these are my notes" * 100)
    with pytest.warns(UserWarning, match="kept in memory"):
        make(cache=notes)
    assert notes.read_bytes() == b"these are my notes" * 100


def spoil(path):
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.write(b"\xff" * 8192)


def test_a_damaged_pace_file_is_made_anew_at_once_and_what_is_known_goes_into_it(tmp_path):
    path = tmp_path / "pace.sqlite"
    kernels = [file_state(path, lambda: 1000.0, _merged) for _ in range(2)]
    kernels[0].update("rows", lambda _: ("7", None))
    kernels[1].update("rows", lambda text: (text, text))
    spoil(path)
    for before, state in enumerate(kernels, 7):  # no kernel goes on alone
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert state.update("rows", lambda text: (str(int(text) + 1), text)) == str(before)
    assert (tmp_path / "pace.sqlite.damaged").exists()
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT text FROM state WHERE key='rows'").fetchall() == [("9",)]
    for state in kernels:
        state.close()


def test_what_another_kernel_has_made_anew_is_not_set_aside(tmp_path):
    path = tmp_path / "pace.sqlite"
    path.write_bytes(b"no database " * 999)
    other = file_state(path, lambda: 1000.0, _merged)

    def slower():
        with sound(path, lambda: ()):
            with (
                pytest.raises(sqlite3.DatabaseError) as found,
                closing(sqlite3.connect(path)) as it,
            ):
                it.execute("PRAGMA journal_mode=WAL")
            other.update("lane", lambda _: ("waits", None))
            raise found.value

    with pytest.raises(sqlite3.DatabaseError):
        slower()
    assert other.update("lane", lambda text: (text, text)) == "waits"
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT text FROM state WHERE key='lane'").fetchall() == [("waits",)]
    other.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_damaged_file_that_cannot_be_set_aside_is_not_said_to_be(tmp_path, caplog):
    (tmp_path / "pace.sqlite").write_bytes(b"no database " * 999)
    tmp_path.chmod(0o500)
    state = file_state(tmp_path / "pace.sqlite", lambda: 1000.0, _merged)
    with pytest.warns(UserWarning, match="VASTNB_CACHE_DIR"):
        state.update("lane", lambda _: ("waits", None))
    assert "was set aside" not in caplog.text and "cannot be set aside" in caplog.text
    tmp_path.chmod(0o700)


def test_a_directory_that_cannot_be_made_is_replaced_by_memory(make, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VASTNB_CACHE_DIR", str(tmp_path / "file" / "cache"))
    (message,) = one_warning(make)
    assert "VASTNB_CACHE_DIR" in message


def test_a_file_damaged_while_in_use_is_survived(make, cache_dir):
    transport = make()
    search(transport)
    for name in ("answers.sqlite", "answers.sqlite-wal"):
        with (cache_dir / name).open("r+b") as file:
            file.write(b"\xff" * 8192)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(3):
            assert search(transport, {"x": {"eq": number}}).data == {"offers": []}


def test_a_full_disk_costs_the_entry_not_the_answer():
    class Full(BaseCache):
        def __init__(self):
            super().__init__()
            self.responses = self

        def __getitem__(self, key):
            raise KeyError(key)

        def __setitem__(self, key, value):
            raise sqlite3.OperationalError("database or disk is full")

    store = Store(Full())
    with pytest.warns(UserWarning, match="disk is full"):
        store.put("k", Entry(b"{}", {}, NOW))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store.put("k", Entry(b"{}", {}, NOW))
    assert store.get("k") == Entry(b"{}", {}, NOW), "memory stands in"


def test_the_bounded_private_method_is_still_the_one_that_was_bounded():
    """The upper pin on requests-cache exists because of what is overridden here."""
    from requests_cache.backends import sqlite

    assert {"connection", "init_db", "_acquire_sqlite_lock"} <= set(vars(sqlite.SQLiteDict))


@pytest.mark.slow
def test_a_forked_child_opens_its_own_files_and_sockets(make, peer, cache_dir):
    if not hasattr(os, "fork"):
        pytest.skip("SKIPPED: no fork on this system")
    transport = make(clock=ManualClock(NOW))
    search(transport)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            ours = transport._opened
            found = search(transport).from_cache
            status = 0 if found and transport._opened is not ours else 2
        finally:
            os._exit(status)
    _, code = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(code) == 0
    assert search(transport).from_cache
    with sqlite3.connect(cache_dir / "answers.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
