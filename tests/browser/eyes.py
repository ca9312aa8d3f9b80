"""What a page looks like to eyes and to a screen reader: contrast, axe-core, formulas.

`low_contrast` measures the computed colours of every text that is seen, over all that lies behind
it, with the opacity of everything around it; axe gives up where it meets a transparent colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LEAST = 4.5

_CONTRAST = Path(__file__).with_name("contrast.js").read_text("utf-8").split("\n", 1)[1]


def low_contrast(page: Any, selector: str = ".vnb-root", least: float = LEAST) -> list[str]:
    """Return the texts under `selector` whose contrast is below `least`, one for each place."""
    found = {}
    for value, where, text in page.evaluate(_CONTRAST, [selector, least]):
        found.setdefault((value, where), text)
    return [f"{value} {where}: {text!r}" for (value, where), text in sorted(found.items())]


def axe(page: Any, selector: str = ".vnb-root") -> list[str]:
    """Return what axe-core finds serious or critical under `selector`."""
    import axe_playwright_python

    script = Path(axe_playwright_python.__file__).parent / "axe.min.js"
    if not page.evaluate("'axe' in window"):
        page.evaluate(f"(() => {{ const define = undefined; {script.read_text('utf-8')} }})()")
    result = page.evaluate(
        """async (selector) => {
          const found = await axe.run({ include: [[selector]] }, { resultTypes: ['violations'] });
          return found.violations.filter((v) => ['serious', 'critical'].includes(v.impact))
            .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target} ${n.html.slice(0, 120)}`));
        }""",
        selector,
    )
    return sorted(set(result))


def formulas(page: Any) -> list[str]:
    """Return the texts that were typeset as mathematics."""
    return page.eval_on_selector_all(
        "mjx-container, .MathJax, .MathJax_CHTML, .MathJax_SVG, .MathJax_Display",
        "nodes => nodes.map((node) => node.parentElement.textContent.slice(0, 80))",
    )
