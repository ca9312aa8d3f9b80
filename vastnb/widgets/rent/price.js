// The right half of the rent form: what it costs, term by term, what to know, and the confirmation.
import { W } from "./words.js";
import { dollars, exact, span } from "../kit/words.js";
import { clickable, h, setText } from "../kit/dom.js";

// A click on 'Rent' counts only when somebody can have read what it does.
const ARMED_MS = 450;
const QUIET_MS = 2000;

export class RentPanel {
  constructor({ say, kernelTime, signal }) {
    this.say = say;
    this.kernelTime = kernelTime;
    this.clicked = null;
    this.armedAt = 0;
    this.rate = h("b", { class: "vnb-rate" });
    this.rateNote = h("span", { class: "vnb-ratenote" });
    this.terms = h("dl", { class: "vnb-terms" });
    this.most = h("div", { class: "vnb-most" });
    this.guard = h("div", { class: "vnb-most" });
    this.warnings = h("ul", { class: "vnb-warnings", "aria-label": W.warnings });
    this.note = h("div", { class: "vnb-rentnote", role: "status" });
    this.review = clickable(W.reviewAndRent, () => this.goToWrong() || this.say({ type: "review" }), {
      class: "vnb-primary",
    });
    this.rent = h("button", {
      type: "button",
      class: "vnb-primary vnb-rentgo",
      onclick: () => this.confirm(),
    });
    this.back = clickable(W.back, () => this.say({ type: "back" }));
    this.asked = h("ul", { class: "vnb-asked" });
    this.question = h(
      "div",
      { class: "vnb-question", role: "group", "aria-label": W.confirm, hidden: true },
      h("strong", { text: W.rentNow }),
      this.asked,
      h("div", { class: "vnb-actions" }, this.rent, this.back),
    );
    this.question.addEventListener("keydown", (event) => {
      // A key that is held down repeats: it must not run from one step into the next.
      if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
      if (event.key === "Escape" && !this.back.disabled) this.say({ type: "back" });
    });
    this.more = h("div", { class: "vnb-actions" });
    this.node = h(
      "aside",
      { class: "vnb-panel vnb-rentpanel", "aria-label": W.price },
      h("div", { class: "vnb-pricehead" }, this.rate, this.rateNote),
      h("div", { class: "vnb-pricebody" }, this.terms, this.most, this.guard, this.warnings),
      h("div", { class: "vnb-pricefoot" }, this.note, this.review, this.question, this.more),
    );
    signal.addEventListener("abort", () => clearTimeout(this.quiet));
  }

  show(state, { settled }) {
    const { phase } = state;
    const gone = state.machines.filter((one) => one.receipt);
    if (phase === "rented" && state.bill) this.showBilling(state);
    else if (phase === "rented" && gone.length) this.showReceipt(gone);
    else this.showPrice(state);
    this.showWarnings(state);
    const over = phase === "rented" && !state.bill;
    setText(this.guard, over ? "" : state.guard);
    this.guard.hidden = over || !state.guard;
    setText(this.note, state.note ?? "");
    this.note.hidden = !state.note;
    this.review.hidden = phase !== "plan";
    this.review.disabled = !settled || !state.offers.length || !state.has_key;
    setText(this.review, settled || !state.offers.length ? W.reviewAndRent : W.calculating);
    this.showQuestion(state);
    this.showMore(state);
  }

  // Puts the focus on what keeps the order from being reviewed; says whether there is something.
  goToWrong() {
    const said = [...this.node.closest(".vnb-root").querySelectorAll(".vnb-wrong:not(:empty)")].find((one) =>
      one.checkVisibility()
    );
    const bad = said?.closest(".vnb-field")?.querySelector("input:not(:disabled), textarea:not(:disabled)");
    bad?.focus();
    return Boolean(bad);
  }

  showPrice(state) {
    const { price, values } = state;
    const many = price.count > 1;
    setText(this.rate, `${exact(many ? price.dph_all : price.dph)}/h`);
    const bid = price.at_most ? W.atMost : "";
    setText(
      this.rateNote,
      W.whatFor(bid, price.count, values.disk),
    );
    const rows = price.terms.map(({ label, how, usd }) => [label, how, dollars(usd)]);
    if (price.terms.length) {
      rows.push([many ? W.firstMachine : W.total, `${price.hours} h${bid}`, dollars(price.total), "vnb-sum"]);
      if (many) {
        rows.push([
          W.allOf(price.count).replace(/^./, (first) => first.toUpperCase()),
          `${price.hours} h${bid}`,
          dollars(price.total_all),
          "vnb-sum",
        ]);
      }
    }
    this.setTerms(rows);
    setText(
      this.most,
      price.max_dph === null ? "" : W.youApprove(exact(price.max_dph), many),
    );
    this.most.hidden = price.max_dph === null;
  }

  // A machine that starts pays for its disk alone.
  showBilling(state) {
    const { bill, price } = state;
    const billing = state.machines.filter((one) => one.state !== "gone" && one.dph_run);
    setText(this.rate, `${exact(bill.now)}/h`);
    const less = bill.now < bill.full - 1e-9 ? W.onceAllRun(exact(bill.full)) : "";
    setText(this.rateNote, W.billedNowFor(billing.length, less));
    const rows = billing.map((one) => [`${one.id}`, one.state, `${exact(one.dph)}/h`]);
    if (bill.until !== null) {
      rows.push([W.untilTheDeadline, span(bill.hours * 3600), dollars(bill.until), "vnb-sum"]);
    } else rows.push([W.noDeadline, W.billsUntilDestroyed, "", "vnb-sum"]);
    this.setTerms(rows);
    setText(this.most, price.max_dph === null ? "" : W.youApprovedUpTo(exact(price.max_dph)));
  }

  // All have gone: what they came to.
  showReceipt(gone) {
    const known = gone.filter((one) => one.receipt.usd !== null);
    setText(this.rate, dollars(known.reduce((total, one) => total + one.receipt.usd, 0)));
    setText(
      this.rateNote,
      W.inTotalFor(gone.length),
    );
    this.setTerms(
      gone.map((
        one,
      ) => [
        one.gpu || String(one.id),
        one.receipt.seconds === null ? "" : W.ranFor(span(one.receipt.seconds)),
        dollars(one.receipt.usd),
      ]),
    );
    setText(this.most, W.theInvoiceInThe);
  }

  setTerms(rows) {
    const key = JSON.stringify(rows);
    if (key === this.termsKey) return;
    this.termsKey = key;
    this.terms.replaceChildren(
      ...rows.flatMap(([label, how, value, name = ""]) => [
        h("dt", { class: name }, h("span", { text: label }), h("small", { text: how })),
        h("dd", { class: name, text: value }),
      ]),
    );
  }

  showWarnings({ warnings, phase, has_key: hasKey }) {
    const rows = hasKey ? [...warnings] : [{ level: "bad", text: W.noKey }, ...warnings];
    const key = JSON.stringify(rows);
    this.warnings.hidden = phase === "rented" || phase === "renting" || !rows.length;
    if (key === this.warningsKey) return;
    this.warningsKey = key;
    const words = { bad: W.carefulMark, warn: W.noteMark, info: "" };
    this.warnings.replaceChildren(
      ...rows.map(({ level, text }) =>
        h(
          "li",
          { "data-level": level },
          h("i", { class: "vnb-sign", "aria-hidden": "true", text: level === "info" ? "i" : "!" }),
          h("span", {}, h("span", { class: "vnb-hidden", text: words[level] }), h("span", { text })),
        )
      ),
    );
  }

  showQuestion(state) {
    const { confirm, values, price, offers_count: count } = state;
    const here = Boolean(confirm);
    const fresh = here && this.confirmation?.token !== confirm.token;
    this.confirmation = confirm;
    const had = this.question.contains(document.activeElement);
    this.question.hidden = !here;
    this.node.classList.toggle("vnb-asking", here);
    if (!here) {
      clearTimeout(this.quiet);
      if (had && !this.review.hidden) this.review.focus({ preventScroll: true });
      return;
    }
    if (!fresh) return;
    this.armedAt = performance.now() + ARMED_MS;
    const first = state.offers[0];
    const lines = [
      W.whichMachines(confirm.count, first.gpu, first.id, count),
      W.upToEach(exact(confirm.max_dph), values.disk),
      W.aboutInAll(dollars(price.total_all), values.hours, values.download_gb || values.upload_gb),
      state.guard || W.noLimitSet,
    ];
    const careful = state.warnings.filter((one) => one.level === "bad").slice(0, 2);
    this.asked.replaceChildren(
      ...lines.map((text) => h("li", { text })),
      ...careful.map(({ text }) => h("li", { class: "vnb-careful", text: W.carefulOf(text) })),
    );
    setText(this.rent, confirm.count > 1 ? W.rentMachines(confirm.count) : W.rentNowButton);
    this.rent.disabled = this.back.disabled = false;
    this.rent.focus({ preventScroll: true });
  }

  confirm() {
    const { confirmation } = this;
    if (!confirmation || this.clicked === confirmation.token || performance.now() < this.armedAt) return;
    this.clicked = confirmation.token;
    this.rent.disabled = this.back.disabled = true;
    setText(this.rent, W.sent);
    this.say({ type: "confirm", ...confirmation, at: this.kernelTime() });
    this.quiet = setTimeout(() => {
      setText(
        this.note,
        W.theKernelIsBusy,
      );
      this.note.hidden = false;
    }, QUIET_MS);
  }

  // Nothing else is sent as long as it is not known whether a machine exists.
  showMore({ phase, machines, outcome }) {
    const open = outcome?.action === "find out";
    const there = machines.filter((one) => one.state !== "gone").length;
    const key = `${phase} ${there} ${open}`;
    if (key === this.moreKey) return;
    this.moreKey = key;
    const button = (text, type) => clickable(text, () => this.say({ type }));
    const parts = [];
    if (phase === "rented" && !open) {
      parts.push(button(machines.length ? W.rentAnother : W.changeAndTryAgain, "back"));
    }
    if (phase === "plan" && machines.length) {
      parts.push(button(W.showMachines(there), "machines"));
    }
    this.more.replaceChildren(...parts);
    this.more.hidden = !parts.length;
  }
}
