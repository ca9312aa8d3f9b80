"""What a cell on a machine shows, as outputs of the cell here; from a stranger's hands.

A page trusts the outputs of the kernel that it talks to: a script in them acts for the user, with
the notebook server behind it. A machine's host could put one into any output. So text and pictures
pass; HTML passes without whatever could run or load something; SVG becomes a picture; scripts, and
formats that are programs themselves, stay out. Who trusts the host says so (``trust=True``).
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import sys
from collections.abc import Mapping
from typing import Any, Final

from vastnb.remote.run import SHOW, tame

PICTURES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
MOST: Final = 32 << 20
"""Bytes of one output that a page is asked to hold."""
_LATEX_ACTS: Final = re.compile(
    r"\\(?=(href|url|html\w*|style|class|cssId|require|includegraphics|bbox|mmlToken|unicode|data)"
    r"(?![A-Za-z]))"
)
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=\s]*")
_BREAK: Final = "\u200b"
"""Of no width: what it stands in is text, and no command or link any more."""


def safe(data: Mapping[str, Any], *, trust: bool = False) -> tuple[dict[str, Any], list[str]]:
    """Return what of an output may be shown, and the formats that may not.

    Parameters
    ----------
    data : mapping
        The output by MIME type.
    trust : bool
        Let everything pass but views of widgets, whose other half is on the machine.
    """
    kept: dict[str, Any] = {}
    left: list[str] = []
    for kind, value in data.items():
        if kind == "application/vnd.jupyter.widget-view+json":
            left.append(kind)
            continue
        value = (
            "".join(map(str, value)) if isinstance(value, list) and "json" not in kind else value
        )
        made = value if trust or kind == "application/json" else _made_safe(kind, value)
        if made is None or len(made if isinstance(made, str) else json.dumps(made)) > MOST:
            left.append(kind)
        elif kind == "image/svg+xml" and not trust:
            kept["text/html"] = made
        else:
            kept.setdefault(kind, made)
    return kept, left


def _made_safe(kind: str, text: Any) -> str | None:
    if not isinstance(text, str):
        return None
    if kind == "text/plain":
        return tame(text)
    if kind in PICTURES:  # exports write it into their HTML as it is
        return text if _BASE64.fullmatch(text) else None
    if kind == "text/html":
        return clean(text)
    if kind == "text/latex":
        return None if _LATEX_ACTS.search(text) else text
    if kind == "text/markdown":
        # Markdown may hold HTML, and a trusted page does not clean it. Its links have too many
        # ways to be written for any of them to be judged, so all are text.
        text = re.sub(r"&(?=#|\w+;)", "&amp;", text).replace("<", "&lt;")
        return _inert(re.sub(r"\](?=[(:\[])", f"]{_BREAK}", text))
    if kind == "image/svg+xml":
        encoded = base64.b64encode(text.encode()).decode()
        return f'<img src="data:image/svg+xml;base64,{encoded}">'
    return None


def clean(html: str) -> str | None:
    """Return HTML without anything that runs, or loads something from elsewhere."""
    try:
        import nh3
    except ImportError:
        return None

    def allowed(tag: str, attribute: str, value: str) -> str | None:
        # A picture is in the page already; a link leads to another site, and not to this server.
        if attribute in ("src", "href", "cite"):
            starts = ("data:image/",) if tag == "img" else ("http://", "https://", "mailto:")
            return value if value.lower().startswith(starts) else None
        return value

    return _inert(
        nh3.clean(
            html,
            tags=nh3.ALLOWED_TAGS - {"wbr"},  # MathJax reads over it
            attribute_filter=allowed,
            url_schemes={"http", "https", "mailto", "data"},
        )
    )


def _inert(text: str) -> str:
    """Return text whose formulas, which a page typesets wherever they stand, only show."""
    return _LATEX_ACTS.sub(lambda found: f"\\{_BREAK}", text)


def sizes(metadata: Any) -> dict[str, dict[str, float]]:
    """Return the sizes of pictures; what else metadata may say changes how a page treats them."""
    if not isinstance(metadata, Mapping):
        return {}
    found = {
        kind: {
            name: value
            for name, value in told.items()
            if name in ("width", "height") and type(value) in (int, float)
        }
        for kind, told in metadata.items()
        if kind in PICTURES and isinstance(told, Mapping)
    }
    return {kind: told for kind, told in found.items() if told}


class Shower:
    """Shows the outputs of one cell.

    Parameters
    ----------
    trust : bool
        Show all of it; see `safe`.
    prefix : str
        Goes before each line of text.
    displays : str
        Goes before the names of displays: what has another one cannot be changed by them.
    """

    def __init__(self, *, trust: bool = False, prefix: str = "", displays: str = "") -> None:
        self._trust = trust
        self._prefix = prefix
        self._displays = displays or secrets.token_hex(8)
        self._shown = 0
        self._said: set[str] = set()

    def __call__(self, kind: str, content: Mapping[str, Any]) -> None:
        """Show one message of a kernel's output channel."""
        if kind == "stream":
            self._stream(str(content.get("text", "")), content.get("name") == "stderr")
        elif kind in ("display_data", "execute_result", "update_display_data"):
            self._display(content, update=kind == "update_display_data")
        elif kind == "clear_output":
            from IPython.display import clear_output

            clear_output(wait=bool(content.get("wait")))  # type: ignore[no-untyped-call]

    def _stream(self, text: str, is_error: bool) -> None:
        if self._shown > SHOW:
            return
        self._shown += len(text)
        stream = sys.stderr if is_error else sys.stdout
        if self._prefix:
            text = "".join(f"{self._prefix}{line}" for line in text.splitlines(keepends=True))
        stream.write((text if self._trust else tame(text))[: SHOW + 1])
        if self._shown > SHOW:
            sys.stderr.write(f"\n[more than {SHOW >> 20} MB of text: the rest is not shown]\n")
        stream.flush()

    def _display(self, content: Mapping[str, Any], *, update: bool) -> None:
        data, left = safe(content.get("data") or {}, trust=self._trust)
        if data:
            publish(data, content, self._displays, update=update, trust=self._trust)
        for kind in left:
            if kind.startswith("text/") or kind in self._said or set(data) - {"text/plain"}:
                continue
            self._said.add(kind)
            sys.stderr.write(
                f"[{kind[:80]} from the machine is not shown: widgets work only where their "
                "kernel is]\n"
                if "widget" in kind
                else f"[{kind[:80]} from the machine is not shown: it could run code in this "
                "page. --trust shows it]\n"
            )


def publish(
    data: dict[str, Any],
    content: Mapping[str, Any],
    displays: str,
    *,
    update: bool = False,
    trust: bool = False,
) -> None:
    """Show an output under the cell that runs here."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None:
        sys.stdout.write(f"{data.get('text/plain', '')}\n")
        return
    metadata = content.get("metadata")
    transient = {}
    told = content.get("transient")
    display_id = told.get("display_id") if isinstance(told, Mapping) else None
    if isinstance(display_id, str):
        transient = {"display_id": f"vastnb-{displays}-{display_id[:100]}"}
    shell.display_pub.publish(
        data=data,
        metadata=dict(metadata) if trust and isinstance(metadata, Mapping) else sizes(metadata),
        transient=transient,
        update=update,
    )


__all__ = ["Shower", "clean", "publish", "safe", "sizes"]
