"""Whose an attempt is, and whether its owner still lives.

An open entry of the journal belongs to the process that wrote it, until that process is dead. A
process id alone does not tell: ids are used again. The moment at which the process began, as the
kernel of the system has it, makes the pair unique on one machine. Of a process on another machine
nothing can be known, so it counts as alive until it has been silent for longer than any attempt
takes.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Final, NamedTuple

SILENT_FOR_DEAD: Final = 900.0
"""Seconds after which an entry of a process on another machine is taken to be abandoned."""


class Process(NamedTuple):
    """A process.

    Parameters
    ----------
    host : str
        Name of its machine.
    pid : int
        Process id.
    began : str
        When it began, in the system's own count; empty where the system does not tell.
    """

    host: str
    pid: int
    began: str

    def is_dead(self, silent_for: float) -> bool:
        """Say whether the process is certainly gone.

        Parameters
        ----------
        silent_for : float
            Seconds since it last wrote.
        """
        if self.host != platform.node():
            return silent_for >= SILENT_FOR_DEAD
        if self.pid != os.getpid() and not _exists(self.pid):
            return True
        now = began(self.pid)
        if not self.began or not now:
            # Its id may be that of another process by now: silence has to tell.
            return self.pid != os.getpid() and silent_for >= SILENT_FOR_DEAD
        return self.began != now


def this_process() -> Process:
    """Return the process that runs this."""
    return Process(platform.node(), os.getpid(), began(os.getpid()))


def began(pid: int) -> str:
    """Return when a process began, in the system's own count; empty if that is not known."""
    try:
        # The name of the program, in parentheses, may hold anything; the 22nd field is the 20th
        # after it.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, IndexError):
        return _began_elsewhere(pid)
    if fields[0] == "Z":
        return "ended"  # killed, and its parent has not looked yet
    return f"{boot}:{fields[19]}"


def _began_elsewhere(pid: int) -> str:
    """Return it where there is no /proc: psutil is there with any Jupyter kernel."""
    try:
        import psutil  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return ""
    try:
        process = psutil.Process(pid)
        ended = process.status() == psutil.STATUS_ZOMBIE
        return "ended" if ended else f"{process.create_time():.2f}"
    except psutil.Error:
        return ""


def _exists(pid: int) -> bool:
    if not 0 < pid < 2**31:
        return False  # no process has it
    if sys.platform == "win32":
        return _exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if sys.platform == "win32":

    def _exists_on_windows(pid: int) -> bool:
        import ctypes

        # os.kill with signal 0 would end the process there.
        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)
        if not handle:
            return False
        ctypes.windll.kernel32.CloseHandle(handle)
        return True
