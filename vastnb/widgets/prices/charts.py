"""The four charts of prices: pure functions from a frame to a scene.

Each takes one of the frames of `price_frames` (or a trend of ``client.history``), the colours of
the GPU models and a width, and returns a scene of exactly that width. The same scene is drawn in
the page and kept in a saved notebook; see `scene`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from vastnb.widgets.prices import words
from vastnb.widgets.prices.axes import (
    FOOT,
    HEIGHT,
    PAD,
    TOP,
    Colours,
    axis_below,
    empty,
    head,
    name_of,
    numbers,
    price_axis_below,
    price_axis_left,
    with_article,
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
    picture,
    rule,
    span_of,
    text_width,
    write,
)
from vastnb.wording import usd

MOST_ROWS: Final = 11
MOST_DOTS: Final = 1500


def distribution(frame: pd.DataFrame, colours: Colours, width: float, per: str = "gpu") -> Scene:
    """Draw what each GPU model costs: a dot a machine, a box from 25 to 75 %.

    Parameters
    ----------
    frame : DataFrame
        From `price_frames.distribution`.
    colours : mapping of str to str
        GPU models to colours; others are grey.
    width : float
        px.
    per : str
        ``"gpu"`` or ``"offer"``.

    Returns
    -------
    list
        A scene.
    """
    what = "machine" if per == "gpu" else "offer"
    title = words.PRICE_BY_GPU_MODEL
    named = frame[frame["gpu_name"].notna()]
    models = list(dict.fromkeys(named["gpu_name"]))
    if not models:
        return empty(title, words.NO_PRICES_TO_SHOW, words.NO_CREDIBLE_PRICE, width)
    shown = models[:MOST_ROWS]
    prices = {name: numbers(named.loc[named["gpu_name"].eq(name), "price"]) for name in shown}
    shown.sort(key=lambda name: float(np.median(prices[name])))
    left = min(max(text_width(name, 11.5) for name in shown) + 26, width * 0.3)
    right = width - 132
    scale = Scale(*span_of(*prices.values()), left, right)
    bottom = HEIGHT - FOOT
    band = (bottom - TOP) / len(shown)
    body: list[Scene] = price_axis_below(
        scale, bottom, f"$/h per {'GPU' if per == 'gpu' else 'offer'}"
    )
    body += [
        write(width - 76, TOP - 7, "median", text_anchor="end", font_size=10.5),
        write(width - PAD, TOP - 7, f"{what}s", text_anchor="end", font_size=10.5),
    ]
    for at, name in enumerate(shown):
        body.append(_strip(name, prices[name], colours.get(name, OTHER), scale, left, width,
                           TOP + band * at, band, what))  # fmt: skip
    others = len(models) - len(shown)
    note = words.DOT_AND_BOX.format(what=with_article(what))
    if others:
        note += words.MORE_MODELS.format(others=others, s="s" if others > 1 else "", what=what)
    return picture(width, HEIGHT, [*head(title, note, width), *body],
                   f"{title}: {_spoken(shown, prices)}")  # fmt: skip


def _strip(
    name: str, values: np.ndarray, colour: str, scale: Scale, left: float, width: float,
    top: float, band: float, what: str,
) -> Scene:  # fmt: skip
    middle = top + band / 2
    tall = min(band * 0.62, 34.0)
    q10, q25, q50, q75, q90 = np.quantile(values, [0.1, 0.25, 0.5, 0.75, 0.9])
    x = scale(np.sort(values)[:: max(1, len(values) // 400)])
    spread = (np.arange(len(x)) * 0.618034) % 1 - 0.5
    points = list(zip(x.tolist(), (middle + spread * tall).tolist(), strict=True))
    box = max(scale(q75) - scale(q25), 1.5)
    tip = words.OF_A_MODEL.format(
        name=name,
        q50=usd(q50),
        count=len(values),
        what=what,
        s="s" if len(values) != 1 else "",
        q25=usd(q25),
        q75=usd(q75),
        q10=usd(q10),
        q90=usd(q90),
        least=usd(values.min()),
    )
    parts = [
        node("rect", x=0, y=top, width=width, height=band, fill=INK, fill_opacity=0.0),
        write(left - 12, middle, fitted(name, left - 22, 11.5), text_anchor="end", font_size=11.5,
              dominant_baseline="central", opacity=0.95),
        rule(scale(q10), middle, scale(q90), middle, stroke=colour, stroke_opacity=0.9,
             stroke_width=1.2),
        dots(points, 3.4, stroke=colour, stroke_opacity=0.42 if len(points) > 30 else 0.65),
        node("rect", x=scale(q25), y=middle - tall / 2, width=box, height=tall, rx=2.5,
             fill=colour, fill_opacity=0.16, stroke=colour, stroke_width=1.1),
        rule(scale(q50), middle - tall / 2, scale(q50), middle + tall / 2, stroke=INK,
             stroke_opacity=0.9, stroke_width=2),
        write(width - 76, middle, usd(q50), text_anchor="end", dominant_baseline="central",
              opacity=0.95, font_weight=600),
        write(width - PAD, middle, f"{len(values):,}", text_anchor="end",
              dominant_baseline="central"),
    ]  # fmt: skip
    if band > 70:  # room to say what the box says
        for q, value in (("10 %", q10), ("25 %", q25), ("75 %", q75), ("90 %", q90)):
            end = "end" if q in ("10 %", "25 %") else "start"
            lower = q in ("10 %", "90 %")
            y = middle + (tall / 2 + 16 if lower else -tall / 2 - 8)
            text = f"{q}: {usd(value)}"
            parts.append(write(scale(value), y, text, text_anchor=end, font_size=10.5))
    return node("g", parts, tip=tip, gpu=name)


def performance(frame: pd.DataFrame, colours: Colours, width: float, per: str = "gpu", *,
                tips: bool = True) -> Scene:  # fmt: skip
    """Draw price against DLPerf, and the stair of what nothing beats.

    Parameters
    ----------
    frame : DataFrame
        From `price_frames.performance`.
    colours, width, per
        As for `distribution`.
    tips : bool
        Whether each dot tells what it is; without, the scene is much smaller.

    Returns
    -------
    list
        A scene.
    """
    title = words.PRICE_AGAINST_PERFORMANCE
    if len(frame) == 0:
        return empty(title, words.NOTHING_TO_COMPARE, words.NO_CREDIBLE_BENCHMARK, width)
    unit = "GPU" if per == "gpu" else "offer"
    left, right, bottom = 52.0, width - PAD - 4, HEIGHT - FOOT
    price, speed = numbers(frame["price"]), numbers(frame["dlperf"])
    x = Scale(*span_of(speed), left, right)
    y = Scale(*span_of(price, pad=0.1), bottom, TOP + 4)
    body = price_axis_left(y, left, right, f"$/h per {unit}")
    body += axis_below(
        x,
        TOP,
        bottom,
        [f"{tick:,g}" for tick in x.ticks((right - left) / 60)],
        x.ticks((right - left) / 60),
        words.DLPERF_PER.format(unit=unit),
    )
    rows = np.arange(len(frame))
    if len(rows) > MOST_DOTS:  # all of the front, and every n-th of the rest
        on_front = frame["pareto"].fillna(False).to_numpy(dtype=bool)
        step = -(-len(rows) // MOST_DOTS)
        rows = np.flatnonzero(on_front | (rows % step == 0))
    px, py = x(speed), y(price)
    names = frame["gpu_name"].to_numpy(dtype=object)
    told = _tips(frame, per) if tips else None
    size = 3.0 if len(rows) > 400 else 3.6
    order = [None, *reversed(list(colours))]
    for name in order:
        mine = [
            r for r in rows if (name_of(names[r]) if name_of(names[r]) in colours else None) == name
        ]
        if not mine:
            continue
        colour = OTHER if name is None else colours[name]
        if told is None:
            points = [(float(px[r]), float(py[r])) for r in mine]
            body.append(dots(points, size * 2, stroke=colour, stroke_opacity=0.7))
        else:
            circles = [
                node("circle", cx=float(px[r]), cy=float(py[r]), r=size, tip=told[r],
                     gpu=name_of(names[r]))
                for r in mine
            ]  # fmt: skip
            body.append(node("g", circles, fill=colour, fill_opacity=0.72))
    body += _front(frame, px, py, x, right)
    drawn = "" if len(rows) == len(frame) else f"; {len(rows):,} of {len(frame):,} drawn"
    note = words.DASHED_LINE.format(drawn=drawn)
    return picture(
        width,
        HEIGHT,
        [*head(title, note, width), *body],
        words.UNBEATEN.format(title=title, best=frame["pareto"].sum(), all=len(frame)),
    )


def _front(
    frame: pd.DataFrame, px: np.ndarray, py: np.ndarray, x: Scale, right: float
) -> list[Scene]:
    best = np.flatnonzero(frame["pareto"].fillna(False).to_numpy(dtype=bool))
    if len(best) == 0:
        return []
    best = best[np.argsort(px[best], kind="stable")]
    d = f"M{px[best[0]]:.1f} {py[best[0]]:.1f}"
    for at in best[1:]:
        d += f"H{px[at]:.1f}V{py[at]:.1f}"
    line = node("path", d=d, fill="none", stroke=INK, stroke_opacity=0.55, stroke_width=1.2,
                stroke_dasharray="4 3")  # fmt: skip
    rings = [
        node("circle", cx=float(px[r]), cy=float(py[r]), r=4.4, fill="none", stroke=INK,
             stroke_opacity=0.75, stroke_width=1.1)
        for r in best
    ]  # fmt: skip
    labels: list[Scene] = []
    several = frame["gpu_name"].nunique() > 1
    taken: list[tuple[float, float, float, float]] = []
    named: set[str] = set()
    for at in best[::-1]:
        name = name_of(frame["gpu_name"].iloc[at])
        if not several or not name or name in named:
            continue
        wide = text_width(name, 10.5)
        left = px[at] + 6 if px[at] + 6 + wide < right else px[at] - wide - 8
        box = (left, py[at] + 5, left + wide, py[at] + 18)
        if any(_overlap(box, other) for other in taken) or box[3] > HEIGHT - FOOT:
            continue
        taken.append(box)
        named.add(name)
        labels.append(write(left, py[at] + 14, name, font_size=10.5, opacity=0.95,
                            font_weight=600, class_="vnb-halo"))  # fmt: skip
    return [line, *rings, *labels]


def countries(frame: pd.DataFrame, width: float, *, one_model: bool = False) -> Scene:
    """Draw how much dearer or cheaper each country is than the same GPUs elsewhere.

    Parameters
    ----------
    frame : DataFrame
        From `price_frames.countries`.
    width : float
        px.
    one_model : bool
        Whether all of it is one GPU model, so that a median in $/h means something.

    Returns
    -------
    list
        A scene.
    """
    title = words.PRICE_BY_COUNTRY
    shown = frame.head(MOST_ROWS)
    if len(shown) == 0:
        return empty(title, words.NO_COUNTRIES_TO_SHOW, words.NO_PLACE_TOLD, width)
    change = numbers(shown["against_market"]) - 1
    order = np.argsort(change, kind="stable")
    left, right, bottom = 44.0, width - (136 if one_model else 76), HEIGHT - FOOT
    reach = float(np.clip(np.abs(change).max() * 1.15, 0.1, 1.0))
    x = Scale(-reach, reach, left, right - 40, log=False)
    ticks = x.ticks(max((right - left) / 90, 2))
    body = axis_below(x, TOP, bottom, [_signed(t) for t in ticks], ticks, "")
    band = (bottom - TOP) / max(len(shown), 4)
    zero = x(0.0)
    sides = words.SIDES
    body.append(write(zero, TOP - 7, sides, text_anchor="middle",
                      font_size=10.5, opacity=0.85))  # fmt: skip
    body.append(write(width - PAD, TOP - 7, "machines", text_anchor="end", font_size=10.5))
    if one_model:
        body.append(write(width - 76, TOP - 7, "median", text_anchor="end", font_size=10.5))
    for place, at in enumerate(order):
        row, middle = shown.iloc[int(at)], TOP + band * (place + 0.5)
        value = float(change[at])
        end = x(value)
        colour = GOOD if value < 0 else DEAR
        beyond = "+" if abs(value) > reach else ""
        mark = end + 6 if value >= 0 else zero + 6
        tip = words.OF_A_COUNTRY.format(
            country=row["country"],
            against=_against(value),
            machines=row["machines"],
            gpus=row["gpus"],
            median=usd(row["dph_gpu_q50"]),
        )
        parts = [
            node("rect", x=0, y=middle - band / 2, width=width, height=band, fill=INK,
                 fill_opacity=0),
            write(left - 12, middle, str(row["country"]), text_anchor="end", font_size=11.5,
                  dominant_baseline="central", opacity=0.95),
            node("rect", x=min(zero, end), y=middle - min(band, 26) * 0.31, rx=2,
                 width=max(abs(end - zero), 1.5), height=min(band, 26) * 0.62, fill=colour,
                 fill_opacity=0.85),
            write(mark, middle, _signed(value) + beyond, dominant_baseline="central",
                  opacity=0.9),
            write(width - PAD, middle, f"{row['machines']:,}", text_anchor="end",
                  dominant_baseline="central"),
        ]  # fmt: skip
        if one_model:
            median = usd(row["dph_gpu_q50"])
            parts.append(write(width - 76, middle, median, text_anchor="end", opacity=0.95,
                               dominant_baseline="central", font_weight=600))  # fmt: skip
        body.append(node("g", parts, tip=tip))
    body.append(rule(zero, TOP, zero, bottom, stroke_opacity=0.6))
    others = len(frame) - len(shown)
    note = words.AGAINST_ITS_MODEL
    if others:
        note += words.MORE_COUNTRIES.format(others=others, s="ies" if others > 1 else "y")
    return picture(
        width,
        HEIGHT,
        [*head(title, note, width), *body],
        words.COUNTRIES.format(title=title, n=len(frame)),
    )


def _tips(frame: pd.DataFrame, per: str) -> list[str]:
    columns = {name: frame[name].tolist() if name in frame else [None] * len(frame)
               for name in ("gpu_name", "num_gpus", "gpu_ram_gb", "price", "dlperf", "country",
                            "machine_id", "verification")}  # fmt: skip
    out = []
    for name, count, vram, price, speed, country, machine, verified in zip(
        *columns.values(), strict=True
    ):
        gpus = f"{count} x " if per == "offer" else ""
        first = f"{gpus}{name_of(name) or 'unknown GPU'}"
        first += "" if pd.isna(vram) else f", {vram:.0f} GB"
        place = "" if pd.isna(country) else f", {country}"
        trust = "" if pd.isna(verified) else f", {verified}"
        unit = "GPU" if per == "gpu" else "offer"
        out.append(f"{first}\n{usd(price)}/h per {unit}, DLPerf {speed:,.1f}\n"
                   f"machine {machine}{place}{trust}")  # fmt: skip
    return out


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _signed(share: float) -> str:
    value = round(share * 100)
    sign = "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""
    return f"{sign}{abs(value)} %"


def _against(share: float) -> str:
    if round(share * 100) == 0:
        return words.SAME_PRICE_AS_ELSEWHERE
    how = "cheaper" if share < 0 else words.MORE_EXPENSIVE
    return words.THAN_THE_SAME_GPUS.format(share=abs(share) * 100, how=how)


def _spoken(names: Sequence[str], prices: Mapping[str, np.ndarray]) -> str:
    return ", ".join(f"{name} {usd(np.median(prices[name]))}" for name in names)
