// Price against performance: one dot an offer, on a canvas, linked with the table.
import { W } from "./words.js";
import { assignColours, boundsOf, frontier, logScale, logTicks, tickLabel } from "./scales.js";
import { PALETTE } from "../kit/palette.js";
import { grouped, percent, usd } from "../kit/words.js";
import { clickable, h, perFrame } from "../kit/dom.js";

const MARGIN = { left: 46, right: 12, top: 10, bottom: 20 };
const NEAR = 12;

export class Scatter {
  constructor(host, store, { signal, onPick = null, onReveal = null }) {
    this.store = store;
    this.signal = signal;
    this.onPick = onPick;
    this.onReveal = onReveal;
    this.perGpu = false;
    this.bounds = { offer: [null, null], gpu: [null, null] };
    this.colours = new Map();
    this.ranked = [];
    this.build(host);
    this.drawDots = perFrame(() => this.paintDots());
    this.drawMarks = perFrame(() => this.paintMarks());
    signal.addEventListener("abort", () => {
      this.drawDots.cancel();
      this.drawMarks.cancel();
    });
    store.on("load", () => this.onLoad(), signal);
    store.on("view", () => this.drawDots(), signal);
    store.on("select", () => this.drawMarks(), signal);
    store.on("hover", () => this.drawMarks(), signal);
    if (store.loaded) this.onLoad();
  }

  build(host) {
    const { signal } = this;
    const mode = (label, perGpu) =>
      clickable(label, (event) => {
        this.perGpu = perGpu;
        for (const other of event.target.parentElement.children) {
          other.setAttribute("aria-pressed", String(other === event.target));
        }
        this.measure();
        this.drawDots();
      }, { class: null, "aria-pressed": String(perGpu === this.perGpu) });
    this.legend = h("div", { class: "vnb-legend" });
    this.dots = h("canvas", { "aria-hidden": "true" });
    this.marks = h("canvas", {
      role: "img",
      "aria-label": W.priceAnHourAgainst,
    });
    this.tip = h("div", { class: "vnb-tip", hidden: true });
    this.area = h("div", { class: "vnb-plot" }, this.dots, this.marks, this.tip);
    host.append(
      h(
        "section",
        { class: "vnb-panel vnb-scatter" },
        h(
          "div",
          { class: "vnb-plothead" },
          this.legend,
          h(
            "div",
            { class: "vnb-segments vnb-small", role: "group", "aria-label": W.count },
            mode("offer", false),
            mode(W.perGPU, true),
          ),
        ),
        this.area,
      ),
    );
    const sizes = new ResizeObserver(() => this.resize());
    sizes.observe(this.area);
    signal.addEventListener("abort", () => sizes.disconnect());
    const on = (type, work) => this.marks.addEventListener(type, work, { signal });
    on("pointerdown", (event) => this.onDown(event));
    on("pointermove", (event) => this.onMove(event));
    on("pointerup", (event) => this.onUp(event));
    on("pointerleave", () => !this.brush && this.store.hover(null, this));
    on("pointercancel", () => {
      this.brush = null;
      this.drawMarks();
    });
  }

  onLoad() {
    const { store } = this;
    const names = store.columns.get("gpu_name");
    this.names = Array.from({ length: store.count }, (_, row) => names?.text(row) ?? null);
    const assigned = assignColours(this.names, this.colours);
    this.colours = assigned.colours;
    this.ranked = assigned.ranked;
    this.measure();
    this.showLegend();
    this.drawDots();
  }

  measure() {
    const { store } = this;
    const perf = store.columns.get("dlperf");
    const price = store.columns.get("dph_total");
    if (!perf || !price) return;
    const gpus = store.columns.get("num_gpus");
    const values = (column, perGpu) =>
      Float64Array.from({ length: store.count }, (_, row) => {
        return column.number(row) / (perGpu ? gpus?.number(row) ?? 1 : 1);
      });
    for (const perGpu of [!this.perGpu, this.perGpu]) {
      this.xs = values(perf, perGpu);
      this.ys = values(price, perGpu);
      const bounds = this.bounds[perGpu ? "gpu" : "offer"];
      bounds[0] = boundsOf(this.xs, bounds[0]);
      bounds[1] = boundsOf(this.ys, bounds[1]);
    }
  }

  showLegend() {
    const entry = (name, colour) => {
      const dot = h("i", { class: "vnb-dot" });
      dot.style.background = colour;
      const title = this.onPick ? W.filterBy(name) : name;
      return h(
        "button",
        { type: "button", title, onclick: () => this.onPick?.(name) },
        dot,
        h("span", { text: name }),
      );
    };
    const entries = this.ranked.filter((name) => this.colours.has(name)).map((name) =>
      entry(name, PALETTE[this.colours.get(name)])
    );
    if (this.ranked.length > entries.length) {
      const others = this.ranked.length - entries.length;
      entries.push(
        h(
          "span",
          { class: "vnb-others" },
          h("i", { class: "vnb-dot" }),
          h("span", { text: W.others(others) }),
        ),
      );
    }
    const title = W.nothingThatIsShown;
    entries.push(h("span", { class: "vnb-best", title }, h("i"), h("span", { text: W.bestValueLine })));
    this.legend.replaceChildren(...entries);
  }

  theme() {
    const style = getComputedStyle(this.area);
    const read = (name) => style.getPropertyValue(name).trim();
    // A computed custom property may still hold color-mix(); only a real property resolves it.
    this.ink = read("--vnb-ink") || "#333";
    this.paper = read("--vnb-paper") || "#fff";
    this.accent = read("--vnb-accent") || "#1976d2";
    this.font = `11px ${style.fontFamily}`;
    this.drawDots();
  }

  resize() {
    if (this.signal.aborted) return;
    const ratio = globalThis.devicePixelRatio || 1;
    const width = this.area.clientWidth;
    const height = this.area.clientHeight;
    if (!width || !height) return;
    this.size = { width, height, ratio };
    for (const canvas of [this.dots, this.marks]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.paintDots();
  }

  start(canvas) {
    const pen = canvas.getContext("2d");
    const { width, height, ratio } = this.size;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return pen;
  }

  paintDots() {
    if (!this.size || !this.xs) return;
    if (!this.ink) this.theme();
    const [xBounds, yBounds] = this.bounds[this.perGpu ? "gpu" : "offer"];
    const pen = this.start(this.dots);
    if (!xBounds || !yBounds) return this.paintMarks();
    const { width, height } = this.size;
    const x = logScale(xBounds, MARGIN.left, width - MARGIN.right);
    const y = logScale(yBounds, height - MARGIN.bottom, MARGIN.top);
    this.axes(pen, xBounds, yBounds, x, y);
    const { store } = this;
    // A few absurdly small values would squeeze all others: those stand at the edge.
    this.px = Float32Array.from(this.xs, (v) => (v > 0 ? Math.max(x(v), MARGIN.left) : NaN));
    this.py = Float32Array.from(this.ys, (v) => (v > 0 ? Math.min(y(v), height - MARGIN.bottom) : NaN));
    const shown = new Uint8Array(store.count);
    for (const row of store.view) shown[row] = 1;
    this.shown = shown;
    const groups = new Map([["out", []], ["other", []]]);
    for (let row = 0; row < store.count; row++) {
      if (Number.isNaN(this.px[row]) || Number.isNaN(this.py[row])) continue;
      const colour = this.colours.get(this.names[row]);
      const group = !shown[row] ? "out" : colour === undefined ? "other" : PALETTE[colour];
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(row);
    }
    const radius = store.view.length > 1500 ? 2.3 : store.view.length > 300 ? 2.9 : 3.6;
    for (const [group, rows] of groups) {
      pen.globalAlpha = group === "out" ? 0.1 : group === "other" ? 0.38 : 0.8;
      pen.fillStyle = group === "out" || group === "other" ? this.ink : group;
      pen.beginPath();
      const size = group === "out" ? 1.8 : radius;
      for (const row of rows) {
        pen.moveTo(this.px[row] + size, this.py[row]);
        pen.arc(this.px[row], this.py[row], size, 0, 6.2832);
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
    this.paintFrontier(pen);
    return this.paintMarks();
  }

  // The stair of offers that nothing beats.
  paintFrontier(pen) {
    const best = frontier(this.store.view, this.xs, this.ys);
    if (best.length < 2) return;
    pen.strokeStyle = this.ink;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    pen.setLineDash([3, 3]);
    pen.beginPath();
    best.forEach((row, i) => {
      if (i === 0) pen.moveTo(this.px[row], this.py[row]);
      else {
        pen.lineTo(this.px[row], this.py[best[i - 1]]);
        pen.lineTo(this.px[row], this.py[row]);
      }
    });
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  axes(pen, xBounds, yBounds, x, y) {
    const { width, height } = this.size;
    const bottom = height - MARGIN.bottom;
    pen.font = this.font;
    pen.fillStyle = this.ink;
    pen.strokeStyle = this.ink;
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const tick of logTicks(yBounds, Math.max(3, height / 28))) {
      const at = Math.round(y(tick)) + 0.5;
      pen.globalAlpha = 0.09;
      pen.beginPath();
      pen.moveTo(MARGIN.left, at);
      pen.lineTo(width - MARGIN.right, at);
      pen.stroke();
      pen.globalAlpha = 0.62;
      pen.fillText(`$${tickLabel(tick)}`, MARGIN.left - 7, at);
    }
    pen.textAlign = "center";
    pen.textBaseline = "top";
    for (const tick of logTicks(xBounds, width / 64)) {
      const at = Math.round(x(tick)) + 0.5;
      pen.globalAlpha = 0.05;
      pen.beginPath();
      pen.moveTo(at, MARGIN.top);
      pen.lineTo(at, bottom);
      pen.stroke();
      pen.globalAlpha = 0.62;
      if (at < width - 82) pen.fillText(tickLabel(tick), at, bottom + 5);
    }
    pen.globalAlpha = 0.62;
    pen.textAlign = "right";
    pen.fillText(W.dlperfAxis, width - MARGIN.right, bottom + 5);
    pen.textAlign = "left";
    pen.fillText("↑ $/h", 8, bottom + 5);
    pen.globalAlpha = 1;
  }

  paintMarks() {
    if (!this.size || !this.px) return;
    const pen = this.start(this.marks);
    const { store } = this;
    pen.lineWidth = 1.6;
    for (const id of store.selected) {
      const row = store.places.get(id);
      if (row === undefined || Number.isNaN(this.px[row])) continue;
      this.ring(pen, row, 5.5, this.shown?.[row] ? 1 : 0.4);
    }
    const row = store.hovered;
    if (row !== null && row < store.count && !Number.isNaN(this.px[row])) {
      this.ring(pen, row, 7.5, 1);
      this.showTip(row);
    } else {
      this.tip.hidden = true;
    }
    if (this.brush?.moved) {
      const { x0, y0, x1, y1 } = this.brush;
      pen.strokeStyle = this.accent;
      pen.fillStyle = this.accent;
      pen.globalAlpha = 0.12;
      pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      pen.globalAlpha = 0.9;
      pen.strokeRect(x0, y0, x1 - x0, y1 - y0);
      pen.globalAlpha = 1;
    }
  }

  ring(pen, row, radius, alpha) {
    const colour = this.colours.get(this.names[row]);
    pen.globalAlpha = alpha;
    pen.beginPath();
    pen.arc(this.px[row], this.py[row], radius, 0, 6.2832);
    pen.fillStyle = this.paper;
    pen.fill();
    pen.strokeStyle = this.ink;
    pen.stroke();
    pen.beginPath();
    pen.arc(this.px[row], this.py[row], radius - 2.4, 0, 6.2832);
    pen.fillStyle = colour === undefined ? this.ink : PALETTE[colour];
    pen.fill();
    pen.globalAlpha = 1;
  }

  showTip(row) {
    const { store } = this;
    const read = (name) => store.columns.get(name);
    const number = (name) => read(name)?.number(row) ?? NaN;
    const vram = number("gpu_ram_gb");
    const lines = [
      `${number("num_gpus")} × ${this.names[row] ?? "unknown GPU"}${
        vram > 0 ? ` · ${grouped(vram, 0)} GB` : ""
      }`,
      W.offerFacts(usd(number("dph_total")), grouped(number("dlperf"), 0), percent(number("reliability"))),
      read("geolocation")?.text(row) ?? "",
    ];
    if (this.tipRow !== row || this.tip.hidden) {
      this.tip.replaceChildren(...lines.filter(Boolean).map((text, i) => h(i ? "span" : "strong", { text })));
      this.tipRow = row;
    }
    this.tip.hidden = false;
    const { width } = this.size;
    const flip = this.px[row] > width - 250;
    this.tip.style.left = flip ? "" : `${this.px[row] + 14}px`;
    this.tip.style.right = flip ? `${width - this.px[row] + 14}px` : "";
    const lower = this.py[row] < this.size.height / 2;
    this.tip.style.top = lower ? `${Math.max(2, this.py[row] - 8)}px` : "";
    this.tip.style.bottom = lower ? "" : `${Math.max(2, this.size.height - this.py[row] - 8)}px`;
  }

  nearest(px, py) {
    if (!this.px) return null;
    let best = null;
    let least = NEAR * NEAR;
    for (const row of this.store.view) {
      const dx = this.px[row] - px;
      const dy = this.py[row] - py;
      const far = dx * dx + dy * dy;
      if (far < least) {
        least = far;
        best = row;
      }
    }
    return best;
  }

  onDown(event) {
    if (event.button !== 0) return;
    this.marks.setPointerCapture(event.pointerId);
    this.brush = { x0: event.offsetX, y0: event.offsetY, x1: event.offsetX, y1: event.offsetY, moved: false };
  }

  onMove(event) {
    if (!this.brush) {
      const row = this.nearest(event.offsetX, event.offsetY);
      this.marks.style.cursor = row === null ? "crosshair" : "pointer";
      this.store.hover(row, this);
      return;
    }
    const { brush } = this;
    brush.x1 = event.offsetX;
    brush.y1 = event.offsetY;
    brush.moved ||= Math.hypot(brush.x1 - brush.x0, brush.y1 - brush.y0) > 5;
    this.drawMarks();
  }

  onUp(event) {
    const { brush, store } = this;
    this.brush = null;
    if (!brush) return;
    const more = event.shiftKey || event.ctrlKey || event.metaKey;
    const next = new Set(more ? store.selected : []);
    if (brush.moved) {
      const inside = (value, a, b) => value >= Math.min(a, b) && value <= Math.max(a, b);
      for (const row of store.view) {
        if (inside(this.px[row], brush.x0, brush.x1) && inside(this.py[row], brush.y0, brush.y1)) {
          next.add(store.ids[row]);
        }
      }
    } else {
      const row = this.nearest(event.offsetX, event.offsetY);
      if (row !== null) {
        const id = store.ids[row];
        if (more && next.has(id)) next.delete(id);
        else next.add(id);
        this.onReveal?.(row);
      }
    }
    store.select(next, this);
    this.drawMarks();
  }
}
