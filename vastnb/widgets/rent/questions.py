"""What the form asks the service beside renting: the account, templates, what was left open.

Each question is asked by itself in a worker's thread, and what cannot be answered is left out: a
form is useful without it. Nothing here raises.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from vastnb.errors import VastError
from vastnb.values import text
from vastnb.widgets.rent import words
from vastnb.widgets.rent.price import number_of
from vastnb.widgets.rent.warnings import Account

if TYPE_CHECKING:
    from vastnb.client import Client

_log = logging.getLogger("vastnb.widgets")


class Template(NamedTuple):
    """A ready-made image with its settings; `disk` is the GB that it recommends, or 0."""

    hash_id: str
    name: str
    image: str
    disk: float


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at what was left open has brought: its mood, the report's own words.

    An empty `level` is nothing to say. The machines `ids` were adopted: they bill.
    """

    level: str = ""
    text: str = ""
    ids: tuple[int, ...] = ()


def account_of(client: Client) -> Account:
    """Return what is known of the account; empty without a key."""
    if not client.has_key:
        return Account()
    credit: float | None = None
    has_key: bool | None = None
    try:
        credit = number_of(client.show_user(), "credit")
    except VastError as error:
        _log.info("the account's credit is not known: %s", error)
    try:
        has_key = bool(client.has_ssh_key())
    except VastError as error:
        _log.info("whether there is an SSH key is not known: %s", error)
    return Account(credit, has_key)


def templates_of(client: Client) -> tuple[Template, ...]:
    """Return the templates; none if they are not available."""
    try:
        frame = client.search_templates()
    except VastError as error:
        _log.info("templates are not available: %s", error)
        return ()
    rows = (
        Template(
            text(row.get("hash_id")),
            text(row.get("name")),
            text(row.get("image")),
            number_of(row, "recommended_disk_space") or 0.0,
        )
        for row in frame.to_dict("records")
    )
    return tuple(one for one in rows if one.name and one.hash_id)


def settle(client: Client) -> Found:
    """Find out what became of every rental that was left open; say what bills."""
    if not client.has_key:
        return Found()
    try:
        report = client.reconcile()
    except VastError as error:
        return Found("bad", words.EARLIER_RENTAL_UNKNOWN.format(message=error.message))
    adopted = tuple(one.instance_id for one in report.of("adopted") if one.instance_id is not None)
    if report.of("unsettled") or report.trouble:
        return Found("bad", report.text, adopted)
    if report.of("adopted", "destroyed", "absent"):
        return Found("warn", report.text, adopted)
    return Found("info" if report.of("bills") else "", report.text, adopted)
