"""The chart of prices over time; see `charts`."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.widgets.prices import words
from vastnb.widgets.prices.axes import (
    FOOT,
    HEIGHT,
    TOP,
    Colours,
    empty,
    head,
    numbers,
    price_axis_left,
)
from vastnb.widgets.prices.scene import (
    OTHER,
    Scale,
    Scene,
    fitted,
    node,
    picture,
    rule,
    span_of,
    text_width,
    write,
)
from vastnb.wording import usd

MOST_LINES: Final = 6


def trend(frame: pd.DataFrame, colours: Colours, width: float, days: float,
          note: str | None = None, *, tips: bool = True) -> Scene:  # fmt: skip
    """Draw how the median price moved, with the band of the middle half.

    Parameters
    ----------
    frame : DataFrame
        From ``client.history.trend``.
    colours, width
        As for `distribution`.
    days : float
        How far the chart looks back.
    note : str, optional
        What to say where there is nothing to draw.
    tips : bool
        Whether each point tells its figures; without, the scene is much smaller.

    Returns
    -------
    list
        A scene.
    """
    title = words.TREND_TITLE.format(days=days, s="s" if days != 1 else "")
    frame = frame[frame["median"].notna()]
    if len(frame) == 0:
        said = note or words.LOOK_TOMORROW
        return empty(title, words.NO_PRICE_HISTORY_YET, said, width)
    every = _lines(frame)
    common = sorted(every, key=lambda label: -float(every[label]["machines"].mean()))
    lines = {label: every[label] for label in common[:MOST_LINES]}
    left, bottom = 52.0, HEIGHT - FOOT
    right = width - min(max(text_width(label) for label in lines) + 28, width * 0.3)
    times = {label: _seconds(part["at"]) for label, part in lines.items()}
    first = min(float(t.min()) for t in times.values())
    last = max(float(t.max()) for t in times.values())
    x = Scale(first, last, left, right, log=False)
    bands = [numbers(part[q]) for part in lines.values() for q in ("q25", "q75", "median")]
    y = Scale(*span_of(*bands, pad=0.12), bottom, TOP + 4)
    body = price_axis_left(y, left, right, words.TREND_UNIT)
    body += _time_axis(x, first, last, bottom)
    ends: list[tuple[float, str, str]] = []
    for label, part in lines.items():
        name = str(part["gpu_name"].iloc[0])
        colour = colours.get(name, OTHER)
        px, mid = x(times[label]), y(numbers(part["median"]))
        low, high = (y(numbers(part[q])) for q in ("q25", "q75"))
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
        end = (float(px[-1]), float(mid[-1]))
        body.append(node("circle", cx=end[0], cy=end[1], r=3, fill=colour))
        ends.append((end[1], label, colour))
    body += _end_labels(ends, right + 8, width, bottom)
    snapshots = frame.attrs.get("vastnb", {}).get("snapshots")
    said = words.BAND
    said += f"; from {snapshots:,} searches" if snapshots else ""
    said += (
        words.RARER_NOT_DRAWN.format(lines=len(every) - len(lines))
        if len(every) > len(lines)
        else ""
    )
    return picture(width, HEIGHT, [*head(title, said, width), *body],
                   f"{title}: {', '.join(lines)}")  # fmt: skip


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
    out: dict[str, pd.DataFrame] = {}
    for name, model in frame.groupby("gpu_name", sort=False):
        sizes: Any = model["gpu_ram_gb"].dropna().unique() if "gpu_ram_gb" in model else ()
        if len(sizes) < 2:
            out[str(name)] = model.sort_values("at")
            continue
        for size in sorted(sizes):
            part = model[model["gpu_ram_gb"].eq(size).fillna(False)]
            out[f"{name} {size} GB"] = part.sort_values("at")
    return out


def _path(points: Any) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _time_axis(scale: Scale, first: float, last: float, bottom: float) -> list[Scene]:
    out: list[Scene] = []
    day = 86400.0
    room = max((scale.end - scale.start) / 54, 2)
    steps = (
        3600,
        3 * 3600,
        6 * 3600,
        12 * 3600,
        day,
        2 * day,
        3 * day,
        7 * day,
        14 * day,
        28 * day,
    )
    step = next((s for s in steps if (last - first) / s <= room), 56 * day)
    tick = np.ceil(first / step) * step
    while tick <= last:
        at = scale(tick)
        moment = pd.Timestamp(tick, unit="s")
        label = f"{moment:%H:%M}" if step < day and moment.hour else f"{moment.day} {moment:%b}"
        out.append(rule(at, TOP, at, bottom, stroke_opacity=0.07))
        out.append(write(at, bottom + 15, label, text_anchor="middle", font_size=10.5))
        tick += step
    return out


def _end_labels(
    ends: list[tuple[float, str, str]], x: float, width: float, bottom: float
) -> list[Scene]:
    """Write each line's name at its end, pushed apart where they would overlap."""
    out: list[Scene] = []
    at = -np.inf
    room = [bottom - 13.0 * (len(ends) - 1 - i) for i in range(len(ends))]
    for most, (y, label, colour) in zip(room, sorted(ends), strict=True):
        at = min(max(y, at + 13), most)
        out.append(rule(x - 8, y, x + 4, at, stroke=colour, stroke_opacity=0.8))
        out.append(write(x + 7, at, fitted(label, width - x - 10), dominant_baseline="central",
                         opacity=0.95))  # fmt: skip
    return out
