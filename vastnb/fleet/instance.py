"""Handles: one machine, or several, that can be acted on and that end with their block.

A handle holds an id and the last record that was seen; it acts through the client's verbs. As a
context manager it destroys its machine at the end, whatever happens in the block.
"""

from __future__ import annotations

import asyncio
import copy
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, overload

import pandas as pd

from vastnb.fleet import connect
from vastnb.fleet.listing import record_of
from vastnb.fleet.status import Verdict, Wanted
from vastnb.remote.verbs import OnMachine, OnMachines
from vastnb.values import number

if TYPE_CHECKING:
    from vastnb.api.transport import Transport
    from vastnb.fleet.rent.renter import Renter
    from vastnb.fleet.watch.picture import Watched
    from vastnb.fleet.watch.watcher import Watcher
    from vastnb.remote.jobs import Job


class Verbs(Protocol):
    """What a handle needs of a client."""

    @property
    def transport(self) -> Transport:
        """The way to the service."""

    @property
    def renter(self) -> Renter:
        """Guards and ends machines."""

    @property
    def watcher(self) -> Watcher:
        """The picture of all instances."""

    def on_close(self, callback: Callable[[], object]) -> None:
        """Have `callback` called when the client closes."""

    def wait(
        self, ids: int | Sequence[int], until: Wanted, timeout: float, *, reachable: bool
    ) -> object:
        """Wait."""

    async def wait_async(
        self, ids: int | Sequence[int], until: Wanted, timeout: float, *, reachable: bool
    ) -> object:
        """Wait, and leave the kernel free."""

    @property
    def logs(self) -> Callable[..., str]:
        """Return a log."""

    def start_instance(self, id: int) -> None:
        """Start it."""

    def stop_instance(self, id: int) -> None:
        """Stop it."""

    def reboot_instance(self, id: int) -> None:
        """Stop and start its container."""

    def label_instance(self, id: int, label: str | None) -> None:
        """Give it another label."""

    def change_bid(self, id: int, price: float) -> None:
        """Bid another price."""

    def destroy_instance(self, id: int | Sequence[int], *, verify: bool) -> None:
        """Destroy it."""


class Block:
    """Something that is destroyed at the end of its ``with`` block, whatever happens in it.

    It belongs to the process that made it: a fork that ends destroys nothing of its parent's.
    """

    _pid: int = 0

    def destroy(self) -> None:
        """Destroy it."""
        raise NotImplementedError

    @property
    def _is_over(self) -> bool:
        """Whether it has been destroyed already."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._pid = os.getpid()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pid == os.getpid() and not self._is_over:
            self.destroy()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Shielded: that the task is cancelled must not leave a machine.
        await asyncio.shield(asyncio.to_thread(self.__exit__, kind, error, trace))


class Instance(OnMachine, Block):
    """One rented machine.

    Parameters
    ----------
    client : Client
        The client that it acts through.
    id : int
        The instance.
    record : mapping, optional
        Its record, as Vast.ai lists it.
    wanted : {"running", "stopped", "gone"}, optional
        The state that it should have.
    attempts : DataFrame, optional
        What happened to each offer until it was rented.

    Attributes
    ----------
    attempts : DataFrame or None
        One row per offer that was considered: ``offer_id``, ``machine_id``, ``gpu``, ``dph``
        ($/h with the disk), ``outcome``, ``instance_id``, ``reason``.

    Examples
    --------
    >>> with client.rent("gpu_name=RTX_4090", image="pytorch/pytorch") as box:  # doctest: +SKIP
    ...     box.wait()
    ...     print(box.ssh_command)
    """

    def __init__(
        self,
        client: Verbs,
        id: int,
        *,
        record: Mapping[str, Any] | None = None,
        wanted: Wanted | None = None,
        attempts: pd.DataFrame | None = None,
    ) -> None:
        self._client = client
        self._id = id
        self._record: dict[str, Any] | None = None
        self._record_at = -math.inf
        self._wanted: Wanted | None = wanted
        self._verdict: Verdict | None = None
        self.attempts = attempts
        self._new_in = os.getpid() if attempts is not None else 0
        if wanted is not None:
            client.watcher.expect(id, wanted, acted=False)
        if record is not None:
            self._saw(record, client.transport.clock.time())

    @property
    def id(self) -> int:
        """The instance's id."""
        self._new_in = 0
        return self._id

    def __enter__(self) -> Self:
        self._new_in = 0
        return super().__enter__()

    def __del__(self) -> None:
        """Say that it bills, if it was just rented and nobody has got hold of it: by a Ctrl-C."""
        new = self.__dict__.get("_new_in") == os.getpid() and self._wanted != "gone"
        if new and not sys.is_finalizing():
            sys.stderr.write(
                f"Instance {self._id} was rented, but its handle was not kept: it is billing. "
                f"client.destroy_instance({self._id}) destroys it.\n"
            )

    @property
    def label(self) -> str | None:
        """Its label, as last seen."""
        watched = self._watched
        text = (watched.record if watched else self._record or {}).get("label")
        return text if isinstance(text, str) else None

    @property
    def status(self) -> str:
        """Its current state: one word, see `vastnb.fleet.status.STATES`.

        Updates all instances at once, unless that was done in the last five seconds.
        """
        watcher = self._client.watcher
        shown = watcher.snapshot if watcher.is_recent else watcher.look(at_once=True)
        one = None if shown.error or shown.doubted else shown.of(self._id)
        return (one.verdict if one else self.look()).state

    @property
    def ssh_command(self) -> str | None:
        """The SSH command that logs in; None while there is no address."""
        return connect.ssh_command(self._known())

    @property
    def jupyter_url(self) -> str | None:
        """The address of its Jupyter, with the token (a secret); None if it has none."""
        return connect.jupyter_url(self._known())

    def ssh_config(
        self, alias: str | None = None, *, key_file: str | PurePath | None = None
    ) -> str | None:
        """Return a block for ``~/.ssh/config``; None while there is no address.

        Parameters
        ----------
        alias : str, optional
            What to call it; by default ``vast-<id>``.
        key_file : path, optional
            The private key to use.
        """
        return connect.ssh_config(self._known(), alias, key_file=key_file)

    def scp(
        self, source: str | PurePath, target: str = "/workspace/", *, download: bool = False
    ) -> str | None:
        """Return the ``scp`` command that copies files; None while there is no address.

        Parameters
        ----------
        source, target : path
            From this computer to the instance; with `download`, the other way.
        download : bool
            Copy from the instance.
        """
        return connect.scp_command(self._known(), source, target, download=download)

    def rsync(
        self, source: str | PurePath, target: str = "/workspace/", *, download: bool = False
    ) -> str | None:
        """Return the ``rsync`` command that copies files and can be resumed; see `scp`."""
        return connect.rsync_command(self._known(), source, target, download=download)

    @property
    def deadline(self) -> datetime | None:
        """When it will be destroyed (UTC), as stored on this computer; None means never."""
        return self._client.renter.deadline_of(self._id)

    def extend(self, hours: float) -> datetime | None:
        """Move its deadline; without one, set it to this many hours from now.

        Parameters
        ----------
        hours : float
            How much longer.

        Returns
        -------
        datetime
            The new deadline (UTC).

        Raises
        ------
        InvalidRequest
            If vastnb did not rent it on this computer, or it is gone.
        """
        return self._client.renter.extend(self._id, hours)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the last update: state, reason, advice. Sends no request."""
        watched = self._watched
        return watched.verdict if watched else self._verdict

    def look(self, *, max_wait: float | None = None) -> Verdict:
        """Update it, and return the verdict.

        Parameters
        ----------
        max_wait : float, optional
            Seconds that this may take in all; by default the client's.

        Returns
        -------
        Verdict
            ``state``, ``reason``, ``advice``.
        """
        asked_at = self._client.transport.clock.time()
        record = record_of(self._client.transport.call, self._id, max_wait)
        return self._saw(record, asked_at)

    def record(self) -> dict[str, Any]:
        """Return Vast.ai's record of it, including secrets (Jupyter token, environment)."""
        return copy.deepcopy(self._known())

    def wait(
        self, until: Wanted = "running", timeout: float = 900, *, reachable: bool = False
    ) -> Self:
        """Wait until it is running (or stopped, or gone).

        Parameters
        ----------
        until : {"running", "stopped", "gone"}
            What to wait for.
        timeout : float
            Seconds.
        reachable : bool
            Also wait until SSH answers: most machines that fail are shown as running.

        Returns
        -------
        Instance
            Itself.

        Raises
        ------
        InstanceFailed
            If it will not get there on its own; the message says why and what to do. It still
            exists and may bill.
        WaitTimeout
            If it takes longer. It still exists and may bill.
        """
        self._client.wait(self._id, until, timeout, reachable=reachable)
        return self

    async def wait_async(
        self, until: Wanted = "running", timeout: float = 900, *, reachable: bool = False
    ) -> Self:
        """Wait without blocking the kernel: ``await box.wait_async()``."""
        await self._client.wait_async(self._id, until, timeout, reachable=reachable)
        return self

    def start(self, command: str | None = None, **options: Any) -> Job | None:
        """Start it; see `Client.start_instance`. With a command: start that as a job on it.

        Parameters
        ----------
        command : str, optional
            A shell command; it keeps running without the connection and this kernel.
        **options
            ``name`` (for `job`), ``cwd`` (by default the workspace).

        Returns
        -------
        Job or None
            The job: ``.tail()``, ``.wait()``, ``.stop()``.
        """
        if command is not None:
            return self._begin(command, **options)
        self._client.start_instance(self._id)
        self._wanted = "running"
        return None

    def stop(self) -> None:
        """Stop it: releases its GPUs, keeps its disk, which is still billed."""
        self._client.stop_instance(self._id)
        self._wanted = "stopped"

    def reboot(self) -> None:
        """Restart its container without releasing its GPUs."""
        self._client.reboot_instance(self._id)

    def rename(self, label: str | None) -> None:
        """Change its label; None removes it."""
        self._client.label_instance(self._id, label)

    def change_bid(self, price: float) -> None:
        """Change its bid, $/h."""
        self._client.change_bid(self._id, price)

    def logs(self, tail: int = 1000, **options: Any) -> str:
        """Return the last lines of its log; see `Client.logs`."""
        return self._client.logs(self._id, tail, **options)

    def destroy(self, *, verify: bool = True) -> None:
        """Destroy it and its disk; see `Client.destroy_instance`."""
        self._client.destroy_instance(self._id, verify=verify)
        self._wanted = "gone"

    @property
    def _is_over(self) -> bool:
        return self._wanted == "gone" or self._client.renter.has_ended(self._id)

    def __repr__(self) -> str:
        watched, verdict = self._watched, self.verdict
        record = watched.record if watched else self._record or {}
        parts: list[str] = [verdict.state if verdict else "not checked yet"]
        if record.get("gpu_name"):
            parts.append(f"{record.get('num_gpus')}x {str(record['gpu_name'])[:40]}")
        price = number(record.get("dph_total"))
        if price is not None:
            parts.append(f"${price:.4f}/h")
        if self.label:
            parts.append(repr(self.label[:60]))
        return f"<Instance {self._id}: {', '.join(parts)}>"

    # -- in private --------------------------------------------------------------------------

    @property
    def _watched(self) -> Watched | None:
        return self._client.watcher.snapshot.of(self._id)

    def _known(self) -> dict[str, Any]:
        watched = self._watched
        changed = watched is not None and watched.since > self._record_at
        if changed or self._record is None or self._record.get("actual_status") != "running":
            self.look()
        return self._record or {}

    def _saw(self, record: Mapping[str, Any] | None, asked_at: float) -> Verdict:
        self._record = dict(record) if record is not None else None
        self._record_at = asked_at
        self._verdict = self._client.watcher.saw(self._id, record, asked_at).verdict
        return self._verdict


class Fleet(OnMachines, Block, Sequence[Instance]):
    """Several machines that were rented together; a sequence of `Instance`.

    Parameters
    ----------
    client : Client
        The client that they act through.
    instances : sequence of Instance
        The machines.
    wanted : int
        How many were requested.
    attempts : DataFrame
        What happened to each offer.
    """

    def __init__(
        self,
        client: Verbs,
        instances: Sequence[Instance],
        *,
        wanted: int,
        attempts: pd.DataFrame,
    ) -> None:
        self._client = client
        self._instances = tuple(instances)
        self.wanted = wanted
        self.attempts = attempts

    @property
    def ids(self) -> list[int]:
        """The ids of the machines."""
        return [one.id for one in self._instances]

    @property
    def complete(self) -> bool:
        """Whether there are as many as requested."""
        return len(self._instances) == self.wanted

    def wait(
        self, until: Wanted = "running", timeout: float = 900, *, reachable: bool = False
    ) -> Self:
        """Wait until all of them are running; see `Instance.wait`."""
        self._client.wait(self.ids, until, timeout, reachable=reachable)
        return self

    async def wait_async(
        self, until: Wanted = "running", timeout: float = 900, *, reachable: bool = False
    ) -> Self:
        """Wait without blocking the kernel: ``await fleet.wait_async()``."""
        await self._client.wait_async(self.ids, until, timeout, reachable=reachable)
        return self

    def destroy(self, *, verify: bool = True) -> None:
        """Destroy all of them; see `Client.destroy_instance`."""
        left = [one for one in self._instances if not one._is_over]
        if left:
            self._client.destroy_instance([one.id for one in left], verify=verify)
        for one in left:
            one._wanted = "gone"

    @property
    def _is_over(self) -> bool:
        return all(one._is_over for one in self)

    @overload
    def __getitem__(self, index: int) -> Instance: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Instance]: ...
    def __getitem__(self, index: int | slice) -> Instance | Sequence[Instance]:
        return self._instances[index]

    def __len__(self) -> int:
        return len(self._instances)

    def __iter__(self) -> Iterator[Instance]:
        return iter(self._instances)

    def __repr__(self) -> str:
        return f"<Fleet of {len(self)}: {', '.join(str(one) for one in self.ids)}>"


def one_of(client: Verbs, ids: Sequence[int], wanted: int, attempts: pd.DataFrame) -> Instance:
    """Return the handle of a machine that was just rented."""
    return Instance(client, ids[0], wanted="running", attempts=attempts)


def handle_of(
    client: Verbs, ids: Sequence[int], wanted: int, attempts: pd.DataFrame
) -> Instance | Fleet:
    """Return the handle of what was just rented: one machine, or several."""
    if wanted == 1:
        return one_of(client, ids, wanted, attempts)
    handles = [one_of(client, [id], 1, attempts) for id in ids]
    return Fleet(client, handles, wanted=wanted, attempts=attempts)
