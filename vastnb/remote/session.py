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
import json
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
from vastnb.fleet.rent.process import Process, this_process
from vastnb.remote import ssh
from vastnb.remote.ssh import Target

OPEN_TIMEOUT: Final = 25.0
"""Seconds for a connection to be made, the user's touch of a hardware key included."""
PATIENCE: Final = 3.0
"""Seconds to try again, by default: a connection can break while it is made, too."""
HEAD: Final = 1 << 20
"""Bytes that a login may print before a call begins."""
ANSWER: Final = 16 << 20
"""Bytes of an answer to a question of ours, unless more was asked for."""
LAST_WORDS: Final = 1 << 16
"""Bytes that are kept of errors."""
AT_ONCE: Final = 8
"""Calls at a time on one connection; OpenSSH's server allows ten."""

# Ends ssh when this process ends, however it does. ssh itself sees the end of its input, too, but
# waits for the calls that ride on it. Its parent is `sh`, which has not waited for it: so the id
# is its own still.
_GUARDED: Final = """
exec 3<&0; "$@" <&3 3<&- & p=$!
trap 'kill $p' TERM
{ read x; kill $p; } <&3 3<&- >/dev/null 2>&1 & g=$!
exec 3<&-
while kill -0 $p 2>/dev/null; do wait $p; c=$?; done
kill $g 2>/dev/null; exit ${c:-255}
"""
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
        left = HEAD
        while left > 0 and (line := self.process.stdout.readline(left)):
            left -= len(line)
            # What a login script prints comes before it.
            found = re.match(rb".*" + self.nonce + rb" (\d{1,10})\n", line)
            if found:
                self.pid = int(found[1])
                return self.pid
        if left <= 0:  # whoever goes on printing is told that nobody listens
            self.process.kill()
            self.process.stdout.close()
        raise EOFError

    def exchange(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """Write the standard input, and read output and errors to their ends, after `head`.

        Raises
        ------
        OverflowError
            If more than `most` bytes come.
        """
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        errors = Listener(process.stderr)
        # Not `communicate`: it would pass over what `head` has read ahead.
        writing = threading.Thread(target=_write, args=(process.stdin, data), daemon=True)
        writing.start()
        out = process.stdout.read(most + 1)
        if len(out) > most:
            raise OverflowError
        process.wait()
        writing.join(5)  # nobody reads it any more
        return out, errors.last

    def last_words(self) -> bytes:
        """Return what it says of its end."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        if self.process.poll() is None:
            self.process.kill()
        return rest(self.process.stderr)

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
    closers : list of callable
        What is called when it closes for good.
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
        self._target: Target | None = None
        self._facts: Facts | None = None
        self._environment: dict[str, str] | None = None
        self._closed = False
        self.generation = 0
        self.closers: list[Callable[[], None]] = []
        self._begin_anew()
        _all.add(self)

    def _begin_anew(self) -> None:
        """Have no connection: at the beginning, and in a fork, where the parent's is not ours."""
        self._lock = threading.RLock()
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._spare = threading.BoundedSemaphore(1)
        self._peeks = threading.Semaphore(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._forwards: dict[Forward, subprocess.Popen[bytes] | None] = {}
        # Not bound to the session, or it would never be collected.
        self._places: list[Path] = []
        self._holder: list[subprocess.Popen[bytes]] = []
        self._end = weakref.finalize(
            self, _end, os.getpid(), self._places, self._forwards, self._holder
        )

    def _forked(self) -> None:
        self._end.detach()
        # The parent's connection lives as long as anybody holds these ends.
        for process in [*self._holder, *filter(None, self._forwards.values())]:
            process.returncode = 0  # the parent waits for it
            for end in (process.stdin, process.stdout, process.stderr):
                if end is not None:
                    getattr(end, "raw", end).close()  # a thread of the parent's may hold its lock
        self._begin_anew()

    # -- the connection ----------------------------------------------------------------------

    @property
    def place(self) -> Path:
        """A directory of this computer that only its user can read, for sockets."""
        if not self._places:
            self._places.append(own_place())
        return self._places[0]

    @property
    def _control(self) -> Path:
        return self.place / "c"

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
        self._environment = environment = ssh.environment(target)
        line = (
            ssh.master(target, self._control, f"exec sh -c {shlex.quote(probe)}")
            if self._multiplex
            else [*ssh.rider(target, None), f"exec sh -c {shlex.quote(probe)}"]
        )
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", *line] if os.name == "posix" else line,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env=environment,
        )  # fmt: skip
        errors = Listener(process.stderr)
        watchdog = threading.Timer(OPEN_TIMEOUT, _kill, (process,))
        watchdog.daemon = True
        watchdog.start()
        try:
            told = _told(process, nonce)
        except BaseException:
            _kill(process)
            raise
        finally:
            watchdog.cancel()
        if told is None:
            late = process.poll() is None or process.poll() == -9
            _kill(process)
            said = errors.last.decode(errors="replace").strip()
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
        _kill(process)
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
        while self.closers:
            self.closers.pop()()

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
    def environment(self) -> dict[str, str] | None:
        """What ssh may see of this process's environment."""
        return self._environment

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
                start_new_session=True, bufsize=-1, env=self._environment,
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
        self,
        script: str,
        data: bytes = b"",
        *,
        timeout: float = 30.0,
        urgent: bool = False,
        most: int = ANSWER,
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
        most : int
            Bytes that it may answer.

        Raises
        ------
        RemoteError
            If it fails, or answers more.
        """
        for last in (False, True):
            call = self.call(script, stdin=True, urgent=urgent)
            watchdog = self.watch(call, timeout)
            begun = False
            out, err = b"", b""
            try:
                call.head()
                begun = True
                out, err = call.exchange(data, most)
            except OverflowError:
                raise RemoteError(
                    f"Instance {self.instance_id} sent more than {most:,} bytes, more than "
                    f"was requested. They were discarded. {self._about().words}".rstrip(),
                    instance_id=self.instance_id,
                ) from None
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
                _kill(master)

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
                start_new_session=True, env=self._environment,
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


def rest(stream: Any) -> bytes:
    """Read a stream to its end; return the last that came of it."""
    last = b""
    with contextlib.suppress(OSError, ValueError):  # closed under us: the call is over
        while part := stream.read1(1 << 16):
            last = (last + part)[-LAST_WORDS:]
    return last


class Listener:
    """Reads a stream, so that nobody who writes to it waits, and keeps the end.

    Parameters
    ----------
    stream : binary file
        What is read.
    """

    def __init__(self, stream: Any) -> None:
        self._last: list[bytes] = []
        self._thread = threading.Thread(
            target=lambda: self._last.append(rest(stream)), name="vastnb listener", daemon=True
        )
        self._thread.start()

    @property
    def last(self) -> bytes:
        """What came last, once the stream has ended."""
        self._thread.join(5)
        return b"".join(self._last)


def own_place() -> Path:
    """Return a new directory that only this user can read; what dead processes left is deleted.

    Pushed values lie there for a moment: a kernel that is killed then leaves them behind.
    """
    parent = Path(_short() or tempfile.gettempdir())
    me = this_process()
    for one in parent.glob("vnb-*/owner"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            if one.stat().st_uid == os.getuid() and Process(*json.loads(one.read_text())).is_dead(
                0
            ):
                shutil.rmtree(one.parent, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix="vnb-", dir=parent))
    (place / "owner").write_text(json.dumps(me))
    return place


def _write(stream: Any, data: bytes) -> None:
    with contextlib.suppress(OSError, ValueError):  # what reads it has ended
        stream.write(data)
        stream.close()


def _told(process: subprocess.Popen[bytes], nonce: str) -> dict[str, str] | None:
    """Read what a machine tells of itself; None if the connection ends before."""
    assert process.stdout is not None
    told: dict[str, str] = {}
    within = False
    left = HEAD
    while left > 0 and (raw := process.stdout.readline(left)):
        left -= len(raw)
        line = raw.decode(errors="replace").rstrip("\n")
        if line == f"{nonce}-so":
            return told
        if line == f"{nonce}-is":
            within = True
        elif within:
            name, _, value = line.partition("=")
            told[name] = value
    return None


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a connection, with what guards it."""
    if process.poll() is None:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            _kill(process)
    if process.stdout is not None:
        process.stdout.close()


def _end(
    owner: int,
    places: list[Path],
    forwards: dict[Forward, Any],
    holder: list[subprocess.Popen[bytes]],
) -> None:
    if os.getpid() != owner:  # a fork ends, and the connection is not its own
        return
    for process in [*holder, *(one for one in forwards.values() if one is not None)]:
        _stop(process)
    for place in places:
        shutil.rmtree(place, ignore_errors=True)


_all: weakref.WeakSet[Session] = weakref.WeakSet()


def _in_a_fork() -> None:
    for session in list(_all):
        session._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_a_fork)


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
