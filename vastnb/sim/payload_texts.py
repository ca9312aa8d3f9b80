"""Texts that would run if somebody let them: what a malicious host could call its hardware."""

from __future__ import annotations

BEACON = "http://127.0.0.1:9/pwned"
PAYLOADS = (
    "<script>window.__pwned = true</script>",
    f'<img src="{BEACON}" onerror="window.__pwned = true">',
    '"><svg onload="window.__pwned = true">',
    "' onmouseover='window.__pwned = true' x='",
    '</style></textarea><iframe src="javascript:window.parent.__pwned = true"></iframe>',
    f"![picture]({BEACON}) [click](javascript:window.__pwned=true)",
    "javascript:window.__pwned=true",
    "{{constructor.constructor('window.__pwned = true')()}} ${window.__pwned = true}",
    "$\\href{javascript:window.__pwned=true}{x}$ \x1b[31mred\x1b[0m \x1b]0;pwned\x07",
    "\u202etxet desrever\u202c \u0000 </script><script>window.__pwned = true</script>",
    f"<details open ontoggle=\"fetch('{BEACON}')\">",
    "__proto__",
)
"""What is planted; each would be noticed if it ran."""


def payload(number: int) -> str:
    """Return one payload; they take turns."""
    return PAYLOADS[number % len(PAYLOADS)]


__all__ = ["BEACON", "PAYLOADS", "payload"]
