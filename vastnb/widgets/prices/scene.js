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
export class Chart {
  constructor({ signal, onPick }) {
    this.onPick = onPick;
    this.tip = h("div", { class: "vnb-tip", hidden: true });
    this.node = h("div", { class: "vnb-panel vnb-chart" }, this.tip);
    const on = (type, work) => this.node.addEventListener(type, work, { signal });
    on("pointermove", (event) => this.point(event));
    on("pointerleave", () => this.hideTip());
    on("click", (event) => {
      const name = event.target.closest?.("[data-gpu]")?.dataset.gpu;
      if (name) this.onPick(name, event.ctrlKey || event.metaKey || event.shiftKey);
    });
  }

  draw(scene) {
    const picture = sceneNode(scene);
    if (!picture) return;
    this.hideTip();
    this.picture?.remove();
    this.picture = picture;
    this.node.prepend(picture);
  }

  point(event) {
    const target = event.target.closest?.("[data-tip]");
    if (!target || !this.node.contains(target)) return this.hideTip();
    if (target !== this.target) {
      this.target?.classList.remove("vnb-pointed");
      this.target = target;
      target.classList.add("vnb-pointed");
      const lines = target.dataset.tip.split("\n");
      this.tip.replaceChildren(...lines.map((text, i) => h(i ? "span" : "strong", { text })));
      this.tip.hidden = false;
    }
    const box = this.node.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const wide = this.tip.offsetWidth;
    const tall = this.tip.offsetHeight;
    const left = x + 14 + wide < box.width ? x + 14 : Math.max(4, x - wide - 14);
    this.tip.style.left = `${left}px`;
    this.tip.style.top = `${Math.max(4, Math.min(y + 12, box.height - tall - 4))}px`;
    return undefined;
  }

  hideTip() {
    this.target?.classList.remove("vnb-pointed");
    this.target = null;
    this.tip.hidden = true;
  }
}
