"""A simulated service as a process of its own, without rate limits: ``python -m bench.simserver``.

It prints its address and key as one line of JSON, and ends when its input does.
"""

from __future__ import annotations

import json
import sys

from vastnb.sim import Server


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with Server(seed=seed, limits=None, quota=None) as server:
        print(json.dumps({"url": server.url, "key": server.api_key}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
