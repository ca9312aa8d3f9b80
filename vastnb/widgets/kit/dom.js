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

// Ids are looked up in the whole page, where other widgets have this module too.
const idSalt = Math.random().toString(36).slice(2, 8);
let idCount = 0;
export function freshId(prefix) {
  idCount += 1;
  return `vnb-${prefix}-${idSalt}-${idCount}`;
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
  keepFocus(root, signal);
}

// Keeps the focus in the widget. A click on what cannot take it gives it to the root. When what has
// it goes away or is disabled for a while, the root holds it and gives it back; else it would fall
// to the page, and the next key to the notebook.
function keepFocus(root, signal) {
  let last = null;
  let lent = false;
  const active = () => {
    let at = document.activeElement;
    while (at?.shadowRoot?.activeElement) at = at.shadowRoot.activeElement;
    return at;
  };
  const usable = (node) => node.isConnected && !node.disabled && node.checkVisibility() && !node.closest("[inert]");
  const focus = (node) => node.focus({ preventScroll: true });
  const check = () => {
    if (!last || signal.aborted) return;
    const at = active();
    const nowhere = !at || at === document.body || at === last;
    if (usable(last)) {
      if (lent && at === root) focus(last);
    } else if (nowhere) {
      lent = true;
      const held = last;
      focus(root);
      last = held;
    }
  };
  root.tabIndex = -1;
  root.addEventListener(
    "focusin",
    ({ target }) => {
      if (target === root) return;
      last = target;
      lent = false;
    },
    { signal },
  );
  root.addEventListener(
    "focusout",
    ({ relatedTarget }) => {
      if (relatedTarget && !root.contains(relatedTarget)) last = null;
      else if (!relatedTarget) {
        // Somebody clicked elsewhere, or what had the focus is gone: only the latter is ours.
        requestAnimationFrame(() => {
          if (last && usable(last) && active() !== last && active() !== root) last = null;
          check();
        });
      }
    },
    { signal },
  );
  const changes = new MutationObserver(check);
  changes.observe(root, { subtree: true, childList: true, attributes: true, attributeFilter: ["disabled", "hidden", "inert", "class"] });
  signal.addEventListener("abort", () => changes.disconnect());
  const take = () => {
    if (signal.aborted || root.contains(active())) return;
    lent = false;
    focus(root);
  };
  root.addEventListener("pointerdown", () => setTimeout(take), { signal });
  root.addEventListener("click", take, { signal });
}

// A place from which a screen reader reads what is said: once things are quiet, and not again.
export function announcer() {
  const node = h("div", { class: "vnb-hidden", role: "status" });
  let timer = 0;
  let next = "";
  const say = (text) => {
    if (text === next) return;
    next = text;
    clearTimeout(timer);
    timer = setTimeout(() => setText(node, text), 1000);
  };
  return { node, say };
}

// What colour this is, whatever it is written as: `color(srgb 1 1 1)` and oklch() too.
function rgba(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
}

// The colour that lies behind a node: of the nearest element around it that is not transparent.
function groundOf(node) {
  for (let at = node.parentNode; at; at = at.parentNode ?? at.host) {
    if (!(at instanceof Element)) continue;
    const colour = getComputedStyle(at).backgroundColor;
    const [r, g, b, a] = rgba(colour);
    if (a > 0.5) return { colour, dark: 0.3 * r + 0.59 * g + 0.11 * b < 110 };
  }
  return null;
}

// Calls `tell(dark)` now and whenever the page changes between light and dark. Outside of JupyterLab
// what is behind the widget says which; its colour is what the widget's own fall back to.
export function watchTheme(root, tell, signal) {
  const { body, documentElement: page } = document;
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const update = () => {
    const lab = body.getAttribute("data-jp-theme-light");
    const ground = groundOf(root);
    let dark = ground ? ground.dark : system.matches;
    if (lab !== null) dark = lab === "false";
    else if (body.classList.contains("vscode-dark")) dark = true;
    root.dataset.theme = dark ? "dark" : "light";
    if (ground) root.style.setProperty("--vnb-ground", ground.colour);
    // Lab swaps its style sheet after the attribute: read the colours when both are there.
    requestAnimationFrame(() => !signal.aborted && tell(dark));
  };
  const later = () => setTimeout(() => !signal.aborted && update(), 250);
  const observer = new MutationObserver(() => {
    update();
    later();
  });
  const attributeFilter = ["data-jp-theme-light", "data-jp-theme-name", "data-theme", "theme", "class", "style"];
  for (const node of [page, body]) observer.observe(node, { attributes: true, attributeFilter });
  const sheets = new MutationObserver(later);
  sheets.observe(document.head, { childList: true });
  system.addEventListener("change", update, { signal });
  signal.addEventListener("abort", () => {
    observer.disconnect();
    sheets.disconnect();
  });
  update();
  // The view may be put into the page only now.
  requestAnimationFrame(() => !signal.aborted && update());
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
