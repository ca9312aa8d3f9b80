"""What has changed from one picture to the next, in words.

A change is said once, when it is seen. How busy a machine is, and how far a start has come, is no
change: that is in the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from vastnb.fleet.status import MEANINGS, Level, Wanted
from vastnb.fleet.watch.picture import Desired, Picture, Watched

Kind = Literal["state", "appeared", "gone", "action", "trouble", "recovered", "notice"]
ACTIONS: Final[dict[Wanted, str]] = {
    "running": "asked to run",
    "stopped": "asked to stop",
    "gone": "asked to be destroyed",
}


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened.

    Parameters
    ----------
    at : float
        When it was seen, epoch seconds.
    id : int or None
        The instance; None if it is about the service, or the account.
    label : str or None
        Its label.
    kind : str
        ``"state"``, ``"appeared"``, ``"gone"``, ``"action"`` (something was asked for),
        ``"trouble"`` and ``"recovered"`` (looking fails, or works again), ``"notice"`` (something
        costs money that should not, or will soon).
    before, after : str or None
        States, where they say something.
    text : str
        In words.
    level : {"info", "good", "warn", "bad"}
        How good or bad the news is.
    """

    at: float
    id: int | None
    label: str | None
    kind: Kind
    before: str | None
    after: str | None
    text: str
    level: Level


def changes_between(
    before: Picture, after: Picture, desired: Mapping[int, Desired], at: float, *, first: bool
) -> list[Change]:
    """Return what has changed.

    Parameters
    ----------
    before, after : mapping of int to Tracked
        Two pictures.
    desired : mapping of int to Desired
        What is wanted: that it has come true is good news.
    at : float
        When `after` was seen, epoch seconds.
    first : bool
        Whether nothing was known before: then nothing has changed.
    """
    if first:
        return []
    found = []
    for number, tracked in after.items():
        one = tracked.watched
        was = before[number].watched if number in before else None
        if was is None:
            text = f"appeared: {_words(one)}"
            found.append(_change(at, one, "appeared", None, "info", text))
        elif was.verdict.state != one.verdict.state:
            wanted = desired[number].then(at) if number in desired else None
            level = "good" if one.verdict.state == wanted else MEANINGS[one.verdict.state].level
            kind: Kind = "gone" if one.verdict.state == "gone" else "state"
            found.append(_change(at, one, kind, was.verdict.state, level, _words(one)))
    return found


def action(at: float, number: int, one: Watched | None, text: str) -> Change:
    """Return the change that says what was asked for."""
    state = one.verdict.state if one else None
    return Change(at, number, one.label if one else None, "action", state, None, text, "info")


def trouble(at: float, text: str) -> Change:
    """Return the change that says that looking fails."""
    return Change(at, None, None, "trouble", None, None, text, "warn")


def recovered(at: float, text: str) -> Change:
    """Return the change that says that looking works again."""
    return Change(at, None, None, "recovered", None, None, text, "good")


def _change(
    at: float, one: Watched, kind: Kind, before: str | None, level: Level, text: str
) -> Change:
    return Change(at, one.id, one.label, kind, before, one.verdict.state, text, level)


def _words(one: Watched) -> str:
    state, reason = one.verdict.state, one.verdict.reason
    return reason if reason.startswith(state) else f"{state}: {reason}"
