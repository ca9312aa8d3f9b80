"""The SSH servers of simulated machines: real ones, for the client that the market belongs to.

A connection that a machine's door accepts is served by asyncssh, in one thread for all machines.
What is run there runs on *this computer*, as its user, in a directory made for the machine (its
``$HOME``, and a workspace beside it), with a ``nvidia-smi`` that makes its figures up. Therefore:
the doors are on the loopback interface only, and nobody gets in without the private key that lies
in a directory of this server that only its user can read, or a key that was put into the account.
A machine that stops hangs up and takes its processes with it; one that is destroyed, its files.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncssh

from vastnb.sim.instances.instance import Instance

PULSE = 0.2
"""Seconds between two looks at what became of the machines."""

_NVIDIA_SMI = r"""#!PYTHON
import sys
name, count, total, used, util, temp, power = VALUES
known = {"name": name, "count": count, "memory.total": total, "memory.used": used,
    "memory.free": total - used, "utilization.gpu": util, "temperature.gpu": temp,
    "power.draw": power, "driver_version": "simulated"}
units = {"memory.total": " MiB", "memory.used": " MiB", "memory.free": " MiB",
    "utilization.gpu": " %", "power.draw": " W"}
asked = [a.split("=", 1)[1] for a in sys.argv if a.startswith(("--query-gpu=", "--format="))]
query = next((a.split("=", 1)[1] for a in sys.argv if a.startswith("--query-gpu=")), None)
form = next((a.split("=", 1)[1] for a in sys.argv if a.startswith("--format=")), "")
if query:
    fields = [f.strip() for f in query.split(",")]
    if "noheader" not in form:
        print(", ".join(fields))
    for index in range(count):
        one = {**known, "index": index}
        print(", ".join(str(one.get(f, "[N/A]")) + ("" if "nounits" in form else units.get(f, ""))
            for f in fields))
else:
    print("NVIDIA-SMI (simulated: this machine has no such GPU)")
    for index in range(count):
        print(f"| {index}  {name:<28} | {temp}C  {power}W | {used}MiB / {total}MiB | {util}% |")
"""


class Machine:
    """Where the commands of one simulated machine run."""

    def __init__(self, base: Path, instance: Instance) -> None:
        self.instance = instance
        self.base = base / str(instance.id)
        self.home, self.workspace = self.base / "root", self.base / "workspace"
        for place in (self.home, self.workspace, self.base / "bin"):
            place.mkdir(parents=True, exist_ok=True)
        smi = self.base / "bin" / "nvidia-smi"
        vram = int(float(instance.offer.get("gpu_ram") or 24576))
        name = f"NVIDIA {instance.offer.get('gpu_name') or 'GPU'} (simulated)"
        values = (name, instance.num_gpus, vram, vram // 12, 3, 41, 62)
        smi.write_text(
            _NVIDIA_SMI.replace("PYTHON", sys.executable).replace("VALUES", repr(values))
        )
        smi.chmod(0o755)
        self.ends, self.container = instance.ends, instance.containers
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.connections: set[asyncssh.SSHServerConnection] = set()
        self.groups: set[int] = set()

    @property
    def is_there(self) -> bool:
        """Whether its container is still the same one."""
        return self.instance.alive and self.container == self.instance.containers

    def keep_up(self) -> bool:
        """End what runs there if the machine was stopped, however briefly; return whether."""
        one = self.instance
        if self.ends == one.ends and one.answers and self.is_there:
            return False
        self.ends = one.ends
        self.stop()
        return True

    @property
    def environment(self) -> dict[str, str]:
        """What a login finds: nothing of this process but where programs are."""
        path = [str(self.base / "bin"), str(Path(sys.executable).parent)]
        given = {name: value for name, value in self.instance.env if name.isidentifier()}
        return {
            **given,
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "LOGNAME": "root",
            "PATH": os.pathsep.join([*path, "/usr/local/bin", "/usr/bin", "/bin"]),
            "SHELL": shutil.which("bash") or "/bin/sh",
            "SSH_CONNECTION": "127.0.0.1 0 127.0.0.1 22",
            "USER": "root",
            "VAST_SIMULATED": "1",
            "WORKSPACE": str(self.workspace),
        }

    def stop(self) -> None:
        """Hang up, and end whatever runs there."""
        for one in list(self.connections):
            one.abort()
        kept = [*self.home.glob(".vastnb/jobs/*/pid"), *self.home.glob(".vastnb/kernels/*/pid")]
        groups = set(self.groups)
        for file in kept:
            with contextlib.suppress(OSError, ValueError):
                group, began = int(file.read_text()), file.with_name("began")
                # Its number may be another process's by now: a signal must not reach that one.
                if group > 1 and _began(group) == began.read_text().strip():
                    groups.add(group)
        for file in self.home.glob(".vastnb/kernels/*/place"):
            place = Path(file.read_text().strip())
            if place.name.startswith("vnbk-"):
                shutil.rmtree(place, ignore_errors=True)
        for group in groups:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        self.groups.clear()


def _began(pid: int) -> str:
    """Return when a process began, as the machines note it (`vastnb.remote.session.BEGAN`)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        return stat.read_text().rpartition(")")[2].split()[19]
    line = ["ps", "-o", "lstart=", "-p", str(pid)]
    return subprocess.run(line, capture_output=True, text=True, check=False).stdout.strip()


class _Jupyter:
    """What answers at a machine's port 8080 if it was rented with Jupyter: one page, in TLS.

    As on the service its certificate is its own, and it wants the token of the machine's record.
    """

    def __init__(self, place: Path) -> None:
        self._certificate = place / "jupyter.pem"
        self._servers: dict[int, asyncio.Server] = {}

    async def port(self, machine: Machine) -> int:
        """Return where it listens on this computer."""
        server = self._servers.get(machine.instance.id)
        if server is None:
            server = await asyncio.start_server(
                partial(self._answer, machine.instance.jupyter_token),
                "127.0.0.1", 0, ssl=self._context(),
            )  # fmt: skip
            self._servers[machine.instance.id] = server
        return int(server.sockets[0].getsockname()[1])

    def _context(self) -> ssl.SSLContext:
        if not self._certificate.exists():
            self._certificate.touch(0o600)
            self._certificate.write_bytes(_own_certificate())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        return context

    async def _answer(
        self, token: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode(errors="replace")
            asked = parse_qs(urlsplit(head.split(" ")[1]).query).get("token", [""])[0]
            well = hmac.compare_digest(asked, token) or f"Authorization: token {token}" in head
            open_to_all = urlsplit(head.split(" ")[1]).path == "/api"
            status = "200 OK" if well or open_to_all else "403 Forbidden"
            body = b"This machine is simulated, and its Jupyter is this page." if well else b"{}"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n"
                "Content-Type: text/html\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        writer.close()


def _own_certificate() -> bytes:
    """Return a key and a certificate that nobody else vouches for."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "simulated")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1))
        .not_valid_after(datetime(2040, 1, 1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private + made.public_bytes(serialization.Encoding.PEM)


async def _join(
    port: int, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def pump(source: Any, target: Any) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while part := await source.read(1 << 16):
                target.write(part)
                await target.drain()
        target.close()

    await asyncio.gather(pump(reader, back), pump(there, writer))


class _Login(asyncssh.SSHServer):
    def __init__(
        self,
        machine: Machine,
        may_enter: Callable[[Instance, str], bool],
        jupyter: _Jupyter,
    ) -> None:
        self._machine = machine
        self._jupyter = jupyter
        self._may_enter = may_enter
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._machine.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._machine.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        text = " ".join(key.export_public_key().decode().split()[:2])
        return username == "root" and self._may_enter(self._machine.instance, text)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> Any:
        if dest_host not in ("127.0.0.1", "localhost", "::1"):
            return False
        if dest_port != 8080:
            return True
        if "jupyter" not in self._machine.instance.runtype:
            return False

        async def serve(
            reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]
        ) -> None:
            await _join(await self._jupyter.port(self._machine), reader, writer)

        return serve

    def unix_connection_requested(self, dest_path: str) -> bool:
        return dest_path.startswith(("/tmp/vnbk-", str(self._machine.base)))


class SSH:
    """The SSH servers of all machines.

    Parameters
    ----------
    keys_of : callable
        Returns the public keys of an instance's account, as they were put in.

    Attributes
    ----------
    place : Path
        A directory that only this user can read: the key, and the machines' files.
    key_file : Path
        The private key that opens every machine whose account has an SSH key.
    """

    def __init__(self, keys_of: Callable[[Instance], list[str]]) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="vastnb-sim-"))
        self.key_file = self.place / "key"
        key = asyncssh.generate_private_key("ssh-ed25519", comment="simulated")
        self.key_file.touch(0o600)
        key.write_private_key(str(self.key_file))
        self._public = " ".join(key.export_public_key().decode().split()[:2])
        self._keys_of = keys_of
        self._machines: dict[int, Machine] = {}
        self._jupyter = _Jupyter(self.place)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="vastnb-sim ssh", daemon=True)
        self._thread.start()

    def welcome(self, guest: socket.socket, instance: Instance) -> None:
        """Serve somebody who has come in by a machine's door."""
        self._do(self._welcome(guest, instance))

    def close(self) -> None:
        """End all connections and processes, and delete the machines' files."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _do(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError:  # it is closed
            coroutine.close()

    def _serve(self) -> None:
        pulse = self._loop.create_task(self._watch())
        try:
            self._loop.run_forever()
        finally:
            for machine in self._machines.values():
                machine.stop()
            pulse.cancel()
            with contextlib.suppress(Exception):
                left = asyncio.all_tasks(self._loop)
                for task in left:
                    task.cancel()
                self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()
            shutil.rmtree(self.place, ignore_errors=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PULSE)
            for machine in list(self._machines.values()):
                self._look_at(machine)

    def _look_at(self, machine: Machine) -> None:
        machine.keep_up()
        if not machine.is_there:
            shutil.rmtree(machine.base, ignore_errors=True)
            del self._machines[machine.instance.id]

    async def _welcome(self, guest: socket.socket, instance: Instance) -> None:
        if instance.id in self._machines:
            self._look_at(self._machines[instance.id])
        machine = self._machines.get(instance.id)
        if machine is None:
            machine = self._machines[instance.id] = Machine(self.place, instance)
        guest.setblocking(False)
        try:
            await asyncssh.run_server(
                guest,
                server_factory=lambda: _Login(machine, self._may_enter, self._jupyter),
                server_host_keys=[machine.key],
                server_version="simulated",
                process_factory=lambda process: _run(process, machine),
                sftp_factory=lambda channel: asyncssh.SFTPServer(
                    channel, chroot=str(machine.base).encode()
                ),
                allow_scp=False,
                encoding=None,
                line_editor=False,
                keepalive_interval=30,
            )
        except (OSError, asyncssh.Error):
            guest.close()

    def _may_enter(self, instance: Instance, key: str) -> bool:
        kept = [" ".join(one.split()[:2]) for one in self._keys_of(instance)]
        # Without a key in its account nobody gets into a machine: so it is on the real service.
        return bool(kept) and key in (*kept, self._public)


async def _run(process: asyncssh.SSHServerProcess[bytes], machine: Machine) -> None:
    command = process.command
    if machine.keep_up():  # this connection is of before
        return
    if command is None or process.term_type is not None:
        process.stdout.write(b"This machine is simulated: it runs commands, and has no terminal.\n")
        process.exit(1)
        return
    environment = machine.environment
    child = await asyncio.create_subprocess_exec(
        environment["SHELL"], "-c", command,
        cwd=machine.home, env=environment, start_new_session=True,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    machine.groups.add(child.pid)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    feeding = asyncio.create_task(_feed(process, child.stdin))
    try:
        # As with OpenSSH's server, whoever holds the output open keeps the call open.
        await asyncio.gather(
            _pass_on(child.stdout, process.stdout), _pass_on(child.stderr, process.stderr)
        )
        code = await child.wait()
    finally:
        feeding.cancel()
        machine.groups.discard(child.pid)
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


async def _feed(process: asyncssh.SSHServerProcess[bytes], child: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error, asyncssh.BreakReceived):
        while part := await process.stdin.read(1 << 16):
            child.write(part)
            await child.drain()
    with contextlib.suppress(OSError):
        child.close()


async def _pass_on(source: asyncio.StreamReader, guest: asyncssh.SSHWriter[bytes]) -> None:
    """Pass output on; what nobody hears any more is read all the same, up to the program's end."""
    heard = True
    while part := await source.read(1 << 16):
        if heard:
            try:
                guest.write(part)
                await guest.drain()
            except (OSError, asyncssh.Error):
                heard = False


__all__ = ["SSH", "Machine"]
