"""What the status message of an instance tells.

The text comes from the host's machine, so it is a stranger's: it is cut, put on one line and
cleaned before anybody sees it, and only a few patterns in it mean anything here. Docker reports an
image layer by layer (``59729b65119e: Pull complete``), usually one line at a time; errors are
Docker's own words, of which some will never heal by waiting and some usually do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from vastnb.api.text import plain

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
