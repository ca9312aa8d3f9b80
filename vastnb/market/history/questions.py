"""What is asked of the history, as SQL: rows, trends, and samples of prices to compare with.

A price is that of one GPU without disk, $/h. In each span of time a machine counts once, with the
mean of what was seen of it: its overlapping slices, all at one price, and a market that was looked
at often say no more than that. What no price can be (missing, zero, absurd) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

MOST: Final = 10_000.0
"""$/h for one GPU above which a price is a mistake."""

BOUGHT: Final = {
    "on-demand": ("dph_base", ("on-demand",)),
    "reserved": ("dph_base", ("reserved",)),
    # A search on demand tells the least bid as well.
    "bid": ("min_bid", ("bid", "on-demand")),
}
"""By kind of rental: the column with its price, and the searches that show it."""


@dataclass(frozen=True, slots=True)
class Which:
    """Which rows a question is about. Empty is any.

    Parameters
    ----------
    gpus : tuple of str
        GPU names.
    types : tuple of str
        Kinds of search.
    since, until : datetime, optional
        When they were seen; `until` is left out.
    restricted : bool
        Whether searches that chose by price count too.
    equal : dict
        Column and the value that it has: ``{"num_gpus": 8, "verified": True}``.
    """

    gpus: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    restricted: bool = True
    equal: Mapping[str, Any] = field(default_factory=dict)

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return a condition in SQL, and its parameters."""
        parts: list[str] = []
        params: dict[str, Any] = {}

        def any_of(column: str, values: Sequence[Any]) -> None:
            marks = []
            for value in values:
                params[f"p{len(params)}"] = value
                marks.append(f"${list(params)[-1]}")
            # One value by itself is compared with each row group's statistics.
            parts.append(f"{column} = {marks[0]}" if len(marks) == 1
                         else f"{column} IN ({', '.join(marks)})")  # fmt: skip

        if self.gpus:
            any_of("gpu_name", self.gpus)
        if self.types:
            any_of("type", self.types)
        for op, moment in ((">=", self.since), ("<", self.until)):
            if moment is not None:
                params[f"p{len(params)}"] = moment
                parts.append(f"seen_at {op} ${list(params)[-1]}")
        if not self.restricted:
            parts.append("NOT restricted")
        for column, value in self.equal.items():
            any_of(column, [value])
        return " AND ".join(parts) or "true", params


def rows_sql(which: Which, columns: Sequence[str], limit: int | None) -> tuple[str, dict[str, Any]]:
    """Return the question for plain rows, oldest first; with `limit`, the newest of them."""
    where, params = which.where()
    rows = f"(SELECT * FROM {{rows}} WHERE {where})"
    if limit is not None:
        rows = f"(SELECT * FROM {rows} ORDER BY seen_at DESC LIMIT {int(limit)})"
    order = "seen_at, gpu_name, machine_id, num_gpus"
    return f"SELECT {', '.join(columns)} FROM {rows} ORDER BY {order}", params


def own_sql(which: Which, sql: str) -> tuple[str, dict[str, Any]]:
    """Return the user's own question, to a table ``history``."""
    where, params = which.where()
    own = sql.strip().rstrip(";")
    return (
        f"WITH history AS NOT MATERIALIZED (SELECT * FROM {{rows}} WHERE {where}) "
        f"SELECT * FROM (\n{own}\n)",
        params,
    )


def trend_sql(
    which: Which, kind: str, step: int, quantiles: Sequence[float]
) -> tuple[str, dict[str, Any]]:
    """Return the question for prices over time.

    Parameters
    ----------
    which : Which
        Its `types` are set by `kind`.
    kind : str
        Of `BOUGHT`.
    step : int
        Length of a span, microseconds.
    quantiles : sequence of float
        Shares, 0 to 1.
    """
    price, _ = BOUGHT[kind]
    where, params = which.where()
    shares = ", ".join(f"{float(q)!r}" for q in quantiles)
    middle = f"quantile_cont(price, [{shares}])" if shares else "[]"
    sql = f"""
        SELECT gpu_name, gpu_ram_gb, span, min(price) AS low, {middle} AS quantiles,
            max(price) AS high, count(*) AS machines, CAST(sum(offers) AS BIGINT) AS offers
        FROM ({_machines(price, where)})
        GROUP BY gpu_name, gpu_ram_gb, span
        ORDER BY gpu_name, gpu_ram_gb, span
    """
    return sql, {**params, "step": step}


def sample_sql(which: Which, kind: str, step: int) -> tuple[str, dict[str, Any]]:
    """Return the question for single prices, one for each machine and span."""
    price, _ = BOUGHT[kind]
    where, params = which.where()
    sql = f"SELECT gpu_name, gpu_ram_gb, machine_id, span, price FROM ({_machines(price, where)})"
    return sql, {**params, "step": step}


def _machines(price: str, where: str) -> str:
    return f"""
        SELECT gpu_name, gpu_ram_gb, epoch_us(seen_at) // $step AS span, machine_id,
            avg({price} / num_gpus) AS price, count(*) AS offers
        FROM {{rows}}
        WHERE {where} AND machine_id IS NOT NULL AND num_gpus > 0
            AND {price} > 0 AND {price} / num_gpus < {MOST}
        GROUP BY ALL
    """


def behind_sql(which: Which, step: int) -> tuple[str, dict[str, Any]]:
    """Return the question for what stands behind a figure, in two tables on top of each other.

    Where ``of_span`` is 0, how many snapshots a GPU has in a span; where it is 1, how many there
    are by search. Searches that chose by price are told, whether or not they count.
    """
    where, params = replace(which, restricted=True).where()
    counted = "true" if which.restricted else "NOT restricted"
    sql = f"""
        SELECT grouping(span) AS of_span, gpu_name, gpu_ram_gb, span, query, restricted, truncated,
            count(DISTINCT seen_at) FILTER (WHERE {counted}) AS snapshots,
            count(DISTINCT seen_at) AS found
        FROM (
            SELECT gpu_name, gpu_ram_gb, seen_at, epoch_us(seen_at) // $step AS span,
                any_value(query) AS query, any_value(restricted) AS restricted,
                any_value(truncated) AS truncated
            FROM {{rows}} WHERE {where} GROUP BY gpu_name, gpu_ram_gb, seen_at
        )
        GROUP BY GROUPING SETS ((gpu_name, gpu_ram_gb, span), (query, restricted, truncated))
    """
    return sql, {**params, "step": step}


__all__ = [
    "BOUGHT",
    "Which",
    "behind_sql",
    "own_sql",
    "rows_sql",
    "sample_sql",
    "trend_sql",
]
