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
        """Return the SSH connection that all verbs share; connects, and waits for the server.

        Raises
        ------
        ConnectionLost, LoginRefused, HostKeyChanged
            If it cannot be made.
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
        """Run a command on the machine, and show its output as it comes.

        Ctrl-C interrupts the command there, and leaves the connection usable.

        Parameters
        ----------
        command : str
            What the machine's shell is to run, in the environment that the container was given.
            It is an argument of no process on this computer.
        check : bool
            Raise an error if it ends with another code than 0.
        cwd : str, optional
            Where; by default, and if relative, in the workspace (``/workspace``).
        input : str or bytes, optional
            Its standard input.
        timeout : float, optional
            Seconds, after which it is ended there.
        show : bool or callable
            Whether its output is shown, or what shows it: given the text, and whether it is of
            the errors.

        Returns
        -------
        Result
            ``code``, ``out``, ``err``.

        Raises
        ------
        ConnectionLost
            If the connection breaks: the command may run on there.
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
        """Return a job by its name, whoever has started it."""
        from vastnb.remote.jobs import Job

        return Job(self.session(), name)

    def jobs(self) -> list[Job]:
        """Return the jobs on the machine, ended ones too, the latest last."""
        from vastnb.remote.jobs import jobs

        return jobs(self.session())

    def upload(self: Any, source: str | Path, target: str | None = None, **options: Any) -> Copied:
        """Copy files to the machine; only what has changed, and what is not excluded.

        Parameters
        ----------
        source : path
            A file or a directory of this computer; of one that ends in ``/``, the contents.
        target : str, optional
            Where; by default, and if relative, in the workspace (``/workspace``).
        **options
            ``exclude`` (patterns as in .gitignore), ``gitignore`` (heed those files; True),
            ``overwrite`` (replace files that are not copies of these; False), ``ask`` and
            ``show``; see `vastnb.remote.copying.copy`.

        Returns
        -------
        Copied
            What was copied, and what its traffic costs.

        Raises
        ------
        WouldOverwrite
            If other files are there under these names. Nothing was copied.
        CopyFailed
            If the disk there is full, or a file cannot be read or written.
        InvalidRequest
            For ``/``, ``/root`` and other directories that the machine lives on.
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
            A file or a directory of the machine; of one that ends in ``/``, the contents.
        target : path, optional
            Where; by default here, under the same name.
        **options
            As for `upload`; .gitignore is not heeded. ``.git`` and ``__pycache__`` are always left
            out: what a machine puts there would run on this computer.
        """
        from vastnb.remote.box import copy

        return copy(self, target, source, up=False, **options)

    def forward(self, port: int, local: int | None = None, *, host: str = "localhost") -> Link:
        """Bring a port of the machine to this computer, for as long as this kernel lives.

        Parameters
        ----------
        port : int
            A port that something listens at there: 8888, 6006, 8000.
        local : int, optional
            Under which number here; by default the same if it is free, else any.
        host : str
            The machine's name for where it listens.

        Returns
        -------
        Link
            ``link.url``, ``link.close()``. It is listened at on the loopback interface only, and
            again after a drop.
        """
        from vastnb.remote.ports import forward

        return forward(self.session(), port, local, host=host)

    def jupyter(self: Any) -> Link:
        """Bring the machine's own Jupyter to this computer, without a certificate to confirm.

        Returns
        -------
        Link
            Shows a link that can be clicked. Its ``url`` has the token: whoever has it runs code
            on the machine.
        """
        from vastnb.remote.box import jupyter

        return jupyter(self)

    def kernel(
        self: Any, name: str = "default", *, python: str | None = None, trust: bool = False
    ) -> RemoteKernel:
        """Return an IPython kernel on the machine, with its variables if it was there before.

        Parameters
        ----------
        name : str
            Which one: notebooks that name the same share it.
        python : str, optional
            Path of the machine's Python; by default the image's. Where it lacks ipykernel, that
            is installed into a virtual environment of its own.
        trust : bool
            Trust the machine's host: scripts in its outputs run in your page, and values that it
            pickled are unpickled here.

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
        """Put a kernel on the machine into Jupyter's list, for whole notebooks.

        It leaves the list when the machine is destroyed by vastnb.

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
        """Ask the machine how busy it is now.

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
        """Accept another host key at the next connection: after a rebuild of the container."""
        from vastnb.remote.box import forget_host_key

        forget_host_key(self)

    def disconnect(self: Any) -> None:
        """End the SSH connection, and the links through it; what runs there runs on."""
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
            What each shell is to run; ``$VASTNB_RANK`` is a machine's number among them, and
            ``$VASTNB_COUNT`` how many there are.
        check : bool
            Raise an error at the end if one has failed.
        show : bool
            Show output as it comes, each line with its machine.
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
