// The explorer: filters, table and chart around one store, and the lines that say where it is from.
import { W } from "./words.js";
import { Alive } from "../kit/alive.js";
import { Drawer } from "../kit/child.js";
import { FilterPanel } from "./filters.js";
import { Grid } from "../table/grid.js";
import { OfferStore } from "../table/store.js";
import { OrderBar } from "./orders.js";
import { Scatter } from "./scatter.js";
import { StatusBars } from "../kit/status.js";
import { connect } from "../table/link.js";
import { rendered, rootIn } from "../kit/page.js";
import { h } from "../kit/dom.js";
/** @import { FromKernel, ToKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

// Headline numbers: name in `status.figures`, label, form.
const FIGURES = [
  ["shown", W.offers, "more"],
  ["cheapest", W.cheapestOne, "usd"],
  ["median_gpu", W.medianPerGPU, "usd"],
  ["models", W.gpuModels, "count"],
];

function explorer() {
  const store = new OfferStore();
  return {
    initialize({ model }) {
      /** @type {(message: FromKernel) => void} */
      const watch = (message) => {
        if (message.now) store.offset = Date.now() / 1000 - message.now;
        if (message.facets) {
          store.facets = message.facets;
          store.tell("facets");
        }
      };
      model.on("msg:custom", watch);
      const disconnect = connect(model, store);
      return () => {
        model.off("msg:custom", watch);
        disconnect();
      };
    },
    render: rendered((model, el, signal, host) => new ExplorerView(model, el, store, signal, host)),
  };
}

class ExplorerView {
  /**
   * @param {Model<ToKernel>} model
   * @param {HTMLElement} el
   * @param {OfferStore} store
   * @param {AbortSignal} signal
   * @param {any} host
   */
  constructor(model, el, store, signal, host) {
    this.model = model;
    this.store = store;
    this.signal = signal;
    this.root = rootIn(el, signal, { onTheme: () => this.scatter?.theme() });
    const shell = h("div", { class: "vnb-explorer" });
    this.shell = shell;
    const main = h("div", { class: "vnb-main" });
    const body = h("div", { class: "vnb-body" });
    const reset = () => this.setFilters(null);
    this.bars = new StatusBars({
      signal,
      title: W.gpuOffers,
      figures: FIGURES,
      onRefresh: () => model.send({ type: "refresh" }),
      onClear: () => store.select([], this),
      onRent: () => model.send({ type: "rent" }),
      onBell: (what) => model.send({ type: "bell", ...what }),
    });
    this.panel = new FilterPanel(body, {
      signal,
      onChange: (state) => this.setFilters(state),
      onReset: reset,
    });
    body.append(main);
    this.orders = new OrderBar(main, store, signal);
    shell.append(this.bars.top, this.bars.bellBox, this.bars.bells, body, this.bars.notice, this.bars.foot);
    this.drawer = new Drawer(model, host, shell, { signal, onClose: () => this.bars.rent.focus() });
    this.root.append(shell);
    this.grid = new Grid(main, store, { signal, label: W.gpuOffers, onReset: reset });
    this.scatter = new Scatter(main, store, {
      signal,
      onPick: (name) => {
        const next = this.panel.toggleGpu(name);
        this.panel.set(next);
        this.setFilters(next);
      },
      onReveal: (row) => this.grid.revealRow(row),
    });
    this.follow();
    this.alive = new Alive(model, this.root, shell, {
      signal,
      name: W.theExplorer,
      code: () => model.get("status")?.code ?? "",
    });
    if (store.loaded) this.alive.heard();
  }

  follow() {
    const { model, store, signal } = this;
    const onFilters = () => {
      const state = model.get("filters");
      if (JSON.stringify(state) !== JSON.stringify(this.panel.state)) this.panel.set(state);
    };
    const onStatus = () => {
      this.bars.offset = store.offset;
      const status = model.get("status");
      this.bars.show(status);
      this.panel.markQuery(status.problem?.kind === "QueryError" && Boolean(this.panel.state.text));
      this.shell.classList.toggle("vnb-searching", Boolean(status.busy));
      this.countSelection();
    };
    model.on("change:filters", onFilters);
    model.on("change:status", onStatus);
    signal.addEventListener("abort", () => {
      model.off("change:filters", onFilters);
      model.off("change:status", onStatus);
    });
    store.on("facets", () => this.panel.offer(store.facets), signal);
    store.on("select", () => this.countSelection(), signal);
    store.on("view", () => this.countSelection(), signal);
    onFilters();
    onStatus();
    if (store.facets) this.panel.offer(store.facets);
  }

  setFilters(state) {
    if (state === null) {
      this.model.send({ type: "reset" });
      return;
    }
    this.model.set("filters", state);
    this.model.save_changes();
  }

  countSelection() {
    const { store } = this;
    let seen = 0;
    if (store.selected.size) {
      for (const row of store.view) if (store.selected.has(store.ids[row])) seen += 1;
    }
    this.bars.selection(store.selected.size, store.selected.size - seen);
  }
}

export default explorer;
