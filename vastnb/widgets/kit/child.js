// A widget inside another: the one whose model id stands in a trait of the outer one. Its view is
// made here when there is an id, and stays while the trait is emptied and gets the same id again.
import { W } from "./words.js";
import { h } from "./dom.js";

export class Child {
  // `host` is what anywidget gives a view; where there is none, the widget manager makes the view.
  // `onChange(id)` is told when another is to be shown, or none.
  constructor(model, host, trait, node, { signal, onChange = (_id) => {} }) {
    this.model = model;
    this.host = host;
    this.trait = trait;
    this.node = node;
    this.onChange = onChange;
    this.shown = "";
    this.held = "";
    this.stop = () => {};
    const follow = () => this.follow();
    model.on(`change:${trait}`, follow);
    signal.addEventListener("abort", () => {
      model.off(`change:${trait}`, follow);
      this.stop();
    });
    follow();
  }

  async follow() {
    const id = this.model.get(this.trait) ?? "";
    if (id === this.shown) return;
    this.shown = id;
    this.onChange(id);
    if (!id || this.held === id) return;
    this.stop();
    this.held = "";
    try {
      const stop = await this.open(id);
      if (this.shown !== id) return stop();
      this.held = id;
      this.stop = stop;
    } catch {
      // Without its kernel (a saved notebook) there is no such widget.
      this.shown = "";
      this.onChange("");
    }
  }

  async open(id) {
    if (this.host?.getWidget) {
      const ends = new AbortController();
      const widget = await this.host.getWidget(`anywidget:${id}`);
      this.node.replaceChildren();
      await widget.render({ el: this.node, signal: ends.signal });
      return () => ends.abort();
    }
    const manager = this.model.widget_manager;
    const view = await manager.create_view(await manager.get_model(id));
    this.node.replaceChildren(view.el);
    return () => view.remove();
  }
}

// The same over the outer widget: what lies below cannot be reached meanwhile.
export class Drawer {
  constructor(model, host, shell, { signal, onClose }) {
    this.shell = shell;
    this.node = h("div", { class: "vnb-rentdrawer", role: "region", "aria-label": W.rent, hidden: true });
    shell.append(this.node);
    const leave = () => {
      model.set("renting", "");
      model.save_changes();
      this.child.follow();
      onClose();
    };
    this.node.addEventListener("vnb-leave", leave, { signal });
    this.node.addEventListener(
      "keydown",
      (event) => event.key === "Escape" && event.target === this.node && leave(),
      { signal },
    );
    this.child = new Child(model, host, "renting", this.node, {
      signal,
      onChange: (id) => this.cover(Boolean(id)),
    });
  }

  cover(open) {
    const grid = this.shell.querySelector(".vnb-grid");
    if (open && this.node.hidden) this.top = grid?.scrollTop ?? 0;
    this.node.hidden = !open;
    for (const part of this.shell.children) if (part !== this.node) part.inert = open;
    if (!open && grid && this.top) grid.scrollTop = this.top;
    if (open) {
      this.node.tabIndex = -1;
      this.node.focus({ preventScroll: true });
    }
  }
}
