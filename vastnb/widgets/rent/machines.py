"""The machines that a form has rented: how each is, how to connect, and its end.

A `Machine` is what is known of one: the watcher's last picture of it, and what was asked of it
from here. Its card holds no secret: the address of its Jupyter, which carries a token, is fetched
when somebody clicks for it, and goes to the page in a message that nothing keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vastnb.fleet import connect
from vastnb.fleet.costs import dph_now
from vastnb.fleet.status import TO_DO
from vastnb.widgets.rent.price import number_of

if TYPE_CHECKING:
    from vastnb.fleet.watch.state import Snapshot

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


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a machine was, for how long, and what it cost.

    Parameters
    ----------
    seconds : float or None
        From its creation to its end.
    usd : float or None
        $, estimated from what was seen of it.
    """

    seconds: float | None
    usd: float | None


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
    receipt : Receipt or None
        What it has come to; None as long as it is there.
    """

    id: int
    state: str = "starting"
    reason: str = "just rented"
    advice: str = ""
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)
    deadline: float | None = None
    ending: bool = False
    trouble: str = ""
    receipt: Receipt | None = None

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
            "advice": TO_DO.get(self.advice, self.advice),  # type: ignore[call-overload]
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
            "receipt": None if self.receipt is None else asdict(self.receipt),
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


def bill_of(machines: Sequence[Machine], now: float) -> dict[str, Any] | None:
    """Return what the machines that are there cost: now, when all run, and until they end.

    Parameters
    ----------
    machines : sequence of Machine
        Of one form.
    now : float
        Epoch seconds, by the clock of the deadlines.

    Returns
    -------
    dict or None
        ``now`` and ``full`` ($/h); ``until`` ($ until every deadline, None if one has none) and
        ``hours`` (until the last one). None without a machine whose price is known.
    """
    there = [one.card() for one in machines if not one.is_gone]
    there = [one for one in there if one["dph"] is not None]
    if not there:
        return None
    left = [
        None if one["deadline"] is None else max(0.0, one["deadline"] - now) / 3600 for one in there
    ]
    ends = [hours for hours in left if hours is not None]
    known = len(ends) == len(there)
    return {
        "now": sum(one["dph"] if one["dph_now"] is None else one["dph_now"] for one in there),
        "full": sum(one["dph"] for one in there),
        "until": sum(one["dph"] * h for one, h in zip(there, ends, strict=True)) if known else None,
        "hours": max(ends) if known else None,
    }


__all__ = ["MOODS", "Machine", "Receipt", "bill_of", "seen_in"]
