// The monitor: machines, what they cost, and what can be done. The page sets the pace (kit/pace.js),
// the kernel decides; everything that is shown comes as one message, the picture.
import { W } from "./words.js";
import { Actions } from "./actions.js";
import { watchKernel } from "../kit/alive.js";
import { Dialog } from "../kit/dialog.js";
import { EventLog, MoneyBar, Notices } from "./bars.js";
import { MachineList, passes } from "./machines.js";
import { Pace } from "../kit/pace.js";
import { clockTime, span } from "../kit/words.js";
import { rootIn, sent } from "../kit/page.js";
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
const LOOKS = [
  ["cards", W.cards],
  ["rows", W.rows],
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
      sent(model, { type: "ready" });
      return () => model.off("msg:custom", onMessage);
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
      const button = clickable(text, () => this.setFilter(name), { class: null, "data-filter": name });
      button.append(h("span.vnb-count"));
      return button;
    });
    this.looks = LOOKS.map(([name, text]) =>
      clickable(text, () => this.setLayout(name), { class: null, "data-look": name })
    );
    this.line = h("span.vnb-line");
    this.warn = h("span.vnb-warn", { role: "status" });
    this.toggle = clickable(W.events, () => this.showEvents(), {
      class: "vnb-link",
      "aria-expanded": "false",
    });
    const foot = [this.warn, this.line, h("span.vnb-selection", this.toggle)];
    this.shell = h(
      ".vnb-monitor",
      this.bar.node,
      this.notices.node,
      h(".vnb-tools", h(".vnb-tabs", ...this.filters), h(".vnb-tabs.vnb-look", ...this.looks)),
      this.machines.node,
      this.events.node,
      h("footer.vnb-foot", h(".vnb-footline", ...foot)),
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
    for (const look of this.looks) look.ariaPressed = String(look.dataset.look === layout);
    for (const button of this.filters) {
      const { filter } = button.dataset;
      const count = rows.filter((row) => passes(row, filter)).length;
      setText(button.lastChild, String(count));
      button.classList.toggle("vnb-alarm", filter === "trouble" && count > 0);
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
    if (machines.seen) machines.say("", "");
    else if (machines.rows.length) machines.say(W.noMachinesHere, W.allMachinesAreIn);
    else if (picture.asked_at !== null) machines.say(W.noMachines, W.nothingIsRentedSo);
    else machines.say(W.loadingMachines, picture.error || W.waitingForVastAi);
  }

  // -- time

  now() {
    return Date.now() / 1000 - this.offset;
  }

  tick() {
    const { picture, pace, bar, lost } = this;
    if (!picture || !pace) return;
    const now = this.now();
    if (!lost) this.machines.tick(now);
    const { asked_at: askedAt } = picture;
    const passed = now - askedAt;
    const updated = passed < 2 ? W.updatedJustNow : W.updatedAgo(span(passed));
    const ago = askedAt === null ? W.noDataYet : updated;
    const trouble = this.troubled || picture.doubted;
    const [mood, text, warning = trouble] = lost
      ? ["bad", askedAt === null ? W.noData : W.asOf(clockTime(askedAt)), ""]
      : this.waited > 0
      ? ["warn", ago, W.theKernelIsBusy(span(this.waited))]
      : pace.asking
      ? ["busy", W.updating(ago)]
      : pace.paused
      ? ["warn", W.paused(ago)]
      : [trouble ? "bad" : "good", W.nextIn(ago, span(pace.left))];
    bar.dot.dataset.mood = mood;
    setText(bar.fresh, text);
    setText(bar.pause, pace.paused ? W.resume : W.pause);
    bar.pause.disabled = lost;
    bar.now.disabled = lost || pace.pending !== null;
    setText(this.warn, warning);
    this.warn.title = warning;
    const machines = picture.rows.filter((row) => row.state !== "gone").length;
    setText(this.line, warning || picture.few ? "" : W.machinesAsFrames(machines));
  }

  // -- for the user

  setFilter(name) {
    this.machines.filter = name;
    for (const button of this.filters) {
      button.ariaPressed = String(button.dataset.filter === name);
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
    this.toggle.ariaExpanded = String(open);
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
    if (!sent(this.model, message)) this.pace.lose();
  }

  // -- without a kernel

  get lost() {
    return Boolean(this.alive?.lost);
  }

  lose() {
    this.pace.lose();
    this.dialog.close();
    this.draw();
  }

  // It was there all the same, busy.
  find() {
    this.pace.lost = false;
    this.draw();
  }
}

export default monitorWidget;
