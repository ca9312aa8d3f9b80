"""A refusal, as the service words it: raised wherever something is refused, sent by `http.app`."""

from __future__ import annotations

from typing import Any


class Failure(Exception):
    """A refusal in the service's own manner.

    Parameters
    ----------
    status : int
        HTTP status.
    error : str or None
        The service's code, e.g. ``"no_such_ask"``; `None` leaves it out.
    msg : str
        The service's words; that they are simulated is added.
    **more
        Further fields of the body.
    """

    def __init__(self, status: int, error: str | None, msg: str, **more: Any) -> None:
        if "simulated" not in msg:
            msg = f"{msg} (simulated)"
        super().__init__(msg)
        self.status = status
        self.body: dict[str, Any] = {"success": False}
        if error is not None:
            self.body["error"] = error
        self.body["msg"] = msg
        self.body.update(more)


__all__ = ["Failure"]
