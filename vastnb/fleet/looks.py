"""What is seen of an instance: the words of its record that decide anything, now and before.

The status message comes from the host's machine, so it is a stranger's: it is cut, put on one line
and cleaned before anybody sees it, and only a few patterns in it mean anything here. Docker reports
an image layer by layer (``59729b65119e: Pull complete``), usually one line at a time; errors are
Docker's own words, of which some will never heal by waiting and some usually do.
Neighbouring looks that say the same are one `Seen`, with the times of the first and the last: half
an hour of pulling takes a dozen entries, and a week of running one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from vastnb.api.text import plain
from vastnb.values import number

# -- the status message --------------------------------------------------------------------------

Kind = Literal["none", "up", "pulling", "bad image", "bad machine", "network", "error", "other"]
"""``bad image`` fails on every machine, ``bad machine`` only here; ``network`` may heal."""

ERRORS: Final[frozenset[Kind]] = frozenset({"bad image", "bad machine", "network", "error"})
SHOWN: Final = 160
"""Characters of a message that are shown."""
_READ: Final = 20_000

_LAYER = re.compile(
    r"^[ \t]*([0-9a-f]{12}): (Pull complete|Already exists|Download complete|Verifying Checksum"
    r"|Downloading|Extracting|Pulling fs layer|Waiting|Retrying)",
    re.MULTILINE,
)
_COMPLETE = ("Pull complete", "Already exists")
_PULLING = re.compile(r"^[^\n]{0,200}: Pulling from ", re.IGNORECASE)
_BAD_IMAGE = re.compile(
    r"pull access denied|repository does not exist|manifest unknown|manifest for .{1,200} not found"
    r"|invalid reference format|no matching manifest|unauthorized|insufficient_scope"
    r"|registry.{1,200}(?<!permission )\bdenied|daemon: denied|^\s*denied\b"
    r"|requested access to the resource is denied",
    re.IGNORECASE,
)
_NETWORK = re.compile(
    r"client\.timeout|i/o timeout|no such host|network is unreachable|connection re(set|fused)"
    r"|tls handshake|toomanyrequests|request canceled|\bEOF\b|context deadline exceeded",
    re.IGNORECASE,
)
_BAD_MACHINE = re.compile(
    r"invalid runtime name|oci runtime|shim task|storage-opt|cdi device|no space left"
    r"|failed to start containers|could not select device driver|nvidia-container"
    r"|port is already allocated",
    re.IGNORECASE,
)
_ERROR = re.compile(r"^\s*error\b|error response from daemon|\bfailed to\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """A status message that was read.

    Parameters
    ----------
    kind : str
        See `Kind`.
    text : str
        Safe to show: one line, no control characters, at most `SHOWN` characters.
    layers : tuple of (str, bool)
        The layers named in it, and whether each is complete.
    """

    kind: Kind = "none"
    text: str = ""
    layers: tuple[tuple[str, bool], ...] = ()

    @property
    def is_error(self) -> bool:
        """Whether it tells of an error, one that may heal included."""
        return self.kind in ERRORS


NO_MESSAGE: Final = Message()
"""Where nothing was said."""


def read_message(status_msg: Any) -> Message:
    """Read the ``status_msg`` of a record; whatever is no text is no message."""
    if not isinstance(status_msg, str):
        return NO_MESSAGE
    text = plain(status_msg, SHOWN)
    if not text:
        return NO_MESSAGE
    raw = status_msg[:_READ]
    layers = tuple((m[1], m[2] in _COMPLETE) for m in _LAYER.finditer(raw))
    return Message(_kind(raw, bool(layers)), text, layers)


def _kind(raw: str, layers: bool) -> Kind:
    if raw.lstrip()[:7].lower() == "success":
        return "up"
    # An image may be called "error": what is said while pulling is judged first.
    if layers or _PULLING.match(raw.lstrip()):
        return "pulling"
    if _BAD_IMAGE.search(raw):
        return "bad image"
    if _NETWORK.search(raw):
        return "network"
    if _BAD_MACHINE.search(raw):
        return "bad machine"
    return "error" if _ERROR.search(raw) else "other"


def word(value: Any) -> str | None:
    """Return a status word as it is shown: lower case, one line, short; `None` if there is none."""
    if value is None:
        return None
    if not isinstance(value, str):
        return "(not a word)"
    return plain(value.lower(), 40) or None


# -- one look, and those before ------------------------------------------------------------------

KEPT: Final = 256
"""Entries that are remembered of one instance."""
READINGS: Final = ("gpu_util", "gpu_temp", "cpu_util", "mem_usage", "vmem_usage", "disk_usage")
"""Columns that say how busy a machine is."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a record: the words of it that decide anything.

    Parameters
    ----------
    present : bool
        Whether there was a record at all.
    actual, intended, current, following : str or None
        ``actual_status``, ``intended_status``, ``cur_state`` and ``next_state``, as shown.
    message : Message
        What ``status_msg`` said.
    unbilled : bool
        Whether its GPUs have a price, and nothing is charged for them at the moment.
    """

    present: bool
    actual: str | None = None
    intended: str | None = None
    current: str | None = None
    following: str | None = None
    message: Message = NO_MESSAGE
    unbilled: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is shown as running, and is meant to run."""
        return self.present and self.actual == self.intended == "running"

    @property
    def queued(self) -> bool:
        """Whether it will start by itself as soon as its GPUs are free."""
        return (
            self.present
            and self.intended == "running"
            and self.current == "stopped"
            and self.actual != "running"
        )

    @property
    def starts(self) -> bool:
        """Whether a start is under way."""
        on_the_way = self.present and self.intended == "running"
        return on_the_way and not self.queued and self.actual not in ("running", "offline")


@dataclass(frozen=True, slots=True)
class Seen:
    """The same look, once or several times in a row.

    Parameters
    ----------
    look : Look
        What was seen.
    state : str
        The verdict's state at that time.
    first, last : float
        Times of the first and the last such look, epoch seconds.
    times : int
        How many looks.
    reached : bool or None
        Whether a connection could be made, when it was last tried (`None`: it never was).
    misses : int
        Attempts to connect that failed since one succeeded.
    readings : tuple of float
        Temperature, load and the like, as last reported.
    readings_since : float
        Since when they have not changed by the least.
    readings_looks : int
        How many looks found them so.
    """

    look: Look
    state: str
    first: float
    last: float
    times: int = 1
    reached: bool | None = None
    misses: int = 0
    readings: tuple[float, ...] = ()
    readings_since: float = 0.0
    readings_looks: int = 0


History = Sequence[Seen]


def look_at(record: Any) -> Look:
    """Take from a raw record what decides anything; no record, no object: not present."""
    if not isinstance(record, Mapping) or not record:
        return Look(present=False)
    parts = record.get("instance")
    gpu = number(parts.get("gpuCostPerHour")) if isinstance(parts, Mapping) else None
    return Look(
        present=True,
        actual=word(record.get("actual_status")),
        intended=word(record.get("intended_status")),
        current=word(record.get("cur_state")),
        following=word(record.get("next_state")),
        message=read_message(record.get("status_msg")),
        unbilled=gpu == 0 and (number(record.get("dph_base")) or 0.0) > 0,
    )


def readings_of(record: Any) -> tuple[float, ...]:
    """Return temperature, load and the like; empty if the GPU's temperature is not reported."""
    if not isinstance(record, Mapping) or number(record.get("gpu_temp")) is None:
        return ()
    found = (number(record.get(name)) for name in READINGS)
    return tuple(value for value in found if value is not None)


def remember(
    history: History, record: Any, state: str, *, now: float, reached: bool | None = None
) -> tuple[Seen, ...]:
    """Return the history with one more look, joined to the last entry if it says the same.

    Parameters
    ----------
    history : sequence of Seen
        So far, oldest first; it is not changed.
    record : dict or None
        The raw record; `None` if there was none.
    state : str
        The state of its verdict.
    now : float
        When it was fetched, epoch seconds.
    reached : bool, optional
        Whether a connection could be made just now; `None` if nobody tried.
    """
    look = look_at(record)
    last = history[-1] if history else None
    readings = readings_of(record)
    same = last is not None and bool(readings) and readings == last.readings
    new = Seen(
        look,
        state,
        now,
        now,
        reached=reached if reached is not None else last.reached if last else None,
        misses=misses_after(last, reached),
        readings=readings,
        readings_since=last.readings_since if last and same else now,
        readings_looks=last.readings_looks + 1 if last and same else 1,
    )
    if last is not None and last.look == look and last.state == state:
        joined = replace(new, first=last.first, last=max(now, last.last), times=last.times + 1)
        return (*history[:-1], joined)
    return (*history[-(KEPT - 1) :], new)


def misses_after(last: Seen | None, reached: bool | None) -> int:
    """Return how many attempts to connect have failed since one succeeded."""
    if reached:
        return 0
    before = last.misses if last is not None else 0
    return before + (reached is False)


def attempt(history: History) -> tuple[Seen, ...]:
    """Return the part of a history that belongs to the start now under way, if there is one.

    It goes back to where the instance was last running, was not meant to run, waited for its GPUs,
    or had a host that was offline.
    """
    part: list[Seen] = []
    for seen in reversed(history):
        if not seen.look.present:
            continue
        if not seen.look.starts:
            break
        part.append(seen)
    return tuple(reversed(part))


def before_attempt(history: History) -> Seen | None:
    """Return the last look before the start that is under way."""
    present = [seen for seen in history if seen.look.present]
    number_of = len(attempt(history))
    return present[-number_of - 1] if len(present) > number_of else None
