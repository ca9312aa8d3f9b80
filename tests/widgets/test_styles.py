"""Style sheets go into the page as a whole: those of one widget must leave the others alone."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

WIDGETS = Path(__file__).parents[2] / "vastnb" / "widgets"
ROOTS = {
    "kit": {".vnb-root"},
    "table": {".vnb-root .vnb-gridframe", ".vnb-tableonly"},
    "explorer": {".vnb-root .vnb-explorer"},
    "rent": {".vnb-root .vnb-rent"},
    "monitor": {".vnb-root .vnb-monitor"},
    "prices": {".vnb-root .vnb-prices"},
}
"""Under what every rule of a widget stands; native CSS nesting puts it there. A widget's own rule
outweighs one of the kit, which each widget brings again, in whatever order they are shown."""
SHEETS = sorted(WIDGETS.glob("*/*.css"))
MEANT = {"vnb-rentdrawer", "vnb-rentroot", "vnb-rent", "vnb-gridframe", "vnb-saved"}
"""Of other widgets, and named on purpose: a form in the explorer, a table in it."""
STATES = {"vnb-waiting", "vnb-searching"}
"""Of a root, as each widget shows it."""


def text_of(sheet: Path) -> str:
    return re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.DOTALL)


def outermost(text: str) -> list[str]:
    """Return the selectors (or at-rules) that stand in no other."""
    found, depth, begin = [], 0, 0
    for at, letter in enumerate(text):
        if letter == "{":
            if depth == 0:
                found.append(" ".join(text[begin:at].split()))
            depth += 1
        elif letter == "}":
            depth -= 1
            begin = at + 1
    assert depth == 0
    return found


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_rule_is_under_the_root_of_its_widget(sheet: Path) -> None:
    for selector in outermost(text_of(sheet)):
        motion = re.fullmatch(r"@keyframes (vnb-\w+)", selector)
        assert motion or selector in ROOTS[sheet.parent.name], selector


def test_motions_have_names_of_their_own() -> None:
    names = [
        name for sheet in SHEETS for name in re.findall(r"@keyframes ([\w-]+)", text_of(sheet))
    ]
    assert len(names) == len(set(names))


def classes(widget: str) -> set[str]:
    text = "".join(map(text_of, (WIDGETS / widget).glob("*.css")))
    return set(re.findall(r"\.(vnb-[a-z0-9-]+)", text))


@pytest.mark.parametrize(
    "pair", list(itertools.combinations([one for one in ROOTS if one != "kit"], 2)), ids="-".join
)
def test_two_widgets_share_no_class_but_the_kits(pair: tuple[str, str]) -> None:
    one, other = pair
    assert classes(one) & classes(other) - classes("kit") - MEANT - STATES == set()
