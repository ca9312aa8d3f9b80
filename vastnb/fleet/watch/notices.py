"""What the user must be told because it costs money: once, and not again until it has been well.

A pure decision: what was said already and what is true now give what is to be said, and what has
been said then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from vastnb.api.text import seconds
from vastnb.fleet.costs import dph_now
from vastnb.fleet.rent.journal import Written
from vastnb.fleet.status import MEANINGS, TO_DO, Level
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.picture import Picture, Tracked, Watched
from vastnb.values import number

LOW_CREDIT_HOURS: Final = 6.0
"""Hours of credit below which a warning is due."""
LAST_CREDIT_HOURS: Final = 1.0
"""... and below which it is urgent."""
WELL_AGAIN: Final = 1.25
"""How many times those hours it must be until it may be said again."""
DESTROY_SECONDS: Final = 30.0
"""Seconds that a destroyed machine may stay in the lists before that is worth a word."""

DEARER: Final = 1.005
"""How many times the agreed price is more than rounding."""


Said = tuple[int | None, str]
"""An instance (None: the account) and what was said of it."""


def notices(
    said: Collection[Said],
    picture: Picture,
    *,
    at: float,
    credit: float | None = None,
    deadlines: Mapping[int, float] | None = None,
    acted: Collection[int] = (),
    ended: Mapping[int, float] | None = None,
    rentals: Mapping[int, Written] | None = None,
) -> tuple[frozenset[Said], list[Change]]:
    """Decide what to say.

    Parameters
    ----------
    said : collection of Said
        What has been said, and has not been well since.
    picture : mapping of int to Tracked
        All instances.
    at : float
        Now, epoch seconds.
    credit : float, optional
        $ that are left, if known.
    deadlines : mapping of int to float, optional
        When instances should have ended, epoch seconds.
    acted : collection of int
        Instances that something was done about: what comes of that is news.
    ended : mapping of int to float, optional
        When it was said of instances that they are to be gone, epoch seconds.
    rentals : mapping of int to Written, optional
        What is written down of instances that this computer has rented.

    Returns
    -------
    said : frozenset of Said
        For the next time.
    changes : list of Change
        What is to be said now.
    """
    still = {one for one in said if one[0] not in acted and not _well(one, picture)}
    still -= {(one, "deadline") for one, moment in (deadlines or {}).items() if at < moment}
    fresh: list[Change] = []
    for tracked in picture.values():
        id = tracked.watched.id
        deadline, end = (deadlines or {}).get(id), (ended or {}).get(id)
        news = [
            *_about(tracked, deadline, at, end),
            *_rented(tracked, (rentals or {}).get(id), end),
        ]
        for name, level, text in news:
            if (tracked.watched.id, name) not in still:
                still.add((tracked.watched.id, name))
                fresh.append(_notice(at, tracked.watched, level, text))
    hours = runway_hours(picture, credit)
    if hours is None or hours >= LOW_CREDIT_HOURS * WELL_AGAIN:
        still -= {(None, "low credit")}
    if hours is None or hours >= LAST_CREDIT_HOURS * WELL_AGAIN:
        still -= {(None, "last credit")}
    if hours is not None and hours < LOW_CREDIT_HOURS:
        last = hours < LAST_CREDIT_HOURS
        name = "last credit" if last else "low credit"
        if (None, name) not in still:
            # Who was told that it is urgent need not be told that it is low.
            still |= {(None, "low credit"), (None, name)}
            text = (
                f"The credit of ${credit or 0:.2f} lasts {seconds(hours * 3600)} at the current "
                "rate; then Vast.ai stops every machine and keeps billing its disk. Add credit, "
                "or destroy what you do not need."
            )
            fresh.append(
                Change(at, None, None, "notice", None, None, text, "bad" if last else "warn")
            )
    return frozenset(still), fresh


def runway_hours(picture: Picture, credit: float | None) -> float | None:
    """Return for how many hours the credit lasts; None if nothing bills or it is not known."""
    rates = (dph_now(one.watched.record) or 0.0 for one in picture.values() if one.present)
    burn = sum(rates)
    if credit is None or burn <= 0:
        return None
    return max(0.0, credit) / burn


def _well(one: Said, picture: Picture) -> bool:
    id, name = one
    if id is None:
        return False
    tracked = picture.get(id)
    if tracked is None or tracked.watched.verdict.state == "gone":
        return True
    if name == "deadline":
        return False  # until it is gone, or somebody acts
    if name in ("not destroyed", "given up", "dearer"):
        return not tracked.present
    return MEANINGS[tracked.watched.verdict.state].well


def _about(
    tracked: Tracked, deadline: float | None, at: float, ended: float | None
) -> Iterator[tuple[str, Level, str]]:
    one = tracked.watched
    verdict = one.verdict
    if not tracked.present:
        return
    if verdict.advice == "destroy it again":
        back = any(seen.state == "gone" for seen in tracked.history)
        if back or at - (at if ended is None else ended) >= DESTROY_SECONDS:
            yield "not destroyed", "bad", f"Not destroyed: it {verdict.reason}."
        return
    level, what = MEANINGS[verdict.state].alarm, MEANINGS[verdict.state].words
    if level is not None:
        reason = verdict.reason
        told = f"{what}: {reason}"
        if reason.lower().startswith(what.lower()):
            told = reason[:1].upper() + reason[1:]
        yield verdict.state, level, f"{told}. {TO_DO[verdict.advice]}".rstrip(" .") + "."
    if deadline is not None and at >= deadline and verdict.state != "stopped":
        late = seconds(at - deadline)
        yield "deadline", "bad", f"Past its deadline by {late}, and still billed. Destroy it."


def _rented(
    tracked: Tracked, rental: Written | None, ended: float | None
) -> Iterator[tuple[str, Level, str]]:
    """Say what is not as it was written down."""
    if rental is None or not tracked.present or ended is not None:
        return
    record = tracked.watched.record
    if rental.given_up:
        dph = dph_now(record) or number(record.get("dph_total"))
        cost = "an unknown price" if dph is None else f"${dph:.4f}/h"
        why = (
            f"although its rental was recorded as {rental.given_up}: it was created late, or came "
            "back"
        )
        what = "destroys it again" if rental.given_up == "destroyed" else "recovers it"
        if rental.given_up == "gone":  # lists have left it out; nobody here has destroyed it
            why = "although earlier lists did not show it"
        yield (
            "given up",
            "bad",
            f"It exists and bills {cost}, {why}. client.reconcile() {what}.",
        )
        return
    total = number(record.get("dph_total"))
    if rental.price is not None and total is not None and total > rental.price * DEARER + 1e-4:
        yield (
            "dearer",
            "bad",
            f"More expensive than agreed: ${total:.4f}/h instead of "
            f"${rental.price:.4f}/h, disk included.",
        )


def _notice(at: float, one: Watched, level: Level, text: str) -> Change:
    return Change(at, one.id, one.label, "notice", None, one.verdict.state, text, level)
