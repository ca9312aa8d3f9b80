// Texts whose contrast is too low; called by eyes.py with [selector, least].
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
