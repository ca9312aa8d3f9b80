"""What the form asks the service beside renting: the account, templates, what was left open.

Each question is asked by itself in a worker's thread, and what cannot be answered is left out: a
form is useful without it. Nothing here raises.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from vastnb.errors import VastError
from vastnb.widgets.rent import words
from vastnb.widgets.rent.offers import candidates
from vastnb.widgets.rent.price import number_of
from vastnb.widgets.rent.warnings import Account

if TYPE_CHECKING:
    from vastnb.client import Client

_log = logging.getLogger("vastnb.widgets")


@dataclass(frozen=True, slots=True)
class Template:
    """A ready-made image with its settings.

    Parameters
    ----------
    hash_id, name, image : str
        What it is.
    disk : float
        GB that it recommends; 0 if it says nothing.
    """

    hash_id: str
    name: str
    image: str
    disk: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at what was left open has brought.

    Parameters
    ----------
    level : {"good", "warn", "bad", ""}
        Empty if there is nothing to say.
    text : str
        The report's own words.
    ids : tuple of int
        Machines that were adopted: they bill, and can be followed.
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


def templates_of(client: Client) -> tuple[Template, ...] | None:
    """Return the templates; None if they is not available."""
    try:
        frame = client.search_templates()
    except VastError as error:
        _log.info("templates is not available: %s", error)
        return None
    rows: list[Template] = []
    for row in frame.to_dict("records"):
        name, hash_id = _text(row.get("name")), _text(row.get("hash_id"))
        if name and hash_id:
            disk = number_of(row, "recommended_disk_space") or 0.0
            rows.append(Template(hash_id, name, _text(row.get("image")), disk))
    return tuple(rows)


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
    bills = report.of("bills")
    return Found("info" if bills else "", report.text, adopted)


def offers_again(client: Client, given: Any, kind: str, disk: float) -> pd.DataFrame:
    """Search for candidates past the cache."""
    return candidates(client, given, type=kind, disk=disk, refresh=True)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
