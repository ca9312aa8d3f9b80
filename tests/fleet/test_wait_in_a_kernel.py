"""An awaited wait in a real kernel: the loop goes on, and messages are answered."""

from __future__ import annotations

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


@pytest.mark.slow
def test_a_kernel_that_awaits_a_machine_is_free_meanwhile() -> None:
    manager = pytest.importorskip("jupyter_client.manager")
    kernel, client = manager.start_new_kernel()
    said: list[str] = []

    def hear(message: dict[str, Any]) -> None:
        content = message["content"]
        said.append(content.get("text") or "\n".join(content.get("traceback", [])))

    try:
        for code in (BEGIN, WAIT):
            client.execute_interactive(code, output_hook=hear, timeout=90)
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    assert "running True True False\n" in said, said
