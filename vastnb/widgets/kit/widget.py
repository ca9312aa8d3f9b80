"""Base of the widgets: a page that says when it listens, a copy that outlives the kernel, an end.

What a widget shows goes to the page as custom messages when a page asks for it (it says
``ready``), and is no part of the synced state, which notebooks save. A page that doubts whether
its kernel still stands behind it says ``ping`` and is answered (``alive.js``).

What fails while a message is dealt with is shown in the widget: nobody reads a kernel's log.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import traitlets

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
        self.on_msg(self._on_message)

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
            _log.exception("%s could not deal with a message of its page", type(self).__name__)
            self._show_error(error)

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
