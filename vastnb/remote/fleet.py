"""Several machines side by side: each in a thread of its own, shown by the one that asks.

Threads only collect; what they have to show goes through one queue to the calling thread, since
what a thread prints lands under whichever notebook cell happens to run. Ctrl-C reaches that thread,
which interrupts all machines.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import CellFailed, CommandFailed, VastError
from vastnb.remote.box import kernel_of, session_of
from vastnb.remote.outputs import Shower
from vastnb.remote.run import Result, run

if TYPE_CHECKING:
    from vastnb.remote.machine import Machine

_COLUMNS = {
    "instance_id": "Int64",
    "code": "Int64",
    "out": "string",
    "err": "string",
    "seconds": "Float64",
    "error": "string",
}
Say = Callable[..., None]


def side_by_side(
    boxes: Sequence[Machine],
    work: Callable[[int, Machine, Say, threading.Event], Any],
    show: Callable[..., None],
) -> list[Any]:
    """Do something on each machine at once; return the results, or the errors, in order.

    Parameters
    ----------
    boxes : sequence of Machine
        The machines.
    work : callable
        Given a machine's number, the machine, what it may say something to, and an event that
        tells it to stop.
    show : callable
        Shows what was said, in this thread: given the machine's number, and what was said.
    """
    told: queue.Queue[tuple[int, tuple[Any, ...] | None]] = queue.Queue()
    stop = threading.Event()
    results: list[Any] = [None] * len(boxes)

    def one(number: int, box: Machine) -> None:
        try:
            results[number] = work(number, box, lambda *what: told.put((number, what)), stop)
        except BaseException as error:  # noqa: BLE001  (each machine's failure is its own)
            results[number] = error
        finally:
            told.put((number, None))

    threads = [
        threading.Thread(target=one, args=pair, name=f"vastnb fleet {pair[0]}", daemon=True)
        for pair in enumerate(boxes)
    ]
    for thread in threads:
        thread.start()
    left = len(threads)
    interrupted: KeyboardInterrupt | None = None
    while left:
        try:
            number, what = told.get(timeout=1.0)
        except queue.Empty:
            continue
        except KeyboardInterrupt as error:
            if interrupted is not None:
                raise
            interrupted = error
            stop.set()
            continue
        if what is None:
            left -= 1
        else:
            show(number, *what)
    if interrupted is not None:
        raise interrupted
    return results


def run_on(
    boxes: Sequence[Machine],
    command: str,
    *,
    check: bool = False,
    show: bool = True,
    **options: Any,
) -> pd.DataFrame:
    """Run a command on machines; see `vastnb.remote.verbs.OnMachines.run`."""
    count = len(boxes)
    shower = _lines(boxes)

    def work(number: int, box: Machine, say: Say, stop: threading.Event) -> Result:
        numbered = f"export VASTNB_RANK={number} VASTNB_COUNT={count}\n{command}"
        shown = (lambda text, is_error: say(text, is_error)) if show else False
        return run(session_of(box), numbered, show=shown, stop=stop, **options)

    results = side_by_side(boxes, work, shower)
    frame = pd.DataFrame(
        [_row(box.id, result) for box, result in zip(boxes, results, strict=True)],
        columns=list(_COLUMNS),
    ).astype(_COLUMNS)
    failed = frame[frame["code"].isna() | (frame["code"] != 0)]
    if check and len(failed):
        error = CommandFailed(
            f"The command failed on {len(failed)} of {count} machines "
            f"({', '.join(map(str, failed['instance_id']))}); error.result has their output."
        )
        error.result = frame
        raise error
    return frame


def _row(number: int, result: Any) -> tuple[Any, ...]:
    if isinstance(result, Result):
        return number, result.code, result.out, result.err, result.seconds, None
    return number, None, None, None, None, f"{type(result).__name__}: {result}"


def _lines(boxes: Sequence[Machine]) -> Callable[[int, str, bool], None]:
    """Return what shows text line by line, each with its machine."""
    showers = [Shower(prefix=f"[{box.id}] ") for box in boxes]
    begun = [["", ""] for _ in boxes]

    def show(number: int, text: str, is_error: bool) -> None:
        whole = begun[number][is_error] + text
        lines, newline, rest = whole.rpartition("\n")
        begun[number][is_error] = rest
        if newline:
            name = "stderr" if is_error else "stdout"
            showers[number]("stream", {"name": name, "text": lines + newline})

    return show


def cell_on(
    boxes: Sequence[Machine],
    code: str,
    *,
    kernel: str = "default",
    trust: bool = False,
    push: Mapping[str, Any] | None = None,
    python: str | None = None,
) -> None:
    """Run a cell on machines side by side, and show their outputs, each with its machine.

    Raises
    ------
    CellFailed
        At the end, if it failed on one; the others have run to their ends.
    """

    def work(number: int, box: Machine, say: Say, stop: threading.Event) -> None:
        there = kernel_of(box, kernel, python=python, trust=trust)
        if push:
            there.push(push)
        shower = Shower(trust=trust, prefix=f"[{box.id}] ", displays=there.displays)
        there.execute(code, show=lambda *what: say(shower, *what), stop=stop)

    results = side_by_side(boxes, work, lambda number, shower, *what: shower(*what))
    failed = {box.id: one for box, one in zip(boxes, results, strict=True) if one is not None}
    if failed:
        words = "; ".join(f"{number}: {str(one)[:300]}" for number, one in failed.items())
        error = CellFailed(f"The cell failed on {len(failed)} of {len(boxes)} machines. {words}")
        first = next(iter(failed.values()))
        if isinstance(first, CellFailed):
            error.name, error.value, error.traceback = first.name, first.value, first.traceback
        elif not isinstance(first, VastError):
            raise error from first
        raise error


__all__ = ["cell_on", "run_on", "side_by_side"]
