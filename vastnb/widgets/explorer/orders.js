// What the table is sorted by, in words, and the orders that most people want: one click each.
import { W } from "./words.js";
import { clickable, h, setText } from "../kit/dom.js";

const ORDERS = [
  [W.cheapest, "dph_total", true, W.cheapestOfferThatFits],
  [W.mostReliable, "reliability", false, W.mostReliableHostFirst],
  [W.bestValue, "dlperf_per_dphtotal", false, W.mostDLPerfPerDollar],
];

export class OrderBar {
  constructor(host, store, signal) {
    this.store = store;
    this.says = h("span", { class: "vnb-orderword", role: "status" });
    this.buttons = ORDERS.map(([text, column, ascending, title]) =>
      clickable(text, () => this.pick(column, ascending), { class: null, title })
    );
    this.node = h(
      "div",
      { class: "vnb-orderbar" },
      h("div", { class: "vnb-segments vnb-small", role: "group", "aria-label": W.order }, ...this.buttons),
      this.says,
    );
    host.append(this.node);
    for (const event of ["load", "view", "order"]) store.on(event, () => this.show(), signal);
    this.show();
  }

  pick(column, ascending) {
    const { store } = this;
    const same = store.order?.column === column && store.order.ascending === ascending;
    store.order = same ? null : { column, ascending };
    store.arrange();
    store.tell("order");
  }

  show() {
    const { order, looks } = this.store;
    ORDERS.forEach(([, column, ascending], i) => {
      this.buttons[i].setAttribute(
        "aria-pressed",
        String(order?.column === column && order.ascending === ascending),
      );
    });
    const label = order && (looks.find((look) => look.name === order.column)?.label ?? order.column);
    setText(
      this.says,
      order ? `${label} ${order.ascending ? "↑ lowest first" : "↓ highest first"}` : W.vastAisOwnOrder,
    );
  }
}
