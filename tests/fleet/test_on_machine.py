"""The line in a start script that ends its machine: run for real, against the simulated service."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import vastnb
from vastnb.clock import ManualClock
from vastnb.errors import InvalidRequest
from vastnb.fleet.instance import Fleet, Instance
from vastnb.fleet.rent.on_machine import FILE, line, move_command, with_line
from vastnb.fleet.rent.spec import SCRIPT_MAX
from vastnb.sim import Fault, Server

from .conftest import alive, entries

ORDER: dict[str, Any] = {"image": "pytorch/pytorch", "disk": 20}
PROGRAMS = ("curl", "wget", "python3")
TOOLS = ("sh", "date", "cat", "sleep", "tr", "sed")

pytestmark = [
    pytest.mark.filterwarnings("ignore:This client is closed"),
    pytest.mark.skipif(os.name != "posix", reason="needs a shell"),
]


@pytest.fixture
def box(client: vastnb.Client) -> Instance:
    return client.create_instance(client.search_offers("num_gpus=1").iloc[0], **ORDER)


class Container:
    """A shell that runs start scripts with the environment of a container."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "deadline"
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, *, program: str = "curl", **environment: str) -> None:
        path = self.directory / program
        if not path.exists():
            path.mkdir()
            for name in (*TOOLS, program):
                found = sys.executable if name == "python3" else shutil.which(name)
                if found is None:
                    pytest.skip(f"no {name} here")
                # Not a link: a Python finds its library beside its own name.
                (path / name).write_text(f'#!/bin/sh\nexec "{found}" "$@"\n')
                (path / name).chmod(0o755)
        self._running.append(
            subprocess.Popen(
                ["sh", "-c", script + "\nsleep 30"],
                env={"PATH": str(path), **environment},
                start_new_session=True,
            )
        )

    def close(self) -> None:
        for one in self._running:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path)
    yield made
    made.close()


def environment(server: Server, id: int) -> dict[str, str]:
    key = server.world.instances[id].api_key
    return {"CONTAINER_ID": str(id), "CONTAINER_API_KEY": key}


def until_gone(server: Server, seconds: float = 15.0) -> None:
    end = time.monotonic() + seconds
    while alive(server):
        assert time.monotonic() < end, "the machine has not ended itself"
        time.sleep(0.02)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_machine_ends_itself_with_whatever_program_there_is(
    box: Instance, server: Server, container: Container, program: str
) -> None:
    script = line(time.time() - 1, server.url, every=0.2, file=str(container.file))
    container.start(script, program=program, **environment(server, box.id))
    until_gone(server)
    asked = [one for one in server.seen if one.method == "DELETE"]
    assert asked[0].path == f"/api/v0/instances/{box.id}/" and asked[0].status == 200


def test_without_an_id_nothing_is_asked_of_the_service(
    box: Instance, server: Server, container: Container
) -> None:
    own = environment(server, box.id)
    del own["CONTAINER_ID"]
    script = line(time.time() - 1, server.url, every=0.05, file=str(container.file))
    container.start(script, **own)
    with_id = line(time.time() - 1, server.url, every=0.2, file=str(container.file))
    container.start(with_id, **environment(server, box.id))
    until_gone(server)  # by then the first one would have asked
    asked = {one.path for one in server.seen if one.method == "DELETE"}
    assert asked == {f"/api/v0/instances/{box.id}/"}


@pytest.mark.slow
def test_it_tries_until_it_has_worked(box: Instance, server: Server, container: Container) -> None:
    server.faults.add(Fault("destroy_instance", "503", nth=1, times=2))
    server.faults.add(Fault("destroy_instance", "drop-before", nth=3))
    script = line(time.time() - 1, server.url, every=0.1, file=str(container.file))
    container.start(script, **environment(server, box.id))
    until_gone(server, 30)
    assert server.calls("destroy_instance") >= 4


def test_it_waits_for_its_deadline_which_a_file_may_move(
    box: Instance, server: Server, container: Container
) -> None:
    script = line(time.time() + 1e6, server.url, every=0.1, file=str(container.file))
    container.start(script, **environment(server, box.id))
    time.sleep(0.5)
    assert server.calls("destroy_instance") == 0
    subprocess.run(
        ["sh", "-c", move_command(time.time() - 1).replace(FILE, str(container.file))], check=True
    )
    until_gone(server)


def test_the_users_own_script_runs_at_once(
    box: Instance, server: Server, container: Container, tmp_path: Path
) -> None:
    own = f"#!/bin/sh\nset -eu\necho started > {tmp_path}/own\n"
    (tmp_path / "own").unlink(missing_ok=True)
    script = with_line(own, time.time() + 1e6, server.url)
    assert script.startswith("#!/bin/sh\n(") and script.endswith(own.partition("\n")[2])
    container.start(script, **environment(server, box.id))
    end = time.monotonic() + 10
    while not (tmp_path / "own").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_key_of_an_instance_ends_it_and_does_nothing_else(
    client: vastnb.Client, server: Server
) -> None:
    fleet = client.rent("num_gpus=1", count=2, **ORDER)
    assert isinstance(fleet, Fleet)
    key = server.world.instances[fleet[0].id].api_key
    headers = {"Authorization": f"Bearer {key}"}

    def ask(method: str, path: str, body: Any = None) -> int:
        return requests.request(
            method, f"{server.url}/api/{path}", headers=headers, json=body, timeout=10
        ).status_code

    own, other = (f"v0/instances/{one.id}/" for one in fleet)
    assert ask("DELETE", other) == 403
    assert ask("DELETE", "v0/instances/", {"instance_ids": fleet.ids}) == 403
    assert ask("PUT", own, {"state": "stopped"}) == 403
    assert ask("GET", "v1/instances/") == ask("GET", "v0/users/current/") == 403
    assert len(alive(server)) == 2
    assert ask("DELETE", own) == 200
    assert [one.id for one in alive(server)] == [fleet[1].id]
    assert ask("DELETE", own) == 404, "the key is gone with its instance"


def test_the_line_is_sent_and_the_users_script_kept(
    client: vastnb.Client, server: Server, clock: ManualClock
) -> None:
    box = client.rent(
        "num_gpus=1", **ORDER, max_hours=2, deadline_on_machine=True, onstart="echo mine"
    )
    assert isinstance(box, Instance)
    (machine,) = alive(server)
    (entry,) = entries(client)
    assert entry.deadline is not None and entry.on_machine == 1
    assert machine.onstart == line(entry.deadline, server.url) + "echo mine"
    assert "/api/v0/instances/$I/" in (machine.onstart or "")
    with pytest.warns(RuntimeWarning, match="echo .* > /root/.vastnb_deadline"):
        box.extend(hours=1)
    box.destroy()


def test_with_a_budget_each_machine_keeps_its_share(client: vastnb.Client, server: Server) -> None:
    fleet = client.rent(
        "num_gpus=1", count=3, **ORDER, budget_usd=3.0, deadline_on_machine=True
    )  # fmt: skip
    assert isinstance(fleet, Fleet)
    for entry in entries(client):
        assert entry.deadline is not None and entry.price is not None
        assert (entry.deadline - entry.created_at) / 3600 * entry.price == pytest.approx(1.0)
        assert entry.contract is not None
        onstart = server.world.instances[entry.contract].onstart
        assert onstart == line(entry.deadline, server.url)
    fleet.destroy()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"onstart": "x" * (SCRIPT_MAX - 100)}, "16,384"),
        ({"onstart": "#!/usr/bin/env python3\nprint()"}, "python3"),
        ({"runtype": "args"}, "args"),
        ({"args": ["--x"]}, "args"),
        ({"image": None, "template_hash": "abc"}, "template"),
    ],
)
def test_where_it_cannot_work_nothing_is_rented(
    client: vastnb.Client, server: Server, wrong: dict[str, Any], why: str
) -> None:
    with pytest.raises(InvalidRequest, match=why):
        client.rent("num_gpus=1", **{**ORDER, **wrong}, max_hours=1, deadline_on_machine=True)
    assert server.calls("create_instance") == 0


def test_it_leaves_room_for_a_script() -> None:
    assert len(line(1.9e9, "https://console.vast.ai")) < 900
