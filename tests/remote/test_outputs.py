"""What a machine shows is shown, and nothing that it sends runs in the page."""

from __future__ import annotations

import base64

import pytest

from vastnb.remote.outputs import clean, safe

PNG = base64.b64encode(b"\x89PNG").decode()


def test_text_and_pictures_pass() -> None:
    data = {"text/plain": "x", "image/png": PNG, "application/json": {"a": 1}}
    assert safe(data) == (data, [])


@pytest.mark.parametrize(
    "html",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<iframe srcdoc='<script>1</script>'></iframe>",
        "<a href='javascript:alert(1)'>x</a>",
        "<svg onload=alert(1)>",
        "<style>@import 'http://evil.example'</style>",
        "<img src='https://evil.example/seen.png'>",
        "<form action='/api/kernels'><button>x</button></form>",
        "<object data='x'></object><embed src=x>",
    ],
)
def test_html_passes_without_what_could_run_or_load(html: str) -> None:
    made = safe({"text/html": f"{html}<b>kept</b>"})[0]["text/html"]
    for bad in (
        "script",
        "onerror",
        "onload",
        "iframe",
        "evil",
        "form",
        "style",
        "object",
        "alert",
    ):
        assert bad not in made
    assert "<b>kept</b>" in made


def test_a_table_stays_a_table() -> None:
    html = '<table border="1" class="dataframe"><thead><tr><th>a</th></tr></thead></table>'
    made = clean(html)
    assert made is not None
    assert "<table" in made
    assert "<th>a</th>" in made


def test_pictures_that_could_hold_scripts_become_pictures() -> None:
    made, left = safe({"image/svg+xml": "<svg onload='alert(1)'/>", "text/plain": "<Figure>"})
    assert made["text/html"].startswith('<img src="data:image/svg+xml;base64,')
    assert left == []


def test_programs_stay_out_unless_the_host_is_trusted() -> None:
    data = {"application/javascript": "alert(1)", "application/vnd.plotly.v1+json": {}}
    assert safe(data) == ({}, list(data))
    assert safe(data, trust=True) == (data, [])


def test_markdown_and_latex_carry_no_markup_of_another_kind() -> None:
    made, _ = safe({"text/markdown": "# x <img src=x onerror=1> [y](javascript:1)"})
    assert "<" not in made["text/markdown"]
    assert "javascript:" not in made["text/markdown"]
    assert safe({"text/latex": r"$\frac{1}{2}$"})[1] == []
    assert safe({"text/latex": r"\href{javascript:alert(1)}{x}"})[1] == ["text/latex"]
