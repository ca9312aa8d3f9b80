"""The machine's own Jupyter, here: through the connection, its token out of sight."""

from __future__ import annotations

import http.client
import logging
import os
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import pytest

import vastnb
from vastnb.errors import InvalidRequest
from vastnb.remote import ports
from vastnb.sim import Server


def test_it_opens_through_the_connection_with_a_token_that_nobody_sees_and_ends_with_the_box(
    client: vastnb.Client,
    market: Server,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    market.world.fleet.expect("cached")
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open_new_tab", opened.append)
    with client.rent(
        "num_gpus=1", image="pytorch/pytorch", disk=20, runtype="jupyter_direct"
    ) as box:
        link = box.jupyter()
        token = box.record()["jupyter_token"]
        assert len(token) > 20
        assert urllib.request.urlopen(link.url, timeout=10).read().startswith(b"This machine is")
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(link.address, timeout=10)
        # In a browser it has a host name of its own, so that no cookie is shared.
        assert link.page == f"http://box-{box.id}.localhost:{link.port}/"
        link.open()
        assert opened == [f"{link.page}?token={token}"]
        assert link.page in link._repr_html_()
        told = repr(link) + link._repr_html_() + repr(box)
        seen = [
            file.read_bytes().decode(errors="replace")
            for file in Path("/proc").glob("[0-9]*/cmdline")
            if file.parent.name != str(os.getpid()) and file.exists()
        ]
        for text in (told, *seen):
            assert token not in text
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(link.url, timeout=5)
    caught = capfd.readouterr()
    for text in (caught.out, caught.err, caplog.text):
        assert token not in text


def test_a_machine_without_jupyter_says_how_to_get_one(
    client: vastnb.Client, market: Server
) -> None:
    market.world.fleet.expect("cached")
    box = client.rent("num_gpus=1", image="pytorch/pytorch", disk=20, runtype="ssh_direct")
    with box, pytest.raises(InvalidRequest, match="install_kernel"):
        box.jupyter()


def test_a_server_that_refuses_the_name_is_shown_under_its_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not ports._takes(1, "box-1.localhost:1")  # nobody there
