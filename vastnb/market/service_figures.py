"""The service's own figures on GPU models, as frames.

Sources: the published reference of ``/metrics/gpu/current`` and ``/metrics/gpu/history``. The
columns are fixed, so that a service which leaves one out, or adds one, breaks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from itertools import zip_longest
from typing import Any, Final, Literal, get_args

import pandas as pd

from vastnb.errors import InvalidRequest
from vastnb.market.frames.arrays import STRING, array_of
from vastnb.market.frames.offers import LAST_SECOND
from vastnb.market.query.spans import days_of, step_of
from vastnb.market.tables import gpus
from vastnb.market.tables.schema import Dtype
from vastnb.values import number
from vastnb.wording import refusal

Verified = Literal["yes", "no", "all"]
Hosting = Literal["all", "secure_cloud", "community"]
CHOICES: Final = {
    "verified": get_args(Verified),
    "hosting_type": get_args(Hosting),
    "num_gpus": ("all", "1", "2", "4", "8"),
}

COUNTS: Final = ("rented_verified", "avail_verified", "rented_unverified", "avail_unverified")

CURRENT: Final[dict[str, Dtype]] = {
    "gpu_name": "string",
    "total": "Int64",
    "available": "Int64",
    **dict.fromkeys(COUNTS, "Int64"),
    **dict.fromkeys(
        (
            "usage", "usage_30d", "dlperf", "tflops", "price_p10", "price_p25", "price_median",
            "price_p75", "price_p90", "tflops_per_dollar", "dlperf_per_dollar",
        ),
        "Float64",
    ),
}  # fmt: skip
"""Columns of the current figures: machines, shares in percent, prices in $/h of one GPU."""

SUPPLY: Final = (*COUNTS, "total")
PRICES: Final = tuple(
    f"{side}_{point}" for side in ("rented", "avail") for point in ("p10", "median", "p90")
)

OVER_TIME: Final[dict[str, Dtype]] = {
    **dict.fromkeys(SUPPLY, "Int64"),
    **dict.fromkeys(PRICES, "Float64"),
}
"""Columns over time beside ``at`` and ``gpu_name``: machines, and prices in $/h of one GPU."""


def current_frame(data: Any) -> pd.DataFrame:
    """Return one row for each GPU model from the answer of ``/metrics/gpu/current``."""
    found = data.get("gpus") if isinstance(data, Mapping) else None
    rows = [row for row in found if isinstance(row, Mapping)] if isinstance(found, list) else []
    out = {
        name: array_of([row.get(name) for row in rows], dtype)[0] for name, dtype in CURRENT.items()
    }
    return pd.DataFrame(out, index=pd.RangeIndex(len(rows)), copy=False)


def history_frame(data: Any) -> pd.DataFrame:
    """Return one row for each GPU model and moment from the answer of ``/metrics/gpu/history``."""
    found = data.get("gpus") if isinstance(data, Mapping) else None
    cells: dict[str, list[Any]] = {name: [] for name in ("at", "gpu_name", *OVER_TIME)}
    for gpu, parts in found.items() if isinstance(found, Mapping) else ():
        moments = _moments(parts)
        for moment in sorted(moments):
            cells["at"].append(moment)
            cells["gpu_name"].append(gpu)
            for name in OVER_TIME:
                cells[name].append(moments[moment].get(name))
    times: Any = pd.array([int(at * 1e6) for at in cells["at"]], dtype="int64")
    at: Any = pd.array(times.to_numpy().view("M8[us]"), copy=False)
    out = {
        "at": at.tz_localize(UTC),
        "gpu_name": pd.array(cells["gpu_name"], dtype=STRING),
        **{name: array_of(cells[name], dtype)[0] for name, dtype in OVER_TIME.items()},
    }
    return pd.DataFrame(out, index=pd.RangeIndex(len(cells["at"])), copy=False)


def _moments(parts: Any) -> dict[float, dict[str, Any]]:
    """Put the two series of a model together, which have their times each for itself."""
    found: dict[float, dict[str, Any]] = {}
    for part, names in (("supply_demand", SUPPLY), ("pricing", PRICES)):
        series = parts.get(part) if isinstance(parts, Mapping) else None
        if not isinstance(series, Mapping):
            continue
        stamps = _listed(series.get("timestamps"))
        for name in names:
            for stamp, value in zip_longest(stamps, _listed(series.get(name))[: len(stamps)]):
                at = number(stamp)
                if at is not None and 0 <= at <= LAST_SECOND:  # what a column can hold
                    found.setdefault(at, {})[name] = value
    return found


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def population(verified: str, hosting_type: str, num_gpus: int | str) -> dict[str, Any]:
    """Return the parameters that say which machines are counted.

    Raises
    ------
    InvalidRequest
        If one is not among the choices.
    """
    asked = {"verified": verified, "hosting_type": hosting_type, "num_gpus": str(num_gpus)}
    for name, value in asked.items():
        if value not in CHOICES[name]:
            raise InvalidRequest(
                f"{name}={value!r}: use one of {', '.join(CHOICES[name])}. Nothing was sent."
            )
    return asked


def over_time(
    gpu: str | Sequence[str],
    days: float,
    every: str | None,
    whom: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """Return the parameters of a question for figures over time.

    The end is left to the service, and the beginning is rounded, so that the same question within
    the hour is the same request.

    Raises
    ------
    InvalidRequest
        If an argument cannot be understood.
    """
    span = days_of(days) * 86_400
    asked = {"gpu_name": _spelled(gpu), **whom}
    asked["start"] = str(int((now - span) // 3600 * 3600))
    if every is not None:
        asked["step"] = str(step_of(every) // 1_000_000)
    elif days != 1:
        asked["step"] = str(max(60, int(span / 20)))
    return asked


def _spelled(gpu: str | Sequence[str]) -> str:
    if gpu == "all":
        return "all"
    names: dict[str, None] = {}
    for spelling in [gpu] if isinstance(gpu, str) else gpu:
        names.update(dict.fromkeys(gpus.resolve(spelling)))
    if not names:
        raise refusal('Give a GPU model, or "all".')
    return ", ".join(names)


__all__ = ["CURRENT", "OVER_TIME", "Hosting", "Verified", "current_frame", "history_frame",
           "over_time", "population"]  # fmt: skip
