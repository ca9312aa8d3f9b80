"""A `jupyter_client` provisioner: Jupyter starts, interrupts and ends a kernel on a machine.

It runs in the Jupyter server. The kernel's sockets come here as Unix sockets, at paths that stay
the same over restarts and drops, so Jupyter's own connections find them again. A connection that
broke is made again whenever Jupyter asks whether the kernel lives, and as long as that fails the
kernel is taken to live: to start another would lose what the first one has.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import sys
from typing import Any

from jupyter_client.provisioning.provisioner_base import KernelProvisionerBase
from traitlets import Integer as Int
from traitlets import List, Unicode

from vastnb.errors import RemoteError
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.kernelspec import from_json
from vastnb.remote.session import Forward, Session

PORTS = {"shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5}


class MachineProvisioner(KernelProvisionerBase):
    """Starts kernels on one rented machine."""

    instance_id = Int(0, config=True)
    targets: Any = List(config=True)
    kernel = Unicode("notebook", config=True)
    python = Unicode(None, allow_none=True, config=True)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._session: Session | None = None
        self._there: RemoteKernel | None = None
        self._key = secrets.token_hex(24)
        self._pid = 0
        self._ways: list[Forward] = []

    @property
    def has_process(self) -> bool:
        """Whether there is a kernel."""
        return bool(self._pid)

    async def pre_launch(self, **options: Any) -> dict[str, Any]:
        """Prepare: nothing of this computer's goes to the machine."""
        return await super().pre_launch(cmd=[], **options)

    async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
        """Start the kernel, and bring its sockets here."""
        self.connection_info = await asyncio.to_thread(self._launch)
        return self.connection_info

    def _launch(self) -> Any:
        if self._session is None:
            targets = [from_json(one) for one in self.targets]
            self._session = Session(lambda attempt: targets, instance_id=self.instance_id)
        session = self._session
        session.open(patience=5.0)
        # Each notebook has one of its own.
        name = f"{self.kernel}-{(self.kernel_id or secrets.token_hex(4))[:8]}"
        self._there = RemoteKernel(session, name, python=self.python)
        self._pid, place, key, _ = self._there.find(key=self._key)
        self._drop_ways()
        for number in PORTS.values():
            way = Forward(f"{session.place}/k-{number}", f"{place}/s-{number}")
            session.forward(way)
            self._ways.append(way)
        return {
            "transport": "ipc",
            "ip": f"{session.place}/k",
            **PORTS,
            "key": key.encode(),
            "signature_scheme": "hmac-sha256",
        }

    def _drop_ways(self) -> None:
        assert self._session is not None
        for way in self._ways:
            with contextlib.suppress(RemoteError):
                self._session.unforward(way)
        self._ways = []

    async def poll(self) -> int | None:
        """Return None while the kernel lives, or cannot be asked."""
        if not self._pid:
            return 0
        return await asyncio.to_thread(self._poll)

    def _poll(self) -> int | None:
        assert self._session is not None
        try:
            return None if self._session.alive(self._pid) else 1
        except RemoteError as error:
            self.log.warning("The kernel on instance %s: %s", self.instance_id, error)
            return None

    async def wait(self) -> int | None:
        """Wait until the kernel has ended."""
        for _ in range(100):
            if await self.poll() is not None:
                break
            await asyncio.sleep(0.1)
        self._pid = 0
        return 0

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and what it has started."""
        if self._pid and self._session is not None:
            name = signal.Signals(signum).name.removeprefix("SIG")
            with contextlib.suppress(RemoteError):
                await asyncio.to_thread(self._session.kill, self._pid, name)

    async def kill(self, restart: bool = False) -> None:
        """End the kernel."""
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:
        """Ask the kernel to end."""
        await self.send_signal(signal.SIGTERM)

    async def cleanup(self, restart: bool = False) -> None:
        """Close the connection, unless another kernel follows."""
        if not restart and self._session is not None:
            session, self._session = self._session, None
            await asyncio.to_thread(session.close)


if __name__ == "__main__":
    sys.exit(
        "This Jupyter does not know vastnb's kernels: install vastnb[remote] into the environment "
        "that Jupyter itself runs in, and restart it."
    )

__all__ = ["MachineProvisioner"]
