"""Which controls of the widgets in a page are cut off: measured, not looked at."""

from __future__ import annotations

from typing import Any

# ruff: noqa: E501
CLIPPED = """() => {
  const found = [];
  const controls = 'button, input, textarea, select, a[href], [role=switch], [role=radio]';
  const chips = '.vnb-chip button, .vnb-chipbutton, .vnb-gpuchip, .vnb-endchip, .vnb-legend button, .vnb-segments button, .vnb-tabs button';
  const name = (n) => `${n.tagName.toLowerCase()}.${n.className} "${(n.textContent || n.getAttribute('aria-label') || n.placeholder || '').trim().slice(0, 40)}"`;
  // What is inert because its kernel has gone is still looked at.
  const hidden = (n) => n.closest('.vnb-hidden') || (n.closest('[inert]') && !n.closest('.vnb-lost > [inert]'));
  for (const root of document.querySelectorAll('.vnb-root')) {
    const outer = root.getBoundingClientRect();
    if (!outer.width) continue;
    const nested = root.parentElement.closest('.vnb-root');
    for (const node of root.querySelectorAll(controls)) {
      if (nested || hidden(node) || !node.checkVisibility({ visibilityProperty: true })) continue;
      const box = node.getBoundingClientRect();
      if (!box.width || !box.height) continue;
      if (box.height < 23.5 && node.matches(chips)) found.push(`${name(node)}: a chip of ${box.height} px`);
      const out = (frame, why) => {
        if (box.left < frame.left - 1.5 || box.right > frame.right + 1.5) found.push(`${name(node)}: ${why} sideways`);
      };
      out(outer, 'beyond the widget');
      for (let up = node.parentElement; up && up !== root.parentElement; up = up.parentElement) {
        const style = getComputedStyle(up);
        const frame = up.getBoundingClientRect();
        if (style.overflowX !== 'visible' && !up.classList.contains('vnb-grid')) out(frame, `cut by .${up.className}`);
        const cut = style.overflowY === 'hidden' || style.overflowY === 'clip';
        if (cut && (box.top < frame.top - 1.5 || box.bottom > frame.bottom + 1.5)) found.push(`${name(node)}: cut by .${up.className} below`);
      }
      if ((node.tagName === 'BUTTON' || node.matches('.vnb-value')) && node.scrollWidth > node.clientWidth + 1) found.push(`${name(node)}: its text is cut`);
    }
    // Sentences that matter are not cut off either.
    for (const node of root.querySelectorAll('.vnb-warn, .vnb-notice, .vnb-warnings li, .vnb-reason, .vnb-notetext, .vnb-most, .vnb-rate, .vnb-mprice, .vnb-candprice, .vnb-title, .vnb-figure b, .vnb-saved')) {
      if (nested || hidden(node) || !node.checkVisibility({ visibilityProperty: true })) continue;
      if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).overflowX !== 'visible') found.push(`${name(node)}: its words are cut`);
      const box = node.getBoundingClientRect();
      if (box.width && (box.right > outer.right + 1.5 || box.left < outer.left - 1.5)) found.push(`${name(node)}: words beyond the widget`);
    }
  }
  return [...new Set(found)];
}"""


def clipped(page: Any) -> list[str]:
    """Return the controls, and the sentences that matter, that are cut off somewhere or too low."""
    found: list[str] = page.evaluate(CLIPPED)
    return found
