"""On the machine, beside OpenSSH's own tools, over the same sshd on loopback."""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench import report
from tests.remote.openssh import SSHD, OpenSSH
from vastnb.remote.copying import copy
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.run import run as run_there
from vastnb.remote.session import Session
from vastnb.remote.ssh import Target


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--remote-mb", type=int, default=200, help="MB to copy (default 200)")
    group.add_argument("--remote-calls", type=int, default=60, help="calls (default 60)")


def run(options: argparse.Namespace) -> None:
    if SSHD is None:
        report.note("There is no sshd here (Debian: apt install openssh-server).")
        return
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        server = OpenSSH(base)
        target = Target(
            "127.0.0.1", server.port, "bench", base / "known", user=server.user, key_file=server.key
        )
        session = Session(lambda attempt: [target])
        try:
            _calls(session, options.remote_calls)
            _cells(session, options.remote_calls)
            _files(session, server, base, options.remote_mb)
        finally:
            session.close()
            server.stop()


def _calls(session: Session, count: int) -> None:
    session.open()
    control = session.place / "c"
    line = ["ssh", "-S", str(control), "127.0.0.1", "true"]
    seconds = report.interleaved(
        {
            "one multiplexed ssh": lambda: subprocess.run(line, check=True, capture_output=True),
            'run("true")': lambda: run_there(session, "true", show=False),
        },
        count,
    )
    peer = report.median(seconds["one multiplexed ssh"])
    rows: list[list[report.Cell]] = [
        [what, report.median(each) * 1e3, report.quantile(each, 0.9) * 1e3,
         report.ratio(report.median(each), peer)]
        for what, each in seconds.items()
    ]  # fmt: skip
    report.table("A call on a warm connection", ["", "ms median", "ms p90", "to ssh"], rows)


def _cells(session: Session, count: int) -> None:
    opened = []
    for number in range(3):
        began = time.perf_counter()
        kernel = RemoteKernel(session, f"bench{number}").open()
        opened.append(time.perf_counter() - began)
        if number < 2:
            kernel.shutdown()
    rows: list[list[report.Cell]] = [["a new kernel", report.median(opened) * 1e3, None]]
    for what, code in (("an empty cell", ""), ("a cell that prints", "print(1)")):
        each = []
        for _ in range(count):
            began = time.perf_counter()
            kernel.execute(code, show=lambda kind, content: None)
            each.append(time.perf_counter() - began)
        rows.append([what, report.median(each) * 1e3, report.quantile(each, 0.9) * 1e3])
    kernel.shutdown()
    report.table("Cells", ["", "ms median", "ms p90"], rows)


def _files(session: Session, server: OpenSSH, base: Path, size: int) -> None:
    big = base / "big"
    big.write_bytes(os.urandom(1 << 20) * size)
    shell = session.rsync_shell()
    host, up, down = session.host, server.workspace / "up", base / "down"

    def scp(*ends: str) -> None:
        program = base / "ssh"
        program.write_text(f'#!/bin/sh\nexec {shell} "$@"\n')
        program.chmod(0o755)
        subprocess.run(["scp", "-q", "-S", str(program), *ends], check=True)

    def rsync(*ends: str) -> None:
        subprocess.run(["rsync", "-t", "-e", shell, *ends], check=True)

    def ours(way: bool, engine: str | None) -> None:
        here = big if way else down
        copy(session, here, str(up), up=way, memory=base / "memory", show=False, engine=engine)

    def fresh(path: Path, work: Callable[[], None]) -> Callable[[], float]:
        def timed() -> float:
            path.unlink(missing_ok=True)
            began = time.perf_counter()
            work()
            return time.perf_counter() - began

        return timed

    for word, path, ends in (
        ("up", up, (str(big), f"{host}:{up}")),
        ("down", down, (f"{host}:{up}", str(down))),
    ):
        contenders = {
            "scp": fresh(path, lambda ends=ends: scp(*ends)),
            "rsync": fresh(path, lambda ends=ends: rsync(*ends)),
            f"{word}load": fresh(path, lambda w=word: ours(w == "up", None)),
            f"{word}load, without rsync": fresh(path, lambda w=word: ours(w == "up", "plain")),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(6):
            for name, contender in contenders.items():
                took = contender()
                if turn:
                    seconds[name].append(took)
        speeds = {name: size * 1.048576 / report.median(each) for name, each in seconds.items()}
        report.table(
            f"{size} MB {word}", ["", "MB/s", "to rsync", "to scp"],
            [[name, speed, report.ratio(speed, speeds["rsync"]), report.ratio(speed, speeds["scp"])]
             for name, speed in speeds.items()],
        )  # fmt: skip
