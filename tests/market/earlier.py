"""Files of a price history as an earlier version wrote them: one for each search."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.market.histories import row

NAMES = ("seen_at", "type", "gpu_name", "gpu_ram", "gpu_ram_gb", "machine_id", "num_gpus",
         "host_id", "dph_base", "min_bid", "storage_cost", "inet_down_cost", "inet_up_cost",
         "dlperf", "total_flops", "reliability", "verified", "datacenter", "country", "query",
         "restricted", "truncated", "simulated")  # fmt: skip


def schema() -> Any:
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(("gpu_ram", "gpu_ram_gb", "machine_id", "num_gpus", "host_id"), pa.int64()),
        **dict.fromkeys(("type", "gpu_name", "country", "query"), pa.string()),
        **dict.fromkeys(("verified", "datacenter", "restricted", "truncated", "simulated"),
                        pa.bool_()),
        "seen_at": pa.timestamp("us", "UTC"),
    }  # fmt: skip
    return pa.schema([(name, kinds.get(name, pa.float64())) for name in NAMES])


def snapshot(folder: Path, at: float, machine_id: int) -> Path:
    """Write a search that found one machine."""
    return _write(folder, at, f"{_stamp(at)}.parquet", [_row(at, machine_id)])


def whole(folder: Path, at: float, machine_id: int) -> Path:
    """Write a finished day."""
    return _write(folder, at, f"whole-{_stamp(at)}.parquet", [_row(at, machine_id)], ["gone"])


def compact(paths: Sequence[Path]) -> Path:
    """Put files together, and leave them there."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
    footer = {b"vastnb.replaces": json.dumps([path.name for path in paths]).encode()}
    path = paths[0].with_name(f"whole-{paths[0].name}")
    pq.write_table(table.replace_schema_metadata(footer), path)
    return path


def metrics(folder: Path, imported_at: float, medians: Sequence[float]) -> None:
    """Write figures of the service on one model, a day apart."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    moments = [datetime.fromtimestamp(1_795_400_000 + 86_400 * i, UTC)
               for i in range(len(medians))]  # fmt: skip
    when = pa.timestamp("us", "UTC")
    table = pa.table(
        {
            "at": pa.array(moments, when),
            "gpu_name": ["RTX 4090"] * len(medians),
            "total": pa.array([10] * len(medians), pa.int64()),
            "avail_median": pa.array(medians, pa.float64()),
            "verified": ["yes"] * len(medians),
            "hosting_type": ["all"] * len(medians),
            "num_gpus": ["all"] * len(medians),
            "imported_at": pa.array([datetime.fromtimestamp(imported_at, UTC)] * len(medians),
                                    when),
        }
    )  # fmt: skip
    day = folder / f"day={datetime.fromtimestamp(imported_at, UTC).date()}"
    day.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, day / f"{_stamp(imported_at)}.parquet")


def _row(at: float, machine_id: int) -> dict[str, Any]:
    offer = row(machine_id=machine_id)
    return {
        **{name: offer.get(name) for name in NAMES},
        "seen_at": datetime.fromtimestamp(at, UTC), "type": "on-demand", "gpu_ram_gb": 24,
        "verified": True, "datacenter": False, "country": "SE", "query": "", "restricted": False,
        "truncated": False, "simulated": False,
    }  # fmt: skip


def _stamp(at: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment.strftime('%Y%m%dT%H%M%S.%fZ')}-4711-{secrets.token_hex(4)}"


def _write(
    folder: Path, at: float, name: str, rows: list[dict[str, Any]], replaces: Sequence[str] = ()
) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows, schema=schema())
    if replaces:
        footer = {b"vastnb.replaces": json.dumps(list(replaces)).encode()}
        table = table.replace_schema_metadata(footer)
    day = folder / f"day={datetime.fromtimestamp(at, UTC).date()}"
    day.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, day / name, compression="zstd")
    return day / name
