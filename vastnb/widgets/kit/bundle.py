"""One ES module out of several: what the browser is given.

anywidget wants a single module as text. Ours are written as small files that import each other,
so that each can be read (and run by node) by itself. `bundle` puts them one after another and
takes out what only makes sense between files: relative imports, and `export` before a
declaration. Names must therefore differ between files, and `bundle` checks that they do. Comments
on lines of their own and indentation go too: a notebook with saved widget state holds this text.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import dirname, normpath

_WIDGETS = Path(__file__).parent.parent
_IMPORT = re.compile(r'^import\s[^;]*?from\s+"(\.[./\w-]*)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_NAME = re.compile(r"^(?:export )?(?:async )?(?:function|class|const|let)\s+(\w+)", re.MULTILINE)


@cache
def bundle(entry: str) -> str:
    """Return the module `entry` and everything that it imports, as one text.

    Parameters
    ----------
    entry : str
        A file below the widgets' folder, without its suffix: ``"explorer/view"``.

    Returns
    -------
    str
        JavaScript, to be imported as an ES module.

    Raises
    ------
    ValueError
        When two files declare the same name at top level.
    """
    order: list[str] = []
    texts: dict[str, str] = {}

    def visit(name: str) -> None:
        if name in texts:
            return
        text = (_WIDGETS / f"{name}.js").read_text(encoding="utf-8")
        texts[name] = text
        for needed in _IMPORT.findall(text):
            visit(normpath(f"{dirname(name)}/{needed}"))
        order.append(name)

    visit(entry)
    seen: dict[str, str] = {}
    for name in order:
        for declared in _NAME.findall(texts[name]):
            if declared in seen:
                raise ValueError(f"{declared} is declared in {seen[declared]}.js and {name}.js")
            seen[declared] = name
    return "\n".join(_bare(_EXPORT.sub("", _IMPORT.sub("", texts[name]))) for name in order)


@cache
def styles(*names: str) -> str:
    """Return the style sheets `names` (below the widgets' folder, no suffix) as one text."""
    texts = ((_WIDGETS / f"{name}.css").read_text(encoding="utf-8") for name in names)
    return "\n".join(_bare(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)) for text in texts)


def _bare(text: str) -> str:
    """Leave out indentation, empty lines and lines that are comments (no text spans lines here)."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))
