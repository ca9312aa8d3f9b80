"""The picture of all instances, and how one more list changes it.

`take_list` is a pure function from what was known and a list to what is known now: every record is
reduced to what is needed, judged with its history, and dated. A list is doubted where it would make
many machines vanish at once: an answer that is cut short looks just like that, and whoever believes
it rents the same machines again. Only what several lists in a row have not shown is gone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from vastnb.fleet.env import marker_of, names_only
from vastnb.fleet.looks import History, Seen, remember
from vastnb.fleet.records import WATCH_COLUMNS
from vastnb.fleet.status import Verdict, Wanted, judge

DOUBTED_LISTS: Final = 3
"""Lists in a row without them until machines that vanish together are believed to be gone."""
DOUBTED_FOR: Final = 10.0
"""Seconds between the first and the last of those lists, at least."""
NEW_FOR: Final = 30.0
"""Seconds in which a machine that was just rented may be missing from the lists."""
GONE_SHOWN: Final = 600.0
"""Seconds for which a machine that is gone without having been destroyed is still shown."""


@dataclass(frozen=True, slots=True)
class Watched:
    """One instance as it is now.

    Parameters
    ----------
    id : int
        The instance.
    record : mapping
        Its last record, `WATCH_COLUMNS` only; of its environment the names, without values.
    verdict : Verdict
        How it is.
    since : float
        When this state was first seen, epoch seconds.
    ours : bool
        Whether it was rented by vastnb on this computer.
    reached : bool or None
        Whether its SSH answered when it was last tried; `None` if nobody tried.
    """

    id: int
    record: Mapping[str, Any] = field(repr=False)
    verdict: Verdict
    since: float
    ours: bool
    reached: bool | None = None

    @property
    def label(self) -> str | None:
        """Its label, as the service shows it."""
        text = self.record.get("label")
        return text if isinstance(text, str) and text else None


@dataclass(frozen=True, slots=True)
class Tracked:
    """What is kept of one instance: how it is, and what was seen of it."""

    watched: Watched
    history: tuple[Seen, ...] = ()
    present: bool = True
    """Whether the last list showed it."""
    ever: bool = True
    """Whether any list has shown it."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What an instance is meant to be, and since when.

    Parameters
    ----------
    wanted : str
        ``"running"``, ``"stopped"`` or ``"gone"``.
    at : float
        When that was said, epoch seconds: a list from before knows nothing of it.
    before : str or None
        What it was meant to be until then.
    """

    wanted: Wanted
    at: float
    before: Wanted | None = None

    def then(self, asked_at: float) -> Wanted | None:
        """Return what it was meant to be when a list was asked for."""
        return self.wanted if asked_at >= self.at else self.before


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the last list is not believed yet.

    Parameters
    ----------
    missing : frozenset of int
        Machines that it does not show.
    since : float
        When the first such list was asked for, epoch seconds.
    lists : int
        How many in a row.
    text : str
        In words.
    """

    missing: frozenset[int]
    since: float
    lists: int
    text: str


Picture = Mapping[int, Tracked]


def trimmed(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a record with what a look needs, and without a secret.

    Parameters
    ----------
    record : mapping
        As the service gives it, all of its columns maybe.

    Returns
    -------
    mapping
        Read-only. ``extra_env`` is a list of pairs whose values are empty, but for our marker.
    """
    kept = {name: record[name] for name in WATCH_COLUMNS if name in record}
    kept["extra_env"] = names_only(record)
    return MappingProxyType(kept)


def doubt(
    picture: Picture,
    found: Collection[int],
    desired: Mapping[int, Desired],
    before: Doubt | None,
    *,
    asked_at: float,
) -> Doubt | None:
    """Say whether a list is to be doubted.

    Parameters
    ----------
    picture : mapping of int to Tracked
        What is known.
    found : collection of int
        The machines in the list.
    desired : mapping of int to Desired
        Those that are to be gone are not missed.
    before : Doubt, optional
        Of the list before.
    asked_at : float
        Of this list.

    Returns
    -------
    Doubt or None
        None if the list is to be believed.
    """
    expected = {
        number
        for number, tracked in picture.items()
        if tracked.watched.verdict.state != "gone"
        and tracked.ever
        and not (number in desired and desired[number].then(asked_at) == "gone")
    }
    missing = frozenset(expected.difference(found))
    if not missing or (len(missing) < len(expected) and len(missing) < max(2, len(expected) / 2)):
        return None
    again = before is not None and bool(before.missing & missing)
    since, lists = (before.since, before.lists + 1) if before and again else (asked_at, 1)
    if lists >= DOUBTED_LISTS and asked_at - since >= DOUBTED_FOR:
        return None
    how = "is empty" if not found else f"is missing {len(missing)} of {len(expected)} instances"
    return Doubt(
        missing,
        since,
        lists,
        f"The list {how}, although they were listed a moment ago: checking again.",
    )


def take_list(
    picture: Picture,
    records: Sequence[Mapping[str, Any]],
    desired: Mapping[int, Desired],
    *,
    asked_at: float,
    doubted: Doubt | None = None,
    reached: Mapping[int, bool] | None = None,
    credit: float | None = None,
    ours: Collection[int] | None = None,
) -> dict[int, Tracked]:
    """Return the picture with a whole list of instances taken in.

    Parameters
    ----------
    picture : mapping of int to Tracked
        So far; it is not changed.
    records : sequence of mapping
        The list.
    desired : mapping of int to Desired
        What is wanted of instances.
    asked_at : float
        When the list was asked for, epoch seconds.
    doubted : Doubt, optional
        Those that it misses are as they were then.
    reached : mapping of int to bool, optional
        Of instances that somebody tried to connect to just now.
    credit : float, optional
        $, as last known.
    ours : collection of int, optional
        Those that vastnb has rented on this computer; without it, a marker says so.
    """
    shown = {record["id"]: trimmed(record) for record in records}
    new = {number for number, one in desired.items() if one.then(asked_at) == "running"}
    after: dict[int, Tracked] = {}
    for number in dict.fromkeys([*picture, *shown, *sorted(new)]):
        before = picture.get(number)
        young = (before is None or not before.ever) and number in desired
        held = (doubted is not None and number in doubted.missing) or (
            young and asked_at - desired[number].at < NEW_FOR
        )
        one = take_one(
            before,
            number,
            shown.get(number),
            desired.get(number),
            asked_at=asked_at,
            doubted=held,
            reached=(reached or {}).get(number),
            credit=credit,
            ours=ours,
        )
        if not _over(one, asked_at):
            after[number] = one
    return after


def take_one(
    before: Tracked | None,
    number: int,
    record: Mapping[str, Any] | None,
    desired: Desired | None,
    *,
    asked_at: float,
    doubted: bool = False,
    reached: bool | None = None,
    credit: float | None = None,
    ours: Collection[int] | None = None,
) -> Tracked:
    """Return what is known of one instance after one more look at it.

    Parameters
    ----------
    before : Tracked, optional
        So far.
    number : int
        The instance.
    record : mapping or None
        What was shown of it, trimmed.
    desired : Desired, optional
        What is wanted of it.
    asked_at : float
        Epoch seconds.
    doubted : bool
        Whether its absence proves nothing yet.
    ours : collection of int, optional
        See `take_list`.
    reached, credit
        See `vastnb.fleet.status.judge`.
    """
    history: History = before.history if before else ()
    wanted = desired.then(asked_at) if desired else None
    # A clock that was set back would give looks a negative length.
    now = max([asked_at, *(seen.last for seen in history[-1:])])
    verdict = judge(record, wanted, history, now=now, reached=reached, credit=credit)
    if doubted and record is None:
        state = before.watched.verdict.state if before else "starting"
        reason = "missing from the last list, which may be incomplete; checking again"
        verdict = Verdict(state, reason, "wait", settled=False)
    seen = remember(history, record, verdict.state, now=now, reached=reached)
    if ours is not None and (record is not None or number in ours):
        is_ours = number in ours
    else:
        is_ours = bool(marker_of(record)) if record else bool(before and before.watched.ours)
    same = before is not None and before.watched.verdict.state == verdict.state
    watched = Watched(
        number,
        record if record is not None else before.watched.record if before else {"id": number},
        verdict,
        before.watched.since if before and same else now,
        is_ours,
        seen[-1].reached,
    )
    there = record is not None
    return Tracked(watched, seen, present=there, ever=there or bool(before and before.ever))


def moved(before: Picture, after: Picture) -> bool:
    """Say whether anything is new, or on its way to something else, so that a look soon is due."""
    if before.keys() != after.keys():
        return True
    for number, one in after.items():
        was, is_ = before[number].watched.verdict, one.watched.verdict
        if was.state != is_.state or (is_.state == "starting" and was.reason != is_.reason):
            return True
        if not one.present and not is_.settled:
            return True
    return False


def relabelled(tracked: Tracked, label: str | None) -> Tracked:
    """Return what is known of an instance, under another label."""
    record = MappingProxyType({**tracked.watched.record, "label": label})
    return replace(tracked, watched=replace(tracked.watched, record=record))


def _over(one: Tracked, now: float) -> bool:
    """Whether nobody needs to see it any longer."""
    verdict = one.watched.verdict
    if verdict.state != "gone" or one.present:
        return False
    if verdict.reason == "destroyed":
        return verdict.settled
    return now - one.watched.since >= GONE_SHOWN
