"""What a page looks like to eyes and to a screen reader: contrast, axe-core, formulas.

`low_contrast` measures the computed colours of every text that is seen, over all that lies behind
it, with the opacity of everything around it; axe gives up where it meets a transparent colour.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

LEAST = 4.5

_CONTRAST = """
([selector, least]) => {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const known = new Map();
  const rgba = (text) => {
    if (!known.has(text)) {
      context.clearRect(0, 0, 1, 1);
      context.fillStyle = text;
      context.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = (top, below) => below.map((value, i) => top[i] * top[3] + value * (1 - top[3]));
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const up = (node) => node.parentElement ?? node.getRootNode().host ?? null;
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = up(at)) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
    return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const opacity = (node) => {
    let seen = 1;
    for (let at = node; at; at = up(at)) seen *= Number(getComputedStyle(at).opacity);
    return seen;
  };
  const roots = [];
  const search = (scope) => {
    roots.push(...scope.querySelectorAll(selector));
    for (const node of scope.querySelectorAll('*')) if (node.shadowRoot) search(node.shadowRoot);
  };
  search(document);
  const found = [];
  for (const root of roots) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const text = walker.currentNode.textContent.trim();
      const node = walker.currentNode.parentElement;
      if (!text || !node.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
      if (node.closest('style, script, option, :disabled, [aria-disabled=true], [inert], .vnb-hidden')) continue;
      const range = document.createRange();
      range.selectNode(walker.currentNode);
      const box = range.getBoundingClientRect();
      if (box.width < 1 || box.height < 1) continue;
      const style = getComputedStyle(node);
      const ground = behind(node);
      const ink = rgba(node instanceof SVGElement ? style.fill : style.color);
      const seen = over([ink[0], ink[1], ink[2], ink[3] * opacity(node)], ground);
      const value = ratio(seen, ground);
      if (value < least - 0.005) {
        const where = `${node.tagName.toLowerCase()}.${[...node.classList].join('.')} in .${up(node)?.className}`;
        found.push([Math.round(value * 100) / 100, where, text.slice(0, 40)]);
      }
    }
    for (const field of root.querySelectorAll('input, textarea')) {
      if (!field.placeholder || field.value || field.disabled || !field.checkVisibility()) continue;
      const ground = behind(field);
      const style = getComputedStyle(field, '::placeholder');
      const ink = rgba(style.color);
      const seen = over([ink[0], ink[1], ink[2], ink[3] * Number(style.opacity) * opacity(field)], ground);
      const value = ratio(seen, ground);
      if (value < least - 0.005) found.push([Math.round(value * 100) / 100, 'placeholder', field.placeholder]);
    }
  }
  return found;
}
"""


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
