"""What a machine shows is shown, and nothing that it sends runs in the page."""

from __future__ import annotations

import base64

import pytest

from vastnb.remote.outputs import clean, safe, sizes
from vastnb.remote.run import tame

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
    assert "](" not in made["text/markdown"]
    assert safe({"text/latex": r"$\frac{1}{2}$"})[1] == []
    assert safe({"text/latex": r"\href{javascript:alert(1)}{x}"})[1] == ["text/latex"]


@pytest.mark.parametrize(
    "text",
    [
        "[y](javajavascript:script:alert(1))",
        r"[y](javascript\:alert(1))",
        "[y](javascript&#58;alert(1))",
        "[y]\n\n[y]: javascript&colon;alert(1)",
        "![seen](https://evil.example/seen.png)",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\h<!-- -->ref{javascript:alert(1)}{x}$",
    ],
)
def test_markdown_has_no_links_pictures_or_acting_formulas(text: str) -> None:
    made = safe({"text/markdown": text})[0]["text/markdown"]
    for bad in ("](", "]:", "&#58;", "&colon;", r"\href", "<"):
        assert bad not in made.replace("&amp;", "& ")
    assert safe({"text/markdown": "**a** $x & y$\n\n| b | c |"})[0]["text/markdown"] == (
        "**a** $x & y$\n\n| b | c |"
    )


@pytest.mark.parametrize(
    "formula",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\h<wbr>ref{javascript:alert(1)}{x}",
        r"\h<!-- -->ref{javascript:alert(1)}{x}",
        r"\h&#114;ef{javascript:alert(1)}{x}",
        r"\bbox[background:url(https://evil.example)]{x}",
        r"\mmlToken{mi}[href='javascript:alert(1)']{x}",
    ],
)
def test_formulas_in_html_do_not_act(formula: str) -> None:
    """JupyterLab typesets what stands between dollars in HTML too."""
    made = clean(f"<p>$${formula}$$</p>")
    assert made is not None
    for bad in (r"\href", r"\bbox", r"\mmlToken", "<wbr", "<!--"):
        assert bad not in made


def test_links_in_html_lead_to_other_sites_only() -> None:
    made = clean('<a href="data:text/html,x">x</a><a href="/lab/tree/evil.html">y</a>')
    assert made is not None
    assert "href" not in made
    assert 'href="https://example.org"' in (clean('<a href="https://example.org">x</a>') or "")


def test_a_picture_is_one_and_its_metadata_are_sizes() -> None:
    """Exports write both into HTML as they are."""
    assert safe({"image/png": '"><script>alert(1)</script>'}) == ({}, ["image/png"])
    assert safe({"image/png": [PNG, "\n"]})[0] == {"image/png": f"{PNG}\n"}
    told = {"image/png": {"width": 3, "height": '"><script>'}, "image/jpeg": "x", "collapsed": True}
    assert sizes(told) == {"image/png": {"width": 3}}


def test_text_moves_no_terminal() -> None:
    assert tame("\x1b[31mred\x1b[0m\r50%\x1b[A\x1b[2K") == "\x1b[31mred\x1b[0m\r50%\x1b[A\x1b[2K"
    for evil in ("\x1b]52;c;cm0=\x07", "\x1bP+q\x1b\\", "\x9d0;t\x9c", "\x1b[6n", "\x1b[21t"):
        assert "\x1b" not in tame(evil)
        assert not set("\x9d\x9c") & set(tame(evil))
