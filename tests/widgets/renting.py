"""A page that drives a rent form, without a browser: it says what a page says, and keeps what it
is told."""

from __future__ import annotations

import time
from typing import Any

from vastnb.sim import Instance, Server
from vastnb.widgets.rent.widget import RentForm

QUERY = "gpu_name=RTX_4090 num_gpus=1"


class Page:
    """One page on a form.

    Parameters
    ----------
    form : RentForm
        The form.
    """

    def __init__(self, form: RentForm, name: str = "page") -> None:
        self.form = form
        self.name = name
        self.seq = 0
        self.messages: list[dict[str, Any]] = []
        tell = form.send

        def send(message: Any, buffers: Any = None) -> None:
            self.messages.append(message)
            tell(message, buffers)

        form.send = send  # type: ignore[method-assign]
        self.say("ready")

    def say(self, kind: str, **content: Any) -> None:
        """Send a message to the kernel."""
        self.seq += 1
        made = {"at": time.time(), "page": self.name, "seq": self.seq}
        message = {"type": kind, **made, **content}
        self.form._on_message(self.form, message, [])

    @property
    def state(self) -> dict[str, Any]:
        """The last picture."""
        return [one for one in self.messages if one["type"] == "state"][-1]

    def review(self) -> dict[str, Any]:
        """Ask for the confirmation; return what the page has to repeat."""
        self.say("review")
        shown = self.state["confirm"]
        assert shown is not None, (self.state["note"], self.state["outcome"], self.state["errors"])
        return dict(shown)

    def click(self, shown: dict[str, Any], **other: Any) -> None:
        """Click on 'Rent'."""
        self.say("confirm", **{**shown, "at": time.time(), **other})

    def rent(self) -> dict[str, Any]:
        """Review, click, wait for the end; return the picture then."""
        self.click(self.review())
        assert self.form.wait(60)
        return self.state

    def steps(self) -> list[str]:
        """The kinds of what has happened."""
        run = self.state["run"]
        return [] if run is None else [one["kind"] for one in run["steps"]]


def alive(server: Server) -> list[Instance]:
    """The machines that exist in truth."""
    return [one for one in server.world.instances.values() if one.alive]
