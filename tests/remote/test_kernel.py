"""Cells on the machine: state that outlives connections, errors as they were, safe values."""

from __future__ import annotations

import datetime
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vastnb.errors import (
    CellFailed,
    CommandFailed,
    ConnectionLost,
    InvalidRequest,
    KernelDied,
    RemoteError,
    UnsafeValue,
    WaitTimeout,
)
from vastnb.remote import values
from vastnb.remote.kernel import RemoteKernel
from vastnb.remote.launch import INSTALL, filled
from vastnb.remote.run import run
from vastnb.remote.session import Session

from .conftest import Machine, MakeSession
from .cutting import Proxy

Heard = list[tuple[str, Any]]


@pytest.fixture
def start(connect: MakeSession) -> Iterator[Callable[..., RemoteKernel]]:
    made: list[RemoteKernel] = []

    def one(session: Session, name: str = "test", **options: Any) -> RemoteKernel:
        made.append(RemoteKernel(session, name, **options))
        return made[-1].open()

    yield one
    for kernel in made:
        if not kernel.session.is_closed:
            kernel.shutdown()


def text_of(kernel: RemoteKernel, code: str, **options: Any) -> str:
    heard: Heard = []
    kernel.execute(code, show=lambda kind, content: heard.append((kind, content)), **options)
    return "".join(content["text"] for kind, content in heard if kind == "stream")


def test_a_cell_keeps_its_state_and_shows_its_outputs(
    session: Session, start: Callable[..., RemoteKernel]
) -> None:
    kernel = start(session)
    heard: Heard = []
    kernel.execute("x = 20", show=lambda *what: heard.append(what))
    kernel.execute(
        "import sys\nprint('out'); print('err', file=sys.stderr)\n"
        "from IPython.display import display, HTML, clear_output\n"
        "display(HTML('<b>bold</b>')); x + 2",
        show=lambda *what: heard.append(what),
    )
    kinds = [kind for kind, _ in heard if kind != "execute_input"]
    assert kinds.count("stream") == 2
    assert kinds[-2:] == ["display_data", "execute_result"]
    assert heard[-1][1]["data"]["text/plain"] == "22"
    assert text_of(kernel, "!echo from a shell").strip() == "from a shell"


def test_an_error_has_the_traceback_of_the_machine(
    session: Session, start: Callable[..., RemoteKernel]
) -> None:
    kernel = start(session)
    with pytest.raises(CellFailed, match="ZeroDivisionError") as failed:
        kernel.execute("def broken():\n    1/0\nbroken()")
    assert failed.value.name == "ZeroDivisionError"
    assert any("broken" in line for line in failed.value._render_traceback_())


def test_ctrl_c_interrupts_the_cell_there(
    session: Session, start: Callable[..., RemoteKernel], tmp_path: Path
) -> None:
    kernel = start(session)
    runs = tmp_path / "runs"
    pressed: list[float] = []

    def press() -> None:
        while not runs.exists():
            time.sleep(0.05)
        pressed.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        kernel.execute(
            "n = 0\nimport time\nwhile True:\n    time.sleep(0.05); n += 1\n"
            f"    if n == 2: open({str(runs)!r}, 'w').close()"
        )
    assert time.monotonic() - pressed[0] < 4
    assert int(text_of(kernel, "print(n)")) > 1
    with pytest.raises(WaitTimeout, match="was interrupted"):
        kernel.execute("time.sleep(30)", timeout=0.3)


def test_the_kernel_outlives_the_connection_and_is_found_again(
    session: Session, connect: MakeSession, start: Callable[..., RemoteKernel]
) -> None:
    first = start(session)
    assert first.is_new
    first.execute("kept = 41")
    session.close()
    again = start(connect())
    assert not again.is_new
    assert text_of(again, "print(kept + 1)") == "42\n"
    assert text_of(start(again.session, "other"), "print('kept' in globals())") == "False\n"


def test_two_that_open_at_once_get_the_same_kernel(
    connect: MakeSession, start: Callable[..., RemoteKernel]
) -> None:
    found: list[int] = []
    sessions = [connect(), connect()]
    threads = [
        threading.Thread(target=lambda s=one: found.append(start(s, "race").pid))
        for one in sessions
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(found) == 2
    assert found[0] == found[1]


def test_a_cut_loses_outputs_and_nothing_else(
    weak: Session, proxy: Proxy, start: Callable[..., RemoteKernel]
) -> None:
    kernel = start(weak)
    threading.Timer(0.5, proxy.cut).start()
    with pytest.raises(ConnectionLost, match="variables are kept"):
        kernel.execute("import time\ntime.sleep(0.9); done = True")
    assert text_of(kernel, "print(done)") == "True\n"


def test_a_kernel_that_dies_is_told_and_replaced_by_the_next_cell(
    session: Session, start: Callable[..., RemoteKernel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vastnb.remote.kernel._QUIET", 0.3)
    kernel = start(session)
    kernel.execute("x = 1")
    with pytest.raises(KernelDied, match="variables are lost"):
        kernel.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert text_of(kernel, "print('x' in globals())") == "False\n"
    run(session, f"kill -KILL {kernel.pid}", show=False)  # while nothing runs
    session.drop()
    with pytest.raises(KernelDied):
        kernel.execute("x")
    kernel.execute("x = 2")


def test_bars_of_tqdm_are_text(session: Session, start: Callable[..., RemoteKernel]) -> None:
    shown = text_of(start(session), "from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass")
    assert "100%" in shown


def test_values_travel_both_ways_without_pickle(
    session: Session, start: Callable[..., RemoteKernel], machine: Machine
) -> None:
    kernel = start(session)
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None], "Int64"),
            "s": ["a", None],
            "t": pd.to_datetime(["2026-01-01", None], utc=True),
        },
        index=["x", "y"],
    )
    here = {
        "frame": frame,
        "series": frame["n"],
        "array": np.arange(6, dtype="float32").reshape(2, 3),
        "nested": {"a": [1, 2.5, (None, "text")], 3: {b"raw"}, "when": datetime.date(2026, 1, 2)},
        "scalar": np.int8(3),
    }
    kernel.push(here)
    kernel.execute("frame['n'] += 1; array *= 2")
    back, size = kernel.pull(list(here))
    assert size > 100
    frame["n"] += 1
    pd.testing.assert_frame_equal(back["frame"], frame)
    pd.testing.assert_series_equal(back["series"], here["series"])
    np.testing.assert_array_equal(back["array"], here["array"] * 2)
    assert back["nested"] == here["nested"]
    assert back["scalar"] == 3
    assert not list((machine.home / ".vastnb" / "kernels" / "test").glob("values-*"))
    with pytest.raises(InvalidRequest, match="no variable"):
        kernel.pull(["nowhere"])


class Thing:
    pass


def test_pickles_of_a_machine_are_not_opened_unless_it_is_trusted(
    session: Session, start: Callable[..., RemoteKernel], tmp_path: Path
) -> None:
    kernel = start(session)
    proof = tmp_path / "proof"
    kernel.execute(
        "class Evil:\n    def __reduce__(self):\n"
        f"        import os; return (os.mkdir, ({str(proof)!r},))\nevil = [1, Evil()]"
    )
    with pytest.raises(UnsafeValue, match=r"evil\[1\] is a __main__\.Evil"):
        kernel.pull(["evil"])
    # A machine that does not keep to it is not believed.
    file = tmp_path / "values"
    values.dump({"x": Thing()}, str(file), True)
    with pytest.raises(values.Unsafe):
        values.load(str(file), False)
    assert not proof.exists()
    kernel.trust = True
    kernel.pull(["evil"])
    assert proof.exists()


def test_errors_of_a_machine_move_no_terminal(
    session: Session, start: Callable[..., RemoteKernel]
) -> None:
    with pytest.raises(CellFailed) as failed:
        start(session).execute(r"raise ValueError('\x1b]52;c;cm0=\x07')")
    told = "".join(failed.value._render_traceback_())
    assert "\x1b]" not in told
    assert "\x1b[" in told  # its colours stay
    with pytest.raises(CommandFailed) as ended:
        run(session, r"printf '\033]52;c;cm0=\007' >&2; exit 1", check=True, show=False)
    assert "\x1b" not in str(ended.value)
    with pytest.raises(RemoteError) as refused:
        session.fetch(r"printf '\033]52;c;cm0=\007' >&2; exit 1")
    assert "\x1b" not in str(refused.value)


def test_a_machine_sets_no_variables_but_those_asked_for(
    session: Session, start: Callable[..., RemoteKernel]
) -> None:
    kernel = start(session)
    kernel.execute("x = 1")
    kernel.pull(["x"])
    kernel.execute(
        "def _evil(names, namespace, path, allow, was=_vastnb_values.pull):\n"
        "    namespace.update(client='theirs')\n"
        "    return was([*names, 'client'], namespace, path, allow)\n"
        "_vastnb_values.pull = _evil"
    )
    with pytest.raises(RemoteError, match="not requested"):
        kernel.pull(["x"])


def test_frames_travel_without_pyarrow_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]}, index=[5, 7])
    values.dump({"f": frame}, str(tmp_path / "v"), False)
    found = values.load(str(tmp_path / "v"), False)["f"]
    assert found.to_dict() == frame.to_dict() or found.equals(frame)


def test_nothing_pushed_is_in_a_list_of_processes(
    session: Session, start: Callable[..., RemoteKernel]
) -> None:
    kernel = start(session)
    kernel.push({"secret": "hunter2-pushed"})
    seen = b"".join(
        file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()
    )
    assert b"hunter2" not in seen
    assert kernel._messages.key not in seen


@pytest.mark.slow
def test_ipykernel_is_installed_beside_the_image_when_it_is_missing(
    session: Session, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment is made; what pip fetches into it is not looked at here."""
    bare = tmp_path / "bare"
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(bare)], check=True)
    script = filled(INSTALL, python=str(bare / "bin" / "python")).replace(
        'if "$own/bin/python" -m pip --version', 'if true; then touch "$own/made"; elif false'
    )
    done = run(session, script, cwd="~", show=False)
    assert "Installing ipykernel into" in done.out, done.err
    [own] = (machine.home / ".vastnb").glob("venv-*")
    assert (own / "made").exists()
    [paths] = own.rglob("vastnb.pth")
    assert str(bare) in paths.read_text()
