"""What a kernel leaves behind, whatever its end; and what of the user's reaches a machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from vastnb.remote import ssh
from vastnb.remote.run import run
from vastnb.remote.session import Session
from vastnb.remote.ssh import Target, unsent

from .conftest import Rent
from .openssh import OpenSSH

PROGRAM = """
import sys, threading, time
from pathlib import Path
from vastnb.remote.session import Session
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.run import run
from vastnb.remote.ssh import Target
target = Target("127.0.0.1", PORT, "vast-1", Path("KNOWN"), "USER", Path("KEY"))
session = Session(lambda attempt: [target], instance_id=1)
session.open()
"""


def program(openssh: OpenSSH, tmp_path: Path, more: str) -> str:
    return (
        PROGRAM.replace("PORT", str(openssh.port))
        .replace("KNOWN", str(tmp_path / "known"))
        .replace("USER", openssh.user)
        .replace("KEY", str(openssh.key))
    ) + more


def using(place: str) -> list[str]:
    """Return the processes whose command line names a directory."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if place in line:
            found.append(line)
    return found


def until(happens: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_kernel_leaves_no_process_and_the_next_one_no_directory(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    """A command, a copy and a link are under way: what rides on a connection keeps it up."""
    more = """
threading.Thread(target=run, args=(session, "sleep 50"), kwargs={"show": False}).start()
kernel = RemoteKernel(session, "killed").open()
(session.place / "values").write_text("pushed")
print(session.place, flush=True)
time.sleep(60)
"""
    line = [sys.executable, "-c", program(openssh, tmp_path, more)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        place = kernel.stdout.readline().strip()
        assert Path(place).stat().st_mode & 0o077 == 0
        until(lambda: len(using(place)) >= 3)  # the guard, the master, and a call
        kernel.kill()
    until(lambda: not using(place))
    target = Target(
        "127.0.0.1", openssh.port, "vast-1", tmp_path / "known", openssh.user, openssh.key
    )
    after = Session(lambda attempt: [target], instance_id=1)
    try:
        after.open()
        assert not Path(place).exists()
        assert after.place.is_dir()
        run(after, "kill -KILL -- -$(cat ~/.vastnb/kernels/killed/pid)", show=False)
    finally:
        after.close()
    assert not after.place.exists() or not list(after.place.iterdir())


def test_a_session_that_ends_leaves_nothing(session: Session) -> None:
    session.open()
    place = session.place
    run(session, "true", show=False)
    session.close()
    assert not place.exists()
    until(lambda: not using(str(place)))


@pytest.mark.parametrize("way", ["close", "drop", "use"])
def test_a_fork_has_a_connection_of_its_own(session: Session, way: str) -> None:
    session.open()
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(20)
            if way == "use":
                assert not session.is_open
                assert run(session, "echo child", show=False).out == "child\n"
                session.close()
            else:
                getattr(session, way)()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert session.is_open
    assert session.place.is_dir()
    assert run(session, "echo parent", show=False).out == "parent\n"
    assert session.generation == 1


@pytest.mark.slow
def test_a_fork_that_lives_on_does_not_keep_the_connection_of_a_killed_kernel(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    more = """
import os
child = os.fork()
if not child:
    time.sleep(30)
    os._exit(0)
print(session.place, child, flush=True)
time.sleep(60)
"""
    line = [sys.executable, "-c", program(openssh, tmp_path, more)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as kernel:
        assert kernel.stdout is not None
        place, child = kernel.stdout.readline().split()
        kernel.kill()
        kernel.wait()
        try:
            until(lambda: not using(place))
        finally:
            os.kill(int(child), signal.SIGKILL)


def test_no_variable_that_the_configuration_would_send_reaches_the_machine(
    openssh: OpenSSH, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del openssh  # it skips where there is none
    config = tmp_path / "config"
    config.write_text("Host *\n SendEnv SECRET_* LC_*\n SetEnv LC_SET=hunter2-set\n")
    monkeypatch.setenv("SECRET_KEY", "hunter2-sent")
    monkeypatch.setenv("LC_ALL", "C")
    given = ssh.options
    monkeypatch.setattr(ssh, "options", lambda target: ["-F", str(config), *given(target)])
    server = OpenSSH(tmp_path / "server", "AcceptEnv *\nLogLevel DEBUG3\n")
    try:
        target = Target(
            "127.0.0.1", server.port, "vast-1", tmp_path / "known", server.user, server.key
        )
        for multiplex in (True, False):
            session = Session(lambda attempt: [target], multiplex=multiplex)
            assert "hunter2" not in run(session, "env", show=False).out
            session.close()
        log = (server.base / "log").read_text()
    finally:
        server.stop()
    assert "session_env_req" in log or "Setting env" in log  # it does tell what is sent
    assert "SECRET" not in log


def test_what_ssh_needs_stays_and_what_is_sent_goes() -> None:
    given = {
        "PATH": "p",
        "SECRET_A": "1",
        "OTHER": "2",
        "LANG": "de",
        "[x]": "3",
        "AWS_PROFILE": "4",
    }
    told = "user root\nsendenv SECRET_*\nsendenv LAN?\nsendenv [x]\n"
    assert unsent(told, given) == {"PATH": "p", "OTHER": "2", "AWS_PROFILE": "4"}
    assert unsent("sendenv *\n", given) == {"PATH": "p"}
    assert unsent("", given) == given


@pytest.mark.slow
def test_two_notebooks_share_a_machine_and_a_kernel_without_mixing_outputs(
    openssh: OpenSSH, tmp_path: Path
) -> None:
    more = """
from vastnb.remote.copying import copy
kernel = RemoteKernel(session, "shared").open()
print(kernel.pid, flush=True)
sys.stdin.readline()
me = sys.argv[1]
for turn in range(15):
    heard = []
    kernel.execute(f"print('{me}', {turn}); last = '{me}'", show=lambda kind, content:
        heard.append(content["text"]) if kind == "stream" else None)
    assert "".join(heard) == f"{me} {turn}\\\\n", heard
    assert run(session, f"echo {me}", show=False).out == f"{me}\\\\n"
    source = Path("SOURCE") / me
    source.mkdir(exist_ok=True)
    (source / str(turn)).write_text(me)
    copy(session, source, f"from-{me}", up=True, memory=Path("SOURCE") / "copied.json", show=False)
print("well", flush=True)
"""
    text = program(openssh, tmp_path, more.replace("\\\\n", "\\n").replace("SOURCE", str(tmp_path)))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", text, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    pids = set()
    for notebook in both:
        assert notebook.stdout is not None
        pids.add(notebook.stdout.readline())
    assert len(pids) == 1
    for notebook in both:
        assert notebook.stdin is not None
        notebook.stdin.write("go\n")
        notebook.stdin.flush()
    told = [notebook.communicate(timeout=60) for notebook in both]
    assert [out for out, _ in told] == ["well\n", "well\n"], told
    os.kill(int(pids.pop()), signal.SIGKILL)
    for name in ("one", "two"):
        assert len(list((openssh.workspace / f"from-{name}").iterdir())) == 15


def test_no_traceback_shows_a_token_or_a_variable(
    rent: Rent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = rent()
    box.wait(reachable=True)
    box._record = {**box.record(), "jupyter_token": "hunter2-token"}
    monkeypatch.setattr("vastnb.fleet.connect.jupyter_url", lambda record: "https://there/")
    monkeypatch.setattr(Session, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt) as found:
        box.jupyter()
    assert "hunter2" not in in_full(found.value)

    monkeypatch.setenv("OTHER_KEY", "hunter2-variable")
    monkeypatch.setattr("vastnb.remote.session._told", interrupted)
    target = Target("127.0.0.1", 1, "vast-1", tmp_path / "known")
    with pytest.raises(KeyboardInterrupt) as found:
        Session(lambda attempt: [target]).open()
    assert "hunter2" not in in_full(found.value)


def interrupted(*given: object) -> None:
    raise KeyboardInterrupt


def in_full(error: BaseException) -> str:
    """Return what a verbose traceback prints, but for the test's own frame."""
    trace = error.__traceback__
    frames = traceback.TracebackException(
        type(error), error, trace and trace.tb_next, capture_locals=True
    )
    return "".join(frames.format())
