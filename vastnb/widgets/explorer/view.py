"""What the explorer says beside its rows: the status line, what one can pick, the static copy.

Pure functions of an `ExplorerModel`; each returns small JSON-able values or HTML.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from vastnb.widgets.explorer.model import ExplorerModel
from vastnb.widgets.table.saved import static_table

_KEPT = ("from_cache", "stale", "stale_reason", "truncated", "simulated")


def status_of(
    model: ExplorerModel,
    order: Sequence[Any],
    *,
    busy: Mapping[str, Any] | None,
    quota: Mapping[str, int] | None,
    bells: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return what the lines above and below the table say.

    Parameters
    ----------
    model : ExplorerModel
        The state.
    order : sequence
        ``[column, ascending]`` of the table, or empty.
    busy : mapping, optional
        ``since`` (epoch seconds) while a search is under way; ``until`` while it waits its turn.
    quota : mapping, optional
        Rows ``used`` today, and their ``limit``.
    bells : sequence of mapping
        Price alerts.

    Returns
    -------
    dict
        JSON-able and small. Times are epoch seconds: the page lets them tick.
    """
    status: dict[str, Any] = {
        "figures": model.figures(),
        "code": model.code(order),
        "busy": dict(busy) if busy else None,
        "problem": asdict(model.problem) if model.problem else None,
        "quota": dict(quota) if quota else None,
        "bells": list(bells),
    }
    source = model.provenance
    if source:
        status["answer_query"] = source.get("query") or ""
        status["fetched_at"] = datetime.fromisoformat(source["fetched_at"]).timestamp()
        status |= {name: source.get(name) for name in _KEPT}
    return status


def beside_rows(model: ExplorerModel, now: float) -> dict[str, Any]:
    """Return what goes to the page with every set of rows.

    Parameters
    ----------
    model : ExplorerModel
        The state.
    now : float
        The kernel's time (epoch seconds): the page's own clock may differ.
    """
    title, empty = "No offers match", "No offer in this result passes all filters."
    if model.waiting is not None:
        title, empty = "Searching", "No loaded offer passes the filters; asking Vast.ai."
    elif model.problem is not None and model.frame.columns.empty:
        title, empty = "No offers yet", "The search failed; the message below says why."
    elif len(model.frame) == 0:
        empty = "Vast.ai has no such offer at the moment."
    return {
        "now": now,
        "facets": model.facets(),
        "notes": {"disk": model.state.disk, "title": title, "empty": empty},
    }


def static_copy(model: ExplorerModel, order: Sequence[Any], *, css_class: str) -> str:
    """Return the HTML that is left of the explorer without a kernel."""
    source = model.provenance
    made_up = "SIMULATED MARKET: " if source.get("simulated") else ""
    what = model.query.text or "the whole market"
    when = str(source.get("fetched_at", ""))[:16].replace("T", " ")
    caption = f"{made_up}{model.figures()['shown']:,} GPU offers from {what}"
    problem = f"{model.problem.title} {model.problem.text} " if model.problem else ""
    return static_table(
        model.shown(order),
        caption=f"{caption}, {when} UTC" if when else caption,
        note=f"{problem}As it was when the cell ran. Run the cell for the explorer. As code:",
        css_class=css_class,
        code=model.code(order),
    )
