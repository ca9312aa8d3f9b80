// The offer table by itself.
import { Alive } from "../kit/alive.js";
import { guardKeys, h, watchTheme } from "../kit/dom.js";
import { Grid } from "./grid.js";
import { connect } from "./link.js";
import { OfferStore } from "./store.js";

function offerTable() {
  const store = new OfferStore();
  return {
    initialize({ model }) {
      return connect(model, store);
    },
    render({ model, el }) {
      const stop = new AbortController();
      const { signal } = stop;
      const root = h("div", { class: "vnb-root vnb-tableonly" });
      guardKeys(root, signal);
      watchTheme(root, () => {}, signal);
      root.style.height = `${model.get("height")}px`;
      el.append(root);
      const grid = new Grid(root, store, { signal, label: "GPU offers" });
      const alive = new Alive(model, root, grid.frame, { signal, name: "The table" });
      if (store.loaded) alive.heard();
      grid.forget();
      return () => {
        stop.abort();
        root.remove();
      };
    },
  };
}

export default offerTable;
