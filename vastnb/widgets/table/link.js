// Ties a store to its widget model: rows come as custom messages (never as synced traits, which a
// notebook would save), small state as traits. `connect` runs once per model, not per view.

export function connect(model, store) {
  const onMessage = (message, buffers) => {
    noteAnswer(model, message);
    if (message.type === "offers") store.load(message, buffers);
    else if (message.type === "rows") store.show(message, buffers[0]);
    else if (message.type === "columns") store.replace(message, buffers);
    else return;
    if (message.rev !== undefined) store.rev = message.rev;
  };
  const pull = () => {
    store.setOrder(orderOf(model.get("order")));
    const ids = model.get("selected_ids") ?? [];
    if (!sameIds(ids, store.selected)) store.select(ids, "kernel");
  };
  model.on("msg:custom", onMessage);
  model.on("change:order", pull);
  model.on("change:selected_ids", pull);
  store.on("select", (origin) => {
    if (origin === "kernel") return;
    model.set("selected_ids", [...store.selected]);
    model.save_changes();
  });
  store.on("order", () => {
    const { order } = store;
    model.set("order", order ? [order.column, order.ascending] : []);
    model.save_changes();
  });
  pull();
  // Answered by the kernel with the offers. Without one (a saved notebook) nothing comes back.
  try {
    model.send({ type: "ready" });
  } catch {
    store.offline = true;
  }
  return () => {
    model.off("msg:custom", onMessage);
    model.off("change:order", pull);
    model.off("change:selected_ids", pull);
  };
}

// Writes down that an answer to the page has come: marimo then runs the cells that use it.
export function noteAnswer(model, message) {
  if (message.type !== "answered") return;
  model.set("heard", (model.get("heard") ?? 0) + 1);
  model.save_changes();
}

function orderOf(pair) {
  return pair && pair.length === 2 ? { column: pair[0], ascending: pair[1] } : null;
}

function sameIds(ids, set) {
  return ids.length === set.size && ids.every((id) => set.has(id));
}

// The static copy of a saved notebook stands beside the live widget: hidden while it lives.
export function hideCopy(model, signal) {
  const name = model.get("copy_class");
  if (!name || !/^vnb-copy-[0-9a-f]+$/.test(name)) return;
  const style = document.createElement("style");
  style.textContent = `.${name}, .jp-OutputArea-child:has(.${name}) { display: none !important; }`;
  document.head.append(style);
  signal.addEventListener("abort", () => style.remove());
}
