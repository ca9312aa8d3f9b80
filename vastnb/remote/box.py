"""An instance's connection: its address and host key, when to wait, and what to say in errors.

One session per account and instance in a process, whichever handle asks. It is closed when the
machine is destroyed, with the client, and with the process.
"""

from __future__ import annotations

import atexit
import contextlib
import ipaddress
import os
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from vastnb.api.files import data_dir
from vastnb.api.secret import veil
from vastnb.api.text import is_local
from vastnb.errors import ConnectionLost, InvalidRequest, LoginRefused, VastError
from vastnb.fleet import connect
from vastnb.fleet.costs import dph_now
from vastnb.fleet.status import TO_DO
from vastnb.fleet.watch.probe import may_be_tried
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.session import Session, Standing
from vastnb.remote.ssh import Target

if TYPE_CHECKING:
    from vastnb.remote.copying import Copied
    from vastnb.remote.machine import Machine
    from vastnb.remote.ports import Link

PATIENCE: Final = 20.0
"""Seconds for a server that has just said its first word to let somebody in."""
ASKING: Final = 8.0
"""Seconds to ask the service how a machine is whose connection broke."""
ENDED: Final = frozenset({"stopped", "outbid", "failed"})
"""States in which nothing runs on a machine, and its disk is there."""

_sessions: dict[tuple[str, int], Session] = {}
_kernels: dict[tuple[str, int, str], RemoteKernel] = {}
_lock = threading.Lock()


def _in_a_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _kernels.clear()  # their sockets are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_fork)


def session_of(instance: Machine, timeout: float = 900.0) -> Session:
    """Return an instance's session, connected.

    Parameters
    ----------
    instance : Machine
        The machine. One that is starting is waited for, with progress.
    timeout : float
        Seconds to wait.
    """
    client = instance._client
    key = (client.transport.account, instance.id)
    with _lock:
        session = _sessions.get(key)
        if session is None:
            places = Places(instance)
            session = Session(places.targets, about=places.about, instance_id=instance.id)
            _sessions[key] = session
            client.on_close(lambda: _forget(key))
    if session.is_open:
        return session
    try:
        # A machine that is starting is waited for below, with progress.
        session.open(0.0 if instance._record is None or _is_young(instance) else None)
    except (ConnectionLost, LoginRefused) as refused:
        # After a start the server comes late, and the keys a little later still.
        if isinstance(refused, LoginRefused) and not _is_young(instance):
            raise
        if isinstance(refused, ConnectionLost) and refused.ended:
            raise
        instance.wait(timeout=timeout, reachable=True)
        session.open(PATIENCE, keys_may_come=_is_young(instance))
    return session


def open_session(account: str, number: int) -> Session | None:
    """Return the session of an instance if it is connected. Connects to nothing."""
    with _lock:
        session = _sessions.get((account, number))
    return session if session is not None and session.is_open else None


class Places:
    """Where an instance can be reached, and what can be said of it.

    Parameters
    ----------
    instance : Machine
        The machine.
    """

    def __init__(self, instance: Machine) -> None:
        self._instance = instance
        self._local = is_local(instance._client.transport.base_url)

    def targets(self, attempt: int = 0) -> list[Target]:
        """Return the addresses that may be tried: the direct one first, the proxy's after it."""
        instance = self._instance
        if attempt % 10 == 1:  # a machine that was started again has other ports
            with contextlib.suppress(VastError):  # what is known is tried all the same
                instance.look()
        record = instance._known()
        key_file, place = self.keys()
        found = []
        for way in ("direct", "proxy"):
            address = connect.ssh_address(record, way)
            if address is not None and self._may(address.host, way):
                found.append(
                    Target(
                        address.host,
                        address.port,
                        f"vast-{instance.id}",
                        place / "known_hosts",
                        key_file=key_file,
                    )
                )
        return found

    def keys(self) -> tuple[Path | None, Path]:
        """Return the key to use, if it is not ssh's choice, and where to keep what is known of it.

        A simulated machine's things go with its market: the next one has the same ids.
        """
        server = getattr(self._instance._client, "server", None)
        key_file: Path | None = getattr(server, "ssh_key_file", None)
        base = key_file.parent if key_file is not None else data_dir()
        if key_file is None and self._local:  # a market of another process
            base = _passing()
        return key_file, base / "machines" / str(self._instance.id)

    def about(self) -> Standing:
        """Say how the machine is, and what it costs."""
        instance = self._instance
        try:
            verdict = instance.look(max_wait=ASKING)
        except VastError:
            return Standing("Its state could not be checked: it may still bill.")
        if verdict.state == "gone" or instance._record is None:
            return Standing(
                "Vast.ai no longer lists this instance: it was destroyed, and it is not billed.",
                "Everything on it is gone, including its files.",
            )
        price = dph_now(instance._record or {})
        money = "an unknown price" if price is None else f"${price:.4f}/h"
        shown = f"Vast.ai shows it as {verdict.state}"
        if verdict.state == "running":
            return Standing(f"{shown}; it bills {money} until it is destroyed.")
        shown += f" ({verdict.reason.rstrip('.')})"
        if verdict.state not in ENDED:
            return Standing(f"{shown}; it is billed {money} until it is destroyed.")
        advice = TO_DO[verdict.advice]
        return Standing(
            f"{shown}; its disk is billed {money} until it is destroyed."
            + (f" {advice}." if advice else ""),
            "Everything that ran on it has ended, kernels included; its files are kept.",
        )

    def _may(self, host: str, way: str = "direct") -> bool:
        """Say whether an address may be tried: a host could name one of the user's network.

        A name could mean anything here: the user's own ``Host`` entries, this computer
        (``localhost``, ``0x7f000001``), whatever its owner lets it resolve to. Only the service's
        proxies have names.
        """
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return way == "proxy" and not self._local and host.lower().endswith(".vast.ai")
        return may_be_tried(host, local=self._local)


@cache
def _passing() -> Path:
    place, owner = tempfile.mkdtemp(prefix="vastnb-"), os.getpid()
    atexit.register(
        lambda: shutil.rmtree(place, ignore_errors=True) if os.getpid() == owner else None
    )
    return Path(place)


def _is_young(instance: Machine) -> bool:
    began = (instance._record or {}).get("start_date")
    now = instance._client.transport.clock.time()
    return isinstance(began, int | float) and now - began < 300


def kernel_of(
    instance: Machine, name: str = "default", *, python: str | None = None, trust: bool = False
) -> RemoteKernel:
    """Return a kernel on an instance, connected; the same one for the same name."""
    session = session_of(instance)
    key = (instance._client.transport.account, instance.id, name)
    with _lock:
        kernel = _kernels.get(key)
        if kernel is None or kernel.session is not session:
            kernel = _kernels[key] = RemoteKernel(session, name, python=python, trust=trust)
    kernel.trust = trust
    return kernel.open()


def copy(
    instance: Machine, here: str | Path | None, there: str | None, *, up: bool, **options: Any
) -> Copied:
    """Copy files to or from an instance; see `vastnb.remote.copying.copy`."""
    from vastnb.remote.copying import copy as do_copy

    session = session_of(instance)
    record = instance._record or {}
    price = record.get("inet_down_cost" if up else "inet_up_cost")
    return do_copy(
        session,
        here,
        there,
        up=up,
        memory=Places(instance).keys()[1] / "copied.json",
        price=float(price) if isinstance(price, int | float) else None,
        **options,
    )


def jupyter(instance: Machine) -> Link:
    """Bring an instance's own Jupyter here."""
    from vastnb.remote.ports import forward

    session = session_of(instance)
    token = veil(instance.record().get("jupyter_token"))  # verbose tracebacks show locals
    if connect.jupyter_url(instance._known()) is None or not isinstance(token, str):
        raise InvalidRequest(
            f"Instance {instance.id} has no Jupyter server. Rent with runtype='jupyter', or use "
            "box.install_kernel(), which needs none."
        )
    return forward(session, 8080, query=veil(f"token={quote(token, safe='')}"))


def forget_host_key(instance: Machine) -> None:
    """Forget an instance's host key."""
    (Places(instance).keys()[1] / "known_hosts").unlink(missing_ok=True)
    disconnect(instance)


def disconnect(instance: Machine) -> None:
    """End an instance's connection; the next call makes a new one."""
    _forget((instance._client.transport.account, instance.id))


def put_away(account: str, number: int) -> None:
    """Put away what belongs to a machine that is destroyed."""
    _forget((account, number))
    shutil.rmtree(data_dir() / "machines" / str(number), ignore_errors=True)


def _forget(key: tuple[str, int]) -> None:
    with _lock:
        session = _sessions.pop(key, None)
        kernels = [_kernels.pop(one) for one in list(_kernels) if one[:2] == key]
    if session is not None:
        session.close()
    for kernel in kernels:
        kernel.close()


__all__ = ["Places", "kernel_of", "open_session", "put_away", "session_of"]
