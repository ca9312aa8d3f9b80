"""A kernel on the machine, and cells that run in it.

Its sockets are brought here through the session, as Unix sockets in a directory of ours, and spoken
to with Jupyter's own protocol (`jupyter_client.session`). The kernel belongs to no connection: one
that breaks loses what the running cell printed meanwhile, and nothing else. After a cut the sockets
are made anew, so no message of before can be taken for one of after.

It is long because finding, starting, speaking to and ending a kernel share one set of sockets.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vastnb.api.text import plain
from vastnb.errors import (
    CellFailed,
    ConnectionLost,
    InvalidRequest,
    KernelDied,
    RemoteError,
    UnsafeValue,
    VastError,
    WaitTimeout,
)
from vastnb.remote import values
from vastnb.remote.launch import INSTALL, LAUNCHER, START, filled
from vastnb.remote.outputs import Shower
from vastnb.remote.run import run, tame
from vastnb.remote.session import Forward, Session

Show = Callable[[str, Mapping[str, Any]], None]

CHANNELS: Final = {"shell": 1, "iopub": 2, "control": 4}
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,40}", re.ASCII)
_AT: Final = re.compile(r"\d{1,10} /tmp/vnbk-\w+ (new|old)", re.ASCII)
PULLED: Final = 2 << 30
"""Bytes that one pull may fetch: they have to fit into this kernel's memory twice."""
_MESSAGE: Final = 256 << 20
"""Bytes of one message, and"""
_WAITING: Final = 100_000
"""how many of them may wait to be read."""
_QUIET: Final = 2.0
"""Seconds without a message after which it is asked whether the kernel still lives."""
_AFTER_INTERRUPT: Final = 10.0


class RemoteKernel:
    """A kernel on a machine.

    Parameters
    ----------
    session : Session
        The connection.
    name : str
        Which one: every notebook that names it shares its variables.
    python : str, optional
        Path of the machine's Python; by default the image's own.
    trust : bool
        Show all that its outputs hold, and unpickle what is pulled from it; see
        `vastnb.remote.outputs`.

    Attributes
    ----------
    is_new : bool
        Whether it had to be started.
    displays : str
        What the names of its displays begin with here, so that none is another machine's.
    """

    def __init__(
        self,
        session: Session,
        name: str = "default",
        *,
        python: str | None = None,
        trust: bool = False,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidRequest(f"{name!r} is not a kernel name: use letters, digits, - and _.")
        self.session = session
        self.name = name
        self.trust = trust
        self.is_new = False
        self.displays = secrets.token_hex(8)
        self._python = shlex.quote(python) if python else ""
        self._lock = threading.RLock()
        self._pid = 0
        self._forwards: list[Forward] = []
        self._sockets: dict[str, Any] = {}
        self._messages: Any = None
        self._generation = 0
        self._prepared = False

    # -- being there -------------------------------------------------------------------------

    def open(self) -> RemoteKernel:
        """Find it or start it, and connect to it. A kernel that died is not replaced here.

        Returns
        -------
        RemoteKernel
            Itself.

        Raises
        ------
        KernelDied
            If it was there before, and is no more.
        RemoteError
            If it cannot be started.
        """
        with self._lock:
            current = self._generation == self.session.generation and self.session.is_open
            if self._sockets and current:
                return self
            self._leave()
            known, self._pid = self._pid, 0
            try:
                pid, place, key, new = self.find(start=not known)
            except ConnectionLost:
                self._pid = known
                raise
            if known and pid != known:
                raise self._died()
            self._pid, self.is_new = pid, new
            self._join(place, key)
            return self

    def find(self, *, start: bool = True, key: str | None = None) -> tuple[int, str, str, bool]:
        """Return its process id, its directory, its key, and whether it was started now.

        Parameters
        ----------
        start : bool
            Start it if it is not there.
        key : str, optional
            The key of one that is started.
        """
        key = key or secrets.token_hex(24)
        for last in (False, True):
            script = filled(START, python=self._python, name=self.name, key=key, start=start)
            told = self.session.ask(
                self.session.script(script), (key + LAUNCHER).encode(), timeout=180
            )
            first, _, rest = told.strip().partition("\n")
            word, *more = first.split()
            if word == "at" and _AT.fullmatch(" ".join(more)):
                return int(more[0]), more[1], rest.strip(), more[2] == "new"
            if word == "none":
                raise self._died()
            if word != "missing" or last:
                break
            self._install()
        why = {"no-python": "There is no Python", "missing": "ipykernel is missing"}
        raise RemoteError(
            f"{why.get(word, 'The kernel does not start')} on instance "
            f"{self.session.instance_id}: {rest.strip()[-400:]} No kernel is running there, and "
            "the machine is billing. Choose another Python with box.kernel(python=...), or run "
            "box.run('python -m pip install ipykernel').",
            instance_id=self.session.instance_id,
        )

    def _install(self) -> None:
        done = run(self.session, filled(INSTALL, python=self._python), cwd="~", timeout=900)
        if done.code:
            raise RemoteError(
                f"ipykernel could not be installed on instance {self.session.instance_id}: "
                f"{done.err.strip()[-400:]} The image is unchanged, and the machine is billing.",
                instance_id=self.session.instance_id,
            )

    def _join(self, place: str, key: str) -> None:
        import zmq
        from jupyter_client.session import Session as Messages

        self._generation = self.session.generation
        tag = secrets.token_hex(4)
        self._messages = Messages(key=key.encode(), signature_scheme="hmac-sha256")
        context: Any = zmq.Context.instance()
        kinds = {"shell": zmq.DEALER, "iopub": zmq.SUB, "control": zmq.DEALER}
        for channel, number in CHANNELS.items():
            local, there = _local_end(self.session.place, f"{tag}-{number}")
            forward = Forward(there, f"{place}/s-{number}")
            self.session.forward(forward)
            self._forwards.append(forward)
            end = context.socket(kinds[channel])
            end.linger = 0
            end.setsockopt(zmq.RECONNECT_IVL, 20)
            end.setsockopt(zmq.MAXMSGSIZE, _MESSAGE)
            if channel == "iopub":
                end.setsockopt(zmq.RCVHWM, _WAITING)
                end.setsockopt(zmq.SUBSCRIBE, b"")
            else:
                end.identity = self._messages.bsession
            end.connect(local)
            self._sockets[channel] = end
        self._wait_until_heard()

    def _wait_until_heard(self, timeout: float = 30.0) -> None:
        """Wait until it answers and its outputs arrive: one that came before is lost."""
        import zmq

        until = time.monotonic() + timeout
        sent = 0.0
        busy_since = None
        replied = False
        while True:
            now = time.monotonic()
            if not self.session.is_open or now > until:
                raise self.session.lost("The kernel on the machine keeps running.")
            # The control channel answers while a cell runs; outputs flow once any has come.
            if now - sent > 0.3:
                self._messages.send(self._sockets["control"], "kernel_info_request")
                sent = now
            for channel in self._ready(0.05):
                with contextlib.suppress(ValueError, zmq.ZMQError):
                    self._receive(channel)
                    if channel == "iopub":
                        return
                    replied = True
            if replied:
                busy_since = busy_since or now
                if now - busy_since > 3.0:  # an old kernel, whose control channel tells nothing
                    return

    def _leave(self) -> None:
        for end in self._sockets.values():
            end.close()
        self._sockets = {}
        for forward in self._forwards:
            with contextlib.suppress(RemoteError):
                self.session.unforward(forward)
        self._forwards = []
        self._prepared = False

    def close(self) -> None:
        """Disconnect from it; it keeps running."""
        with self._lock:
            self._leave()

    @property
    def pid(self) -> int:
        """Its process id on the machine."""
        self.open()
        return self._pid

    def alive(self) -> bool:
        """Whether it is running; asks the machine."""
        return self.session.alive(self._pid)

    # -- cells -------------------------------------------------------------------------------

    def execute(
        self,
        code: str,
        *,
        show: Show | None = None,
        silent: bool = False,
        ask: Mapping[str, str] | None = None,
        timeout: float | None = None,
        stop: threading.Event | None = None,
    ) -> dict[str, Any]:
        """Run a cell and show its output.

        Parameters
        ----------
        code : str
            IPython's language: Python, magics, ``!commands``.
        show : callable, optional
            What shows its outputs: given the kind of message, and its content.
        silent : bool
            Do not count it or store its history there.
        ask : mapping of str to str, optional
            Expressions to evaluate after it; see the result.
        timeout : float, optional
            Seconds after which it is interrupted.
        stop : Event, optional
            Interrupts it when set.

        Returns
        -------
        dict
            The content of the kernel's reply.

        Raises
        ------
        CellFailed
            If it raised an error.
        KeyboardInterrupt
            If you interrupt it; this also interrupts it on the machine.
        ConnectionLost
            If the connection is lost: the cell keeps running.
        KernelDied
            If the kernel has died, with its variables.
        """
        show = show or Shower(trust=self.trust, displays=self.displays)
        with self._lock:
            self.open()
            content = {
                "code": code,
                "silent": silent,
                "store_history": not silent,
                "user_expressions": dict(ask or {}),
                "allow_stdin": False,
                "stop_on_error": False,
            }
            sent = self._messages.send(self._sockets["shell"], "execute_request", content)
            reply = self._follow(sent["header"]["msg_id"], show, timeout, stop)
        if reply.get("status") == "ok":
            return reply
        raise self._failed(reply)

    def _follow(
        self, number: str, show: Show, timeout: float | None, stop: threading.Event | None
    ) -> dict[str, Any]:
        """Show a cell's outputs until it has replied and its outputs have ended."""
        reply: dict[str, Any] | None = None
        idle = False
        heard, quiet = time.monotonic(), _QUIET
        until = None if timeout is None else heard + timeout
        interrupted: float | None = None
        timed_out = False
        while reply is None or not idle:
            try:
                ready = self._ready(0.25)
                now = time.monotonic()
                if interrupted is not None and now - interrupted > _AFTER_INTERRUPT:
                    raise self._unheeded(timed_out)
                if not ready:
                    # The last outputs may have been lost with an old kernel's slow subscription.
                    if reply is not None and now - heard > 1.0:
                        break
                    if now - heard > quiet or not self.session.is_open:
                        self._check()
                        heard, quiet = now, min(15.0, quiet * 1.5)
                else:
                    heard, quiet = now, _QUIET
                late = until is not None and now > until
                if (late or (stop is not None and stop.is_set())) and interrupted is None:
                    timed_out, interrupted = late, now
                    self.interrupt()
                for channel in ready:
                    message = self._receive(channel)
                    if message is None or message["parent_header"].get("msg_id") != number:
                        continue
                    kind, content = message["msg_type"], message["content"]
                    if channel == "shell":
                        reply = content
                    elif kind == "status":
                        idle = content.get("execution_state") == "idle"
                    elif kind == "execute_input":
                        if interrupted is not None:  # what came before it began, it did not hear
                            self.interrupt()
                    elif kind != "error":
                        show(kind, content)
            except KeyboardInterrupt:
                if interrupted is not None:
                    raise
                interrupted = time.monotonic()
                self.interrupt()
        if interrupted is not None and reply.get("ename") == "KeyboardInterrupt":
            if timed_out:
                raise WaitTimeout(
                    f"The cell took longer than {timeout:g} s on instance "
                    f"{self.session.instance_id} and was interrupted. The kernel keeps its "
                    "variables, and the machine is billing."
                )
            raise _Interrupted(reply.get("traceback") or ())
        return reply

    def _check(self) -> None:
        """Find out why nothing comes: the connection, the kernel, or a cell that says nothing."""
        try:
            alive = self.session.is_open and self.alive()
        except ConnectionLost:
            alive = False
        # Asking makes a connection that broke again, and so may another thread have done.
        if not self.session.is_open or self.session.generation != self._generation:
            self._leave()
            raise self._cut()
        if not alive:
            self._leave()
            self._pid = 0
            raise self._died()

    def _cut(self) -> ConnectionLost:
        return self.session.lost(
            "The cell may still be running there; its output since then is lost. The kernel and "
            "its variables are kept: the next cell reconnects and waits for this one to end."
        )

    def _died(self) -> KernelDied:
        return KernelDied(
            f"The kernel {self.name!r} on instance {self.session.instance_id} has died, and its "
            "variables are lost: a cell ended it, the machine ran out of memory, or the machine "
            "restarted. The machine may still bill. The next cell starts a new kernel.",
            instance_id=self.session.instance_id,
        )

    def _unheeded(self, timed_out: bool) -> BaseException:
        words = (
            f"The cell on instance {self.session.instance_id} does not respond to the interrupt "
            "and keeps running. kernel.restart() ends it; its variables are lost."
        )
        return WaitTimeout(words) if timed_out else KeyboardInterrupt(words)

    def _failed(self, reply: Mapping[str, Any]) -> CellFailed:
        name, value = (
            tame(str(reply.get(part, usual)))
            for part, usual in (("ename", "aborted"), ("evalue", ""))
        )
        error = CellFailed(
            f"{name} on instance {self.session.instance_id}: {value[:2000]}",
            instance_id=self.session.instance_id,
        )
        error.name, error.value = name, value
        error.traceback = tuple(tame(str(line)) for line in reply.get("traceback") or ())
        return error

    def interrupt(self) -> None:
        """Interrupt its cell and the processes that it started."""
        self.session.kill(self._pid, "INT")

    def restart(self) -> None:
        """Restart it; its variables are lost."""
        self.shutdown()
        self.open()

    def shutdown(self) -> None:
        """Stop it; its variables are lost."""
        with self._lock:
            pid, self._pid = self._pid, 0
            self._leave()
            if not pid:
                with contextlib.suppress(KernelDied):
                    pid = self.find(start=False)[0]
            if pid:
                self.session.kill(pid, "KILL")
                self.session.ask(
                    f'd=$(cat "$HOME/.vastnb/kernels/{self.name}/place" 2>/dev/null)\n'
                    'case $d in /tmp/vnbk-*) rm -rf -- "$d" ;; esac'
                )

    # -- values ------------------------------------------------------------------------------

    def push(self, values_by_name: Mapping[str, Any]) -> int:
        """Copy variables to it.

        Parameters
        ----------
        values_by_name : mapping of str to object
            The variables. Frames are sent as Arrow, arrays as they are; the rest is pickled.

        Returns
        -------
        int
            Bytes sent.
        """
        import tempfile

        self._prepare()
        with tempfile.TemporaryDirectory(dir=self.session.place) as place:
            file = Path(place) / "values"
            size = values.dump(dict(values_by_name), str(file), True)["bytes"]
            data = file.read_bytes()
        there = self._file()
        self.session.fetch(
            f'umask 077; cat >{there}; [ "$(wc -c <{there})" -eq {len(data)} ]',
            data,
            timeout=60 + len(data) / 100_000,
        )
        self._own(f"globals().update(_vastnb_values.load({self._there(there)}, True))")
        return int(size)

    def pull(self, names: Sequence[str]) -> tuple[dict[str, Any], int]:
        """Copy variables from it.

        Parameters
        ----------
        names : sequence of str
            Their names.

        Returns
        -------
        dict, int
            Their values, and the bytes received. A torch tensor arrives as an array.

        Raises
        ------
        UnsafeValue
            If one needs pickle: unpickling would run any code of the machine's host on this
            computer. `trust` allows it.
        InvalidRequest
            If there is no such variable.
        """
        import tempfile

        self._prepare()
        there = self._file()
        expression = (
            f"_vastnb_values.pull({list(names)!r}, globals(), {self._there(there)}, {self.trust})"
        )
        with self._reading():
            told = dict(json.loads(self._own("", expression)))
            size = int(told.get("bytes", 0))
        if told.get("missing"):
            raise InvalidRequest(
                f"There is no variable {', '.join(map(str, told['missing']))} in kernel "
                f"{self.name!r} on instance {self.session.instance_id}."
            )
        if "unsafe" in told:
            raise UnsafeValue(
                f"{str(told['unsafe'])[:200]}, which only pickle can transfer, and unpickling "
                "runs any code that the machine's host has put into it on this computer. Pull its "
                "data instead (for a model of torch: state = model.state_dict()), or write it to "
                "a file and download that. If you trust the host, --trust "
                "(box.kernel(trust=True)) unpickles it.",
                instance_id=self.session.instance_id,
            )
        if size > PULLED:
            self.session.ask(f"rm -f {there}")
            raise InvalidRequest(
                f"{', '.join(names)}: {size / 1e9:.1f} GB, and a pull transfers up to "
                f"{PULLED / 1e9:.1f} GB. Write them to a file there (numpy.save, to_parquet) and "
                "use box.download(). Nothing was transferred."
            )
        data = self.session.fetch(f"cat {there}", timeout=60 + size / 100_000, most=size)
        self.session.ask(f"rm -f {there}")
        with self._reading(), tempfile.TemporaryDirectory(dir=self.session.place) as place:
            file = Path(place) / "values"
            file.touch(0o600)
            file.write_bytes(data)
            found = values.load(str(file), self.trust)
        if set(found) != set(names):  # others would take the place of the caller's own
            raise RemoteError(
                f"Instance {self.session.instance_id} sent variables that were not requested. "
                "Nothing was assigned.",
                instance_id=self.session.instance_id,
            )
        return found, len(data)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what a stranger's answer does to its reader into an error that says so."""
        try:
            yield
        except (VastError, OSError):
            raise
        except values.Unsafe as unsafe:
            raise UnsafeValue(
                f"Instance {self.session.instance_id}: {plain(str(unsafe), 200)}, which was not "
                "read: it could run any code on this computer. Nothing was assigned.",
                instance_id=self.session.instance_id,
            ) from None
        except Exception as error:
            raise RemoteError(
                f"The answer of instance {self.session.instance_id} cannot be read "
                f"({type(error).__name__}: {plain(str(error), 200)}). Nothing was assigned.",
                instance_id=self.session.instance_id,
            ) from error

    def _file(self) -> str:
        return f'"$HOME"/.vastnb/kernels/{self.name}/values-{secrets.token_hex(8)}'

    def _there(self, file: str) -> str:
        return repr(file.replace('"$HOME"', self.session.facts.home))

    def _prepare(self) -> None:
        """Give it the module that reads and writes values."""
        with self._lock:
            self.open()
            if not self._prepared:
                source = Path(values.__file__).read_text(encoding="utf-8")
                self._own(
                    "import types as _t\n_vastnb_values = _t.ModuleType('_vastnb_values')\n"
                    f"exec({source!r}, _vastnb_values.__dict__)\ndel _t"
                )
                self._prepared = True

    def _own(self, code: str, expression: str | None = None) -> str:
        """Run code of ours; return the value, a text, of an expression."""
        import ast

        ask = {"it": expression} if expression else {}
        reply = self.execute(code, silent=not expression, ask=ask, show=lambda kind, content: None)
        if expression is None:
            return ""
        with self._reading():
            told = dict(reply["user_expressions"]["it"])
            if told.get("status") == "ok":
                text = ast.literal_eval(told["data"]["text/plain"])
                return text if isinstance(text, str) else json.dumps(text)
        raise self._failed(told)

    # -- messages ----------------------------------------------------------------------------

    def _ready(self, seconds: float) -> list[str]:
        import zmq

        poller = zmq.Poller()
        for end in self._sockets.values():
            poller.register(end, zmq.POLLIN)
        found = dict(poller.poll(round(seconds * 1000)))
        # Outputs first: the reply is to find them shown.
        order = ("iopub", "shell", "control")
        return [name for name in order if self._sockets[name] in found]

    def _receive(self, channel: str) -> dict[str, Any] | None:
        """Return the next message; None for what is none, or not the kernel's."""
        import zmq

        try:
            _, message = self._messages.recv(self._sockets[channel], mode=zmq.NOBLOCK)
        except zmq.ZMQError:
            raise
        except Exception:  # noqa: BLE001  (whatever a stranger's bytes make of its reader)
            return None
        parts = ("header", "parent_header", "content")
        well = isinstance(message, dict) and all(isinstance(message.get(p), dict) for p in parts)
        return message if well and isinstance(message.get("msg_type"), str) else None

    def __enter__(self) -> RemoteKernel:
        return self.open()

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<RemoteKernel {self.name!r} on instance {self.session.instance_id}>"


class _Interrupted(KeyboardInterrupt):
    """A cell was interrupted; IPython shows where it was on the machine."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("interrupted on the machine")
        self._lines = [tame(str(line)) for line in lines]

    def _render_traceback_(self) -> list[str]:
        return self._lines


def _local_end(place: Path, name: str) -> tuple[str, str]:
    """Return a free end on this computer: for ZeroMQ, and for ssh."""
    if hasattr(socket, "AF_UNIX"):
        path = place / name
        return f"ipc://{path}", str(path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        end = f"127.0.0.1:{probe.getsockname()[1]}"
    return f"tcp://{end}", end


__all__ = ["RemoteKernel"]
