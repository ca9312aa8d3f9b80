"""What a cell on a machine shows, as outputs of the cell here; from a stranger's hands.

A page trusts the outputs of the kernel that it talks to: a script in them acts for the user, with
the notebook server behind it. A machine's host could put one into any output. So text and pictures
pass; HTML passes without whatever could run or load something; SVG becomes a picture; scripts, and
formats that are programs themselves, stay out. Who trusts the host says so (``trust=True``).
"""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Mapping
from typing import Any, Final

from vastnb.remote.run import SHOW

PASS: Final = frozenset(
    {"text/plain", "image/png", "image/jpeg", "image/gif", "image/webp", "application/json"}
)
MOST: Final = 32 << 20
"""Bytes of one output that a page is asked to hold."""
_LATEX_ACTS: Final = re.compile(r"\\(href|url|html\w*|style|class|cssId|require|includegraphics)\b")
_SCRIPT_URL: Final = re.compile(r"(javascript|vbscript|data)\s*:", re.IGNORECASE)


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
        made = value if trust or kind in PASS else _made_safe(kind, value)
        if made is None or (isinstance(made, str) and len(made) > MOST):
            left.append(kind)
        elif kind == "image/svg+xml" and not trust:
            kept["text/html"] = made
        else:
            kept.setdefault(kind, made)
    return kept, left


def _made_safe(kind: str, value: Any) -> str | None:
    text = "".join(value) if isinstance(value, list) else value
    if not isinstance(text, str):
        return None
    if kind == "text/html":
        return clean(text)
    if kind == "text/latex":
        return None if _LATEX_ACTS.search(text) else text
    if kind == "text/markdown":
        # Markdown may hold HTML, and a trusted page does not clean it.
        return _SCRIPT_URL.sub("", text.replace("<", "&lt;"))
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
        if attribute == "src" and not value.startswith("data:image/"):
            return None
        return value

    return nh3.clean(
        html, attribute_filter=allowed, url_schemes={"http", "https", "mailto", "data"}
    )


class Shower:
    """Shows the outputs of one cell.

    Parameters
    ----------
    trust : bool
        Show all of it; see `safe`.
    prefix : str
        Goes before each line of text.
    """

    def __init__(self, *, trust: bool = False, prefix: str = "") -> None:
        self._trust = trust
        self._prefix = prefix
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
        stream.write(text[: SHOW + 1])
        if self._shown > SHOW:
            sys.stderr.write(f"\n[more than {SHOW >> 20} MB of text: the rest is not shown]\n")
        stream.flush()

    def _display(self, content: Mapping[str, Any], *, update: bool) -> None:
        data, left = safe(content.get("data") or {}, trust=self._trust)
        if data:
            publish(data, content, update=update, trust=self._trust)
        for kind in left:
            if kind.startswith("text/") or kind in self._said or set(data) - {"text/plain"}:
                continue
            self._said.add(kind)
            sys.stderr.write(
                f"[{kind[:80]} from the machine is not shown: its page's other half is there]\n"
                if "widget" in kind
                else f"[{kind[:80]} from the machine is not shown: it could run in this page. "
                "--trust shows it]\n"
            )


def publish(
    data: dict[str, Any],
    content: Mapping[str, Any],
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
    metadata = metadata if isinstance(metadata, Mapping) else {}
    transient = {}
    display_id = (content.get("transient") or {}).get("display_id")
    if isinstance(display_id, str):
        transient = {"display_id": f"vastnb-{display_id[:100]}"}
    shell.display_pub.publish(
        data=data,
        # Sizes of pictures; what else it may say changes how a page treats an output.
        metadata={k: v for k, v in metadata.items() if trust or str(k).startswith("image/")},
        transient=transient,
        update=update,
    )


__all__ = ["Shower", "clean", "publish", "safe"]
