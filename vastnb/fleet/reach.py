"""Whether a machine that is shown as running can really be used.

Most rentals that fail are shown as running all the while. Proof comes only from an attempt to
connect, made by whoever can; without one, the record itself may give the host away: its GPUs are
not billed, its readings have stopped moving, or it has no address. One sign alone convicts nobody:
attempts must fail twice, after the time that a container may take to let one in, and the others
must last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vastnb.api.text import seconds
from vastnb.fleet.looks import History, Look, misses_after, readings_of
from vastnb.values import number

GRACE: Final = 60.0
"""Seconds that a container may take until it can be connected to."""
SILENCE: Final = 600.0
"""Seconds of exactly equal readings after which a machine no longer reports."""


def lost(
    record: Mapping[str, Any], look: Look, history: History, *, now: float, reached: bool | None
) -> str:
    """Say why a machine that is shown as running is not one that can be used; empty if it is.

    Parameters
    ----------
    record, look
        The raw record, and what was taken from it; it is shown as running and meant to run.
    history : sequence of Seen
        Earlier looks.
    now : float
        Epoch seconds.
    reached : bool, optional
        Whether a connection could be made just now.
    """
    if reached:
        return ""
    last = history[-1] if history and history[-1].look.runs else None
    before = last is not None and last.state == "unreachable"
    up = now - _up_since(history, now)
    misses = misses_after(last, reached)
    if misses >= 2 and (before or up >= GRACE):
        return f"{misses} attempts to connect have failed"
    if up >= GRACE and _no_address(record):
        return "it has no address to connect to"
    if last is not None:
        if last.look.unbilled and (before or (look.unbilled and up >= GRACE)):
            return "its GPUs are not billed: the host has probably lost it"
        readings = readings_of(record)
        same = len(readings) > 2 and readings == last.readings and last.readings_looks > 2
        if same and _busy(record) and now - last.readings_since >= SILENCE:
            quiet = seconds(now - last.readings_since)
            return f"its load and temperature have not changed at all for {quiet}"
    return ""


def _up_since(history: History, now: float) -> float:
    since = now
    for seen in reversed(history):
        if seen.look.present and not seen.look.runs:
            break
        since = seen.first if seen.look.present else since
    return since


def _busy(record: Mapping[str, Any]) -> bool:
    """Whether something is computed, so that readings must move; those of an idle one may not."""
    return any((number(record.get(name)) or 0.0) > 0 for name in ("gpu_util", "cpu_util"))


def _no_address(record: Mapping[str, Any]) -> bool:
    """Whether an instance for SSH has none; columns that were not asked for prove nothing."""
    runtype = record.get("image_runtype")
    if not isinstance(runtype, str) or "args" in runtype or "ssh_host" not in record:
        return False
    return not record.get("ssh_host") and not record.get("ports")
