"""A warning names the line of the user's own code, however deep it is found."""

from __future__ import annotations

import warnings

import pytest

import vastnb
from vastnb.sim import Server

from .guarding import ORDER, rent


def test_a_fleet_that_falls_short(client: vastnb.Client) -> None:
    ids = client.search_offers("num_gpus=1")["id"].tolist()[:1]
    with pytest.warns(RuntimeWarning, match="1 of 2 machines") as told:
        client.rent(ids, count=2, **ORDER)
    assert {one.filename for one in told} == {__file__}


def test_too_little_credit(client: vastnb.Client, server: Server) -> None:
    server.world.account.credit = 0.01
    with pytest.warns(RuntimeWarning, match="credit is") as told:
        client.rent("num_gpus=1", **ORDER)
    assert {one.filename for one in told} == {__file__}


def test_a_destroy_of_what_is_not_there_and_a_close_that_leaves_a_deadline(
    client: vastnb.Client,
) -> None:
    rent(client, max_hours=2)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        client.destroy_instance(12345)
        client.close()
    assert [one.filename for one in told] == [__file__] * 2
    assert "no instance 12345" in str(told[0].message)
    assert "no longer enforced" in str(told[1].message)
