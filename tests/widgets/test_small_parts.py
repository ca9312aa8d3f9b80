"""The bundle for the browser, the looks of columns, the static table."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from pygments.lexers import JavascriptLexer
from pygments.token import Comment

from vastnb.widgets import kit
from vastnb.widgets.explorer.past import COLUMN
from vastnb.widgets.kit.bundle import _tight, bundle
from vastnb.widgets.table import OfferTable
from vastnb.widgets.table.columns import EXPLORER_COLUMNS, looks_of
from vastnb.widgets.table.saved import format_value, static_table

SCRIPTS = sorted(Path(kit.__file__).parents[1].glob("*/*.js"))
VIEWS = [f"{name}/view" for name in ("explorer", "table", "rent", "monitor", "prices")]


@pytest.mark.parametrize("entry", VIEWS)
def test_the_bundle_is_one_module_that_runs_without_imports(entry: str, tmp_path: Path) -> None:
    text = bundle(entry)
    assert not re.search(r"\bimport\b ?[{(\"]", text)
    assert re.findall(r"\bexport \w+", text) == ["export default"]
    assert "/*" not in text
    (tmp_path / "bundle.mjs").write_text(text)
    deno = Path(sys.executable).with_name("deno")
    subprocess.run([deno, "run", "--no-check", tmp_path / "bundle.mjs"], check=True, timeout=60)


def test_nothing_in_the_page_takes_markup() -> None:
    text = "".join(map(bundle, VIEWS))
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
    ):
        assert way not in text


def test_a_column_that_nobody_knows_is_shown_by_its_dtype() -> None:
    frame = pd.DataFrame({"new_flag": [True], "new_number": [1.5], "new_text": ["x"], "n": [1]})
    assert [look["form"] for look in looks_of(frame)] == ["flag", "float", "text", "int"]


def test_the_explorer_shows_columns_that_the_frame_has(client) -> None:
    frame = client.search_offers()
    assert [name for name in EXPLORER_COLUMNS if name not in frame.columns] == [COLUMN]


def test_missing_is_an_en_dash_and_never_a_zero() -> None:
    looks = looks_of(pd.DataFrame({"dph_total": [1.0], "reliability": [0.5], "gpu_name": ["x"]}))
    from vastnb.widgets.table.columns import look_of

    for look in looks:
        for value in (None, pd.NA, float("nan"), float("inf")):
            if look["form"] == "text" and value is not None and value is not pd.NA:
                continue
            assert format_value(look_of(look["name"], "float64"), value) == "\N{EN DASH}"


def test_reliability_is_never_rounded_up() -> None:
    from vastnb.widgets.table.columns import look_of

    assert format_value(look_of("reliability", "float64"), 0.99996) == "99.9"
    assert format_value(look_of("reliability", "float64"), 1.0) == "100"


def test_the_static_table_is_small_and_safe() -> None:
    frame = pd.DataFrame(
        {"gpu_name": ["<script>alert(1)</script>"] * 500, "dph_total": [0.25] * 500, "id": 7}
    )
    html = static_table(frame, caption="<b>x</b>", note="a & b", css_class="c")
    assert "<script" not in html and "&lt;script" in html
    assert "&lt;b&gt;x" in html
    assert html.count("<tr>") == 21
    assert "480 more rows" in html


def test_a_table_selects_by_id_and_survives_new_rows() -> None:
    frame = pd.DataFrame({"id": [5, 6, 7], "dph_total": [3.0, 1.0, 2.0]})
    table = OfferTable(frame)
    table.selected_ids = [7, 5]
    assert table.selected["dph_total"].tolist() == [2.0, 3.0]
    table.update(frame.iloc[::-1].reset_index(drop=True))
    assert table.selected["dph_total"].tolist() == [2.0, 3.0]
    table.show_rows([0])
    assert table.df["id"].tolist() == [7]
    table.close()


@pytest.mark.slow
def test_a_widget_that_was_never_made_whole_goes_quietly(
    capsys: pytest.CaptureFixture[str],
) -> None:
    import gc

    from vastnb.widgets.explorer.widget import Explorer
    from vastnb.widgets.monitor.widget import Monitor
    from vastnb.widgets.prices.widget import Prices
    from vastnb.widgets.rent.widget import RentForm

    for kind in (Explorer, Monitor, Prices, RentForm):
        with pytest.raises(TypeError):
            kind()
    gc.collect()


def test_regions_and_countries_are_understood_by_name() -> None:
    from vastnb.widgets.explorer.filters import FilterState
    from vastnb.widgets.explorer.regions import codes_of

    assert len(codes_of(["EU"])) == 27 and codes_of(["germany", "FR"]) == ["DE", "FR"]
    state = FilterState(country=("EU",), min_down=500)
    query = state.query()
    assert "inet_down>=500" in query.text and "DE" in query.text
    assert FilterState.from_query(query).country == ("EU",)
    assert FilterState.from_query(query).min_down == 500


def test_what_a_message_handler_fails_with_is_shown_in_the_widget(client) -> None:
    import vastnb

    explorer = vastnb.explore(client, "gpu_name=RTX_4090")
    charts = vastnb.prices(client, gpu="4090")
    form = vastnb.rent_form(client, "gpu_name=RTX_4090")
    watching = vastnb.monitor(client)

    def fails(*_: object) -> None:
        raise RuntimeError("planted")

    explorer._model.refresh = charts._model.refresh = fails
    form._session.ask_facts = fails
    watching._model.take = fails
    for widget in (explorer, charts):
        widget._on_message(widget, {"type": "refresh"}, [])
        assert "planted" in widget.status["problem"]["text"]
    form._on_message(form, {"type": "ready", "page": "p", "seq": 1}, [])
    assert "planted" in form._session.view()["outcome"]["text"]
    watching._on_message(watching, {"type": "act"}, [])
    assert "planted" in watching._picture()["trouble"]
    for widget in (explorer, charts, form, watching):
        widget.close()


def tokens(text: str) -> list[str]:
    """Return what means something in a script: no spaces, comments, or marks before a bracket."""
    found = [
        value
        for kind, value in JavascriptLexer().get_tokens(text)
        if value.strip() and kind not in Comment
    ]
    joined = "\x00".join(found)
    return re.sub(r"[,;](?=\x00?[\])}])", "", joined).replace("\x00\x00", "\x00").split("\x00")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_script_lacks_only_what_means_nothing(path: Path) -> None:
    text = path.read_text()
    tight = _tight(text)
    assert tokens(tight) == tokens(text)
    assert len(tight) < 0.95 * len(text)


def test_what_nobody_imports_is_left_out() -> None:
    assert "It is no longer billed" in bundle("monitor/view")
    assert "It is no longer billed" not in bundle("explorer/view")


def test_the_explorers_bundle_is_small() -> None:
    assert len(bundle("explorer/view").encode()) <= 63_600
