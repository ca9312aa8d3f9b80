"""One ES module out of several: what the browser is given.

anywidget wants a single module as text. Ours are small files that import each other, so that each
can be read, checked and tested by itself. `bundle` puts them one after another, each in a function
of its own that returns what others import from it, so that names may repeat; what nobody imports is
left out. A notebook with saved widget state holds this text, so comments go, and spaces, commas and
semicolons that mean nothing: the formatter ends each statement with a semicolon.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import dirname, normpath

_WIDGETS = Path(__file__).parent.parent
_IMPORT = re.compile(r'^import\s+(\{[^}]*\})\s+from\s+"(\.[./\w-]*)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(
    # Up to the next line at the margin that closes nothing: the formatter indents all others.
    r"^export (?:async )?(?:function|class|const) (\w+).*\n(?:(?:[ })\]].*)?\n)*",
    re.MULTILINE,
)
_GAP = r"(?>\s|//[^\n]*+|/\*[\s\S]*?\*/)"
_TEMPLATE = r"`(?:[^`\\$]|\\.|\$(?!\{{)|\$\{{(?:[^`{{}}]|\{{[^`{{}}]*\}}{inner})*\}})*`"
_TEMPLATE = _TEMPLATE.format(inner="|" + _TEMPLATE.format(inner=""))
_PATTERN = r"/(?![ /*])(?:[^/\\\n\[]|\\.|\[(?:[^\]\\]|\\.)*\])+/"
_STRING = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
_TOKEN = re.compile(
    rf"(?P<kept>{_STRING}|{_TEMPLATE}|{_PATTERN})|[,;]{_GAP}*+(?=[\])}}])|{_GAP}++|`"
)


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
    modules: dict[str, str] = {}
    wanted: dict[str, set[str]] = {}

    def visit(name: str) -> None:
        """Read a module after those that it needs."""
        text = (_WIDGETS / f"{name}.js").read_text(encoding="utf-8")

        def scope(match: re.Match[str]) -> str:
            needed = normpath(f"{dirname(name)}/{match[2]}")
            if needed not in wanted:
                wanted[needed] = set()
                visit(needed)
            wanted[needed] |= set(re.findall(r"(\w+)(?: as \w+)?\s*[,}]", match[1]))
            return f"const {match[1].replace(' as ', ': ')} = $m{list(modules).index(needed)};\n"

        modules[name] = _IMPORT.sub(scope, text)

    visit(entry)
    *needed, last = modules
    texts = []
    for number, name in enumerate(needed):
        text = _used(modules[name], wanted[name])
        exported = ",".join(_EXPORT.findall(text))
        text = _tight(text.replace("\nexport ", "\n"))
        texts.append(f"const $m{number}=(()=>{{{text}return{{{exported}}}}})();")
    return "\n".join([*texts, _tight(modules[last])])


@cache
def styles(*names: str) -> str:
    """Return the style sheets `names` (below the widgets' folder, no suffix) as one text."""
    texts = ((_WIDGETS / f"{name}.css").read_text(encoding="utf-8") for name in names)
    lines = re.sub(r"/\*.*?\*/", "", "\n".join(texts), flags=re.DOTALL).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip())


def _used(text: str, wanted: set[str]) -> str:
    """Leave out what a module exports and neither another imports nor it uses itself."""
    for match in _EXPORT.finditer(text):
        if match[1] not in wanted and len(re.findall(rf"\b{match[1]}\b", text)) == 1:
            return _used(text[: match.start()] + text[match.end() :], wanted)
    return text


def _tight(text: str) -> str:
    """Leave out what means nothing between two tokens; texts stay as they are."""
    joins = re.compile(r"[\w$]{2}|\+\+|--")

    def kept(match: re.Match[str]) -> str:
        if match[0] == "`":
            raise ValueError(f"a template that is too deep to read: {text[match.start() :][:80]}")
        if match["kept"]:
            return match[0]
        around = text[match.start() - 1 : match.start()] + text[match.end() : match.end() + 1]
        return " " if joins.fullmatch(around) else ""

    return _TOKEN.sub(kept, text)
