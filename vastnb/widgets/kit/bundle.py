"""One ES module out of several: what the browser is given.

anywidget wants a single module as text. Ours are small files that import each other, so that each
can be read, checked and tested by itself. `bundle` puts them one after another, each in a function
of its own that returns what it exports, so that names may repeat; an import becomes a look into
what another returned. Comments on lines of their own, indentation and spaces around punctuation go,
since a notebook with saved widget state holds this text. What has a template, a regular
expression or a division in its line is left alone.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import dirname, normpath

_WIDGETS = Path(__file__).parent.parent
_IMPORT = re.compile(r'^import\s+(\{[^}]*\})\s+from\s+"(\.[./\w-]*)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\s+(\w+))", re.MULTILINE)
_ROOM = re.compile(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')| ?([][{}(),;:?=<>*&|!]) ?""")
_COMMENT = re.compile(r"^\s*(?://.*|/\*[\s\S]*?\*/\s*)$\n?", re.MULTILINE)


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
    """
    scopes: dict[str, str] = {}
    texts: list[str] = []

    def visit(name: str) -> str:
        """Write down a module after those that it needs; return the name of its scope."""
        if name in scopes:
            return scopes[name]
        text = (_WIDGETS / f"{name}.js").read_text(encoding="utf-8")

        def look(match: re.Match[str]) -> str:
            needed = visit(normpath(f"{dirname(name)}/{match[2]}"))
            return f"const {match[1].replace(' as ', ': ')} = {needed};\n"

        text = _IMPORT.sub(look, text)
        exported = _EXPORT.findall(text)
        text = _tight(_bare(_EXPORT.sub("", _COMMENT.sub("", text))))
        if name == entry:
            texts.append(text)
            return ""
        scopes[name] = f"$m{len(scopes)}"
        texts.append(
            f"const {scopes[name]} = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();"
        )
        return scopes[name]

    visit(entry)
    return "\n".join(texts)


@cache
def styles(*names: str) -> str:
    """Return the style sheets `names` (below the widgets' folder, no suffix) as one text."""
    texts = ((_WIDGETS / f"{name}.css").read_text(encoding="utf-8") for name in names)
    return "\n".join(_bare(re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)) for text in texts)


def _bare(text: str) -> str:
    """Leave out indentation and empty lines (no text of ours spans lines)."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def _tight(text: str) -> str:
    """Leave out spaces around punctuation, and line breaks where nothing depends on them."""
    out: list[str] = []
    open_template, joins = False, False
    for line in text.splitlines():
        plain = not open_template and "`" not in line and "/" not in line
        open_template ^= line.count("`") % 2 == 1
        made = _ROOM.sub(lambda found: found[1] or found[2], line) if plain else line
        if joins:
            out[-1] += made
        else:
            out.append(made)
        joins = not open_template and made[-1] in ",;({["
    return "\n".join(out)
