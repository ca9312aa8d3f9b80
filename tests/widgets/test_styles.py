"""Style sheets go into the page as a whole: those of one widget must leave the others alone."""

from __future__ import annotations

import re
from pathlib import Path

WIDGETS = Path(__file__).parents[2] / "vastnb" / "widgets"
SHARED = ("kit/theme", "kit/status", "kit/fields")
SHEETS = {
    "explorer": ("explorer/view", "table/view"),
    "rent form": ("rent/view", "rent/price", "rent/progress"),
    "monitor": ("monitor/view", "monitor/machines"),
    "prices": ("prices/view",),
}
MEANT = {"vnb-rentdrawer", "vnb-saved"}


def classes(*sheets: str) -> set[str]:
    text = "".join((WIDGETS / f"{name}.css").read_text() for name in sheets)
    return set(re.findall(r"\.(vnb-[a-z0-9-]+)", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)))


def test_the_rent_form_and_other_widgets_share_no_class_of_their_own() -> None:
    shared = classes(*SHARED) | MEANT
    mine = classes(*SHEETS["rent form"]) - shared
    for name, sheets in SHEETS.items():
        if name != "rent form":
            assert mine & classes(*sheets) == set(), name


def test_every_rule_is_under_a_class_of_ours() -> None:
    for sheet in SHEETS["rent form"]:
        text = re.sub(r"/\*.*?\*/", "", (WIDGETS / f"{sheet}.css").read_text(), flags=re.DOTALL)
        for selector in re.findall(r"(?:^|[}{])\s*([^@{}]+)\{", text):
            for one in selector.split(","):
                assert "vnb-" in one or re.fullmatch(r"\s*(from|to|\[data-level.*)\s*", one), one
