"""From the rows of an answer to a frame, in time and memory; and what a repeated search costs."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bench import report
from bench.rows import Row, rows_for

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
    report.note("Memory is what DataFrame.memory_usage(deep=True) sums up to; lists and objects in")
    report.note("the peers' columns are counted without what they hold.")
    rows, what = rows_for(SEARCHED)
    _repeated(rows, what, options.repeats)


def _frames(rows: list[Row], what: str, repeats: int) -> None:
    from vastnb.market.frames.offers import frame_of_offers

    makers: dict[str, Callable[[], pd.DataFrame]] = {
        "vastnb, default columns": lambda: frame_of_offers(rows, provenance={}),
        "vastnb, all columns": lambda: frame_of_offers(rows, columns="all", provenance={}),
        "pd.DataFrame(rows)": lambda: pd.DataFrame(rows),
        "pd.json_normalize(rows)": lambda: pd.json_normalize(rows),
    }
    seconds = report.interleaved(makers, repeats if len(rows) < 2000 else max(5, repeats // 3))
    frames = {name: make() for name, make in makers.items()}
    peer = "pd.DataFrame(rows)"
    memory = {name: int(f.memory_usage(deep=True).sum()) for name, f in frames.items()}
    cells: list[list[report.Cell]] = [
        [
            name,
            report.median(seconds[name]) * 1e3,
            report.ratio(report.median(seconds[name]), report.median(seconds[peer])),
            memory[name] / 1e6,
            report.ratio(memory[name], memory[peer]),
            frame.shape[1],
            sum(pd.api.types.is_object_dtype(dtype) for dtype in frame.dtypes),
        ]
        for name, frame in frames.items()
    ]
    columns = ["frame", "ms", "to pandas", "MB deep", "to pandas", "columns", "of object"]
    report.table(f"{what} to a frame", columns, cells)


def _repeated(rows: list[Row], what: str, repeats: int) -> None:
    from vastnb import Client
    from vastnb.api.answers import decode
    from vastnb.api.transport import Transport
    from vastnb.market.frames.offers import frame_of_offers
    from vastnb.market.query.query import parse_query
    from vastnb.sim import Server

    with (
        tempfile.TemporaryDirectory(prefix="vastnb-bench-") as folder,
        Server(offers=rows, limits=None) as server,
    ):
        cache = Path(folder) / "cache"

        def connect() -> Client:
            return Client(server.api_key, base_url=server.url, cache=cache, cache_ttl=3600)

        def search(client: Client) -> pd.DataFrame:
            return client.search_offers(EVERYTHING, limit=SEARCHED)

        client = connect()
        frame = search(client)
        assert not frame.attrs["vastnb"]["from_cache"]
        question = parse_query(EVERYTHING).body(limit=SEARCHED)
        transport = Transport(
            base_url=server.url, api_key=server.api_key, cache=cache, cache_ttl=3600
        )
        answer = transport.call("search_offers", body=frame.attrs["vastnb"].get("body", question))
        body = answer.body
        others: list[Client] = []

        def another_kernel() -> pd.DataFrame:
            others.append(connect())
            return search(others[-1])

        def build() -> pd.DataFrame:
            return frame_of_offers(decode(body)["offers"], provenance={})

        contenders: dict[str, Callable[[], object]] = {
            "decode": lambda: decode(body),
            "json.loads": lambda: json.loads(body),
            BUILD: build,
            "cache hit, not decoded": lambda: (
                transport.call(
                    "search_offers", body=frame.attrs["vastnb"].get("body", question)
                ).body
            ),
            "same search again": lambda: search(client),
            "frame.copy()": frame.copy,
            "json.loads + pd.DataFrame": lambda: pd.DataFrame(json.loads(body)["offers"]),
            "first search of another kernel": another_kernel,
        }
        seconds = report.interleaved(contenders, 2 * repeats)
        hits = answer.from_cache and search(client).attrs["vastnb"]["from_cache"]
        for one in (*others, client):
            one.close()
        transport.close()
        sent = server.calls("search_offers")
    base = report.median(seconds[BUILD])
    cells: list[list[report.Cell]] = [
        [name, report.median(values) * 1e3, report.ratio(report.median(values), base)]
        for name, values in seconds.items()
    ]
    report.table(
        f"A repeated search, {len(frame)} rows ({what}), {len(body) / 1e6:.2f} MB of JSON",
        ["", "ms", f"to {BUILD}"],
        cells,
    )
    searches = 2 * len(seconds["same search again"]) + len(seconds["cache hit, not decoded"]) + 6
    report.note(f"{searches} searches, {sent} sent; {'all' if hits else 'NOT all'} from the cache.")
