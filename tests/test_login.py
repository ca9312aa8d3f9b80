"""Logging in: the only place where a key is asked for."""

from __future__ import annotations

import getpass
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import vastnb
from vastnb.api.credentials import key_files
from vastnb.errors import AuthError, ServerError
from vastnb.sim import Fault, Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(machines=20) as running:
        yield running


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("VAST_API_KEY", raising=False)


@pytest.mark.slow
def test_a_key_that_is_accepted_is_kept_for_its_owner_alone_and_found_again(server, capsys):
    with vastnb.login(ask=lambda prompt: f" {server.api_key}\n", base_url=server.url) as client:
        assert client.has_key
    (path, _) = key_files()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with vastnb.Client(base_url=server.url, cache="memory") as again:
        assert again.show_user()["credit"] > 0
    said = capsys.readouterr().out
    assert str(path) in said
    assert server.api_key not in said


def test_a_key_that_is_refused_replaces_nothing(server):
    path = key_files()[0]
    path.parent.mkdir(parents=True)
    path.write_text("an-older-key")
    with pytest.raises(AuthError) as caught:
        vastnb.login(ask=lambda prompt: "wrong" * 8, base_url=server.url)
    assert "wrongwrong" not in str(caught.value)
    assert path.read_text() == "an-older-key"
    assert list(path.parent.iterdir()) == [path]


def test_a_key_that_could_not_be_checked_is_not_kept(server):
    server.faults.add(Fault("show_user", "503"))
    with pytest.raises(ServerError):
        vastnb.login(ask=lambda prompt: server.api_key, base_url=server.url, max_wait=1)
    assert not key_files()[0].exists()


def test_a_key_need_not_be_kept(server):
    vastnb.login(ask=lambda prompt: server.api_key, base_url=server.url, keep=False).close()
    assert not key_files()[0].exists()


def test_another_key_that_comes_first_is_named(server, monkeypatch, capsys):
    monkeypatch.setenv("VAST_API_KEY", "another-key")
    vastnb.login(ask=lambda prompt: server.api_key, base_url=server.url).close()
    assert "VAST_API_KEY takes precedence" in capsys.readouterr().out


@pytest.mark.slow
def test_a_place_that_cannot_be_written_is_told(server, tmp_path):
    (tmp_path / ".config").write_text("a file, where a directory should be")
    with pytest.raises(AuthError, match="keep=False"):
        vastnb.login(ask=lambda prompt: server.api_key, base_url=server.url)


@pytest.mark.parametrize("typed", ["", "  "])
def test_nothing_typed_is_an_error_and_sends_nothing(server, typed):
    with pytest.raises(AuthError, match="Nothing was sent"):
        vastnb.login(ask=lambda prompt: typed, base_url=server.url)
    assert not server.seen


@pytest.mark.slow
def test_in_a_notebook_the_key_is_typed_into_a_hidden_field_and_saved_nowhere(server, tmp_path):
    from jupyter_client.manager import start_new_kernel

    manager, kernel = start_new_kernel(kernel_name="python3", cwd=str(tmp_path))
    try:
        asked: list[bool] = []

        def answer(message):
            asked.append(message["content"]["password"])
            kernel.input(server.api_key)

        outputs: list[str] = []
        code = f"import vastnb; print(vastnb.login(base_url={server.url!r}))"
        reply = kernel.execute_interactive(
            code,
            allow_stdin=True,
            stdin_hook=answer,
            output_hook=lambda message: outputs.append(json.dumps(message["content"])),
            timeout=60,
        )
        assert reply["content"]["status"] == "ok"
        assert asked == [True]
        assert "accepts this key" in "".join(outputs)
        assert server.api_key not in "".join(outputs)
        # A notebook that is run by a script has nobody to ask.
        reply = kernel.execute_interactive(
            code, allow_stdin=False, output_hook=lambda message: None, timeout=60
        )
        assert reply["content"]["ename"] == "AuthError"
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


def test_by_default_what_is_typed_is_not_shown(monkeypatch):
    prompts: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda prompt: prompts.append(prompt) or "")
    with pytest.raises(AuthError):
        vastnb.login()
    assert len(prompts) == 1
