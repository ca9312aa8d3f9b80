"""Base of the widgets: a page that says when it listens, and a copy that outlives the kernel.

What a widget shows goes to the page as custom messages when a page asks for it (it says
``ready``), and is no part of the synced state, which notebooks save.
"""

from __future__ import annotations

import uuid
from typing import Any

import anywidget
import traitlets

_WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


class LiveWidget(anywidget.AnyWidget):
    """A widget with a static copy beside it."""

    copy_class = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(copy_class=f"vnb-copy-{uuid.uuid4().hex[:12]}", **traits)
        self._listening = False
        self.on_msg(self._on_message)

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if isinstance(content, dict) and content.get("type") == "ready":
            self._listening = True
            self._send_everything()

    def _send_everything(self) -> int:
        """Send what a page needs that has just been opened; return the bytes of its buffers."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _copy(self) -> str:
        """Return the HTML that stays when no kernel runs."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **_kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Return the living widget, and what is left of it without a kernel."""
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {_WIDGET_VIEW: view, "text/html": self._copy(), "text/plain": repr(self)}

    def _ipython_display_(self, **_kwargs: Any) -> None:
        """Display the widget, and beside it the copy that it hides while it lives.

        In one output the two would share one fate: a page that finds no widget behind the id
        says so and does not look at the HTML.
        """
        from IPython.display import display

        data = self._repr_mimebundle_()
        copy = data.pop("text/html")
        display(data, raw=True)  # type: ignore[no-untyped-call]
        display({"text/html": copy, "text/plain": ""}, raw=True)  # type: ignore[no-untyped-call]
