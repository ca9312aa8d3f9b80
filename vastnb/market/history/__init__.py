"""What the market was like: a by-product of searching.

Every search that was really sent goes into a small SQLite file (`store`); a finished day becomes one
Parquet file (`days`). Questions (`questions`) go to DuckDB, which reads of a year only what the
question needs (`sql`). All of it is optional: without the extra ``history`` nothing is kept.
"""

from vastnb.market.history.history import History
from vastnb.market.history.keep import Keep
from vastnb.market.history.results import Percentile

__all__ = ["History", "Keep", "Percentile"]
