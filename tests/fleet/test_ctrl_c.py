"""A Ctrl-C may come at any line: no machine is lost, and no file stays locked."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import vastnb
from vastnb.clock import ManualClock
from vastnb.fleet.rent import journal, settle
from vastnb.fleet.rent.entry import Entry
from vastnb.fleet.rent.guard import is_guarded
from vastnb.fleet.rent.journal import Journal
from vastnb.fleet.rent.plan import LIVE, OPEN, AttemptState
from vastnb.sim import Fault, Server

from .conftest import MakeClient, alive
from .inside import transport_of
from .test_journal import an_entry

HOME = Path(vastnb.__file__).parent
TRACED = tuple(str(HOME / one) for one in ("fleet", "client.py", "market/search.py"))


def interrupted(
    work: Callable[[], Any], at: int, within: str | tuple[str, ...] = TRACED
) -> tuple[Any, str]:
    """Do the work with a Ctrl-C before the line with this number of those in some files.

    Returns what came of it (an exception, with its frames, as a notebook keeps it), and where the
    Ctrl-C came; empty if the work was done before.
    """
    lines, where = 0, ""

    def each_line(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal lines, where
        if event == "line" and not where:
            lines += 1
            if lines == at:
                where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return each_line

    def each_call(frame: FrameType, event: str, _: Any) -> Any:
        return each_line if frame.f_code.co_filename.startswith(within) else None

    before = sys.gettrace()
    sys.settrace(each_call)
    try:
        return work(), where
    except KeyboardInterrupt as stop:
        return stop, where
    finally:
        sys.settrace(before)


def positions(step: int, first: int = 1) -> Iterator[int]:
    at = first
    while True:
        yield at
        at += step


@pytest.mark.slow
def test_the_journal_is_never_left_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "PATIENCE", 0.0)
    book = Journal(tmp_path / "rentals.sqlite")
    entry = an_entry()
    book.begin(entry)
    for at in positions(1):
        work = partial(book.update, entry, note="again")
        kept, where = interrupted(work, at, within=journal.__file__)
        other = Journal(tmp_path / "rentals.sqlite")
        other.update(entry, note="of another kernel")
        assert [one.marker for one in other.entries(entry.account)] == [entry.marker]
        if not where:
            break
    assert at > 20 and isinstance(kept, Entry)


def test_a_marker_that_a_ctrl_c_has_left_behind_hides_nothing(
    client: vastnb.Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This thread asks, so it is not sending; another one might be."""
    client.rent("num_gpus=1", image="a/b")
    (entry,) = Journal().entries(transport_of(client).account)
    Journal().update(entry, state=AttemptState.SENDING, contract=None)
    monkeypatch.setattr(settle, "FLYING", {entry.marker: threading.current_thread()})
    (found,) = client.reconcile().findings
    assert found.kind == "adopted" and found.instance_id == alive(server)[0].id


NARROW = "num_gpus=1 gpu_name=RTX_4090"
"""Few rows: hundreds of rentals are within one day's quota."""


@pytest.mark.slow
@pytest.mark.parametrize(("lost", "first"), [(False, 3), (True, 20)])
def test_at_any_line_of_a_rental_every_machine_is_said_found_and_guarded(
    server: Server, connect: MakeClient, capsys: pytest.CaptureFixture[str],
    clock: ManualClock, lost: bool, first: int,
) -> None:  # fmt: skip
    for at in positions(311, first):
        client = connect()
        client.show_instances()
        if lost:
            server.faults.add(Fault("create_instance", "drop-after", nth=1))
        rent = partial(client.rent, NARROW, image="a/b", max_hours=2)
        box, where = interrupted(rent, at)
        server.faults.clear()
        said = capsys.readouterr().err
        machines = alive(server)
        for one in machines:
            held = not where and one.id == box.id
            assert held or str(one.id) in said or "client.reconcile()" in said, where
        report = client.reconcile()
        named = {one.instance_id for one in report.of("adopted", "bills", "destroyed")}
        assert {one.id for one in machines} <= named, where
        for entry in Journal().entries(transport_of(client).account, OPEN | LIVE):
            if entry.is_confirmed:  # of a round before
                continue
            assert entry.state in LIVE and is_guarded(entry.marker), where
        client.destroy_instance([one.id for one in alive(server)])
        client.close()
        if not where:
            break
    assert at > 2000
