"""Commands that keep running without the connection and this kernel.

A job is a directory on the machine (``~/.vastnb/jobs/<name>``): the script, its process group and
the moment that began, all that it prints, and its exit code once there is one. Nothing about it is
kept on this computer, so any kernel finds it again.
"""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vastnb.errors import CommandFailed, ConnectionLost, InvalidRequest, WaitTimeout
from vastnb.remote.run import SHOW, Result, Show, Tail, _to_cell
from vastnb.remote.session import BEGAN, Session

_PART: Final = 4 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)

_STATE: Final = (
    BEGAN
    + r"""
state() {
if [ -f code ]; then echo "ended $(cat code)"; return; fi
b=$(began "$(cat pid 2>/dev/null || echo 0)")
if [ -n "$b" ] && [ "$b" = "$(cat began)" ]; then echo running
elif sleep 0.2; [ -f code ]; then echo "ended $(cat code)"; else echo lost; fi
}
"""
)
_START: Final = (
    _STATE
    + r"""
umask 077; d="$HOME/.vastnb/jobs/NAME"
mkdir -p "$HOME/.vastnb/jobs"
if ! mkdir "$d" 2>/dev/null; then cat "$d/nonce" 2>/dev/null; exit 0; fi
head -c LENGTH >"$d/command"; cat >"$d/script"; cd "$d" || exit 1
setsid=$(command -v setsid || echo nohup)
$setsid SHELL -c 'echo $$ >pid; began $$ >began; SHELL script >log 2>&1 </dev/null
echo $? >code.new; mv code.new code' >/dev/null 2>&1 </dev/null &
i=0; while [ ! -s began ] && [ $i -lt 50 ]; do sleep 0.05; i=$((i+1)); done
echo NONCE >nonce; echo NONCE
"""
)


@dataclass(frozen=True, slots=True)
class JobState:
    """How a job is.

    Parameters
    ----------
    word : {"running", "ended", "lost"}
        ``lost`` means ended without an exit code: killed, or the machine restarted.
    code : int or None
        Its exit code, if it has ended.
    """

    word: str
    code: int | None = None


class Job:
    """A command that keeps running on a machine without a connection.

    Parameters
    ----------
    session : Session
        The connection.
    name : str
        What it is called.
    """

    def __init__(self, session: Session, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} is not a job name: use letters, digits, - and _.")
        self._session = session
        self.name = name

    @property
    def _there(self) -> str:
        return f'cd -- "$HOME/.vastnb/jobs/{self.name}" || exit 1\n'

    @property
    def state(self) -> JobState:
        """Its current state; asks the machine."""
        told = self._session.ask(f"{_STATE}{self._there}state").strip()
        ended = re.fullmatch(r"ended ?(-?\d{1,9})?", told, re.ASCII)
        if ended:
            return JobState("ended", int(ended[1]) if ended[1] else None)
        return JobState("running" if told == "running" else "lost")

    @property
    def running(self) -> bool:
        """Whether it is still running; asks the machine."""
        return self.state.word == "running"

    @property
    def code(self) -> int | None:
        """Its exit code; None while it is running, and if it was lost. Asks the machine."""
        return self.state.code

    @property
    def command(self) -> str:
        """Its command; asks the machine."""
        return self._session.ask(f"{self._there}cat command")

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of its output.

        Parameters
        ----------
        lines : int
            How many.
        """
        return self._session.ask(
            f"{self._there}tail -n {int(lines)} log 2>/dev/null | tail -c {_PART}"
        )

    def wait(
        self, timeout: float | None = None, *, check: bool = False, show: bool | Show = True
    ) -> Result:
        """Show its output until it ends; reconnects if the connection is lost.

        Ctrl-C stops waiting; the job keeps running.

        Parameters
        ----------
        timeout : float, optional
            Seconds.
        check : bool
            Raise `CommandFailed` if its exit code is not 0, or it was lost.
        show : bool or callable
            Whether to show its output from the beginning, or a function that shows it.

        Returns
        -------
        Result
            ``code`` is -1 for a job that was lost.

        Raises
        ------
        WaitTimeout
            If it takes longer; it keeps running.
        """
        shown = _limited(show if callable(show) else (_to_cell if show else _nowhere))
        begun = time.monotonic()
        until = None if timeout is None else begun + timeout
        out, read = Tail(), 0
        pause = 0.1
        state = JobState("running")
        while True:
            ended = state.word != "running"
            part = self._more(read, shown)
            out.add(part)
            read += len(part)
            more = len(part) >= _PART
            if ended and not more:
                break
            if until is not None and time.monotonic() > until:
                how = "is still running" if not ended else "has ended with unread output"
                raise WaitTimeout(
                    f"Job {self.name} {how} on instance {self._session.instance_id} after "
                    f"{timeout:g} s; the machine is billing. job.wait() waits longer, job.stop() "
                    "stops it."
                )
            if more:
                continue
            time.sleep(pause)
            pause = min(2.0, pause * 1.5)
            state = self._through_cuts(lambda: self.state)
        result = Result(
            -1 if state.code is None else state.code, out.value, b"", time.monotonic() - begun,
            out.left_out,
        )  # fmt: skip
        if check and result.code:
            how = "was lost" if state.word == "lost" else f"ended with code {result.code}"
            error = CommandFailed(
                f"Job {self.name} {how} on instance {self._session.instance_id}: "
                f"{result.out.strip()[-300:]}",
                instance_id=self._session.instance_id,
            )
            error.result = result
            raise error
        return result

    def stop(self, grace: float = 10.0) -> JobState:
        """Stop it: terminate it, and kill it after `grace` seconds.

        Returns
        -------
        JobState
            Its state afterwards.
        """
        self._session.ask(
            f'{_STATE}{self._there}p=$(cat pid); [ "$(state)" = running ] || exit 0\n'
            f"kill -TERM -- -$p; i=0\n"
            f'while [ -n "$(began $p)" ] && [ $i -lt {int(grace * 10)} ]; do sleep 0.1; '
            "i=$((i+1)); done\nkill -KILL -- -$p 2>/dev/null; [ -f code ] || echo 143 >code",
            timeout=grace + 30,
        )
        return self.state

    def _more(self, offset: int, show: Show) -> bytes:
        """Read what it has printed since `offset`, at most a few megabytes."""
        part = self._session.fetch(
            f"{self._there}tail -c +{offset + 1} log 2>/dev/null | head -c {_PART}"
        )
        if part:
            show(part.decode(errors="replace"), False)
        return part

    def _through_cuts(self, ask: Callable[[], JobState], tries: int = 10) -> JobState:
        for left in range(tries - 1, -1, -1):
            try:
                return ask()
            except ConnectionLost as lost:
                if not left or lost.ended:
                    raise
                time.sleep(1.0)
        raise AssertionError

    def __repr__(self) -> str:
        return f"<Job {self.name} on instance {self._session.instance_id}>"


def start(
    session: Session, command: str, *, name: str | None = None, cwd: str | None = None
) -> Job:
    """Start a command that keeps running without a connection.

    Parameters
    ----------
    session : Session
        The connection.
    command : str
        What the machine's shell is to run.
    name : str, optional
        What to call it; by default something unique.
    cwd : str, optional
        Where; by default the workspace.

    Returns
    -------
    Job

    Raises
    ------
    InvalidRequest
        If there is another job of this name.
    """
    job = Job(session, name or f"{time.strftime('%m%d-%H%M%S')}-{secrets.token_hex(2)}")
    nonce = secrets.token_hex(8)
    shell = shlex.quote(session.facts.shell)
    script = _START.replace("NAME", job.name).replace("NONCE", nonce).replace("SHELL", shell)
    # `began` is needed within the shell that the job runs in, too.
    script = script.replace("-c 'echo", f"-c '{_BEGAN}echo")
    script = script.replace("LENGTH", str(len(command.encode())))
    body = command + session.script(command, cwd)
    # Sent again after a cut, it finds the directory, and in it whether it was this very call.
    told = session.ask(script, body.encode()).strip()
    if told != nonce:
        raise InvalidRequest(
            f"There is already a job {job.name} on instance {session.instance_id}: "
            f"box.job({job.name!r}) returns it. Nothing was started."
        )
    return job


def jobs(session: Session) -> list[Job]:
    """Return the jobs on a machine, the latest last."""
    listed = session.ask('ls -tr "$HOME/.vastnb/jobs" 2>/dev/null; :').split()
    return [Job(session, name) for name in listed if _NAME.fullmatch(name)]


def _limited(show: Show) -> Show:
    """Show no more of a log than of a command: a notebook has to open again."""
    shown = 0

    def limited(text: str, is_error: bool) -> None:
        nonlocal shown
        if shown > SHOW:
            return
        show(text[: SHOW + 1 - shown], is_error)
        shown += len(text)
        if shown > SHOW:
            show(f"\n[more than {SHOW >> 20} MB of output: the rest is not shown; the log is on "
                 "the machine]\n", True)  # fmt: skip

    return limited


def _nowhere(text: str, is_error: bool) -> None:
    """Show nothing."""


_BEGAN: Final = BEGAN.replace("'", "'\\''")

__all__ = ["Job", "JobState", "jobs", "start"]
