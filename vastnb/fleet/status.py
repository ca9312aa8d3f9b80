"""From a raw record to one verdict: how an instance is, why, and what to do about it.

`judge` is a pure function of the record, of what the user wants, and of what was seen before. The
history is what makes a verdict steady: a start that was called stuck stays so until it ends, an
instance that is missing from one answer is not gone yet, and one failed attempt to connect is not
a lost machine. It also tells what a single record cannot: since when nothing has moved.

The service's own words decide little. Ready is *actual and intended* running; failures show in
``intended_status``; a word that is not known is pending, and shown as it is. Most rentals that fail
are shown as running all the while (`lost`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple, get_args

from vastnb.api.text import seconds
from vastnb.fleet.looks import (
    History,
    Look,
    Message,
    Seen,
    attempt,
    before_attempt,
    look_at,
    misses_after,
    readings_of,
)
from vastnb.values import number

InstanceState = Literal[
    "starting", "running", "stuck", "failed", "outbid", "stopped", "offline", "unreachable", "gone"
]
Advice = Literal[
    "nothing to do",
    "wait",
    "destroy and try the next offer",
    "destroy and fix the image",
    "try the next offer",
    "raise the bid",
    "start again",
    "stop it",
    "destroy it again",
    "billed for storage",
]
Wanted = Literal["running", "stopped", "gone"]
Level = Literal["info", "good", "warn", "bad"]
STATES: Final[tuple[InstanceState, ...]] = get_args(InstanceState)
ADVICE: Final[tuple[Advice, ...]] = get_args(Advice)
TO_DO: Final[dict[Advice, str]] = {
    "nothing to do": "",
    "wait": "",
    "destroy and try the next offer": "Destroy it and try the next offer",
    "destroy and fix the image": "Destroy it and correct the image",
    "try the next offer": "Try the next offer",
    "raise the bid": "Raise the bid",
    "start again": "Start it again",
    "stop it": "Stop it",
    "destroy it again": "Destroy it again",
    "billed for storage": "Start it, or destroy it to end disk charges",
}
"""Advice as a sentence; empty where there is nothing to do."""


class Meaning(NamedTuple):
    """What follows from a state, for whoever tells of it, shows it or waits for it.

    Parameters
    ----------
    level : {"info", "good", "warn", "bad"}
        How good or bad the news is, if nobody wanted it so.
    tone : str
        How it looks.
    rank : int
        Its place among others: trouble first (0), what is over last.
    alarm : {"warn", "bad"}, optional
        How loud the notice of it is; None if there is none.
    words : str
        How that notice begins.
    well : bool
        Whether a notice of something else is over by it.
    gpu_billed : bool
        Whether its GPUs are charged.
    hopeless : tuple of Wanted
        What it does not get to from here without help.
    seen_twice : bool
        Whether it may be a moment's: the list may be older than what was just asked for.
    """

    level: Level
    tone: str
    rank: int = 0
    alarm: Level | None = None
    words: str = ""
    well: bool = False
    gpu_billed: bool = False
    hopeless: tuple[Wanted, ...] = ()
    seen_twice: bool = False


_NEVER_RUNS: Final[tuple[Wanted, ...]] = ("running",)

MEANINGS: Final[dict[InstanceState, Meaning]] = {
    "starting": Meaning("info", "busy", 1),
    "running": Meaning("good", "good", 2, well=True, gpu_billed=True),
    "stuck": Meaning("warn", "warn", alarm="warn", words="Stuck", hopeless=_NEVER_RUNS),
    "failed": Meaning("bad", "bad", alarm="bad", words="Failed", hopeless=_NEVER_RUNS),
    "outbid": Meaning("warn", "bad", alarm="warn", words="Outbid", hopeless=_NEVER_RUNS),
    "stopped": Meaning("info", "off", 3, well=True, hopeless=_NEVER_RUNS, seen_twice=True),
    "offline": Meaning("warn", "warn", hopeless=_NEVER_RUNS, seen_twice=True),
    "unreachable": Meaning(
        "warn",
        "bad",
        alarm="bad",
        words="Running and billed, but unreachable",
        gpu_billed=True,
        hopeless=_NEVER_RUNS,
    ),
    "gone": Meaning("warn", "gone", 4, well=True, hopeless=("running", "stopped")),
}
"""The one table of verdicts: a new state is a row here, and a case in `judge`."""

NO_ANSWER: Final = 300.0
"""Seconds after which a machine that has not begun to load is stuck; loading begins in seconds."""
NO_PROGRESS: Final = 600.0
"""Seconds without a new word after which loading is stuck; whole starts take up to 8 minutes."""
TOO_LONG: Final = 3600.0
"""Seconds after which a start is stuck although it moves."""
PATIENCE: Final = 120.0
"""Seconds in which an unknown error, or a container that ended, may still come right."""
OFFLINE_PATIENCE: Final = 1800.0
"""Seconds for which it is worth waiting for a host."""
AWAY: Final = 60.0
"""Seconds of absence after which a destroyed instance does not come back."""
GRACE: Final = 60.0
"""Seconds that a container may take until it can be connected to."""
SILENCE: Final = 600.0
"""Seconds of exactly equal readings after which a machine no longer reports."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an instance is.

    Parameters
    ----------
    state : str
        One of `STATES`. ``running`` is said only of an instance that is shown as running *and* is
        meant to run (or was a moment ago, and is missing from one answer).
    reason : str
        In words; what it quotes of the status message is cleaned and cut.
    advice : str
        One of `ADVICE`.
    settled : bool
        False while it is on its way to something else, so that a look soon is worth while.
    """

    state: InstanceState
    reason: str
    advice: Advice = "nothing to do"
    settled: bool = True


def judge(
    record: Any,
    wanted: Wanted | None = None,
    history: History = (),
    *,
    now: float,
    reached: bool | None = None,
    credit: float | None = None,
) -> Verdict:
    """Say how an instance is.

    Parameters
    ----------
    record : dict or None
        The raw record; `None` (or anything that is no object) if the service shows none.
    wanted : {"running", "stopped", "gone"}, optional
        What it is meant to be; `None` if nobody knows, as for a machine rented elsewhere.
    history : sequence of Seen, optional
        Earlier looks, see `remember`. Without it nothing is ever stuck.
    now : float
        When the record was fetched, epoch seconds.
    reached : bool, optional
        Whether a connection could be made just now; `None` if nobody tried. Most machines that
        fail are shown as running, and only this tells.
    credit : float, optional
        What the account has left, $, if it is known.

    Returns
    -------
    Verdict
        For every JSON value; it never raises.
    """
    look = look_at(record)
    if not look.present:
        return _absent(wanted, history, now)
    if wanted == "gone":
        found = judge(record, None, history, now=now, reached=reached, credit=credit)
        back = any(seen.state == "gone" for seen in history)
        still = (
            "came back after it was destroyed"
            if back
            else "is still there after a request to destroy it"
        )
        reason = f"{still}, and is billed: {found.reason}"
        return Verdict(found.state, reason, "destroy it again", settled=False)
    if look.actual == "offline":
        found = _offline(history, now)
    elif look.intended == "running":
        found = _meant_to_run(record, look, history, now, reached)
    elif look.intended is None and look.actual not in ("exited", "stopped"):
        shown = look.actual or "without a status"
        reason = f"shown as {shown}; Vast.ai does not say whether it should run"
        found = Verdict("starting", reason, "wait", settled=False)
    elif look.intended in (None, "stopped", "exited"):
        return _meant_to_stop(record, look, wanted, history, credit)
    else:
        words = f"{look.actual or 'no status'}, changing to {look.intended}"
        found = Verdict("starting", words, "wait", settled=False)
    if wanted == "stopped" and look.intended == "running":
        reason = f"{found.reason}; it should be stopped, but is set to run"
        return replace(found, reason=reason, advice="stop it", settled=False)
    return found


# -- not there


def _absent(wanted: Wanted | None, history: History, now: float) -> Verdict:
    last = history[-1] if history else None
    if wanted == "gone":
        since = last.first if last and not last.look.present else now
        return Verdict("gone", "destroyed", settled=now - since >= AWAY)
    if last is None or last.look.present:
        before: InstanceState = "starting" if wanted == "running" else "gone"
        state = before if last is None else _state(last)
        reason = "missing from the last answer, which may be incomplete; checking again"
        return Verdict(state, reason, "wait", settled=False)
    advice: Advice = "try the next offer" if wanted == "running" else "nothing to do"
    return Verdict("gone", "no longer among your instances: destroyed elsewhere, or by its host",
                   advice)  # fmt: skip


def _state(seen: Seen) -> InstanceState:
    return next((state for state in STATES if state == seen.state), "starting")


def _offline(history: History, now: float) -> Verdict:
    since = now
    for seen in reversed(history):
        if not seen.look.present or seen.look.actual != "offline":
            break
        since = seen.first
    away = max(0.0, now - since)
    advice: Advice = "wait" if away < OFFLINE_PATIENCE else "destroy and try the next offer"
    how_long = f", for {seconds(away)} at least" if away else ""
    return Verdict("offline", f"Vast.ai cannot reach the host{how_long}", advice)


# -- meant to run


def _meant_to_run(
    record: Mapping[str, Any], look: Look, history: History, now: float, reached: bool | None
) -> Verdict:
    if look.runs:
        why = lost(record, look, history, now=now, reached=reached)
        if why:
            return Verdict("unreachable", f"shown as running, but {why}",
                           "destroy and try the next offer")  # fmt: skip
        return Verdict("running", "running")
    if look.queued:
        reason = "waiting for free GPUs; it will then start and bill automatically"
        return Verdict("starting", reason, "wait", settled=False)
    part = attempt(history)
    failed = _failed(look, history, part, now)
    if failed:
        return failed
    phase = _phase(look, part)
    begun = part[0].first if part else now
    moved = _moved(look, part, now)
    waited, still = max(0.0, now - begun), max(0.0, now - moved)
    loads = look.actual == "loading"
    too_still = still >= (NO_PROGRESS if loads else NO_ANSWER)
    # Once said, it stays said until this start has ended: a layer an hour is no recovery.
    before = any(seen.state == "stuck" for seen in part)
    if not (before or too_still or waited >= TOO_LONG):
        return Verdict("starting", phase, "wait", settled=False)
    how = f"no progress for {seconds(still)}" if too_still else f"{seconds(waited)} already"
    return Verdict("stuck", f"{phase}; {how}", "destroy and try the next offer", settled=False)


def _failed(look: Look, history: History, part: tuple[Seen, ...], now: float) -> Verdict | None:
    """Return the verdict on a start that has failed, though the service still means it to run."""
    message, since = look.message, now
    for seen in reversed(part):
        if seen.look.message != message or seen.look.actual != look.actual:
            break
        since = seen.first
    lasted = now - since
    earlier = before_attempt(history)
    fresh = not part or now - part[0].first < PATIENCE
    left_over = (
        fresh
        and earlier is not None
        and earlier.look.message == message
        and all(seen.look.message == message for seen in part)
    )
    if message.kind in ("bad image", "bad machine") and not left_over:
        return _error(message)
    if message.kind == "error" and not left_over and lasted >= PATIENCE:
        return _error(message)
    if look.actual in ("exited", "stopped") and lasted >= PATIENCE:
        return Verdict("failed", "the container exited on its own and may still bill",
                       "start again")  # fmt: skip
    worse = next((seen for seen in reversed(part) if seen.state == "failed"), None)
    if worse is None:
        return None
    if worse.look.message.is_error:
        return _error(worse.look.message)
    return Verdict("failed", f"has failed, and is shown as {_shown(look)}", "start again")


def _error(message: Message) -> Verdict:
    if message.kind == "bad image":
        return Verdict("failed", f"the image could not be pulled; other machines would fail too: "
                       f"{message.text}", "destroy and fix the image")  # fmt: skip
    return Verdict("failed", message.text, "destroy and try the next offer")


def _phase(look: Look, part: tuple[Seen, ...]) -> str:
    """Say what a start is doing."""
    message = look.message
    if message.kind == "network":
        return f"the machine has trouble reaching the registry: {message.text}"
    if look.actual == "loading" and message.kind in ("pulling", "none"):
        layers: dict[str, bool] = {}
        for seen in (*(s.look for s in part), look):
            for digest, complete in seen.message.layers:
                layers[digest] = complete or layers.get(digest, False)
        if not layers:
            return "pulling the image" if message.kind == "pulling" else "loading"
        # Docker usually tells of one layer at a time, so the others may not have shown up yet.
        least = "" if len(message.layers) > 1 else "at least "
        return (
            f"pulling {sum(layers.values())} of {least}{len(layers)} layer{'s' * (len(layers) > 1)}"
        )
    known = {
        None: "waiting for the machine to start the container",
        "created": "creating the container",
        "rebooting": "rebooting",
        "exited": "the container is not up yet, or has exited",
        "stopped": "the container is not up yet, or has exited",
        "loading": "loading",
    }
    words = known.get(look.actual, f"shown as {_shown(look)}")
    said = message.kind in ("other", "error") and message.text
    return f"{words}: {said}" if said else words


def _moved(look: Look, part: tuple[Seen, ...], now: float) -> float:
    """Return when something was last seen that had not been seen before in this start."""
    moved, before = None, set()
    for seen in part:
        mark = _mark(seen.look)
        if mark not in before:
            moved = seen.first
            before.add(mark)
    return now if moved is None or _mark(look) not in before else moved


def _mark(look: Look) -> tuple[str | None, ...]:
    return look.actual, look.current, None if look.message.is_error else look.message.text


def _shown(look: Look) -> str:
    return f"'{look.actual}'" if look.actual else "no status"


# -- meant to be stopped


def _meant_to_stop(
    record: Mapping[str, Any],
    look: Look,
    wanted: Wanted | None,
    history: History,
    credit: float | None,
) -> Verdict:
    settled = look.actual not in ("running", "rebooting", "offline")
    still = "" if settled else f"; still shown as {look.actual}"
    ran = any(seen.look.runs for seen in history)
    pays = "; its disk is billed"
    if wanted == "stopped":
        reason = "stopped" if settled else "stopping"
        return Verdict("stopped", reason + still + pays, "billed for storage", settled)
    if look.message.is_error:
        return replace(_error(look.message), settled=settled)
    if credit is not None and credit <= 0:
        return Verdict("stopped", f"the credit has run out{still}{pays}", "billed for storage",
                       settled)  # fmt: skip
    # Of a machine rented elsewhere nobody knows whether its user stopped it, unless it was seen
    # to run or was never begun.
    if record.get("is_bid") is True and (wanted == "running" or ran or look.actual is None):
        bid, least = number(record.get("dph_base")), number(record.get("min_bid"))
        # The least bid shown may be an old one: it is quoted only where it explains something.
        known = bid is not None and least is not None and least > bid
        price = f" (bid ${bid:.4g}/h, lowest accepted ${least:.4g}/h)" if known else ""
        how = "outbid" if ran or look.actual is not None else "the bid is too low to start"
        return Verdict("outbid", f"{how}{price}{still}{pays}", "raise the bid", settled)
    if look.actual is None and not ran:
        return Verdict("stopped", f"never started: its GPUs were taken{pays}",
                       "destroy and try the next offer", settled)  # fmt: skip
    if wanted == "running":
        return Verdict("stopped", "stopped although it should run: stopped elsewhere, or "
                       f"the credit ran out{still}{pays}", "start again", settled)  # fmt: skip
    return Verdict("stopped", f"stopped{still}{pays}", "billed for storage", settled)


# -- shown as running, and can it be used?


def lost(
    record: Mapping[str, Any], look: Look, history: History, *, now: float, reached: bool | None
) -> str:
    """Say why a machine that is shown as running is not one that can be used; empty if it is.

    Proof comes only from an attempt to connect, made by whoever can; without one, the record itself
    may give the host away: its GPUs are not billed, its readings have stopped moving, or it has no
    address. One sign alone convicts nobody: attempts must fail twice, after the time that a
    container may take to let one in, and the others must last.

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
