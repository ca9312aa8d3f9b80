"""What the explorer says beside its rows: the status line, what one can pick, the static copy.

Pure functions of an `ExplorerModel`; each returns small JSON-able values or HTML.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from vastnb.widgets.explorer import words
from vastnb.widgets.explorer.model import ExplorerModel
from vastnb.widgets.table.saved import dated, static_table


def beside_rows(model: ExplorerModel) -> dict[str, Any]:
    """Return what goes to the page with every set of rows.

    The kernel's time (epoch seconds) is part of it: the page's own clock may differ.
    """
    title, empty = words.NO_OFFERS_MATCH, words.NONE_PASSES
    if model.waiting is not None:
        title, empty = words.SEARCHING, words.NONE_PASSES_YET
    elif model.problem is not None and model.frame.columns.empty:
        title, empty = words.NO_OFFERS_YET, words.SEARCH_FAILED
    elif len(model.frame) == 0:
        empty = words.NO_SUCH_OFFER
    return {
        "now": time.time(),
        "facets": model.facets(),
        "notes": {"disk": model.state.disk, "title": title, "empty": empty},
    }


def static_copy(model: ExplorerModel, order: Sequence[Any], *, css_class: str) -> str:
    """Return the HTML that is left of the explorer without a kernel."""
    what = words.CAPTION.format(
        count=model.figures()["shown"], what=model.query.text or words.THE_WHOLE_MARKET
    )
    problem = f"{model.problem.title} {model.problem.text} " if model.problem else ""
    return static_table(
        model.shown(order),
        caption=dated(what, model.provenance),
        note=words.COPY_NOTE.format(problem=problem),
        css_class=css_class,
        code=model.code(order),
    )
