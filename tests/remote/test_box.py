"""The verbs of a rented machine: one connection, its end, and what is said when it is lost."""

from __future__ import annotations

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

import vastnb
from vastnb.errors import CellFailed, CommandFailed, ConnectionLost, InvalidRequest, VastError
from vastnb.fleet.instance import Instance
from vastnb.remote.box import Places
from vastnb.remote.load import read
from vastnb.sim import Server

from .conftest import Rent


def test_a_machine_that_is_starting_is_waited_for_and_one_connection_serves_all(
    box: Instance, client: vastnb.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    assert box.run("echo hello").out == "hello\n"
    assert capfd.readouterr().out == "hello\n"
    again = client.show_instance(box.id)
    assert again.session() is box.session()
    assert "RTX" in box.run("nvidia-smi", show=False).out or box.run("nvidia-smi").ok
    job = box.start("echo detached")
    assert job is not None
    assert job.wait(show=False).out == "detached\n"
    assert [one.name for one in box.jobs()] == [job.name]
    load = box.load()
    assert load["gpu"].str.contains("simulated").all()
    assert (load["vram_gb"] > 1).all()
    assert (load["disk_gb"] > 0).all()


def test_destroying_the_machine_closes_its_connection_and_ends_what_runs_there(
    rent: Rent, market: Server
) -> None:
    with rent() as box:
        session = box.session()
        box.kernel().execute("x = 1")
        box.start("sleep 100")
        assert market.ssh_key_file is not None
        place = market.ssh_key_file.parent / str(box.id)
        pids = [int(file.read_text()) for file in place.glob("root/.vastnb/*/*/pid")]
        assert len(pids) == 2
    assert session.is_closed
    for _ in range(100):
        left = [pid for pid in pids if _runs(pid)]
        if not left and not place.exists():
            break
        __import__("time").sleep(0.05)
    assert left == []
    assert not place.exists()


def _runs(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_a_machine_that_ends_under_a_command_says_what_it_is_and_costs(
    rent: Rent, market: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = rent()
    box.run("true")
    truth = market.world.instances[box.id]
    heard: list[str] = []

    def stop(text: str, is_error: bool) -> None:
        heard.append(text)
        box._client.stop_instance(box.id)
        market.world.advance(minutes=2)

    with pytest.raises(VastError) as lost:
        box.run("echo begun; sleep 60", show=stop)
    assert isinstance(lost.value, ConnectionLost)
    assert "stopped" in str(lost.value)
    assert "/h until it is destroyed" in str(lost.value)
    assert not truth.container_up


def test_addresses_in_a_strangers_record_lead_to_no_private_network(box: Instance) -> None:
    box.wait()
    places = Places(box)
    assert places._may("127.0.0.1")  # the market is on this computer
    places._local = False
    for host in ("127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1"):
        assert not places._may(host)
    assert places._may("8.8.8.8")
    assert places._may("ssh4.vast.ai", "proxy")
    # Names are whatever their owner, or the user's ssh configuration, makes of them.
    for host in ("localhost", "0x7f000001", "2130706433", "prod", "evil.example", "a.vast.ai.evil"):
        assert not places._may(host)
        assert not places._may(host, "proxy")
    assert not places._may("ssh4.vast.ai")


def test_the_key_to_machines_that_run_commands_follows_from_nothing() -> None:
    """Whoever has the account's key could add an SSH key of their own, and log in as this user."""
    with Server(seed=4, doors=True, machines=5) as one, Server(seed=4, machines=5) as other:
        assert one.api_key != other.api_key
        assert len(one.api_key) == len(other.api_key)


def test_nobody_enters_a_simulated_machine_without_its_key(
    box: Instance, market: Server, client: vastnb.Client
) -> None:
    box.session()
    key = market.ssh_key_file
    assert key is not None
    assert key.stat().st_mode & 0o077 == 0
    assert key.parent.stat().st_mode & 0o077 == 0
    market.world.advance(minutes=10)  # a machine that has just started may get them yet
    keys = market.world.account.ssh_keys
    kept = list(keys)
    try:
        keys.clear()
        box.disconnect()
        with pytest.raises(VastError, match="none of your keys"):
            box.run("true")
    finally:
        keys.extend(kept)


class Shell:
    """As much of IPython as the magic needs."""

    def __init__(self, **names: Any) -> None:
        self.user_ns: dict[str, Any] = names
        self.magics: dict[str, Any] = {}

    def register_magic_function(self, function: Any, magic_kind: str, magic_name: str) -> None:
        self.magics[magic_name] = function


def test_a_cell_runs_on_the_machine_with_values_there_and_back(
    box: Instance, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = Shell(box=box, x=20)
    vastnb.load_ipython_extension(shell)
    on = shell.magics["on"]
    on("box --push x --pull y,z", "y = x + 1; z = {'a': [y]}; print('there', y)")
    assert shell.user_ns["y"] == 21
    assert shell.user_ns["z"] == {"a": [21]}
    said = capsys.readouterr().out
    assert "there 21" in said
    assert "Pushed x: " in said
    assert "Pulled y, z: " in said
    with pytest.raises(CellFailed, match="NameError"):
        on("box", "nowhere")
    for line, words in (
        ("nobody", "not a machine"),
        ("x", "not a machine"),
        ("box --push q", "no variable q"),
        ("box --pull 1x", "not a variable name"),
        ("", "required"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            on(line, "1")


def test_a_fleet_runs_side_by_side_and_collects_its_failures(
    client: vastnb.Client, market: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    market.world.fleet.expect("cached", "cached")
    with client.rent("num_gpus=1", image="pytorch/pytorch", disk=20, count=2) as fleet:
        frame = fleet.run('echo rank $VASTNB_RANK of $VASTNB_COUNT; [ "$VASTNB_RANK" = 0 ]')
        assert list(frame["instance_id"]) == fleet.ids
        assert list(frame["code"]) == [0, 1]
        assert list(frame["out"]) == ["rank 0 of 2\n", "rank 1 of 2\n"]
        said = capsys.readouterr().out
        assert f"[{fleet.ids[1]}] rank 1 of 2\n" in said
        with pytest.raises(CommandFailed, match="1 of 2 machines"):
            fleet.run('[ "$VASTNB_RANK" = 0 ]', check=True, show=False)
        on = Shell(fleet=fleet, x=3)
        vastnb.load_ipython_extension(on)
        on.magics["on"]("fleet --push x", "print(x * 2)")
        said = capsys.readouterr().out
        for number in fleet.ids:
            assert f"[{number}] 6\n" in said
        with pytest.raises(CellFailed, match="2 of 2"):
            on.magics["on"]("fleet", "1/0")


def test_files_and_ports_of_a_machine(box: Instance, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("from the machine")
    copied = box.upload(f"{tmp_path}/site/", "/workspace/site")
    assert copied.new == 1
    assert copied.usd is not None
    port = _free()
    box.start(f"cd site && {sys.executable} -m http.server {port} --bind 127.0.0.1")
    box.run(f"for i in $(seq 100); do (: </dev/tcp/127.0.0.1/{port}) 2>/dev/null && break; "
            "sleep 0.1; done", show=False)  # fmt: skip
    with box.forward(port) as link:
        assert urllib.request.urlopen(link.url, timeout=10).read() == b"from the machine"
        assert link.address in link._repr_html_()
        box.session().drop()
        box.run("true")  # any call makes the connection again, and the link with it
        assert urllib.request.urlopen(link.url, timeout=10).read() == b"from the machine"
    with pytest.raises(OSError):
        urllib.request.urlopen(link.url, timeout=2)
    box.download("site/index.html", tmp_path / "back.html")
    assert (tmp_path / "back.html").read_text() == "from the machine"


def _free() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_load_is_read_and_nonsense_is_missing() -> None:
    frame = read("gpu, RTX 4090, 97, 1024, 24576, [N/A], nan\nMemTotal,1048576\ndisk,1,x\n")
    assert frame.loc[0, "gpu_util"] == 97
    assert frame.loc[0, "vram_gb"] == 24
    assert frame[["temp_c", "power_w", "ram_gb", "disk_gb"]].isna().all(axis=None)
    assert len(read("")) == 1


def test_a_whole_notebook_runs_there_and_the_kernel_leaves_the_list_with_the_machine(
    rent: Rent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import KernelManager

    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # An entry point belongs to an installation; this stands for one of this checkout.
    info = tmp_path / "path" / "vastnb_here-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vastnb-here\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_client.kernel_provisioners]\n"
        "vastnb-machine = vastnb.remote.provisioner:MachineProvisioner\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    from jupyter_client.provisioning.factory import KernelProvisionerFactory as Factory

    Factory.clear_instance()
    with rent() as box:
        shown = box.install_kernel()
        assert shown.startswith("vast: ")
        assert "/h" in shown
        name = f"vast-{box.id}"
        specs = KernelSpecManager()
        assert specs.get_kernel_spec(name).display_name == shown
        assert box.record()["jupyter_token"] not in json.dumps(
            specs.get_kernel_spec(name).to_dict()
        )
        manager = KernelManager(kernel_name=name)
        manager.start_kernel()
        talk = manager.client()
        talk.start_channels()
        try:
            talk.wait_for_ready(timeout=30)
            heard: list[Any] = []
            talk.execute_interactive(
                "import os; print(os.environ['VAST_SIMULATED'], os.getcwd())",
                output_hook=heard.append, timeout=30,
            )  # fmt: skip
            text = "".join(m["content"]["text"] for m in heard if m["msg_type"] == "stream")
            assert text.startswith("1 ")
            assert str(box.id) in text
            assert manager.is_alive()
            number = talk.execute("import time; time.sleep(60)")
            __import__("time").sleep(0.5)
            manager.interrupt_kernel()
            reply = talk.get_shell_msg(timeout=15)
            assert reply["parent_header"]["msg_id"] == number
            assert reply["content"]["ename"] == "KeyboardInterrupt"
            manager.restart_kernel(now=True)
            talk.wait_for_ready(timeout=30)
            heard.clear()
            talk.execute_interactive("print('again')", output_hook=heard.append, timeout=30)
            assert any(m["content"].get("text") == "again\n" for m in heard)
        finally:
            talk.stop_channels()
            manager.shutdown_kernel(now=True)
    assert name not in KernelSpecManager().find_kernel_specs()
