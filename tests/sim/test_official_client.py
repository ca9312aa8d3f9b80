"""The official client, as it is, against the simulated service: it must not notice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.official import Official
from vastnb.sim import Server

pytest.importorskip("vastai", reason="the official client is not installed")
pytestmark = pytest.mark.slow

Run = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(seed=2, speed=60, limits=None, machines=400, credit=500) as running:
        yield running


@pytest.fixture(scope="module")
def official(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Official]:
    home = str(tmp_path_factory.mktemp("home"))
    with Official(server.url, server.api_key, home) as client:
        yield client


@pytest.fixture(scope="module")
def vastai(official: Official) -> Run:
    def run(*words: str) -> str:
        done = official(*words)
        assert "Traceback" not in done.stderr, done.stderr
        assert "Failed with error" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done.stdout

    return run


def offers(vastai: Run, query: str, *more: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        vastai("search", "offers", query, "--raw", "--order", "dph_total", *more)
    )
    return found


def instances(vastai: Run) -> dict[int, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(vastai("show", "instances", "--raw"))}


def test_it_searches(vastai: Run, server: Server) -> None:
    rows = offers(vastai, "gpu_name in [RTX_3090,RTX_4090] num_gpus>=2 geolocation notin [SE]")
    assert rows and {row["gpu_name"] for row in rows} <= {"RTX 3090", "RTX 4090"}
    assert all(row["num_gpus"] >= 2 and row["verification"] == "verified" for row in rows)
    assert [r["dph_total"] for r in rows] == sorted(r["dph_total"] for r in rows)
    table = vastai("search", "offers", "gpu_ram>=20 reliability>0.9", "--limit", "3")
    assert "RTX" in table or "A" in table
    bids = offers(vastai, "num_gpus=1", "--type", "bid")
    assert bids and all(row["dph_base"] == row["min_bid"] for row in bids)


def test_it_lives_through_the_life_of_an_instance(vastai: Run, server: Server) -> None:
    server.world.fleet.expect("cached")
    offer = offers(vastai, "num_gpus=1 verified=any")[0]
    started = vastai(
        "create", "instance", str(offer["id"]), "--image", "pytorch/pytorch", "--disk", "20",
        "--env", "-e MARK=m1 -p 8000:8000", "--ssh", "--direct",
    )  # fmt: skip
    assert "'success': True" in started
    (truth,) = server.world.instances.values()
    assert dict(truth.env) == {"MARK": "m1", "-p 8000:8000": "1"}
    assert truth.runtype == "ssh_direc ssh_proxy" and truth.disk == 20
    number = str(truth.id)
    server.world.advance(minutes=10)
    assert instances(vastai)[truth.id]["actual_status"] == "running"
    assert json.loads(vastai("show", "instance", number, "--raw"))["id"] == truth.id
    assert "1x" in vastai("show", "instances")
    vastai("label", "instance", number, "hello")
    assert truth.label == "hello"
    assert "rebooting" in vastai("reboot", "instance", number).lower()
    vastai("recycle", "instance", number)
    assert "stopping" in vastai("stop", "instance", number)
    server.world.advance(minutes=1)
    assert instances(vastai)[truth.id]["intended_status"] == "stopped"
    assert "starting" in vastai("start", "instance", number)
    server.world.advance(minutes=10)
    assert "simulated" in vastai("logs", number)
    assert "destroying" in vastai("destroy", "instance", number, "-y")
    assert not truth.alive and instances(vastai) == {}


def test_it_creates_several_and_bids_and_destroys_all(vastai: Run, server: Server) -> None:
    rows = offers(vastai, "num_gpus=1 verified=any")
    one, two, three = (str(row["id"]) for row in rows[:3])
    before = set(server.world.instances)
    assert vastai("create", "instances", one, two, "--image", "ubuntu", "--disk", "10")
    vastai("create", "instance", three, "--image", "ubuntu", "--bid_price", "3.5", "--raw")
    made = [i for key, i in server.world.instances.items() if key not in before]
    assert [i.bid for i in made] == [None, None, 3.5]
    assert "changed" in vastai("change", "bid", str(made[2].id), "--price", "2.25")
    assert made[2].bid == 2.25
    listed = vastai("show", "instances", "-q").split()
    assert listed == [str(i.id) for i in made]
    vastai("destroy", "instances", *listed, "-y")
    assert not any(i.alive for i in made)


def test_it_launches(vastai: Run, server: Server) -> None:
    said = vastai("launch", "instance", "-g", "RTX_3090", "-n", "1", "-i", "ubuntu")
    assert "launched successfully" in said
    newest = list(server.world.instances.values())[-1]
    assert newest.offer["gpu_name"] == "RTX 3090" and newest.num_gpus == 1
    vastai("destroy", "instance", str(newest.id), "-y")


def test_it_shows_the_account(vastai: Run, server: Server) -> None:
    user = json.loads(vastai("show", "user", "--raw"))
    assert user["id"] == server.world.account.user_id and user["credit"] <= 500
    assert "Email" in vastai("show", "user")
    vastai("create", "ssh-key", "ssh-ed25519 AAAAC3Nza simulated", "-y")
    assert json.loads(vastai("show", "ssh-keys", "--raw"))
    charges = json.loads(vastai("show", "invoices-v1", "--charges", "--raw"))
    assert any("instance-" in row["source"] for row in charges["results"])


def test_it_finds_templates_and_metrics(vastai: Run) -> None:
    templates = json.loads(vastai("search", "templates", "--raw"))
    assert all("simulated" in row["name"] for row in templates)
    assert "RTX" in vastai("show", "gpu-metrics")


def test_a_wrong_key_is_refused_as_by_the_service(official: Official) -> None:
    done = official("show", "user", "--api-key", "wrong")
    assert "404" in done.stdout + done.stderr
    assert "Invalid user key" in done.stdout + done.stderr


def test_its_python_kit_searches_and_creates(official: Official, server: Server) -> None:
    code = (
        "import os, json; from vastai import VastAI\n"
        "c = VastAI(api_key=os.environ['VAST_API_KEY'], server_url=os.environ['VAST_URL'])\n"
        "rows = c.search_offers(query='num_gpus=1 verified=any', limit=3)\n"
        "made = c.create_instance(id=rows[0]['id'], image='ubuntu', disk=10)\n"
        "shown = c.show_instances()\n"
        "print(json.dumps([len(rows), made['success'], [r['id'] for r in shown]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=official.env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    count, success, shown = json.loads(done.stdout.splitlines()[-1])
    newest = list(server.world.instances.values())[-1]
    assert (count, success, shown) == (3, True, [newest.id])
