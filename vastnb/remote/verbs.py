"""What a handle can do on its machine. Nothing is imported before it is used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from vastnb.remote.copying import Copied
    from vastnb.remote.jobs import Job
    from vastnb.remote.kernel import RemoteKernel
    from vastnb.remote.load import Load
    from vastnb.remote.ports import Link
    from vastnb.remote.run import Result, Show
    from vastnb.remote.session import Session

log = logging.getLogger("vastnb.remote")


class OnMachine:
    """The verbs of one machine. A part of `vastnb.fleet.instance.Instance`."""

    def session(self: Any) -> Session:
        """Return the SSH connection that all methods share; connects if necessary.

        Raises
        ------
        ConnectionLost, LoginRefused, HostKeyChanged
            If the connection cannot be made.
        """
        from vastnb.remote.box import session_of

        return session_of(self)

    def run(
        self,
        command: str,
        *,
        check: bool = False,
        cwd: str | None = None,
        input: str | bytes | None = None,
        timeout: float | None = None,
        show: bool | Show = True,
    ) -> Result:
        """Run a command on the machine and stream its output.

        Ctrl-C interrupts the command on the machine; the connection stays usable.

        Parameters
        ----------
        command : str
            A shell command, run in the environment of the container. It does not appear in the
            arguments of any process on this computer.
        check : bool
            Raise an error if its exit code is not 0.
        cwd : str, optional
            Working directory; by default, and if relative, in the workspace (``/workspace``).
        input : str or bytes, optional
            Its standard input.
        timeout : float, optional
            Seconds after which the command is stopped.
        show : bool or callable
            Whether to show its output, or a function that shows it: called with the text and
            whether it comes from stderr.

        Returns
        -------
        Result
            ``code``, ``out``, ``err``.

        Raises
        ------
        ConnectionLost
            If the connection is lost: the command may still be running.
        CommandFailed
            With `check`.
        WaitTimeout
            If it takes longer than `timeout`.

        Examples
        --------
        >>> box.run("nvidia-smi", check=True)  # doctest: +SKIP
        """
        from vastnb.remote.run import run

        return run(
            self.session(), command, check=check, cwd=cwd, input=input, timeout=timeout, show=show
        )

    def job(self, name: str) -> Job:
        """Return a job by its name, also if another kernel started it."""
        from vastnb.remote.jobs import Job

        return Job(self.session(), name)

    def jobs(self) -> list[Job]:
        """Return the jobs on the machine, including ended ones, latest last."""
        from vastnb.remote.jobs import jobs

        return jobs(self.session())

    def upload(self: Any, source: str | Path, target: str | None = None, **options: Any) -> Copied:
        """Copy files to the machine: only what has changed and is not excluded.

        Parameters
        ----------
        source : path
            A file or directory on this computer; with a trailing ``/``, its contents.
        target : str, optional
            Where to; by default, and if relative, in the workspace (``/workspace``).
        **options
            ``exclude`` (patterns as in .gitignore), ``gitignore`` (follow those files; True),
            ``overwrite`` (also replace files that vastnb did not copy there; False), ``ask`` and
            ``show``; see `vastnb.remote.copying.copy`.

        Returns
        -------
        Copied
            What was copied, and what its traffic costs.

        Raises
        ------
        WouldOverwrite
            If other files with these names exist there. Nothing was copied.
        CopyFailed
            If the disk is full, or a file cannot be read or written.
        InvalidRequest
            For ``/``, ``/root`` and other system directories.
        """
        from vastnb.remote.box import copy

        return copy(self, source, target, up=True, **options)

    def download(
        self: Any, source: str, target: str | Path | None = None, **options: Any
    ) -> Copied:
        """Copy files from the machine; see `upload`.

        Parameters
        ----------
        source : str
            A file or directory on the machine; with a trailing ``/``, its contents.
        target : path, optional
            Where to; by default the current directory, under the same name.
        **options
            As for `upload`; .gitignore is ignored. ``.git`` and ``__pycache__`` are never copied:
            code in them could run on this computer.
        """
        from vastnb.remote.box import copy

        return copy(self, target, source, up=False, **options)

    def forward(self, port: int, local: int | None = None, *, host: str = "localhost") -> Link:
        """Forward a port of the machine to this computer, while this kernel lives.

        Parameters
        ----------
        port : int
            A port that something on the machine listens on: 8888, 6006, 8000.
        local : int, optional
            The local port; by default the same number if it is free, else any.
        host : str
            The address that it listens on, as seen from the machine.

        Returns
        -------
        Link
            ``link.url``, ``link.close()``. It listens on the loopback interface only, and
            reconnects after a drop.
        """
        from vastnb.remote.ports import forward

        return forward(self.session(), port, local, host=host)

    def jupyter(self: Any) -> Link:
        """Forward the machine's own Jupyter to this computer, without certificate warnings.

        Returns
        -------
        Link
            Shows a clickable link. Its ``url`` contains the token: anyone who has it can run code
            on the machine.
        """
        from vastnb.remote.box import jupyter

        return jupyter(self)

    def kernel(
        self: Any, name: str = "default", *, python: str | None = None, trust: bool = False
    ) -> RemoteKernel:
        """Return an IPython kernel on the machine; an existing one keeps its variables.

        Parameters
        ----------
        name : str
            Which one: notebooks that use the same name share it.
        python : str, optional
            Path of a Python on the machine; by default the image's. If it lacks ipykernel, that
            is installed into a separate virtual environment.
        trust : bool
            Trust the machine's host: scripts in its outputs run in your page, and its pickles are
            loaded on this computer.

        Returns
        -------
        RemoteKernel
            ``execute(code)``, ``push({...})``, ``pull([...])``, ``interrupt()``, ``restart()``.

        Examples
        --------
        >>> %load_ext vastnb  # doctest: +SKIP
        >>> %%on box  # doctest: +SKIP
        ... import torch
        ... torch.cuda.get_device_name()
        """
        from vastnb.remote.box import kernel_of

        return kernel_of(self, name, python=python, trust=trust)

    def install_kernel(self: Any, **options: Any) -> str:
        """Add a kernel on the machine to Jupyter's list, for whole notebooks.

        It is removed from the list when vastnb destroys the machine.

        Parameters
        ----------
        **options
            ``name``, ``python`` of the kernel; see `kernel`.

        Returns
        -------
        str
            The name in the list.
        """
        from vastnb.remote.kernelspec import install

        return install(self, **options)

    def load(self) -> pd.DataFrame:
        """Return how busy the machine is now.

        Returns
        -------
        DataFrame
            One row per GPU: ``gpu``, ``gpu_util`` (%), ``vram_used_gb``, ``vram_gb``, ``temp_c``,
            ``power_w``; and of the machine ``ram_used_gb``, ``ram_gb``, ``disk_used_gb``,
            ``disk_gb``.
        """
        from vastnb.remote.load import load

        return load(self.session())

    def forget_host_key(self: Any) -> None:
        """Accept a new host key at the next connection, after you rebuilt the container."""
        from vastnb.remote.box import forget_host_key

        forget_host_key(self)

    def disconnect(self: Any) -> None:
        """Close the SSH connection and its forwarded ports; jobs and kernels keep running."""
        from vastnb.remote.box import disconnect

        disconnect(self)

    def _begin(self: Any, command: str, **options: Any) -> Job:
        """Start a command that runs by itself; `Instance.start` has the words."""
        from vastnb.remote.jobs import start

        return start(self.session(), command, **options)


class OnMachines:
    """The verbs of several machines. A part of `vastnb.fleet.instance.Fleet`."""

    def run(
        self: Any,
        command: str,
        *,
        check: bool = False,
        show: bool = True,
        **options: Any,
    ) -> pd.DataFrame:
        """Run a command on all machines side by side.

        Parameters
        ----------
        command : str
            A shell command; ``$VASTNB_RANK`` is the number of each machine among them, and
            ``$VASTNB_COUNT`` how many there are.
        check : bool
            Raise an error at the end if it failed on one of them.
        show : bool
            Stream the output, each line with its machine.
        **options
            ``cwd``, ``input``, ``timeout``; see `Instance.run`.

        Returns
        -------
        DataFrame
            One row per machine: ``instance_id``, ``code`` (missing if it has none), ``out``,
            ``err``, ``seconds``, ``error`` (why it has no code).

        Raises
        ------
        CommandFailed
            With `check`; ``error.result`` is the frame.
        """
        from vastnb.remote.fleet import run_on

        return run_on(self, command, check=check, show=show, **options)


def put_away(account: str, ids: Iterable[int]) -> None:
    """Put away what belongs to machines that are destroyed: connections, kernels in Jupyter's list.

    Parameters
    ----------
    account : str
        Whose they were.
    ids : iterable of int
        The machines.
    """
    from vastnb.api.files import data_dir

    used = "vastnb.remote.box" in sys.modules
    for number in ids:
        if used or (data_dir() / "machines" / str(number)).exists():
            from vastnb.remote import box, kernelspec

            try:
                kernelspec.uninstall(number)
                box.put_away(account, number)
            except OSError as error:  # the machine is gone, and that is what counts
                log.warning("what was kept of instance %s is still there: %s", number, error)


def is_connected(account: str, number: int) -> bool:
    """Say whether there is a connection to a machine."""
    box = sys.modules.get("vastnb.remote.box")
    return box is not None and box.open_session(account, number) is not None


def peek(account: str, number: int, timeout: float) -> Load | None:
    """Ask a machine how busy it is, over the connection that is there; None without an answer.

    Parameters
    ----------
    account : str
        Whose it is.
    number : int
        The machine.
    timeout : float
        Seconds to wait.
    """
    box = sys.modules.get("vastnb.remote.box")
    session = None if box is None else box.open_session(account, number)
    if session is None:
        return None
    from vastnb.remote import load

    return load.peek(session, timeout)


__all__ = ["OnMachine", "OnMachines", "is_connected", "peek", "put_away"]
