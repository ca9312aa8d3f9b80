"""What the market was like: a by-product of searching.

Every search that was really sent leaves a small Parquet file behind (`dataset`); the files of a
finished day are put together to one (`compaction`). Questions go to DuckDB, which reads of a year
only what the question needs (`questions`). All of it is optional: without the extra ``history``
nothing is kept.
"""

from vastnb.market.history.figures import Percentile
from vastnb.market.history.history import History
from vastnb.recording import Keep

__all__ = ["History", "Keep", "Percentile"]
