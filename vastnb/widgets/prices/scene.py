"""Pictures as data: a scene is a small tree of ``[tag, attributes, children or text]``.

One scene is drawn twice: as text for the copy that stays in a saved notebook (`to_svg`), and by
the page, which builds the same elements from the JSON (``scene.js``). Both let through
only the tags and attributes of one list, and texts only ever become text.

Two attributes are for the page alone: ``tip`` (lines of a tooltip) and ``gpu`` (the model that a
click filters by). Colours are ``currentColor`` for ink, so that a picture reads on any paper, and
CSS variables with a fallback for the rest.
"""

from __future__ import annotations

import math
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

Scene = list[Any]
"""``[tag, {attribute: value}, [children] or text]``."""

TAGS: Final = frozenset({"svg", "g", "path", "rect", "circle", "line", "text"})
ATTRIBUTES: Final = frozenset({
    "aria-label", "class", "cx", "cy", "d", "dominant-baseline", "fill", "fill-opacity",
    "font-size", "font-weight", "height", "opacity", "r", "role", "rx", "stroke",
    "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width",
    "text-anchor", "viewBox", "width", "x", "x1", "x2", "y", "y1", "y2",
})  # fmt: skip
INK: Final = "currentColor"
OTHER: Final = "var(--vnb-other, #8b949e)"
GOOD: Final = "var(--vnb-cheap, #2f7fd6)"
DEAR: Final = "var(--vnb-dear, #e08600)"
_EM: Final = 0.6
"""Width of an average character of a sans-serif font, in ems."""


@cache
def palette() -> tuple[str, ...]:
    """Return the colours of GPU models: the one list, of ``kit/palette.js``."""
    text = (Path(__file__).parents[1] / "kit" / "palette.js").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("export const PALETTE"))
    return tuple(
        f"var(--vnb-gpu{i}, {colour})" for i, colour in enumerate(re.findall(r"#\w{6}", line))
    )


def node(tag: str, children: str | Sequence[Scene] = (), **attributes: Any) -> Scene:
    """Make a node; ``stroke_width`` becomes ``stroke-width``, and `None` is left out."""
    kept = {
        name if name == "viewBox" else name.rstrip("_").replace("_", "-"): _short(value)
        for name, value in attributes.items()
        if value is not None
    }
    return [tag, kept, children if isinstance(children, str) else list(children)]


def write(x: float, y: float, text: str, **attributes: Any) -> Scene:
    """Make a text; quiet unless told otherwise."""
    style: dict[str, Any] = {"fill": INK, "font_size": 11, "opacity": 0.76, **attributes}
    return node("text", text, x=x, y=y, **style)


def rule(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> Scene:
    """Make a line; a hair of the grid unless told otherwise."""
    style: dict[str, Any] = {"stroke": INK, "stroke_opacity": 0.12, **attributes}
    return node("line", x1=x1, y1=y1, x2=x2, y2=y2, **style)


def dots(points: Sequence[tuple[float, float]], size: float, **attributes: Any) -> Scene:
    """Make many round dots as one path: small to send, quick to draw."""
    d = "".join(f"M{_short(x)} {_short(y)}h0" for x, y in points)
    return node("path", d=d, fill="none", stroke_linecap="round", stroke_width=size, **attributes)


def picture(width: float, height: float, children: Sequence[Scene], label: str) -> Scene:
    """Make the root of a scene."""
    return node(
        "svg",
        children,
        viewBox=f"0 0 {_short(width)} {_short(height)}",
        width=width,
        height=height,
        role="img",
        aria_label=label,
    )


def to_svg(scene: Scene) -> str:
    """Return a scene as SVG text, without scripts, styles, links or event handlers.

    Everything is escaped, and what is not on the lists is left out.
    """
    tag, attributes, children = scene
    if tag not in TAGS:
        return ""
    space = ' xmlns="http://www.w3.org/2000/svg" style="max-width:100%;height:auto"'
    shown = "".join(
        f' {name}="{escape(str(value))}"'
        for name, value in attributes.items()
        if name in ATTRIBUTES
    )
    inner = escape(children) if isinstance(children, str) else "".join(to_svg(c) for c in children)
    return f"<{tag}{space if tag == 'svg' else ''}{shown}>{inner}</{tag}>"


def to_image(scene: Scene) -> str:
    """Return a scene as an ``<img>``: pages that drop ``<svg>`` keep images.

    A picture inside an image knows nothing of the page's colours, so it brings its paper.
    """
    space = 'style="background:#fff;color:#1f2328;font-family:system-ui,sans-serif"'
    svg = to_svg(scene).replace('style="max-width:100%;height:auto"', space, 1)
    label = escape(str(scene[1].get("aria-label", "")))
    data = b64encode(svg.encode()).decode()
    return (
        f'<img alt="{label}" style="max-width:100%;height:auto" '
        f'src="data:image/svg+xml;base64,{data}">'
    )


def text_width(text: str, size: float = 11) -> float:
    """Return about how wide a text is, px."""
    return _EM * size * len(text)


def fitted(text: str, width: float, size: float = 11) -> str:
    """Return a text that fits into `width` px, with an ellipsis where it was cut."""
    most = max(int(width / (_EM * size)), 1)
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


class Scale:
    """From values (`low` to `high`) to pixels (`start` to `end`).

    It is logarithmic where values differ much: by default if `high` is above 2.5 times `low`.
    """

    def __init__(
        self, low: float, high: float, start: float, end: float, *, log: bool | None = None
    ) -> None:
        self.log = (low > 0 and high / low > 2.5) if log is None else log
        if high <= low:
            low, high = (low / 1.3, high * 1.3) if low > 0 else (low - 1, high + 1)
        self.low, self.high = low, high
        self.start, self.end = start, end
        self._turn = cast(Callable[[Any], Any], np.log if self.log else np.asarray)
        self._from, self._to = (float(self._turn(value)) for value in (low, high))

    def __call__(self, value: Any) -> Any:
        """Return the pixel of a value (or array); what lies outside stands at the edge."""
        with np.errstate(all="ignore"):
            share = (self._turn(value) - self._from) / (self._to - self._from)
        at = self.start + np.clip(share, 0, 1) * (self.end - self.start)
        return float(at) if np.ndim(at) == 0 else at

    def ticks(self, most: float) -> list[float]:
        """Return round values within the range, at most about `most`."""
        ticks = _log_ticks if self.log else _ticks
        return ticks(self.low, self.high, most)


def span_of(*parts: Any, pad: float = 0.06) -> tuple[float, float]:
    """Return a range for all positive values of arrays, without a few lone ones far outside."""
    values = np.concatenate([np.asarray(part, dtype="float64").ravel() for part in parts])
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) == 0:
        return 1.0, 10.0
    least, low, high, most = np.quantile(values, [0, 0.01, 0.99, 1])
    low, high = max(least, low / 1.6), min(most, high * 1.6)
    widened = (high / low) ** pad if high > low else 1 + pad
    return float(low / widened), float(high * widened)


def _log_ticks(low: float, high: float, most: float) -> list[float]:
    found: list[float] = []
    for marks in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [mark * 10.0**power for power in powers for mark in marks]
        found = [float(f"{tick:.3g}") for tick in found if low <= tick <= high]
        if len(found) <= most:
            break
    return found


def _ticks(low: float, high: float, most: float) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    marks = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)
    step: float = next(mark * power for mark in marks if mark * power >= rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, last + 1)]


def _short(value: Any) -> Any:
    if isinstance(value, (float, np.floating)):
        number = float(value)
        text = f"{number:.1f}" if abs(number) >= 1 else f"{number:.3f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return value if isinstance(value, str) else str(value)
