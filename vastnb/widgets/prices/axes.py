"""What the charts have in common: heads, axes, labels, and the picture of nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

import numpy as np

from vastnb.widgets.prices.scene import Scale, Scene, fitted, picture, rule, text_width, write

HEIGHT: Final = 330
TOP: Final = 56.0
BOTTOM: Final = 300.0
PAD: Final = 12.0


def chart(title: str, note: str, body: Sequence[Scene], width: float, said: str) -> Scene:
    """Make a chart of its title, a line that explains it, and what is drawn; `said` in words."""
    head = [
        write(PAD, 19, title, font_size=12.5, font_weight=650, opacity=0.95),
        write(PAD, 34, fitted(note, width - 2 * PAD, 10.5), font_size=10.5, opacity=0.72),
    ]
    return picture(width, HEIGHT, [*head, *body], f"{title}: {said}")


def empty(title: str, headline: str, text: str, width: float) -> Scene:
    """Draw why there is nothing to see."""
    most = int(min(width - 40, 430) / text_width("x", 12))
    lines = wrap(" ".join(text.split()), most, break_long_words=False, break_on_hyphens=False)
    middle, centre = HEIGHT / 2 - 8, {"text_anchor": "middle"}
    body = [write(width / 2, middle, headline, **centre, font_size=13.5, opacity=0.9,
                  font_weight=600)]  # fmt: skip
    body += [
        write(width / 2, middle + 22 + 17 * i, line, **centre, font_size=12)
        for i, line in enumerate(lines)
    ]
    return chart(title, "", body, width, f"{headline}. {text}")


def axis_below(
    scale: Scale, labels: Mapping[float, str], title: str = "", *, left: bool = False,
    grid: float = 0.12,
) -> list[Scene]:  # fmt: skip
    """Draw an axis below; where its title stands, at the right or `left`, ticks have no label."""
    after, before = -np.inf, np.inf
    if left:
        after = PAD + text_width(f"{title} →", 10.5) + 6
    elif title:
        before = scale.end - text_width(title, 10.5) - 22
    at, anchor = (PAD, None) if left else (scale.end, "end")
    name = write(at, BOTTOM + 15, f"{title} →", text_anchor=anchor, font_size=10.5, opacity=0.85)
    out = [name] if left else []
    for tick, label in labels.items():
        at, half = scale(tick), text_width(label, 10.5) / 2
        out.append(rule(at, TOP, at, BOTTOM, stroke_opacity=grid))
        if after < at - half and at + half < before:
            out.append(write(at, BOTTOM + 15, label, text_anchor="middle", font_size=10.5))
    return [*out, name] if title and not left else out


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


def numbers(column: Any) -> np.ndarray:
    """Return a column as float64, NaN where it is missing."""
    return np.asarray(column.to_numpy(dtype="float64", na_value=np.nan))
