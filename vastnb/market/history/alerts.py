"""Price alerts that ride on the searches which happen anyway.

Watches and what they found lie in a small SQLite file that the user's kernels share: whichever of
them searches, all watches are looked through, and a machine is told of once, until it was seen at
or above the price again. Nothing is asked of the service for it, and nothing waits: a watch sees
what searches of the same kind return, no more.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import pandas as pd

from vastnb.api.files import private_file
from vastnb.errors import InvalidRequest
from vastnb.market.frames.arrays import STRING
from vastnb.market.frames.credible import believed
from vastnb.market.money.cost import hourly
from vastnb.market.query.local import column_of, is_local, matches
from vastnb.market.query.query import QueryLike, parse_query
from vastnb.values import number
from vastnb.wording import refusal

log = logging.getLogger("vastnb.history")

PATIENCE: Final = 0.5
"""Seconds to wait for another kernel; a search must not be held up."""
HITS_KEPT: Final = 1000
"""Hits that are remembered of one watch."""

Per = Literal["gpu", "offer"]


class Hit(NamedTuple):
    """A machine whose price was below that of an alert.

    Parameters
    ----------
    at : datetime
        When (UTC).
    machine_id, offer_id : int
        The machine, and the offer to rent. Offer ids change, so rent soon.
    gpu_name : str
        GPU model.
    num_gpus : int
        GPUs in the offer.
    price : float
        $/h with the alert's disk, of one GPU or of the whole offer, as in the alert.
    """

    at: datetime
    machine_id: int
    offer_id: int
    gpu_name: str
    num_gpus: int
    price: float


@dataclass(frozen=True, slots=True)
class Watch:
    """What is watched for.

    Parameters
    ----------
    text : str
        The query.
    type : str
        Kind of rental.
    filters : dict
        As `vastnb.market.query.local.matches` takes them.
    below : float
        $/h.
    per : {"gpu", "offer"}
        Of what.
    storage : float
        Disk in GB that the price includes.
    """

    text: str
    type: str
    filters: Mapping[str, Mapping[str, Any]]
    below: float
    per: Per
    storage: float

    def candidates(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the machines of an answer that fit, with ``price``; the cheapest first.

        Those with a price that cannot be true are left out.
        """
        fits = frame[matches(self.filters, frame)]
        price: Any = hourly(fits, self.storage).array
        if self.per == "gpu":
            price = price / believed(fits, "num_gpus").values
        names = ["machine_id", "id", "gpu_name", "num_gpus"]
        found = fits[names].assign(price=price).dropna()
        return found.sort_values("price", kind="stable")

    def __str__(self) -> str:
        what = self.text or "any offer"
        return f"{what} below ${self.below:g}/h{' per GPU' if self.per == 'gpu' else ''}"


def watch_of(
    query: QueryLike, below: float, per: Per, kind: str, storage: float, **keywords: Any
) -> Watch:
    """Return a watch, or refuse it at once.

    Raises
    ------
    QueryError
        If the query cannot be understood.
    InvalidRequest
        If a number makes no sense, or a filter can only be worked out by the service.
    """
    if not (number(below) or 0) > 0:
        raise refusal(f"below={below!r}: give a price in $/h above 0. No alert was set.")
    if per not in ("gpu", "offer"):
        raise refusal(f'per={per!r}: use "gpu" or "offer". No alert was set.')
    parsed = parse_query(query, **keywords)
    body = parsed.body(type=kind, storage=storage)
    own = parsed.filters
    for field, ops in own.items():
        if not is_local(field, ops):
            raise InvalidRequest(
                f"Only Vast.ai can apply the filter on {field!r}, so a price alert cannot use it. "
                "No alert was set. Leave that filter out, and check the offers that are found."
            )
    filters = {
        field: ops
        for field, ops in body.items()
        if isinstance(ops, Mapping) and column_of(field) is not None and is_local(field, ops)
    }
    return Watch(parsed.text, body["type"], filters, float(below), per, body["allocated_storage"])


class Alerts:
    """Watches on disk.

    Parameters
    ----------
    path : callable
        Returns the SQLite file.
    """

    def __init__(self, path: Callable[[], Path]) -> None:
        self._path = path

    @property
    def any(self) -> bool:
        """Whether there may be watches."""
        return self._path().exists()

    def add(self, watch: Watch, now: float) -> int:
        """Keep a watch, and return its number; the same watch again has the same number."""
        values = (watch.text, watch.type, json.dumps(watch.filters), watch.below, watch.per,
                  watch.storage)  # fmt: skip
        with self._open() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO watches"
                " (text, type, filters, below, per, storage, made_at) VALUES (?,?,?,?,?,?,?)",
                (*values, now),
            )
            number: int = connection.execute(
                "SELECT id FROM watches"
                " WHERE text=? AND type=? AND filters=? AND below=? AND per=? AND storage=?",
                values,
            ).fetchone()[0]
        return number

    def watches(self) -> dict[int, Watch]:
        """Return all watches by number."""
        if not self.any:
            return {}
        with self._open() as connection:
            return _watches(connection)

    def remove(self, number: int) -> None:
        """Forget a watch and its hits."""
        with self._open() as connection:
            for table, column in (("watches", "id"), ("hits", "watch"), ("low", "watch")):
                connection.execute(f"DELETE FROM {table} WHERE {column}=?", (number,))

    def hits(self, number: int, after: int = 0) -> list[tuple[int, Hit]]:
        """Return what a watch found, oldest first, with the numbers of the hits."""
        if not self.any:
            return []
        with self._open() as connection:
            rows = connection.execute(
                "SELECT id, at, machine_id, offer_id, gpu_name, num_gpus, price FROM hits"
                " WHERE watch=? AND id>? ORDER BY id",
                (number, after),
            ).fetchall()
        return [(row[0], Hit(datetime.fromtimestamp(row[1], UTC), *row[2:])) for row in rows]

    def check(
        self, frame: pd.DataFrame, kind: str, at: datetime
    ) -> list[tuple[int, Watch, list[Hit]]]:
        """Look through an answer for all watches, and keep what is new.

        Parameters
        ----------
        frame : DataFrame
            Offers.
        kind : str
            Kind of rental that was searched for.
        at : datetime
            When (UTC).

        Returns
        -------
        list of (number, Watch, list of Hit)
            Watches that found something new.
        """
        if not self.any:
            return []
        found = []
        with self._open() as connection:
            for number, watch in _watches(connection).items():
                if watch.type == kind:
                    hits = _news(connection, number, watch, frame, at)
                    if hits:
                        found.append((number, watch, hits))
        return found

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(
            private_file(self._path()), timeout=PATIENCE, isolation_level=None,
            check_same_thread=False,
        )  # fmt: skip
        try:
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        finally:
            connection.close()


_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS watches (id INTEGER PRIMARY KEY AUTOINCREMENT, text, type,"
    " filters, below REAL, per, storage REAL, made_at REAL,"
    " UNIQUE (text, type, filters, below, per, storage))",
    "CREATE TABLE IF NOT EXISTS hits (id INTEGER PRIMARY KEY AUTOINCREMENT, watch INTEGER,"
    " at REAL, machine_id, offer_id, gpu_name, num_gpus, price REAL)",
    # Machines that were told of, and have not been seen at or above the price since.
    "CREATE TABLE IF NOT EXISTS low (watch INTEGER, machine_id, num_gpus,"
    " PRIMARY KEY (watch, machine_id, num_gpus))",
)


def _watches(connection: sqlite3.Connection) -> dict[int, Watch]:
    rows = connection.execute(
        "SELECT id, text, type, filters, below, per, storage FROM watches ORDER BY id"
    ).fetchall()
    return {row[0]: Watch(row[1], row[2], json.loads(row[3]), *row[4:]) for row in rows}


def _news(
    connection: sqlite3.Connection, number: int, watch: Watch, frame: pd.DataFrame, at: datetime
) -> list[Hit]:
    try:
        found = watch.candidates(frame)
    except InvalidRequest as error:  # this frame lacks a column
        log.debug("Not watched for %s: %s", watch, error)
        return []
    rows = [
        (int(machine), int(offer), str(name), int(gpus), float(price))
        for machine, offer, name, gpus, price in found.itertuples(index=False)
    ]
    below = [row for row in rows if row[4] < watch.below]
    low = {row[0] for row in below}
    connection.executemany(
        "DELETE FROM low WHERE watch=? AND machine_id=? AND num_gpus BETWEEN ? AND ?",
        [
            (number, row[0], *_risen(watch, row[3], mixed=row[0] in low))
            for row in rows
            if row[4] >= watch.below
        ],
    )
    told = {
        machine
        for (machine,) in connection.execute(
            "SELECT DISTINCT machine_id FROM low WHERE watch=?", (number,)
        )
    }
    connection.executemany(
        "INSERT OR IGNORE INTO low VALUES (?,?,?)", [(number, row[0], row[3]) for row in below]
    )
    news: dict[int, Hit] = {}
    for row in below:  # the cheapest first
        if row[0] not in told:
            news.setdefault(row[0], Hit(at, *row))
    connection.executemany(
        "INSERT INTO hits (watch, at, machine_id, offer_id, gpu_name, num_gpus, price)"
        " VALUES (?,?,?,?,?,?,?)",
        [(number, hit.at.timestamp(), *hit[1:]) for hit in news.values()],
    )
    connection.execute(
        "DELETE FROM hits WHERE watch=? AND id <= (SELECT id FROM hits WHERE watch=?"
        " ORDER BY id DESC LIMIT 1 OFFSET ?)",
        (number, number, HITS_KEPT),
    )
    return list(news.values())


def _risen(watch: Watch, gpus: int, *, mixed: bool) -> tuple[int, int]:
    """Return which slices of a machine have risen, by their least and greatest number of GPUs.

    One that is at or above the price now tells of those that are not to be seen as well: a larger
    one costs no less, and per GPU all of them cost about the same, unless another one is below.
    """
    if watch.per == "offer":
        return gpus, 2**31
    return (gpus, gpus) if mixed else (0, 2**31)


class Alert:
    """A price alert: what it found, and a way to stop it.

    Parameters
    ----------
    alerts : Alerts
        Where it is kept.
    number : int
        Its number.
    watch : Watch
        What it watches for.
    """

    def __init__(self, alerts: Alerts, number: int, watch: Watch) -> None:
        self._alerts = alerts
        self.number = number
        self.watch = watch

    @property
    def hits(self) -> pd.DataFrame:
        """Machines below the price, found by all your kernels, oldest first.

        ``at`` (UTC), ``machine_id``, ``offer_id``, ``gpu_name``, ``num_gpus``, ``price`` ($/h with
        the alert's disk, of one GPU or of the whole offer).
        """
        hits = [hit for _, hit in self._alerts.hits(self.number)]
        return pd.DataFrame(
            {
                "at": pd.array([hit.at for hit in hits], dtype="datetime64[us, UTC]"),
                **{
                    name: pd.array([getattr(hit, name) for hit in hits], dtype="Int64")
                    for name in ("machine_id", "offer_id")
                },
                "gpu_name": pd.array([hit.gpu_name for hit in hits], dtype=STRING),
                "num_gpus": pd.array([hit.num_gpus for hit in hits], dtype="Int64"),
                "price": pd.array([hit.price for hit in hits], dtype="Float64"),
            }
        )

    def stop(self) -> None:
        """Stop it in all kernels, and delete its hits."""
        self._alerts.remove(self.number)

    def __repr__(self) -> str:
        return f"<price alert {self.number}: {self.watch}>"


def told(watch: Watch, hits: Sequence[Hit]) -> str:
    """Return in words what a watch found."""
    best = hits[0]
    more = f", and {len(hits) - 1} more" if len(hits) > 1 else ""
    unit = "/h per GPU" if watch.per == "gpu" else "/h"
    return (
        f"Price alert ({watch}): {best.num_gpus}x {best.gpu_name} at ${best.price:.3g}{unit}, "
        f"offer {best.offer_id} on machine {best.machine_id}{more}. client.history.alerts lists "
        "your alerts; .stop() ends one."
    )


__all__ = ["Alert", "Alerts", "Hit", "Watch", "told", "watch_of"]
