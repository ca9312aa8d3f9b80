// Small helpers around the DOM. Text from the service only ever becomes textContent: nothing here
// takes markup.

export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

// Sets text only when it differs: a text node that is written again is laid out again.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

let idCount = 0;
export function freshId(prefix) {
  idCount += 1;
  return `vnb-${prefix}-${idCount}`;
}

// A notebook listens for single letters (x cuts a cell, d d deletes it). Inside a widget they are
// ours: the attribute tells Lumino's commands, the handler everybody who listens further up. Lumino
// looks at the focused element first and only then for the attribute on those around it, so each
// element that gets the focus needs its own.
export function guardKeys(root, signal) {
  const mark = (node) => node.setAttribute("data-lm-suppress-shortcuts", "true");
  mark(root);
  root.addEventListener("focusin", (event) => mark(event.target), { signal });
  for (const type of ["keydown", "keyup", "keypress", "paste", "copy", "cut", "dblclick"]) {
    root.addEventListener(type, (event) => event.stopPropagation(), { signal });
  }
}

// Calls `tell(dark)` now and whenever the page changes between light and dark.
export function watchTheme(root, tell, signal) {
  const body = document.body;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => {
    const lab = body.getAttribute("data-jp-theme-light");
    if (lab !== null) return lab === "false";
    if (body.classList.contains("vscode-dark")) return true;
    const paper = getComputedStyle(body).backgroundColor.match(/[\d.]+/g)?.map(Number);
    if (paper && (paper.length < 4 || paper[3] > 0)) {
      return 0.3 * paper[0] + 0.59 * paper[1] + 0.11 * paper[2] < 110;
    }
    return system.matches;
  };
  const update = () => {
    const dark = isDark();
    root.dataset.theme = dark ? "dark" : "light";
    // Lab swaps its style sheet after the attribute: read the colours when both are there.
    requestAnimationFrame(() => !signal.aborted && tell(dark));
  };
  const observer = new MutationObserver(update);
  observer.observe(body, {
    attributes: true,
    attributeFilter: ["data-jp-theme-light", "data-jp-theme-name", "class"],
  });
  const later = () => setTimeout(() => !signal.aborted && update(), 250);
  const sheets = new MutationObserver(later);
  sheets.observe(document.head, { childList: true });
  system.addEventListener("change", update, { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    sheets.disconnect();
  });
  update();
}

// Runs `work` at most once a frame, however often it is asked for.
export function perFrame(work) {
  let asked = 0;
  const run = () => {
    asked = 0;
    work();
  };
  const ask = () => {
    if (!asked) asked = requestAnimationFrame(run);
  };
  ask.cancel = () => cancelAnimationFrame(asked);
  return ask;
}

export const DASH = "–";

export const UNDER_A_CENT = "under 1 c";

export function usd(value) {
  if (Number.isNaN(value)) return DASH;
  if (value > 0 && value < 0.01) return UNDER_A_CENT;
  const size = Math.abs(value);
  const places = size >= 100 ? 2 : size >= 0.1 || size === 0 ? 3 : 4;
  return `$${grouped(value, places)}`;
}

const formats = new Map();
export function grouped(value, places) {
  if (!formats.has(places)) {
    const options = { minimumFractionDigits: places, maximumFractionDigits: places };
    formats.set(places, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(places).format(value);
}

export function percent(fraction, places = 1) {
  if (Number.isNaN(fraction)) return DASH;
  // 99.96 % must not be rounded up to a promise that nobody gave.
  const step = 10 ** places;
  const floored = Math.floor(fraction * 100 * step + 1e-9) / step;
  return grouped(floored, floored === 100 ? 0 : places);
}

export function clockTime(seconds) {
  const when = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}
