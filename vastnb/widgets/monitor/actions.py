"""What a click in the monitor does: checked when it arrives, carried out in a thread of its own.

A click that was made while a cell ran arrives when the cell is done, perhaps minutes later, when
nobody means it any more. So the page stamps each click with the kernel's time, and with the price
that was shown; `refusal_of` refuses what is old, what was shown at another price, and what does
not fit the machine as it is now. `carry_out` is the only function here that sends anything.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from vastnb.errors import VastError
from vastnb.fleet.status import Level
from vastnb.values import number, text, whole
from vastnb.widgets.kit.clicks import too_old
from vastnb.widgets.kit.search import unexpected
from vastnb.widgets.monitor import words
from vastnb.widgets.monitor.view import verbs_of

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.watch.picture import Watched

LOG_LINES: Final = 400
LOG_CHARACTERS: Final = 120_000

DOING: Final = {
    "stop": words.STOPPING,
    "start": words.STARTING,
    "reboot": words.REBOOTING,
    "label": words.RENAMING,
    "bid": words.CHANGING_THE_BID,
    "extend": words.EXTENDING,
    "destroy": words.DESTROYING,
    "next": words.DESTROYING_THEN_RENTING,
    "logs": words.FETCHING_THE_LOG,
    "jupyter": words.FETCHING_ITS_LINK,
}
"""Every verb of a click, and what is said while it is carried out."""

QUIET: Final = frozenset({"logs", "jupyter"})
"""Verbs that change nothing; their answer is shown where it was asked for."""

_log = logging.getLogger("vastnb.widgets")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Click:
    """One click, as the page has sent it; `messages.d.ts` says what is what (``Act``)."""

    key: str
    verb: str
    id: int
    at: float
    shown: float | None = None
    label: str = ""
    price: float | None = None
    typed: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a click, in words, and how good or bad that is.

    The ``answer`` (a log, an address) is shown only at the place of the click. It may be secret,
    and is kept nowhere. ``rented`` is another machine that was rented instead.
    """

    text: str
    level: Level = "good"
    answer: dict[str, Any] = field(default_factory=dict, repr=False)
    rented: int | None = None


def read_click(content: Mapping[str, Any]) -> Click | None:
    """Return the click in a message of the page; None if it is none."""
    key, verb = text(content.get("key")), text(content.get("verb"))
    id, at = whole(content.get("id")), number(content.get("at"))
    if not 0 < len(key) <= 64 or verb not in DOING or id is None or id <= 0 or at is None:
        return None
    return Click(
        key,
        verb,
        id,
        at,
        shown=number(content.get("shown")),
        label=text(content.get("label")),
        price=number(content.get("price")),
        typed=text(content.get("typed")).strip(),
    )


def refusal_of(click: Click, watched: Watched | None, now: float) -> str:
    """Say why a click is not carried out; empty if it is.

    Parameters
    ----------
    click : Click
        As the page has sent it.
    watched : Watched or None
        The machine as it was last seen; None if it is not among those that are watched.
    now : float
        Epoch seconds.
    """
    if old := too_old(click.at, now):
        return old
    if watched is None or watched.verdict.state == "gone":
        return words.GONE.format(id=click.id)
    allowed = verbs_of(watched)
    if click.verb not in (*allowed, "jupyter", "extend"):
        return words.NOT_POSSIBLE_NOW.format(state=watched.verdict.state)
    if click.verb in ("destroy", "next") and not watched.ours and click.typed != str(click.id):
        return words.NOT_RENTED_HERE.format(id=click.id)
    price = number(watched.record.get("dph_total"))
    dearer = price is not None and (click.shown is None or price > click.shown * 1.001)
    if click.verb == "start" and dearer:
        return words.COSTS_MORE_NOW.format(price=price)
    if click.verb == "next" and click.shown is None:
        return words.PRICE_NOT_SHOWN
    if click.verb == "bid" and click.price is None:
        return words.ENTER_A_BID
    return ""


def carry_out(client: Client, click: Click, record: Mapping[str, Any]) -> Outcome:
    """Do what a click asks for, and return what came of it. Never raises an `Exception`.

    Renting the next offer takes a minute: first the old machine must have stayed gone.

    Parameters
    ----------
    client : Client
        Who acts.
    click : Click
        What to do; `refusal_of` had nothing against it.
    record : mapping
        What was last seen of the machine.
    """
    try:
        return _carried_out(client, click, record)
    except VastError as error:
        return Outcome(" ".join([error.message, *getattr(error, "__notes__", ())]), "bad")
    except Exception as error:  # noqa: BLE001  (the thread would die silently; the page shows this)
        _log.exception("an action of the monitor failed")
        return Outcome(words.MAY_HAVE_WORKED.format(error=unexpected(error)), "bad")


def _carried_out(client: Client, click: Click, record: Mapping[str, Any]) -> Outcome:
    id = click.id
    if click.verb in ("destroy", "next"):
        # Said before: its end is no surprise to whoever looks meanwhile.
        client.watcher.expect(id, "gone", acted=False)
    match click.verb:
        case "stop":
            client.stop_instance(id)
            return Outcome(words.STOPPED_AND_BILLED)
        case "start":
            client.start_instance(id)
            return Outcome(words.STARTED)
        case "reboot":
            client.reboot_instance(id)
            return Outcome(words.REBOOTED)
        case "label":
            client.label_instance(id, click.label or None)
            return Outcome(words.RENAMED if click.label else words.LABEL_REMOVED)
        case "bid":
            assert click.price is not None
            client.change_bid(id, click.price)
            return Outcome(words.BID_CHANGED.format(price=click.price))
        case "extend":
            moment = client.renter.extend(id, 1.0)
            when = f" to {moment:%Y-%m-%d %H:%M} UTC" if moment else ""
            return Outcome(words.EXTENDED.format(when=when))
        case "destroy":
            client.destroy_instance(id)
            return Outcome(words.DESTROYED.format(id=id))
        case "next":
            from vastnb.fleet.instance import one_of

            box = client.renter.replace(id, record, partial(one_of, client), max_dph=click.shown)
            return Outcome(words.REPLACED.format(id=id, next=box.id), rented=box.id)
        case "logs":
            log = readable(client.logs(id, LOG_LINES))
            return Outcome("", "info", {"text": log[-LOG_CHARACTERS:]})
        case "jupyter":
            url = client.show_instance(id).jupyter_url
            return (
                Outcome("", "info", {"url": url}) if url else Outcome(words.NO_JUPYTER_LINK, "warn")
            )
    raise AssertionError(click.verb)  # `read_click` lets no other verb pass


def readable(log: str) -> str:
    """Return a log without what moves a terminal's cursor or turns the writing direction."""
    return _CONTROLS.sub("", _ESCAPES.sub("", log.replace("\r\n", "\n").replace("\r", "\n")))
