"""What a widget says stands in its words.py and words.js, and is filled in as they say."""

from __future__ import annotations

import ast
import re
import string
from pathlib import Path

import pytest

from vastnb.widgets import kit

WIDGETS = Path(kit.__file__).parents[1]
FOLDERS = ("explorer", "kit", "monitor", "prices", "rent", "table")
SENTENCE = re.compile(r"[A-Z][a-z]+( [a-z]+){2,}|\. [A-Z]")
TABLES = {"columns.py", "regions.py"}
"""Modules that are tables of words themselves."""


def said(tree: ast.Module) -> list[str]:
    """Return the texts of a module that somebody may read: no documentation, no line of a log."""
    quiet: set[int] = set()
    for node in ast.walk(tree):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        if (
            called.startswith(("_log.", "re."))
            or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
            or (isinstance(node, ast.FunctionDef) and node.name == "__repr__")
        ):
            quiet |= {id(one) for one in ast.walk(node)}
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in quiet
    ]


@pytest.mark.parametrize("folder", FOLDERS)
def test_sentences_stand_in_the_words_of_their_widget(folder: str) -> None:
    for path in (WIDGETS / folder).glob("*.py"):
        if path.name not in {"words.py", *TABLES}:
            left = [one for one in said(ast.parse(path.read_text())) if SENTENCE.search(one)]
            assert left == [], path.name


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_is_used_and_filled_in(folder: str) -> None:
    module = ast.parse((WIDGETS / folder / "words.py").read_text())
    texts = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign)
    }
    used: set[str] = set()
    for path in (WIDGETS / folder).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "words":
                used.add(node.attr)
            if isinstance(node, ast.Call) and re.fullmatch(
                r"words\.\w+\.format", ast.unparse(node.func)
            ):
                text = texts[ast.unparse(node.func).split(".")[1]]
                asked = {name for _, name, _, _ in string.Formatter().parse(text) if name}
                assert asked == {one.arg for one in node.keywords}, text
    assert used == set(texts)


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_text_of_a_page_is_used(folder: str) -> None:
    own = (WIDGETS / folder / "words.js").read_text()
    keys = re.findall(r"^  (\w+):", own.partition("export const W = {")[2], re.MULTILINE)
    scripts = "".join(path.read_text() for path in (WIDGETS / folder).glob("*.js"))
    assert [key for key in keys if f"W.{key}" not in scripts] == []
    assert len(set(keys)) == len(keys)
