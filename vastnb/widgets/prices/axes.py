"""What the charts have in common: heads, axes, labels, and the picture of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from vastnb.widgets.prices.scene import Scale, Scene, fitted, picture, rule, text_width, write

HEIGHT: Final = 330
TOP: Final = 56.0
FOOT: Final = 30.0
PAD: Final = 12.0

Colours = Mapping[str, str]
"""GPU models to colours; others are grey."""


def head(title: str, note: str, width: float) -> list[Scene]:
    """Write the title of a chart, and a line that explains it."""
    return [
        write(PAD, 19, title, font_size=12.5, font_weight=650, opacity=0.95),
        write(PAD, 34, fitted(note, width - 2 * PAD, 10.5), font_size=10.5, opacity=0.72),
    ]


def price_axis_below(scale: Scale, bottom: float, title: str) -> list[Scene]:
    """Draw an axis of prices below; its title stands at the left, below the names of the rows."""
    name = f"{title} →"
    taken = PAD + text_width(name, 10.5) + 6
    out = [write(PAD, bottom + 15, name, font_size=10.5, opacity=0.85)]
    for tick in scale.ticks(max((scale.end - scale.start) / 52, 2)):
        at, label = scale(tick), f"${tick:g}"
        out.append(rule(at, TOP, at, bottom))
        if at - text_width(label, 10.5) / 2 > taken:
            out.append(write(at, bottom + 15, label, text_anchor="middle", font_size=10.5))
    return out


def axis_below(
    scale: Scale, top: float, bottom: float, labels: Sequence[str], ticks: Sequence[float],
    title: str,
) -> list[Scene]:  # fmt: skip
    """Draw an axis below, with labels that leave room for its title."""
    out: list[Scene] = []
    end = scale.end
    room = end - text_width(title, 10.5) - 22 if title else end + 20
    for label, tick in zip(labels, ticks, strict=True):
        at = scale(tick)
        out.append(rule(at, top, at, bottom))
        if at + text_width(label, 10.5) / 2 < room:
            out.append(write(at, bottom + 15, label, text_anchor="middle", font_size=10.5))
    if title:
        out.append(
            write(end, bottom + 15, f"{title} →", text_anchor="end", font_size=10.5, opacity=0.85)
        )
    return out


def price_axis_left(scale: Scale, left: float, right: float, title: str) -> list[Scene]:
    """Draw an axis of prices on the left."""
    out: list[Scene] = []
    for tick in scale.ticks(max(abs(scale.start - scale.end) / 34, 3)):
        at = scale(tick)
        out.append(rule(left, at, right, at))
        if at > TOP + 6:
            out.append(write(left - 7, at, f"${tick:g}", text_anchor="end", font_size=10.5,
                             dominant_baseline="central"))  # fmt: skip
    out.append(write(PAD, TOP - 4, f"↑ {title}", font_size=10.5, opacity=0.85, class_="vnb-halo"))
    return out


def empty(title: str, headline: str, text: str, width: float) -> Scene:
    """Draw why there is nothing to see."""
    middle = HEIGHT / 2 - 8
    lines = wrapped(text, min(width - 40, 430))
    body = [
        write(width / 2, middle, headline, text_anchor="middle", font_size=13.5, opacity=0.9,
              font_weight=600),
        *(write(width / 2, middle + 22 + 17 * i, line, text_anchor="middle", font_size=12)
          for i, line in enumerate(lines)),
    ]  # fmt: skip
    return picture(width, HEIGHT, [*head(title, "", width), *body], f"{title}: {headline}. {text}")


def wrapped(text: str, width: float) -> list[str]:
    """Break a text into lines that fit into `width` px."""
    lines, line = [], ""
    for word in text.split():
        if line and text_width(f"{line} {word}", 12) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line] if line else lines


def numbers(column: Any) -> np.ndarray:
    """Return a column as float64, NaN where it is missing."""
    return np.asarray(column.astype("Float64").to_numpy(dtype="float64", na_value=np.nan))


def name_of(value: Any) -> str:
    """Return a name, empty where there is none."""
    return value if isinstance(value, str) else ""


def with_article(what: str) -> str:
    """Return a noun with its article."""
    return f"an {what}" if what[0] in "aeiou" else f"a {what}"
