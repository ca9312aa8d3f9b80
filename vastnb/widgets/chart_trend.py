"""The chart of prices over time; see `charts`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .chart_parts import FOOT, HEIGHT, TOP, Colours, empty, head, numbers, price_axis_left, usd
from .scene import OTHER, Scale, Scene, fitted, node, picture, rule, span_of, text_width, words


def trend(frame: pd.DataFrame, colours: Colours, width: float, days: float,
          note: str | None = None) -> Scene:  # fmt: skip
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

    Returns
    -------
    list
        A scene.
    """
    title = f"Median price over {days:g} day{'s' if days != 1 else ''}"
    frame = frame[frame["median"].notna()]
    if len(frame) == 0:
        said = note or "Every search adds to it: look again tomorrow."
        return empty(title, "No price history yet", said, width)
    lines = _lines(frame)
    left, bottom = 52.0, HEIGHT - FOOT
    right = width - min(max(text_width(label) for label in lines) + 28, width * 0.3)
    times = {label: part["at"].astype("int64").to_numpy() / 1e6 for label, part in lines.items()}
    first = min(float(t.min()) for t in times.values())
    last = max(float(t.max()) for t in times.values())
    x = Scale(first, last, left, right, log=False)
    bands = [numbers(part[q]) for part in lines.values() for q in ("q25", "q75", "median")]
    y = Scale(*span_of(*bands, pad=0.12), bottom, TOP + 4)
    body = price_axis_left(y, left, right, "$/h per GPU, without disk")
    body += _time_axis(x, first, last, bottom)
    ends: list[tuple[float, str, str]] = []
    for label, part in lines.items():
        name = str(part["gpu_name"].iloc[0])
        colour = colours.get(name, OTHER)
        px = x(times[label])
        low, mid, high = (y(numbers(part[q])) for q in ("q25", "median", "q75"))
        if len(part) > 1:
            edge = [*zip(px, high, strict=True), *zip(px[::-1], low[::-1], strict=True)]
            body.append(node("path", d=_path(edge) + "Z", fill=colour,
                             fill_opacity=0.16 if len(lines) < 3 else 0.1))  # fmt: skip
        line = [
            node("path", d=_path(zip(px, mid, strict=True)), fill="none", stroke=colour,
                 stroke_width=2, stroke_linejoin="round", stroke_linecap="round"),
        ]  # fmt: skip
        reach = 7 if len(part) < 60 else 4
        for i, at in enumerate(part["at"]):
            tip = (
                f"{label}\n{at:%d %b %H:%M} UTC: median {usd(part['median'].iloc[i])}/h\n"
                f"half from {usd(part['q25'].iloc[i])} to {usd(part['q75'].iloc[i])}, "
                f"{part['machines'].iloc[i]} machines"
            )
            line.append(node("circle", cx=float(px[i]), cy=float(mid[i]), r=reach, fill=colour,
                             fill_opacity=0, tip=tip))  # fmt: skip
        line.append(node("circle", cx=float(px[-1]), cy=float(mid[-1]), r=3, fill=colour))
        body.append(node("g", line, gpu=name))
        ends.append((float(mid[-1]), label, colour))
    body += _end_labels(ends, right + 8, width, bottom)
    snapshots = frame.attrs.get("vastnb", {}).get("snapshots")
    said = "the band holds the middle half of the machines"
    said += f"; from {snapshots:,} searches" if snapshots else ""
    return picture(width, HEIGHT, [*head(title, said, width), *body],
                   f"{title}: {', '.join(lines)}")  # fmt: skip


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
        out.append(words(at, bottom + 15, label, text_anchor="middle", font_size=10.5))
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
        out.append(words(x + 7, at, fitted(label, width - x - 10), dominant_baseline="central",
                         opacity=0.95))  # fmt: skip
    return out
