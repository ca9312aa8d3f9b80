"""What the machines cost now, and how long the credit lasts: a value made from one list."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pandas as pd

from vastnb import html
from vastnb.api.text import plain, seconds
from vastnb.fleet.status import judge
from vastnb.market.frames.arrays import array_of
from vastnb.market.frames.offers import times_of
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


@dataclass(frozen=True)
class Burn:
    """What the account's machines cost.

    Parameters
    ----------
    per_hour : float
        $/h in all, without traffic.
    running_per_hour, stopped_per_hour : float
        $/h of the machines that are meant to run (disks included), and of the disks of the others.
    stopped : tuple of int
        Machines that do not run and are billed all the same.
    credit : float or None
        What the account has left, $; None if the service did not tell.
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
        machines=_frame(rows),
    )


def _row(record: Mapping[str, Any], now: float, deadlines: Mapping[int, float]) -> dict[str, Any]:
    runs = record.get("intended_status") != "stopped"
    disk = number(record.get("storage_total_cost"))
    label = record.get("label")
    return {
        "id": record.get("id"),
        "label": plain(label, 80) if isinstance(label, str) else None,
        "state": judge(record, now=now).state,
        "gpu_name": record.get("gpu_name"),
        "num_gpus": record.get("num_gpus"),
        "per_hour": number(record.get("dph_total")) if runs else disk,
        "storage_per_hour": disk,
        "runs": runs,
        "deadline": deadlines.get(record.get("id", 0)),
    }


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    arrays: dict[str, Any] = {}
    for name, column in COLUMNS.items():
        cells = [row[name] for row in rows]
        timed = column.dtype == "datetime"
        array = array_of(cells, "Float64" if timed else column.dtype)[0]
        arrays[name] = times_of(array) if timed else array
    return html.ours(pd.DataFrame(arrays, index=pd.RangeIndex(len(rows))))
