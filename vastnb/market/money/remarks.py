"""What is unusual about an offer, as remarks with the figures that they come from.

Each function looks at one side of an offer and says nothing where there is nothing to say, or
where too few other machines are at hand to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from vastnb.errors import QueryError, VastError
from vastnb.market.frames.credible import believed
from vastnb.market.money.formula import measured
from vastnb.values import number, text
from vastnb.wording import percent, span, usd

Level = Literal["good", "note", "warn"]
FEW: Final = 5
"""Fewer other machines than these are no measure."""


@dataclass(frozen=True)
class Remark:
    """Something unusual.

    Parameters
    ----------
    level : str
        ``"good"``, ``"note"`` or ``"warn"``.
    text : str
        In words, with figures.
    """

    level: Level
    text: str


@dataclass(frozen=True)
class Among:
    """An offer among its peers, and what these are in words."""

    frame: pd.DataFrame
    at: int
    row: pd.Series[Any]
    peers: np.ndarray
    what: str

    def pair(self, formula: str) -> tuple[float, np.ndarray] | None:
        """Return the offer's value and its peers', or `None` where that says nothing."""
        try:
            values = measured(self.frame, formula)
        except QueryError:
            return None
        others = values[self.peers]
        others = others[~np.isnan(others)]
        if np.isnan(values[self.at]) or len(others) < FEW:
            return None
        return float(values[self.at]), others

    def believed(self, name: str) -> float | None:
        """Return one of its numbers, `None` if it is missing or not credible."""
        if name not in self.frame.columns:
            return None
        value = float(believed(self.frame, name).values[self.at])
        return None if np.isnan(value) else value

    @property
    def gpu(self) -> str:
        """Its GPU model, for sentences."""
        return text(self.row.get("gpu_name")) or "this GPU"


def on_prices(seen: Among) -> list[Remark]:
    """Say how its prices and its benchmark compare with those of its peers."""
    found: list[Remark] = []
    if pair := seen.pair("dph_base / num_gpus"):
        mine, others = pair
        share = share_above(others, mine)
        level: Level = "good" if share >= 0.75 else "warn" if share <= 0.1 else "note"
        found.append(
            Remark(
                level,
                f"{usd(mine)}/h per GPU without disk: cheaper than {percent(share)} of the other "
                f"{seen.what} here (median {usd(float(np.median(others)))}).",
            )
        )
    for column, what, unit in (
        ("inet_down_cost", "Download", "/GB"),
        ("inet_up_cost", "Upload", "/GB"),
        ("storage_cost", "Disk", "/GB/month"),
    ):
        if pair := seen.pair(column):
            mine, others = pair
            median = float(np.median(others))
            if mine > 0 and mine >= 2 * median and mine > float(np.quantile(others, 0.8)):
                times = f"{mine / median:.1f} times" if median > 0 else "more than"
                found.append(
                    Remark(
                        "warn",
                        f"{what} at {usd(mine)}{unit} is {times} the median ({usd(median)}).",
                    )
                )
    if pair := seen.pair("dlperf / num_gpus"):
        mine, others = pair
        ratio = mine / float(np.median(others))
        if not 0.8 <= ratio <= 1.25:
            way = "slower" if ratio < 1 else "faster"
            found.append(
                Remark(
                    "warn" if ratio < 1 else "good",
                    f"Its benchmark is {percent(abs(1 - ratio))} {way} than usual for the "
                    f"{seen.gpu} (DLPerf {mine:.1f} per GPU, median {np.median(others):.1f}).",
                )
            )
    return found


def share_above(others: np.ndarray, mine: float) -> float:
    """Return which share (0-1) of prices is above one, equal ones counting half."""
    return float((others > mine).mean() + (others == mine).mean() / 2)


def on_parts(value: Mapping[str, float | None]) -> list[Remark]:
    """Say when traffic is a large part of a job."""
    total = value["total_usd"]
    traffic = (value["download_usd"] or 0.0) + (value["upload_usd"] or 0.0)
    if total and traffic > 0.25 * total:
        return [Remark("warn", f"Traffic is {percent(traffic / total)} of the cost of this job.")]
    return []


def on_the_job(seen: Among, hours: float, disk: float, download_gb: float) -> list[Remark]:
    """Say what stands in the way of a job: disk, time, download speed."""
    found = []
    space = seen.believed("disk_space")
    if space is not None and disk > space:
        found.append(Remark("warn", f"It has {space:.0f} GB of disk; this job needs {disk:g} GB."))
    lasts = seen.believed("duration")
    if lasts is None and not pd.isna(seen.row.get("duration")):
        found.append(Remark("note", "Its end date is not credible (decades away)."))
    elif lasts is not None and lasts < hours * 3600:
        found.append(
            Remark(
                "warn", f"It can be rented for {span(lasts)} at most; this job takes {hours:g} h."
            )
        )
    elif lasts is not None and lasts < 3 * 86400:
        found.append(Remark("note", f"It can be rented for {span(lasts)} at most."))
    speed = seen.believed("inet_down")
    if speed is None:
        found.append(Remark("note", "Its download speed was not measured, or is not credible."))
    elif download_gb and (download_gb * 8000 / speed) > 900:
        took = span(download_gb * 8000 / speed)
        found.append(
            Remark(
                "note",
                f"Downloading {download_gb:g} GB takes about {took} at its {speed:,.0f} Mbit/s.",
            )
        )
    return found


def on_trust(seen: Among) -> list[Remark]:
    """Say whether it is unverified or unreliable, and which memory it has."""
    found = []
    verification = text(seen.row.get("verification"))
    if verification and verification != "verified":
        found.append(Remark("warn", f"The machine is {verification}."))
    reliability = seen.believed("reliability")
    if reliability is not None and reliability < 0.95:
        found.append(Remark("warn", f"Its reliability is {reliability * 100:.1f} %."))
    if "gpu_ram_gb" in seen.frame.columns and "gpu_name" in seen.frame.columns:
        same = seen.frame["gpu_name"].eq(seen.row["gpu_name"]).fillna(False)
        sizes = sorted({int(v) for v in seen.frame.loc[same, "gpu_ram_gb"].dropna()})
        mine = number(seen.row.get("gpu_ram_gb"))
        if len(sizes) > 1 and mine is not None:
            others = ", ".join(f"{size} GB" for size in sizes if size != mine)
            found.append(Remark("note", f"This is the version with {mine:.0f} GB; there is also "
                                        f"{others}."))  # fmt: skip
    return found


def on_bids(rate: Mapping[str, float | None]) -> list[Remark]:
    """Say what an interruptible rental would save."""
    bid, base = rate["min_bid"], rate["dph_base"]
    if bid is None or base is None or not base > 0:
        return []
    if bid > base:
        return [
            Remark("note", "Its lowest bid is above its on-demand price: a bid would save nothing.")
        ]
    if bid <= 0.7 * base:
        return [Remark("note", f"Interruptible from {usd(bid)}/h, {percent(1 - bid / base)} less.")]
    return []


def on_history(history: Any, offer: pd.DataFrame) -> list[Remark]:
    """Say how the price stands among earlier ones.

    Parameters
    ----------
    history : History
        ``client.history``.
    offer : DataFrame
        One row.
    """
    try:
        said = history.percentile(offer)
    except (VastError, ImportError) as error:
        return [Remark("note", f"The price history could not be read: {error}")]
    percent_higher = float(said)
    level: Level = "good" if percent_higher >= 75 else "warn" if percent_higher <= 10 else "note"
    words = str(said)
    return [Remark(level, f"{words[:1].upper()}{words[1:]}.")]
