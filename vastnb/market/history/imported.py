"""The service's own figures, kept beside what searches saw."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.market.metrics import OVER_TIME

if TYPE_CHECKING:
    import pyarrow as pa

WHOM: Final = ("verified", "hosting_type", "num_gpus")
COLUMNS: Final[dict[str, str]] = {
    "at": "TIMESTAMPTZ",
    "gpu_name": "VARCHAR",
    **{name: "BIGINT" if dtype == "Int64" else "DOUBLE" for name, dtype in OVER_TIME.items()},
    **dict.fromkeys(WHOM, "VARCHAR"),
    "imported_at": "TIMESTAMPTZ",
}
"""Names and SQL types."""


@cache
def schema() -> pa.Schema:
    """Return the Arrow schema of the files."""
    import pyarrow as pa

    types = {
        "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
        "VARCHAR": pa.string(),
        "BIGINT": pa.int64(),
        "DOUBLE": pa.float64(),
    }
    return pa.schema([(name, types[sql]) for name, sql in COLUMNS.items()])


def table_of_metrics(
    frame: pd.DataFrame, whom: Mapping[str, Any], imported_at: datetime
) -> pa.Table:
    """Return figures as they are kept.

    Parameters
    ----------
    frame : DataFrame
        As ``client.gpu_trends`` returns them.
    whom : dict
        Which machines are counted.
    imported_at : datetime
        When the service answered.
    """
    import pyarrow as pa

    arrays = []
    for name, kind in zip(schema().names, schema().types, strict=True):
        if name in frame.columns:
            arrays.append(pa.array(frame[name], kind, from_pandas=True))
        else:
            value = imported_at if name == "imported_at" else whom[name]
            arrays.append(pa.repeat(pa.scalar(value, kind), len(frame)))
    return pa.Table.from_arrays(arrays, schema=schema())


def metrics_sql(names: tuple[str, ...], whom: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the question for imported figures: each model and moment once, as last imported."""
    params: dict[str, Any] = {f"g{i}": name for i, name in enumerate(names)}
    parts = ['"at" >= $since', *(f"{name} = ${name}" for name in WHOM)]
    if names:
        parts.append(f"gpu_name IN ({', '.join(f'${mark}' for mark in params)})")
    sql = f"""
        SELECT "at", gpu_name, {", ".join(OVER_TIME)} FROM {{rows}} WHERE {" AND ".join(parts)}
        QUALIFY row_number() OVER (PARTITION BY gpu_name, "at" ORDER BY imported_at DESC) = 1
        ORDER BY gpu_name, "at"
    """
    return sql, {**params, **whom}


__all__ = ["COLUMNS", "metrics_sql", "schema", "table_of_metrics"]
