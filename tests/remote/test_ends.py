"""A machine that is stopped, outbid or destroyed under what runs on it: said, and nothing hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import vastnb
from vastnb.errors import ConnectionLost, KernelDied, VastError
from vastnb.fleet.instance import Instance
from vastnb.sim import Server

from .conftest import Rent

KEPT = "Everything that ran on it has ended, kernels included; its files are kept."
GONE = "Everything on it is gone, including its files."
SAID = {
    "stopped": (KEPT, "its disk is billed $"),
    "outbid": (KEPT, "Vast.ai shows it as outbid"),
    "destroyed": (GONE, "it is not billed"),
}
End = Callable[[Instance], None]


@pytest.fixture
def end(market: Server) -> Callable[[str], End]:
    """Return how a machine is ended by somebody else."""

    def ending(how: str) -> End:
        def do(box: Instance) -> None:
            world = market.world
            with world.lock:
                world.settle()
                one, fleet = world.fleet.instances[box._id], world.fleet
                verb = {"stopped": fleet.stop, "outbid": fleet._outbid, "destroyed": fleet.destroy}
                verb[how](one, world.elapsed())
            market.world.advance(seconds=20)

        return do

    return ending


def _nowhere(kind: str, content: object) -> None:
    """Show nothing."""


def rented(client: vastnb.Client, market: Server, how: str) -> Instance:
    market.world.fleet.expect("cached")
    bid = {"bid": 1.0} if how == "outbid" else {}
    kind = "bid" if bid else "on-demand"
    offers = client.search_offers("num_gpus=1", type=kind, storage=20)
    return client.rent(offers, image="pytorch/pytorch", disk=20, **bid)


@pytest.mark.parametrize("what", ["command", "upload", "cell", "job"])
@pytest.mark.parametrize("how", list(SAID))
def test_a_machine_that_ends_under_it_says_what_is_left_and_what_it_costs(
    client: vastnb.Client,
    market: Server,
    end: Callable[[str], End],
    tmp_path: Path,
    how: str,
    what: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vastnb.remote.session.PATIENCE", 0.3)
    box = rented(client, market, how)
    try:
        box.run("true")
        big = tmp_path / "big"
        with big.open("wb") as file:
            file.truncate(400 << 20)
        work = {
            "command": lambda: box.run("echo begun; sleep 60", show=False),
            "upload": lambda: box.upload(big, show=False),
            "cell": lambda: box.kernel().execute("import time; time.sleep(60)", show=_nowhere),
            "job": lambda: box.job("sleeping").wait(show=False),
        }[what]
        if what == "cell":
            box.kernel().execute("x = 1")
        if what == "job":
            box.start("sleep 60", name="sleeping")
        market.world.fleet.resumes = False
        ending = threading.Timer(0.4, end(how), (box,))
        ending.start()
        begun = time.monotonic()
        with pytest.raises(ConnectionLost) as lost:
            work()
        took = time.monotonic() - begun
        ending.join()
        left, cost = SAID[how]
        assert left in str(lost.value)
        assert cost in str(lost.value)
        assert lost.value.ended
        assert "may still be running" not in str(lost.value)
        assert took < 8
        # What comes next is told at once, too, and does not wait for a machine that is not there.
        begun = time.monotonic()
        with pytest.raises(VastError, match=cost.replace("$", r"\$")):
            box.run("true")
        assert time.monotonic() - begun < 8
    finally:
        if how != "destroyed":
            box.destroy()


def test_after_a_restart_files_and_jobs_are_found_and_kernels_are_told_as_gone(
    rent: Rent, market: Server, end: Callable[[str], End], client: vastnb.Client
) -> None:
    box = rent()
    box.run("echo kept >file")
    box.kernel().execute("x = 1")
    job = box.start("echo line; sleep 60", name="train")
    while "line" not in job.tail():
        pass
    end("stopped")(box)
    box._client.start_instance(box.id)
    market.world.advance(minutes=3)
    box.wait(reachable=True)
    assert box.run("cat file", show=False).out == "kept\n"
    found = vastnb.Client(
        market.api_key, base_url=market.url, cache="memory", clock=market.world.clock
    )
    with found:
        found.server = market
        again = found.show_instance(box.id)
        [one] = again.jobs()
        assert (one.name, one.state.word) == ("train", "lost")
        assert one.tail() == "line\n"
        found.server = None
    with pytest.raises(KernelDied, match="restart"):
        box.kernel()
    box.kernel().execute("x = 2")


def test_a_reboot_ends_what_runs_and_a_rebuild_the_files_and_the_host_key(
    rent: Rent, market: Server
) -> None:
    box = rent()
    box.run("echo kept >file")
    job = box.start("sleep 60", name="train")
    box._client.reboot_instance(box.id)
    market.world.advance(minutes=1)
    assert box.run("cat file", show=False).out == "kept\n"
    assert box.job("train").state.word == "lost"
    assert job.state.word == "lost"
    world = market.world
    with world.lock:
        world.fleet.recycle(world.fleet.instances[box.id], world.elapsed())
    market.world.advance(minutes=5)
    with pytest.raises(VastError, match=r"forget_host_key\(\)"):
        box.run("cat file", show=False)
    box.forget_host_key()
    assert not box.run("cat file", show=False).ok
