// Prices: four linked charts, drawn from scenes that the kernel makes for the width at hand.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { chart } from "./scene.js";
import { statusBars } from "../kit/status.js";
import { grouped } from "../kit/words.js";
import { listen, noteAnswer, rendered, rootIn, sent, share } from "../kit/page.js";
import { clickable, h, onResize } from "../kit/dom.js";
/** @import { FromKernel, ToKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

const CHARTS = ["distribution", "performance", "trend", "countries"];
const FIGURES = [
  ["machines", "machines", "more"],
  ["cheapest", W.cheapestGpu, "usd"],
  ["median", W.medianPerGPU, "usd"],
  ["models", W.gpuModels, "count"],
];
const RENTALS = [["on-demand", W.onDemand], ["bid", W.bid], ["reserved", W.reserved]];
const UNITS = [["gpu", W.perGPU], ["offer", W.perOffer]];
const FIRST_CHIPS = 9;
const RESIZE_PAUSE_MS = 120;

/**
 * @param {Model<ToKernel>} model
 * @param {HTMLElement} el
 * @param {AbortSignal} signal
 */
function pricesView(model, el, signal) {
  const root = rootIn(el, signal);
  const bars = statusBars({
    signal,
    title: W.gpuPrices,
    figures: FIGURES,
    onRefresh: () => model.send({ type: "refresh" }),
    onBell: (what) => model.send({ type: "bell", ...what }),
  });
  const chipRow = h(".vnb-gpuchips", { role: "group", "aria-label": W.gpuModels });
  const days = h("div");
  const sets = h(".vnb-pricesets", choice("type", RENTALS, W.rental), choice("per", UNITS, W.count), days);
  const charts = Object.fromEntries(CHARTS.map((name) => [name, chart({ onPick: toggle })]));
  const grid = h(".vnb-charts", ...Object.values(charts).map(({ node }) => node));
  const controls = h(".vnb-pricebar", chipRow, sets);
  const shell = h(".vnb-prices", bars.top, bars.bellBox, bars.bells, controls, grid, bars.notice, bars.foot);
  let chips = [];
  let wide = false;
  let ahead = 0;

  function choice(name, options, label) {
    const buttons = options.map(([value, text]) =>
      clickable(text, () => set({ [name]: value }), {
        class: null,
        "data-setting": name,
        "data-value": value,
      })
    );
    return h(".vnb-segments.vnb-small", { role: "group", "aria-label": label }, ...buttons);
  }

  function offerDays(offered) {
    if (!offered.length || !days.parentNode) return;
    days.replaceWith(choice("days", offered.map((n) => [n, `${n} d`]), W.daysOfTheTrend));
  }

  function set(changes) {
    share(model, "settings", { ...model.get("settings"), ...changes });
    showSettings();
  }

  // A click in a chart chooses a model alone, again it lets go; with Ctrl, Cmd or Shift the model
  // joins the others, as it does by its chip.
  function toggle(name, add) {
    const chosen = model.get("settings").gpu ?? [];
    const has = chosen.includes(name);
    if (add) set({ gpu: has ? chosen.filter((one) => one !== name) : [...chosen, name] });
    else set({ gpu: has && chosen.length === 1 ? [] : [name] });
  }

  function showSettings() {
    const settings = model.get("settings") ?? {};
    for (const button of shell.querySelectorAll("[data-setting]")) {
      button.ariaPressed = String(String(settings[button.dataset.setting]) === button.dataset.value);
    }
    const chosen = settings.gpu ?? [];
    for (const chip of chipRow.querySelectorAll(".vnb-gpuchip")) {
      const on = chip.matches(".vnb-all") ? chosen.length === 0 : chosen.includes(chip.dataset.name);
      chip.ariaPressed = String(on);
    }
  }

  function showChips() {
    const focused = chipRow.querySelector(":focus")?.dataset.name;
    const shown = chips.filter((chip, i) => wide || i < FIRST_CHIPS || chip.on);
    const hidden = chips.length - shown.length;
    const chipOf = ({ name, machines, colour }) => {
      const dot = h("i.vnb-dot");
      if (colour) dot.style.background = colour;
      const chip = clickable("", () => toggle(name, true), {
        class: "vnb-gpuchip",
        "data-name": name,
        title: W.machinesClickToShow(name, grouped(machines)),
      });
      chip.append(dot, h("span", name));
      return chip;
    };
    const all = clickable(W.allGpus, () => set({ gpu: [] }), { class: "vnb-gpuchip vnb-all" });
    const more = clickable(wide ? W.fewer : W.more(hidden), () => {
      wide = !wide;
      showChips();
    }, { class: "vnb-link", hidden: !wide && hidden === 0 });
    chipRow.replaceChildren(all, ...shown.map(chipOf), more);
    if (focused) [...chipRow.children].find((chip) => chip.dataset.name === focused)?.focus();
    showSettings();
  }

  /** @type {(message: FromKernel) => void} */
  function onMessage(message) {
    noteAnswer(model, message);
    if (message.type !== "scenes") return;
    ahead = Date.now() / 1000 - message.now;
    for (const [name, scene] of Object.entries(message.scenes)) charts[name].draw(scene);
    chips = message.chips;
    showChips();
  }

  function showStatus() {
    const status = model.get("status");
    offerDays(status.days ?? []);
    bars.show(status, ahead);
    shell.classList.toggle("vnb-searching", Boolean(status.busy));
    showSettings();
  }

  root.append(shell);
  const code = () => model.get("status")?.code ?? "";
  watchKernel(model, root, shell, { signal, name: W.thePriceCharts, code });
  listen(model, signal, {
    "msg:custom": onMessage,
    "change:status": showStatus,
    "change:settings": showSettings,
  });
  showStatus();

  // The kernel draws for the width of one chart; until it has, the picture at hand is stretched.
  let told = 0;
  let timer = 0;
  const tell = () => {
    const width = Math.floor(charts.distribution.node.clientWidth);
    if (width < 40 || Math.abs(width - told) < 4) return;
    const type = told ? "width" : "ready";
    told = width;
    sent(model, { type, width });
  };
  onResize(signal, grid, () => {
    clearTimeout(timer);
    timer = setTimeout(tell, told ? RESIZE_PAUSE_MS : 0);
  });
  signal.addEventListener("abort", () => clearTimeout(timer));
  return { root };
}

export default { render: rendered(pricesView) };
