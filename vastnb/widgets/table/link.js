// Ties a store to its widget model: rows come as custom messages (never as synced traits, which a
// notebook would save), small state as traits. `connect` runs once per model, not per view.
import { listen, noteAnswer, sent, share } from "../kit/page.js";
/** @import { FromKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

/**
 * @param {Model<never>} model
 * @param {import("./store.js").OfferStore} store
 * @param {AbortSignal} signal
 */
export function connect(model, store, signal) {
  /** @type {(message: FromKernel, buffers: DataView[]) => void} */
  const onMessage = (message, buffers) => {
    noteAnswer(model, message);
    if (message.type === "offers") store.load(message, buffers);
    else if (message.type === "rows") store.show(message, buffers[0]);
    else if (message.type === "columns") store.replace(message, buffers);
  };
  const pull = () => {
    store.setOrder(orderOf(model.get("order")));
    const ids = model.get("selected_ids") ?? [];
    if (!sameIds(ids, store.selected)) store.select(ids);
  };
  listen(model, signal, { "msg:custom": onMessage, "change:order": pull, "change:selected_ids": pull });
  store.on("select", () => {
    if (!sameIds(model.get("selected_ids") ?? [], store.selected)) {
      share(model, "selected_ids", [...store.selected]);
    }
  }, signal);
  store.on("order", () => {
    share(model, "order", store.order ? [store.order.column, store.order.ascending] : []);
  }, signal);
  pull();
  sent(model, { type: "ready" }); // answered with the offers
}

function orderOf(pair) {
  return pair && pair.length === 2 ? { column: pair[0], ascending: pair[1] } : null;
}

function sameIds(ids, set) {
  return ids.length === set.size && ids.every((id) => set.has(id));
}
