"""One SSH connection to a machine, kept, shared by all calls, and made again after a drop.

The master is an ``ssh`` whose own command first tells what the machine is like and then reads its
standard input until it ends: when this process dies, however it dies, the input ends, and the
connection with it. Calls ride on it as processes of their own, in sessions of their own, so that a
Ctrl-C in the notebook reaches Python and not them. Each call first prints a nonce and its process
id: before that line nothing ran, after it the command can be signalled.

It is long because a connection has one owner: opening, sharing, watching and dropping it.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from vastnb.api.text import plain
from vastnb.errors import ConnectionLost, RemoteError
from vastnb.remote import ssh
from vastnb.remote.ssh import Target

OPEN_TIMEOUT: Final = 25.0
"""Seconds for a connection to be made, the user's touch of a hardware key included."""
PATIENCE: Final = 3.0
"""Seconds to try again, by default: a connection can break while it is made, too."""
AT_ONCE: Final = 8
"""Calls at a time on one connection; OpenSSH's server allows ten."""

_PROBE: Final = r"""
w=${WORKSPACE:-/workspace}; mkdir -p "$w" 2>/dev/null && [ -w "$w" ] || w=$HOME
c=; tr '\0' '\n' </proc/1/environ 2>/dev/null | grep -q '^VAST_CONTAINERLABEL=' && c=yes
umask 077; mkdir -p "$HOME/.vastnb"
printf '\n%s-is\n' NONCE
printf '%s\n' "home=$HOME" "workspace=$w" "shell=$(command -v bash || echo sh)" \
  "rsync=$(command -v rsync)" "container=$c" "login=$SHELL" NONCE-so
exec cat >/dev/null
"""
BEGAN: Final = r"""
began() { if [ -e /proc/self/stat ]
then set -- $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null); [ "$1" = Z ] || echo "${20}"
else ps -o lstart= -p "$1" 2>/dev/null; fi; }
"""
"""A shell function that tells when a process began, and nothing if it has ended.

A process id alone is given to another process after a reboot; with its beginning it is not. One
that has ended may stay in the table for ever: in many containers nobody takes it out.
"""
# A connection by SSH does not see what the container was given; process 1 does.
_ENVIRONMENT: Final = r"""
while IFS= read -r -d '' v; do case ${v%%=*} in
HOME|USER|LOGNAME|SHELL|PWD|OLDPWD|SHLVL|TERM|_|SSH_*|*[!A-Za-z0-9_]*) ;;
*) export "$v" 2>/dev/null ;; esac
done </proc/1/environ 2>/dev/null
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a machine told of itself when it was connected to.

    Parameters
    ----------
    home, workspace : str
        Where one logs in, and where work is done (``/workspace`` on Vast.ai).
    shell : str
        What runs commands.
    rsync : bool
        Whether it has rsync.
    container : bool
        Whether process 1 holds the container's environment.
    plain : bool
        Whether the login shell is the one that runs commands.
    """

    home: str
    workspace: str
    shell: str
    rsync: bool
    container: bool
    plain: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """What the service says of a machine whose connection broke.

    Parameters
    ----------
    words : str
        How it is, and what it costs.
    left : str
        What is left of all that was there, if it was stopped, outbid or destroyed; else empty.
    """

    words: str = ""
    left: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """A way from this computer to the machine, as ssh writes it (``local:remote``)."""

    local: str
    remote: str

    def __str__(self) -> str:
        return f"{self.local}:{self.remote}"


class Watchdog:
    """Calls a function once nothing has happened for some time.

    Parameters
    ----------
    give_up : callable
        What to call.
    seconds : float
        After how long.
    """

    def __init__(self, give_up: Callable[[], None], seconds: float) -> None:
        self._give_up, self._seconds = give_up, seconds
        self._over = False
        self.touch()
        self._arm(seconds)

    def touch(self) -> None:
        """Note that something has happened."""
        self._last = time.monotonic()

    def cancel(self) -> None:
        """Call nothing any more."""
        self._over = True
        self._timer.cancel()

    def _arm(self, seconds: float) -> None:
        self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._look)
        self._timer.daemon = True
        self._timer.start()

    def _look(self) -> None:
        left = self._last + self._seconds - time.monotonic()
        if self._over:
            return
        if left > 0:
            self._arm(left)
        else:
            self._give_up()


@dataclass
class Call:
    """One command under way on the machine."""

    process: subprocess.Popen[bytes]
    nonce: bytes
    release: Callable[[], None]
    pid: int | None = None
    group: list[int] = field(default_factory=list)

    def head(self) -> int:
        """Read until the command has begun; return its process id, or raise EOFError."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            # What a login script prints comes before it.
            found = re.match(rb".*" + self.nonce + rb" (\d+)\n", line)
            if found:
                self.pid = int(found[1])
                return self.pid
        raise EOFError

    def exchange(self, data: bytes) -> tuple[bytes, bytes]:
        """Write the standard input, and read output and errors to their ends, after `head`."""
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        errors: list[bytes] = []
        # Not `communicate`: it would pass over what `head` has read ahead.
        reading = threading.Thread(target=lambda: errors.append(_rest(process.stderr)), daemon=True)
        writing = threading.Thread(target=_write, args=(process.stdin, data), daemon=True)
        reading.start()
        writing.start()
        out = process.stdout.read()
        process.wait()
        reading.join()
        writing.join(5)  # nobody reads it any more
        return out, b"".join(errors)

    def last_words(self) -> bytes:
        """Return what it says of its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        if self.process.poll() is None:
            self.process.kill()
        return _rest(self.process.stderr)

    def _close_ends(self) -> None:
        for end in (self.process.stdin, self.process.stdout, self.process.stderr):
            if end is not None:
                with contextlib.suppress(OSError, ValueError):  # a thread may close it, too
                    end.close()

    def close(self) -> int:
        """End the local side, if it has not ended; return its code."""
        process = self.process
        if process.poll() is None:
            process.kill()
        # The master holds the other ends until the machine is done: a thread that reads may block
        # a close until then.
        closing = threading.Thread(target=self._close_ends, daemon=True)
        closing.start()
        closing.join(1)
        code = process.wait()
        self.release()
        return code


class Session:
    """A connection to one machine.

    Parameters
    ----------
    targets : callable
        Returns where it may be reached, best first; given how many tries have failed.
    about : callable
        Returns what is known of the machine and what it costs, for errors.
    instance_id : int, optional
        The machine.
    multiplex : bool, optional
        Whether calls share a connection; by default wherever ssh can.

    Attributes
    ----------
    generation : int
        How many connections there have been.
    """

    def __init__(
        self,
        targets: Callable[[int], Sequence[Target]],
        *,
        about: Callable[[], Standing] = Standing,
        instance_id: int | None = None,
        multiplex: bool | None = None,
    ) -> None:
        self._targets = targets
        self._about = about
        self.instance_id = instance_id
        self._multiplex = ssh.multiplexes() if multiplex is None else multiplex
        self._lock = threading.RLock()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._spare = threading.BoundedSemaphore(1)
        self._peeks = threading.Semaphore(1)
        self._place = Path(tempfile.mkdtemp(prefix="vnb-", dir=_short()))
        self._control = self._place / "c"
        self._process: subprocess.Popen[bytes] | None = None
        self._target: Target | None = None
        self._facts: Facts | None = None
        self._forwards: dict[Forward, subprocess.Popen[bytes] | None] = {}
        self._closed = False
        self.generation = 0
        # Not bound to the session, or it would never be collected.
        self._holder: list[subprocess.Popen[bytes]] = []
        self._end = weakref.finalize(
            self, _end, os.getpid(), self._place, self._forwards, self._holder
        )

    # -- the connection ----------------------------------------------------------------------

    @property
    def place(self) -> Path:
        """A directory of this computer that only its user can read, for sockets."""
        return self._place

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that has not broken."""
        return self._process is not None and self._process.poll() is None

    @property
    def is_closed(self) -> bool:
        """Whether it was closed for good."""
        return self._closed

    @property
    def facts(self) -> Facts:
        """What the machine told of itself; connects if need be."""
        self.open()
        assert self._facts is not None
        return self._facts

    def open(self, patience: float | None = None, *, keys_may_come: bool = False) -> None:
        """Connect, unless there is a connection.

        Parameters
        ----------
        patience : float, optional
            Seconds to go on trying while there is no server.
        keys_may_come : bool
            Go on trying while it accepts none of the keys, too: it has just started.

        Raises
        ------
        ConnectionLost, LoginRefused, HostKeyChanged
            If it cannot be made; the machine bills on.
        """
        with self._lock:
            if self._closed:
                raise ConnectionLost(
                    "This session is closed: its machine was destroyed, or its client closed.",
                    instance_id=self.instance_id,
                )
            if self.is_open:
                return
            until = time.monotonic() + (PATIENCE if patience is None else patience)
            for attempt in count():
                said = self._try(attempt)
                if said is None:
                    break
                left = until - time.monotonic()
                if left <= 0 or not ssh.may_come(said, keys_too=keys_may_come):
                    kind, words = ssh.meaning(said)
                    standing = self._about()
                    told = " ".join(filter(None, (words, standing.left, standing.words)))
                    error = kind(
                        f"Instance {self.instance_id}: {told}", instance_id=self.instance_id
                    )
                    if isinstance(error, ConnectionLost):
                        error.ended = bool(standing.left)
                    raise error
                time.sleep(min(0.3, left))
            for one in list(self._forwards):
                self._carry(one)

    def _try(self, attempt: int) -> str | None:
        """Try each address once; return what ssh said of the last failure."""
        said = "it has no address yet"
        for target in self._targets(attempt):
            said = self._connect(target)
            if not said:
                return None
            if not ssh.may_come(said):
                break
        return said

    def _connect(self, target: Target) -> str:
        target.known_hosts.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        nonce = f"vnb-{secrets.token_hex(8)}"
        probe = _PROBE.replace("NONCE", nonce)
        self._control.unlink(missing_ok=True)
        words = self._place / "said"
        with words.open("wb") as errors:
            process = subprocess.Popen(
                ssh.master(target, self._control, f"exec sh -c {shlex.quote(probe)}")
                if self._multiplex
                else [*ssh.rider(target, None), f"exec sh -c {shlex.quote(probe)}"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                start_new_session=True,
            )  # fmt: skip
        watchdog = threading.Timer(OPEN_TIMEOUT, process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            told = _told(process, nonce)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            watchdog.cancel()
        if told is None:
            late = process.poll() is None or process.poll() == -9
            process.kill()
            process.wait()
            said = words.read_text(errors="replace").strip()
            return said or ("no answer in time" if late else "the connection broke")
        shell = told.get("shell") or "sh"
        self._facts = Facts(
            home=_absolute(told.get("home"), "/root"),
            workspace=_absolute(told.get("workspace"), "/workspace"),
            shell=shell,
            rsync=bool(told.get("rsync")),
            container=told.get("container") == "yes" and shell.endswith("bash"),
            plain=Path(told.get("login", "")).name == Path(shell).name,
        )
        self._process, self._target = process, target
        self._holder[:] = [process]
        self.generation += 1
        return ""

    def dropped(self, grace: float = 5.0) -> bool:
        """Say whether the connection has broken; a master takes a moment to notice.

        Parameters
        ----------
        grace : float
            Seconds to wait for it.
        """
        process = self._process
        if process is None or process.poll() is not None:
            return True
        if not self._multiplex:
            return False
        asked = self._master("check", wait=grace)
        if asked.returncode == 0:
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
        process.kill()
        process.wait()
        return True

    def drop(self) -> None:
        """End the connection; the next call makes a new one."""
        with self._lock:
            if self._process is not None:
                _stop(self._process)
                self._process = None

    def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        self._end()

    def lost(self, doing: str, pid: int | None = None) -> ConnectionLost:
        """Return the error for a connection that broke meanwhile.

        Parameters
        ----------
        doing : str
            What was lost, and what is left on the machine if that is still up.
        pid : int, optional
            The process group that was running there.
        """
        standing = self._about()
        words = f"The connection to instance {self.instance_id} was lost. {standing.left or doing}"
        error = ConnectionLost(f"{words} {standing.words}".rstrip(), instance_id=self.instance_id)
        error.ended = bool(standing.left)
        error.pid = None if error.ended else pid
        return error

    # -- calls -------------------------------------------------------------------------------

    def rsync_shell(self) -> str:
        """Return what rsync is to reach the machine by."""
        self.open()
        return shlex.join([*self._rider()[:-1]])

    @property
    def host(self) -> str:
        """The name or address that calls are made to."""
        self.open()
        assert self._target is not None
        return self._target.host

    def script(self, command: str, cwd: str | None = None) -> str:
        """Return a command as it is run: in its directory, with the container's environment."""
        facts = self.facts
        return _script(facts, command, facts.workspace if cwd is None else self.path(cwd))

    def path(self, path: str) -> str:
        """Return a path of the machine in full: relative ones are in its workspace."""
        facts = self.facts
        if path == "~" or path.startswith("~/"):
            return facts.home + path[1:]
        if not path.startswith("/"):
            return f"{facts.workspace.rstrip('/')}/{path}"
        if path == "/workspace" or path.startswith("/workspace/"):
            return facts.workspace + path[len("/workspace") :]
        return path

    def call(self, script: str, *, stdin: bool = False, urgent: bool = False) -> Call:
        """Begin to run a script.

        Parameters
        ----------
        script : str
            Shell commands. They travel over the standard input, out of sight of other users.
        stdin : bool
            Leave the standard input open for more.
        urgent : bool
            Do not wait for one of the others to end: it is what ends them.

        Returns
        -------
        Call
            Whose `Call.head` is to be read first, and which is to be closed.
        """
        self.open()
        slots = self._spare if urgent else self._slots
        slots.acquire()
        try:
            rider = self._rider()
        except BaseException:
            slots.release()
            raise
        return self._begin(script, rider, slots, stdin=stdin)

    def _begin(
        self, script: str, rider: list[str], slots: threading.BoundedSemaphore, *, stdin: bool
    ) -> Call:
        """Begin a call, whose slot has been taken."""
        facts = self._facts
        assert facts is not None
        nonce = f"vnb-{secrets.token_hex(6)}"
        body = f"printf '%s %s\\n' {nonce} $$\n{script}".encode()
        if facts.shell.endswith("bash") and len(body) < 4096 and b"\0" not in body:
            body += b"\0"
            command = "IFS= read -r -d '' _vnb; eval \"$_vnb\""  # no further process
        else:
            command = f'eval "$(head -c {len(body)})"'
        if not facts.plain:
            command = f"exec {shlex.quote(facts.shell)} -c {shlex.quote(command)}"
        try:
            process = subprocess.Popen(
                [*rider, command],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, bufsize=-1,
            )  # fmt: skip
        except BaseException:
            slots.release()
            raise
        call = Call(process, nonce.encode(), _once(slots.release))
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it ended; what it says comes at the reading
            process.stdin.write(body)
            process.stdin.flush()
            if not stdin:
                process.stdin.close()
        return call

    def ask(
        self, script: str, data: bytes = b"", *, timeout: float = 30.0, urgent: bool = False
    ) -> str:
        """Do as `fetch`, and return text."""
        return self.fetch(script, data, timeout=timeout, urgent=urgent).decode(errors="replace")

    def fetch(
        self, script: str, data: bytes = b"", *, timeout: float = 30.0, urgent: bool = False
    ) -> bytes:
        """Run a short script of our own that may be run twice; return its output.

        Parameters
        ----------
        script : str
            Shell commands. Run again, once, if the connection breaks.
        data : bytes
            Its standard input.
        timeout : float
            Seconds.
        urgent : bool
            As in `call`.

        Raises
        ------
        RemoteError
            If it fails.
        """
        for last in (False, True):
            call = self.call(script, stdin=True, urgent=urgent)
            watchdog = self.watch(call, timeout)
            begun = False
            out, err = b"", b""
            try:
                call.head()
                begun = True
                out, err = call.exchange(data)
            except (EOFError, OSError, ValueError):
                err = call.last_words()
            finally:
                watchdog.cancel()
                code = call.close()
            if code == 0:
                return out
            if code < 0 or (code == 255 and (not begun or self.dropped())):
                self.drop() if code < 0 else None
                if not last:
                    continue
                raise self.lost("Nothing from this call is running there.")
            raise RemoteError(
                f"Instance {self.instance_id}: {plain(err[-500:].decode(errors='replace'), 500)} "
                f"(exit code {code}). {self._about().words}",
                instance_id=self.instance_id,
            )
        raise AssertionError

    def peek(self, command: str, *, timeout: float = 10.0, most: int = 1 << 16) -> bytes | None:
        """Run a small command, if that makes no connection and keeps nobody waiting.

        Parameters
        ----------
        command : str
            What is asked, in the workspace.
        timeout : float
            Seconds to wait. What comes later is dropped, and nothing else is asked until then.
        most : int
            Bytes of its output that are read.

        Returns
        -------
        bytes or None
            Its output; None without a connection, with too many calls on it, or without an answer.
        """
        facts, target = self._facts, self._target
        shared = self.is_open and self._multiplex
        if not shared or facts is None or target is None or not self._peeks.acquire(blocking=False):
            return None
        if not self._slots.acquire(blocking=False):
            self._peeks.release()
            return None
        answer: list[bytes] = []
        try:
            script = _script(facts, command, facts.workspace)
            call = self._begin(script, ssh.rider(target, self._control), self._slots, stdin=False)
        except BaseException:
            self._peeks.release()
            raise

        def listen() -> None:
            try:
                call.head()
                assert call.process.stdout is not None
                answer.append(call.process.stdout.read(most))
            except (EOFError, OSError, ValueError):
                pass  # the connection broke, and whoever needs it says so
            finally:
                call.close()
                self._peeks.release()

        listening = threading.Thread(target=listen, name="vastnb peek", daemon=True)
        listening.start()
        listening.join(timeout)
        return answer[0] if answer else None

    def watch(self, call: Call, seconds: float) -> Watchdog:
        """End a call, and the connection, when nothing has come of it for so long."""
        master = self._process

        def give_up() -> None:
            call.process.kill()
            # It holds the call's pipes until the machine is done, which may be never.
            if self._multiplex and master is not None:
                master.kill()

        return Watchdog(give_up, seconds)

    def alive(self, pid: int) -> bool:
        """Ask the machine whether a process lives."""
        return bool(self.ask(f"{BEGAN}began {int(pid)}; :", urgent=True).strip())

    def kill(self, pid: int, name: str) -> None:
        """Send a signal (``INT``, ``TERM``, ``KILL``) to a process group, if it is still there."""
        self.ask(f"kill -s {name} -- -{int(pid)} 2>/dev/null; :", urgent=True)

    # -- ways through ------------------------------------------------------------------------

    def forward(self, one: Forward) -> None:
        """Open a way through the connection; it is opened again with each new connection.

        Raises
        ------
        RemoteError
            If ssh cannot, for instance because the local port is taken.
        """
        with self._lock:
            self.open()
            self._carry(one)

    def unforward(self, one: Forward) -> None:
        """Close a way."""
        with self._lock:
            process = self._forwards.pop(one, None)
            if process is not None:
                _stop(process)
            elif self.is_open and self._multiplex:
                self._master("cancel", "-L", str(one))

    def _carry(self, one: Forward) -> None:
        if not self._multiplex:
            assert self._target is not None
            previous = self._forwards.get(one)
            if previous is not None:
                _stop(previous)
            line = ssh.rider(self._target, None)
            self._forwards[one] = subprocess.Popen(
                [line[0], "-o", "ClearAllForwardings=no", *line[1:-1],
                 "-N", "-L", str(one), line[-1]],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
            return
        done = self._master("forward", "-L", str(one))
        if done.returncode and self.dropped():
            raise self.lost(f"{one.local} is not forwarded.")
        if done.returncode:
            raise RemoteError(
                f"Instance {self.instance_id}: {one.local} cannot be forwarded "
                f"(ssh: {done.stderr.decode(errors='replace').strip()[-200:]}).",
                instance_id=self.instance_id,
            )
        self._forwards[one] = None

    def _rider(self) -> list[str]:
        self.open()
        assert self._target is not None
        return ssh.rider(self._target, self._control if self._multiplex else None)

    def _master(
        self, word: str, *more: str, wait: float = 10.0
    ) -> subprocess.CompletedProcess[bytes]:
        assert self._target is not None
        line = ssh.rider(self._target, self._control)
        command = [*line[:-1], "-O", word, *more, line[-1]]
        try:
            return subprocess.run(
                command, capture_output=True, timeout=wait, start_new_session=True, check=False
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, 255, b"", b"no answer in time")


def _script(facts: Facts, command: str, place: str) -> str:
    environment = _ENVIRONMENT if facts.container else ""
    return f"{environment}cd -- {shlex.quote(place)} || exit 1\n{command}\n"


def _absolute(told: str | None, usual: str) -> str:
    return told if told is not None and told.startswith("/") else usual


def _short() -> str | None:
    """Return where sockets can be: their paths have 104 bytes, and ssh adds some of its own."""
    usual = tempfile.gettempdir()
    return "/tmp" if os.name != "nt" and len(usual) > 55 else None


def _rest(stream: Any) -> bytes:
    try:
        return bytes(stream.read())
    except (OSError, ValueError):
        return b""


def _write(stream: Any, data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # what reads it has ended
        stream.write(data)
        stream.close()


def _told(process: subprocess.Popen[bytes], nonce: str) -> dict[str, str] | None:
    """Read what a machine tells of itself; None if the connection ends before."""
    assert process.stdout is not None
    told: dict[str, str] = {}
    within = False
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        if line == f"{nonce}-so":
            return told
        if line == f"{nonce}-is":
            within = True
        elif within:
            name, _, value = line.partition("=")
            told[name] = value
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _end(
    owner: int, place: Path, forwards: dict[Forward, Any], holder: list[subprocess.Popen[bytes]]
) -> None:
    if os.getpid() != owner:  # a fork ends, and the connection is not its own
        return
    for process in [*holder, *(one for one in forwards.values() if one is not None)]:
        _stop(process)
    shutil.rmtree(place, ignore_errors=True)


def _once(function: Callable[[], None]) -> Callable[[], None]:
    left = [function]
    return lambda: left.pop()() if left else None


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold a Ctrl-C back until the block ends, in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda *args: held.append(args))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held and callable(before):
        before(*held[0])


__all__ = ["Call", "Facts", "Forward", "Session", "Standing", "Watchdog", "uninterrupted"]
