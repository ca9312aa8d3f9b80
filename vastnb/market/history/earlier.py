"""The service's figures in files of an earlier layout: they move into the store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.market.history.columns import frame_from
from vastnb.market.history.sql import Engine, Source
from vastnb.market.metrics import OVER_TIME

if TYPE_CHECKING:
    from vastnb.market.history.store import Store

WHOM: Final = ("verified", "hosting_type", "num_gpus")
COLUMNS: Final[dict[str, str]] = {
    "at": "TIMESTAMPTZ",
    "gpu_name": "VARCHAR",
    **{name: "BIGINT" if dtype == "Int64" else "DOUBLE" for name, dtype in OVER_TIME.items()},
    **dict.fromkeys(WHOM, "VARCHAR"),
    "imported_at": "TIMESTAMPTZ",
}


def adopt_metrics(folder: Path, store: Store, engine: Engine) -> None:
    """Move them; doing it twice changes nothing."""
    paths = [path for path in sorted(folder.glob("day=*/*.parquet")) if path.name[0] != "."]
    if not paths:
        return
    source = Source(tuple(map(str, paths)), None, COLUMNS)
    rows = frame_from(engine.ask(source, 'SELECT * FROM {rows} WHERE "at" IS NOT NULL'))
    about: Any
    for about, part in rows.groupby([*WHOM, "imported_at"]):
        whom = dict(zip(WHOM, about[:3], strict=True))
        store.add_metrics(part, whom, pd.Timestamp(about[3]).to_pydatetime())
    for path in paths:
        path.unlink(missing_ok=True)


__all__ = ["adopt_metrics"]
