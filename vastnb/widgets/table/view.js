// The offer table by itself.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { offerGrid } from "./grid.js";
import { OfferStore } from "./store.js";
import { connect } from "./link.js";
import { rendered, rootIn } from "../kit/page.js";

function offerTable() {
  const store = new OfferStore();
  return {
    initialize({ model }) {
      const stop = new AbortController();
      connect(model, store, stop.signal);
      return () => stop.abort();
    },
    render: rendered((model, el, signal) => {
      const root = rootIn(el, signal, { extra: "vnb-tableonly" });
      root.style.height = `${model.get("height")}px`;
      const grid = offerGrid(root, store, { signal, label: W.gpuOffers });
      const kernel = watchKernel(model, root, grid.frame, { signal, name: W.theTable });
      if (store.loaded) kernel.heard();
      grid.forget();
      return { root };
    }),
  };
}

export default offerTable;
