"""``python -m bench [name ...]``: run the named benchmarks, or all of them."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback

from bench import report

NAMES = {
    "imports": "import time against the two packages it builds on",
    "frame": "rows to frame, and a repeated search",
    "simulated": "the simulated service: speed, memory, and how near it is to the recorded market",
    "table": "the offer table in JupyterLab against itables",
    "pace": "paced calls against a strict limiter",
    "history": "the price history: recording a search, and ten million rows asked in DuckDB",
    "renting": "creates that meet mishaps, and kernels that are killed: what is left behind",
    "remote": "calls, cells and copies on a machine, beside ssh, rsync and scp",
    "watching": "calls that watching takes, how soon mishaps are said, what a look leaves behind",
}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Print what vastnb costs beside its peers. Decides nothing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="benchmarks:\n" + "\n".join(f"  {name:<10} {what}" for name, what in NAMES.items()),
    )
    parser.add_argument("names", nargs="*", metavar="name", help="which (default: all)")
    modules = {name: importlib.import_module(f"bench.{name}") for name in NAMES}
    for name, module in modules.items():
        module.add_options(parser.add_argument_group(name))
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in NAMES]
    if unknown:
        parser.error(f"no benchmark called {', '.join(unknown)}; there are {', '.join(NAMES)}")
    print(report.machine(), flush=True)
    broken = []
    for name in options.names or NAMES:
        started = time.perf_counter()
        print(f"\n\n== {name}: {NAMES[name]}", flush=True)
        try:
            modules[name].run(options)
        except Exception:
            # The other tables are still worth having.
            traceback.print_exc()
            broken.append(name)
        print(f"({name}: {time.perf_counter() - started:.0f} s)", flush=True)
    if broken:
        print(f"\nDid not run to its end: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
