"""``python -m vastnb.sim``: run the simulated Vast.ai as a server."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from vastnb.sim.faults import Fault, FaultPlan
from vastnb.sim.server import Server

_HELP = """\
Simulated Vast, seed {seed}, {speed:g} x real time: nothing here costs money.

  url    {url}
  key    {key}   (simulated)
  admin  {token}   (header X-Vastnb-Sim-Admin, from this machine only)

With vastnb:
  vastnb.Client("{key}", base_url="{url}")

With the official client:
  export VAST_URL={url} VAST_API_KEY={key}
  vastai search offers 'gpu_name=RTX_4090 num_gpus>=2'

Ctrl-C stops it.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parse = argparse.ArgumentParser(prog="python -m vastnb.sim", description=__doc__)
    parse.add_argument("--port", type=int, default=8123, help="0 picks a free one (8123)")
    parse.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parse.add_argument("--seed", type=int, default=0, help="another seed gives another market (0)")
    parse.add_argument(
        "--speed", type=float, default=60.0, help="simulated seconds per second (60)"
    )
    parse.add_argument("--offers", type=Path, help="serve the recorded offers of this JSON file")
    parse.add_argument(
        "--faults",
        default=None,
        help="a rate (0.1) of random faults, or faults as JSON, or a file of them",
    )
    parse.add_argument(
        "--trouble", type=float, default=0.05, help="share of instances that fail (0.05)"
    )
    parse.add_argument("--credit", type=float, default=25.0, help="credit of the account, $ (25)")
    parse.add_argument("--no-ssh-key", action="store_true", help="an account without an SSH key")
    parse.add_argument("--payloads", action="store_true", help="plant scripts in hosts' texts")
    parse.add_argument("--no-limits", action="store_true", help="turn the rate limiter off")
    return parse


def _plan(text: str | None, seed: int) -> FaultPlan:
    if text is None:
        return FaultPlan(seed=seed)
    try:
        rate = float(text)
    except ValueError:
        plain = text.lstrip().startswith(("{", "["))
        described = json.loads(text if plain else Path(text).read_text(encoding="utf-8"))
        many = described if isinstance(described, list) else [described]
        return FaultPlan([Fault.from_dict(one) for one in many], seed=seed)
    return FaultPlan(rate=rate, seed=seed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until it is interrupted.

    Parameters
    ----------
    arguments : sequence of str, optional
        The command line, without the program's name.

    Returns
    -------
    int
        Exit status: 0 after Ctrl-C or a request to end.
    """
    given = parser().parse_args(arguments)
    over = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        over.set()

    # Before the market is drawn, which takes a second: Ctrl-C ends it cleanly then, too.
    before = {which: signal.signal(which, end) for which in (signal.SIGINT, signal.SIGTERM)}
    try:
        return _run(given, over)
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def _run(given: argparse.Namespace, over: threading.Event) -> int:
    try:
        faults = _plan(given.faults, given.seed)
        server = Server(
            given.seed,
            given.speed,
            port=given.port,
            host=given.host,
            offers=given.offers,
            faults=faults,
            payloads=given.payloads,
            limits=None if given.no_limits else "published",
            credit=given.credit,
            ssh_key=not given.no_ssh_key,
            trouble=given.trouble,
        )
    except (OSError, ValueError) as wrong:
        print(f"The simulated Vast cannot start: {wrong}", file=sys.stderr)
        return 2
    except SystemExit:  # the HTTP server ends the program where it should raise
        print(
            f"The simulated Vast cannot start: port {given.port} of {given.host} is not available; "
            "give another one, or --port 0 for any.",
            file=sys.stderr,
        )
        return 2
    with server:
        print(
            _HELP.format(
                seed=given.seed,
                speed=given.speed,
                url=server.url,
                key=server.api_key,
                token=server.admin_token,
            ),
            flush=True,
        )
        over.wait()
    print("The simulated Vast has stopped.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
