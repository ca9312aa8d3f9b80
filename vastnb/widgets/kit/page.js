// What a view needs of the page around it: its own keys, the focus, the theme, and the saved copy
// out of sight while it lives.
import { h } from "./dom.js";

// A notebook listens for single letters (x cuts a cell, d d deletes it). Inside a widget they are
// ours: the attribute tells Lumino's commands, the handler everybody who listens further up. Lumino
// looks at the focused element first and only then for the attribute on those around it, so each
// element that gets the focus needs its own.

function guardKeys(root, signal) {
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
  const usable = (node) =>
    node.isConnected && !node.disabled && node.checkVisibility() && !node.closest("[inert]");
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
  changes.observe(root, {
    subtree: true,
    childList: true,
    attributes: true,
    attributeFilter: ["disabled", "hidden", "inert", "class"],
  });
  signal.addEventListener("abort", () => changes.disconnect());
  const take = () => {
    if (signal.aborted || root.contains(active())) return;
    lent = false;
    focus(root);
  };
  root.addEventListener("pointerdown", () => setTimeout(take), { signal });
  root.addEventListener("click", take, { signal });
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
function watchTheme(root, tell, signal) {
  const { body, documentElement: page } = document;
  const system = globalThis.matchMedia("(prefers-color-scheme: dark)");
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
  const attributeFilter = [
    "data-jp-theme-light",
    "data-jp-theme-name",
    "data-theme",
    "theme",
    "class",
    "style",
  ];
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

// Hears what a model tells, `{ event: listener }`, until the signal aborts.
export function listen(model, signal, listeners) {
  for (const [event, listener] of Object.entries(listeners)) {
    model.on(event, listener);
    signal.addEventListener("abort", () => model.off(event, listener));
  }
}

// Changes a part of the state that page and kernel share.
export function share(model, name, value) {
  model.set(name, value);
  model.save_changes();
}

// Sends a message and says whether it could be sent: without a kernel (a saved notebook) it cannot.
export function sent(model, message) {
  try {
    model.send(message);
    return true;
  } catch {
    return false;
  }
}

// Writes down that an answer to the page has come: marimo then runs the cells that use it.
export function noteAnswer(model, message) {
  if (message.type === "answered") share(model, "heard", (model.get("heard") ?? 0) + 1);
}

// The static copy of a saved notebook stands beside the live widget: hidden while it lives.
export function hideCopy(model, signal) {
  const name = model.get("copy_class");
  if (!name || !/^vnb-copy-[0-9a-f]+$/.test(name)) return;
  const style = document.createElement("style");
  style.textContent = `.${name}, .jp-OutputArea-child:has(.${name}) { display: none !important; }`;
  document.head.append(style);
  signal.addEventListener("abort", () => style.remove());
}

// The root of a view: in the page, with the keys and the theme that are its own.
export function rootIn(el, signal, { extra = "", onTheme = () => {} } = {}) {
  const root = h("div", { class: `vnb-root ${extra}`.trim() });
  guardKeys(root, signal);
  el.append(root);
  watchTheme(root, onTheme, signal);
  return root;
}

// What anywidget calls for each place where a widget is shown: `make(model, el, signal, host)` gives
// a view with a `root`, and everything that hangs on the signal ends with it.
export const rendered = (make) => ({ model, el, host = null }) => {
  const stop = new AbortController();
  const view = make(model, el, stop.signal, host);
  return () => {
    stop.abort();
    view.root.remove();
  };
};
