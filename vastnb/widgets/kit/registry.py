"""One living widget for each place in a notebook.

Running a cell again makes a new widget; without care the old one stays for the life of the
kernel, with its rows and its messages. Each widget is entered here under a key: the one that the
user gave, or the cell. A newer one under the same key closes the older ones. Two widgets that
one run of a cell makes stay side by side.
"""

from __future__ import annotations

import weakref
from typing import Any, Protocol


class Closable(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Free everything."""


_OPEN: dict[str, tuple[str | None, weakref.WeakSet[Any]]] = {}


def replace(widget: Closable, kind: str, key: str | None, run: str | None = None) -> None:
    """Enter `widget`, and close those that it replaces.

    Parameters
    ----------
    widget : Closable
        The new one.
    kind : str
        Keys of different kinds of widgets are apart.
    key : str or None
        The place. `None` replaces nothing.
    run : str, optional
        Which execution made it: widgets of one run under one key stay.
    """
    if key is None:
        return
    name = f"{kind}:{key}"
    last_run, widgets = _OPEN.get(name, (None, weakref.WeakSet()))
    if run is None or run != last_run:
        for old in list(widgets):
            old.close()
        widgets = weakref.WeakSet()
    widgets.add(widget)
    _OPEN[name] = (run, widgets)


def this_cell() -> tuple[str | None, str | None]:
    """Return the id of the notebook cell that runs, and of its run; `None` outside of one."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None, None
    shell = get_ipython()
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    cell = parent.get("metadata", {}).get("cellId")
    run = parent.get("header", {}).get("msg_id")
    return (str(cell) if cell else None), (str(run) if run else None)
