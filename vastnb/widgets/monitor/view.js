// The monitor: machines, what they cost, and what can be done. The page sets the pace (kit/pace.js),
// the kernel decides; everything that is shown comes as one message, the picture.
import { W } from "./words.js";
import { Actions } from "./actions.js";
import { watchKernel } from "../kit/alive.js";
import { Dialog } from "../kit/dialog.js";
import { EventLog, MoneyBar, Notices } from "./bars.js";
import { MachineList } from "./machines.js";
import { Pace } from "../kit/pace.js";
import { clockTime, span } from "../kit/words.js";
import { rootIn } from "../kit/page.js";
import { clickable, h, setText } from "../kit/dom.js";
/** @import { FromKernel, ToKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

// Above so many machines they are shown as rows, unless somebody has chosen.
const FEW = 6;
const FILTERS = [
  ["all", W.everyState],
  ["trouble", W.trouble],
  ["starting", W.starting],
  ["running", W.running],
  ["stopped", W.stopped],
];

function monitorWidget() {
  const views = new Set();
  let last = null;
  return {
    initialize({ model }) {
      const onMessage = (message) => {
        if (message.type === "picture") last = message;
        for (const view of views) view.take(message);
      };
      model.on("msg:custom", onMessage);
      try {
        model.send({ type: "ready" });
      } catch {
        // Without a kernel nothing comes, and the view says so.
      }
      return () => {
        model.off("msg:custom", onMessage);
      };
    },
    render({ model, el }) {
      const stop = new AbortController();
      const view = new MonitorView(model, el, stop.signal);
      views.add(view);
      if (last) view.take(last);
      return () => {
        views.delete(view);
        stop.abort();
        view.root.remove();
      };
    },
  };
}

class MonitorView {
  /**
   * @param {Model<ToKernel>} model
   * @param {HTMLElement} el
   * @param {AbortSignal} signal
   */
  constructor(model, el, signal) {
    this.model = model;
    this.signal = signal;
    this.picture = null;
    this.offset = 0;
    this.layout = null;
    this.waited = 0;
    this.root = rootIn(el, signal);
    this.build();
    this.pace = new Pace(this.root, signal, {
      ask: (atOnce) => model.send({ type: "ask", at_once: atOnce }),
      onWaiting: (seconds) => {
        this.waited = seconds;
        this.tick();
      },
      onLost: () => this.alive?.lose(),
      onTick: () => this.tick(),
    });
    this.alive = watchKernel(model, this.root, this.shell, {
      signal,
      name: W.theMonitor,
      more: W.machinesKeepRunningAnd,
      onLost: () => this.lose(),
      onFound: () => this.find(),
    });
  }

  build() {
    const { signal } = this;
    this.bar = new MoneyBar({ onPause: () => this.pause(), onNow: () => this.pace.now() });
    const onShow = (id) => this.reveal(id);
    this.notices = new Notices({ onDismiss: (what) => this.send({ type: "dismiss", ...what }), onShow });
    this.events = new EventLog({ onShow });
    this.machines = new MachineList({
      act: (row, verb, button) => this.actions.act(row, verb, button),
      menu: (row, button) => this.actions.menu(row, button),
      hush: (row) => this.send({ type: "dismiss", id: row.id }),
    });
    this.filters = FILTERS.map(([name, text]) => {
      const count = h("span", { class: "vnb-count" });
      const button = h(
        "button",
        {
          type: "button",
          "aria-pressed": "false",
          "data-filter": name,
          onclick: () => this.setFilter(name),
        },
        h("span", { text }),
        count,
      );
      return { name, button, count };
    });
    this.looks = [
      ["cards", W.cards],
      ["rows", W.rows],
    ].map(([name, text]) => clickable(text, () => this.setLayout(name), { class: null, "data-look": name }));
    this.line = h("span", { class: "vnb-line" });
    this.warn = h("span", { class: "vnb-warn", role: "status" });
    this.toggle = clickable(W.events, () => this.showEvents(), {
      class: "vnb-link",
      "aria-expanded": "false",
    });
    const tools = h(
      "div",
      { class: "vnb-tools" },
      h("div", { class: "vnb-tabs" }, ...this.filters.map(({ button }) => button)),
      h("div", { class: "vnb-tabs vnb-look" }, ...this.looks),
    );
    this.shell = h(
      "div",
      { class: "vnb-monitor" },
      this.bar.node,
      this.notices.node,
      tools,
      this.machines.node,
      this.events.node,
      h(
        "footer",
        { class: "vnb-foot" },
        h(
          "div",
          { class: "vnb-footline" },
          this.warn,
          this.line,
          h("span", { class: "vnb-selection" }, this.toggle),
        ),
      ),
    );
    this.dialog = new Dialog(this.shell, signal);
    this.actions = new Actions(this.dialog, {
      send: (message) => this.send(message),
      now: () => this.now(),
      onClick: () => this.draw(),
    });
    this.root.append(this.shell);
    this.setFilter("all");
  }

  // -- from the kernel

  /** @param {FromKernel} message */
  take(message) {
    this.alive.heard();
    if (message.type === "picture") this.show(message);
    else if (message.type === "pace") {
      this.pace.answered(message);
      if (message.paused !== this.pace.paused) message.paused ? this.pace.pause() : this.pace.resume();
      if (!message.asking) this.troubled = message.error;
      this.tick();
    } else if (message.type === "answer") this.actions.answer?.(message);
  }

  /** @param {import("./messages.d.ts").Picture} picture */
  show(picture) {
    this.offset = Date.now() / 1000 - picture.now;
    this.picture = picture;
    this.troubled = picture.error;
    this.shell.classList.toggle("vnb-few", picture.few);
    this.actions.heard(picture.acks);
    this.bar.show(picture);
    const alive = new Set(picture.rows.map((row) => row.id));
    this.notices.show(picture.notices, picture.trouble, alive);
    this.events.show(picture.news);
    this.layout ??= picture.rows.length > FEW ? "rows" : null;
    this.draw();
    if (this.dialog.open?.id && !alive.has(this.dialog.open.id)) this.dialog.close();
  }

  draw() {
    const { picture } = this;
    if (!picture) return;
    const { rows } = picture;
    const layout = this.layout ?? "cards";
    this.shell.dataset.layout = layout;
    for (const look of this.looks) look.setAttribute("aria-pressed", String(look.dataset.look === layout));
    const counts = { all: rows.length, trouble: rows.filter((row) => row.rank === 0).length };
    for (const row of rows) counts[row.state] = (counts[row.state] ?? 0) + 1;
    for (const { name, button, count } of this.filters) {
      setText(count, String(counts[name] ?? 0));
      button.classList.toggle("vnb-alarm", name === "trouble" && counts.trouble > 0);
    }
    this.machines.show(rows, (row) => ({
      pending: this.actions.pending.get(row.id),
      disabled: this.lost,
      few: picture.few,
    }));
    this.sayEmpty();
    this.tick();
  }

  sayEmpty() {
    const { picture, machines } = this;
    const none = machines.rows.length === 0;
    if (!none) {
      machines.say(
        machines.rows.some((row) => machines.passes(row)) ? "" : W.noMachinesHere,
        W.allMachinesAreIn,
      );
    } else if (picture.asked_at === null) {
      machines.say(W.loadingMachines, picture.error || W.waitingForVastAi);
    } else machines.say(W.noMachines, W.nothingIsRentedSo);
  }

  // -- time

  now() {
    return Date.now() / 1000 - this.offset;
  }

  tick() {
    const { picture, pace, bar } = this;
    if (!picture || !pace) return;
    const now = this.now();
    if (!this.lost) this.machines.tick(now);
    const { asked_at: askedAt } = picture;
    const ago = askedAt === null
      ? W.noDataYet
      : now - askedAt < 2
      ? W.updatedJustNow
      : W.updatedAgo(span(now - askedAt));
    let text = ago;
    let mood = this.troubled || picture.doubted ? "bad" : "good";
    let line = "";
    if (this.lost) {
      text = askedAt === null ? W.noData : W.asOf(clockTime(askedAt));
      mood = "bad";
    } else if (this.waited > 0) {
      mood = "warn";
      line = W.theKernelIsBusy(span(this.waited));
    } else if (pace.asking) {
      mood = "busy";
      text = W.updating(ago);
    } else if (pace.paused) {
      mood = "warn";
      text = W.paused(ago);
    } else text = W.nextIn(ago, span(pace.left));
    setText(bar.fresh, text);
    bar.dot.dataset.mood = mood;
    setText(bar.pause, pace.paused ? W.resume : W.pause);
    bar.pause.disabled = this.lost;
    bar.now.disabled = this.lost || pace.pending !== null;
    const trouble = this.lost ? "" : this.troubled || picture.doubted;
    setText(this.warn, line || trouble);
    this.warn.title = this.warn.textContent;
    const machines = picture.rows.filter((row) => row.state !== "gone").length;
    setText(
      this.line,
      line || trouble || picture.few ? "" : W.machinesAsFrames(machines),
    );
  }

  // -- for the user

  setFilter(name) {
    this.machines.filter = name;
    for (const filter of this.filters) {
      filter.button.setAttribute("aria-pressed", String(filter.name === name));
    }
    this.machines.arrange();
    if (this.picture) this.sayEmpty();
  }

  setLayout(name) {
    this.layout = name;
    this.draw();
  }

  showEvents() {
    const open = this.events.toggle(this.picture?.news ?? []);
    this.toggle.setAttribute("aria-expanded", String(open));
    setText(this.toggle, open ? W.hideEvents : W.events);
  }

  reveal(id) {
    this.setFilter("all");
    this.machines.reveal(id);
  }

  pause() {
    const on = !this.pace.paused;
    if (on) this.pace.pause();
    else this.pace.resume();
    this.send({ type: "pause", on });
  }

  /** @param {ToKernel} message */
  send(message) {
    try {
      this.model.send(message);
    } catch {
      this.pace.lose();
    }
  }

  // -- without a kernel

  get lost() {
    return Boolean(this.alive?.lost);
  }

  lose() {
    this.pace.lose();
    this.dialog.close();
    this.draw();
    this.tick();
  }

  // It was there all the same, busy.
  find() {
    this.pace.lost = false;
    this.draw();
  }
}

export default monitorWidget;
