"""OpenSSH's own sshd on a loopback port, with keys, configuration and home of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OpenSSH:
    """A server that lets one key in; whoever logs in finds `home`, and `home/workspace`.

    Parameters
    ----------
    base : Path
        An empty directory.
    more : str
        Lines of its configuration.
    """

    def __init__(self, base: Path, more: str = "") -> None:
        assert SSHD is not None
        self.base = base
        self.home = base / "root"
        self.workspace = base / "workspace"
        self.key = base / "id"
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.port = free_port()
        for directory in (self.home, self.workspace):
            directory.mkdir(parents=True)
        for name in ("id", "host"):
            _keygen(base / name)
        shutil.copy(base / "id.pub", base / "authorized_keys")
        base.chmod(0o700)
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        # What a machine's image puts into its environment; no variable of the test's own.
        path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        (base / "config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {base}/host\n"
            f"AuthorizedKeysFile {base}/authorized_keys\nPidFile {base}/pid\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            "PermitRootLogin yes\nSubsystem sftp internal-sftp\nMaxStartups 100\n"
            f"SetEnv HOME={self.home} WORKSPACE={self.workspace} PATH={path}\n{more}"
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        log = (self.base / "log").open("ab")
        self._process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.base / "config")], stdout=log, stderr=log
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as door:
                    if door.recv(4) == b"SSH-":
                        return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError((self.base / "log").read_text())

    def new_host_key(self) -> None:
        for end in ("host", "host.pub"):
            (self.base / end).unlink()
        _keygen(self.base / "host")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


def _keygen(path: Path) -> None:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30
    )
