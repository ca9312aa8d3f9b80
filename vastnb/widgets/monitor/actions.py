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
from typing import TYPE_CHECKING, Any, Final, Literal

from vastnb.errors import VastError
from vastnb.values import number
from vastnb.widgets.kit.clicks import too_old
from vastnb.widgets.kit.search import unexpected
from vastnb.widgets.monitor import words
from vastnb.widgets.monitor.view import verbs_of

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.fleet.watch.picture import Watched

LOG_LINES: Final = 400
LOG_CHARACTERS: Final = 120_000

Level = Literal["info", "good", "warn", "bad"]

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
    """One click, as the page has sent it.

    Parameters
    ----------
    key : str
        Names this click; the page may send it twice.
    verb : str
        One of `DOING`.
    id : int
        The instance.
    at : float
        When it was made, by the kernel's clock, epoch seconds.
    shown : float or None
        $/h that the page gave as the machine's price.
    label : str or None
        The new label.
    price : float or None
        The new bid, $/h.
    typed : str
        What was typed to confirm.
    """

    key: str
    verb: str
    id: int
    at: float
    shown: float | None = None
    label: str | None = None
    price: float | None = None
    typed: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a click.

    Parameters
    ----------
    text : str
        In words.
    level : str
        ``"good"``, ``"info"``, ``"warn"`` or ``"bad"``.
    answer : dict
        What only the place of the click is shown: a log, an address. It may be secret, and is
        kept nowhere.
    rented : int, optional
        Another machine that was rented instead.
    """

    text: str
    level: Level
    answer: dict[str, Any] = field(default_factory=dict, repr=False)
    rented: int | None = None


def read_click(content: Mapping[str, Any]) -> Click | None:
    """Return the click in a message of the page; None if it is none."""
    verb, key, id_, at = (content.get(name) for name in ("verb", "key", "id", "at"))
    when, label, typed = number(at), content.get("label"), content.get("typed")
    if not (isinstance(verb, str) and verb in DOING and isinstance(key, str) and when is not None):
        return None
    if not isinstance(id_, int) or isinstance(id_, bool) or id_ <= 0 or len(key) > 64:
        return None
    return Click(
        key,
        verb,
        id_,
        when,
        number(content.get("shown")),
        label if isinstance(label, str) else None,
        number(content.get("price")),
        typed.strip() if isinstance(typed, str) else "",
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
        if click.verb == "next":
            return _next(client, click, record)
        return _DO[click.verb](client, click)
    except VastError as error:
        return Outcome(" ".join([error.message, *getattr(error, "__notes__", ())]), "bad")
    except Exception as error:  # noqa: BLE001  (the thread would die silently; the page shows this)
        _log.exception("an action of the monitor failed")
        return Outcome(
            words.MAY_HAVE_WORKED.format(error=unexpected(error)),
            "bad",
        )


def _stop(client: Client, click: Click) -> Outcome:
    client.stop_instance(click.id)
    return Outcome(words.STOPPED_AND_BILLED, "good")


def _start(client: Client, click: Click) -> Outcome:
    client.start_instance(click.id)
    return Outcome(words.STARTED, "good")


def _reboot(client: Client, click: Click) -> Outcome:
    client.reboot_instance(click.id)
    return Outcome(words.REBOOTED, "good")


def _label(client: Client, click: Click) -> Outcome:
    client.label_instance(click.id, click.label or None)
    return Outcome(words.RENAMED if click.label else words.LABEL_REMOVED, "good")


def _bid(client: Client, click: Click) -> Outcome:
    assert click.price is not None
    client.change_bid(click.id, click.price)
    return Outcome(words.BID_CHANGED.format(price=click.price), "good")


def _extend(client: Client, click: Click) -> Outcome:
    moment = client.renter.extend(click.id, 1.0)
    when = f" to {moment:%Y-%m-%d %H:%M} UTC" if moment else ""
    return Outcome(words.EXTENDED.format(when=when), "good")


def _destroy(client: Client, click: Click) -> Outcome:
    # Said before: its end is no surprise to whoever looks meanwhile.
    client.watcher.expect(click.id, "gone", acted=False)
    client.destroy_instance(click.id)
    return Outcome(
        words.DESTROYED.format(id=click.id),
        "good",
    )


def _next(client: Client, click: Click, record: Mapping[str, Any]) -> Outcome:
    from vastnb.fleet.instance import one_of

    client.watcher.expect(click.id, "gone", acted=False)
    box = client.renter.replace(click.id, record, partial(one_of, client), max_dph=click.shown)
    return Outcome(
        words.REPLACED.format(id=click.id, next=box.id),
        "good",
        rented=box.id,
    )


def _logs(client: Client, click: Click) -> Outcome:
    text = readable(client.logs(click.id, LOG_LINES))
    return Outcome("", "info", {"text": text[-LOG_CHARACTERS:]})


def _jupyter(client: Client, click: Click) -> Outcome:
    url = client.show_instance(click.id).jupyter_url
    if url is None:
        return Outcome(words.NO_JUPYTER_LINK, "warn")
    return Outcome("", "info", {"url": url})


_DO: Final = {
    "stop": _stop,
    "start": _start,
    "reboot": _reboot,
    "label": _label,
    "bid": _bid,
    "extend": _extend,
    "destroy": _destroy,
    "logs": _logs,
    "jupyter": _jupyter,
}


def readable(log: str) -> str:
    """Return a log without what moves a terminal's cursor or turns the writing direction."""
    text = _ESCAPES.sub("", log.replace("\r\n", "\n").replace("\r", "\n"))
    return _CONTROLS.sub("", text)
