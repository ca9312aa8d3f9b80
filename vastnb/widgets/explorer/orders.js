// What the table is sorted by, in words, and the orders that most people want: one click each.
import { W } from "./words.js";
import { clickable, h, setText } from "../kit/dom.js";

const ORDERS = [
  [W.cheapest, "dph_total", true, W.cheapestOfferThatFits],
  [W.mostReliable, "reliability", false, W.mostReliableHostFirst],
  [W.bestValue, "dlperf_per_dphtotal", false, W.mostDLPerfPerDollar],
];

export function orderBar(store, signal) {
  const is = (column, ascending) => store.order?.column === column && store.order.ascending === ascending;
  const pick = (column, ascending) => {
    store.setOrder(is(column, ascending) ? null : { column, ascending });
    store.tell("order");
  };
  const buttons = ORDERS.map(([text, column, ascending, title]) =>
    clickable(text, () => pick(column, ascending), { class: null, title })
  );
  const says = h("span.vnb-orderword", { role: "status" });
  const show = () => {
    const { order, looks } = store;
    ORDERS.forEach(([, column, ascending], i) => buttons[i].ariaPressed = String(is(column, ascending)));
    const label = order && (looks.find((look) => look.name === order.column)?.label ?? order.column);
    setText(says, order ? W.orderedBy(label, order.ascending) : W.vastAisOwnOrder);
  };
  for (const event of ["load", "view", "order"]) store.on(event, show, signal);
  show();
  const group = h(".vnb-segments.vnb-small", { role: "group", "aria-label": W.order }, ...buttons);
  return h(".vnb-orderbar", group, says);
}
