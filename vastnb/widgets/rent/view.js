// The rent form. The kernel sends its whole picture after every change, and this draws it; what is
// typed goes the other way, numbered, so that the page knows whether the price it shows is the one
// for what is typed. Nothing of it is part of the widget's synced state.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { RentFields } from "./fields.js";
import { RentPanel } from "./price.js";
import { RentProgress } from "./progress.js";
import { copyText } from "../kit/fields.js";
import { rendered, rootIn } from "../kit/page.js";
import { clickable, h, setText } from "../kit/dom.js";
/** @import { FromKernel, ToKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

class RentView {
  /**
   * @param {Model<ToKernel>} model
   * @param {HTMLElement} el
   * @param {AbortSignal} signal
   * @param {any} host
   */
  constructor(model, el, signal, host) {
    this.model = model;
    this.signal = signal;
    this.page = Math.random().toString(36).slice(2);
    this.seq = 0;
    this.offset = 0;
    this.root = rootIn(el, signal, { extra: "vnb-rentroot" });
    const say = (message) => this.say(message);
    const kernelTime = () => Date.now() / 1000 - this.offset;
    this.fields = new RentFields(say);
    this.panel = new RentPanel({ say, kernelTime, signal });
    this.progress = new RentProgress(model, host, { kernelTime, signal });
    this.build();
    const onMessage = (message) => this.take(message);
    model.on("msg:custom", onMessage);
    const timer = setInterval(() => this.progress.tick(), 1000);
    signal.addEventListener("abort", () => {
      model.off("msg:custom", onMessage);
      clearInterval(timer);
    });
    this.begin();
  }

  build() {
    this.title = h("strong", { class: "vnb-title" });
    this.simulated = h("span", {
      class: "vnb-badge",
      text: W.simulated,
      hidden: true,
      title: W.simulatedMarketNothingIs,
    });
    this.credit = h("span", { class: "vnb-credit" });
    this.back = clickable(W.offers, () => this.leave(), { class: "vnb-button vnb-tooffers" });
    this.noticeTitle = h("strong");
    this.noticeText = h("span");
    this.noticeHint = h("span", { class: "vnb-noticehint" });
    this.act = h("button", { type: "button", class: "vnb-button", onclick: () => this.doAction() });
    this.notice = h(
      "div",
      { class: "vnb-notice vnb-rentnotice", role: "alert", hidden: true },
      h("div", {}, this.noticeTitle, this.noticeText, this.noticeHint),
      this.act,
    );
    this.foundText = h("pre", { class: "vnb-foundtext" });
    this.found = h(
      "div",
      { class: "vnb-found", role: "status", hidden: true },
      this.foundText,
      clickable(W.hide, () => this.hideFound(), { class: "vnb-link" }),
    );
    this.empty = h(
      "div",
      { class: "vnb-rentempty", hidden: true },
      h("strong", { text: W.noOffers }),
      h("span", {
        text: W.passOffersToRent,
      }),
      h("code", { text: W.codeOfAQuery }),
      h("code", { text: W.codeOfAFrame }),
    );
    this.code = h("code", { class: "vnb-code", tabindex: 0 });
    this.copy = clickable(W.copyAsCode, () => copyText(this.copy, this.state?.code ?? ""), {
      class: "vnb-link",
    });
    this.left = h(
      "div",
      { class: "vnb-rentleft" },
      this.notice,
      this.found,
      this.empty,
      this.fields.node,
      this.progress.node,
    );
    this.shell = h(
      "div",
      { class: "vnb-rent" },
      h(
        "header",
        { class: "vnb-top" },
        this.back,
        this.title,
        this.simulated,
        h("div", { class: "vnb-fresh" }, this.credit),
      ),
      h("div", { class: "vnb-rentbody" }, this.left, this.panel.node),
      h("footer", { class: "vnb-foot" }, h("div", { class: "vnb-footline" }, this.code, this.copy)),
    );
    this.root.append(this.shell);
    this.shell.addEventListener("keydown", (event) => {
      if (
        event.key === "Escape" && this.state?.phase === "plan" && !event.defaultPrevented &&
        event.target === this.back
      ) this.leave();
    });
  }

  begin() {
    const { model, signal } = this;
    this.root.classList.add("vnb-unborn");
    this.alive = watchKernel(model, this.root, this.shell, {
      signal,
      name: W.theRentForm,
      more: W.aMachineThatWas,
    });
    try {
      model.send({ type: "ready" });
    } catch {
      // Without a kernel nothing comes back, and the note above says so.
    }
  }

  /** @param {import("./messages.d.ts").Said} message */
  say(message) {
    this.seq += 1;
    this.model.send({ at: Date.now() / 1000 - this.offset, ...message, page: this.page, seq: this.seq });
    if (this.state) this.panel.show(this.state, { settled: false });
  }

  /** @param {FromKernel} message */
  take(message) {
    if (message.type === "state") this.show(message);
    else if (message.type === "secret" && message.page === this.page) {
      if (message.field === "env") this.fields.controls.env.reveal(message.name, message.value);
      else this.fields.controls.onstart.reveal(message.value);
    }
  }

  show(state) {
    this.root.classList.remove("vnb-unborn");
    this.state = state;
    this.offset = Date.now() / 1000 - state.now;
    const { phase } = state;
    this.shell.dataset.phase = phase;
    const first = state.offers[0];
    setText(this.title, first ? this.titleOf(state, first.gpu) : W.rentAMachine);
    this.simulated.hidden = !state.simulated;
    const { credit } = state.account;
    setText(this.credit, credit === null ? "" : W.credit(credit.toFixed(2)));
    const planning = phase === "plan" || phase === "confirm";
    this.empty.hidden = !planning || state.offers.length > 0 || Boolean(state.outcome);
    this.fields.node.hidden = !planning || !state.offers.length;
    this.panel.node.hidden = planning && !state.offers.length && !state.machines.length;
    this.progress.node.hidden = planning;
    const settled = (state.acked?.[this.page] ?? 0) >= this.seq || this.seq === 0;
    this.fields.show(state);
    this.panel.show(state, { settled });
    if (!planning || state.machines.length) this.progress.show(state);
    this.showNotice(state);
    this.showFound(state.found);
    setText(this.code, oneLine(state.code));
    this.code.title = state.code;
    this.copy.hidden = !state.code;
  }

  titleOf({ phase, machines, run, values }, gpu) {
    const rented = phase === "rented" && machines.length > 0;
    const wanted = rented ? run?.count ?? machines.length : values.count;
    const verb = rented ? W.rented : phase === "renting" ? W.renting : W.rent;
    const many = rented && machines.length < wanted ? W.countOf(machines.length, wanted) : wanted;
    return wanted > 1 ? `${verb} ${many} × ${gpu.replace(/^1× /, "")}` : `${verb} ${gpu}`;
  }

  showNotice({ outcome, finding, has_key: hasKey }) {
    this.notice.hidden = !outcome;
    if (!outcome) return;
    this.notice.dataset.level = outcome.level;
    setText(this.noticeTitle, `${outcome.title}. `);
    setText(this.noticeText, outcome.text);
    setText(this.noticeHint, outcome.hint);
    const words = {
      "find out": finding ? W.findingOut : W.findOut,
      change: W.edit,
      again: W.tryAgain,
      search: W.searchAgain,
    };
    const text = words[outcome.action];
    this.action = outcome.action;
    setText(this.act, text ?? "");
    this.act.hidden = !text || !hasKey;
    this.act.disabled = finding;
  }

  doAction() {
    const types = {
      "find out": "find out",
      change: "back",
      again: this.state.offers.length ? "review" : "search",
      search: "search",
    };
    if (this.action === "again" && this.state.phase === "rented") this.say({ type: "back" });
    this.act.disabled = this.action === "find out";
    this.say({ type: types[this.action] });
  }

  showFound({ level, text }) {
    const key = `${level} ${text}`;
    if (key === this.foundKey) return;
    this.foundKey = key;
    this.found.hidden = !level;
    this.found.dataset.level = level;
    setText(this.foundText, text);
  }

  hideFound() {
    this.found.hidden = true;
  }

  leave() {
    this.root.dispatchEvent(new CustomEvent("vnb-leave", { bubbles: true }));
  }
}

// The call alone, without the imports before it.
function oneLine(code) {
  const call = code.slice(Math.max(0, code.indexOf("box =")));
  return call.replace(/\s*\n\s*/g, " ").replace("( ", "(").replace(/, \)$/, ")");
}

export default { render: rendered((model, el, signal, host) => new RentView(model, el, signal, host)) };
