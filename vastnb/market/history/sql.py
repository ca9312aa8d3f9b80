"""Questions to the history as SQL, and DuckDB, which answers them.

A price is that of one GPU without disk, $/h. In each span of time a machine counts once, with the
mean of what was seen of it: its overlapping slices, all at one price, and a market that was
searched often say no more than that. Numbers that cannot be true (`market.sane`) are left out.

The connection is in memory, knows only what it is handed, uses little memory and few threads, and
downloads nothing. Its time zone is UTC. Values only ever go in as parameters.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vastnb.market.tables.limits import LIMITS

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MEMORY: Final = "128MB"
"""What DuckDB may hold at once; more goes through a temporary file."""
THREADS: Final = 2
WAITING: Final = "waiting"
"""The view of rows that are not in a file yet."""
DAY: Final = 86_400_000_000
"""Microseconds."""

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
        Column and the values that it may have: ``{"num_gpus": (8,), "verified": (True,)}``.
    """

    gpus: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    restricted: bool = True
    equal: Mapping[str, Sequence[Any]] = field(default_factory=dict)

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
        for column, values in self.equal.items():
            any_of(column, values)
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
    """Return the question for prices over time and what stands behind them, in one pass.

    The answer is three tables under one another, told apart by ``part`` (of `PARTS`). The prices:
    for each span, its machines' figures, and how they moved since the span before, as the mean
    logarithm over the machines that were seen in both. How many snapshots a GPU has in a span. And
    how many there are by search; those that chose by price are told, whether or not they count.

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
    price = BOUGHT[kind][0]
    where, params = replace(which, restricted=True).where()
    counted = "true" if which.restricted else "NOT restricted"
    shares = ", ".join(f"{float(q)!r}" for q in quantiles)
    middle = f"quantile_cont(price, [{shares}])" if shares else "[]"
    one = "{0}.gpu_name = {1}.gpu_name AND {0}.gpu_ram_gb IS NOT DISTINCT FROM {1}.gpu_ram_gb"
    sql = f"""
        WITH base AS MATERIALIZED (
            SELECT gpu_name, gpu_ram_gb, seen_at, epoch_us(seen_at) // $step AS span,
                CASE WHEN {_credible(price)} THEN machine_id END AS machine_id,
                {price} / num_gpus AS price, query, restricted, truncated
            FROM {{rows}} WHERE {where}
        ),
        machines AS MATERIALIZED (
            SELECT gpu_name, gpu_ram_gb, span, machine_id, avg(price) AS price, count(*) AS offers
            FROM base WHERE machine_id IS NOT NULL AND {counted} GROUP BY ALL
        ),
        figures AS MATERIALIZED (
            SELECT gpu_name, gpu_ram_gb, span, min(price) AS low, {middle} AS quantiles,
                max(price) AS high, count(*) AS machines, CAST(sum(offers) AS BIGINT) AS offers
            FROM machines GROUP BY ALL
        ),
        spans AS (
            SELECT gpu_name, gpu_ram_gb, span,
                lag(span) OVER (PARTITION BY gpu_name, gpu_ram_gb ORDER BY span) AS before
            FROM figures
        ),
        moves AS (
            SELECT b.gpu_name, b.gpu_ram_gb, b.span, avg(ln(b.price / a.price)) AS moved,
                count(*) AS matched
            FROM spans
            JOIN machines AS b ON b.span = spans.span AND {one.format("b", "spans")}
            JOIN machines AS a ON a.span = spans.before AND a.machine_id = b.machine_id
                AND {one.format("a", "b")}
            GROUP BY ALL
        ),
        searches AS (
            SELECT gpu_name, gpu_ram_gb, seen_at, span, first(query) AS query,
                first(restricted) AS restricted, first(truncated) AS truncated
            FROM base GROUP BY gpu_name, gpu_ram_gb, seen_at, span
        )
        SELECT {PARTS.index("prices")} AS part, figures.*, moved, matched
        FROM figures LEFT JOIN moves
            ON figures.span = moves.span AND {one.format("figures", "moves")}
        UNION ALL BY NAME
        SELECT grouping(span) AS part, gpu_name, gpu_ram_gb, span, query, restricted, truncated,
            count(DISTINCT seen_at) FILTER (WHERE {counted}) AS snapshots,
            count(DISTINCT seen_at) AS found
        FROM searches
        GROUP BY GROUPING SETS ((gpu_name, gpu_ram_gb, span), (query, restricted, truncated))
        ORDER BY gpu_name, gpu_ram_gb, span
    """
    return sql, {**params, "step": step}


PARTS: Final = ("spans", "searches", "prices")
"""The tables in the answer to a question for a trend; the first two as GROUPING numbers them."""


def sample_sql(which: Which, kind: str, step: int) -> tuple[str, dict[str, Any]]:
    """Return the question for single prices: of each machine, number of GPUs, and span."""
    where, params = which.where()
    return _machines(kind, where), {**params, "step": step}


def diff_sql(
    which: Which, kind: str, days: tuple[datetime, datetime]
) -> tuple[str, dict[str, Any]]:
    """Return the question for each machine's price on two days, and for each number of GPUs."""
    where, params = which.where()
    params |= {"step": DAY, "day1": int(days[0].timestamp() * 1e6) // DAY,
               "day2": int(days[1].timestamp() * 1e6) // DAY}  # fmt: skip
    sql = f"""
        WITH machines AS ({_machines(kind, where)}),
        one AS (SELECT * FROM machines WHERE span = $day1),
        two AS (SELECT * FROM machines WHERE span = $day2)
        SELECT coalesce(one.gpu_name, two.gpu_name) AS gpu_name,
            coalesce(one.gpu_ram_gb, two.gpu_ram_gb) AS gpu_ram_gb,
            coalesce(one.machine_id, two.machine_id) AS machine_id,
            coalesce(one.num_gpus, two.num_gpus) AS num_gpus,
            one.price AS price1, two.price AS price2
        FROM one FULL JOIN two
            ON one.machine_id = two.machine_id AND one.num_gpus = two.num_gpus
            AND one.gpu_name IS NOT DISTINCT FROM two.gpu_name
            AND one.gpu_ram_gb IS NOT DISTINCT FROM two.gpu_ram_gb
        ORDER BY ALL
    """
    return sql, params


def _machines(kind: str, where: str) -> str:
    price = BOUGHT[kind][0]
    return f"""
        SELECT gpu_name, gpu_ram_gb, epoch_us(seen_at) // $step AS span, machine_id, num_gpus,
            avg({price} / num_gpus) AS price, count(*) AS offers
        FROM {{rows}}
        WHERE {where} AND machine_id IS NOT NULL AND {_credible(price)}
        GROUP BY ALL
    """


def _credible(*columns: str) -> str:
    limits = [(name, *LIMITS[name]) for name in (*columns, "num_gpus")]
    return " AND ".join(f"{name} BETWEEN {low!r} AND {high!r}" for name, low, high in limits)


class Source(NamedTuple):
    """The rows that a question is about.

    Parameters
    ----------
    files : tuple of str
        Parquet files.
    waiting : DataFrame or None
        Rows that are not in a file yet.
    columns : dict
        Names and SQL types, whatever the files say.
    """

    files: tuple[str, ...]
    waiting: pd.DataFrame | None
    columns: Mapping[str, str]

    def sql(self) -> str:
        """Return the rows as a table, each column of its own type in all of them.

        A file without a column has no values in it; a value that does not fit its type is missing.
        ``filename`` is the file that a row is from.
        """
        empty = ", ".join(
            f'CAST(NULL AS {kind}) AS "{name}"' for name, kind in self.columns.items()
        )
        parts = [f"SELECT {empty} WHERE false"]
        if self.files:
            parts.append(f"SELECT * FROM {self.raw(filename='filename' in self.columns)}")
        if self.waiting is not None:
            parts.append(f"SELECT * FROM {WAITING}")
        cast = ", ".join(f'TRY_CAST("{name}" AS {kind}) AS "{name}"'
                         for name, kind in self.columns.items())  # fmt: skip
        return f"(SELECT {cast} FROM ({' UNION ALL BY NAME '.join(parts)}))"

    def raw(self, *, filename: bool = False) -> str:
        """Return the rows of the files as a table, as they are."""
        files = ", ".join(_literal(re.sub(r"[*?[]", r"[\g<0>]", path)) for path in self.files)
        more = ", filename=true" if filename else ""
        return f"read_parquet([{files}], hive_partitioning=false, union_by_name=true{more})"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass
class _Connection:
    """A connection and who uses it: DuckDB refuses to close one that is answering a question."""

    of: duckdb.DuckDBPyConnection
    pid: int
    asking: int = 0

    def close(self) -> None:
        if self.pid == os.getpid():  # a fork does not close what its parent asks
            self.of.close()


class Engine:
    """DuckDB. May be used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: _Connection | None = None

    def ask(
        self,
        source: Source,
        sql: str,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return the columns of an answer as arrays, masked where a value is missing.

        Parameters
        ----------
        source : Source
            The rows.
        sql : str
            With ``{rows}`` where they belong.
        params : dict, optional
            Values for ``$name`` in `sql`.

        Raises
        ------
        duckdb.Error
            If the SQL is wrong, or a file cannot be read.
        """
        found: dict[str, Any] = self._do(source, sql, params, lambda c: c.fetchnumpy())
        return found

    def run(self, source: Source, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        """Carry out a statement, and return its first row."""
        return self._do(source, sql, params, lambda cursor: cursor.fetchone())

    def copy(
        self,
        source: Source,
        sql: str,
        target: Path,
        order: Sequence[str],
        group: int,
        params: Mapping[str, Any] | None = None,
        kind: str = "parquet",
    ) -> int:
        """Write the answer to a question to a file, in an order; return how many rows it has."""
        how = "FORMAT csv, HEADER" if kind == "csv" else (
            f"FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3, ROW_GROUP_SIZE {group}"
        )  # fmt: skip
        copy = (
            f"COPY (SELECT * FROM ({sql}) ORDER BY {', '.join(order)}) TO {_literal(str(target))}"
            f" ({how}, USE_TMP_FILE false)"
        )
        return int(self.run(source, copy, params)[0])

    def types(self, source: Source, sql: str, params: Mapping[str, Any]) -> dict[str, str]:
        """Return names and types of an answer's columns."""
        found = self._do(source, f"DESCRIBE {sql}", params, lambda cursor: cursor.fetchall())
        return {row[0]: row[1] for row in found}

    def _do(
        self, source: Source, sql: str, params: Mapping[str, Any] | None, take: Callable[[Any], Any]
    ) -> Any:
        if "{raw}" in sql:
            sql = sql.replace("{raw}", source.raw())
        with self._cursor() as cursor:
            # Of each cursor by itself; the machine's own zone would move days and spans.
            cursor.execute("SET TimeZone = 'UTC'")
            if source.waiting is not None:
                cursor.execute("SET pandas_analyze_sample = 0")  # objects are texts
                cursor.register(WAITING, _with_plain_texts(source.waiting))
            return take(cursor.execute(sql.replace("{rows}", source.sql()), dict(params or {})))

    def close(self) -> None:
        """Forget the connection. A question that is being answered still gets its answer."""
        with self._lock:
            left, self._open = self._open, None
            idle = left is not None and left.asking == 0
        if left is not None and idle:
            left.close()

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._lock:
            if self._open is None or self._open.pid != os.getpid():
                self._open = _Connection(_connect(), os.getpid())
            used = self._open
            cursor = used.of.cursor()
            used.asking += 1
        try:
            yield cursor
        finally:
            cursor.close()
            with self._lock:
                used.asking -= 1
                last = used.asking == 0 and self._open is not used
            if last:
                used.close()


def _with_plain_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose missing texts are None: DuckDB 1.3 reads others as the text "<NA>"."""
    import pandas as pd

    out: dict[Any, Any] = dict(frame.items())
    for name, column in out.items():
        if not isinstance(column.dtype, pd.StringDtype):
            continue
        cells = column.array.to_numpy(dtype=object, na_value=None)
        out[name] = pd.Series(cells, dtype=object, index=frame.index)
    return pd.DataFrame(out, copy=False)


def _connect() -> duckdb.DuckDBPyConnection:
    need()
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": THREADS,
            "memory_limit": MEMORY,
            # Not in the working directory, which is the user's.
            "temp_directory": str(Path(tempfile.gettempdir()) / f"vastnb-duckdb-{os.getpid()}"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    # What is in the files is read once or twice, and keeping it would only cost memory. Where it is
    # in them is needed by every question.
    connection.execute("SET enable_external_file_cache = false")
    connection.execute("SET parquet_metadata_cache = true")
    return connection


def able() -> bool:
    """Return whether the history can be kept and asked here."""
    try:
        return find_spec("duckdb") is not None
    except (ImportError, ValueError):
        return False


def need() -> None:
    """Refuse, in clear words, what cannot be done without DuckDB.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    if not able():
        raise ImportError(
            "The price history needs duckdb: pip install 'vastnb[history]'. Everything else works "
            "without it; searches are not recorded."
        )


__all__ = [
    "BOUGHT", "DAY", "PARTS", "WAITING", "Engine", "Source", "Which", "able", "diff_sql", "need",
    "own_sql", "rows_sql", "sample_sql", "trend_sql",
]  # fmt: skip
