"""Run a command on a machine: output as it comes, a code at the end, Ctrl-C in between.

Two threads read what it prints and a queue joins them, on every system alike; the calling thread
shows it. Interrupted, the command gets the same signal as in a terminal, and five seconds to end by
itself.
"""

from __future__ import annotations

import codecs
import queue
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from vastnb.errors import CommandFailed, WaitTimeout
from vastnb.remote.session import Call, Session, uninterrupted

KEEP: Final = 64 << 20
"""Bytes of output that a result keeps; of more, the end."""
SHOW: Final = 1 << 20
"""Bytes that are shown: a notebook that holds a hundred megabytes does not open again."""
GRACE: Final = 5.0
"""Seconds that an interrupted command has to end."""

Show = Callable[[str, bool], None]
"""Shows text; the second argument says whether it is of the errors."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a command.

    Parameters
    ----------
    code : int
        Its exit code: 0 is success.
    stdout, stderr : bytes
        Its output.
    seconds : float
        How long it took, including the round trip.
    left_out : int
        Bytes of earlier output that were not kept.
    """

    code: int
    stdout: bytes = field(repr=False)
    stderr: bytes = field(repr=False)
    seconds: float
    left_out: int = 0

    @property
    def out(self) -> str:
        """Its stdout as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def err(self) -> str:
        """Its stderr as text."""
        return self.stderr.decode(errors="replace")

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0

    def __repr__(self) -> str:
        return f"<exit code {self.code} after {self.seconds:.1f} s>"


def run(
    session: Session,
    command: str,
    *,
    check: bool = False,
    cwd: str | None = None,
    input: str | bytes | None = None,
    timeout: float | None = None,
    show: bool | Show = True,
    stop: threading.Event | None = None,
) -> Result:
    """Run a command and wait for it.

    Parameters
    ----------
    session : Session
        The connection.
    command : str
        What the machine's shell is to run. It is an argument of no process on this computer.
    check : bool
        Raise `CommandFailed` if it ends with another code than 0.
    cwd : str, optional
        Where; by default the workspace.
    input : str or bytes, optional
        Its standard input; by default there is none.
    timeout : float, optional
        Seconds, after which it is ended.
    show : bool or callable
        Whether its output is shown as it comes, or what shows it.
    stop : Event, optional
        Interrupts it when set, as Ctrl-C does.

    Returns
    -------
    Result

    Raises
    ------
    ConnectionLost
        If the connection breaks before it has ended: it may run on, and `ConnectionLost.pid` is
        its process group.
    CommandFailed
        With `check`.
    WaitTimeout
        If it takes longer than `timeout`; it has been ended.
    """
    begun = time.monotonic()
    data = input.encode() if isinstance(input, str) else input
    script = session.script(command, cwd)
    call = session.call(script, stdin=data is not None)
    reader = _Reader(call, data, _shower(show), stop)
    timed_out = False
    try:
        try:
            until = None if timeout is None else time.monotonic() + timeout
            timed_out = not reader.wait_for_begin(until) or reader.read(until)
            if timed_out:
                _end(session, reader)
        except KeyboardInterrupt:
            _end(session, reader, gently=True)
            raise
    finally:
        reader.finish()
        code = call.close()
    if call.pid is None and not timed_out:
        # Nothing has run, so it may be sent again, once.
        if not session.dropped():
            raise session.lost(
                f"It refused the command ({reader.errors.value[-200:].decode(errors='replace')})."
            )
        session.open()
        return _again(session, command, check, cwd, input, timeout, show, stop)
    if timed_out:
        became = (
            "was stopped there"
            if call.pid is not None
            else "did not start there: the machine responds but runs nothing. If it starts later, "
            "its output is lost"
        )
        raise WaitTimeout(
            f"The command took longer than {timeout:g} s on instance {session.instance_id} and "
            f"{became}. The machine is still billing."
        )
    if code < 0 or (code == 255 and session.dropped()):
        raise session.lost(
            f"The command may still be running there (process group {call.pid}); its output since "
            f"then is lost. box.run('kill -- -{call.pid}') stops it. Use box.start(command) for "
            "work that must survive a lost connection.",
            call.pid,
        )
    result = Result(
        code,
        reader.output.value,
        reader.errors.value,
        time.monotonic() - begun,
        reader.output.left_out + reader.errors.left_out,
    )
    if check and code:
        error = CommandFailed(
            f"The command ended with code {code} on instance {session.instance_id}: "
            f"{tame(result.err.strip()[-300:] or result.out.strip()[-300:]) or 'no output'}",
            instance_id=session.instance_id,
        )
        error.result = result
        raise error
    return result


def _again(session: Session, command: str, *rest: Any) -> Result:
    check, cwd, input, timeout, show, stop = rest
    call = session.call(session.script("exit 0"))
    try:
        call.head()  # the way is open: what is sent now arrives, or breaks anew
    except EOFError:
        raise session.lost("The command did not start.") from None
    finally:
        call.close()
    return run(
        session, command,
        check=check, cwd=cwd, input=input, timeout=timeout, show=show, stop=stop,
    )  # fmt: skip


def _end(session: Session, reader: _Reader, *, gently: bool = False) -> None:
    """End the command of a call: asked, told, killed."""
    reader.begun.wait(GRACE)  # what has been sent may begin yet
    pid = reader.call.pid
    if pid is None:
        return
    try:
        for name in ("INT", "TERM", "KILL") if gently else ("TERM", "KILL"):
            with uninterrupted():
                session.kill(pid, name)
            if not reader.read(time.monotonic() + GRACE):
                return
    except KeyboardInterrupt:
        with uninterrupted():
            session.kill(pid, "KILL")
        raise


class Tail:
    """The last bytes of a stream."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self.left_out = 0

    def add(self, part: bytes) -> None:
        """Keep a part, and leave out what is too old for it."""
        self._parts.append(part)
        self._size += len(part)
        while self._size - len(self._parts[0]) >= KEEP:
            gone = len(self._parts.popleft())
            self._size -= gone
            self.left_out += gone

    @property
    def value(self) -> bytes:
        """What is kept."""
        return b"".join(self._parts)


class _Reader:
    """Reads a call's output and errors together, and shows them."""

    def __init__(
        self,
        call: Call,
        data: bytes | None,
        show: Show | None,
        interrupt: threading.Event | None = None,
    ) -> None:
        self.call = call
        self._interrupt = interrupt
        self.output, self.errors = Tail(), Tail()
        self._show = show
        self._shown = 0
        self._quiet = False
        self._decoders = [codecs.getincrementaldecoder("utf-8")("replace") for _ in range(2)]
        self.begun = threading.Event()
        self._queue: queue.Queue[tuple[int, bytes]] = queue.Queue(64)
        self._open = 2
        self._stop = threading.Event()
        self._data = data
        self._threads = [
            threading.Thread(target=work, args=args, name="vastnb run", daemon=True)
            for work, args in ((self._out, ()), (self._drain, (1, call.process.stderr)))
        ]
        if data is not None:
            self._threads.append(threading.Thread(target=self._feed, daemon=True))
        for thread in self._threads:
            thread.start()

    def read(self, until: float | None = None) -> bool:
        """Read to the end; return whether that moment came first."""
        while self._open:
            left = 3600.0 if until is None else until - time.monotonic()
            left = left if self._interrupt is None else min(left, 0.25)
            try:
                which, part = self._queue.get(timeout=max(0.0, left))
            except queue.Empty:
                if self._interrupt is not None and self._interrupt.is_set():
                    self._interrupt = None
                    raise KeyboardInterrupt from None
                if until is not None and time.monotonic() >= until:
                    return True
                continue
            if not part:
                self._open -= 1
                self._put(which, b"", final=True)
                continue
            (self.errors if which else self.output).add(part)
            self._put(which, part)
        # A command may close its output and work on.
        try:
            self.call.process.wait(None if until is None else max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            return True
        return False

    def wait_for_begin(self, until: float | None = None) -> bool:
        """Wait until the command has begun, or cannot; return whether it was before `until`."""
        while not self.begun.wait(0.25):
            if until is not None and time.monotonic() >= until:
                return False
            if self._interrupt is not None and self._interrupt.is_set():
                self._interrupt = None
                raise KeyboardInterrupt
        return True

    def finish(self) -> None:
        """Let the threads end, whatever they wait for."""
        self._stop.set()

    def _put(self, which: int, part: bytes, *, final: bool = False) -> None:
        if self._show is None or self._quiet:
            return
        if b"\0" in part:
            self._say(f"[binary output is not shown; {_WHERE} has it]\n")
            return
        text = self._decoders[which].decode(part, final)
        self._shown += len(part)
        if text:
            self._show(text, bool(which))
        if self._shown > SHOW:
            self._say(f"\n[more than {SHOW >> 20} MB of output: the rest is not shown; {_WHERE} "
                      f"has up to {KEEP >> 20} MB of it]\n")  # fmt: skip

    def _say(self, text: str) -> None:
        self._quiet = True
        if self._show is not None:
            self._show(text, True)

    def _out(self) -> None:
        try:
            self.call.head()
        except (EOFError, OSError, ValueError):
            self._pass(0, b"")
            return
        finally:
            self.begun.set()
        self._drain(0, self.call.process.stdout)

    def _drain(self, which: int, stream: Any) -> None:
        try:
            while part := stream.read1(1 << 16):
                self._pass(which, part)
        except (OSError, ValueError):  # closed under us: the call is over
            pass
        self._pass(which, b"")

    def _pass(self, which: int, part: bytes) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((which, part), timeout=0.2)
                return
            except queue.Full:
                continue

    def _feed(self) -> None:
        stream = self.call.process.stdin
        assert stream is not None
        assert self._data is not None
        try:
            stream.write(self._data)
            stream.close()
        except (OSError, ValueError):  # the command reads no more of it
            pass


_WHERE: Final = "the result's .stdout"


def _shower(show: bool | Show) -> Show | None:
    if callable(show):
        return show
    return _to_cell if show else None


_MOVES: Final = re.compile(r"\x1b(?!\[[0-9;]*[mABCDGHJK])|[\x80-\x9f]")
"""Control sequences of a terminal other than colours and the movements of progress bars."""


def tame(text: str) -> str:
    """Return a stranger's text without what acts on a terminal: its clipboard, title, answers."""
    return _MOVES.sub("\N{SYMBOL FOR ESCAPE}", text)


def _to_cell(text: str, is_error: bool) -> None:
    stream = sys.stderr if is_error else sys.stdout
    stream.write(tame(text))
    stream.flush()


__all__ = ["KEEP", "SHOW", "Result", "Show", "Tail", "run", "tame"]
