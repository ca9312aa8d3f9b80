"""Foreign text made fit for a message, and addresses read.

What the service says may quote hosts, who are strangers, and may be a whole page of HTML. In a
message it becomes one short line without anything that moves a cursor or turns the writing
direction.
"""

from __future__ import annotations

import ipaddress
import unicodedata
from urllib.parse import urlsplit


def plain(text: object, limit: int = 300) -> str:
    """Return `text` on one line, without control characters, at most `limit` characters long."""
    raw = str(text)[: 4 * limit]
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in raw)
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def bare_url(url: str) -> str:
    """Return `url` without user name, password, query and fragment, which may be secrets."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that cannot be read"
    scheme = f"{parts.scheme}://" if parts.scheme else ""
    return plain(f"{scheme}{host}{port}{parts.path}", 200)


def is_loopback(host: str) -> bool:
    """Say whether `host` is this computer."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_local(url: str) -> bool:
    """Say whether a service lives on this computer, as the simulated one does."""
    return is_loopback(urlsplit(url).hostname or "")


def seconds(value: float) -> str:
    """Return a duration in words: ``"4.5 s"``, ``"12 s"``, ``"7 min"``, ``"3 h 5 min"``."""
    if value < 10:
        return f"{max(value, 0):.1f} s"
    if value < 120:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
