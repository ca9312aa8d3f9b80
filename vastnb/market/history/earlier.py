"""Histories of an earlier layout: one file for each search, later put together.

They are taken over at first open. Doing it twice, or being killed on the way, changes nothing: a
snapshot that is known does not come in again. An earlier version may go on writing beside this one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from vastnb.errors import HistoryError
from vastnb.market.history.columns import frame_from
from vastnb.market.history.days import COLUMNS as OFFERS
from vastnb.market.history.days import (
    KEY,
    PATIENCE,
    Days,
    day_file,
    folders,
    is_day_file,
    parquet_in,
    sole,
    unlink,
)
from vastnb.market.history.sql import Engine, Source
from vastnb.market.service_figures import OVER_TIME

if TYPE_CHECKING:
    from vastnb.market.history.store import Store

log = logging.getLogger("vastnb.history")

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


def migrate(days: Days, today: date) -> None:
    """Take over files that were written one for each search: they become files of days."""
    if not any(_loose(days.folder)):
        return
    with sole(days.folder, PATIENCE) as alone:
        if not alone:
            return  # next time
        number = days.store.tick()
        waiting = set(days.store.days())
        for day, paths in list(_loose(days.folder)):
            has_more = day in waiting or bool(days.files(day, day))
            try:
                if len(paths) == 1 and day < today and not has_more:
                    paths[0].rename(paths[0].with_name(day_file(number)))
                else:
                    _adopt(days, day, paths, finished=day < today)
            except HistoryError as error:  # one file of this day; the rest of it next time
                log.warning("%s", error)


def _adopt(days: Days, day: date, paths: list[Path], *, finished: bool) -> None:
    days.check(paths)
    if finished or days.files(day, day):
        days.fold(day, paths)
    else:
        columns = {**OFFERS, "filename": "VARCHAR"}
        rows = days.engine.ask(
            Source(tuple(map(str, paths)), None, columns),
            "SELECT * EXCLUDE (filename) FROM {rows}"
            f" QUALIFY filename = min(filename) OVER (PARTITION BY {', '.join(KEY)})",
        )
        days.store.add_rows(frame_from(rows))
    for path in paths:
        unlink(path)


def _loose(folder: Path) -> Iterator[tuple[date, list[Path]]]:
    for day, inside in folders(folder):
        loose = [inside / name for name in parquet_in(inside) if not is_day_file(name)]
        if loose:
            yield day, sorted(loose)


__all__ = ["adopt_metrics", "migrate"]
