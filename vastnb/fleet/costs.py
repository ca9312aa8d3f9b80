"""What machines cost now, how long the credit lasts, and what of them `sweep` ends.

What a machine costs has two answers: what is charged at the moment (`dph_now`), and what it costs
as it is meant to be (`dph_meant`), which counts a machine that still loads with its full price.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from vastnb import html
from vastnb.api.text import plain, seconds
from vastnb.fleet.status import judge
from vastnb.market.frames.records import frame_of_columns
from vastnb.market.tables.schema import Column, read_table
from vastnb.values import number

COLUMNS: Final[dict[str, Column]] = read_table(
    """
i id [] the instance's id
s label [] your label
s state [] the verdict on its record
s gpu_name [] GPU model
i num_gpus [] its GPUs
f per_hour [$/h] what it costs as it is meant to be, without traffic
f storage_per_hour [$/h] ... of which for its disk, stopped or not
b runs [] whether it is meant to run
b ours [] whether vastnb rented it on this computer
t deadline [UTC] when it is to be destroyed
""",
    default=True,
)
"""The columns of `Burn.machines`."""


def dph_meant(record: Mapping[str, Any]) -> float | None:
    """Return what a machine costs as it is meant to be, without traffic, $/h; None if unknown."""
    stopped = record.get("intended_status") == "stopped"
    return number(record.get("storage_total_cost" if stopped else "dph_total"))


def dph_now(record: Mapping[str, Any]) -> float | None:
    """Return what a machine is charged at the moment, without traffic, $/h; None if unknown."""
    parts = record.get("instance")
    found = number(parts.get("totalHour")) if isinstance(parts, Mapping) else None
    return dph_meant(record) if found is None else found


@dataclass(frozen=True)
class Burn:
    """What the account's machines cost.

    Parameters
    ----------
    per_hour : float
        $/h in total, without traffic.
    running_per_hour, stopped_per_hour : float
        $/h of the machines that are meant to run (disks included), and of the disks of the others.
    stopped : tuple of int
        Machines that are not running but still billed.
    credit : float or None
        What the account has left, $; None if it is not known.
    runway_hours : float or None
        Hours until the credit is spent at this rate; infinite if nothing is billed.
    machines : DataFrame
        One row per machine, most expensive first: ``id``, ``label``, ``state``, ``gpu_name``,
        ``num_gpus``, ``per_hour``, ``storage_per_hour`` ($/h), ``runs``, ``ours``, ``deadline``
        (UTC).
    """

    per_hour: float
    running_per_hour: float
    stopped_per_hour: float
    stopped: tuple[int, ...]
    credit: float | None
    runway_hours: float | None
    machines: pd.DataFrame = field(repr=False)

    def _lines(self) -> list[str]:
        count = len(self.machines)
        if not count:
            lines = ["Nothing is billed: you have no instances."]
        else:
            lines = [
                f"{count} instance{'s' if count > 1 else ''}: ${self.per_hour:.4f}/h, "
                f"${self.per_hour * 24:.2f} a day, traffic not included."
            ]
        if self.stopped:
            lines.append(
                f"Stopped but billed for their disks: {', '.join(map(str, self.stopped))}, "
                f"${self.stopped_per_hour:.4f}/h. Destroy them to end these charges."
            )
        if self.credit is not None:
            lasts = ""
            if self.runway_hours is not None and self.runway_hours < 24 * 365:
                lasts = f": lasts {seconds(self.runway_hours * 3600)} at this rate"
            lines.append(f"Credit ${self.credit:.2f}{lasts}.")
        return lines

    def __str__(self) -> str:
        return "\n".join(self._lines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        lines = (f"<div>{html.escape(line)}</div>" for line in self._lines())
        return html.block(*lines, html.frame(self.machines.drop(columns=["storage_per_hour"])))


def burn_of(
    records: Sequence[Mapping[str, Any]],
    *,
    now: float,
    credit: float | None = None,
    deadlines: Mapping[int, float] | None = None,
    known: Container[int] = (),
) -> Burn:
    """Reckon what machines cost.

    Parameters
    ----------
    records : sequence of mapping
        As the service lists them.
    now : float
        When they were fetched, epoch seconds.
    credit : float, optional
        What the account has left, $.
    deadlines : mapping of int to float, optional
        By instance, epoch seconds.
    known : container of int
        The instances that vastnb has rented on this computer.

    Returns
    -------
    Burn
        A machine that is meant to run counts with its full price, also while it loads.
    """
    rows = [
        {**_row(record, now, deadlines or {}), "ours": record.get("id") in known}
        for record in records
    ]
    rows.sort(key=lambda row: -(row["per_hour"] or 0.0))
    running = sum(row["per_hour"] or 0.0 for row in rows if row["runs"])
    stopped = sum(row["per_hour"] or 0.0 for row in rows if not row["runs"])
    total = running + stopped
    runway = None if credit is None else max(0.0, credit) / total if total > 0 else float("inf")
    return Burn(
        per_hour=total,
        running_per_hour=running,
        stopped_per_hour=stopped,
        stopped=tuple(row["id"] for row in rows if not row["runs"]),
        credit=credit,
        runway_hours=runway,
        machines=html.ours(frame_of_columns(rows, {n: c.dtype for n, c in COLUMNS.items()})[0]),
    )


def _row(record: Mapping[str, Any], now: float, deadlines: Mapping[int, float]) -> dict[str, Any]:
    runs = record.get("intended_status") != "stopped"
    label = record.get("label")
    return {
        "id": record.get("id"),
        "label": plain(label, 80) if isinstance(label, str) else None,
        "state": judge(record, now=now).state,
        "gpu_name": record.get("gpu_name"),
        "num_gpus": record.get("num_gpus"),
        "per_hour": dph_meant(record),
        "storage_per_hour": number(record.get("storage_total_cost")),
        "runs": runs,
        "deadline": deadlines.get(record.get("id", 0)),
    }


@dataclass(frozen=True)
class Sweep:
    """What `Client.sweep` found, or did.

    A machine is swept if the journal knows its contract. Anything else has to be named by its id,
    be it marked by vastnb: whoever rented it elsewhere may need it.

    Parameters
    ----------
    ids : tuple of int
        The machines that were rented by vastnb on this computer.
    per_hour : float
        What they cost, $/h.
    dry_run : bool
        True if they were only named, False if they were destroyed.
    others : int
        Machines of the account that are not touched.
    machines : DataFrame
        One row for each of `ids`, as in `Burn.machines`.
    """

    ids: tuple[int, ...]
    per_hour: float
    dry_run: bool
    others: int = 0
    machines: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def __str__(self) -> str:
        rest = f" Machines not touched: {self.others}." if self.others else ""
        if not self.ids:
            return f"No machine was rented by vastnb on this computer.{rest}"
        named = ", ".join(map(str, self.ids))
        machines = f"{len(self.ids)} machine{'s' * (len(self.ids) > 1)} rented by vastnb"
        if self.dry_run:
            return (
                f"Would destroy {machines}, ${self.per_hour:.4f}/h: {named}. "
                f"client.sweep(dry_run=False) does it; all data on their disks is lost.{rest}"
            )
        return f"Destroyed {machines}, ${self.per_hour:.4f}/h: {named}.{rest}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html.block(f"<div>{html.escape(str(self))}</div>", html.frame(self.machines))


def sweep_of(burn: Burn, *, dry_run: bool) -> Sweep:
    """Return what there is to sweep among the machines of an account."""
    mine = burn.machines[burn.machines["ours"].to_numpy(dtype=bool)].reset_index(drop=True)
    return Sweep(
        ids=tuple(int(number) for number in mine["id"]),
        per_hour=float(mine["per_hour"].sum()),
        dry_run=dry_run,
        others=len(burn.machines) - len(mine),
        machines=mine,
    )
