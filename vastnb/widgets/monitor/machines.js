// The machines: cards where they are few, rows of a table where they are many. Both are the same
// elements, put into place by the style sheet, and changed in place, so that focus and scrolling
// stay where they are while numbers move.
import { W } from "./words.js";
import { copyText } from "../kit/fields.js";
import { DASH, estimate, hourly, receipt, span } from "../kit/words.js";
import { LiveLoad } from "./load.js";
import { firstVerbs, nameOf, VERBS } from "./verbs.js";
import { clickable, h, setText } from "../kit/dom.js";

const WIDTH = 72;
const HEIGHT = 20;

function shape(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// How busy the GPUs were at the last looks, as a line and the area below; a gap where nothing is known.
function sparkline() {
  const node = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "vnb-spark", "aria-hidden": "true" });
  const area = shape("path", { class: "vnb-area" });
  const line = shape("path", { class: "vnb-trace" });
  node.append(area, line);
  const draw = (values) => {
    const step = WIDTH / Math.max(11, values.length - 1);
    const known = (i) => (values[i] ?? null) !== null;
    const x = (i) => (WIDTH - step * (values.length - 1 - i)).toFixed(1);
    const y = (i) => (HEIGHT - 1.5 - (Math.min(100, Math.max(0, values[i])) / 100) * (HEIGHT - 3)).toFixed(1);
    const at = [...values.keys()].filter(known);
    line.setAttribute("d", at.map((i) => `${known(i - 1) ? "L" : "M"}${x(i)} ${y(i)}`).join(""));
    const foot = (i) => known(i - 1) ? "" : `M${x(i)} ${HEIGHT}`;
    const end = (i) => known(i + 1) ? "" : `V${HEIGHT}Z`;
    area.setAttribute("d", at.map((i) => `${foot(i)}L${x(i)} ${y(i)}${end(i)}`).join(""));
  };
  return { node, draw };
}

const part = (name, more = {}) => h("span", { class: `vnb-${name}`, ...more });

class MachineView {
  // `act(row, verb, button)` is called for a button, `menu(row, button)` for the dots.
  constructor({ act, menu, hush }) {
    this.row = null;
    this.act = (verb) => (event) => act(this.row, verb, event.currentTarget);
    this.word = h("b");
    this.since = part("since", { title: W.inThisStateFor });
    this.name = h("strong.vnb-name");
    this.id = part("mid");
    this.foreign = part("chip2", { text: W.notByVastnb, title: W.rentedBySomethingOther });
    this.ends = clickable("", this.act("extend"), {
      class: "vnb-chip2 vnb-endchip",
      hidden: true,
      title: W.itsDeadlineItIs,
    });
    this.gpu = part("gpu");
    this.bid = part("chip2", { text: W.bidChip, title: W.interruptibleItRunsWhile });
    this.more = part("more2");
    this.age = part("mage", { title: W.sinceItWasCreated });
    this.spark = sparkline();
    this.util = part("util", { title: W.gpuUtilization });
    this.temp = part("temp", { title: W.gpuTemperature });
    this.live = new LiveLoad();
    this.price = h("b");
    this.runPrice = part("runprice");
    this.spent = part("spent");
    this.bar = h(".vnb-loading", { role: "progressbar", "aria-label": W.starting }, h("i"));
    this.why = h("span");
    this.advice = part("advice");
    this.reason = h(".vnb-reason", this.why, this.advice);
    this.ssh = h("code", { tabindex: 0, "aria-label": W.sshCommand });
    const copy = clickable(W.copy, () => copyText(copy, this.row.ssh, this.ssh), {
      class: "vnb-button vnb-copyssh",
    });
    this.sshRow = h(".vnb-sshrow", { hidden: true }, this.ssh, copy);
    this.saidText = h("span");
    this.ok = clickable(W.ok, () => hush(this.row), { class: "vnb-link" });
    this.said = h(".vnb-said", { hidden: true }, this.saidText, this.ok);
    this.buttons = h(".vnb-acts");
    this.dots = clickable("⋯", () => menu(this.row, this.dots), {
      class: "vnb-button vnb-dots",
      "aria-haspopup": "menu",
    });
    const group = (name, ...parts) => h("div", { class: `vnb-${name}` }, ...parts);
    this.node = h(
      "article.vnb-machine",
      { role: "listitem" },
      group("mstate", h("i.vnb-shape", { "aria-hidden": "true" }), this.word, this.since),
      group("mname", this.name, this.id, this.foreign, this.ends),
      group("mgpu", this.gpu, this.bid, this.more),
      this.age,
      group("load", this.spark.node, this.util, this.temp),
      this.live.node,
      group("mprice", this.price),
      this.runPrice,
      this.spent,
      this.bar,
      this.reason,
      this.sshRow,
      this.said,
      group("mfoot", this.buttons, this.dots),
    );
  }

  update(row, { pending, disabled, few }) {
    this.row = row;
    const { node } = this;
    const gone = row.state === "gone";
    node.dataset.tone = row.tone;
    node.dataset.id = row.id;
    node.ariaLabel = `${nameOf(row)}: ${row.state}`;
    setText(this.word, row.state);
    this.word.title = row.reason;
    setText(this.name, nameOf(row));
    this.name.title = row.label ?? "";
    setText(this.id, row.label ? `#${row.id}` : "");
    this.foreign.hidden = row.ours;
    setText(this.gpu, row.gpu);
    this.gpu.title = row.image ? W.image(row.image) : "";
    setText(this.more, [row.vram, row.place].filter(Boolean).join(" · "));
    this.more.title = this.more.textContent;
    this.spark.draw(row.trend);
    this.spark.node.classList.toggle("vnb-nospark", row.trend.filter((value) => value !== null).length < 2);
    // The service's figure is minutes old: the machine's own takes its place.
    const told = row.util !== null && (row.live?.util ?? null) === null;
    setText(this.util, told ? `${Math.round(row.util)} %` : "");
    setText(this.temp, row.temp === null ? "" : `${Math.round(row.temp)} °C`);
    this.live.show(row.live, disabled);
    setText(this.price, gone ? DASH : hourly(row.dph));
    const idle = !gone && row.dph > 0 && row.dph_run > row.dph * 1.01;
    this.price.title = idle ? W.billedNowWithoutTraffic : "";
    setText(this.runPrice, idle ? W.whenRunning(hourly(row.dph_run)) : "");
    this.bid.hidden = !row.is_bid;
    node.classList.toggle("vnb-idlebill", row.tone === "off" && row.dph > 0);
    setText(this.spent, row.spent === null ? "" : estimate(row.spent));
    this.spent.title = W.soFarEstimated(row.spent_how);
    this.showReason(row);
    this.showSaid(row, pending);
    this.showButtons(row, few, disabled || Boolean(pending) || Boolean(row.busy) || row.unseen);
  }

  showReason(row) {
    const why = row.reason === row.state ? "" : row.reason;
    setText(this.why, row.receipt && row.state === "gone" ? receipt(row.receipt) : why);
    setText(this.advice, row.advice_text);
    this.reason.hidden = !this.reason.textContent;
    this.reason.title = [row.reason, row.advice_text].filter(Boolean).join(": ");
    const layers = /(\d+) of (?:at least )?(\d+) layer/.exec(row.reason);
    const share = layers ? Math.min(100, (100 * Number(layers[1])) / Math.max(1, Number(layers[2]))) : 0;
    this.bar.hidden = row.state !== "starting";
    this.bar.classList.toggle("vnb-endless", !layers);
    this.bar.style.setProperty("--vnb-share", `${share}%`);
    if (layers) this.bar.ariaValueNow = String(Math.round(share));
    else this.bar.removeAttribute("aria-valuenow");
    setText(this.ssh, row.ssh ?? "");
    this.sshRow.hidden = !row.ssh || !row.verbs.includes("connect");
  }

  showSaid({ busy, said }, pending) {
    this.doing = pending ? { text: W.sentWaitingForThe, since: null } : busy;
    const { text = "", level = "" } = this.doing ?? said ?? {};
    this.said.hidden = text === "";
    this.said.dataset.level = this.doing ? "busy" : level;
    this.ok.hidden = Boolean(this.doing);
    setText(this.saidText, text);
    this.saidText.title = text;
  }

  showButtons(row, few, disabled) {
    const verbs = firstVerbs(row, few);
    if (verbs.join() !== [...this.buttons.children].map((button) => button.dataset.verb).join()) {
      this.buttons.replaceChildren(
        ...verbs.map((verb) => clickable(VERBS[verb].text, this.act(verb), { "data-verb": verb })),
      );
    }
    for (const button of [...this.buttons.children, this.dots]) button.disabled = disabled;
    this.ends.disabled = disabled || !row.verbs.includes("extend");
    this.dots.hidden = row.verbs.length === 0;
    this.dots.ariaLabel = W.moreFor(nameOf(row));
  }

  // What changes with the time alone.
  tick(now) {
    const { row, doing } = this;
    const gone = row.state === "gone";
    setText(this.since, gone ? "" : span(now - row.since));
    setText(this.age, row.started ? span(now - row.started) : DASH);
    this.live.tick(now);
    this.ends.hidden = row.deadline === null || gone;
    const left = (row.deadline ?? 0) - now;
    setText(this.ends, left > 0 ? W.endsIn(span(left)) : W.pastItsDeadlineBy(span(-left)));
    this.ends.classList.toggle("vnb-late", left <= 0);
    if (doing?.since) setText(this.saidText, `${doing.text} · ${span(now - doing.since)}`);
  }
}

export function passes(row, filter) {
  return filter === "all" || (filter === "trouble" ? row.rank === 0 : row.state === filter);
}

export class MachineList {
  constructor(hooks) {
    this.hooks = hooks;
    this.views = new Map();
    this.order = [];
    this.rows = [];
    this.filter = "all";
    this.seen = 0;
    this.hover = false;
    this.head = h(
      ".vnb-mhead",
      { "aria-hidden": "true" },
      ...[W.state, W.machine, W.gpu, W.age, W.gpuLoad, W.price, W.soFar, ""].map((text) =>
        h("span", { text })
      ),
    );
    this.list = h(".vnb-list", { role: "list" });
    this.empty = h(".vnb-nothing", { hidden: true }, h("strong"), h("span"));
    this.node = h(
      ".vnb-machines",
      { tabindex: 0, role: "group", "aria-label": W.machines },
      this.head,
      this.list,
      this.empty,
    );
    // While the pointer is over the list, nothing changes its place: what is pressed is what was aimed at.
    this.node.addEventListener("pointerenter", () => (this.hover = true));
    this.node.addEventListener("pointerleave", () => {
      this.hover = false;
      this.arrange();
    });
  }

  show(rows, state) {
    this.rows = rows;
    const alive = new Set(rows.map((row) => row.id));
    for (const [id, view] of this.views) {
      if (alive.has(id)) continue;
      view.node.remove();
      this.views.delete(id);
    }
    for (const row of rows) {
      let view = this.views.get(row.id);
      if (!view) {
        view = new MachineView(this.hooks);
        this.views.set(row.id, view);
      }
      view.update(row, state(row));
    }
    this.arrange();
  }

  arrange() {
    const wanted = this.rows.map((row) => row.id);
    const kept = this.order.filter((id) => this.views.has(id));
    this.order = this.hover ? [...kept, ...wanted.filter((id) => !kept.includes(id))] : wanted;
    const nodes = this.order.map((id) => this.views.get(id).node);
    nodes.forEach((node, i) => {
      if (this.list.children[i] !== node) this.list.insertBefore(node, this.list.children[i] ?? null);
    });
    for (const row of this.rows) this.views.get(row.id).node.hidden = !passes(row, this.filter);
    this.seen = nodes.filter((node) => !node.hidden).length;
    this.head.hidden = this.seen === 0;
    this.node.classList.toggle("vnb-void", this.seen === 0);
  }

  say(title, text) {
    this.empty.hidden = !title;
    setText(this.empty.firstChild, title);
    setText(this.empty.lastChild, text);
  }

  reveal(id) {
    const view = this.views.get(id);
    if (!view) return;
    view.node.scrollIntoView({ block: "nearest" });
    view.node.classList.remove("vnb-flash");
    requestAnimationFrame(() => view.node.classList.add("vnb-flash"));
    view.node.querySelector("button:not(:disabled)")?.focus({ preventScroll: true });
  }

  tick(now) {
    for (const view of this.views.values()) if (!view.node.hidden) view.tick(now);
  }
}
