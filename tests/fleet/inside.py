"""Where the tests reach into a client: everything that is no public name, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest

import vastnb
from vastnb.api.transport import Transport
from vastnb.fleet.instance import Instance, one_of
from vastnb.fleet.rent.attempt import Sender
from vastnb.fleet.rent.guard import Guard
from vastnb.fleet.rent.replacement import NextOffer


def transport_of(client: vastnb.Client) -> Transport:
    return client.transport


def sender_of(client: vastnb.Client) -> Sender:
    return client.renter.sender


def guard_of(client: vastnb.Client) -> Guard:
    return client.renter.guard


def calls_through(
    client: vastnb.Client, function: Callable[..., Any], patch: pytest.MonkeyPatch
) -> None:
    """Let all that renting and watching ask of the service go through a function."""
    patch.setattr(client.transport, "call", function)
    patch.setattr(client.renter.sender.settler, "_call", function)
    patch.setattr(client.renter.guard._settler, "_call", function)
    patch.setattr(client.renter.account, "_call", function)
    patch.setattr(client._watcher._looker, "_call", function)


def watched_by(client: vastnb.Client, other: Any, patch: pytest.MonkeyPatch) -> None:
    """Have another one told of what the guard does."""
    patch.setattr(client._watcher, "expect", other.expect)
    patch.setattr(client._watcher, "nudge", other.nudge)


def next_offer(client: vastnb.Client, id: int, record: Mapping[str, Any]) -> NextOffer | None:
    return client.renter.next_offer(id, record)


def rent_again(
    client: vastnb.Client, id: int, record: Mapping[str, Any], *, max_dph: float | None = None
) -> Instance:
    return client.renter.replace(id, record, partial(one_of, client), max_dph=max_dph)
