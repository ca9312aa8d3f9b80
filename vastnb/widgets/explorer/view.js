// The explorer: filters, table and chart around one store, and the lines that say where it is from.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { drawer } from "../kit/child.js";
import { filterPanel } from "./filters.js";
import { offerGrid } from "../table/grid.js";
import { OfferStore } from "../table/store.js";
import { orderBar } from "./orders.js";
import { scatterPlot } from "./scatter.js";
import { statusBars } from "../kit/status.js";
import { connect } from "../table/link.js";
import { listen, rendered, rootIn, share } from "../kit/page.js";
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
      const stop = new AbortController();
      /** @type {(message: FromKernel) => void} */
      const onMessage = (message) => {
        if (message.now) store.ahead = Date.now() / 1000 - message.now;
        if (message.facets) {
          store.facets = message.facets;
          store.tell("facets");
        }
      };
      listen(model, stop.signal, { "msg:custom": onMessage });
      connect(model, store, stop.signal);
      return () => stop.abort();
    },
    render: rendered((model, el, signal, host) => explorerView(model, el, store, signal, host)),
  };
}

/**
 * @param {Model<ToKernel>} model
 * @param {HTMLElement} el
 * @param {OfferStore} store
 * @param {AbortSignal} signal
 * @param {any} host
 */
function explorerView(model, el, store, signal, host) {
  const root = rootIn(el, signal, { onTheme: () => scatter.theme() });
  const onReset = () => model.send({ type: "reset" });
  const onFilters = (filters) => share(model, "filters", filters);
  const bars = statusBars({
    signal,
    title: W.gpuOffers,
    figures: FIGURES,
    onRefresh: () => model.send({ type: "refresh" }),
    onClear: () => store.select([]),
    onRent: () => model.send({ type: "rent" }),
    onBell: (what) => model.send({ type: "bell", ...what }),
  });
  const panel = filterPanel({ signal, onChange: onFilters, onReset });
  const main = h(".vnb-main", orderBar(store, signal));
  const body = h(".vnb-body", panel.node, main);
  const shell = h(".vnb-explorer", bars.top, bars.bellBox, bars.bells, body, bars.notice, bars.foot);
  root.append(shell);
  const grid = offerGrid(main, store, { signal, label: W.gpuOffers, onReset });
  const scatter = scatterPlot(main, store, {
    signal,
    onPick: panel.toggleGpu,
    onReveal: grid.revealRow,
  });
  drawer(model, host, shell, { signal, onClose: () => bars.rent.focus() });

  const showFilters = () => panel.set(model.get("filters"));
  const showStatus = () => {
    const status = model.get("status");
    bars.show(status, store.ahead);
    panel.markQuery(status.problem?.kind === "QueryError");
    shell.classList.toggle("vnb-searching", Boolean(status.busy));
  };
  const showFacets = () => panel.offer(store.facets ?? {});
  const countSelection = () => {
    const { selected, view, ids } = store;
    const seen = view.reduce((sum, row) => sum + Number(selected.has(ids[row])), 0);
    bars.selection(selected.size, selected.size - seen);
  };
  listen(model, signal, { "change:filters": showFilters, "change:status": showStatus });
  store.on("facets", showFacets, signal);
  store.on("select", countSelection, signal);
  store.on("view", countSelection, signal);
  for (const show of [showFilters, showStatus, showFacets, countSelection]) show();
  const code = () => model.get("status")?.code ?? "";
  const kernel = watchKernel(model, root, shell, { signal, name: W.theExplorer, code });
  if (store.loaded) kernel.heard();
  return { root };
}

export default explorer;
