// Prices: four linked charts, drawn from scenes that the kernel makes for the width at hand.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { Chart } from "./scene.js";
import { statusBars } from "../kit/status.js";
import { grouped } from "../kit/words.js";
import { noteAnswer, rendered, rootIn } from "../kit/page.js";
import { clickable, h } from "../kit/dom.js";
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

class PricesView {
  /**
   * @param {Model<ToKernel>} model
   * @param {HTMLElement} el
   * @param {AbortSignal} signal
   */
  constructor(model, el, signal) {
    this.model = model;
    this.signal = signal;
    this.chips = [];
    this.ahead = 0;
    this.root = rootIn(el, signal);
    this.bars = statusBars({
      signal,
      title: W.gpuPrices,
      figures: FIGURES,
      onRefresh: () => model.send({ type: "refresh" }),
      onBell: (what) => model.send({ type: "bell", ...what }),
    });
    this.chipRow = h("div", { class: "vnb-gpuchips", role: "group", "aria-label": W.gpuModels });
    const controls = h(
      "div",
      { class: "vnb-pricebar" },
      this.chipRow,
      h(
        "div",
        { class: "vnb-pricesets" },
        this.choice("type", RENTALS, W.rental),
        this.choice("per", UNITS, W.count),
        this.daysHost = h("div", {}),
      ),
    );
    const pick = (name, add) => this.toggle(name, add);
    this.charts = Object.fromEntries(CHARTS.map((name) => [name, new Chart({ signal, onPick: pick })]));
    this.grid = h("div", { class: "vnb-charts" }, ...CHARTS.map((name) => this.charts[name].node));
    this.shell = h(
      "div",
      { class: "vnb-prices" },
      this.bars.top,
      this.bars.bellBox,
      this.bars.bells,
      controls,
      this.grid,
      this.bars.notice,
      this.bars.foot,
    );
    this.root.append(this.shell);
    this.alive = watchKernel(model, this.root, this.shell, {
      signal,
      name: W.thePriceCharts,
      code: () => model.get("status")?.code ?? "",
    });
    this.follow();
    this.watchWidth();
  }

  choice(name, options, label) {
    const buttons = options.map(([value, text]) =>
      clickable(text, () => this.set({ [name]: value }), {
        class: null,
        "data-setting": name,
        "data-value": value,
      })
    );
    return h("div", { class: "vnb-segments vnb-small", role: "group", "aria-label": label }, ...buttons);
  }

  follow() {
    const { model, signal } = this;
    /** @type {(message: FromKernel) => void} */
    const onMessage = (message) => {
      noteAnswer(model, message);
      if (message.type !== "scenes") return;
      this.ahead = Date.now() / 1000 - message.now;
      for (const [name, scene] of Object.entries(message.scenes)) this.charts[name].draw(scene);
      this.showChips(message.chips);
    };
    const onStatus = () => {
      const status = model.get("status");
      this.offerDays(status.days ?? []);
      this.bars.show(status, this.ahead);
      this.shell.classList.toggle("vnb-searching", Boolean(status.busy));
      this.showSettings();
    };
    const heard = {
      "msg:custom": onMessage,
      "change:status": onStatus,
      "change:settings": () => this.showSettings(),
    };
    for (const [type, work] of Object.entries(heard)) {
      model.on(type, work);
      signal.addEventListener("abort", () => model.off(type, work));
    }
    onStatus();
  }

  offerDays(days) {
    if (!days.length || !this.daysHost.parentNode) return;
    this.daysHost.replaceWith(this.choice("days", days.map((n) => [n, `${n} d`]), W.daysOfTheTrend));
  }

  set(changes) {
    this.model.set("settings", { ...this.model.get("settings"), ...changes });
    this.model.save_changes();
    this.showSettings();
  }

  // A click in a chart chooses a model alone, again it lets go; with Ctrl, Cmd or Shift the model
  // joins the others, as it does by its chip.
  toggle(name, add) {
    const chosen = this.model.get("settings").gpu ?? [];
    const has = chosen.includes(name);
    if (add) this.set({ gpu: has ? chosen.filter((one) => one !== name) : [...chosen, name] });
    else this.set({ gpu: has && chosen.length === 1 ? [] : [name] });
  }

  showSettings() {
    const settings = this.model.get("settings") ?? {};
    const press = (node, on) => node.setAttribute("aria-pressed", String(on));
    for (const button of this.shell.querySelectorAll("[data-setting]")) {
      press(button, String(settings[button.dataset.setting]) === button.dataset.value);
    }
    const chosen = settings.gpu ?? [];
    for (const chip of this.chipRow.querySelectorAll(".vnb-gpuchip")) {
      const all = chip.matches(".vnb-all");
      press(chip, all ? chosen.length === 0 : chosen.includes(chip.dataset.name));
    }
  }

  showChips(chips) {
    this.chips = chips;
    const focused = this.chipRow.querySelector(":focus")?.dataset.name;
    const shown = chips.filter((chip, i) => this.wide || i < FIRST_CHIPS || chip.on);
    const hidden = chips.length - shown.length;
    const chipOf = ({ name, machines, colour }) => {
      const dot = h("i", { class: "vnb-dot" });
      if (colour) dot.style.background = colour;
      const chip = clickable("", () => this.toggle(name, true), {
        class: "vnb-gpuchip",
        "data-name": name,
        title: W.machinesClickToShow(name, grouped(machines, 0)),
      });
      chip.append(dot, h("span", { text: name }));
      return chip;
    };
    const all = clickable(W.allGpus, () => this.set({ gpu: [] }), { class: "vnb-gpuchip vnb-all" });
    const more = clickable(this.wide ? "fewer" : W.more(hidden), () => {
      this.wide = !this.wide;
      this.showChips(this.chips);
    }, { class: "vnb-link", hidden: !this.wide && hidden === 0 });
    this.chipRow.replaceChildren(all, ...shown.map(chipOf), more);
    if (focused) [...this.chipRow.children].find((chip) => chip.dataset.name === focused)?.focus();
    this.showSettings();
  }

  // The kernel draws for the width of one chart; until it has, the picture at hand is stretched.
  watchWidth() {
    let told = 0;
    let timer = 0;
    const tell = () => {
      const width = Math.floor(this.charts.distribution.node.clientWidth);
      if (width < 40 || Math.abs(width - told) < 4) return;
      const type = told ? "width" : "ready";
      told = width;
      try {
        this.model.send({ type, width });
      } catch {
        // The note of `alive` says so.
      }
    };
    const sizes = new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => !this.signal.aborted && tell(), told ? RESIZE_PAUSE_MS : 0);
    });
    sizes.observe(this.grid);
    this.signal.addEventListener("abort", () => {
      clearTimeout(timer);
      sizes.disconnect();
    });
  }
}

export default { render: rendered((model, el, signal) => new PricesView(model, el, signal)) };
