// The offer table by itself.
import { W } from "./words.js";
import { Alive } from "../kit/alive.js";
import { Grid } from "./grid.js";
import { OfferStore } from "./store.js";
import { connect } from "./link.js";
import { rendered, rootIn } from "../kit/page.js";

function offerTable() {
  const store = new OfferStore();
  return {
    initialize({ model }) {
      return connect(model, store);
    },
    render: rendered((model, el, signal) => {
      const root = rootIn(el, signal, { extra: "vnb-tableonly" });
      root.style.height = `${model.get("height")}px`;
      const grid = new Grid(root, store, { signal, label: W.gpuOffers });
      const alive = new Alive(model, root, grid.frame, { signal, name: W.theTable });
      if (store.loaded) alive.heard();
      grid.forget();
      return { root };
    }),
  };
}

export default offerTable;
