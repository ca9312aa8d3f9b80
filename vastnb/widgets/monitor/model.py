"""The monitor without its view: what is known, what is shown, what a click may do.

One model serves all monitors of a client, and outlives them: a cell that is run again goes on with
the same notices, the same spending and the same actions under way. It is plain Python, used from
the main thread only; the time is passed in.
"""

from __future__ import annotations

import math
import weakref
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pandas as pd

from vastnb.api.text import plain
from vastnb.fleet.ledger import Ledger, age_of
from vastnb.fleet.status import MEANINGS, TO_DO, Verdict
from vastnb.fleet.watch.changes import Change
from vastnb.fleet.watch.picture import Watched
from vastnb.fleet.watch.state import Snapshot
from vastnb.values import number
from vastnb.widgets.monitor import words
from vastnb.widgets.monitor.actions import DOING, QUIET, Click, Outcome, read_click, refusal_of
from vastnb.widgets.monitor.load import Loads
from vastnb.widgets.monitor.view import code_of, figures_of, row_of

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.watch.watcher import Watcher

TREND: Final = 48
"""Looks of which it is remembered how busy the GPUs were."""
NEWS: Final = 40
"""Events that are sent to the page; all of them are in the frame."""
NOTICES: Final = 50
"""Notices that wait to be read, at most; the oldest are in the frame of events."""
ENDED: Final = 200
"""Machines that have ended, of which it is kept what they were."""
SAID_FOR: Final = 90.0
"""Seconds for which it is shown that an action has succeeded."""

PASSING: Final = frozenset(one for one, meaning in MEANINGS.items() if meaning.alarm)
"""States that a notice tells of, and that may pass."""


class Notice(NamedTuple):
    """Something that costs money and that somebody should read; it is put away by its key."""

    key: int
    change: Change


class Receipt(NamedTuple):
    """A machine that has ended, as last seen; how long it was there, and what it has cost."""

    watched: Watched
    seconds: float | None
    usd: float | None


class MonitorModel:
    """All that the monitors of one client know. Made by `model_of`.

    Parameters
    ----------
    loads : Loads, optional
        What machines say of themselves; by default nothing.
    """

    def __init__(self, loads: Loads | None = None) -> None:
        self.loads = loads or Loads()
        self.snapshot = Snapshot()
        self.ledger = Ledger()
        self.trends: dict[int, deque[float | None]] = {}
        self.notices: deque[Notice] = deque(maxlen=NOTICES)
        self.news: deque[Change] = deque(maxlen=NEWS)
        self.busy: dict[int, tuple[Click, float]] = {}
        self.ended: dict[int, Receipt] = {}
        self._new: dict[int, Watched] = {}
        self._last: dict[int, Watched] = {}
        self._said: dict[int, tuple[float, Outcome]] = {}
        self._unseen: dict[int, int] = {}
        self._keys: deque[str] = deque(maxlen=500)
        self._heard: deque[Change] = deque(maxlen=500)
        self._count = 0

    # -- what was seen ----------------------------------------------------------------------------

    def see(self, snapshot: Snapshot, changes: Sequence[Change] = ()) -> None:
        """Take a look of the watcher, and what was new in it; several monitors may tell of it."""
        for change in changes:
            if not any(change is known for known in self._heard):
                self._heard.append(change)
                self._hear(change)
        before = self.snapshot
        if before is snapshot:
            return
        self.snapshot = snapshot
        # What an action has led to shows with the first look that was made after it.
        for one in [one for one, looks in self._unseen.items() if snapshot.looks > looks]:
            del self._unseen[one]
        if snapshot.asked_at is not None and snapshot.asked_at != before.asked_at:
            self._count_money(snapshot, snapshot.asked_at)

    def expect(self, id: int, now: float, *, ours: bool) -> None:
        """Show a machine that was just rented, until a look has brought it.

        `ours` says whether the journal knows it: then nothing has to be typed to destroy it.
        """
        if self._watched(id) is None and id not in self.ended:
            verdict = Verdict("starting", words.JUST_RENTED, "wait", settled=False)
            self._new[id] = Watched(id, {"intended_status": "running"}, verdict, now, ours)

    def remember(self, events: pd.DataFrame, history: pd.DataFrame) -> None:
        """Catch up with what the watcher has seen before the first monitor was opened."""
        for row in _plain(events.tail(NEWS)).to_dict("records"):
            self._hear(Change(**{**row, "at": row["at"].timestamp()}))
        for one, samples in history.groupby("id"):
            self.trends[int(str(one))] = deque(_plain(samples["gpu_util"]), maxlen=TREND)

    def dismiss(self, key: int | None, ids: Collection[int] | None = None) -> None:
        """Put a notice away; None puts all away, or all of these machines."""
        left = [
            one
            for one in self.notices
            if key not in (None, one.key) or (ids is not None and one.change.id not in ids)
        ]
        self.notices = deque(left, maxlen=NOTICES)

    # -- what is clicked --------------------------------------------------------------------------

    def take(self, content: Mapping[str, Any], now: float) -> Click | str | None:
        """Take a click of the page; return it if it is to be carried out.

        What is refused is said where the machine is shown, and returned in words if the click has
        opened a place of its own for the answer.
        """
        click = read_click(content)
        if click is None or click.key in self._keys:
            return None
        self._keys.append(click.key)
        why = refusal_of(click, self._watched(click.id), now)
        if not why and click.verb not in QUIET and click.id in self.busy:
            doing = DOING[self.busy[click.id][0].verb]
            why = words.STILL_BUSY.format(doing=doing[:1].lower() + doing[1:])
        if why and click.verb in QUIET:
            return why
        if why:
            self._said[click.id] = (now, Outcome(why, "warn"))
            return None
        if click.verb not in QUIET:
            self.busy[click.id] = (click, now)
            self._said.pop(click.id, None)
        return click

    def done(self, click: Click, outcome: Outcome, now: float) -> None:
        """Take what came of a click."""
        if click.verb in QUIET:
            return
        if self.busy.get(click.id, (None,))[0] is click:
            del self.busy[click.id]
        self._unseen[click.id] = self.snapshot.looks
        if click.verb in ("destroy", "next") and outcome.level == "good":
            self._end(click.id, now)
        self._said[click.id] = (now, outcome)
        if self._watched(click.id) is None:  # no card is left to say it on
            text = plain(outcome.text, 600)
            self._hear(Change(now, click.id, None, "action", None, None, text, outcome.level))

    def hush(self, id: int) -> None:
        """Forget what the last action of a machine has led to: it was read."""
        self._said.pop(id, None)

    # -- what is shown ----------------------------------------------------------------------------

    def picture(
        self, now: float, *, client: Client | None = None, ids: Collection[int] | None = None
    ) -> dict[str, Any]:
        """Return everything that a page shows: JSON-able, and nothing secret.

        Parameters
        ----------
        now : float
            Epoch seconds; the page's own clock may differ.
        client : Client, optional
            Who has rented, and may rent another machine in the place of one.
        ids : collection of int, optional
            Only these machines, also when they have ended.
        """
        snapshot = self.snapshot
        rows = self.rows(now, ids)
        for row in rows:
            row["deadline"] = _deadline(client, row["id"], fresh=ids is not None)
            if row["deadline"] is not None and row["verbs"]:
                row["verbs"].insert(-1, "extend")
            if "next" in row["verbs"]:
                row |= self._again(row["id"], client)
        return {
            "type": "picture",
            "now": now,
            "asked_at": snapshot.asked_at,
            "error": plain(snapshot.error, 600),
            "doubted": snapshot.doubted,
            "figures": self.figures(now, ids),
            "rows": rows,
            "notices": [
                {"key": key, **_news(as_of_now(change, self._watched(change.id)))}
                for key, change in sorted(self.notices, key=_urgent)
                if ids is None or change.id in ids
            ],
            "news": [
                _news(change) for change in reversed(self.news) if ids is None or change.id in ids
            ],
            "few": ids is not None,
            "acks": list(self._keys)[-20:],
        }

    def rows(self, now: float, ids: Collection[int] | None = None) -> list[dict[str, Any]]:
        """Return what is shown of each machine, or of these alone, trouble first."""
        rows = []
        for watched in self.machines(ids):
            spent = self.ledger.spent(watched.id)
            row = row_of(watched, spent, list(self.trends.get(watched.id, ())))
            click, since = self.busy.get(watched.id, (None, 0.0))
            row["busy"] = click and {"verb": click.verb, "text": DOING[click.verb], "since": since}
            row["unseen"] = watched.id in self._unseen
            receipt = self.ended.get(watched.id)
            row["receipt"] = receipt and {"seconds": receipt.seconds, "usd": receipt.usd}
            at, said = self._said.get(watched.id, (now, None))
            fresh = said and (said.level in ("warn", "bad") or now - at < SAID_FOR)
            told = said and {"text": plain(said.text, 600), "level": said.level}
            row["said"] = told if fresh else None
            row["live"] = self.loads.shown(watched.id)
            rows.append(row)
        return sorted(rows, key=lambda row: (row["rank"], -row["id"]))

    def machines(self, ids: Collection[int] | None = None) -> list[Watched]:
        """Return all machines, or these: also those that no look has shown yet, or any more."""
        if ids is None:
            return list(self.snapshot.instances)
        found = {one.id: one for one in self.snapshot.instances}
        known = {**self._new, **found, **{id: one.watched for id, one in self.ended.items()}}
        return [known[id] for id in ids if id in known]

    def figures(self, now: float, ids: Collection[int] | None = None) -> dict[str, Any]:
        """Return the headline numbers, see `vastnb.widgets.monitor.view.figures_of`."""
        today = None if self.snapshot.asked_at is None else self.ledger.today(now)
        return figures_of(self.machines(ids), self.snapshot.credit, today)

    def _again(self, id: int, client: Client | None) -> dict[str, Any]:
        """Return what the next offer may cost, or the code by which the user may rent another."""
        watched = self._watched(id)
        if watched is None:
            return {}
        found = client.renter.next_offer(id, watched.record) if client else None
        if found is None or found.max_dph is None:
            return {"again": None, "code": code_of(watched.record)}
        # What is shown is what may be paid. Rounded down, it would exclude the very offer.
        most = math.ceil(found.max_dph * 1e4 - 1e-6) / 1e4
        return {"again": {"left": found.left, "max_dph": most}}

    # -- in private -------------------------------------------------------------------------------

    def _watched(self, id: int | None) -> Watched | None:
        return None if id is None else self.snapshot.of(id) or self._new.get(id)

    def _hear(self, change: Change) -> None:
        failed = change.kind == "action" and change.level in ("warn", "bad")
        last = next((one for one in reversed(self.news) if one.id == change.id), None)
        again = last and last.kind == change.kind == "action" and last.text == change.text
        if again and not failed:
            return  # asked for twice, by a click and by what carries it out: one thing
        self.news.append(change)
        if change.kind == "notice" or failed:
            self._count += 1
            self.notices.append(Notice(self._count, change))

    def _count_money(self, snapshot: Snapshot, now: float) -> None:
        there = {one.id: one for one in snapshot.instances if one.verdict.state != "gone"}
        for watched in there.values():
            self._new.pop(watched.id, None)
            self.ended.pop(watched.id, None)
            self._last[watched.id] = watched
            self.ledger.see(watched.id, watched.record, watched.verdict.state, now)
            trend = self.trends.setdefault(watched.id, deque(maxlen=TREND))
            runs = watched.verdict.state == "running"
            trend.append(number(watched.record.get("gpu_util")) if runs else None)
        for gone in self.ledger.known() - there.keys():
            self._end(gone, now)
        self.trends = {id: trend for id, trend in self.trends.items() if id in there}
        self._said = {id: said for id, said in self._said.items() if snapshot.of(id)}

    def _end(self, id: int, now: float) -> None:
        """Close a machine's account, and keep what it came to."""
        last = self._last.pop(id, None) or self._watched(id)
        spent = self.ledger.gone(id, now)
        self._new.pop(id, None)
        if last is None or id in self.ended:
            return
        found = self.snapshot.of(id)
        gone = found is not None and found.verdict.state == "gone"
        verdict = found.verdict if found and gone else Verdict("gone", "destroyed")
        ended = replace(last, verdict=verdict, since=now)
        self.ended[id] = Receipt(ended, age_of(last.record, now), spent.usd if spent else None)
        if len(self.ended) > ENDED:
            del self.ended[next(iter(self.ended))]


def _deadline(client: Client | None, id: int, *, fresh: bool) -> float | None:
    """Return when a machine is to end; `fresh` does not wait until the journal is read again."""
    if client is None:
        return None
    if not fresh:
        return client.watcher.deadline(id)
    moment = client.renter.deadline_of(id)
    return None if moment is None else moment.timestamp()


def as_of_now(change: Change, watched: Watched | None) -> Change:
    """Return a notice as it is to be read now: what has passed asks for nothing any longer."""
    if change.kind != "notice" or watched is None or change.after not in PASSING:
        return change
    now = watched.verdict.state
    if now not in ("running", "gone"):
        return change
    how = words.RUNNING_AGAIN if now == "running" else words.GONE_NOW
    then = change.text
    for advised in filter(None, TO_DO.values()):
        then = then.removesuffix(f" {advised}.")
    return replace(change, level="info", text=how.format(then=then))


def _news(change: Change) -> dict[str, Any]:
    return {
        "at": change.at,
        "id": change.id,
        "label": plain(change.label, 80) if change.label else None,
        "kind": change.kind,
        "level": change.level,
        "text": plain(change.text, 400),
    }


def _urgent(notice: Notice) -> tuple[bool, float]:
    return notice.change.level != "bad", -notice.change.at


def _plain(values: Any) -> Any:
    """Return a frame or a column with None for what is missing."""
    return values.astype(object).where(values.notna(), None)


_MODELS: weakref.WeakKeyDictionary[Watcher, MonitorModel] = weakref.WeakKeyDictionary()


def model_of(client: Client) -> MonitorModel:
    """Return the model of a client's monitors; it lives as long as the client's watcher."""
    watcher, transport = client.watcher, client.transport
    model = _MODELS.get(watcher)
    if model is None:
        model = MonitorModel(Loads(transport.account, transport.clock.time))
        model.remember(watcher.events(), watcher.history())
        _MODELS[watcher] = model
    return model
