// The rent form over the explorer: a widget of its own, whose view is made here when the kernel
// says that it is open. What lies below cannot be reached meanwhile.
import { h } from "./dom.js";

export class Drawer {
  constructor(model, shell, { signal, onClose }) {
    this.model = model;
    this.shell = shell;
    this.onClose = onClose;
    this.view = null;
    this.shown = "";
    this.node = h("div", { class: "vnb-rentdrawer", role: "region", "aria-label": "Rent", hidden: true });
    shell.append(this.node);
    this.node.addEventListener("vnb-leave", () => this.leave(), { signal });
    this.node.addEventListener(
      "keydown",
      (event) => event.key === "Escape" && event.target === this.node && this.leave(),
      { signal },
    );
    const follow = () => this.follow(model.get("renting") ?? "");
    model.on("change:renting", follow);
    signal.addEventListener("abort", () => {
      model.off("change:renting", follow);
      this.view?.remove();
    });
    follow();
  }

  leave() {
    this.model.set("renting", "");
    this.model.save_changes();
    this.follow("");
    this.onClose();
  }

  async follow(id) {
    if (id === this.shown) return;
    this.shown = id;
    this.cover(Boolean(id));
    if (!id) return;
    if (this.view && this.viewOf === id) return;
    this.view?.remove();
    this.view = null;
    try {
      const manager = this.model.widget_manager;
      const form = await manager.get_model(id);
      const view = await manager.create_view(form);
      if (this.shown !== id) return view.remove();
      this.view = view;
      this.viewOf = id;
      this.node.replaceChildren(view.el);
    } catch {
      // Without its kernel (a saved notebook) there is no form.
      this.shown = "";
      this.cover(false);
    }
    return undefined;
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
