"""How a column looks in the table: one row here for each column that has a look of its own.

Whatever the service adds and this table does not know is shown under its own name, in the form
that its dtype suggests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import pandas as pd

Form = Literal[
    "id", "int", "float", "usd", "percent", "text", "verification", "flag", "bar", "days"
]


@dataclass(frozen=True, slots=True)
class Look:
    """How one column is shown.

    Parameters
    ----------
    name : str
        The frame's column.
    label, unit : str
        Head of the column; the unit is set small beside it.
    form : str
        ``id``, ``int``, ``float``, ``usd`` ($, 3 decimals or more below a dime), ``percent`` (of
        a fraction), ``text``, ``verification`` (a pill), ``flag`` (a dot), ``bar`` (a number with
        a bar) or ``days`` (of seconds).
    width : int
        Pixels at least.
    decimals : int
        Places that are shown (``float``, ``percent``) and sent.
    title : str
        What it means, as a tooltip of the head.
    """

    name: str
    label: str
    unit: str = ""
    form: Form = "float"
    width: int = 72
    decimals: int = 1
    title: str = ""


# ruff: noqa: E501
# fmt: off
_EXPLORER = (
    Look("gpu_name", "GPU", "", "text", 124, 0, "GPU model"),
    Look("num_gpus", "GPUs", "", "int", 54, 0, "GPUs in this offer"),
    Look("gpu_ram_gb", "VRAM", "GB", "float", 70, 0, "Memory of one GPU, nominal"),
    Look("dph_total", "Price", "$/h", "usd", 78, 6, "Price per hour of the whole offer, with your disk; traffic is extra"),
    Look("dph_gpu", "Per GPU", "$/h", "usd", 92, 6, "Price per hour of one GPU, with your disk"),
    Look("percentile", "vs past", "%", "float", 84, 0, "Percentage of the last 14 days' prices of this GPU that were higher; 83 is cheaper than 83 %"),
    Look("dlperf", "DLPerf", "", "bar", 112, 2, "Vast's deep learning benchmark of the whole offer"),
    Look("dlperf_per_dphtotal", "DLP/$", "", "float", 66, 1, "DLPerf per $/h, with your disk"),
    Look("reliability", "Reliab.", "%", "percent", 76, 6, "How reliable the host has been, 0 to 100 %"),
    Look("verification", "Host", "", "verification", 92, 0, "Whether Vast has verified the machine"),
    Look("datacenter", "DC", "", "flag", 40, 0, "In a datacenter"),
    Look("geolocation", "Where", "", "text", 138, 0, "Location, as stated by the host"),
    Look("disk_space", "Disk", "GB", "float", 76, 0, "Largest disk of this offer"),
    Look("inet_down", "Down", "Mbit/s", "float", 98, 0, "Measured download speed"),
    Look("cpu_cores_effective", "Cores", "", "float", 62, 1, "Your share of the machine's CPU cores"),
    Look("cpu_ram_gb", "RAM", "GB", "float", 70, 0, "Your share of the machine's memory"),
    Look("duration", "Max", "days", "days", 78, 0, "Longest possible rental"),
    Look("cuda_max_good", "CUDA", "", "float", 62, 1, "Newest CUDA that the driver supports"),
    Look("id", "Offer", "", "id", 84, 0, "Offer id, to rent it by"),
)
_OTHERS = (
    Look("gpu_ram", "VRAM", "MB", "int", 80, 0, "Memory of one GPU as the host reports it"),
    Look("dph_base", "Base", "$/h", "usd", 74, 6, "Price per hour of the offer, without disk"),
    Look("min_bid", "Min bid", "$/h", "usd", 84, 6, "Minimum bid per hour for an interruptible instance"),
    Look("total_flops", "TFLOPS", "", "float", 76, 1, "Single-precision TFLOPS of the whole offer"),
    Look("country", "Country", "", "text", 74, 0, "Country of the machine"),
    Look("inet_up", "Up", "Mbit/s", "float", 88, 0, "Measured upload speed"),
    Look("cpu_ram", "RAM", "MB", "float", 84, 0, "Your share of the machine's memory"),
    Look("machine_id", "Machine", "", "id", 80, 0, "Machine id: stays when offers come and go"),
    Look("host_id", "Host id", "", "id", 80, 0, "Who owns the machine"),
    Look("cpu_name", "CPU", "", "text", 170, 0, "As the host reports it"),
)
# fmt: on

LOOKS: dict[str, Look] = {look.name: look for look in (*_EXPLORER, *_OTHERS)}
EXPLORER_COLUMNS = tuple(look.name for look in _EXPLORER)
"""What the explorer shows, where the frame has it, in this order."""


def look_of(name: str, dtype: Any) -> Look:
    """Return how the column `name` is shown; unknown ones by their dtype."""
    if name in LOOKS:
        return LOOKS[name]
    if pd.api.types.is_bool_dtype(dtype):
        return Look(name, name, "", "flag", max(60, 8 * len(name) + 24))
    if pd.api.types.is_numeric_dtype(dtype):
        whole = pd.api.types.is_integer_dtype(dtype)
        decimals = 0 if whole else 3
        return Look(name, name, "", "int" if whole else "float", 8 * len(name) + 24, decimals)
    return Look(name, name, "", "text", max(110, 8 * len(name) + 24), 0)


def looks_of(frame: pd.DataFrame, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return the looks of `columns` (default: all) that `frame` has, ready to be sent."""
    names = [str(name) for name in (frame.columns if columns is None else columns)]
    return [asdict(look_of(name, frame[name].dtype)) for name in names if name in frame.columns]
