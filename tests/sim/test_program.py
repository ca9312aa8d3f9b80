"""``python -m vastnb.sim`` as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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
    assert "has stopped" in rest and "Traceback" not in rest


def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    scripts = Path(sys.executable).parent
    if not (scripts / "vastai").is_file():
        pytest.skip("the official client is not installed")
    process, said = start("--no-limits")
    lines = [line.strip() for line in said["text"].splitlines()]
    shell = [line for line in lines if line.startswith(("export ", "vastai "))]
    python = [line for line in lines if line.startswith("vastnb.Client(")]
    env = {
        **{k: v for k, v in os.environ.items() if not k.startswith("VAST_")},
        "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path),
        "PATH": f"{scripts}:{os.environ['PATH']}", "VASTAI_NO_UPDATE_CHECK": "1",
    }  # fmt: skip
    code = f"import vastnb; client = {python[0]}; print(client.simulated, client.show_user())"
    try:
        for command in (
            ["bash", "-ec", "\n".join([*shell, "vastai show user"])],
            [sys.executable, "-c", code],
        ):
            done = subprocess.run(
                command, env=env, capture_output=True, text=True, timeout=60,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert "simulated" in done.stdout.lower()
    finally:
        end(process)
    assert "RTX_4090" in shell[1] and len(shell) == 2


def test_ctrl_c_ends_it_before_it_is_ready_and_while_it_is_busy() -> None:
    early = subprocess.Popen(
        [sys.executable, "-m", "vastnb.sim", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    status = Path(f"/proc/{early.pid}/status")
    while status.exists() and not _handles_interrupt(status.read_text()):
        time.sleep(0.005)
    assert "Traceback" not in end(early)
    process, said = start("--faults", '{"kind": "delay", "seconds": 60}')
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(requests.post, f"{said['url']}/api/v0/bundles/", json={}, timeout=30)
        time.sleep(0.3)
        assert "Traceback" not in end(process)
        assert waiting.exception(5) or waiting.result().status_code


def _handles_interrupt(status: str) -> bool:
    """Tell whether a process would die of SIGTERM no more: our own handler is in place."""
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_a_rate_of_faults_is_given_on_the_command_line() -> None:
    process, said = start("--faults", "0.5", "--no-limits")
    fine = 0
    for _ in range(40):
        with contextlib.suppress(requests.RequestException, ValueError):
            answer = requests.post(f"{said['url']}/api/v0/bundles/", json={"limit": 1}, timeout=10)
            fine += answer.status_code == 200 and "offers" in answer.json()
    end(process)
    assert 8 <= fine <= 32


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
    assert main(["--port", "0", "--faults", "1.5"]) == 2
    assert main(["--port", "0", "--faults", "[7]"]) == 2
    said = capsys.readouterr().err
    assert said.count("cannot start") == 4 and "Traceback" not in said


def test_a_port_that_is_taken_is_said_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    process, said = start()
    port = said["url"].rsplit(":", 1)[1]
    assert main(["--port", port]) == 2
    end(process)
    assert f"port {port}" in capsys.readouterr().err
