// Small helpers around the DOM. Text from the service only ever becomes textContent: nothing here
// takes markup.

// An element: `h("span.vnb-unit", { title }, "$/h")`; a div unless the tag says otherwise. Children
// are nodes or texts; null is left out.
export function h(tag, ...children) {
  const [name, ...classes] = tag.split(".");
  const node = document.createElement(name || "div");
  if (classes.length) node.className = classes.join(" ");
  const props = children[0]?.constructor === Object ? children.shift() : {};
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "value" || key === "checked") node[key] = value;
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A button that says `text` and does `run`; `more` are its other attributes.
export const clickable = (text, run = null, more = {}) =>
  h("button", { type: "button", class: "vnb-button", text, onclick: run, ...more });

// A line to type in, which no browser fills in or corrects.
export const textInput = (more) =>
  h("input", { type: "text", autocomplete: "off", spellcheck: "false", ...more });

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

// A place from which a screen reader reads what is said: once things are quiet, and not again.
export function announcer() {
  const node = h(".vnb-hidden", { role: "status" });
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

// Runs `work` at most once a frame, however often it is asked for, until the signal aborts.
export function perFrame(signal, work) {
  let asked = 0;
  const run = () => {
    asked = 0;
    work();
  };
  signal.addEventListener("abort", () => cancelAnimationFrame(asked));
  return () => {
    if (!asked && !signal.aborted) asked = requestAnimationFrame(run);
  };
}

// Calls `work` now and whenever the node has another size.
export function onResize(signal, node, work) {
  const observer = new ResizeObserver(() => work());
  observer.observe(node);
  signal.addEventListener("abort", () => observer.disconnect());
}
