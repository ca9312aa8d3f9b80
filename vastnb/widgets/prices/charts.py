"""The charts of offers: pure functions from a frame to a scene. That of the past is in `trend`.

Each takes one of the frames of `frames`, the colours of the GPU models (others are grey) and a
width in px, and returns a scene of exactly that width. The same scene is drawn in the page and
kept in a saved notebook, where no dot has a tip: that makes it much smaller. See `scene`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from vastnb.market.money.summary import QUANTILES
from vastnb.values import text
from vastnb.widgets.prices import words
from vastnb.widgets.prices.axes import (
    BOTTOM,
    PAD,
    TOP,
    axis_below,
    chart,
    empty,
    numbers,
    price_axis_left,
)
from vastnb.widgets.prices.scene import (
    DEAR,
    GOOD,
    INK,
    OTHER,
    Scale,
    Scene,
    dots,
    fitted,
    node,
    rule,
    span_of,
    text_width,
    write,
)
from vastnb.wording import usd

MOST_ROWS: Final = 11
MOST_DOTS: Final = 1500
UNITS: Final = {"gpu": "GPU", "offer": "offer"}


def distribution(
    frame: pd.DataFrame, colours: Mapping[str, str], width: float, per: str = "gpu"
) -> Scene:
    """Draw what each GPU model costs: a dot a machine (or offer), a box from 25 to 75 %."""
    title = words.PRICE_BY_GPU_MODEL
    what, one = ("machine", "a machine") if per == "gpu" else ("offer", "an offer")
    groups = frame.groupby("gpu_name", sort=False)["price"]
    prices = {str(name): np.sort(numbers(part)) for name, part in groups}
    if not prices:
        return empty(title, words.NO_PRICES_TO_SHOW, words.NO_CREDIBLE_PRICE, width)
    medians = {name: float(np.median(prices[name])) for name in list(prices)[:MOST_ROWS]}
    shown = sorted(medians, key=medians.__getitem__)
    left = min(max(text_width(name, 11.5) for name in shown) + 26, width * 0.3)
    scale = Scale(*span_of(*(prices[name] for name in shown)), left, width - 132)
    ticks = scale.ticks(max((scale.end - scale.start) / 52, 2))
    body = axis_below(scale, {t: f"${t:g}" for t in ticks}, f"$/h per {UNITS[per]}", left=True)
    body += _heads(f"{what}s", width)
    band = (BOTTOM - TOP) / len(shown)
    for at, name in enumerate(shown):
        values, middle = prices[name], TOP + band * (at + 0.5)
        row = [
            *_row(name, left, width, middle, band),
            *_strip(values, colours.get(name, OTHER), scale, middle, band),
            *_figures(len(values), medians[name], width, middle),
        ]
        body.append(node("g", row, tip=_about_model(name, values, what), gpu=name))
    note = words.DOT_AND_BOX.format(what=one)
    if others := len(prices) - len(shown):
        note += words.MORE_MODELS.format(others=others, s="s" if others > 1 else "", what=what)
    said = ", ".join(f"{name} {usd(medians[name])}" for name in shown)
    return chart(title, note, body, width, said)


def _strip(
    values: np.ndarray, colour: str, scale: Scale, middle: float, band: float
) -> list[Scene]:
    tall = min(band * 0.62, 34.0)
    above, below = middle - tall / 2, middle + tall / 2
    q10, q25, q50, q75, q90 = np.quantile(values, QUANTILES)
    x = scale(values[:: max(1, len(values) // 400)])
    spread = (np.arange(len(x)) * 0.618034) % 1 - 0.5
    points = list(zip(x.tolist(), (middle + spread * tall).tolist(), strict=True))
    parts = [
        rule(scale(q10), middle, scale(q90), middle, stroke=colour, stroke_opacity=0.9,
             stroke_width=1.2),
        dots(points, 3.4, stroke=colour, stroke_opacity=0.42 if len(points) > 30 else 0.65),
        node("rect", x=scale(q25), y=above, width=max(scale(q75) - scale(q25), 1.5), height=tall,
             rx=2.5, fill=colour, fill_opacity=0.16, stroke=colour, stroke_width=1.1),
        rule(scale(q50), above, scale(q50), below, stroke=INK, stroke_opacity=0.9,
             stroke_width=2),
    ]  # fmt: skip
    if band > 70:  # room to say what the box says
        for q, value, anchor, y in (
            ("10 %", q10, "end", below + 16),
            ("25 %", q25, "end", above - 8),
            ("75 %", q75, "start", above - 8),
            ("90 %", q90, "start", below + 16),
        ):
            said = f"{q}: {usd(value)}"
            parts.append(write(scale(value), y, said, text_anchor=anchor, font_size=10.5))
    return parts


def _about_model(name: str, values: np.ndarray, what: str) -> str:
    q10, q25, q50, q75, q90 = map(usd, np.quantile(values, QUANTILES))
    return words.OF_A_MODEL.format(
        name=name, q50=q50, count=len(values), what=what, s="s" if len(values) != 1 else "",
        q25=q25, q75=q75, q10=q10, q90=q90, least=usd(values[0]),
    )  # fmt: skip


def performance(
    frame: pd.DataFrame, colours: Mapping[str, str], width: float, per: str = "gpu", *,
    tips: bool = True,
) -> Scene:  # fmt: skip
    """Draw price against DLPerf, and the stair of what nothing beats."""
    title = words.PRICE_AGAINST_PERFORMANCE
    if len(frame) == 0:
        return empty(title, words.NOTHING_TO_COMPARE, words.NO_CREDIBLE_BENCHMARK, width)
    unit, left, right = UNITS[per], 52.0, width - PAD - 4
    price, speed = numbers(frame["price"]), numbers(frame["dlperf"])
    x = Scale(*span_of(speed), left, right)
    y = Scale(*span_of(price, pad=0.1), BOTTOM, TOP + 4)
    ticks = {tick: f"{tick:,g}" for tick in x.ticks((right - left) / 60)}
    body = price_axis_left(y, left, right, f"$/h per {unit}")
    body += axis_below(x, ticks, words.DLPERF_PER.format(unit=unit))
    best = frame["pareto"].to_numpy(dtype=bool, na_value=False)
    rows = np.arange(len(frame))
    if len(rows) > MOST_DOTS:  # all of the front, and every n-th of the rest
        rows = np.flatnonzero(best | (rows % -(-len(rows) // MOST_DOTS) == 0))
    px, py = x(speed).tolist(), y(price).tolist()
    names = [text(name) for name in frame["gpu_name"]]
    told = _tips(frame, per) if tips else []
    size = 3.0 if len(rows) > 400 else 3.6
    by_colour: dict[str, list[int]] = {name: [] for name in ("", *reversed(list(colours)))}
    for row in rows.tolist():
        by_colour[names[row] if names[row] in colours else ""].append(row)
    for name, mine in by_colour.items():
        colour = colours.get(name, OTHER)
        if not tips and mine:
            points = [(px[r], py[r]) for r in mine]
            body.append(dots(points, size * 2, stroke=colour, stroke_opacity=0.7))
        elif mine:
            circles = [
                node("circle", cx=px[r], cy=py[r], r=size, tip=told[r], gpu=names[r]) for r in mine
            ]
            body.append(node("g", circles, fill=colour, fill_opacity=0.72))
    front = sorted(np.flatnonzero(best).tolist(), key=px.__getitem__)
    if front:
        several = frame["gpu_name"].nunique() > 1
        body += _front([(names[r] if several else "", px[r], py[r]) for r in front], right)
    drawn = "" if len(rows) == len(frame) else f"; {len(rows):,} of {len(frame):,} drawn"
    note = words.DASHED_LINE.format(drawn=drawn)
    return chart(title, note, body, width, words.UNBEATEN.format(best=len(front), all=len(frame)))


def _front(best: list[tuple[str, float, float]], right: float) -> list[Scene]:
    """Draw what nothing beats: a line, rings, and the models' names where there is room."""
    (_, x, y), *others = best
    d = f"M{x:.1f} {y:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for _, x, y in others)
    out = [node("path", d=d, fill="none", stroke=INK, stroke_opacity=0.55, stroke_width=1.2,
                stroke_dasharray="4 3")]  # fmt: skip
    out += [
        node("circle", cx=x, cy=y, r=4.4, fill="none", stroke=INK, stroke_opacity=0.75,
             stroke_width=1.1)
        for _, x, y in best
    ]  # fmt: skip
    taken: dict[str, tuple[float, float, float]] = {}
    for name, x, y in reversed(best):
        wide = text_width(name, 10.5)
        left = x + 6 if x + 6 + wide < right else x - wide - 8
        covered = any(
            left < r and at < left + wide and abs(y - b) < 13 for at, r, b in taken.values()
        )
        if name and name not in taken and not covered and y + 18 <= BOTTOM:
            taken[name] = (left, left + wide, y)
            out.append(write(left, y + 14, name, font_size=10.5, opacity=0.95, font_weight=600,
                             class_="vnb-halo"))  # fmt: skip
    return out


def countries(frame: pd.DataFrame, width: float, *, one_model: bool = False) -> Scene:
    """Draw how much more or less each country costs than the same GPUs elsewhere.

    With `one_model`, all of it is one GPU model, so that a median in $/h means something.
    """
    title = words.PRICE_BY_COUNTRY
    shown = frame.head(MOST_ROWS)
    if len(shown) == 0:
        return empty(title, words.NO_COUNTRIES_TO_SHOW, words.NO_PLACE_TOLD, width)
    change = numbers(shown["against_market"]) - 1
    left, right = 44.0, width - (136 if one_model else 76)
    reach = float(np.clip(np.abs(change).max() * 1.15, 0.1, 1.0))
    x = Scale(-reach, reach, left, right - 40, log=False)
    zero = x(0.0)
    ticks = x.ticks(max((right - left) / 90, 2))
    body = axis_below(x, {tick: _signed(tick) for tick in ticks})
    body.append(write(zero, TOP - 7, words.SIDES, text_anchor="middle", font_size=10.5,
                      opacity=0.85))  # fmt: skip
    body += _heads("machines", width, median=one_model)
    band = (BOTTOM - TOP) / max(len(shown), 4)
    for place, at in enumerate(np.argsort(change, kind="stable")):
        row, value, middle = shown.iloc[int(at)], float(change[at]), TOP + band * (place + 0.5)
        country, end, tall = str(row["country"]), x(value), min(band, 26) * 0.62
        share = _signed(value) + ("+" if abs(value) > reach else "")
        tip = words.OF_A_COUNTRY.format(
            country=country, against=_against(value), machines=row["machines"], gpus=row["gpus"],
            median=usd(row["dph_gpu_q50"]),
        )  # fmt: skip
        parts = [
            *_row(country, left, width, middle, band),
            node("rect", x=min(zero, end), y=middle - tall / 2, rx=2,
                 width=max(abs(end - zero), 1.5), height=tall,
                 fill=GOOD if value < 0 else DEAR, fill_opacity=0.85),
            write(max(zero, end) + 6, middle, share, dominant_baseline="central", opacity=0.9),
            *_figures(row["machines"], row["dph_gpu_q50"] if one_model else None, width, middle),
        ]  # fmt: skip
        body.append(node("g", parts, tip=tip))
    body.append(rule(zero, TOP, zero, BOTTOM, stroke_opacity=0.6))
    note = words.AGAINST_ITS_MODEL
    if others := len(frame) - len(shown):
        note += words.MORE_COUNTRIES.format(others=others, s="ies" if others > 1 else "y")
    return chart(title, note, body, width, words.COUNTRIES.format(n=len(frame)))


def _heads(counted: str, width: float, *, median: bool = True) -> list[Scene]:
    style = {"text_anchor": "end", "font_size": 10.5}
    heads = [write(width - 76, TOP - 7, "median", **style)] if median else []
    return [*heads, write(width - PAD, TOP - 7, counted, **style)]


def _row(name: str, left: float, width: float, middle: float, band: float) -> list[Scene]:
    """Return what a row begins with: something to point at, and its name."""
    return [
        node("rect", x=0, y=middle - band / 2, width=width, height=band, fill=INK, fill_opacity=0),
        write(left - 12, middle, fitted(name, left - 22, 11.5), text_anchor="end", font_size=11.5,
              dominant_baseline="central", opacity=0.95),
    ]  # fmt: skip


def _figures(count: int, median: float | None, width: float, middle: float) -> list[Scene]:
    """Return what a row ends with, below `_heads`."""
    style = {"text_anchor": "end", "dominant_baseline": "central"}
    out = [write(width - PAD, middle, f"{count:,}", **style)]
    if median is not None:
        out.insert(
            0, write(width - 76, middle, usd(median), **style, opacity=0.95, font_weight=600)
        )
    return out


def _tips(frame: pd.DataFrame, per: str) -> list[str]:
    out = []
    row: Any
    for row in frame.itertuples(index=False):
        gpus = f"{row.num_gpus} x " if per == "offer" else ""
        vram = "" if pd.isna(row.gpu_ram_gb) else f", {row.gpu_ram_gb:.0f} GB"
        place = "" if pd.isna(row.country) else f", {row.country}"
        trust = "" if pd.isna(row.verification) else f", {row.verification}"
        out.append(f"{gpus}{text(row.gpu_name) or 'unknown GPU'}{vram}\n"
                   f"{usd(row.price)}/h per {UNITS[per]}, DLPerf {row.dlperf:,.1f}\n"
                   f"machine {row.machine_id}{place}{trust}")  # fmt: skip
    return out


def _signed(share: float) -> str:
    value = round(share * 100)
    return f"{value:+} %".replace("-", "\N{MINUS SIGN}") if value else "0 %"


def _against(share: float) -> str:
    if round(share * 100) == 0:
        return words.SAME_PRICE_AS_ELSEWHERE
    how = "cheaper" if share < 0 else words.MORE_EXPENSIVE
    return words.THAN_THE_SAME_GPUS.format(share=abs(share) * 100, how=how)
