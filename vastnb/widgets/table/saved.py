"""The copy of a table that is left when no kernel runs: on GitHub, in nbconvert, in an e-mail.

Plain HTML with inline styles and nothing else: such pages drop scripts and style sheets. Every
value is escaped, since names and places come from strangers, and only the first rows are kept,
so that a saved notebook stays small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vastnb.html import Side, block, escape, table
from vastnb.widgets.table import words
from vastnb.widgets.table.columns import Look, look_of
from vastnb.wording import price

COPY_ROWS = 20
COPY_COLUMNS: tuple[str, ...] = (
    "gpu_name",
    "num_gpus",
    "gpu_ram_gb",
    "dph_total",
    "dph_gpu",
    "dlperf",
    "reliability",
    "verification",
    "geolocation",
    "id",
)
MISSING = "\N{EN DASH}"
_LEFT = ("text", "verification")


def format_value(look: Look, value: Any) -> str:
    """Return `value` as the table shows it; an en dash for what is missing."""
    if value is None or value is pd.NA or value is pd.NaT:
        return MISSING
    if isinstance(value, str) or look.form in _LEFT:
        return str(value)
    if look.form == "flag":
        return "yes" if value else "no"
    number = float(value)
    if not math.isfinite(number):
        return MISSING
    if look.form == "usd":
        return price(number)
    if look.form == "percent":
        floored = math.floor(number * 1000 + 1e-9) / 10
        return f"{floored:.0f}" if floored == 100 else f"{floored:.1f}"
    if look.form == "id":
        return f"{number:.0f}"
    if look.form == "days":
        return "> 10 y" if number > 86400 * 3650 else f"{number / 86400:,.0f}"
    if look.form == "int":
        return f"{number:,.0f}"
    if look.form == "bar":
        return f"{number:,.1f}" if number < 100 else f"{number:,.0f}"
    return f"{number:,.{0 if abs(number) >= 10000 else look.decimals}f}"


def static_table(
    frame: pd.DataFrame,
    *,
    caption: str,
    note: str = "",
    columns: Sequence[str] | None = None,
    rows: int = COPY_ROWS,
    css_class: str = "",
    code: str = "",
) -> str:
    """Return the first `rows` rows of `frame` as a small, safe table, with plain text around it.

    A `caption` above says what this is, a `note` below how to get more, `code` after it keeps its
    lines. `columns` are shown where the frame has them; else its first ten. By `css_class` a living
    widget hides its copy.
    """
    names = [name for name in columns or COPY_COLUMNS if name in frame.columns]
    if not names:
        names = [str(name) for name in frame.columns[:10]]
    looks = [look_of(name, frame[name].dtype) for name in names]
    shown = frame[names].head(rows)
    left = len(frame) - len(shown)
    more = words.MORE_ROWS.format(left=left) if left > 0 else ""
    return block(
        f"<p><b>{escape(caption)}</b></p>",
        table(
            [f"{look.label} {look.unit}".strip() for look in looks],
            (
                [format_value(look, value) for look, value in zip(looks, values, strict=True)]
                for values in shown.itertuples(index=False, name=None)
            ),
            [_side(look) for look in looks],
        ),
        f"<p>{escape(f'{more}{note}'.strip())}</p>",
        code_block(code),
        css_class=css_class,
    )


def dated(what: str, source: Mapping[str, Any]) -> str:
    """Return a caption: whether the market is simulated, what is shown, and when it was so."""
    made_up = words.SIMULATED_MARKET if source.get("simulated") else ""
    when = str(source.get("fetched_at", ""))[:16].replace("T", " ")
    return f"{made_up}{what}, {when} UTC" if when else f"{made_up}{what}"


def code_block(code: str) -> str:
    """Return code as HTML that keeps its lines and is broken nowhere; empty without any."""
    return f'<pre style="overflow-x:auto"><code>{escape(code)}</code></pre>' if code else ""


def _side(look: Look) -> Side:
    return "left" if look.form in _LEFT else "right"
