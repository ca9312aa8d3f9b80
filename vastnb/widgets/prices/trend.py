"""The chart of prices over time, from a trend of ``client.history``; see `charts`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.widgets.prices import words
from vastnb.widgets.prices.axes import (
    BOTTOM,
    TOP,
    axis_below,
    chart,
    empty,
    numbers,
    price_axis_left,
)
from vastnb.widgets.prices.scene import (
    OTHER,
    Scale,
    Scene,
    fitted,
    node,
    rule,
    span_of,
    text_width,
    write,
)
from vastnb.wording import usd

MOST_LINES: Final = 6
STEPS_H: Final = (1, 3, 6, 12, 24, 48, 72, 168, 336, 672, 1344)
"""Hours from tick to tick."""


def trend(
    frame: pd.DataFrame, colours: Mapping[str, str], width: float, days: float, note: str = "", *,
    tips: bool = True,
) -> Scene:  # fmt: skip
    """Draw how the median price moved in `days`, with the band of the middle half.

    Where there is nothing to draw, `note` says why.
    """
    title = words.TREND_TITLE.format(days=days, s="s" if days != 1 else "")
    frame = frame[frame["median"].notna()]
    if len(frame) == 0:
        return empty(title, words.NO_PRICE_HISTORY_YET, note or words.LOOK_TOMORROW, width)
    every = _lines(frame)
    common = sorted(every, key=lambda label: -float(every[label]["machines"].mean()))
    lines = {label: every[label] for label in common[:MOST_LINES]}
    left, right = 52.0, width - min(max(map(text_width, lines)) + 28, width * 0.3)
    times = {label: _seconds(part["at"]) for label, part in lines.items()}
    ends = np.concatenate([*times.values()])
    x = Scale(float(ends.min()), float(ends.max()), left, right, log=False)
    bands = [numbers(part[q]) for part in lines.values() for q in ("q25", "q75", "median")]
    y = Scale(*span_of(*bands, pad=0.12), BOTTOM, TOP + 4)
    body = price_axis_left(y, left, right, words.TREND_UNIT)
    body += axis_below(x, _days(float(ends.min()), float(ends.max()), right - left), grid=0.07)
    last: list[tuple[float, str, str]] = []
    for label, part in lines.items():
        name = str(part["gpu_name"].iloc[0])
        colour = colours.get(name, OTHER)
        px = x(times[label])
        low, mid, high = (y(numbers(part[q])) for q in ("q25", "median", "q75"))
        runs = _runs(times[label])
        for run in runs:
            edge = [*zip(px[run], high[run], strict=True),
                    *zip(px[run][::-1], low[run][::-1], strict=True)]  # fmt: skip
            body.append(node("path", d=_path(edge) + "Z", fill=colour,
                             fill_opacity=0.16 if len(lines) < 3 else 0.1))  # fmt: skip
        line = [
            node("path", d=_path(zip(px[run], mid[run], strict=True)) + "h0" * (len(px[run]) == 1))
            for run in runs
        ]
        body.append(node("g", line, gpu=name, fill="none", stroke=colour, stroke_width=2,
                         stroke_linejoin="round", stroke_linecap="round"))  # fmt: skip
        if tips:
            points = zip(px.tolist(), mid.tolist(), _tips(label, part), strict=True)
            reach = 7 if len(part) < 60 else 4
            spots = [node("circle", cx=cx, cy=cy, r=reach, tip=tip) for cx, cy, tip in points]
            body.append(node("g", spots, gpu=name, fill=colour, fill_opacity=0))
        body.append(node("circle", cx=float(px[-1]), cy=float(mid[-1]), r=3, fill=colour))
        last.append((float(mid[-1]), label, colour))
    body += _end_labels(last, right + 8, width)
    said = words.BAND
    if snapshots := frame.attrs.get("vastnb", {}).get("snapshots"):
        said += f"; from {snapshots:,} searches"
    if rarer := len(every) - len(lines):
        said += words.RARER_NOT_DRAWN.format(lines=rarer)
    return chart(title, said, body, width, ", ".join(lines))


def _seconds(at: Any) -> np.ndarray:
    return np.asarray(at.dt.as_unit("us").astype("int64").to_numpy() / 1e6)


def _runs(times: np.ndarray) -> list[slice]:
    """Return the stretches without a gap: where nobody looked for long, no line is drawn."""
    steps = np.diff(times)
    if len(steps) == 0:
        return [slice(0, len(times))]
    breaks = np.flatnonzero(steps > 3.5 * np.median(steps)) + 1
    edges = [0, *breaks.tolist(), len(times)]
    return [slice(a, b) for a, b in pairwise(edges)]


def _tips(label: str, part: pd.DataFrame) -> list[str]:
    names = ["at", "median", "q25", "q75", "machines"]
    return [
        words.OF_A_DAY.format(
            label=label, at=at, median=usd(median), q25=usd(q25), q75=usd(q75), machines=machines
        )
        for at, median, q25, q75, machines in part[names].itertuples(index=False)
    ]


def _lines(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the points of each line: of a model, or of each of its sizes of memory."""
    out: dict[str, pd.DataFrame] = {}
    for name, model in frame.groupby("gpu_name", sort=False):
        model = model.sort_values("at")
        sizes = sorted(model["gpu_ram_gb"].dropna().unique())
        if len(sizes) < 2:
            out[str(name)] = model
        else:
            of_size = model.groupby("gpu_ram_gb")
            out |= {f"{name} {size} GB": of_size.get_group(size) for size in sizes}
    return out


def _path(points: Any) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _days(first: float, last: float, width: float) -> dict[float, str]:
    """Return round times from `first` to `last` (epoch seconds) that fit into `width` px."""
    most = max(width / 54, 2)
    steps = [hours * 3600 for hours in STEPS_H]
    step = next((s for s in steps if (last - first) / s <= most), steps[-1])
    labels: dict[float, str] = {}
    for tick in np.arange(np.ceil(first / step) * step, np.nextafter(last, np.inf), step):
        moment = pd.Timestamp(tick, unit="s")
        by_hour = step < 86400 and moment.hour
        labels[tick] = f"{moment:%H:%M}" if by_hour else f"{moment.day} {moment:%b}"
    return labels


def _end_labels(ends: list[tuple[float, str, str]], x: float, width: float) -> list[Scene]:
    """Write each line's name at its end, pushed apart where they would overlap."""
    out: list[Scene] = []
    at = -np.inf
    for i, (y, label, colour) in enumerate(sorted(ends)):
        lowest = BOTTOM - 13.0 * (len(ends) - 1 - i)
        at = min(max(y, at + 13), lowest)
        out.append(rule(x - 8, y, x + 4, at, stroke=colour, stroke_opacity=0.8))
        out.append(write(x + 7, at, fitted(label, width - x - 10), dominant_baseline="central",
                         opacity=0.95))  # fmt: skip
    return out
