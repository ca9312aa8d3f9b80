// Price against performance: one dot an offer, on a canvas, linked with the table.
import { W } from "./words.js";
import { assignColours, boundsOf, frontier, logScale, logTicks, tickLabel } from "./scales.js";
import { PALETTE } from "../kit/palette.js";
import { grouped, percent, usd } from "../kit/words.js";
import { clickable, h, onResize, perFrame } from "../kit/dom.js";

const MARGIN = { left: 46, right: 12, top: 10, bottom: 20 };
const NEAR = 12;

export function scatterPlot(host, store, { signal, onPick, onReveal }) {
  // Bounds of performance and price, for whole offers and for one GPU of them.
  const bounds = { offer: [null, null], gpu: [null, null] };
  let mode = "offer";
  let colours = new Map();
  let names = [];
  let xs = null;
  let ys = null;
  let px = null;
  let py = null;
  let shown = null;
  let size = null;
  let ink = "";
  let paper = "";
  let accent = "";
  let font = "";
  let brush = null;
  let tipRow = null;

  const modes = [["offer", "offer"], ["gpu", W.perGPU]].map(([name, label]) =>
    clickable(label, () => {
      mode = name;
      showMode();
      measure();
      drawDots();
    }, { class: null })
  );
  const showMode = () =>
    modes.forEach((button, i) => button.ariaPressed = String((mode === "gpu") === (i === 1)));
  const legend = h(".vnb-legend");
  const dots = h("canvas", { "aria-hidden": "true" });
  const marks = h("canvas", {
    role: "img",
    "aria-label": W.priceAnHourAgainst,
    onpointerdown: onDown,
    onpointermove: onMove,
    onpointerup: onUp,
    onpointerleave: () => !brush && store.hover(null),
    onpointercancel: () => {
      brush = null;
      drawMarks();
    },
  });
  const tip = h(".vnb-tip", { hidden: true });
  const area = h(".vnb-plot", dots, marks, tip);
  const choice = h(".vnb-segments.vnb-small", { role: "group", "aria-label": W.count }, ...modes);
  host.append(h("section.vnb-panel.vnb-scatter", h(".vnb-plothead", legend, choice), area));

  function load() {
    const gpus = store.columns.get("gpu_name");
    names = Array.from({ length: store.count }, (_, row) => gpus?.text(row) ?? null);
    const assigned = assignColours(names, colours);
    colours = assigned.colours;
    tipRow = null;
    measure();
    showLegend(assigned.ranked);
    drawDots();
  }

  function measure() {
    const perf = store.columns.get("dlperf");
    const price = store.columns.get("dph_total");
    if (!perf || !price) return;
    const gpus = store.columns.get("num_gpus");
    const values = (column, each) =>
      Float64Array.from({ length: store.count }, (_, row) => {
        return column.number(row) / (each === "gpu" ? gpus?.number(row) ?? 1 : 1);
      });
    for (const [each, known] of Object.entries(bounds)) {
      const measured = [values(perf, each), values(price, each)];
      bounds[each] = measured.map((column, i) => boundsOf(column, known[i]));
      if (each === mode) [xs, ys] = measured;
    }
  }

  function showLegend(ranked) {
    const entries = ranked.filter((name) => colours.has(name)).map((name) => {
      const dot = h("i.vnb-dot");
      dot.style.background = PALETTE[colours.get(name)];
      const attributes = { type: "button", title: W.filterBy(name), onclick: () => onPick(name) };
      return h("button", attributes, dot, h("span", name));
    });
    const others = ranked.length - entries.length;
    legend.replaceChildren(
      ...entries,
      ...(others ? [h("span.vnb-others", h("i.vnb-dot"), h("span", W.others(others)))] : []),
      h("span.vnb-best", { title: W.nothingThatIsShown }, h("i"), h("span", W.bestValueLine)),
    );
  }

  function theme() {
    const style = getComputedStyle(area);
    const read = (name) => style.getPropertyValue(name).trim();
    ink = read("--vnb-ink") || "#333";
    paper = read("--vnb-paper") || "#fff";
    accent = read("--vnb-accent") || "#1976d2";
    font = `11px ${style.fontFamily}`;
    drawDots();
  }

  function resize() {
    const { clientWidth: width, clientHeight: height } = area;
    if (!width || !height) return;
    const ratio = globalThis.devicePixelRatio || 1;
    size = { width, height, ratio };
    for (const canvas of [dots, marks]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    paintDots();
  }

  function start(canvas) {
    const pen = canvas.getContext("2d");
    pen.setTransform(size.ratio, 0, 0, size.ratio, 0, 0);
    pen.clearRect(0, 0, size.width, size.height);
    return pen;
  }

  function paintDots() {
    if (!size || !xs) return;
    if (!ink) theme();
    const [xBounds, yBounds] = bounds[mode];
    const pen = start(dots);
    if (!xBounds || !yBounds) return paintMarks();
    const right = size.width - MARGIN.right;
    const bottom = size.height - MARGIN.bottom;
    const x = logScale(xBounds, MARGIN.left, right);
    const y = logScale(yBounds, bottom, MARGIN.top);
    paintAxes(pen, x, y, right, bottom);
    // A few absurdly small values would squeeze all others: those stand at the edge.
    px = Float32Array.from(xs, (v) => (v > 0 ? Math.max(x(v), MARGIN.left) : NaN));
    py = Float32Array.from(ys, (v) => (v > 0 ? Math.min(y(v), bottom) : NaN));
    shown = new Uint8Array(store.count);
    for (const row of store.view) shown[row] = 1;
    const groups = new Map([["out", []], ["other", []]]);
    for (let row = 0; row < store.count; row++) {
      if (Number.isNaN(px[row]) || Number.isNaN(py[row])) continue;
      const group = shown[row] ? PALETTE[colours.get(names[row])] ?? "other" : "out";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(row);
    }
    const usual = store.view.length > 1500 ? 2.3 : store.view.length > 300 ? 2.9 : 3.6;
    for (const [group, rows] of groups) {
      const [alpha, fill, radius] = { out: [0.1, ink, 1.8], other: [0.38, ink, usual] }[group] ??
        [0.8, group, usual];
      pen.globalAlpha = alpha;
      pen.fillStyle = fill;
      pen.beginPath();
      for (const row of rows) {
        pen.moveTo(px[row] + radius, py[row]);
        pen.arc(px[row], py[row], radius, 0, 6.2832);
      }
      pen.fill();
    }
    paintFrontier(pen);
    return paintMarks();
  }

  // The stair of offers that nothing beats.
  function paintFrontier(pen) {
    const best = frontier(store.view, xs, ys);
    if (best.length < 2) return;
    pen.strokeStyle = ink;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    pen.setLineDash([3, 3]);
    pen.beginPath();
    best.forEach((row, i) => {
      if (i) pen.lineTo(px[row], py[best[i - 1]]);
      pen.lineTo(px[row], py[row]);
    });
    pen.stroke();
    pen.setLineDash([]);
  }

  function paintAxes(pen, x, y, right, bottom) {
    const [xBounds, yBounds] = bounds[mode];
    const line = (alpha, x0, y0, x1, y1) => {
      pen.globalAlpha = alpha;
      pen.beginPath();
      pen.moveTo(x0, y0);
      pen.lineTo(x1, y1);
      pen.stroke();
      pen.globalAlpha = 0.62;
    };
    const write = (text, align, at, base) => {
      pen.textAlign = align;
      pen.fillText(text, at, base);
    };
    pen.font = font;
    pen.fillStyle = pen.strokeStyle = ink;
    pen.lineWidth = 1;
    pen.globalAlpha = 0.62;
    pen.textBaseline = "middle";
    for (const tick of logTicks(yBounds, Math.max(3, size.height / 28))) {
      const at = Math.round(y(tick)) + 0.5;
      line(0.09, MARGIN.left, at, right, at);
      write(`$${tickLabel(tick)}`, "right", MARGIN.left - 7, at);
    }
    pen.textBaseline = "top";
    for (const tick of logTicks(xBounds, size.width / 64)) {
      const at = Math.round(x(tick)) + 0.5;
      line(0.05, at, MARGIN.top, at, bottom);
      if (at < right - 70) write(tickLabel(tick), "center", at, bottom + 5);
    }
    write(W.dlperfAxis, "right", right, bottom + 5);
    write("↑ $/h", "left", 8, bottom + 5);
  }

  function paintMarks() {
    if (!size || !px) return;
    const pen = start(marks);
    pen.lineWidth = 1.6;
    for (const id of store.selected) {
      const row = store.places.get(id);
      if (!Number.isNaN(px[row] ?? NaN)) ring(pen, row, 5.5, shown[row] ? 1 : 0.4);
    }
    const row = store.hovered;
    tip.hidden = row === null || Number.isNaN(px[row] ?? NaN);
    if (!tip.hidden) {
      ring(pen, row, 7.5, 1);
      showTip(row);
    }
    if (brush?.moved) {
      const box = [brush.x0, brush.y0, brush.x1 - brush.x0, brush.y1 - brush.y0];
      pen.strokeStyle = pen.fillStyle = accent;
      pen.globalAlpha = 0.12;
      pen.fillRect(...box);
      pen.globalAlpha = 0.9;
      pen.strokeRect(...box);
    }
  }

  function ring(pen, row, radius, alpha) {
    const disc = (size, fill) => {
      pen.beginPath();
      pen.arc(px[row], py[row], size, 0, 6.2832);
      pen.fillStyle = fill;
      pen.fill();
    };
    pen.globalAlpha = alpha;
    disc(radius, paper);
    pen.strokeStyle = ink;
    pen.stroke();
    disc(radius - 2.4, PALETTE[colours.get(names[row])] ?? ink);
  }

  function showTip(row) {
    const number = (name) => store.columns.get(name)?.number(row) ?? NaN;
    if (tipRow !== row) {
      const vram = number("gpu_ram_gb");
      const memory = vram > 0 ? ` · ${grouped(vram)} GB` : "";
      const lines = [
        `${number("num_gpus")} × ${names[row] ?? "unknown GPU"}${memory}`,
        W.offerFacts(usd(number("dph_total")), grouped(number("dlperf"), 0), percent(number("reliability"))),
        store.columns.get("geolocation")?.text(row) ?? "",
      ];
      tip.replaceChildren(...lines.filter(Boolean).map((text, i) => h(i ? "span" : "strong", text)));
      tipRow = row;
    }
    const { width, height } = size;
    const flip = px[row] > width - 250;
    const lower = py[row] < height / 2;
    Object.assign(tip.style, {
      left: flip ? "" : `${px[row] + 14}px`,
      right: flip ? `${width - px[row] + 14}px` : "",
      top: lower ? `${Math.max(2, py[row] - 8)}px` : "",
      bottom: lower ? "" : `${Math.max(2, height - py[row] - 8)}px`,
    });
  }

  function nearest(event) {
    let best = null;
    let least = NEAR * NEAR;
    for (const row of px ? store.view : []) {
      const far = (px[row] - event.offsetX) ** 2 + (py[row] - event.offsetY) ** 2;
      if (far < least) {
        least = far;
        best = row;
      }
    }
    return best;
  }

  function onDown(event) {
    if (event.button !== 0) return;
    marks.setPointerCapture(event.pointerId);
    const { offsetX: x, offsetY: y } = event;
    brush = { x0: x, y0: y, x1: x, y1: y, moved: false };
  }

  function onMove(event) {
    if (!brush) {
      const row = nearest(event);
      marks.style.cursor = row === null ? "crosshair" : "pointer";
      store.hover(row);
      return;
    }
    brush.x1 = event.offsetX;
    brush.y1 = event.offsetY;
    brush.moved ||= Math.hypot(brush.x1 - brush.x0, brush.y1 - brush.y0) > 5;
    drawMarks();
  }

  function onUp(event) {
    if (!brush) return;
    const { x0, y0, x1, y1, moved } = brush;
    brush = null;
    const more = event.shiftKey || event.ctrlKey || event.metaKey;
    const next = new Set(more ? store.selected : []);
    if (moved) {
      const inside = (value, a, b) => value >= Math.min(a, b) && value <= Math.max(a, b);
      for (const row of store.view) {
        if (inside(px[row], x0, x1) && inside(py[row], y0, y1)) next.add(store.ids[row]);
      }
    } else {
      const row = nearest(event);
      if (row !== null) {
        const id = store.ids[row];
        if (!next.delete(id)) next.add(id);
        onReveal(row);
      }
    }
    store.select(next);
    drawMarks();
  }

  const drawDots = perFrame(signal, paintDots);
  const drawMarks = perFrame(signal, paintMarks);
  onResize(signal, area, resize);
  store.on("load", load, signal);
  store.on("view", drawDots, signal);
  store.on("select", drawMarks, signal);
  store.on("hover", drawMarks, signal);
  showMode();
  if (store.loaded) load();
  return { theme };
}
