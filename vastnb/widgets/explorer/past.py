"""Today against the price history: a column for the explorer, where there is a history.

The search comes first: whatever goes wrong here costs it nothing but this column.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import pandas as pd

if TYPE_CHECKING:
    from vastnb.client import Client
    from vastnb.market.history import History

COLUMN: Final = "percentile"
DAYS: Final = 14

_log = logging.getLogger("vastnb.widgets")


def compared(client: Client, frame: pd.DataFrame) -> pd.DataFrame:
    """Return `frame` with a column that says how its prices stand in the last 14 days.

    ``percentile`` is the % of the earlier prices for the same GPU that were higher
    (``client.history.percentiles``). If none of those days was seen, there is no such column:
    today's prices say nothing about today.
    """
    if len(frame) == 0:
        return frame
    try:
        history = client.history
        if not _remembers(history, pd.Timestamp(frame.attrs["vastnb"]["fetched_at"])):
            return frame
        found = history.percentiles(frame, days=DAYS)
    except ImportError:  # without the extra there is no history
        return frame
    except Exception:  # noqa: BLE001  (a damaged file must not hide an answer)
        _log.warning("offers could not be compared with the price history", exc_info=True)
        return frame
    if found.isna().all():
        return frame
    out = frame.assign(**{COLUMN: found})
    out.attrs = dict(frame.attrs)
    return out


def _remembers(history: History, now: pd.Timestamp) -> bool:
    """Whether a day before today was kept. No file is opened but the store."""
    first, today = (now - pd.Timedelta(days=DAYS)).date(), now.date()
    return any(first <= day < today for day in history.days())
