"""What happens while machines are being rented, told as it happens.

Every step of a rental is a `RentEvent`. A listener gets each of them in the thread that rents; in
the main thread a line shows the last one while it takes longer than a moment. Neither can disturb
the rental: a listener that fails is reported, and the rental goes on.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from vastnb.api.progress import Line
from vastnb.clock import Clock

Kind = Literal[
    "checking",
    "sending",
    "created",
    "refused",
    "passed over",
    "finding out",
    "adopted",
    "absent",
    "destroyed",
    "done",
]

RENTED: Final = frozenset({"created", "adopted"})


@dataclass(frozen=True, slots=True)
class RentEvent:
    """One step of a rental.

    Parameters
    ----------
    kind : str
        ``"checking"`` (prices are asked for again), ``"sending"``, ``"created"``, ``"refused"``,
        ``"passed over"`` (not tried; one event for all offers that a check rules out),
        ``"finding out"`` (the answer was lost), ``"adopted"`` (and the machine is there),
        ``"absent"`` (and there is none), ``"destroyed"`` (it would have billed for nothing) and,
        at the end, ``"done"``.
    offer_id, instance_id : int or None
        Which offer, and which machine.
    dph : float or None
        $/h with the disk.
    text : str
        The same in words.
    """

    kind: Kind
    offer_id: int | None
    instance_id: int | None
    dph: float | None
    text: str


Listener = Callable[[RentEvent], object]


class Reporter:
    """Tells a listener and shows a line.

    Parameters
    ----------
    count : int
        Machines that are wanted.
    clock : Clock
        The time.
    listener : callable, optional
        Gets every event.
    line : bool
        Whether to show a line, if this is the main thread.
    """

    def __init__(
        self, count: int, clock: Clock, listener: Listener | None = None, *, line: bool = False
    ) -> None:
        self._count = count
        self._listener = listener
        self._line = Line(now=clock.time) if line else None
        self._rented = 0
        self._complained = False

    def tell(self, event: RentEvent) -> None:
        """Tell of one step."""
        self._rented += event.kind in RENTED
        if self._line is not None and (event.kind != "done" or self._line.is_shown):
            text = f"{event.text[:100]} ({min(self._rented, self._count)} of {self._count})"
            self._line.show(text, at_once=event.kind == "finding out")
        if self._listener is None:
            return
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 - whatever a listener does, machines come first
            if not self._complained:
                self._complained = True
                warnings.warn(
                    f"on_event failed ({type(error).__name__}: {error}); renting continues.",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def close(self) -> None:
        """Remove the line."""
        if self._line is not None:
            self._line.close()


def warn(text: str, *, stacklevel: int = 2) -> None:
    """Warn; raise nothing.

    With ``-W error`` a warning is raised where it is given. After a create, the handle of a machine
    would be lost with it; here it is written to the standard error then.
    """
    try:
        warnings.warn(text, RuntimeWarning, stacklevel=stacklevel + 1)
    except RuntimeWarning:
        sys.stderr.write(f"vastnb: {text}\n")
