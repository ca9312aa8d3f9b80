"""What a page may say to a rent form, and what it leads to: one table.

A message carries the page's name and a number that counts up; the last number that was dealt with
goes back with the picture, so that a page knows whether the price is for what was typed last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from vastnb.errors import VastError
from vastnb.widgets.rent.model import ClickRefused
from vastnb.widgets.rent.plan import RentPlan
from vastnb.widgets.rent.session import RentSession

_log = logging.getLogger("vastnb.widgets")

Content = Mapping[str, Any]


def handle(session: RentSession, content: Content, send: Callable[[dict[str, Any]], None]) -> None:
    """Do what a message asks for; what goes wrong is shown in the form.

    What is not understood is ignored. `send` answers who asks to see a secret.
    """
    kind = content.get("type")
    if kind == "reveal":
        value = _secret(session.model.plan, content)
        if value is not None:
            asked = {name: content.get(name) for name in ("field", "name", "page")}
            send({"type": "secret", "value": value, **asked})
        return
    handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
    if handler is None:
        return
    session.drain()
    try:
        handler(session, content)
    except ClickRefused as refused:
        session.model.note = refused.message
    except Exception as error:  # noqa: BLE001  (a page that nobody answers is worse)
        if not isinstance(error, VastError):
            _log.exception("the rent form could not handle a message from its page")
        session.model.take_back()
        session.model.failed(error)


def _secret(plan: RentPlan, content: Content) -> str | None:
    """Return the value that a page asks to see; it goes by a message, which nothing keeps."""
    match content:
        case {"field": "onstart"}:
            return plan.onstart or ""
        case {"field": "env", "name": str(name)}:
            return plan.env.get(name)
    return None


def _change(session: RentSession, content: Content) -> None:
    session.model.note = ""
    if (field := content.get("field")) in RentPlan.__slots__:  # what the page has a control for
        session.model.change(field, content.get("value"))


def _change_env(session: RentSession, content: Content) -> None:
    rows = content.get("rows")
    if isinstance(rows, list):
        session.model.note = ""
        session.model.change_env([row for row in rows if isinstance(row, dict)])


def _choose_template(session: RentSession, content: Content) -> None:
    wanted = content.get("hash")
    chosen = [one for one in session.model.templates or () if one.hash_id == wanted]
    if chosen:
        session.model.choose_template(chosen[0].hash_id, chosen[0].name, chosen[0].disk)
    else:
        session.model.choose_template(None)


def _change_offers(session: RentSession, content: Content) -> None:
    number = content.get("id")
    if isinstance(number, int):
        (session.model.drop if content.get("drop") else session.model.first)(number)


_HANDLERS: Final[dict[str, Callable[[RentSession, Content], object]]] = {
    "ready": lambda session, _content: session.ask_facts(),
    "change": _change,
    "env": _change_env,
    "template": _choose_template,
    "offers": _change_offers,
    "review": lambda session, _content: session.model.review(time.time()),
    "back": lambda session, _content: session.model.back(),
    "confirm": lambda session, content: session.confirm(content),
    "machines": lambda session, _content: session.model.show_machines(),
    "find out": lambda session, _content: session.find_out(),
    "search": lambda session, _content: session.search_again(),
}
