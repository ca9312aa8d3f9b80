"""Lines to connect with: the right way, the right port, and nothing that a stranger slipped in."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sim.conftest import SMALL, Api, fated
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest
from vastnb.fleet.connect import (
    Address,
    has_ssh_key,
    jupyter_url,
    rsync_command,
    scp_command,
    ssh_address,
    ssh_command,
    ssh_config,
)
from vastnb.sim import Server
from vastnb.sim.payload_texts import PAYLOADS

TOKEN = "c0ffee" * 8
PORTS = {
    "22/tcp": [{"HostIp": "0.0.0.0", "HostPort": "43486"}, {"HostIp": "::", "HostPort": "43486"}],
    "8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "43487"}],
}
DIRECT: dict[str, Any] = {
    "id": 7,
    "public_ipaddr": "198.51.100.7",
    "ports": PORTS,
    "ssh_host": "ssh8.vast.ai",
    "ssh_idx": "8",
    "ssh_port": 15220,
    "image_runtype": "jupyter_direc ssh_direc ssh_proxy",
    "jupyter_token": TOKEN,
}
PROXY = {**DIRECT, "ports": {}, "image_runtype": "ssh_proxy"}
LINES = (ssh_command, ssh_config, lambda r: scp_command(r, "a"), lambda r: rsync_command(r, "a"))


def test_a_mapped_port_is_used_directly_and_otherwise_the_proxy() -> None:
    assert ssh_command(DIRECT) == "ssh -p 43486 root@198.51.100.7"
    assert ssh_command(PROXY) == "ssh -p 15220 root@ssh8.vast.ai"
    assert ssh_command(DIRECT, way="proxy") == "ssh -p 15221 root@ssh8.vast.ai"
    assert ssh_command(PROXY, way="direct") is None
    assert ssh_address({**DIRECT, "public_ipaddr": None}) == Address("ssh8.vast.ai", 15221, "proxy")


def test_a_jupyter_run_type_has_the_proxy_one_port_higher() -> None:
    for runtype, port in (("jupyter_proxy", 15221), ("ssh_direc ssh_proxy", 15220)):
        record = {**PROXY, "image_runtype": runtype}
        assert ssh_address(record) == Address("ssh8.vast.ai", port, "proxy")


def test_the_way_is_that_of_the_official_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    misc = pytest.importorskip("vastai.cli.commands.misc")
    util = pytest.importorskip("vastai.cli.util")
    monkeypatch.setitem(util.DIRS, "temp", str(tmp_path))
    monkeypatch.setattr(misc, "get_client", lambda args: None)
    records = [DIRECT, PROXY, {**PROXY, "image_runtype": "jupyter_proxy"}]
    for number, record in enumerate(records):
        row = {**record, "id": 100 + number}
        monkeypatch.setattr(misc.instances_api, "show_instances", lambda client, row=row: [row])
        args = type("Args", (), {"id": 100 + number})()
        misc._ssh_url(args, "ssh://")
        address = ssh_address(row)
        assert address is not None
        assert f"ssh://root@{address.host}:{address.port}" in capsys.readouterr().out


def test_there_is_no_line_while_there_is_no_address() -> None:
    nowhere = {"id": 1, "ssh_host": None, "ssh_port": None, "image_runtype": "ssh_proxy"}
    args = {**PROXY, "image_runtype": "args"}
    for record in (nowhere, args, {}):
        assert [line(record) for line in LINES] == [None] * 4


def test_a_config_block_can_be_pasted() -> None:
    assert ssh_config(DIRECT) == (
        "Host vast-7\n    HostName 198.51.100.7\n    Port 43486\n    User root\n"
    )
    block = ssh_config(PROXY, "box", key_file="/home/a b/.ssh/id")
    assert block is not None and '    IdentityFile "/home/a b/.ssh/id"\n' in block
    for alias in ("", "a b", "a\nProxyCommand x", "*", "-x", "a" * 65):
        with pytest.raises(InvalidRequest):
            ssh_config(DIRECT, alias)
    for path in ('a"b', "a\nb", "%d", ""):
        with pytest.raises(InvalidRequest):
            ssh_config(DIRECT, key_file=path)


def test_files_are_copied_to_and_from_the_right_port() -> None:
    assert scp_command(DIRECT, "my data") == (
        "scp -r -P 43486 './my data' root@198.51.100.7:/workspace/"
    )
    assert scp_command(PROXY, "/root/out", ".", download=True, key_file="/k") == (
        "scp -r -i /k -P 15220 root@ssh8.vast.ai:/root/out ."
    )
    line = rsync_command(DIRECT, "-rf; x", key_file="/a b")
    assert line is not None
    words = shlex.split(line)
    assert words[:4] == ["rsync", "-az", "--partial", "--progress"]
    assert shlex.split(words[5]) == ["ssh", "-i", "/a b", "-p", "43486"]
    assert words[6:] == ["./-rf; x", "root@198.51.100.7:/workspace/"]


def test_a_home_directory_is_spelt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert scp_command(DIRECT, "~/data/") == (
        "scp -r -P 43486 /home/me/data/ root@198.51.100.7:/workspace/"
    )


def test_ports_are_forwarded() -> None:
    line = ssh_command(DIRECT, forward=[8080])
    assert line == "ssh -p 43486 root@198.51.100.7 -L 8080:localhost:8080"
    for port in (0, 70_000, "x"):
        with pytest.raises(InvalidRequest):
            ssh_command(DIRECT, forward=[port])  # type: ignore[list-item]


def test_an_ipv6_address_is_bracketed_where_it_must_be() -> None:
    record = {**DIRECT, "public_ipaddr": "2001:db8::7"}
    assert ssh_command(record) == "ssh -p 43486 root@2001:db8::7"
    assert "root@[2001:db8::7]:/workspace/" in (scp_command(record, "a") or "")
    assert (jupyter_url(record) or "").startswith("https://[2001:db8::7]:43487/?token=")


def test_the_jupyter_address_is_returned_only_when_asked_for() -> None:
    assert jupyter_url(DIRECT) == f"https://198.51.100.7:43487/?token={TOKEN}"
    proxied = {**PROXY, "image_runtype": "jupyter_proxy"}
    assert jupyter_url(proxied) == f"https://jupyter.vast.ai/jm/8/15220/?token={TOKEN}"
    assert jupyter_url(PROXY) is None
    assert jupyter_url({**proxied, "ssh_host": "ssh8.evil.example"}) is None
    assert jupyter_url({**DIRECT, "jupyter_token": None}) is None
    assert not any(TOKEN in str(line(DIRECT)) for line in (*LINES, ssh_address))


EVIL = [
    "-oProxyCommand=evil", "a b", "a\nProxyCommand evil", "a;evil", "$(evil)", "`evil`", "a'b", "",
    "host\x00", "fe80::1%evil", "x" * 300, "a..b", "root@evil", "1.2.3.4:22", *PAYLOADS,
]  # fmt: skip


@pytest.mark.parametrize("evil", EVIL)
def test_a_stranger_cannot_slip_anything_into_a_line(evil: str) -> None:
    for record in (
        {**DIRECT, "public_ipaddr": evil, "ssh_host": evil},
        {**PROXY, "ssh_host": evil},
    ):
        assert [line(record) for line in (*LINES, jupyter_url)] == [None] * 5
    forged = {**DIRECT, "ports": {"22/tcp": [{"HostPort": evil}]}, "ssh_port": evil}
    assert [line(forged) for line in LINES] == [None] * 4


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.fixed_dictionaries(DIRECT.fromkeys(DIRECT, json_values)), st.data())
def test_every_line_is_one_line_of_known_words_or_none(record: Any, data: Any) -> None:
    kept = data.draw(st.sets(st.sampled_from(sorted(DIRECT))))
    record = {**record, **{name: DIRECT[name] for name in kept}}
    command, block = ssh_command(record), ssh_config(record)
    assert (command is None) == (block is None)
    jupyter_url(record)
    if command is not None and block is not None:
        words = shlex.split(command)
        assert words[:2] == ["ssh", "-p"] and len(words) == 4 and words[3].startswith("root@")
        assert 0 < int(words[2]) <= 65535
        assert [line.split()[0] for line in block.splitlines()] == ["Host", "HostName", "Port",
                                                                    "User"]  # fmt: skip


def test_an_account_without_a_key_is_known() -> None:
    key = {"id": 1, "public_key": "ssh-ed25519 AAAA me", "deleted_at": None}
    assert has_ssh_key([key]) and has_ssh_key({"ssh_keys": [key]})
    assert has_ssh_key([{"key": "ssh-rsa AAAA"}])
    for none in ([], {}, None, "ssh-rsa", {"success": False, "msg": "No SSH keys found"},
                 [{**key, "deleted_at": "2026-01-01"}], [{"public_key": " "}], [None]):  # fmt: skip
        assert not has_ssh_key(none)


def test_the_simulated_service_says_where_its_machines_are() -> None:
    with Server(
        clock=ManualClock(), speed=1.0, limits=None, machines=SMALL, ssh_key=False
    ) as server:
        api = Api(server)
        assert not has_ssh_key(api("GET", "ssh/").json())
        api("POST", "ssh/", {"ssh_key": "ssh-ed25519 AAAA me"})
        assert has_ssh_key(api("GET", "ssh/").json())
        number = fated(api, "cached", runtype="jupyter_direct")
        before = api.show(number) or {}
        assert ssh_address(before, "direct") is None and ssh_address(before) is not None
        api.until(number, "running")
        record = api.show(number) or {}
        address = ssh_address(record)
        assert address is not None and address.way == "direct"
        assert str(address.port) == record["ports"]["22/tcp"][0]["HostPort"]
        assert record["jupyter_token"] in (jupyter_url(record) or "")


def test_recorded_records_are_connected_to(recorded_dir: Path) -> None:
    path = recorded_dir / "data" / "instances_7_states.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    ways = [(a.way, a.port) if (a := ssh_address(row)) else None for row in rows]
    assert ways == [
        ("direct", 43486),
        ("proxy", 11610),
        None,
        None,
        None,
        ("proxy", 37044),
        ("proxy", 18926),
    ]


@pytest.mark.parametrize("more", [{"vm": True}, {"image_uuid": "docker.io/vastai/kvm:ubuntu"}])
def test_the_proxy_does_not_lead_to_a_virtual_machine(more: dict[str, Any]) -> None:
    record = {
        "id": 5,
        "image_runtype": "jupyter_proxy ssh_proxy",
        "ssh_host": "ssh5.vast.ai",
        "ssh_port": 20000,
        "ssh_idx": "5",
        "jupyter_token": "t",
    }
    assert ssh_address(record) is not None and jupyter_url(record) is not None
    assert ssh_address({**record, **more}) is None and jupyter_url({**record, **more}) is None
    mapped = {"public_ipaddr": "198.51.100.7", "ports": {"22/tcp": [{"HostPort": "43486"}]}}
    direct = ssh_address({**record, **more, **mapped})
    assert direct is not None and direct.way == "direct"
