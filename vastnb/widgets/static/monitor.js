// The monitor: machines, what they cost, and what can be done. The page sets the pace (poller.js),
// the kernel decides; everything that is shown comes as one message, the picture.
import { guardKeys, h, setText, watchTheme } from "./dom.js";
import { hideCopy } from "./link.js";
import { EventLog, MoneyBar, Notices } from "./monitor_bars.js";
import { Dialog, copyable, entry, question } from "./monitor_dialog.js";
import { MachineList } from "./monitor_machines.js";
import { clockTime, hourly, nameOf, span } from "./monitor_words.js";
import { Pace } from "./poller.js";

// Above so many machines they are shown as rows, unless somebody has chosen.
const FEW = 6;
const PATIENCE_MS = 2500;
const FILTERS = [
  ["all", "All"],
  ["trouble", "Trouble"],
  ["starting", "Starting"],
  ["running", "Running"],
  ["stopped", "Stopped"],
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
      // Fired when the kernel has gone, and when it has come back: which of the two, an answer tells.
      const onLive = () => {
        for (const view of views) view.check();
      };
      model.on("msg:custom", onMessage);
      model.on("comm_live_update", onLive);
      try {
        model.send({ type: "ready" });
      } catch {
        // Without a kernel nothing comes, and the view says so.
      }
      return () => {
        model.off("msg:custom", onMessage);
        model.off("comm_live_update", onLive);
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
  constructor(model, el, signal) {
    this.model = model;
    this.signal = signal;
    this.picture = null;
    this.offset = 0;
    this.layout = null;
    this.pending = new Map();
    this.lost = false;
    this.waited = 0;
    this.root = h("div", { class: "vnb-root" });
    guardKeys(this.root, signal);
    this.build();
    el.append(this.root);
    watchTheme(this.root, () => {}, signal);
    this.pace = new Pace(this.root, signal, {
      ask: (atOnce) => model.send({ type: "ask", at_once: atOnce }),
      onWaiting: (seconds) => {
        this.waited = seconds;
        this.tick();
      },
      onLost: () => this.lose(),
      onTick: () => this.tick(),
    });
    this.waitForPicture();
  }

  build() {
    const { signal } = this;
    this.bar = new MoneyBar({ onPause: () => this.pause(), onNow: () => this.pace.now() });
    const onShow = (id) => this.reveal(id);
    this.notices = new Notices({ onDismiss: (what) => this.send({ type: "dismiss", ...what }), onShow });
    this.events = new EventLog({ onShow });
    this.machines = new MachineList({
      act: (row, verb, button) => this.act(row, verb, button),
      menu: (row, button) => this.openMenu(row, button),
      hush: (row) => this.send({ type: "dismiss", id: row.id }),
    });
    this.filters = FILTERS.map(([name, text]) => {
      const count = h("span", { class: "vnb-count" });
      const button = h("button", { type: "button", "aria-pressed": "false", "data-filter": name, onclick: () => this.setFilter(name) }, h("span", { text }), count);
      return { name, button, count };
    });
    this.looks = [
      ["cards", "Cards"],
      ["rows", "Rows"],
    ].map(([name, text]) => h("button", { type: "button", text, "data-look": name, onclick: () => this.setLayout(name) }));
    this.line = h("span", { class: "vnb-line" });
    this.warn = h("span", { class: "vnb-warn", role: "status" });
    this.toggle = h("button", { type: "button", class: "vnb-link", text: "Events", "aria-expanded": "false", onclick: () => this.showEvents() });
    const tools = h("div", { class: "vnb-tools" }, h("div", { class: "vnb-tabs" }, ...this.filters.map(({ button }) => button)), h("div", { class: "vnb-tabs vnb-look" }, ...this.looks));
    this.shell = h(
      "div",
      { class: "vnb-monitor" },
      this.bar.node,
      this.notices.node,
      tools,
      this.machines.node,
      this.events.node,
      h("footer", { class: "vnb-foot" }, h("div", { class: "vnb-footline" }, this.warn, this.line, h("span", { class: "vnb-selection" }, this.toggle))),
    );
    this.dialog = new Dialog(this.shell, signal);
    this.root.append(this.shell);
    this.setFilter("all");
  }

  // -- from the kernel

  take(message) {
    if (this.lost) this.find();
    if (message.type === "picture") this.show(message);
    else if (message.type === "pace") {
      this.pace.answered(message);
      if (message.paused !== this.pace.paused) message.paused ? this.pace.pause() : this.pace.resume();
      if (!message.asking) this.troubled = message.error;
      this.tick();
    } else if (message.type === "answer") this.answer?.(message);
  }

  show(picture) {
    this.offset = Date.now() / 1000 - picture.now;
    this.picture = picture;
    this.arrived?.();
    this.troubled = picture.error;
    for (const key of picture.acks) {
      for (const [id, pending] of this.pending) if (pending === key) this.pending.delete(id);
    }
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
    this.machines.show(rows, (row) => ({ pending: this.pending.get(row.id), disabled: this.lost }));
    this.sayEmpty();
    this.tick();
  }

  sayEmpty() {
    const { picture, machines } = this;
    const none = machines.rows.length === 0;
    if (!none) machines.say(machines.rows.some((row) => machines.passes(row)) ? "" : "None like this", "All machines are in another state.");
    else if (picture.asked_at === null) machines.say("The machines are not known yet", picture.error || "The service is asked.");
    else machines.say("No machines", "Nothing is rented, so nothing is billed for instances.");
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
    const ago = askedAt === null ? "never asked" : now - askedAt < 2 ? "asked just now" : `asked ${span(now - askedAt)} ago`;
    let text = ago;
    let mood = this.troubled || picture.doubted ? "bad" : "good";
    let line = "";
    if (this.lost) {
      text = `seen ${askedAt === null ? "never" : `at ${clockTime(askedAt)}`}`;
      mood = "bad";
    } else if (this.waited > 0) {
      mood = "warn";
      line = `The kernel is busy (for ${span(this.waited)}): it will be asked again when it is free.`;
    } else if (pace.asking) {
      mood = "busy";
      text = `${ago}, asking`;
    } else if (pace.paused) {
      mood = "warn";
      text = `${ago}, paused`;
    } else text = `${ago}, again in ${span(pace.left)}`;
    setText(bar.fresh, text);
    bar.dot.dataset.mood = mood;
    setText(bar.pause, pace.paused ? "Go on" : "Pause");
    bar.pause.disabled = this.lost;
    bar.now.disabled = this.lost || pace.pending !== null;
    const trouble = this.lost ? "Not connected to a kernel any more: this is what was seen last, and nothing here is asked or can be done. Run the cell again." : this.troubled || picture.doubted;
    setText(this.warn, line || trouble);
    this.warn.title = this.warn.textContent;
    const machines = picture.rows.filter((row) => row.state !== "gone").length;
    setText(this.line, line || trouble ? "" : `${machines} machine${machines === 1 ? "" : "s"} · as frames: .df, .events, .history`);
  }

  // -- for the user

  setFilter(name) {
    this.machines.filter = name;
    for (const filter of this.filters) filter.button.setAttribute("aria-pressed", String(filter.name === name));
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
    setText(this.toggle, open ? "Hide events" : "Events");
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

  send(message) {
    try {
      this.model.send(message);
    } catch {
      this.pace.lose();
    }
  }

  openMenu(row, opener) {
    const items = row.verbs.map((verb) => ({ verb, danger: verb === "destroy" || verb === "next", run: () => this.act(row, verb, opener) }));
    this.dialog.menu(items, opener);
  }

  // What a button does: most ask first.
  act(row, verb, opener) {
    if (this.lost) return;
    if (verb === "connect") this.openConnect(row, opener);
    else if (verb === "logs") this.openLog(row, opener);
    else if (verb === "label" || verb === "bid") this.openEntry(row, verb, opener);
    else this.confirm(row, verb, opener);
  }

  // Sends a click, stamped with the kernel's time and the price that was shown.
  click(row, verb, more = {}) {
    const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`;
    this.send({ type: "act", key, verb, id: row.id, at: this.now(), shown: verb === "next" ? row.again?.max_dph : row.dph_run, ...more });
    if (verb !== "logs" && verb !== "jupyter") {
      this.pending.set(row.id, key);
      this.draw();
    }
    return key;
  }

  confirm(row, verb, opener) {
    const asked = question(row, verb, this.now());
    const act = asked.verb ?? verb;
    const go = h("button", { type: "button", class: asked.danger ? "vnb-button vnb-go vnb-dangerous" : "vnb-button vnb-go", text: asked.go });
    const body = [...asked.body];
    let typed = null;
    if ((act === "destroy" || act === "next") && !row.ours) {
      typed = entry(`It was not rented by vastnb. Type ${row.id} to destroy it.`, "", { mono: true });
      body.push(typed.node);
      go.disabled = true;
      typed.input.addEventListener("input", () => (go.disabled = typed.input.value.trim() !== String(row.id)));
    }
    const run = () => {
      if (go.disabled) return;
      go.disabled = true;
      const what = typed ? { typed: typed.input.value.trim() } : {};
      this.dialog.close();
      this.click(row, act, what);
    };
    go.addEventListener("click", run);
    typed?.input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    this.dialog.panel({ title: asked.title, body, buttons: [go], shutText: "Cancel", opener, focus: typed?.input, id: row.id });
  }

  openEntry(row, verb, opener) {
    const bid = verb === "bid";
    const field = bid ? entry("Bid for the GPUs, $/h", row.bid === null ? "" : String(row.bid), { mono: true }) : entry("Label", row.label ?? "", { hint: "none" });
    const go = h("button", { type: "button", class: "vnb-button vnb-go", text: bid ? "Bid" : "Rename" });
    const notes = [];
    if (bid) {
      const least = row.min_bid === null ? "" : ` The least bid that runs now is ${hourly(row.min_bid)}.`;
      notes.push(h("p", { text: `A bid is what it costs while it runs, at most the price on demand.${least} A higher one may start it, and it is billed then; a lower one may stop it.` }));
    }
    const run = () => {
      const price = Number(field.input.value.trim().replace("$", ""));
      if (bid && !(price > 0 && Number.isFinite(price))) {
        field.input.classList.add("vnb-invalid");
        return;
      }
      const value = field.input.value.trim();
      this.dialog.close();
      this.click(row, verb, bid ? { price } : { label: value });
    };
    go.addEventListener("click", run);
    field.input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    const title = bid ? `Change the bid for ${nameOf(row)}` : `Rename ${nameOf(row)}`;
    this.dialog.panel({ title, body: [h("p", { class: "vnb-facts", text: `${row.gpu} · #${row.id}` }), ...notes, field.node], buttons: [go], shutText: "Cancel", opener, focus: field.input, id: row.id });
    field.input.select();
  }

  openConnect(row, opener) {
    const body = [h("p", { class: "vnb-facts", text: `${row.gpu} · #${row.id}` })];
    body.push(h("p", { class: "vnb-over", text: "SSH, in a terminal" }));
    body.push(row.ssh ? copyable(row.ssh) : h("p", { text: "It has no SSH address yet." }));
    body.push(h("p", { class: "vnb-over", text: "From Python" }), copyable(`client.show_instance(${row.id})`));
    if (row.jupyter) body.push(h("p", { class: "vnb-over", text: "Jupyter" }), this.jupyterLink(row));
    this.dialog.panel({ title: `Connect to ${nameOf(row)}`, body, opener, id: row.id, onClose: () => (this.answer = null) });
  }

  // The address holds a token: it is asked for on the click, lives in this link, and goes with it.
  jupyterLink(row) {
    const place = h("div", { class: "vnb-jupyter" });
    const get = h("button", { type: "button", class: "vnb-button", text: "Get the link" });
    get.addEventListener("click", () => {
      get.disabled = true;
      setText(get, "Asking");
      const key = this.click(row, "jupyter");
      this.answer = (message) => {
        if (message.key !== key) return;
        const ok = message.url && /^https:\/\//.test(message.url);
        const link = ok ? h("a", { href: message.url, target: "_blank", rel: "noopener noreferrer", class: "vnb-button", text: "Open Jupyter" }) : h("span", { text: message.failed ?? "It has no Jupyter, or none yet." });
        place.replaceChildren(link, h("span", { class: "vnb-hint", text: ok ? "It holds a token: whoever has it runs code there." : "" }));
        link.focus?.();
      };
    });
    place.append(get);
    return place;
  }

  openLog(row, opener) {
    const text = h("pre", { class: "vnb-log", tabindex: 0 });
    const again = h("button", { type: "button", class: "vnb-button", text: "Fetch again" });
    const load = () => {
      again.disabled = true;
      setText(text, text.textContent || "Fetching the log; it takes some seconds.");
      const key = this.click(row, "logs");
      this.answer = (message) => {
        if (message.key !== key) return;
        again.disabled = false;
        setText(text, message.failed ?? (message.text || "The log is empty."));
        text.scrollTop = text.scrollHeight;
      };
    };
    again.addEventListener("click", load);
    this.dialog.panel({ title: `Log of ${nameOf(row)}`, body: [text], buttons: [again], opener, wide: true, id: row.id, onClose: () => (this.answer = null) });
    load();
  }

  // -- without a kernel

  // The link to the kernel has changed: whether somebody is there, only an answer tells.
  check() {
    if (this.lost || !this.pace) return;
    this.pace.doubt();
  }

  lose() {
    this.lost = true;
    this.dialog.close();
    this.root.classList.add("vnb-lost");
    this.draw();
    this.tick();
  }

  // It was there all the same, busy.
  find() {
    this.lost = false;
    this.root.classList.remove("vnb-lost");
    this.draw();
  }

  // While it lives, the widget hides its static copy. Without a kernel no picture ever comes: then
  // the copy is what there is to see, and a line says so.
  waitForPicture() {
    const { model, signal } = this;
    const hiding = new AbortController();
    hideCopy(model, hiding.signal);
    const note = h(
      "div",
      { class: "vnb-saved" },
      h("strong", { text: "The monitor is not connected to a kernel. " }),
      h("span", { text: "Run its cell to watch again (or wait, if a cell is running). What was seen last is kept as a table in the notebook." }),
    );
    const late = setTimeout(() => {
      if (this.picture) return;
      hiding.abort();
      this.root.classList.add("vnb-waiting");
      this.root.append(note);
    }, PATIENCE_MS);
    this.arrived = () => {
      clearTimeout(late);
      note.remove();
      this.root.classList.remove("vnb-waiting");
      if (hiding.signal.aborted) hideCopy(model, signal);
      else signal.addEventListener("abort", () => hiding.abort());
      this.arrived = null;
    };
    signal.addEventListener("abort", () => {
      clearTimeout(late);
      hiding.abort();
    });
  }
}

export default monitorWidget;
