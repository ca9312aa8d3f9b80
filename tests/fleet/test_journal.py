"""What the journal promises."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vastnb.clock import SystemClock
from vastnb.errors import JournalError
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import AttemptState
from vastnb.fleet.rent.process import SILENT_FOR_DEAD, Process, began, this_process
from vastnb.fleet.rent.settle import Case, Settler
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive, entries

ORDER = {"image": "pytorch/pytorch", "disk": 10}


def an_entry(marker: str = "m", **changes: object) -> Entry:
    values = {
        "marker": marker, "account": "me", "base_url": "http://x", "offer_id": 1, "machine_id": 2,
        "price": 0.5, "bid": None, "disk": 10.0, "label": "a", "created_at": 1.0, "since": 2.0,
        "updated_at": 1.0, **changes,
    }  # fmt: skip
    return Entry(**values)  # type: ignore[arg-type]


def a_dead_process() -> Process:
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    return Process(this_process().host, int(done.stdout), "long ago")


def test_an_attempt_is_on_disk_before_it_is_sent(
    server: Server, connect: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = connect()
    offer = client.search_offers("num_gpus=1").iloc[0]
    seen: list[AttemptState] = []
    rent = server.world.fleet.rent

    def look_first(*arguments: object) -> object:
        seen.extend(one.state for one in entries(client))
        return rent(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(server.world.fleet, "rent", look_first)
    box = client.create_instance(offer, **ORDER)
    assert seen == [AttemptState.SENDING]
    (entry,) = entries(client)
    assert (entry.state, entry.contract, entry.offer_id) == (
        AttemptState.CREATED,
        box.id,
        offer["id"],
    )
    assert entry.price == pytest.approx(offer["dph_total"])


@pytest.mark.skipif(os.name == "nt", reason="POSIX modes")
def test_only_the_user_can_read_it(journal: Journal) -> None:
    journal.begin(an_entry())
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


def test_a_journal_that_cannot_be_written_sends_nothing(
    server: Server, connect: MakeClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_the_way = tmp_path / "a file"
    in_the_way.write_text("")
    monkeypatch.setenv("VASTNB_DATA_DIR", str(in_the_way / "data"))
    client = connect()
    with pytest.raises(JournalError, match="Nothing was sent"):
        client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    assert server.calls("create_instance") == 0


def test_a_broken_journal_sends_nothing_and_is_not_thrown_away(
    server: Server, client: object, connect: MakeClient, journal: Journal
) -> None:
    journal.path.parent.mkdir(parents=True)
    journal.path.write_bytes(b"no database" * 100)
    fresh = connect()
    offer = fresh.search_offers("num_gpus=1").iloc[0]
    with pytest.raises(JournalError, match=r"cannot be used.*is damaged.*then rename it"):
        fresh.create_instance(offer, **ORDER)
    assert server.calls("create_instance") == 0
    assert journal.path.read_bytes().startswith(b"no database")
    journal.path.rename(journal.path.with_suffix(".old"))
    fresh.create_instance(offer, **ORDER)
    assert len(alive(server)) == 1


def test_looking_works_without_a_journal(connect: MakeClient, journal: Journal) -> None:
    journal.path.parent.mkdir(parents=True)
    journal.path.write_bytes(b"no database" * 100)
    with pytest.warns(RuntimeWarning, match="cannot be used"):
        assert len(connect().show_instances()) == 0


def test_it_holds_no_secret(server: Server, connect: MakeClient, journal: Journal) -> None:
    client = connect()
    server.faults.add(Fault("create_instance", "drop-after", nth=1))
    client.create_instance(
        client.search_offers("num_gpus=1").iloc[0], **ORDER,
        env={"TOKEN": "hunter2"}, onstart="export PASSWORD=hunter3",
    )  # fmt: skip
    (machine,) = alive(server)
    jupyter = machine.record(0.0, 0.0)["jupyter_token"]
    content = journal.path.read_bytes()
    for secret in ("hunter2", "hunter3", server.api_key, jupyter):
        assert secret.encode() not in content


@pytest.mark.slow
def test_it_survives_its_process(journal: Journal) -> None:
    code = (
        "import os, signal\n"
        "from tests.fleet.test_journal import an_entry\n"
        "from vastnb.fleet.rent.journal import Journal\n"
        "Journal().begin(an_entry()); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, check=False)
    assert done.returncode < 0
    (entry,) = journal.entries("me")
    assert entry.state is AttemptState.SENDING
    assert entry.owner.is_dead(0.0)


def test_a_process_is_alive_until_it_is_dead() -> None:
    me = this_process()
    assert not me.is_dead(1e9)
    assert a_dead_process().is_dead(0.0)
    assert Process(me.host, me.pid, "an earlier process with this id").is_dead(0.0)
    assert Process(me.host, os.getppid(), "an earlier process with this id").is_dead(0.0)
    assert not Process(me.host, os.getppid(), began(os.getppid())).is_dead(1e9)
    elsewhere = Process("another machine", me.pid, me.began)
    assert not elsewhere.is_dead(SILENT_FOR_DEAD - 1)
    assert elsewhere.is_dead(SILENT_FOR_DEAD)


def test_an_entry_is_taken_over_once(journal: Journal) -> None:
    dead = a_dead_process()
    entry = an_entry(host=dead.host, pid=dead.pid, began=dead.began)
    journal.begin(entry)
    first = journal.claim(entry, 5.0)
    assert first is not None and first.owner == this_process()
    assert journal.claim(entry, 6.0) is None


def test_accounts_do_not_see_each_other(journal: Journal) -> None:
    journal.begin(an_entry("a", account="one"))
    journal.begin(an_entry("b", account="two"))
    assert [one.marker for one in journal.entries("one")] == ["a"]
    assert journal.of_contract("one", 5) is None


def test_a_locked_journal_is_waited_for(journal: Journal) -> None:
    journal.begin(an_entry("a"))
    other = sqlite3.connect(journal.path, check_same_thread=False, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    timer.start()
    journal.begin(an_entry("b"))
    timer.join()
    other.close()
    assert len(journal.entries("me")) == 2


def test_a_file_of_an_earlier_version_is_kept_and_widened(journal: Journal) -> None:
    journal.begin(an_entry("old"))
    with sqlite3.connect(journal.path) as old:
        for name in ("deadline", "on_machine"):
            old.execute(f"ALTER TABLE attempts DROP COLUMN {name}")
    old.close()
    (entry,) = journal.entries("me")
    assert entry.deadline is None and entry.on_machine == 0
    journal.begin(an_entry("new", deadline=5.0, on_machine=1))
    assert [one.deadline for one in journal.entries("me")] == [None, 5.0]
    journal.set_deadlines({"old": 6.0})
    assert {one.marker: one.deadline for one in journal.entries("me")} == {"old": 6.0, "new": 5.0}


def test_two_kernels_may_widen_it_at_once(journal: Journal) -> None:
    journal.begin(an_entry("old"))
    with sqlite3.connect(journal.path) as old:
        old.execute("ALTER TABLE attempts DROP COLUMN deadline")
    old.close()
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(len(Journal(journal.path).entries("me"))))
        for _ in range(6)
    ]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert found == [1] * 6


def test_what_somebody_else_has_found_out_meanwhile_is_not_written_over(journal: Journal) -> None:
    """Two threads may look for one machine: whoever knows less does not undo what the other did."""
    entry = an_entry(state=AttemptState.UNKNOWN)
    journal.begin(entry)
    background = Settler(unused, SystemClock(), journal, "found in the background")
    slow, quick = Case.of(entry), Case.of(entry)
    background.record(quick, state=AttemptState.ADOPTED, contract=7, note="found in the background")
    background.record(quick, state=AttemptState.DESTROYING)
    background.record(slow, state=AttemptState.ADOPTED, contract=7)
    (row,) = journal.entries("me")
    assert row.state is AttemptState.DESTROYING
    assert slow.state is AttemptState.DESTROYING, "and it goes on from what the other has done"


def test_a_destroy_is_written_whatever_was_found_out_meanwhile(journal: Journal) -> None:
    entry = an_entry(state=AttemptState.UNKNOWN, contract=7)
    journal.begin(entry)
    settler = Settler(unused, SystemClock(), journal)
    asked, other = Case.of(entry), Case.of(entry)
    settler.record(other, state=AttemptState.ADOPTED)
    settler.record(asked, state=AttemptState.DESTROYING)
    (row,) = journal.entries("me")
    assert row.state is asked.state is AttemptState.DESTROYING


def unused(*args: object, **kwargs: object) -> None:
    raise AssertionError("nothing is asked")
