"""Everything that the watcher knows, as a value, and what each event makes of it.

`WatchState` is never altered: a list, a record, a failure or an action give a new one, and what
there is to tell. `Snapshot` is the part of it that others are shown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from vastnb.fleet.listing import Listing
from vastnb.fleet.rent.journal import Written
from vastnb.fleet.watch.changes import Change, changes_between, recovered, trouble
from vastnb.fleet.watch.notices import Said, notices
from vastnb.fleet.watch.picture import (
    Desired,
    Doubt,
    Picture,
    Tracked,
    Watched,
    doubt,
    moved,
    take_list,
)
from vastnb.fleet.watch.tempo import QUICK, Tempo, after_action, after_failure, after_look


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All instances, as they were when somebody last looked.

    Parameters
    ----------
    instances : tuple of Watched
        In the order in which they appeared.
    asked_at : float or None
        When the last whole list was asked for, epoch seconds.
    next_at : float
        When the next look is worth while, epoch seconds.
    interval : float
        Seconds between looks, as long as nothing fails.
    error : str
        Why the last look failed; empty if it did not.
    doubted : str
        Why the last list is not believed yet; empty if it is.
    credit : float or None
        What the account has left, $, as last known.
    looks : int
        Looks that were made, failed ones included.
    """

    instances: tuple[Watched, ...] = ()
    asked_at: float | None = None
    next_at: float = 0.0
    interval: float = QUICK
    error: str = ""
    doubted: str = ""
    credit: float | None = None
    looks: int = 0

    def of(self, id: int) -> Watched | None:
        """Return one instance; None if it is not among them."""
        return next((one for one in self.instances if one.id == id), None)


@dataclass(frozen=True, slots=True)
class WatchState:
    """What the watcher knows.

    Parameters
    ----------
    picture : mapping of int to Tracked
        All instances.
    desired : mapping of int to Desired
        What they are meant to be, where anybody has said so.
    asked_at : float or None
        When the last whole list was asked for, epoch seconds.
    tempo : Tempo
        When to look next.
    error : str
        Why the last look failed.
    doubt : Doubt or None
        Why the last list is not believed yet.
    credit : float or None
        What the account has left, $, as last known.
    looks : int
        Looks that were made.
    said : frozenset of Said
        Notices that were given and have not been well since.
    """

    picture: Picture = field(default_factory=dict)
    desired: Mapping[int, Desired] = field(default_factory=dict)
    asked_at: float | None = None
    tempo: Tempo = field(default_factory=Tempo)
    error: str = ""
    doubt: Doubt | None = None
    credit: float | None = None
    looks: int = 0
    said: frozenset[Said] = frozenset()

    def shown(self) -> Snapshot:
        """Return what others are shown of it."""
        return Snapshot(
            instances=tuple(one.watched for one in self.picture.values()),
            asked_at=self.asked_at,
            next_at=self.tempo.next_at,
            interval=self.tempo.interval,
            error=self.error,
            doubted=self.doubt.text if self.doubt else "",
            credit=self.credit,
            looks=self.looks,
        )


def with_list(
    state: WatchState,
    listing: Listing,
    *,
    now: float,
    credit: float | None = None,
    reached: Mapping[int, bool] | None = None,
    nudged: bool = False,
    ours: Collection[int] | None = None,
) -> tuple[WatchState, list[Change]]:
    """Take a whole list in.

    Parameters
    ----------
    state : WatchState
        As it was.
    listing : Listing
        One that is newer than what is known.
    now : float
        When it had come, epoch seconds.
    credit : float, optional
        $, if it was asked for as well.
    reached : mapping of int to bool, optional
        Of instances that somebody tried to connect to just now.
    nudged : bool
        Whether something was done since it was asked for, so that the next look is due.
    ours : collection of int, optional
        Those that vastnb has rented on this computer.
    """
    at, before = listing.asked_at, state.picture
    credit = state.credit if credit is None else credit
    ids = {int(record["id"]) for record in listing.records}
    doubted = doubt(before, ids, state.desired, state.doubt, asked_at=at)
    after = take_list(
        before,
        listing.records,
        state.desired,
        asked_at=at,
        doubted=doubted,
        reached=reached,
        credit=credit,
        ours=ours,
    )
    first = state.asked_at is None and not before
    found = changes_between(before, after, state.desired, at, first=first)
    if doubted and not state.doubt:
        found.append(trouble(at, doubted.text))
    elif not doubted and (state.error or state.doubt):
        found.append(recovered(at, "The list of instances is complete again."))
    soon = bool(found) or doubted is not None or moved(before, after)
    tempo = after_look(state.tempo, now, moved=soon)
    # What is no longer shown is no longer missed; what was destroyed may yet come back.
    left = before.keys() - after.keys()
    desired = {n: m for n, m in state.desired.items() if n not in left or m.wanted == "gone"}
    return replace(
        state,
        picture=after,
        desired=desired,
        asked_at=at,
        credit=credit,
        tempo=after_action(tempo, now) if nudged else tempo,
        error="",
        doubt=doubted,
    ), found


def with_tracked(state: WatchState, tracked: Tracked, at: float) -> tuple[WatchState, list[Change]]:
    """Take in what was learned of one instance."""
    number = tracked.watched.id
    after = {**state.picture, number: tracked}
    first = number not in state.picture
    found = changes_between(state.picture, after, state.desired, at, first=first)
    return replace(state, picture=after), found


def with_failure(
    state: WatchState,
    text: str,
    *,
    now: float,
    chance: float,
    retry_after: float | None = None,
    hopeless: bool = False,
) -> tuple[WatchState, list[Change]]:
    """Take in that a look failed; see `tempo.after_failure` for the parameters."""
    found = [] if state.error else [trouble(now, text)]
    tempo = after_failure(
        state.tempo, now, chance=chance, retry_after=retry_after, hopeless=hopeless
    )
    return replace(state, error=text, tempo=tempo, looks=state.looks + 1), found


def with_notices(
    state: WatchState,
    *,
    now: float,
    deadlines: Mapping[int, float],
    acted: Collection[int],
    rentals: Mapping[int, Written],
) -> tuple[WatchState, list[Change]]:
    """Decide what must be told because it costs money; see `vastnb.fleet.watch.notices`."""
    said, found = notices(
        state.said,
        state.picture,
        at=now,
        credit=state.credit,
        deadlines=deadlines,
        acted=acted,
        rentals=rentals,
        ended={id: desired.at for id, desired in state.desired.items() if desired.wanted == "gone"},
    )
    return replace(state, said=said), found


def with_action(state: WatchState, now: float) -> WatchState:
    """Take in that something was done: the next look is due, and quick ones follow."""
    return replace(state, tempo=after_action(state.tempo, now))
