// Draws scenes: small trees of [tag, attributes, children or text] that the kernel has made. Only
// tags and attributes of these lists become elements, and a text only ever becomes a text node.
import { h } from "../kit/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const SCENE_TAGS = new Set(["svg", "g", "path", "rect", "circle", "line", "text"]);
const SCENE_ATTRIBUTES = new Set([
  "aria-label",
  "class",
  "cx",
  "cy",
  "d",
  "dominant-baseline",
  "fill",
  "fill-opacity",
  "font-size",
  "font-weight",
  "height",
  "opacity",
  "r",
  "role",
  "rx",
  "stroke",
  "stroke-dasharray",
  "stroke-linecap",
  "stroke-linejoin",
  "stroke-opacity",
  "stroke-width",
  "text-anchor",
  "viewBox",
  "width",
  "x",
  "x1",
  "x2",
  "y",
  "y1",
  "y2",
]);

function sceneNode([tag, attributes, children]) {
  if (!SCENE_TAGS.has(tag)) return null;
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (SCENE_ATTRIBUTES.has(name)) node.setAttribute(name, value);
    else if (name === "tip" || name === "gpu") node.dataset[name] = value;
  }
  const parts = typeof children === "string" ? [children] : children.map(sceneNode).filter(Boolean);
  node.append(...parts);
  return node;
}

// One chart: the picture, its tooltip, and clicks on what stands for a GPU.
export function chart({ onPick }) {
  const tip = h(".vnb-tip", { hidden: true });
  const node = h(
    ".vnb-panel.vnb-chart",
    { onpointermove: point, onpointerleave: hideTip, onclick: pick },
    tip,
  );
  let picture = null;
  let pointed = null;

  function draw(scene) {
    const drawn = sceneNode(scene);
    if (!drawn) return;
    hideTip();
    picture?.remove();
    picture = drawn;
    node.prepend(picture);
  }

  function pick(event) {
    const name = event.target.closest("[data-gpu]")?.dataset.gpu;
    if (name) onPick(name, event.ctrlKey || event.metaKey || event.shiftKey);
  }

  function point(event) {
    const target = event.target.closest("[data-tip]");
    if (!target) return hideTip();
    if (target !== pointed) {
      pointed?.classList.remove("vnb-pointed");
      pointed = target;
      target.classList.add("vnb-pointed");
      const lines = target.dataset.tip.split("\n");
      tip.replaceChildren(...lines.map((text, i) => h(i ? "span" : "strong", text)));
      tip.hidden = false;
    }
    const box = node.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const left = x + 14 + tip.offsetWidth < box.width ? x + 14 : Math.max(4, x - tip.offsetWidth - 14);
    tip.style.left = `${left}px`;
    tip.style.top = `${Math.max(4, Math.min(y + 12, box.height - tip.offsetHeight - 4))}px`;
    return undefined;
  }

  function hideTip() {
    pointed?.classList.remove("vnb-pointed");
    pointed = null;
    tip.hidden = true;
  }

  return { node, draw };
}
