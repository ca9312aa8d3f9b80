"""Waits in a real kernel: the loop goes on, messages are answered, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

BEGIN = """
import asyncio, time, vastnb
client = vastnb.demo(seed=3, speed=20)
client.server.world.fleet.expect("cached")
box = client.rent("num_gpus=1", image="a/b", disk=10)
beats = []
async def beat():
    while True:
        await asyncio.sleep(0.02)
        beats.append(time.monotonic())
beating = asyncio.create_task(beat())
"""
WAIT = """
await box.wait_async(reachable=True)
gaps = [b - a for a, b in zip(beats, beats[1:])]
calls = client.traffic().set_index("endpoint")["calls"]
print(box.status, max(gaps) < 1.0, len(beats) > 20, "show_instance" in calls)
client.close()
"""


LINES = """
import sys, vastnb
from vastnb.api.progress import wait_line
client = vastnb.demo(seed=3, speed=60)
client.server.world.fleet.expect("pull")
box = client.rent("num_gpus=1", image="a/b", disk=10).wait()
for _ in range(8):
    with wait_line("search_offers", 3.0, "waiting for its turn") as tick:
        tick(1.0)
widgets = sys.modules.get("ipywidgets")
print("models", len(widgets.Widget.widgets) if widgets else 0)
"""


@pytest.fixture
def run() -> Iterator[Callable[[str], list[dict[str, Any]]]]:
    """Return a function that runs code in a new kernel and returns the messages it sends."""
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel()
    heard: list[dict[str, Any]] = []

    def run(code: str) -> list[dict[str, Any]]:
        heard.clear()
        client.execute_interactive(code, output_hook=heard.append, timeout=90)
        return list(heard)

    try:
        yield run
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)


def said(messages: list[dict[str, Any]]) -> str:
    contents = [message["content"] for message in messages]
    return "".join(c.get("text") or "\n".join(c.get("traceback", [])) for c in contents)


@pytest.mark.slow
def test_a_kernel_that_awaits_a_machine_is_free_meanwhile(run: Any) -> None:
    run(BEGIN)
    assert said(run(WAIT)).endswith("running True True False\n")


@pytest.mark.slow
def test_waits_in_a_notebook_are_a_line_each_that_is_emptied_and_make_no_widget(run: Any) -> None:
    heard = run(LINES)
    assert said(heard) == "models 0\n"
    last: dict[str, Any] = {}
    shown = set()
    for message in heard:
        if "display_data" in message["msg_type"]:
            place = message["content"]["transient"]["display_id"]
            last[place] = message["content"]["data"]
            shown.add(last[place].get("text/plain", ""))
    assert any("(0:0" in text for text in shown), shown
    assert any(text.endswith("2 s left") for text in shown)
    assert all(set(data.values()) == {""} for data in last.values()), "emptied"
