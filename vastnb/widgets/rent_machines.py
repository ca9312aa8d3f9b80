"""The machines that a form has rented: how each is, how to connect, and its end.

A `Machine` is what is known of one: the watcher's last picture of it, and what was asked of it
from here. Its card holds no secret: the address of its Jupyter, which carries a token, is fetched
when somebody clicks for it, and goes to the page in a message that nothing keeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vastnb.fleet import connect
from vastnb.fleet.diary import dph_now

from .rent_price import number_of

if TYPE_CHECKING:
    from vastnb.fleet.watch import Snapshot

MOODS: Final[dict[str, str]] = {
    "starting": "busy",
    "running": "good",
    "stopped": "warn",
    "outbid": "warn",
    "stuck": "bad",
    "failed": "bad",
    "offline": "bad",
    "unreachable": "bad",
    "gone": "off",
    "destroying": "busy",
}


@dataclass(frozen=True)
class Machine:
    """One machine of a form.

    Parameters
    ----------
    id : int
        The instance.
    state : str
        The verdict's word; ``"destroying"`` while it is being destroyed from here.
    reason, advice : str
        In words.
    record : mapping
        What the watcher keeps of its record.
    deadline : float or None
        When the money guard ends it, epoch seconds.
    ending : bool
        Whether it is being destroyed from here.
    trouble : str
        Why something asked from here did not work.
    """

    id: int
    state: str = "starting"
    reason: str = "rented a moment ago"
    advice: str = ""
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    deadline: float | None = None
    ending: bool = False
    trouble: str = ""

    @property
    def is_gone(self) -> bool:
        """Whether it bills no more."""
        return self.state == "gone"

    def card(self) -> dict[str, Any]:
        """Return what the page shows of it. Text from hosts stays text there."""
        record = self.record
        up = self.state == "running"
        state = "destroying" if self.ending and not self.is_gone else self.state
        count, name = number_of(record, "num_gpus"), record.get("gpu_name")
        return {
            "id": self.id,
            "state": state,
            "mood": MOODS.get(state, "warn"),
            "reason": self.reason,
            "advice": "" if self.advice in ("nothing to do", "wait") else self.advice,
            "gpu": f"{count:.0f}\N{MULTIPLICATION SIGN} {name}"
            if count and isinstance(name, str)
            else "",
            "dph": number_of(record, "dph_total"),
            "dph_now": None if self.is_gone else dph_now(record),
            "where": str(record.get("geolocation") or ""),
            "ssh": connect.ssh_command(record) if up else None,
            "config": connect.ssh_config(record) if up else None,
            "jupyter": up and "jupyter" in str(record.get("image_runtype") or ""),
            "deadline": self.deadline,
            "trouble": self.trouble,
            "ending": self.ending,
        }


def seen_in(machine: Machine, snapshot: Snapshot) -> Machine:
    """Return the machine as a new picture of all instances shows it."""
    found = snapshot.of(machine.id)
    if machine.is_gone:
        return machine
    if found is None:
        # Not in the picture: not listed yet, or gone; the watcher tells by a verdict, or we by
        # having destroyed it.
        return machine
    verdict = found.verdict
    return replace(
        machine,
        state=verdict.state,
        reason=verdict.reason,
        advice=verdict.advice,
        record=found.record or machine.record,
    )


__all__ = ["MOODS", "Machine", "seen_in"]
