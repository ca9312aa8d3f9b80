"""From the records of instances to a frame, with a verdict and without a secret.

One table names every column; the frame has all of them in every answer, an empty one included.
What the table does not name never gets in, and that is how secrets stay out: the Jupyter token,
the instance's own key, the start script, the arguments, and the values in the environment, of
which only the names are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from vastnb.api.text import plain
from vastnb.fleet.connect import ssh_address
from vastnb.fleet.costs import dph_now
from vastnb.fleet.env import env_names
from vastnb.fleet.looks import SHOWN
from vastnb.fleet.status import Verdict, judge
from vastnb.market.frames.offers import country_code
from vastnb.market.frames.records import frame_of_columns
from vastnb.market.tables.schema import Column, read_table
from vastnb.values import number

# As the table of offers, see `vastnb.market.tables.schema.read_table`. Behind the letter: `!` if
# every list asks for it, since a machine is recognised and named by it; `*` if the watcher's looks
# do; `-` if no frame has it. What is worked out has its function in `_DERIVE`.
_TABLE: Final = """
i!* id [] the instance's id
s!* label [] your label
s state [] the verdict: starting, running, stuck, failed and so on; from the record and its history
s reason [] the verdict's reason, in words; from the record and its history
s advice [] what to do about it; from the record and its history
s!* gpu_name [] GPU model, in the service's spelling
i!* num_gpus [] GPUs of the instance
i* gpu_ram [MB] VRAM of one GPU, as its driver reports it
i gpu_totalram [MB] VRAM of all GPUs of the instance
f* gpu_util [%] how busy the GPUs are
f* gpu_temp [°C] temperature of the GPUs
f* cpu_util [%] how busy the CPU is
f* mem_usage [GB] memory in use
f* mem_limit [GB] memory of the instance
f* vmem_usage [GB] VRAM in use
f* disk_space [GB] disk of the instance
f* disk_usage [GB] disk in use; missing until it runs
f!* dph_total [$/h] price while it runs, disk included
f* dph_base [$/h] price of the GPUs; the bid of an interruptible instance
f!* storage_total_cost [$/h] price of the disk, billed while stopped too
f dph_now [$/h] what is charged now, without traffic; from instance
f* min_bid [$/h] lowest bid that runs
b!* is_bid [] whether it is interruptible
f* inet_down_cost [$/GB] traffic to the machine
f* inet_up_cost [$/GB] traffic from the machine
t start_at [UTC] when it was created; from start_date
f age_hours [h] since it was created; from start_date
f* duration [s] longest time that it can still run
t end_at [UTC] when the machine's offer ends; from end_date
s!* actual_status [] the service's word for how it is
s!* intended_status [] ... and for what it is meant to be
s* cur_state [] ... for what its contract is now
s* next_state [] ... and will be
s* status_msg [] the machine's own message, cleaned and cut
s!* image_uuid [] image
s* image_runtype [] how it was launched
s env_names [] names in the environment and mapped ports, without values; from extra_env
s template_hash_id [] template that it was made from
s ssh_address [] where SSH listens, direct if possible; from ports, ssh_host, ssh_port
s* public_ipaddr [] the machine's address
i!* machine_id [] the machine
i* host_id [] its owner
s country [] two letters; from geolocation
s* geolocation [] region and country, as the host gave them
f reliability2 [0-1] the service's estimate that the machine stays up
s verification [] verified, unverified or deverified
s driver_version [] GPU driver
f cuda_max_good [] newest CUDA version that the driver supports
f-!* start_date [s] when it was created, epoch seconds
f-* end_date [s] when the machine's offer ends, epoch seconds
j-* instance [] what is charged at the moment, by parts
f-* inet_down_billed [MB] traffic to the machine so far, as billed
f-* inet_up_billed [MB] traffic from the machine so far, as billed
j-!* extra_env [] the environment, with its values
j-* ports [] where its ports are open
s-* ssh_host [] the proxy by which SSH reaches it
i-* ssh_port [] ... and the port there
"""


def _marked(mark: str) -> frozenset[str]:
    rows = (line.split(" ", 2) for line in _TABLE.strip().splitlines())
    return frozenset(name for letter, name, _ in rows if mark in letter)


_COLUMNS: Final = read_table(_TABLE, default=True)

INSTANCE_COLUMNS: Final[dict[str, Column]] = {
    name: column for name, column in _COLUMNS.items() if name not in _marked("-")
}
"""Every column of a frame of instances by name, in order."""

WIRE_COLUMNS: Final = tuple(name for name, column in _COLUMNS.items() if column.derived is None)
"""Columns of the service that a frame, a verdict and an SSH address are made from."""

LIST_COLUMNS: Final = tuple(name for name in WIRE_COLUMNS if name in _marked("!"))
"""Columns by which a machine is recognised and named."""

WATCH_COLUMNS: Final = tuple(name for name in WIRE_COLUMNS if name in _marked("*"))
"""Columns that a look asks for: no token, no start script."""


def frame_of_instances(
    rows: Sequence[Any],
    *,
    now: float,
    verdicts: Mapping[int, Verdict] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> pd.DataFrame:
    """Build the frame of an answer.

    Parameters
    ----------
    rows : list of dict
        The ``instances`` of an answer, as JSON gives them.
    now : float
        When it was fetched, epoch seconds; for ages, and for verdicts.
    verdicts : dict of int to Verdict, optional
        By instance id, from whoever has watched them. Others are judged by their record alone,
        which cannot tell what is stuck.
    provenance : dict, optional
        JSON-able; becomes ``attrs["vastnb"]``, with ``unfit`` added: how many values of a column
        had a wrong type and are missing (under ``"(row)"``: how many rows were no objects).

    Returns
    -------
    DataFrame, shape (number of records, number of columns)
        With a RangeIndex and the columns of `INSTANCE_COLUMNS`, always in the same dtypes; missing
        is missing. It holds no secret.
    """
    records = [row for row in rows if isinstance(row, Mapping)]
    cells = [_row(record, _verdict(record, now, verdicts or {}), now) for record in records]
    frame, unfit = frame_of_columns(cells, {n: c.dtype for n, c in INSTANCE_COLUMNS.items()})
    if len(records) < len(rows):
        unfit["(row)"] = len(rows) - len(records)
    frame.attrs["vastnb"] = {**(provenance or {}), "unfit": unfit}
    return frame


def _row(record: Mapping[str, Any], verdict: Verdict, now: float) -> dict[str, Any]:
    derived = {name: derive(record, now) for name, derive in _DERIVE.items()}
    said = {"state": verdict.state, "reason": verdict.reason, "advice": verdict.advice}
    return {**record, **derived, **said}


def _verdict(record: Mapping[str, Any], now: float, verdicts: Mapping[int, Verdict]) -> Verdict:
    identity = record.get("id")
    known = verdicts.get(identity) if type(identity) is int else None
    return known if known is not None else judge(record, now=now)


def _age_hours(record: Mapping[str, Any], now: float) -> float | None:
    start = number(record.get("start_date"))
    return None if start is None else max(0.0, now - start) / 3600.0


def _disk_usage(record: Mapping[str, Any], now: float) -> Any:
    used = record.get("disk_usage")
    # The service's way of saying that it does not know yet.
    return None if used == -1 else used


def _message(record: Mapping[str, Any], now: float) -> str | None:
    text = record.get("status_msg")
    return (plain(text, SHOWN) or None) if isinstance(text, str) else None


def _env(record: Mapping[str, Any], now: float) -> str | None:
    return ", ".join(env_names(record.get("extra_env"))) or None


def _ssh(record: Mapping[str, Any], now: float) -> str | None:
    address = ssh_address(record)
    if address is None:
        return None
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


_DERIVE: Final[dict[str, Callable[[Mapping[str, Any], float], Any]]] = {
    "start_at": lambda record, now: number(record.get("start_date")),
    "end_at": lambda record, now: number(record.get("end_date")),
    "age_hours": _age_hours,
    "dph_now": lambda record, now: dph_now(record),
    "disk_usage": _disk_usage,
    "status_msg": _message,
    "env_names": _env,
    "ssh_address": _ssh,
    "country": lambda record, now: country_code(record.get("geolocation")),
}
