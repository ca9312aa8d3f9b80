"""What is sent for an order: the official client's JSON, and the marker."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vastnb
from vastnb.errors import InvalidRequest
from vastnb.fleet.env import MARKER, label_of, marker_of, new_marker, with_marker
from vastnb.fleet.rent import spec
from vastnb.fleet.rent.candidates import Offer, bid_for, offer_of, offers_of
from vastnb.fleet.rent.on_machine import with_line
from vastnb.fleet.rent.spec import ENV_MAX, Spec, environment
from vastnb.sim.instances.orders import read


def theirs(**options: Any) -> dict[str, Any]:
    official = pytest.importorskip("vastai.api.instances", reason="no official client installed")
    body: dict[str, Any] = official.build_create_instance_payload(**options)
    return body


def same(ours: dict[str, Any], body: dict[str, Any]) -> None:
    env = dict(ours["env"])
    assert env.pop(MARKER) == "m"
    if body["label"] is None:  # the official client gives none; ours is a second way to find it
        assert ours.pop("label") == label_of("m") and body.pop("label") is None
    assert {**ours, "env": env} == body


OPTIONS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"image": "a/b", "disk": 20}, {}),
    ({"image": "a/b", "disk": 20, "label": "x", "onstart": "ls"}, {"label": "x",
      "onstart_cmd": "ls"}),
    ({"image": "a", "onstart": with_line("echo hi", 1.9e9, "https://console.vast.ai")},
     {"onstart_cmd": with_line("echo hi", 1.9e9, "https://console.vast.ai")}),
    ({"image": "a", "env": {"K": "v", "-p 80:80": "1"}}, {"env": {"K": "v", "-p 80:80": "1"}}),
    ({"image": "a", "env": "-e K=v=w -p 80:80 -h bob -e Q='a b'"},
     {"env": "-e K=v=w -p 80:80 -h bob -e Q='a b'"}),
    ({"image": "a", "runtype": "ssh"}, {"ssh": True}),
    ({"image": "a", "runtype": "ssh_direct"}, {"ssh": True, "direct": True}),
    ({"image": "a", "runtype": "jupyter"}, {"jupyter": True}),
    ({"image": "a", "runtype": "jupyter_direct"}, {"jupyter": True, "direct": True}),
    ({"image": "a", "runtype": "jupyter_direct",
      "more": {"use_jupyter_lab": True, "jupyter_dir": "/w"}},
     {"jupyter": True, "direct": True, "jupyter_lab": True, "jupyter_dir": "/w"}),
    ({"image": "a", "args": ["--x", "1"]}, {"args": ["--x", "1"]}),
    ({"image": "a", "args": []}, {"args": []}),
    ({"image": "a", "runtype": "args", "args": []}, {"runtype": "args", "args": []}),
    ({"template_hash": "abc"}, {"image": None, "template_hash": "abc"}),
    ({"template_hash": "abc", "runtype": "ssh", "env": {"A": "1"}},
     {"image": None, "template_hash": "abc", "runtype": "ssh_proxy", "env": {"A": "1"}}),
    ({"image": "a", "env": {"PORTAL_CONFIG": "x:1:Jupyter|y:2:App"}},
     {"env": {"PORTAL_CONFIG": "x:1:Jupyter|y:2:App"}}),
    ({"image": "a", "more": {"user": "u", "image_login": "-u x -p y", "extra": "e", "force": True,
                             "lang_utf8": True, "python_utf8": True}},
     {"user": "u", "login": "-u x -p y", "extra": "e", "force": True, "lang_utf8": True,
      "python_utf8": True}),
    ({"image": "a", "more": {"volume_info": {"volume_id": 3}}}, {"volume_info": {"volume_id": 3}}),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "others"), OPTIONS)
def test_the_body_is_the_official_clients_and_the_marker(
    ours: dict[str, Any], others: dict[str, Any]
) -> None:
    options = {"image": ours.get("image"), "disk": 10.0, **others}
    if "disk" in ours:
        options["disk"] = ours["disk"]
    same(Spec(**ours).body("m"), theirs(**options, cancel_unavail=True))


FLAGS = [
    '-e JSON={"a":1}',
    '-e JSON={"a":[1,"b"]} -p 80:80',
    "-e J='{\"a\": 1}' -e K=v",
    "-e DIR=C:\\x\\new -e U=\\\\host",
    "-e Q='a b' -e R=\"c d\" -e S=x=y=z",
    "-e A=1 -h box",
    "-e URL=postgres://u:p@h/db?x=1&y=2#z -v V.881:/mnt -n net-1",
    "-p 8000:8000/udp -e E=$HOME",
]


@pytest.mark.parametrize("text", FLAGS)
def test_flags_mean_what_they_mean_to_the_official_client(text: str) -> None:
    assert environment(text) == theirs(image="a", env=text)["env"]


@given(
    st.dictionaries(
        st.from_regex(r"[A-Z_]{1,8}", fullmatch=True),
        st.text(st.sampled_from("ab1{}[]:,\\/=$`*"), min_size=1, max_size=12),
        min_size=1,
        max_size=4,
    )
)
def test_no_character_of_a_value_is_lost(env: dict[str, str]) -> None:
    text = " ".join(f"-e {name}={value}" for name, value in env.items())
    assert environment(text) == env == theirs(image="a", env=text)["env"]


@pytest.mark.parametrize("image", ["vastai/kvm:ubuntu", "docker.io/vastai/kvm:a@sha256:b"])
def test_the_kvm_image_is_rented_as_a_virtual_machine(image: str) -> None:
    body = Spec(image).body("m")
    assert body.pop("vm") is True
    same(body, theirs(image=image, disk=10.0, cancel_unavail=True))
    assert "vm" not in Spec(image, more={"vm": False}).body("m")
    assert "vm" not in Spec("vastai/kvm-not:1").body("m")
    assert Spec("a", more={"vm": True}).body("m")["vm"] is True


def test_a_bid_is_the_official_clients_too() -> None:
    same(Spec("a", price=0.5).body("m"), theirs(image="a", price=0.5, disk=10.0))


def test_cancel_unavail_is_true_on_demand_and_can_be_chosen() -> None:
    assert Spec("a").body("m")["cancel_unavail"] is True
    assert Spec("a", price=0.1).body("m")["cancel_unavail"] is False
    assert Spec("a", cancel_unavail=False).body("m")["cancel_unavail"] is False


@pytest.mark.parametrize(
    "wrong",
    [
        {"image": None},
        {"disk": 7.9},
        {"disk": float("nan")},
        {"disk": True},
        {"disk": "20"},
        {"price": 0.0009},
        {"price": 128.1},
        {"label": "x" * 257},
        {"onstart": "x" * 16_385},
        {"env": {"A": "x" * ENV_MAX}},
        {"env": {"A": None}},
        {"env": {"A": ["x"]}},
        {"env": {1: "x"}},
        {"env": 7},
        {"env": "-e NOVALUE"},
        {"env": "--gpus all"},
        {"env": "-p eighty:80"},
        {"env": "-e 'A=1"},
        {"env": {MARKER: "mine"}},
        {"args": "--x"},
        {"args": ["x" * 16_385]},
        {"args": ["x" * 9_000], "onstart": "x" * 9_000},
        {"image": "x" * 1_025},
        {"env": {f"-p {n}:{n}": "1" for n in range(1, 66)}},
        {"env": "-p 8000-8064:8000-8064"},
        {"more": {"imagelogin": "x"}},
    ],
)
def test_what_the_service_would_refuse_is_refused_before_it_is_sent(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"[Nn]othing was (sent|rented)"):
        Spec(**{"image": "a", **wrong})


def test_a_refusal_does_not_repeat_a_password() -> None:
    with pytest.raises(InvalidRequest) as refused:
        Spec("a", env={"TOKEN": ["hunter2"]})  # type: ignore[dict-item]
    assert "hunter2" not in str(refused.value) and "TOKEN" in str(refused.value)
    assert "hunter2" not in repr(Spec("a", env={"T": "hunter2"}, onstart="hunter2"))


@given(
    st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=6),
    st.text(max_size=256),
    st.floats(8, 1e4),
)
def test_what_is_accepted_here_is_accepted_by_the_service(
    env: dict[str, str], label: str, disk: float
) -> None:
    order = read(Spec("a", disk=disk, label=label, env=env).body(new_marker()), None)
    assert {**dict(order.env)}.keys() == {*env, MARKER}


# -- markers -------------------------------------------------------------------------------------


@given(st.one_of(st.none(), st.text(), st.integers(), st.lists(st.lists(st.text(), max_size=3)),
                 st.dictionaries(st.text(), st.text())))  # fmt: skip
def test_a_marker_is_read_from_whatever_a_record_holds(extra_env: Any) -> None:
    found = marker_of({"extra_env": extra_env})
    assert found is None or isinstance(found, str)


def test_a_marker_comes_back() -> None:
    marker = new_marker()
    env = with_marker({"A": "1"}, marker)
    assert marker_of({"extra_env": [list(pair) for pair in env.items()]}) == marker
    assert marker_of({"extra_env": env}) == marker
    assert marker_of({"extra_env": [["A", "1"]]}) is None
    assert marker_of({}) is None
    assert len({new_marker() for _ in range(100)}) == 100


# -- offers --------------------------------------------------------------------------------------

ROW: Mapping[str, Any] = {
    "id": 5, "machine_id": 6, "dph_base": 0.4, "storage_cost": 0.72, "min_bid": 0.2,
    "gpu_name": "RTX 4090", "num_gpus": 2,
}  # fmt: skip


def test_an_offer_is_an_id_a_row_or_a_dict() -> None:
    whole = Offer(5, 6, 0.4, 0.72, 0.2, "2x RTX 4090")
    assert offer_of(5) == Offer(5)
    assert offer_of(dict(ROW)) == whole
    frame = pd.DataFrame([ROW]).convert_dtypes()
    assert offer_of(frame.iloc[0]) == whole
    assert offer_of(frame) == whole
    assert offers_of(frame) == [whole]
    assert offers_of([5, dict(ROW)]) == [Offer(5), whole]
    assert offer_of({"id": 5, "machine_id": pd.NA, "dph_base": float("nan")}) == Offer(5)
    assert whole.dph(100) == pytest.approx(0.5)
    assert whole.dph(100, bid=0.3) == pytest.approx(0.4)


@pytest.mark.parametrize("thing", [None, "x", 1.5, True, {}, {"id": "x"}, object()])
def test_what_is_no_offer_is_refused(thing: Any) -> None:
    with pytest.raises(InvalidRequest, match="not an offer"):
        offer_of(thing)


def test_a_row_of_a_bid_search_knows_that_it_is_one() -> None:
    frame = pd.DataFrame([ROW, ROW])
    frame.attrs["vastnb"] = {"type": "bid"}
    assert offer_of(frame.iloc[0]).is_bid
    assert all(one.is_bid for one in offers_of(frame.head(2)))


@pytest.mark.parametrize(
    ("bid", "price"),
    [(0.3, 0.3), ("min", 0.2), ("min+10%", 0.22), ("min + 0.05", 0.25), ("MIN+5%", 0.21)],
)
def test_a_bid_is_a_price_or_a_strategy(bid: Any, price: float) -> None:
    assert bid_for(offer_of(dict(ROW)), bid) == pytest.approx(price)


@pytest.mark.parametrize("bid", ["", "max", "min-10%", "min+x", True, None])
def test_a_bid_that_is_neither_is_refused(bid: Any) -> None:
    with pytest.raises(InvalidRequest, match="neither"):
        bid_for(offer_of(dict(ROW)), bid)


@given(st.floats(0.0005, 100), st.floats(0, 50))
def test_a_strategy_never_bids_below_the_least(min_bid: float, more: float) -> None:
    bid = bid_for(Offer(1, min_bid=min_bid), f"min+{more:.3f}%")
    assert bid is not None and bid >= min_bid - 1e-9


def test_an_environment_is_read_from_flags() -> None:
    assert environment("-e A=1 -p 80:80/tcp -v vol:/x -n net") == {
        "A": "1", "-p 80:80/tcp": "1", "-v vol:/x": "1", "-n net": "1",
    }  # fmt: skip


def test_a_misspelt_guard_of_money_is_refused_and_the_right_name_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"no option max_hour \(did you mean max_hours\?\)"):
        Spec(image="a", more={"max_hour": 12})
    with pytest.raises(InvalidRequest, match=r"no option zzzz; help\(client.rent\)"):
        Spec(image="a", more={"zzzz": 1})


def test_every_option_of_rent_is_known_by_name() -> None:
    named = [one for one in signature(vastnb.Client.rent).parameters if one not in ("self", "more")]
    assert sorted(spec.OPTIONS) == sorted(named)
