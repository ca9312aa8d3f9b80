"""What the price charts give away: scenes for the page, the status line, the static copy.

Pure functions of a `PricesModel`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import pandas as pd

from vastnb.html import block, escape, table
from vastnb.market.money.summary import summary
from vastnb.widgets.prices import charts, frames, words
from vastnb.widgets.prices.axes import empty
from vastnb.widgets.prices.model import PricesModel
from vastnb.widgets.prices.scene import Scene, to_image
from vastnb.widgets.prices.trend import trend
from vastnb.widgets.table.saved import code_block, dated
from vastnb.wording import usd

NARROWEST, WIDEST, COPY_WIDTH = 260.0, 1400.0, 540.0
COPY_ROWS: Final = 12
TITLES: Final = {
    "distribution": words.PRICE_BY_GPU_MODEL,
    "performance": words.PRICE_AGAINST_PERFORMANCE,
    "trend": words.MEDIAN_PRICE,
    "countries": words.PRICE_BY_COUNTRY,
}


def scenes(
    model: PricesModel, width: float, names: Iterable[str] = TITLES, *, tips: bool = True
) -> dict[str, Scene]:
    """Return the charts (or those of `names`) by name, `width` px wide; `tips` are for the page."""
    width = min(max(width, NARROWEST), WIDEST)
    if said := _nothing_yet(model):
        return {name: empty(TITLES[name], *said, width) for name in names}
    shown, colours, per, days = model.shown, model.colours, model.state.per, model.state.days
    draw: dict[str, Callable[[], Scene]] = {
        "distribution": lambda: charts.distribution(
            frames.distribution(shown, per), colours, width, per
        ),
        "performance": lambda: charts.performance(
            frames.performance(shown, per), colours, width, per, tips=tips
        ),
        "trend": lambda: trend(model.trend, colours, width, days, model.trend_note, tips=tips),
        "countries": lambda: charts.countries(
            frames.countries(shown), width, one_model=len(model.state.gpu) == 1
        ),
    }
    return {name: draw[name]() for name in names}


def _nothing_yet(model: PricesModel) -> tuple[str, str] | None:
    """Return why no answer is at hand, as a headline and a sentence; `None` if there is one."""
    if len(model.held.columns):
        return None
    if model.waiting:
        return words.SEARCHING, words.WAITING
    if model.problem:
        return words.NO_OFFERS, words.SEARCH_FAILED
    return words.NO_OFFERS, words.NOT_SEARCHED_YET


def static_copy(model: PricesModel, *, css_class: str) -> str:
    """Return the HTML that is left without a kernel: four pictures, and their numbers as a table.

    Some places (GitHub among them) drop the pictures; the table stays.
    """
    figures = model.figures()
    what = words.CAPTION.format(machines=figures["machines"], models=figures["models"])
    pictures = "".join(
        f'<div style="flex:1 1 440px;max-width:{COPY_WIDTH:.0f}px">{to_image(scene)}</div>'
        for scene in scenes(model, COPY_WIDTH, tips=False).values()
    )
    problem = f"{model.problem.title} {model.problem.text} " if model.problem else ""
    note = words.COPY_NOTE.format(problem=problem)
    return block(
        f"<p><b>{escape(dated(what, model.provenance))}</b></p>",
        f'<div style="display:flex;flex-wrap:wrap;gap:8px">{pictures}</div>',
        _table(model.shown),
        f"<p>{escape(note)}</p>",
        code_block(model.code()),
        css_class=css_class,
    )


def _table(frame: pd.DataFrame) -> str:
    if not set(frame.columns) >= frames.NEEDED or len(frame) == 0:
        return ""
    rows = summary(frame).dropna(subset=["dph_gpu_q50"])
    heads = ("GPU", "machines", "GPUs", "cheapest", "10 %", "median", "90 %", "DLPerf")
    lines = []
    for row in rows.head(COPY_ROWS).to_dict("records"):
        prices = [usd(row[f"dph_gpu_{name}"]) for name in ("min", "q10", "q50", "q90")]
        speed = row["dlperf_gpu"]
        cells = [
            "unknown" if pd.isna(row["gpu_name"]) else str(row["gpu_name"]),
            f"{row['machines']:,}",
            f"{row['gpus']:,}",
            *prices,
            "" if pd.isna(speed) else f"{speed:,.1f}",
        ]
        lines.append(cells)
    left = len(rows) - len(lines)
    more = words.MORE_MODELS_LEFT_OUT.format(left=left) if left > 0 else ""
    return f"{table(heads, lines)}<p>$/h per GPU; each machine counts once{more}.</p>"
