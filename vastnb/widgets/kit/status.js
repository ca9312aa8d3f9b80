// The lines above and below: headline numbers, how old and from where, what went wrong, and the
// code that gives the same. Ages and waits tick in the page; the kernel is not asked for them.
import { W } from "./words.js";
import { ageText, DASH, grouped, usd } from "./words.js";
import { announcer, clickable, h, setText } from "./dom.js";
import { copyText } from "./fields.js";
/** @import { Status } from "./messages.d.ts" */

function figureText(value, form, truncated) {
  if (value === undefined || value === null) return DASH;
  if (form === "usd") return `${usd(value)}/h`;
  return `${grouped(value, 0)}${form === "more" && truncated ? "+" : ""}`;
}

export class StatusBars {
  constructor({ signal, onRefresh, onClear = null, onRent = null, onBell = null, title, figures }) {
    /** @type {Partial<Status>} */
    this.status = {};
    this.offset = 0;
    this.kinds = figures;
    this.onBell = onBell;
    this.build(title, onRefresh, onClear, onRent);
    const timer = setInterval(() => this.tick(), 1000);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  build(title, onRefresh, onClear, onRent) {
    const figure = (label) => {
      const value = h("b", { text: DASH });
      return { node: h("div", { class: "vnb-figure" }, value, h("span", { text: label })), value };
    };
    this.figures = this.kinds.map(([, label]) => figure(label));
    this.simulated = h("span", {
      class: "vnb-badge",
      text: W.simulated,
      hidden: true,
      title: W.simulatedMarketNoOffer,
    });
    this.dot = h("i", { class: "vnb-live", "aria-hidden": "true" });
    this.age = h("span", { class: "vnb-age" });
    this.refresh = clickable(W.refresh, onRefresh, { title: W.searchAgainNowPast });
    this.bell = clickable(W.alert, () => this.askBell(this.bellBox.hidden), {
      class: "vnb-button vnb-bellbutton",
      hidden: !this.onBell,
      title: W.tellMeWhenA,
      "aria-expanded": "false",
    });
    this.buildBell();
    this.rent = clickable(W.rentOne, onRent, {
      class: "vnb-button vnb-rentbutton",
      disabled: true,
      hidden: !onRent,
    });
    this.top = h(
      "header",
      { class: "vnb-top" },
      h("strong", { class: "vnb-title", text: title }),
      ...this.figures.map(({ node }) => node),
      h(
        "div",
        { class: "vnb-fresh" },
        this.simulated,
        h("span", { class: "vnb-freshtext" }, this.dot, this.age),
        this.refresh,
        this.bell,
        this.rent,
      ),
    );
    this.noticeTitle = h("strong");
    this.noticeText = h("span");
    this.noticeCode = h("pre");
    this.retry = clickable(W.tryAgain, onRefresh);
    this.hide = clickable(W.hide, () => this.hideNotice(), { class: "vnb-link" });
    this.notice = h(
      "div",
      { class: "vnb-notice", role: "alert", hidden: true },
      h("div", {}, this.noticeTitle, this.noticeText, this.noticeCode),
      this.retry,
      this.hide,
    );
    this.warn = h("span", { class: "vnb-warn" });
    this.line = h("span", { class: "vnb-line" });
    this.announcer = announcer();
    this.picked = h("span", { class: "vnb-picked" });
    this.clear = clickable(W.clear, onClear, { class: "vnb-link", hidden: true });
    this.code = h("code", { class: "vnb-code", tabindex: 0, title: W.thisCodeGivesThe });
    this.copy = clickable(W.copy, () => copyText(this.copy, this.code.textContent, this.code), {
      class: "vnb-link",
    });
    this.foot = h(
      "footer",
      { class: "vnb-foot" },
      h(
        "div",
        { class: "vnb-footline" },
        this.warn,
        this.line,
        h("span", { class: "vnb-selection" }, this.picked, this.clear),
      ),
      h("div", { class: "vnb-footline" }, this.code, this.copy),
      this.announcer.node,
    );
  }

  // Asking for a price below which to be told, and the alerts that are set.
  buildBell() {
    this.below = h("input", {
      type: "text",
      class: "vnb-below",
      inputmode: "decimal",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": W.priceOfTheAlert,
    });
    const set = () => {
      const price = Number(this.below.value.replace(/[$,\s]|\/h/g, ""));
      this.below.classList.toggle("vnb-invalid", !(price > 0));
      if (!(price > 0)) return;
      this.onBell({ below: price });
      this.askBell(false);
    };
    this.below.addEventListener("keydown", (event) => {
      if (event.key === "Enter") set();
      if (event.key === "Escape") this.askBell(false);
    });
    this.bellBox = h(
      "div",
      { class: "vnb-bellbox", hidden: true },
      h("span", { text: W.tellMeWhenASearch }),
      this.below,
      h("span", { text: "/h" }),
      clickable(W.setAlert, set),
      clickable(W.cancel, () => this.askBell(false), { class: "vnb-link" }),
    );
    this.bells = h("div", { class: "vnb-bells", hidden: true });
  }

  askBell(open) {
    this.bellBox.hidden = !open;
    this.bell.setAttribute("aria-expanded", String(open));
    if (!open) return this.bell.focus({ preventScroll: true });
    const { figures } = this.status;
    const from = figures?.cheapest;
    this.below.value = from ? String(Number((from * 0.9).toPrecision(2))) : "";
    this.below.focus();
    this.below.select();
    return undefined;
  }

  showBells(bells) {
    const key = JSON.stringify(bells);
    if (key === this.bellsKey) return;
    this.bellsKey = key;
    this.bells.hidden = !bells.length;
    this.bells.replaceChildren(
      ...bells.map(({ number, text, price, hits, last }) =>
        h(
          "span",
          { class: hits ? "vnb-bell vnb-rang" : "vnb-bell", title: text },
          h("span", {
            text: hits ? W.alertBelowFoundLast(price, hits, last) : W.alertSetBelow(price),
          }),
          clickable(W.stop, () => this.onBell({ stop: number }), {
            class: "vnb-link",
            "aria-label": W.stopTheAlertFor(text),
          }),
        )
      ),
    );
  }

  /** @param {Status} status */
  show(status) {
    this.status = status;
    this.kinds.forEach(([name, , form], i) => {
      setText(this.figures[i].value, figureText(status.figures?.[name], form, status.truncated));
    });
    this.simulated.hidden = !status.simulated;
    setText(this.code, status.code ?? "");
    this.code.title = status.code ?? "";
    this.showBells(status.bells ?? []);
    const problem = status.problem;
    const key = problem ? `${problem.kind}: ${problem.title} ${problem.text}` : "";
    if (key !== this.noticeKey) {
      this.noticeKey = key;
      this.notice.hidden = !problem;
      setText(this.noticeTitle, problem ? `${problem.title} ` : "");
      const [first, ...rest] = (problem?.text ?? "").split("\n");
      setText(this.noticeText, first);
      setText(this.noticeCode, rest.join("\n"));
      this.noticeCode.hidden = rest.length === 0;
      this.retry.hidden = !problem?.retry;
    }
    this.tick();
  }

  hideNotice() {
    this.notice.hidden = true;
  }

  selection(count, hidden) {
    setText(
      this.picked,
      count ? W.selected(grouped(count, 0), hidden) : "",
    );
    this.clear.hidden = count === 0;
    setText(this.rent, count > 1 ? W.rentMany(grouped(count, 0)) : W.rentOne);
    this.rent.disabled = count === 0;
    this.rent.title = count === 0 ? W.selectAnOfferFirst : W.opensTheRentForm;
  }

  tick() {
    const { status } = this;
    const now = Date.now() / 1000 - this.offset;
    const { busy } = status;
    const parts = [];
    const warnings = [];
    let mood = "good";
    if (status.answer_query !== undefined && status.fetched_at) {
      const { shown, answer } = status.figures;
      parts.push(
        shown === answer ? W.offers(grouped(answer, 0)) : W.ofOffers(grouped(shown, 0), grouped(answer, 0)),
      );
      parts.push(status.answer_query ? W.from(status.answer_query) : W.fromTheWholeMarket);
      if (status.truncated) {
        warnings.push("Vast.ai returned only part of the offers: narrow the filters to see them all");
        mood = "warn";
      }
      if (status.stale) {
        warnings.push(`Stale: ${status.stale_reason || "Vast.ai could not be reached"}`);
        mood = "warn";
      } else if (status.from_cache) parts.push("from the cache");
      if (status.quota) {
        const { used, limit } = status.quota;
        parts.push(`${grouped(used, 0)} of ${grouped(limit, 0)} rows of today's quota used`);
      }
    }
    if (status.problem) mood = "bad";
    let age = status.fetched_at ? ageText(now - status.fetched_at) : W.noOffersYet;
    if (busy) {
      mood = "busy";
      const left = busy.until ? Math.ceil(busy.until - now) : 0;
      const passed = Math.floor(now - busy.since);
      if (left > 0) age = W.waiting(left);
      else age = passed >= 2 ? W.searchingFor(passed) : "searching";
    }
    setText(this.age, age);
    this.dot.dataset.mood = mood;
    this.refresh.disabled = Boolean(busy);
    setText(this.warn, warnings.join(" · "));
    this.warn.title = this.warn.textContent;
    const text = parts.join(" · ");
    if (parts.length && !busy) this.announcer.say([...warnings, parts[0]].join(". "));
    setText(this.line, text);
    this.line.title = text;
  }
}
