"""Base of the widgets: a page that says when it listens, one thread that writes, a copy, an end.

What a widget shows goes to the page as custom messages when a page asks for it (it says
``ready``), and is no part of the synced state, which notebooks save. A page that doubts whether
its kernel still stands behind it says ``ping`` and is answered (``alive.js``).

What fails while a message is dealt with is shown in the widget: nobody reads a kernel's log.
"""

from __future__ import annotations

import logging
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anywidget
import traitlets

from vastnb.widgets.kit.work import MainThread

_log = logging.getLogger("vastnb.widgets")


class LiveWidget(anywidget.AnyWidget):
    """A widget with a static copy beside it.

    A subclass says what a message means (`_heard`), what it shows of an error (`_show_error`),
    and what ends with it (`_end`).
    """

    copy_class = traitlets.Unicode().tag(sync=True)
    # How many answers to its own questions the page has heard. marimo runs the cells that use a
    # widget when the page changes it, and at no other time.
    heard = traitlets.Int(0).tag(sync=True)
    _closed = False
    _listening = False

    def __init__(self, **traits: Any) -> None:
        super().__init__(copy_class=f"vnb-copy-{uuid.uuid4().hex[:12]}", **traits)
        self._main = MainThread()
        self.on_msg(self._on_message)

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        """Close the widget if it cannot be made whole, as by Ctrl-C: nobody would hold it."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if not isinstance(content, dict):
            return
        if content.get("type") == "ping":
            self.send({"type": "pong"})
            return
        self._guarded(lambda: self._heard(content))

    def _heard(self, content: Mapping[str, Any]) -> None:
        """Take a message of the page."""
        if content.get("type") == "ready":
            self._listening = True
            self._send_everything()

    def _guarded(self, work: Callable[[], None], *, always: bool = False) -> None:
        """Do `work` unless the widget is closed (or `always`); show what goes wrong."""
        if self._closed and not always:
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001  (shown: a page that nobody answers is worse)
            _log.exception("%s could not handle a message from its page", type(self).__name__)
            self._show_error(error)

    def _on_main(self, work: Callable[[], None]) -> None:
        """Do `work` on the main thread; show what goes wrong."""
        self._main.run(lambda: self._guarded(work))

    def _show_error(self, error: Exception) -> None:
        """Show what went wrong while a message was dealt with."""

    def _send_everything(self) -> int:
        """Send what a page needs that has just been opened; return the bytes of its buffers."""
        raise NotImplementedError

    def _end(self) -> None:
        """End what the widget holds besides its page. It may have been made in part only."""

    def close(self) -> None:
        """End the widget: its view, its messages, and what it does. What was rented stays."""
        if self._closed:
            return
        self._closed = True
        self._end()
        self.unobserve_all()
        layout = self._trait_values.get("layout")
        super().close()
        if layout is not None:
            layout.close()

    def __del__(self) -> None:
        """Close, also a widget that was never made whole."""
        try:
            self.close()
        except Exception:  # noqa: BLE001  (the interpreter may be ending)
            _log.debug("a widget could not be closed", exc_info=True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _copy(self) -> str:
        """Return the HTML that stays when no kernel runs."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_kwargs: Any) -> Any:
        """Return the living widget, and what is left of it without a kernel.

        Metadata comes with it where a host needs some: Colab does, and anywidget knows what.
        """
        data, metadata = super()._repr_mimebundle_() or ({}, {})
        data["text/html"] = self._copy()
        return (data, metadata) if metadata else data

    def _ipython_display_(self, **_kwargs: Any) -> None:
        """Display the widget, and beside it the copy that it hides while it lives.

        In one output the two would share one fate: a page that finds no widget behind the id
        says so and does not look at the HTML.
        """
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, None)
        copy = data.pop("text/html")
        display(data, metadata=metadata, raw=True)  # type: ignore[no-untyped-call]
        display({"text/html": copy, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]


_OPEN: dict[str, tuple[str | None, weakref.WeakSet[Any]]] = {}


def one_a_place(widget: LiveWidget, key: str | None = None) -> None:
    """Enter a widget, and close those of its kind that it replaces.

    Running a cell again makes a new widget; without care the old one stays for the life of the
    kernel, with its rows and its messages. Two widgets that one run of a cell makes stay side by
    side.

    Parameters
    ----------
    widget : LiveWidget
        The new one.
    key : str, optional
        The place; by default the cell. Outside of one, nothing is replaced.
    """
    cell, run = this_cell()
    if key is not None:
        run = None
    elif cell is None:
        return
    name = f"{type(widget).__name__}:{key or cell}"
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
