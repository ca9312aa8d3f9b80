"""What a request carries comes back in no message, no event, no file and no traceback."""

from __future__ import annotations

import json
import re
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vastnb
from vastnb.api.secret import HIDDEN, Memory, Redactor, Secret, veil
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest, VastError
from vastnb.fleet.rent.events import RentEvent
from vastnb.fleet.rent.spec import Spec
from vastnb.sim import Fault, Server

TOKEN = "hf_s3cretT0kenValue"
PASSWORD = 'p"ss\\wörd 9'
PIN = "4711"
IN_SCRIPT = "wandb-key-0815"
LOGIN = "docker-pass-77"
ALL = (TOKEN, PASSWORD, PIN, IN_SCRIPT, LOGIN, json.dumps(PASSWORD)[1:-1])
ORDER: dict[str, Any] = {
    "image": "a/b",
    "disk": 10,
    "env": {"HF_TOKEN": TOKEN, "PW": PASSWORD, "PIN": PIN, "-p 80:80": "1"},
    "onstart": f"#!/bin/bash\nexport WANDB={IN_SCRIPT}\nrun {TOKEN}",
    "image_login": f"-u me -p {LOGIN} docker.io",
}
SAID = (
    f"error 400/3467: Invalid args: HF_TOKEN={TOKEN} PW={PASSWORD} "
    f"{json.dumps(PASSWORD)} PIN: {PIN} in export WANDB={IN_SCRIPT} login {LOGIN}"
)
ANSWERS: dict[str, tuple[int, Any]] = {
    "a refusal": (400, {"success": False, "error": "invalid_args", "msg": SAID}),
    "a refusal in its code": (
        400,
        {"success": False, "error": TOKEN, "msg": "error 400/1: " + PIN},
    ),
    "a 200 that refuses": (200, {"success": False, "error": "invalid_args", "msg": SAID}),
    "no such offer": (410, {"success": False, "error": "no_such_ask", "msg": SAID}),
    "a failure": (500, {"error": "internal", "msg": SAID}),
    "a page": (502, f"<html>{SAID}</html>"),
    "a forbidden one": (403, {"success": False, "error": "invalid_args", "msg": SAID}),
    "no credit": (400, {"success": False, "error": "invalid_args", "msg": f"lack credit {SAID}"}),
    "cut short": (400, {"success": False, "error": "invalid_args", "msg": f"bad: {TOKEN[:-3]}..."}),
}


def _frames(error: BaseException) -> str:
    """All that a verbose traceback shows of the package's frames."""
    shown = "".join(traceback.format_exception(error)) + repr(vars(error)) + repr(error)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if "vastnb" in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            shown += repr(frame.f_locals)
    return shown


def _on_disk(tmp_path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in tmp_path.rglob("*") if one.is_file())


def _clean(shown: str | bytes, *others: str) -> None:
    text = shown if isinstance(shown, str) else shown.decode("utf-8", "replace")
    # Addresses, markers, moments and ports are random digits, and may hold those of a short secret.
    text = re.sub(r"0x[0-9a-f]+|[0-9a-f]{32}|\d+\.\d{4,}|127\.0\.0\.1:\d+", "", text)
    for secret in (*ALL, TOKEN[:-3], *others):
        assert secret not in text


@pytest.mark.parametrize("how", ANSWERS)
@pytest.mark.parametrize("verb", ["create", "rent"])
def test_nothing_of_a_request_comes_back(
    client: vastnb.Client, server: Server, tmp_path: Path, how: str, verb: str
) -> None:
    status, body = ANSWERS[how]
    server.faults.add(Fault("create_instance", "answer", nth=None, status=status, body=body))
    events: list[RentEvent] = []
    found = client.search_offers("num_gpus=1", order="dph_total").head(1)
    act: Any = client.rent if verb == "rent" else client.create_instance
    with pytest.raises(VastError) as refused:
        act(found, **ORDER, on_event=events.append)
    _clean(_frames(refused.value))
    assert events
    _clean(repr(events))
    _clean(str(client.reconcile()))
    _clean(_on_disk(tmp_path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"disk": 1},
        {"label": "x" * 300},
        {"env": f"-e T={TOKEN} -x"},
        {"env": f"-e T={TOKEN} '"},
        {"env": {"T": [TOKEN]}},
        {"env": {"T": TOKEN, "VASTNB_ATTEMPT": "1"}},
        {"onstart": f"#!/usr/bin/python3\nx = '{TOKEN}'", "max_hours": 1,
         "deadline_on_machine": True},
        {"args": f"--token {TOKEN}"},
        {"image_logn": TOKEN},
        {"price": -1.0},
    ],
)  # fmt: skip
def test_a_mistake_shows_no_secret_in_a_verbose_traceback(
    client: vastnb.Client, server: Server, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        client.create_instance(5, **{**ORDER, **wrong})
    _clean(_frames(refused.value))
    assert refused.value.__cause__ is None and refused.value.__context__ is None


@pytest.mark.slow
def test_ipython_shows_no_secret_in_verbose_mode(client: vastnb.Client, server: Server) -> None:
    ultratb = pytest.importorskip("IPython.core.ultratb")
    status, body = ANSWERS["a refusal"]
    server.faults.add(Fault("create_instance", "answer", status=status, body=body))
    offer, order = client.search_offers("num_gpus=1").iloc[0], veil(ORDER)
    try:
        client.create_instance(offer, **order)
    except VastError:
        tb = ultratb.VerboseTB(theme_name="nocolor") if hasattr(
            ultratb.VerboseTB, "_tb_highlight"
        ) else ultratb.VerboseTB()  # fmt: skip
        shown = tb.text(*sys.exc_info())
    assert "create_instance" in shown
    _clean(shown)


def test_a_journal_that_cannot_be_written_shows_no_secret(
    client: vastnb.Client, server: Server, tmp_path: Path
) -> None:
    offer = client.search_offers("num_gpus=1").iloc[0]
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / "rentals.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(VastError) as refused:
        client.create_instance(offer, **ORDER, max_hours=1, deadline_on_machine=True)
    _clean(_frames(refused.value))
    assert server.calls("create_instance") == 0


VERBS: list[tuple[str, Any]] = [
    ("manage_instance", lambda c, i: c.stop_instance(i)),
    ("manage_instance", lambda c, i: c.label_instance(i, "x")),
    ("manage_instance", lambda c, i: c.start_instance(i)),
    ("change_bid", lambda c, i: c.change_bid(i, 0.5)),
    ("reboot_instance", lambda c, i: c.reboot_instance(i)),
    ("destroy_instance", lambda c, i: c.destroy_instance(i)),
]


@pytest.mark.parametrize(
    ("endpoint", "act"),
    [
        *VERBS,
        ("create_instance", lambda c, i: c.create_instance(5, image="a")),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 403, 500])
def test_no_verb_repeats_the_key(
    client: vastnb.Client, server: Server, tmp_path: Path, endpoint: str, act: Any, status: int
) -> None:
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], image="a/b")
    server.faults.add(Fault(endpoint, "echo", status=status))
    server.faults.add(Fault("destroy_instances", "echo", status=status))
    shown = ""
    try:
        act(client, box.id)
    except VastError as error:
        shown = _frames(error)
    assert server.api_key not in shown
    assert server.api_key.encode() not in _on_disk(tmp_path)


@pytest.mark.parametrize("status", [200, 400, 403, 500])
@pytest.mark.parametrize(
    ("endpoint", "act"),
    [
        *VERBS,
        ("show_instance", lambda c, i: c.show_instance(i)),
    ],
)
def test_later_answers_do_not_repeat_what_a_create_has_carried(
    client: vastnb.Client, server: Server, tmp_path: Path, endpoint: str, act: Any, status: int
) -> None:
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    said = {"success": False, "error": f"bad {TOKEN}", "msg": SAID}
    server.faults.add(Fault(endpoint, "answer", nth=None, status=status, body=said))
    with pytest.raises(VastError) as refused:
        act(client, box.id)
    _clean(_frames(refused.value))
    server.faults.clear()
    _clean(_on_disk(tmp_path))


def test_a_status_message_that_repeats_the_environment_shows_nothing_of_it(
    client: vastnb.Client, server: Server
) -> None:
    box = client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)
    server.world.instances[box.id].status_msg = f"Error: {SAID}"
    _clean(str(client.show_instances().to_dict()))
    _clean(str(client.watcher.snapshot))
    _clean(str(box.record()["status_msg"]))


def test_what_a_state_says_is_read_as_it_is_whatever_an_environment_holds() -> None:
    memory = Memory()
    memory.learn(json.dumps({"env": {"MODE": "running", "MARK": "abcdef0123"}}).encode())
    record = {"actual_status": "running", "extra_env": [["MARK", "abcdef0123"]], "status_msg": "ok"}
    body = json.dumps({"instances": [record]}).encode()
    assert memory.body(body) is body
    record["status_msg"] = "now running, abcdef0123"
    clean = json.loads(memory.body(json.dumps({"instances": [record]}).encode()))
    assert clean["instances"][0] == {**record, "status_msg": f"now {HIDDEN}, {HIDDEN}"}


# -- the parts -------------------------------------------------------------------------------------


def _redactor(**body: Any) -> Redactor:
    return Redactor(Secret("k3y-of-mine"), json.dumps(body).encode())


def test_what_money_depends_on_is_never_redacted() -> None:
    redactor = _redactor(env={"A": "contract", "B": "success", "C": "4711", "D": "new_c"})
    body = {"success": True, "new_contract": "4711", "msg": "4711 and new_contract 5"}
    clean = json.loads(redactor.body(json.dumps(body).encode()))
    assert clean["success"] is True and clean["new_contract"] == "4711"
    assert clean["msg"] == f"{HIDDEN} and new_contract 5"


def test_an_answer_without_secrets_stays_as_it_is() -> None:
    body = b'{"success":true,  "new_contract": 46000001, "instance_api_key": "x"}'
    assert _redactor(env={"A": "1", "B": "46", "C": "true"}).body(body) is body
    offers = b'{"offers": [{"id": 1}]}'
    assert Redactor(Secret("k3y-of-mine")).body(offers) is offers
    assert b"k3y" not in Redactor(Secret("k3y-of-mine")).body(b'{"msg": "k3y-of-mine"}')
    assert b"k3y" not in Redactor(Secret("k3y-of-mine")).body(b"<p>k3y-of-mine")


@given(st.text(min_size=6), st.text(), st.text())
def test_no_long_value_comes_back_in_any_spelling(secret: str, before: str, after: str) -> None:
    if not len(secret.strip()) >= 6 or HIDDEN in before + after or secret.lower() in ("success",):
        return
    redactor = _redactor(env={"A": secret})
    for said in (secret, json.dumps(secret)[1:-1]):
        if said in HIDDEN or "new_contract" in secret + said:
            continue
        body = json.dumps({"msg": before + said + after}).encode()
        kept = json.loads(redactor.body(body))["msg"]
        assert said not in kept or said in before + HIDDEN + after


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner)
       | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_a_veil_changes_nothing_but_how_a_value_is_shown(value: Any) -> None:
    assert veil(value) == value
    assert json.dumps(veil(value)) == json.dumps(value)


def test_an_order_shows_no_secret(clock: ManualClock) -> None:
    order = Spec("a", env=veil(ORDER["env"]), onstart=veil(ORDER["onstart"]))
    _clean(repr(order) + repr(order.body("m")) + repr(veil(ORDER)))
    assert "HF_TOKEN" in repr(order.body("m")["env"])
