"""Questions to the files, asked in DuckDB without loading them.

An in-memory connection that knows nothing but the files it is given; little memory, few threads,
nothing downloaded. Values only ever go in as parameters.
"""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vastnb.market.history.columns import KEPT
from vastnb.market.history.dataset import Listing
from vastnb.market.history.needs import need

if TYPE_CHECKING:
    import duckdb

MEMORY: Final = "128MB"
"""What DuckDB may hold at once; more goes through a temporary file."""
THREADS: Final = 2
TRIES: Final = 5


class Engine:
    """Asks DuckDB. May be used by several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._pid = 0

    def ask(
        self,
        files: Listing,
        sql: str,
        params: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Return the columns of an answer.

        Parameters
        ----------
        files : Listing
            Returns the files to ask. It is asked again if one of them was replaced meanwhile.
        sql : str
            With ``{rows}`` where the rows of the files belong.
        params : dict, optional
            Values for ``$name`` in `sql`.
        columns : dict, optional
            Names and SQL types of the files' columns, for the time when there is no file; by
            default the offers'.

        Returns
        -------
        dict of str to ndarray
            Masked arrays where a value is missing.

        Raises
        ------
        duckdb.Error
            If the SQL is wrong.
        """
        import duckdb

        for left in range(TRIES, 0, -1):
            paths = files(again=left < TRIES)
            values = dict(params or {})
            if paths:
                rows = "read_parquet($files, hive_partitioning=false)"
                values["files"] = paths
            else:
                rows = _nothing(columns or {c.name: c.sql for c in KEPT.values()})
            try:
                cursor = self._cursor()
                try:
                    found: dict[str, Any] = cursor.execute(
                        sql.replace("{rows}", rows), values
                    ).fetchnumpy()
                finally:
                    cursor.close()
            except duckdb.Error:
                if left == 1 or not (_vanished(paths) or _set_aside(paths)):
                    raise
            else:
                return found
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Forget the connection."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            connection.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._connection is None or self._pid != os.getpid():
                self._connection, self._pid = _connect(), os.getpid()
            return self._connection.cursor()


def _connect() -> duckdb.DuckDBPyConnection:
    need("duckdb")
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


def _nothing(columns: Mapping[str, str]) -> str:
    cells = ", ".join(f'CAST(NULL AS {sql}) AS "{name}"' for name, sql in columns.items())
    return f"(SELECT {cells} WHERE false)"


def _vanished(paths: Sequence[str]) -> bool:
    return not all(Path(path).exists() for path in paths)


def _set_aside(paths: Sequence[str]) -> bool:
    """Rename files that cannot be read, so that the others can; tell whether there was one."""
    import pyarrow.parquet as pq

    bad = []
    for path in map(Path, paths):
        try:
            with path.open("rb") as source:
                pq.read_metadata(source)
        except FileNotFoundError:
            continue
        except Exception:  # noqa: BLE001  (whatever is wrong with it, the others are sound)
            bad.append(path)
    for path in bad:
        path.replace(path.with_name(f".{path.name}.unreadable"))
    if bad:
        warnings.warn(
            f"{len(bad)} file(s) of the price history cannot be read and were set aside, "
            f"{bad[0].parent}/.*.unreadable. The rest of the history is not affected.",
            UserWarning,
            stacklevel=4,
        )
    return bool(bad)


__all__ = ["MEMORY", "THREADS", "Engine"]
