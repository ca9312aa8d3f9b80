"""The key stands in the Authorization header, and nowhere else."""

from __future__ import annotations

import copy
import io
import logging
import os
import pickle
import subprocess
import sys
import time
import traceback
import warnings

import pytest

from vastnb.api.credentials import base_url, find_key
from vastnb.api.progress import wait_line
from vastnb.api.secret import Secret
from vastnb.api.wire import Request
from vastnb.errors import AuthError, InvalidRequest, ServerError, VastError

from .conftest import KEY
from .peer import Peer, answer, hang_up, serving, truncated


def test_a_secret_is_never_shown():
    secret = Secret(KEY)
    shown = f"{secret} {secret!r} {secret!s:>80} {[secret]} {'%s' % secret} {dir(secret)}"  # noqa: UP031
    assert KEY not in shown
    with pytest.raises(TypeError):
        vars(secret)
    for protocol in range(6):
        with pytest.raises(TypeError):
            pickle.dumps(secret, protocol)
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert secret.reveal() == KEY
    assert not Secret("") and secret


def test_the_place_of_a_key_follows_the_official_order(tmp_path, monkeypatch):
    home, config = tmp_path / "home", tmp_path / "config"
    (config / "vastai").mkdir(parents=True)
    (home / ".config" / "vastai").mkdir(parents=True)
    places = [
        (home / ".vast_api_key", "k-home"),
        (home / ".config" / "vastai" / "vast_api_key", "k-config"),
        (config / "vastai" / "vast_api_key", "k-xdg"),
    ]
    for path, key in places:
        path.write_text(f" {key}\n")
        if key == "k-xdg":
            monkeypatch.setenv("XDG_CONFIG_HOME", str(config))
        found = find_key()
        assert found.key.reveal() == key and found.source == str(path)
    monkeypatch.setenv("VAST_API_KEY", "k-env")
    assert find_key().key.reveal() == "k-env" and find_key().source == "VAST_API_KEY"
    assert find_key("k-arg").key.reveal() == "k-arg"
    assert find_key("").key.reveal() == "k-env"
    assert "k-env" not in repr(find_key())


def test_without_a_key_the_error_names_the_misspelt_variable(monkeypatch):
    monkeypatch.setenv("VASTAI_API_KEY", KEY)
    monkeypatch.setenv("VAST_AI_API_KEY", KEY)
    with pytest.raises(
        AuthError, match=r"VASTAI_API_KEY, VAST_AI_API_KEY are set.*VAST_API_KEY"
    ) as e:
        find_key()
    assert KEY not in str(e.value) and "vastnb.demo()" in str(e.value)


def test_a_key_that_cannot_be_one_is_refused_without_showing_it(monkeypatch):
    for bad in ("two words", "new\nline", "nb\u00a0sp", "küy"):
        with pytest.raises(AuthError) as caught:
            find_key(bad)
        assert bad not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="SKIPPED: root may read anything")
def test_a_key_file_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "home" / ".vast_api_key"
    path.write_text("x")
    path.chmod(0)
    with pytest.raises(AuthError, match="PermissionError"):
        find_key()


def test_the_servers_address(monkeypatch):
    assert base_url() == "https://console.vast.ai"
    monkeypatch.setenv("VAST_URL", "http://127.0.0.1:8123/")
    assert base_url() == "http://127.0.0.1:8123"
    assert base_url("https://x.example/") == "https://x.example"
    for bad in ("ftp://x", "console.vast.ai", "https://u:pw@x", "https://x/?a=b", "http://[::1"):
        with pytest.raises(InvalidRequest) as caught:
            base_url(bad)
        assert "pw" not in str(caught.value)
    with pytest.warns(UserWarning, match="not encrypted"):
        base_url("http://far.example")


def everything_about(error: BaseException) -> str:
    """A traceback as verbose as it gets: locals of all frames, of causes and contexts too."""
    out, seen, todo = io.StringIO(), set(), [error]
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        out.write(repr(one) + repr(vars(one)) + "".join(traceback.format_exception(one)))
        out.write(repr(getattr(one, "__notes__", "")))
        for frame, _ in traceback.walk_tb(one.__traceback__):
            if "vastnb" in frame.f_code.co_filename or "site-packages" in frame.f_code.co_filename:
                out.write(repr(frame.f_locals))
        todo += [one.__cause__, one.__context__]
    return out.getvalue()


@pytest.mark.parametrize(
    "trouble",
    [hang_up, truncated, answer("", 502), answer("<html>"), answer("", 301, Location="http://x/"),
     answer({"error": "auth_error", "msg": f"Invalid user key {KEY}"}, 404),
     answer({"msg": f"Bearer {KEY} is bad"}, 400), answer(f"<p>{KEY}", 500),
     answer({"success": False, "error": KEY, "msg": KEY}, 403)],
)  # fmt: skip
def test_no_error_shows_the_key(transport, peer: Peer, trouble):
    peer.default = trouble
    for name in ("create_instance", "show_instances"):
        with pytest.raises(VastError) as caught:
            transport.call(name, path={"id": 1})
        shown = everything_about(caught.value)
        assert KEY not in shown and "Bearer k3y" not in shown
        assert caught.value.__cause__ is None and caught.value.__context__ is None


def test_a_ctrl_c_while_sending_shows_no_frame_of_the_http_library(transport, peer, monkeypatch):
    import _thread

    peer.default = lambda asked, handler: _thread.interrupt_main() or answer({})(asked, handler)
    with pytest.raises(KeyboardInterrupt) as caught:  # noqa: PT012
        transport.call("show_instances")
        for _ in range(100):  # the signal may come a moment later
            time.sleep(0.01)
    shown = everything_about(caught.value)
    assert KEY not in shown
    peer.default = answer({"instances": []})
    assert transport.call("show_instances").data == {"instances": []}


@pytest.mark.slow
def test_a_verbose_ipython_traceback_does_not_show_the_key(peer):
    peer.default = hang_up
    code = f"""
from IPython.core.ultratb import VerboseTB
import os, sys
from vastnb.api.transport import Transport
from vastnb.api.credentials import find_key
from vastnb.clock import ManualClock
transport = Transport(base_url={peer.url!r}, api_key=find_key().key, clock=ManualClock())
for name in ("search_offers", "create_instance"):
    try:
        transport.call(name, path={{"id": 1}}, body={{}})
    except Exception:
        print(VerboseTB(color_scheme="NoColor").text(*sys.exc_info())
              if "color_scheme" in VerboseTB.__init__.__code__.co_varnames
              else VerboseTB().text(*sys.exc_info()))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "VAST_API_KEY": KEY},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    assert "ServerError" in shown and "OutcomeUnknown" in shown
    assert KEY not in shown


def test_logs_and_reprs_do_not_show_the_key(transport, peer, caplog):
    with caplog.at_level(logging.DEBUG):
        transport.call("search_offers", body={})
        transport.call("search_offers", body={})
        peer.default = hang_up
        with pytest.raises(ServerError):
            transport.call("search_offers", body={"x": {}})
    said = [r for r in caplog.records if r.name.startswith("vastnb")]
    assert said and any("200 in" in r.getMessage() for r in said)
    assert KEY not in caplog.text and KEY not in "".join(str(r.__dict__) for r in caplog.records)
    assert KEY not in repr(transport) + repr(transport._opened) + repr(transport._settings)


def test_nothing_is_logged_without_being_asked(transport, capfd):
    transport.call("search_offers", body={})
    assert capfd.readouterr() == ("", "")


def test_a_netrc_does_not_replace_the_key(make, peer, tmp_path):
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    make().call("search_offers", body={})
    make(api_key=None).call("search_offers", body={})
    assert peer.asked[0].headers["Authorization"] == f"Bearer {KEY}"
    assert "Authorization" not in peer.asked[1].headers


def test_a_proxy_of_the_environment_is_used_and_gets_no_key_of_its_own(make, peer, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", peer.url)
    monkeypatch.setenv("http_proxy", peer.url)
    make(base_url="http://far.example").call("search_offers", body={})
    assert peer.asked[0].path == "http://far.example/api/v0/bundles/"
    assert "Proxy-Authorization" not in peer.asked[0].headers


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(make, peer, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert make().call("search_offers", body={}).data == {"offers": []}


def test_the_key_is_not_sent_to_another_host(transport, peer, clock):
    for other in serving(Peer(clock=clock)):
        peer.default = answer("", 307, Location=other.url + "/api/v0/bundles/")
        with pytest.raises(ServerError):
            transport.call("search_offers", body={})
        request = transport._opened.wire.prepare(Request("GET", other.url, {}, None))
        assert "Authorization" not in request.headers
        assert other.asked == []


def test_a_long_wait_is_shown_and_disappears(terminal):
    with terminal() as shown, wait_line("search_offers", 6.0, "waiting for its turn") as tick:
        tick(3.0)
        tick(30.0)  # late
    assert shown.getvalue().split("\r\x1b[K")[1:] == [
        "Search offers: waiting for its turn, 6 s left",
        "Search offers: waiting for its turn, 3 s left",
        "Search offers: waiting for its turn, 0 s left",
        "",
    ]


def test_a_short_wait_is_not_shown(terminal):
    with terminal() as shown, wait_line("search_offers", 1.5, "short") as tick:
        tick(1.5)
    assert shown.getvalue() == ""


def test_a_file_gets_no_line(capfd):
    with wait_line("search_offers", 6.0, "waiting for its turn") as tick:
        tick(3.0)
    assert capfd.readouterr() == ("", "")


def test_every_wait_is_told_to_the_hook(make, peer, clock):
    from contextlib import contextmanager

    told = []

    @contextmanager
    def hook(endpoint, seconds, reason):
        passed = []
        yield passed.append
        told.append((endpoint, round(seconds, 1), round(sum(passed), 1), reason))

    transport = make(on_wait=hook)
    peer.default = answer({"instances": []})
    transport.call("show_instances")
    transport.call("show_instances")
    assert told == [("show_instances", 1.0, 1.0, "waiting for its turn")]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        transport.call("show_instances")
