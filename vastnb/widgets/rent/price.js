// The right half of the rent form: what it costs, term by term, what to know, and the confirmation.
import { W } from "./words.js";
import { fill } from "./controls.js";
import { dollars, exact, span } from "../kit/words.js";
import { clickable, h, setText } from "../kit/dom.js";

// A click on 'Rent' counts only when somebody can have read what it does.
const ARMED_MS = 450;
const QUIET_MS = 2000;

// What stands at the top: the rate and what it is for, terms (`[label, how, value, sum]`), and
// below them the most that is approved.
function planned({ price, values }) {
  const many = price.count > 1;
  const bid = price.at_most ? W.atMost : "";
  const terms = price.terms.map(({ label, how, usd }) => [label, how, dollars(usd)]);
  const sum = (label, usd) => terms.push([label, `${price.hours} h${bid}`, dollars(usd), true]);
  if (terms.length) {
    sum(many ? W.firstMachine : W.total, price.total);
    if (many) sum(W.allOf(price.count).replace(/^./, (first) => first.toUpperCase()), price.total_all);
  }
  return {
    rate: `${exact(many ? price.dph_all : price.dph)}/h`,
    rateNote: W.whatFor(bid, price.count, values.disk),
    terms,
    most: price.max_dph === null ? "" : W.youApprove(exact(price.max_dph), many),
  };
}

// A machine that starts pays for its disk alone.
function billed({ bill, price, machines }) {
  const there = machines.filter((one) => one.state !== "gone" && one.dph_run);
  const less = bill.now < bill.full - 1e-9 ? W.onceAllRun(exact(bill.full)) : "";
  const end = bill.until === null
    ? [W.noDeadline, W.billsUntilDestroyed, "", true]
    : [W.untilTheDeadline, span(bill.hours * 3600), dollars(bill.until), true];
  return {
    rate: `${exact(bill.now)}/h`,
    rateNote: W.billedNowFor(there.length, less),
    terms: [...there.map((one) => [`${one.id}`, one.state, `${exact(one.dph)}/h`]), end],
    most: price.max_dph === null ? "" : W.youApprovedUpTo(exact(price.max_dph)),
  };
}

// All have gone: what they came to.
function received(gone) {
  const ran = ({ seconds }) => seconds === null ? "" : W.ranFor(span(seconds));
  return {
    rate: dollars(gone.reduce((total, { receipt }) => total + (receipt.usd ?? 0), 0)),
    rateNote: W.inTotalFor(gone.length),
    terms: gone.map(({ gpu, id, receipt }) => [gpu || String(id), ran(receipt), dollars(receipt.usd)]),
    most: W.theInvoiceInThe,
  };
}

const term = ([label, how, value, sum]) => [
  h(sum ? "dt.vnb-sum" : "dt", h("span", label), h("small", how)),
  h(sum ? "dd.vnb-sum" : "dd", value),
];

const MARKS = { bad: W.carefulMark, warn: W.noteMark, info: "" };
const warning = ({ level, text }) =>
  h(
    "li",
    { "data-level": level },
    h("i.vnb-sign", { "aria-hidden": "true" }, level === "info" ? "i" : "!"),
    h("span", h("span.vnb-hidden", MARKS[level]), h("span", text)),
  );

export function rentPanel({ say, kernelTime, signal }) {
  let confirmation = null;
  let clicked = null;
  let armedAt = 0;
  let quiet = 0;

  const rate = h("b.vnb-rate");
  const rateNote = h("span.vnb-ratenote");
  const terms = h("dl.vnb-terms");
  const most = h(".vnb-most");
  const guard = h(".vnb-most");
  const warnings = h("ul.vnb-warnings", { "aria-label": W.warnings });
  const note = h(".vnb-rentnote", { role: "status" });
  const onReview = () => goToWrong() || say({ type: "review" });
  const review = clickable(W.reviewAndRent, onReview, { class: "vnb-primary" });
  const rent = clickable("", () => confirm(), { class: "vnb-primary vnb-rentgo" });
  const back = clickable(W.back, () => say({ type: "back" }));
  const asked = h("ul.vnb-asked");
  const onkeydown = (event) => {
    // A key that is held down repeats: it must not run from one step into the next.
    if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
    if (event.key === "Escape" && !back.disabled) say({ type: "back" });
  };
  const question = h(
    ".vnb-question",
    { role: "group", "aria-label": W.confirm, hidden: true, onkeydown },
    h("strong", W.rentNow),
    asked,
    h(".vnb-actions", rent, back),
  );
  const more = h(".vnb-actions");
  const node = h(
    "aside.vnb-panel.vnb-rentpanel",
    { "aria-label": W.price },
    h(".vnb-pricehead", rate, rateNote),
    h(".vnb-pricebody", terms, most, guard, warnings),
    h(".vnb-pricefoot", note, review, question, more),
  );
  signal.addEventListener("abort", () => clearTimeout(quiet));

  // `settled` says whether the price is for what was typed last.
  function show(state, settled) {
    const { phase, bill, machines } = state;
    const ended = phase === "rented";
    const gone = machines.filter((one) => one.receipt);
    const top = ended && bill ? billed(state) : ended && gone.length ? received(gone) : planned(state);
    setText(rate, top.rate);
    setText(rateNote, top.rateNote);
    fill(terms, top.terms, term);
    setText(most, top.most);
    setText(guard, ended && !bill ? "" : state.guard);
    const known = state.has_key ? state.warnings : [{ level: "bad", text: W.noKey }, ...state.warnings];
    fill(warnings, known, warning);
    warnings.hidden = ended || phase === "renting" || !known.length;
    setText(note, state.note);
    note.hidden = !state.note;
    review.hidden = phase !== "plan";
    review.disabled = !settled || !state.offers.length || !state.has_key;
    setText(review, settled || !state.offers.length ? W.reviewAndRent : W.calculating);
    showQuestion(state);
    showMore(state);
  }

  // Puts the focus on what keeps the order from being reviewed; says whether there is something.
  function goToWrong() {
    const said = [...node.closest(".vnb-root").querySelectorAll(".vnb-wrong:not(:empty)")];
    const field = said.find((one) => one.checkVisibility())?.closest(".vnb-field");
    const bad = field?.querySelector("input:not(:disabled), textarea:not(:disabled)");
    bad?.focus();
    return Boolean(bad);
  }

  function showQuestion(state) {
    const { confirm: next, values, price, offers: [first] } = state;
    const fresh = next && confirmation?.token !== next.token;
    const had = question.matches(":focus-within");
    confirmation = next;
    question.hidden = !next;
    node.classList.toggle("vnb-asking", Boolean(next));
    if (!next) {
      clearTimeout(quiet);
      if (had && !review.hidden) review.focus({ preventScroll: true });
    }
    if (!fresh) return;
    armedAt = performance.now() + ARMED_MS;
    const lines = [
      W.whichMachines(next.count, first.gpu, first.id, state.offers_count),
      W.upToEach(exact(next.max_dph), values.disk),
      W.aboutInAll(dollars(price.total_all), values.hours, values.download_gb || values.upload_gb),
      state.guard || W.noLimitSet,
    ];
    const careful = state.warnings.filter((one) => one.level === "bad").slice(0, 2);
    asked.replaceChildren(
      ...lines.map((text) => h("li", text)),
      ...careful.map(({ text }) => h("li.vnb-careful", W.carefulOf(text))),
    );
    setText(rent, next.count > 1 ? W.rentMachines(next.count) : W.rentNowButton);
    rent.disabled = back.disabled = false;
    rent.focus({ preventScroll: true });
  }

  function confirm() {
    if (!confirmation || clicked === confirmation.token || performance.now() < armedAt) return;
    clicked = confirmation.token;
    rent.disabled = back.disabled = true;
    setText(rent, W.sent);
    say({ type: "confirm", ...confirmation, at: kernelTime() });
    quiet = setTimeout(() => {
      setText(note, W.theKernelIsBusy);
      note.hidden = false;
    }, QUIET_MS);
  }

  // Nothing else is sent as long as it is not known whether a machine exists.
  function showMore({ phase, machines, outcome }) {
    const there = machines.filter((one) => one.state !== "gone").length;
    const ways = [];
    if (phase === "rented" && outcome?.action !== "find out") {
      ways.push([machines.length ? W.rentAnother : W.changeAndTryAgain, "back"]);
    }
    if (phase === "plan" && machines.length) ways.push([W.showMachines(there), "machines"]);
    fill(more, ways, ([text, type]) => clickable(text, () => say({ type })));
    more.hidden = !ways.length;
  }

  return { node, show };
}
