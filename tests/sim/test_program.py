"""``python -m vastnb.sim`` as a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from vastnb.sim.__main__ import main

pytestmark = pytest.mark.slow


def start(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "vastnb.sim", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said: dict[str, str] = {}
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert line, "it ended before it was ready"
        words = line.split()
        if words and words[0] in ("url", "key", "admin"):
            said[words[0]] = words[1]
        said["text"] = said.get("text", "") + line
    return process, said


def end(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=10)
    assert process.returncode == 0, rest
    return rest


def test_it_says_how_to_reach_it_and_ends_with_ctrl_c() -> None:
    process, said = start("--seed", "3", "--speed", "120")
    answer = requests.post(f"{said['url']}/api/v0/bundles/", json={"limit": 1}, timeout=10)
    rest = end(process)
    assert len(answer.json()["offers"]) == 1
    assert "Simulated" in said["text"] and "simulated" in said["key"]
    assert f"export VAST_URL={said['url']} VAST_API_KEY={said['key']}" in said["text"]
    assert f'vastnb.Client("{said["key"]}", base_url="{said["url"]}")' in said["text"]
    assert "has ended" in rest and "Traceback" not in rest


def test_faults_and_offers_come_from_files(tmp_path: Path) -> None:
    offers, faults = tmp_path / "offers.json", tmp_path / "faults.json"
    row: dict[str, Any] = {"id": 1, "gpu_name": "X", "dph_base": 1.0, "storage_cost": 0.0}
    offers.write_text(json.dumps([row]))
    faults.write_text(json.dumps([{"endpoint": "search_offers", "kind": "503", "nth": 1}]))
    process, said = start("--offers", str(offers), "--faults", str(faults), "--no-limits")
    url = f"{said['url']}/api/v0/bundles/"
    answers = [requests.post(url, json={}, timeout=10) for _ in range(2)]
    end(process)
    assert [answer.status_code for answer in answers] == [503, 200]
    assert answers[1].json()["offers"] == [row]


def test_a_file_that_is_none_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", "0", "--offers", "/no/such/file"]) == 2
    assert main(["--port", "0", "--faults", "/no/such/file"]) == 2
    said = capsys.readouterr().err
    assert said.count("cannot start") == 2 and "Traceback" not in said


def test_a_port_that_is_taken_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    process, said = start()
    port = said["url"].rsplit(":", 1)[1]
    assert main(["--port", port]) == 2
    end(process)
    assert "cannot start" in capsys.readouterr().err
