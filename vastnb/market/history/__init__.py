"""What the market was like: a by-product of searching.

Every search that was really sent goes into a small SQLite file (`store`); a finished day becomes
one Parquet file (`days`). Questions (`questions`) go to DuckDB, which reads of a year only what
the question needs (`sql`). All of it is optional: without the extra ``history`` nothing is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vastnb.market.history.keep import Keep

if TYPE_CHECKING:
    from vastnb.market.history.history import History
    from vastnb.market.history.results import Percentile


def __getattr__(name: str) -> Any:
    """Import the history itself when it is first needed: every client imports this package."""
    if name == "History":
        from vastnb.market.history.history import History

        return History
    if name == "Percentile":
        from vastnb.market.history.results import Percentile

        return Percentile
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["History", "Keep", "Percentile"]
