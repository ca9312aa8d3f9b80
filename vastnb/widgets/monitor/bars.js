// Around the machines: what they cost above, what should be read, what has happened below.
import { W } from "./words.js";
import { clockTime, DASH, dollars, hourly, span } from "../kit/words.js";
import { clickable, h, setText } from "../kit/dom.js";

const MARKS = { bad: "!", warn: "!", good: "✓", info: "·" };

const mark = (level) => h("i.vnb-mark", { text: MARKS[level] ?? MARKS.info, "aria-hidden": "true" });

const time = (at) => h("time", at === null ? "" : clockTime(at));

// The machine that something is about, and a click on it; nothing where it is about none.
function whom({ id, label }, onShow, more) {
  if (id === null) return null;
  return clickable(label ? `${label} #${id}` : `#${id}`, () => onShow(id), more);
}

export class MoneyBar {
  constructor({ onPause, onNow }) {
    const figure = (label, title) => {
      const value = h("b", DASH);
      const note = h("span", label);
      return { node: h(".vnb-figure", { title }, value, note), value, note };
    };
    this.burn = figure(W.spendingNow, W.whatAllMachinesCost);
    this.idle = figure("", W.stoppedMachinesAreBilled);
    this.idle.node.classList.add("vnb-idle");
    this.today = figure(W.todayEstimated, W.sinceMidnightUTCEstimated);
    this.credit = figure(W.credit, W.whatIsLeftOn);
    this.simulated = h("span.vnb-badge", {
      text: W.simulated,
      hidden: true,
      title: W.simulatedMarketNoMachine,
    });
    this.dot = h("i.vnb-live", { "aria-hidden": "true" });
    this.fresh = h("span.vnb-age");
    this.pause = clickable(W.pause, onPause);
    this.now = clickable(W.refresh, onNow);
    this.node = h(
      "header.vnb-top",
      h("strong.vnb-title", W.machines),
      ...[this.burn, this.idle, this.today, this.credit].map(({ node }) => node),
      h(".vnb-fresh", this.simulated, h("span.vnb-freshtext", this.dot, this.fresh), this.pause, this.now),
    );
  }

  show({ figures, simulated, asked_at: askedAt }) {
    const known = askedAt !== null;
    setText(this.burn.value, known ? hourly(figures.per_hour) : DASH);
    const more = figures.full_per_hour > figures.per_hour * 1.005;
    setText(this.burn.note, more ? W.nowOnceAllAre(hourly(figures.full_per_hour)) : W.spendingNow);
    this.idle.node.hidden = figures.idle === 0;
    setText(this.idle.value, hourly(figures.idle_per_hour));
    setText(this.idle.note, W.forNotRunning(figures.idle));
    setText(this.today.value, known ? dollars(figures.today) : DASH);
    this.credit.node.hidden = figures.credit === null;
    setText(this.credit.value, dollars(figures.credit));
    const hours = figures.runway_hours ?? Infinity;
    setText(this.credit.note, hours === Infinity ? W.credit : W.creditFor(span(hours * 3600)));
    this.credit.node.dataset.level = hours < 1 ? "bad" : hours < 6 ? "warn" : "";
    this.simulated.hidden = !simulated;
  }
}

// What costs money that it should not: there until somebody puts it away.
export class Notices {
  constructor({ onDismiss, onShow }) {
    this.hooks = { onDismiss, onShow };
    this.list = h(".vnb-noticelist");
    this.all = clickable(W.dismissAll, () => onDismiss({ key: null }), { class: "vnb-link", hidden: true });
    this.node = h(".vnb-notices", { role: "alert", hidden: true }, this.list, this.all);
    this.shown = "";
  }

  show(notices, trouble, alive) {
    const key = JSON.stringify([notices.map((one) => [one.key, one.text]), trouble]);
    if (key === this.shown) return;
    this.shown = key;
    const own = { key: "callback", level: "bad", text: trouble, at: null, id: null };
    const lines = trouble ? [own, ...notices] : notices;
    this.list.replaceChildren(...lines.map((one) => this.line(one, alive)));
    this.node.hidden = lines.length === 0;
    this.all.hidden = notices.length < 3;
  }

  line(notice, alive) {
    const { onDismiss, onShow } = this.hooks;
    const { id, key, level, text, at } = notice;
    const machine = whom(notice, onShow, { class: "vnb-link vnb-whom", disabled: !alive.has(id) });
    return h(
      ".vnb-note",
      { "data-level": level },
      mark(level),
      h("span.vnb-notetext", { title: text }, machine, h("span", { text })),
      time(at),
      clickable("×", () => onDismiss({ key }), { class: "vnb-button vnb-shut", "aria-label": W.dismiss }),
    );
  }
}

export class EventLog {
  constructor({ onShow }) {
    this.onShow = onShow;
    this.list = h("ol.vnb-events", { tabindex: 0, "aria-label": W.eventsNewestFirst });
    this.node = h("section.vnb-eventbox", { hidden: true }, this.list);
    this.shown = null;
  }

  show(news) {
    const key = JSON.stringify(news);
    if (this.node.hidden || key === this.shown) return;
    this.shown = key;
    const none = { at: null, id: null, level: "info", text: W.noEventsYet };
    this.list.replaceChildren(
      ...(news.length ? news : [none]).map((one) =>
        h(
          "li",
          { "data-level": one.level },
          time(one.at),
          mark(one.level),
          whom(one, this.onShow, { class: "vnb-link" }),
          h("span", one.text),
        )
      ),
    );
  }

  toggle(news) {
    this.node.hidden = !this.node.hidden;
    this.show(news);
    return !this.node.hidden;
  }
}
