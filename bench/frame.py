"""From the rows of an answer to a frame, in time and memory; and what a repeated search costs."""

from __future__ import annotations

import argparse
import gc
import json
import os
import tempfile
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from bench import report
from bench.rows import Row, rows_for

Columns = Literal["default", "all"]

EVERYTHING = "verified=any external=any rentable=any rented=any"
SEARCHED = 512
BUILD = "decode + build"


def add_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rows", type=int, nargs="+", default=[0, 64, 5000], metavar="N",
        help="sizes of frames; 0 is every row there is (default 0, 64 and 5000)",
    )  # fmt: skip
    group.add_argument("--repeats", type=int, default=15, help="of each measurement (default 15)")


def run(options: argparse.Namespace) -> None:
    for count in options.rows:
        rows, what = rows_for(count or None)
        _frames(rows, what, options.repeats)
    report.note(
        "CPU time, the least of all; cold is the ratio after a collection of garbage, which"
    )
    report.note(
        "empties the processor's caches. Deep is what DataFrame.memory_usage(deep=True) sums up"
    )
    report.note("to: texts that several cells share are counted in each, lists and objects in the")
    report.note(
        "peers' columns without what they hold. Held is what stays allocated of JSON, decoded,"
    )
    report.note("built, and the rows dropped.")
    rows, what = rows_for(SEARCHED)
    _repeated(rows, what, options.repeats)


def _frames(rows: list[Row], what: str, repeats: int) -> None:
    from vastnb.market.frames.offers import frame_of_offers

    makers: dict[str, Callable[[list[Row]], pd.DataFrame]] = {
        "vastnb, default columns": lambda rows: frame_of_offers(rows, provenance={}),
        "vastnb, all columns": lambda rows: frame_of_offers(rows, columns="all", provenance={}),
        "pd.DataFrame(rows)": pd.DataFrame,
        "pd.json_normalize(rows)": pd.json_normalize,
    }
    once = {name: partial(make, rows) for name, make in makers.items()}
    turns = 2 * repeats if len(rows) < 2000 else max(5, repeats // 3)
    seconds = report.least_cpu(once, turns, cold=False)
    cold = report.least_cpu(once, turns)
    frames = {name: make(rows) for name, make in makers.items()}
    body = json.dumps(rows).encode()
    peer = "pd.DataFrame(rows)"
    memory = {name: int(f.memory_usage(deep=True).sum()) for name, f in frames.items()}
    held = {name: _held(body, make) for name, make in makers.items()}
    cells: list[list[report.Cell]] = [
        [
            name,
            seconds[name] * 1e3,
            report.ratio(seconds[name], seconds[peer]),
            report.ratio(cold[name], cold[peer]),
            memory[name] / 1e6,
            report.ratio(memory[name], memory[peer]),
            held[name] / 1e6,
            report.ratio(held[name], held[peer]),
            frame.shape[1],
            sum(pd.api.types.is_object_dtype(dtype) for dtype in frame.dtypes),
        ]
        for name, frame in frames.items()
    ]
    columns = [
        "frame", "ms CPU", "to pandas", "cold", "MB deep", "to pandas", "MB held", "to pandas",
        "columns", "of object",
    ]  # fmt: skip
    report.table(f"{what} to a frame", columns, cells)


def _held(body: bytes, make: Callable[[list[Row]], pd.DataFrame]) -> int:
    """Return the bytes that a frame keeps allocated when the rows behind it are gone."""
    from vastnb.api.answers import decode

    gc.collect()
    before = _arrow_bytes()
    tracemalloc.start()
    try:
        frame = make(decode(body))
        gc.collect()
        held = tracemalloc.get_traced_memory()[0] + _arrow_bytes() - before
        del frame
    finally:
        tracemalloc.stop()
    return held


def _arrow_bytes() -> int:
    """Return what pyarrow has allocated, in which pandas keeps text where it is installed."""
    try:
        import pyarrow as pa
    except ImportError:
        return 0
    return int(pa.total_allocated_bytes())


def _repeated(rows: list[Row], what: str, repeats: int) -> None:
    from vastnb import Client
    from vastnb.api.answers import decode
    from vastnb.market.frames.offers import frame_of_offers
    from vastnb.market.frames.packed import pack, unpack
    from vastnb.sim import Server

    with (
        tempfile.TemporaryDirectory(prefix="vastnb-bench-") as folder,
        Server(offers=rows, limits=None) as server,
    ):
        os.environ["VASTNB_CACHE_DIR"] = folder  # the pace is not the user's own either
        cache = Path(folder) / "cache"
        clients: list[Client] = []

        def connect() -> Client:
            clients.append(
                Client(
                    server.api_key, base_url=server.url, cache=cache, cache_ttl=3600, history=False
                )
            )
            return clients[-1]

        def search(client: Client, columns: Columns = "default") -> pd.DataFrame:
            return client.search_offers(EVERYTHING, limit=SEARCHED, columns=columns)

        def build(columns: Columns = "default") -> pd.DataFrame:
            return frame_of_offers(decode(body)["offers"], columns=columns, provenance={})

        body = json.dumps({"success": True, "offers": rows}).encode()
        client = connect()
        frame = search(client)
        assert not frame.attrs["vastnb"]["from_cache"]
        search(client, "all")
        packed = pack(frame)
        turns = 2 * repeats
        # Each warm and cold, and once more to warm up.
        opened = [[connect() for _ in range(2 * turns + 2)] for _ in range(2)]
        here: dict[str, Callable[[], object]] = {
            "decode": lambda: decode(body),
            "json.loads": lambda: json.loads(body),
            BUILD: build,
            f"{BUILD}, all columns": lambda: build("all"),
            "json.loads + pd.DataFrame": lambda: pd.DataFrame(json.loads(body)["offers"]),
            "frame.copy()": frame.copy,
            "frame to bytes": lambda: pack(frame),
            "bytes to frame": lambda: unpack(packed, "default"),
            "same search again": lambda: search(client),
        }
        elsewhere: dict[str, Callable[[], object]] = {
            BUILD: build,
            "first search of another kernel": lambda: search(opened[0].pop()),
            "the same, all columns": lambda: search(opened[1].pop(), "all"),
            "the same, client opened as well": lambda: search(connect()),
        }
        cells: list[list[report.Cell]] = []
        for contenders in (here, elsewhere):
            warm = report.least_cpu(contenders, turns, cold=False)
            cold = report.least_cpu(contenders, turns)
            cells += [
                [
                    name,
                    value * 1e3,
                    report.ratio(value, warm[BUILD]),
                    report.ratio(cold[name], cold[BUILD]),
                ]
                for name, value in warm.items()
                if contenders is here or name != BUILD
            ]
        hits = search(client).attrs["vastnb"]["from_cache"]
        for one in clients:
            one.close()
        sent = server.calls("search_offers")
    report.table(
        f"A repeated search, {len(frame)} rows ({what}), {len(body) / 1e6:.2f} MB of JSON, "
        f"{len(packed) / 1e6:.2f} MB packed",
        ["", "ms CPU", f"to {BUILD}", "cold"],
        cells,
    )
    searches = 8 * (turns + 1) + 3
    report.note(f"{searches} searches, {sent} sent; {'all' if hits else 'NOT all'} from the cache.")
