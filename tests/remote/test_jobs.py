"""Jobs outlive the connection and the kernel, and are found again."""

from __future__ import annotations

import time

import pytest

from vastnb.errors import CommandFailed, InvalidRequest, WaitTimeout
from vastnb.remote.jobs import jobs, start
from vastnb.remote.run import run
from vastnb.remote.session import Session

from .conftest import MakeSession
from .cutting import Proxy


def test_a_job_is_found_again_with_its_output_and_its_code(
    session: Session, connect: MakeSession
) -> None:
    name = start(session, "for i in 1 2 3; do echo line $i; sleep 0.2; done; exit 7").name
    session.close()
    [job] = [one for one in jobs(connect()) if one.name == name]
    heard: list[str] = []
    result = job.wait(show=lambda text, is_error: heard.append(text))
    assert (result.code, "".join(heard)) == (7, "line 1\nline 2\nline 3\n")
    assert result.out == "".join(heard)
    assert job.state.word == "ended"
    assert job.code == 7
    assert job.tail(1) == "line 3\n"
    assert job.command.startswith("for i in")
    with pytest.raises(CommandFailed, match="ended with code 7"):
        job.wait(check=True, show=False)


def test_a_job_is_started_once_and_ended_with_all_that_it_started(session: Session) -> None:
    job = start(session, "sleep 60 & echo $! >child; wait", name="one")
    with pytest.raises(InvalidRequest, match="Nothing was started"):
        start(session, "true", name="one")
    assert job.running
    with pytest.raises(WaitTimeout, match="is still running"):
        job.wait(timeout=0.2, show=False)
    job.stop()
    assert not job.running
    assert not session.alive(int(run(session, "cat child", show=False).out))
    run(session, "rm -rf ~/.vastnb/jobs/one child")


def test_waiting_goes_on_over_a_cut(weak: Session, proxy: Proxy) -> None:
    job = start(weak, "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.2; done")
    time.sleep(0.3)
    proxy.cut()
    assert job.wait(show=False).out == "1\n2\n3\n4\n5\n6\n7\n8\n"


def test_a_job_that_was_killed_is_lost_and_not_running(session: Session) -> None:
    job = start(session, "sleep 60")
    run(session, f"kill -KILL -- -$(cat ~/.vastnb/jobs/{job.name}/pid)", show=False)
    assert job.wait(show=False).code == -1
    assert job.state.word == "lost"


def test_a_long_log_is_neither_shown_nor_kept_whole(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.remote.run.KEEP", 1 << 20)
    shown: list[str] = []
    job = start(session, "head -c 9000000 /dev/zero | tr '\\0' x; echo end")
    result = job.wait(timeout=60, show=lambda text, is_error: shown.append(text))
    assert result.out.endswith("xend\n")
    assert len(result.stdout) + result.left_out == 9_000_004
    assert result.left_out > 0
    assert sum(map(len, shown)) < (1 << 20) + 200
