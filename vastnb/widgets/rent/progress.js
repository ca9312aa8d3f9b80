// The left half of the rent form once it rents: what has happened, and the machines that came of it.
import { UNDER_A_CENT } from "../kit/words.js";
import { copyText } from "../kit/fields.js";
import { h, setText } from "../kit/dom.js";

const STAGES = ["Check price", "Rent", "Start", "Running"];
const STATE_WORDS = { destroying: "being destroyed" };

function clock(seconds) {
  const s = Math.max(0, seconds);
  return s < 10 ? `${s.toFixed(1)} s` : s < 600 ? `${Math.round(s)} s` : `${Math.round(s / 60)} min`;
}

function untilText(seconds) {
  if (seconds <= 0) return "now";
  if (seconds < 5400) return `in ${Math.ceil(seconds / 60)} min`;
  return `in ${(seconds / 3600).toFixed(1)} h`;
}

export class RentProgress {
  constructor({ say, kernelTime }) {
    this.say = say;
    this.kernelTime = kernelTime;
    this.cards = new Map();
    this.stages = STAGES.map((text) => h("li", {}, h("i", { "aria-hidden": "true" }), h("span", { text })));
    this.steps = h("ol", { class: "vnb-steps", "aria-label": "Log of this rental", "aria-live": "polite" });
    this.waiting = h("div", { class: "vnb-stepwait" });
    this.machines = h("div", { class: "vnb-rentedlist" });
    this.details = h(
      "details",
      { class: "vnb-history", open: true },
      h("summary", { text: "Log of this rental" }),
      this.steps,
    );
    this.node = h(
      "div",
      { class: "vnb-rentprogress" },
      h("ol", { class: "vnb-stages" }, ...this.stages),
      this.machines,
      this.waiting,
      this.details,
    );
  }

  show(state) {
    const { run, machines } = state;
    this.state = state;
    const up = machines.filter((one) => one.state === "running").length;
    const rented = machines.length;
    const sent = run?.steps.some((step) => !["checking"].includes(step.kind));
    let at = 0;
    if (sent) at = 1;
    if (rented) at = 2;
    if (rented && up === machines.filter((one) => one.state !== "gone").length) at = 4;
    const stopped = Boolean(run?.ended) && !rented;
    this.stages.forEach((stage, i) => {
      stage.dataset.state = i < at ? "done" : i === at ? (stopped ? "failed" : "now") : "next";
      if (i === at && !stopped) stage.setAttribute("aria-current", "step");
      else stage.removeAttribute("aria-current");
    });
    this.showSteps(run, rented);
    this.showMachines(machines);
    this.tick();
  }

  showSteps(run, rented) {
    const steps = run?.steps ?? [];
    const before = this.steps.children.length;
    if (this.run !== run?.began) this.steps.replaceChildren();
    this.run = run?.began;
    while (this.steps.children.length > steps.length) this.steps.lastChild.remove();
    for (const step of steps.slice(this.steps.children.length)) {
      const words = { good: "Good: ", warn: "Note: ", bad: "Careful: " };
      this.steps.append(
        h(
          "li",
          { "data-level": step.level },
          h("i", { "aria-hidden": "true" }),
          h("span", { class: "vnb-stepat", text: clock(step.at - run.began) }),
          h(
            "span",
            { class: "vnb-steptext" },
            h("span", { class: "vnb-hidden", text: words[step.level] ?? "" }),
            h("span", { text: step.text }),
          ),
        ),
      );
    }
    if (this.steps.children.length !== before) this.steps.lastChild?.scrollIntoView?.({ block: "nearest" });
    if (rented && !this.folded) {
      this.folded = true;
      this.details.open = rented < 3 || steps.some((step) => step.level === "warn");
    }
    this.details.hidden = !steps.length;
  }

  // What passes by itself: called every second.
  tick() {
    const run = this.state?.run;
    if (!run) {
      this.waiting.hidden = true;
      return;
    }
    const now = this.kernelTime();
    const left = run.waits_until ? Math.ceil(run.waits_until - now) : 0;
    const busy = !run.ended;
    setText(
      this.waiting,
      left > 0
        ? `Waiting ${left} s for Vast.ai's rate limit`
        : busy
        ? `Renting, ${clock(now - run.began)}`
        : "",
    );
    this.waiting.hidden = !busy;
    for (const card of this.cards.values()) card.tick(now);
  }

  showMachines(machines) {
    const ids = new Set(machines.map((one) => one.id));
    for (const [id, card] of this.cards) {
      if (!ids.has(id)) {
        card.node.remove();
        this.cards.delete(id);
      }
    }
    for (const one of machines) {
      let card = this.cards.get(one.id);
      if (!card) {
        card = new MachineCard(one.id, this.say, this.kernelTime);
        this.cards.set(one.id, card);
        this.machines.append(card.node);
      }
      card.show(one);
    }
  }

  jupyter(message) {
    this.cards.get(message.id)?.jupyter(message);
  }
}

// What ran, how long, and what it cost.
function receiptText({ receipt, reason }) {
  if (!receipt) return reason;
  const { seconds, usd } = receipt;
  const ran = seconds === null
    ? "Ended"
    : `Ran ${
      seconds < 5400 ? `${Math.max(1, Math.round(seconds / 60))} min` : `${(seconds / 3600).toFixed(1)} h`
    }`;
  const cost = usd === null
    ? "cost unknown"
    : usd > 0 && usd < 0.01
    ? `cost ${UNDER_A_CENT} (estimate)`
    : `cost about $${usd.toFixed(2)} (estimate)`;
  return `${ran}; ${cost}. Nothing is billed any more.`;
}

class MachineCard {
  constructor(id, say, kernelTime) {
    this.id = id;
    this.say = say;
    this.kernelTime = kernelTime;
    this.state = h("b", { class: "vnb-state" });
    this.title = h("span", { class: "vnb-cardtitle" });
    this.price = h("span", { class: "vnb-cardprice" });
    this.later = h("button", {
      type: "button",
      class: "vnb-button vnb-later",
      text: "+1 h…",
      hidden: true,
      title: "Extend the deadline by 1 hour",
      onclick: () => this.ask("extend"),
    });
    this.reason = h("span", { class: "vnb-cardreason", role: "status" });
    this.bar = h("div", { class: "vnb-loading", role: "progressbar", "aria-label": "Starting" }, h("i"));
    this.ssh = h("code", { class: "vnb-sshline", tabindex: 0, "aria-label": "SSH command" });
    this.copySsh = h("button", {
      type: "button",
      class: "vnb-button vnb-copyssh",
      text: "Copy",
      onclick: () => copyText(this.copySsh, this.ssh.textContent),
    });
    this.sshRow = h("div", { class: "vnb-sshrow", hidden: true }, this.ssh, this.copySsh);
    this.config = h("pre", { class: "vnb-config" });
    this.copyConfig = h("button", {
      type: "button",
      class: "vnb-link",
      text: "Copy",
      onclick: () => copyText(this.copyConfig, this.config.textContent),
    });
    this.configBox = h(
      "div",
      { class: "vnb-configbox", hidden: true },
      h(
        "div",
        { class: "vnb-fieldhead" },
        h("span", { class: "vnb-fieldlabel", text: "For ~/.ssh/config" }),
        this.copyConfig,
      ),
      this.config,
    );
    this.showConfig = h("button", {
      type: "button",
      class: "vnb-button",
      text: "SSH config",
      "aria-expanded": "false",
      onclick: () => this.toggleConfig(),
    });
    this.askJupyter = h("button", {
      type: "button",
      class: "vnb-button",
      text: "Jupyter link",
      title: "Contains a token: anyone who has it can run code there",
      onclick: () => this.asksJupyter(),
    });
    this.link = h("span", { class: "vnb-rjupyter", role: "status" });
    this.end = h("button", {
      type: "button",
      class: "vnb-button vnb-rdanger",
      text: "Destroy…",
      onclick: () => this.ask("destroy"),
    });
    this.sure = h("button", {
      type: "button",
      class: "vnb-button vnb-rdanger",
      onclick: () => this.act(),
    });
    this.keep = h("button", {
      type: "button",
      class: "vnb-button",
      text: "Keep",
      onclick: () => this.ask(null),
    });
    this.question = h("span", { class: "vnb-actions", hidden: true }, this.sure, this.keep);
    this.question.addEventListener("keydown", (event) => {
      if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
      if (event.key === "Escape") this.ask(null);
    });
    this.trouble = h("div", { class: "vnb-trouble", role: "alert", hidden: true });
    this.buttons = h(
      "div",
      { class: "vnb-actions" },
      this.showConfig,
      this.askJupyter,
      this.link,
      h("span", { class: "vnb-fill" }),
      this.end,
      this.question,
    );
    this.node = h(
      "article",
      { class: "vnb-rented", "aria-label": `Instance ${id}` },
      h("div", { class: "vnb-cardhead" }, this.state, this.title, this.price, this.later),
      h("div", { class: "vnb-cardline" }, this.reason),
      this.bar,
      this.sshRow,
      this.configBox,
      this.trouble,
      this.buttons,
    );
  }

  show(one) {
    this.one = one;
    this.node.dataset.mood = one.mood;
    setText(this.state, STATE_WORDS[one.state] ?? one.state);
    setText(this.title, [`Instance ${one.id}`, one.gpu, one.where].filter(Boolean).join(" · "));
    const gone = one.state === "gone";
    const advice = one.advice && !gone ? `. ${one.advice}.` : "";
    setText(
      this.reason,
      one.state === "destroying"
        ? "Confirming that it stays destroyed"
        : gone
        ? receiptText(one)
        : `${one.reason}${advice}`,
    );
    this.reason.hidden = !gone && one.reason === one.state && !advice;
    this.later.hidden = !one.deadline || gone || one.ending;
    const layers = /(\d+) of (?:at least )?(\d+) layer/.exec(one.reason);
    const moving = one.state === "starting" || one.state === "destroying";
    this.bar.hidden = !moving;
    this.bar.classList.toggle("vnb-endless", !layers);
    if (layers) {
      const share = Math.min(100, (100 * Number(layers[1])) / Math.max(1, Number(layers[2])));
      this.bar.style.setProperty("--vnb-share", `${share}%`);
      this.bar.setAttribute("aria-valuenow", String(Math.round(share)));
    } else this.bar.removeAttribute("aria-valuenow");
    setText(this.ssh, one.ssh ?? "");
    this.sshRow.hidden = !one.ssh || gone;
    setText(this.config, one.config ?? "");
    this.showConfig.hidden = !one.config || gone;
    if (this.showConfig.hidden) this.configBox.hidden = true;
    this.askJupyter.hidden = !one.jupyter || gone;
    if (!one.jupyter) this.link.replaceChildren();
    this.end.hidden = one.ending || gone || !this.question.hidden;
    if (one.ending || gone) this.question.hidden = true;
    setText(this.trouble, one.trouble);
    this.trouble.hidden = !one.trouble;
    this.buttons.hidden = gone;
  }

  tick(now) {
    const { one } = this;
    const parts = [one.dph === null || one.state === "gone" ? null : `$${one.dph.toFixed(4)}/h`];
    if (one.deadline && one.state !== "gone") parts.push(`ends ${untilText(one.deadline - now)}`);
    setText(this.price, parts.filter(Boolean).join(" · "));
  }

  toggleConfig() {
    this.configBox.hidden = !this.configBox.hidden;
    this.showConfig.setAttribute("aria-expanded", String(!this.configBox.hidden));
  }

  asksJupyter() {
    this.askJupyter.disabled = true;
    setText(this.askJupyter, "Asking…");
    this.say({ type: "jupyter", id: this.id });
  }

  jupyter({ url, trouble }) {
    this.askJupyter.disabled = false;
    setText(this.askJupyter, "Jupyter link");
    if (!url || !/^https?:\/\//.test(url)) {
      this.link.replaceChildren(h("span", { text: trouble || "No link yet." }));
      return;
    }
    const copy = h("button", {
      type: "button",
      class: "vnb-link",
      text: "Copy",
      onclick: () => copyText(copy, url),
    });
    this.link.replaceChildren(
      h("a", { href: url, target: "_blank", rel: "noopener noreferrer", text: "Open Jupyter" }),
      copy,
    );
  }

  // Asks before something is done to the machine; `null` asks nothing any more.
  ask(kind) {
    const opener = this.asked === "extend" ? this.later : this.end;
    this.asked = kind;
    const cost = this.one.dph === null ? "" : ` for about $${this.one.dph.toFixed(2)}`;
    setText(this.sure, kind === "extend" ? `Extend by 1 h${cost}` : "Destroy it and its disk");
    setText(this.keep, kind === "extend" ? "Cancel" : "Keep");
    this.sure.classList.toggle("vnb-rdanger", kind === "destroy");
    this.question.hidden = !kind;
    this.end.hidden = Boolean(kind);
    (kind ? this.keep : opener).focus();
  }

  act() {
    // The next picture shows the buttons again, if the machine is still there.
    this.question.hidden = true;
    this.say({ type: this.asked, id: this.id, at: this.kernelTime() });
  }
}
