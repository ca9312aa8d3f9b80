// The machines: cards where they are few, rows of a table where they are many. Both are the same
// elements, put into place by the style sheet, and changed in place, so that focus and scrolling
// stay where they are while numbers move.
import { W } from "./words.js";
import { copyText } from "../kit/fields.js";
import { DASH, dollars, hourly, receipt, span } from "../kit/words.js";
import { LiveLoad } from "./load.js";
import { firstVerbs, nameOf, VERBS } from "./verbs.js";
import { clickable, h, setText } from "../kit/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const SPARK = { width: 72, height: 20 };

function sparkline() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${SPARK.width} ${SPARK.height}`);
  svg.setAttribute("class", "vnb-spark");
  svg.setAttribute("aria-hidden", "true");
  const area = document.createElementNS(SVG, "path");
  area.setAttribute("class", "vnb-area");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("class", "vnb-trace");
  svg.append(area, line);
  let shown = "";
  const draw = (values) => {
    const key = values.join(",");
    if (key === shown) return;
    shown = key;
    const step = SPARK.width / Math.max(11, values.length - 1);
    const start = SPARK.width - step * (values.length - 1);
    const y = (value) => SPARK.height - 1.5 - (Math.min(100, Math.max(0, value)) / 100) * (SPARK.height - 3);
    let path = "";
    let filled = "";
    let run = [];
    const flush = () => {
      if (run.length > 1) {
        const points = run.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join("L");
        path += `M${points}`;
        filled += `M${run[0][0].toFixed(1)} ${SPARK.height}L${points}L${
          run[run.length - 1][0].toFixed(1)
        } ${SPARK.height}Z`;
      }
      run = [];
    };
    values.forEach((value, i) => {
      if (value === null) flush();
      else run.push([start + i * step, y(value)]);
    });
    flush();
    line.setAttribute("d", path);
    area.setAttribute("d", filled);
  };
  return { node: svg, draw };
}

export class MachineView {
  // `act(row, verb, button)` is called for a button, `menu(row, button)` for the dots.
  constructor({ act, menu, hush }) {
    this.row = null;
    this.shape = h("i", { class: "vnb-shape", "aria-hidden": "true" });
    this.word = h("b");
    this.since = h("span", { class: "vnb-since" });
    this.name = h("strong", { class: "vnb-name" });
    this.id = h("span", { class: "vnb-mid" });
    this.foreign = h("span", {
      class: "vnb-chip2",
      text: W.notByVastnb,
      title: W.rentedBySomethingOther,
    });
    this.ends = h("button", {
      type: "button",
      class: "vnb-chip2 vnb-endchip",
      hidden: true,
      title: W.itsDeadlineItIs,
      onclick: (event) => this.act(this.row, "extend", event.currentTarget),
    });
    this.gpu = h("span", { class: "vnb-gpu" });
    this.more = h("span", { class: "vnb-more2" });
    this.bid = h("span", {
      class: "vnb-chip2",
      text: W.bidChip,
      title: W.interruptibleItRunsWhile,
    });
    this.age = h("span", { class: "vnb-mage" });
    this.spark = sparkline();
    this.util = h("span", { class: "vnb-util" });
    this.temp = h("span", { class: "vnb-temp" });
    this.live = new LiveLoad();
    this.price = h("b");
    this.runPrice = h("span", { class: "vnb-runprice" });
    this.spent = h("span", { class: "vnb-spent" });
    this.why = h("span");
    this.advice = h("span", { class: "vnb-advice" });
    this.reason = h("div", { class: "vnb-reason" }, this.why, this.advice);
    this.said = h(
      "div",
      { class: "vnb-said", hidden: true },
      h("span"),
      clickable(W.ok, () => hush(this.row), { class: "vnb-link" }),
    );
    this.bar = h("div", { class: "vnb-loading", role: "progressbar", "aria-label": W.starting }, h("i"));
    this.ssh = h("code", { tabindex: 0, "aria-label": W.sshCommand });
    const copy = clickable(W.copy, () => copyText(copy, this.row.ssh, this.ssh), {
      class: "vnb-button vnb-copyssh",
    });
    this.sshRow = h("div", { class: "vnb-sshrow", hidden: true }, this.ssh, copy);
    this.buttons = h("div", { class: "vnb-acts" });
    this.dots = clickable("⋯", () => menu(this.row, this.dots), {
      class: "vnb-button vnb-dots",
      "aria-haspopup": "menu",
    });
    this.act = act;
    this.node = h(
      "article",
      { class: "vnb-machine" },
      h("div", { class: "vnb-mstate" }, this.shape, this.word, this.since),
      h("div", { class: "vnb-mname" }, this.name, this.id, this.foreign, this.ends),
      h("div", { class: "vnb-mgpu" }, this.gpu, this.bid, this.more),
      this.age,
      h("div", { class: "vnb-load" }, this.spark.node, this.util, this.temp),
      this.live.node,
      h("div", { class: "vnb-mprice" }, this.price),
      this.runPrice,
      this.spent,
      this.bar,
      this.reason,
      this.sshRow,
      this.said,
      h("div", { class: "vnb-mfoot" }, this.buttons, this.dots),
    );
  }

  update(row, { pending, disabled, few }) {
    const before = this.row;
    this.row = row;
    const { node } = this;
    node.dataset.tone = row.tone;
    node.dataset.id = row.id;
    node.setAttribute("aria-label", `${nameOf(row)}: ${row.state}`);
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
    this.util.title = W.gpuUtilization;
    setText(this.temp, row.temp === null ? "" : `${Math.round(row.temp)} °C`);
    this.temp.title = W.gpuTemperature;
    this.live.show(row.live, disabled);
    setText(this.price, row.state === "gone" ? DASH : hourly(row.dph));
    const idle = row.state !== "gone" && row.dph > 0 && row.dph_run > row.dph * 1.01;
    this.price.title = idle ? W.billedNowWithoutTraffic : "";
    setText(this.runPrice, idle ? W.whenRunning(hourly(row.dph_run)) : "");
    this.bid.hidden = !row.is_bid;
    node.classList.toggle("vnb-idlebill", row.tone === "off" && row.dph > 0);
    setText(this.spent, row.spent === null ? "" : `≈ ${dollars(row.spent)}`);
    this.spent.title = W.soFarEstimated(row.spent_how);
    this.showReason(row);
    this.showSaid(row, pending);
    this.few = few;
    this.showButtons(row, before, disabled || Boolean(pending) || Boolean(row.busy) || row.unseen);
  }

  showReason(row) {
    const why = row.reason === row.state ? "" : row.reason;
    setText(this.why, row.receipt && row.state === "gone" ? receipt(row.receipt) : why);
    setText(this.advice, row.advice_text);
    const layers = /(\d+) of (?:at least )?(\d+) layer/.exec(row.reason);
    const share = layers ? Math.min(100, (100 * Number(layers[1])) / Math.max(1, Number(layers[2]))) : 0;
    this.bar.hidden = row.state !== "starting";
    this.bar.classList.toggle("vnb-endless", !layers);
    this.bar.style.setProperty("--vnb-share", `${share}%`);
    if (layers) this.bar.setAttribute("aria-valuenow", String(Math.round(share)));
    else this.bar.removeAttribute("aria-valuenow");
    setText(this.ssh, row.ssh ?? "");
    this.sshRow.hidden = !row.ssh || !row.verbs.includes("connect");
    this.reason.hidden = !this.reason.textContent;
    this.reason.title = [row.reason, this.advice.textContent].filter(Boolean).join(": ");
  }

  showSaid(row, pending) {
    const { said, busy } = row;
    const text = pending ? W.sentWaitingForThe : busy ? busy.text : (said?.text ?? "");
    this.said.hidden = text === "";
    this.said.dataset.level = pending || busy ? "busy" : (said?.level ?? "");
    this.said.lastChild.hidden = Boolean(pending || busy);
    this.busySince = pending || !busy ? null : busy.since;
    this.saidText = text;
    setText(this.said.firstChild, text);
    this.said.firstChild.title = text;
  }

  showButtons(row, before, disabled) {
    const verbs = firstVerbs(row, this.few);
    if (!before || firstVerbs(before, this.few).join() !== verbs.join()) {
      this.buttons.replaceChildren(
        ...verbs.map((verb) =>
          clickable(VERBS[verb].text, (event) => this.act(this.row, verb, event.currentTarget), {
            "data-verb": verb,
          })
        ),
      );
    }
    for (const button of [...this.buttons.children, this.dots]) button.disabled = disabled;
    this.ends.disabled = disabled || !row.verbs.includes("extend");
    this.dots.hidden = row.verbs.length === 0;
    this.dots.setAttribute("aria-label", W.moreFor(nameOf(row)));
  }

  // What changes with the time alone.
  tick(now) {
    const { row } = this;
    setText(this.since, row.state === "gone" ? "" : span(now - row.since));
    this.since.title = W.inThisStateFor;
    setText(this.age, row.started ? span(now - row.started) : DASH);
    this.age.title = W.sinceItWasCreated;
    this.live.tick(now);
    this.ends.hidden = row.deadline === null || row.state === "gone";
    const left = (row.deadline ?? 0) - now;
    setText(this.ends, left > 0 ? W.endsIn(span(left)) : W.pastItsDeadlineBy(span(-left)));
    this.ends.classList.toggle("vnb-late", left <= 0);
    if (this.busySince !== null) {
      setText(this.said.firstChild, `${this.saidText} · ${span(now - this.busySince)}`);
    }
  }
}

export class MachineList {
  constructor(hooks) {
    this.hooks = hooks;
    this.views = new Map();
    this.order = [];
    this.rows = [];
    this.filter = "all";
    this.hover = false;
    this.head = h(
      "div",
      { class: "vnb-mhead", "aria-hidden": "true" },
      ...[W.state, W.machine, W.gpu, W.age, W.gpuLoad, W.price, W.soFar, ""].map((text) =>
        h("span", { text })
      ),
    );
    this.list = h("div", { class: "vnb-list", role: "list" });
    this.empty = h("div", { class: "vnb-nothing", hidden: true }, h("strong"), h("span"));
    this.node = h(
      "div",
      { class: "vnb-machines", tabindex: 0, role: "group", "aria-label": W.machines },
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
        view.node.setAttribute("role", "listitem");
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
    let seen = 0;
    for (const row of this.rows) {
      const show = this.passes(row);
      this.views.get(row.id).node.hidden = !show;
      if (show) seen += 1;
    }
    this.head.hidden = seen === 0;
    this.node.classList.toggle("vnb-void", seen === 0);
    return seen;
  }

  passes(row) {
    if (this.filter === "all") return true;
    return this.filter === "trouble" ? row.rank === 0 : row.state === this.filter;
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
