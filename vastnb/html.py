"""The one place that makes HTML: every `_repr_html_`, saved copy, table and progress line.

Notebooks typeset ``$...$`` in HTML as mathematics, and prices are full of dollars. MathJax leaves
alone what is inside an element of the classes in `NO_MATH` (one is MathJax 2's, the other
MathJax 3's), so `block` gives them to the outermost element. Text is escaped, since names, places
and labels come from strangers. Styles stand in the elements: GitHub and mails drop style sheets.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from html import escape as escape
from itertools import chain, repeat
from typing import TYPE_CHECKING, Literal

import pandas as pd

if TYPE_CHECKING:
    from pandas.io.formats.style import Styler

NO_MATH = "tex2jax_ignore mathjax_ignore"
"""Classes of an element in which MathJax finds no formulas."""

Side = Literal["left", "right"]

_OURS = "vastnb"
_QUIET = "font-size:0.9em;font-variant-numeric:tabular-nums;opacity:0.8"


def block(*parts: str, css_class: str = "") -> str:
    """Return `parts`, which are HTML, as one element in which nothing is typeset."""
    return f'<div class="{escape(f"{NO_MATH} {css_class}".strip())}">{"".join(parts)}</div>'


def line(text: str) -> str:
    """Return one quiet line of text."""
    return block(f'<div style="{_QUIET}">{escape(text)}</div>')


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], sides: Sequence[Side] | None = None
) -> str:
    """Return a table of texts.

    Parameters
    ----------
    heads : sequence of str
        What stands above the columns; none if empty.
    rows : iterable of sequence of str
        The cells.
    sides : sequence of {"left", "right"}, optional
        How the columns are aligned. Default: the first to the left, the others to the right.
    """

    def cells(tag: str, texts: Sequence[str]) -> str:
        return "".join(
            f'<{tag} style="text-align:{side}">{escape(text)}</{tag}>'
            for text, side in zip(texts, sides or chain(["left"], repeat("right")), strict=False)
        )

    head = f"<thead><tr>{cells('th', heads)}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"


def frame(data: pd.DataFrame) -> str:
    """Return a frame as pandas shows it, without its index."""
    return data.to_html(index=False, na_rep="", border=0) if len(data) else ""


def ours(data: pd.DataFrame) -> pd.DataFrame:
    """Mark a frame as made here: its texts hold dollars, and no formulas."""
    data.attrs.setdefault(_OURS, {})
    return data


def show_frames_as_they_are(texts: Collection[str]) -> None:
    """Let IPython show frames of ours (and what is made of them) without formulas.

    Frames of others stay as they are: whoever writes formulas into one wants to see them.

    Parameters
    ----------
    texts : collection of str
        Columns in which strangers write. A frame with one of these is ours, too: pandas drops
        ``attrs`` when frames are joined, grouped or counted.
    """
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None:
        return
    formatter = shell.display_formatter.formatters["text/html"]
    before = formatter.type_printers.get(pd.DataFrame)

    def shown(data: pd.DataFrame) -> str | None:
        text: str | None = before(data) if before else data._repr_html_()  # type: ignore[operator]
        return block(text) if text and _is_ours(data, texts) else text

    def styled(style: Styler) -> str | None:
        text: str | None = style._repr_html_()  # type: ignore[attr-defined]
        return block(text) if text and _is_ours(style.data, texts) else text  # type: ignore[attr-defined]

    formatter.for_type(pd.DataFrame, shown)
    formatter.for_type_by_name("pandas.io.formats.style", "Styler", styled)


def _is_ours(data: pd.DataFrame, texts: Collection[str]) -> bool:
    labels = [*data.columns, *data.columns.names, *data.index.names]
    parts = chain.from_iterable(one if isinstance(one, tuple) else (one,) for one in labels)
    # Joins put _x and _y behind names that both sides have.
    names = {one.removesuffix("_x").removesuffix("_y") for one in parts if isinstance(one, str)}
    return _OURS in data.attrs or not names.isdisjoint(texts)
