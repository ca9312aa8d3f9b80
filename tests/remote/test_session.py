"""Commands over one connection: output as it comes, Ctrl-C, drops, and nothing secret in sight."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from vastnb.errors import (
    CommandFailed,
    ConnectionLost,
    HostKeyChanged,
    LoginRefused,
    RemoteError,
    WaitTimeout,
)
from vastnb.remote import session as session_module
from vastnb.remote.copying import copy, rsync_here
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.run import SHOW, run
from vastnb.remote.session import Session
from vastnb.remote.ssh import Target, meaning, options

from .conftest import Machine, MakeSession
from .cutting import Proxy
from .openssh import OpenSSH


def test_a_result_has_code_output_and_errors_apart(session: Session, machine: Machine) -> None:
    result = run(session, "echo out; echo err >&2; pwd; exit 3", show=False)
    assert (result.code, result.err, result.ok) == (3, "err\n", False)
    assert result.out == f"out\n{machine.workspace}\n"
    assert run(session, "cat; exit 255", input="in", show=False).code == 255
    assert run(session, "cd ..; pwd", cwd="~", show=False).out == f"{machine.home.parent}\n"


def test_output_is_shown_while_the_command_runs(session: Session) -> None:
    heard: list[tuple[float, str]] = []
    begun = time.monotonic()
    run(
        session,
        "echo one; sleep 0.6; echo two >&2",
        show=lambda text, is_error: heard.append((time.monotonic() - begun, text)),
    )
    assert [text for _, text in heard] == ["one\n", "two\n"]
    assert heard[1][0] - heard[0][0] > 0.4


def test_a_failure_is_an_error_when_asked_for(session: Session) -> None:
    with pytest.raises(CommandFailed, match=r"code 4.*it is broken") as failed:
        run(session, "echo it is broken >&2; exit 4", check=True, show=False)
    assert failed.value.result.code == 4


def test_ctrl_c_interrupts_there_and_leaves_the_session_usable(session: Session) -> None:
    heard: list[str] = []

    def show(text: str, is_error: bool) -> None:
        heard.append(text)
        if text == "ready\n":
            os.kill(os.getpid(), signal.SIGINT)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(
            session,
            "trap 'echo interrupted; exit 5' INT; echo ready; while :; do sleep 0.05; done",
            show=show,
        )
    assert time.monotonic() - begun < 4
    assert heard in (["ready\n"], ["ready\n", "interrupted\n"])
    assert run(session, "echo still here", show=False).out == "still here\n"
    assert session.generation == 1


def test_a_command_that_heeds_nothing_is_killed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.remote.run.GRACE", 0.3)
    with pytest.raises(WaitTimeout, match="stopped there"):
        run(session, "trap '' TERM INT; echo $$ >it; while :; do sleep 0.05; done", timeout=0.5)
    assert not session.alive(int(run(session, "cat it; rm it", show=False).out))


def test_a_command_that_closes_its_output_is_waited_for(session: Session) -> None:
    result = run(session, "exec >&- 2>&-; sleep 0.5; exit 6", show=False)
    assert result.code == 6
    assert result.seconds > 0.4


def test_a_hundred_megabytes_are_kept_and_not_shown(session: Session) -> None:
    shown = [0]
    result = run(
        session,
        "head -c 100000000 /dev/zero | tr '\\0' a; echo end",
        show=lambda text, is_error: shown.__setitem__(0, shown[0] + len(text)),
    )
    assert result.out.endswith("aaa" + "end\n")
    assert len(result.stdout) + result.left_out == 100_000_004
    assert shown[0] < 2 * SHOW


def test_binary_output_is_kept_whole_and_not_shown(session: Session) -> None:
    heard: list[str] = []
    result = run(
        session, "printf '\\000\\001\\377'", show=lambda text, is_error: heard.append(text)
    )
    assert result.stdout == b"\x00\x01\xff"
    assert "".join(heard).startswith("[binary output")


def test_nothing_of_a_command_is_in_a_list_of_processes(session: Session) -> None:
    seen: list[bytes] = []

    def look(text: str, is_error: bool) -> None:
        seen.extend(
            file.read_bytes()
            for file in Path("/proc").glob("[0-9]*/cmdline")
            if file.parent.name != str(os.getpid()) and file.exists()
        )

    run(session, "TOKEN=hunter2-swordfish; echo now; sleep 0.3", input="hunter2-stdin", show=look)
    assert seen
    assert not [line for line in seen if b"hunter2" in line]


def test_many_calls_share_one_connection_and_wait_their_turn(session: Session) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(
            target=lambda n=n: results.append(run(session, f"sleep 0.1; echo {n}", show=False).out)
        )
        for n in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(int, results)) == list(range(20))
    assert session.generation == 1


def test_a_drop_says_what_is_left_there_and_the_next_call_connects_again(
    weak: Session, proxy: Proxy
) -> None:
    weak.open()
    threading.Timer(0.7, proxy.cut).start()
    with pytest.raises(ConnectionLost, match="may still be running") as lost:
        run(weak, "echo $$; trap '' PIPE; sleep 30", show=False)
    assert lost.value.pid
    assert weak.alive(lost.value.pid)  # as the error says
    run(weak, f"kill -KILL -- -{lost.value.pid}", show=False)
    assert weak.generation == 2


@pytest.mark.slow
def test_a_way_that_falls_silent_is_given_up(
    weak: Session, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.remote.ssh.ALIVE", (1, 1))
    weak.open()
    threading.Timer(0.5, proxy.fall_silent).start()
    begun = time.monotonic()
    with pytest.raises(ConnectionLost):
        run(weak, "sleep 30", show=False)
    assert time.monotonic() - begun < 10


def test_a_call_that_had_not_begun_is_sent_again(weak: Session, proxy: Proxy) -> None:
    weak.open()
    proxy.cut()
    assert run(weak, "echo here", show=False).out == "here\n"


def test_no_server_yet_is_waited_for(weak: Session, proxy: Proxy) -> None:
    proxy.refuses = True
    threading.Timer(0.8, setattr, (proxy, "refuses", False)).start()
    with pytest.raises(ConnectionLost, match="broke while it was being made"):
        weak.open(patience=0)
    weak.open(patience=10)
    assert weak.is_open


def test_a_wrong_key_is_refused_in_words(
    connect: MakeSession, machine: Machine, tmp_path: Path
) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True
    )
    target = machine.target
    wrong = connect(
        Target(
            target.host, target.port, "vast-1", tmp_path / "known", target.user, tmp_path / "other"
        )
    )
    begun = time.monotonic()
    with pytest.raises(LoginRefused, match="none of your keys"):
        wrong.open()
    assert time.monotonic() - begun < 10


@pytest.mark.slow
def test_another_host_key_is_an_error_and_each_instance_has_its_own(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    pytest.importorskip("asyncssh")
    server = OpenSSH(tmp_path_factory.mktemp("keys"))

    def to(alias: str) -> Session:
        known = tmp_path / alias
        target = Target("127.0.0.1", server.port, alias, known, server.user, server.key)
        return Session(lambda attempt: [target], instance_id=7)

    try:
        first = to("vast-7")
        run(first, "true")
        first.close()
        server.stop()
        server.new_host_key()
        server.start()
        changed = to("vast-7")
        with pytest.raises(HostKeyChanged, match="forget_host_key"):
            changed.open()
        changed.close()
        # The same address, given to another instance, is no change.
        other = to("vast-8")
        run(other, "true")
        other.close()
    finally:
        server.stop()


def test_tmux_at_login_does_not_get_in_the_way(openssh: OpenSSH, tmp_path: Path) -> None:
    rc = openssh.home / ".bashrc"
    rc.write_text("echo Welcome to a noisy machine\n[ -t 0 ] && exec tmux new\necho more noise\n")
    target = Target("127.0.0.1", openssh.port, "vast-1", tmp_path / "k", openssh.user, openssh.key)
    session = Session(lambda attempt: [target])
    try:
        assert run(session, "echo fine", show=False).out == "fine\n"
    finally:
        session.close()
        rc.unlink()


def test_a_connection_of_its_own_for_each_call_works_too(
    connect: MakeSession, machine: Machine, tmp_path: Path
) -> None:
    """As on Windows, whose ssh cannot share a connection."""
    alone = connect(multiplex=False)
    assert run(alone, "echo alone", show=False).out == "alone\n"
    kernel = RemoteKernel(alone, "alone").open()
    try:
        reply = kernel.execute("", ask={"sum": "1 + 1"})
        assert reply["user_expressions"]["sum"]["data"]["text/plain"] == "2"
    finally:
        kernel.shutdown()
    (tmp_path / "file").write_text("text")
    for engine in ("plain", "rsync") if rsync_here() else ("plain",):
        copy(alone, tmp_path / "file", engine, up=True, memory=tmp_path / "m", engine=engine)
        assert (machine.workspace / engine).read_text() == "text"
        (machine.workspace / engine).unlink()


def test_the_users_own_configuration_is_read_and_agents_stay_at_home(tmp_path: Path) -> None:
    given = options(Target("h", 22, "vast-1", tmp_path / "k"))
    assert "-F" not in given
    assert "-i" not in given
    assert "ForwardAgent=no" in given
    assert "RequestTTY=no" in given
    assert "BatchMode=yes" in given


def test_nothing_of_the_users_is_lent_to_a_machine(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(
        "Host *\n RemoteForward 5555 localhost:22\n DynamicForward 1080\n Tunnel yes\n"
        " ForwardAgent yes\n ForwardX11 yes\n GSSAPIDelegateCredentials yes\n"
    )
    given = options(Target("h", 22, "vast-1", tmp_path / "k"))
    line = ["ssh", "-G", "-F", str(config), *given, "h"]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [one for one in told if one.startswith(("remoteforward", "dynamicforward"))]
    for name in ("tunnel", "forwardagent", "forwardx11", "gssapidelegatecredentials"):
        assert [one for one in told if one.startswith(f"{name} ")] in (
            [f"{name} no"], [f"{name} false"], []
        )  # fmt: skip


def test_the_end_of_a_fork_leaves_the_connection_alone(session: Session) -> None:
    session.open()
    child = os.fork()
    if not child:
        session._end()
        os._exit(0)
    os.waitpid(child, 0)
    assert session.place.is_dir()
    assert session.is_open
    assert run(session, "echo there", show=False).out == "there\n"


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("ssh: connect to host 1.2.3.4 port 22: Connection refused", ConnectionLost),
        ("kex_exchange_identification: Connection closed by remote host", ConnectionLost),
        (
            "root@1.2.3.4: Permission denied (publickey).\nConnection to 1.2.3.4 closed by remote "
            "host.",
            ConnectionLost,
        ),
        ("root@1.2.3.4: Permission denied (publickey).", LoginRefused),
        ("Received disconnect: 2: Too many authentication failures", LoginRefused),
        ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key", HostKeyChanged),
    ],
)
def test_what_ssh_says_has_a_meaning(said: str, kind: type[Exception]) -> None:
    found, words = meaning(said)
    assert found is kind
    assert said.splitlines()[-1] in words


def test_paths_are_in_the_workspace(session: Session, machine: Machine) -> None:
    assert session.path("data") == f"{machine.workspace}/data"
    assert session.path("/workspace/data") == f"{machine.workspace}/data"
    assert session.path("~/x") == f"{machine.home}/x"
    assert session.path("/opt/x") == "/opt/x"
    assert session_module.AT_ONCE < 10  # OpenSSH's MaxSessions


def test_as_many_commands_as_may_run_at_once_can_all_be_ended(session: Session) -> None:
    stop = threading.Event()
    ended: list[str] = []

    def one() -> None:
        try:
            run(session, "sleep 60", show=False, stop=stop)
        except KeyboardInterrupt:
            ended.append("interrupted")

    threads = [threading.Thread(target=one) for _ in range(session_module.AT_ONCE)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    stop.set()
    for thread in threads:
        thread.join(30)
    assert ended == ["interrupted"] * session_module.AT_ONCE


def test_a_long_command_in_any_script_arrives_whole(session: Session) -> None:
    command = "echo begin\n" + "# ünïcode ' \" $(x)\n" * 2000 + "echo ende é"
    assert run(session, command, show=False).out == "begin\nende é\n"


def test_a_command_finds_the_environment_that_the_container_was_given(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "environ"  # as that of the container's first process
    lines = ("TOKEN=a b\n$(c) '", "HOME=/nowhere", "UID=7", "no-name=1", "BASH_FUNC_x%%=() {", "Z=")
    given.write_text("".join(f"{line}\0" for line in lines))
    script = session_module._ENVIRONMENT.replace("/proc/1/environ", str(given))
    monkeypatch.setattr(session_module, "_ENVIRONMENT", script)
    session._facts = replace(session.facts, container=True)
    result = run(session, 'echo "$TOKEN|$HOME|${Z-unset}"', show=False)
    assert result.out == f"a b\n$(c) '|{session.facts.home}|\n"
    assert result.err == ""


def test_without_ssh_it_is_said_what_to_install(
    connect: MakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RemoteError, match="openssh-client"):
        connect().open()
