// A widget inside another: the one whose model id stands in a trait of the outer one. Its view is
// made here when there is an id, and stays while the trait is emptied and gets the same id again.
import { W } from "./words.js";
import { h } from "./dom.js";
import { listen, share } from "./page.js";

// `host` is what anywidget gives a view; where there is none, the widget manager makes the view.
// `onChange(id)` is told when another is to be shown, or none. Returns what looks at the trait again.
export function child(model, host, trait, node, { signal, onChange = (_id) => {} }) {
  let shown = "";
  let held = "";
  let stop = () => {};

  const open = async (id) => {
    if (host?.getWidget) {
      const ends = new AbortController();
      const widget = await host.getWidget(`anywidget:${id}`);
      node.replaceChildren();
      await widget.render({ el: node, signal: ends.signal });
      return () => ends.abort();
    }
    const manager = model.widget_manager;
    const view = await manager.create_view(await manager.get_model(id));
    node.replaceChildren(view.el);
    return () => view.remove();
  };

  const follow = async () => {
    const id = model.get(trait) ?? "";
    if (id === shown) return;
    shown = id;
    onChange(id);
    if (!id || held === id) return;
    stop();
    held = "";
    try {
      const close = await open(id);
      if (shown !== id) return close();
      held = id;
      stop = close;
    } catch {
      // Without its kernel (a saved notebook) there is no such widget.
      shown = "";
      onChange("");
    }
  };

  listen(model, signal, { [`change:${trait}`]: follow });
  signal.addEventListener("abort", () => stop());
  follow();
  return follow;
}

// The same over the outer widget: what lies below cannot be reached meanwhile.
export function drawer(model, host, shell, { signal, onClose }) {
  const node = h(".vnb-rentdrawer", { role: "region", "aria-label": W.rent, hidden: true, tabindex: -1 });
  let top = 0;
  const cover = (open) => {
    const grid = shell.querySelector(".vnb-grid");
    if (open && node.hidden) top = grid.scrollTop;
    node.hidden = !open;
    for (const part of shell.children) if (part !== node) part.inert = open;
    if (open) node.focus({ preventScroll: true });
    else if (top) grid.scrollTop = top;
  };
  const leave = () => {
    share(model, "renting", "");
    follow();
    onClose();
  };
  shell.append(node);
  node.addEventListener("vnb-leave", leave, { signal });
  node.addEventListener("keydown", ({ key, target }) => {
    if (key === "Escape" && target === node) leave();
  }, { signal });
  const follow = child(model, host, "renting", node, { signal, onChange: (id) => cover(Boolean(id)) });
}
