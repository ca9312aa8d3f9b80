// The rent form. The kernel sends its whole picture after every change, and this draws it; what is
// typed goes the other way, numbered, so that the page knows whether the price it shows is the one
// for what is typed. Nothing of it is part of the widget's synced state.
import { W } from "./words.js";
import { watchKernel } from "../kit/alive.js";
import { rentFields } from "./fields.js";
import { rentPanel } from "./price.js";
import { rentProgress } from "./progress.js";
import { copyText } from "../kit/fields.js";
import { listen, rendered, rootIn, sent } from "../kit/page.js";
import { clickable, h, setText } from "../kit/dom.js";
/** @import { FromKernel, Said, State, ToKernel } from "./messages.d.ts" */
/** @import { Model } from "../kit/messages.d.ts" */

// What the form can do about what went wrong: the button's words, and what it says to the kernel.
const ACTIONS = {
  "find out": [W.findOut, "find out"],
  change: [W.edit, "back"],
  again: [W.tryAgain, "review"],
  search: [W.searchAgain, "search"],
};

/**
 * @param {Model<ToKernel>} model
 * @param {HTMLElement} el
 * @param {AbortSignal} signal
 * @param {any} host
 */
function rentView(model, el, signal, host) {
  const page = Math.random().toString(36).slice(2);
  let seq = 0;
  let offset = 0;
  /** @type {State | null} */
  let state = null;

  const kernelTime = () => Date.now() / 1000 - offset;
  /** @type {(message: Said) => void} */
  const say = (message) => {
    seq += 1;
    model.send({ at: kernelTime(), ...message, page, seq });
    if (state) panel.show(state, false);
  };
  const fields = rentFields(say);
  const panel = rentPanel({ say, kernelTime, signal });
  const progress = rentProgress(model, host, { kernelTime, signal });

  const leave = () => root.dispatchEvent(new CustomEvent("vnb-leave", { bubbles: true }));
  const back = clickable(W.offers, leave, { class: "vnb-button vnb-tooffers" });
  const title = h("strong.vnb-title");
  const simulated = h("span.vnb-badge", { hidden: true, title: W.simulatedMarketNothingIs }, W.simulated);
  const credit = h("span.vnb-credit");
  const noticeTitle = h("strong");
  const noticeText = h("span");
  const noticeHint = h("span.vnb-noticehint");
  const act = clickable("", () => doAction());
  const notice = h(
    ".vnb-notice.vnb-rentnotice",
    { role: "alert", hidden: true },
    h("div", noticeTitle, noticeText, noticeHint),
    act,
  );
  const foundText = h("pre.vnb-foundtext");
  const hide = clickable(W.hide, () => found.hidden = true, { class: "vnb-link" });
  const found = h(".vnb-found", { role: "status", hidden: true }, foundText, hide);
  const empty = h(
    ".vnb-rentempty",
    { hidden: true },
    h("strong", W.noOffers),
    h("span", W.passOffersToRent),
    h("code", W.codeOfAQuery),
    h("code", W.codeOfAFrame),
  );
  const code = h("code.vnb-code", { tabindex: 0 });
  const copy = clickable(W.copyAsCode, () => copyText(copy, state.code), { class: "vnb-link" });
  const left = h(".vnb-rentleft", notice, found, empty, fields.node, progress.node);
  const onkeydown = (event) => {
    const { key, target, defaultPrevented } = event;
    if (key === "Escape" && state?.phase === "plan" && !defaultPrevented && target === back) leave();
  };
  const shell = h(
    ".vnb-rent",
    { onkeydown },
    h("header.vnb-top", back, title, simulated, h(".vnb-fresh", credit)),
    h(".vnb-rentbody", left, panel.node),
    h("footer.vnb-foot", h(".vnb-footline", code, copy)),
  );
  const root = rootIn(el, signal, { extra: "vnb-rentroot" });
  root.append(shell);

  /** @type {(next: State) => void} */
  function show(next) {
    root.classList.remove("vnb-unborn");
    state = next;
    offset = Date.now() / 1000 - state.now;
    const { phase, offers, machines, account } = state;
    shell.dataset.phase = phase;
    setText(title, offers.length ? titleOf(state) : W.rentAMachine);
    simulated.hidden = !state.simulated;
    setText(credit, account.credit === null ? "" : W.credit(account.credit.toFixed(2)));
    const planning = phase === "plan" || phase === "confirm";
    empty.hidden = !planning || offers.length > 0 || Boolean(state.outcome);
    fields.node.hidden = !planning || !offers.length;
    panel.node.hidden = planning && !offers.length && !machines.length;
    progress.node.hidden = planning;
    fields.show(state);
    panel.show(state, (state.acked[page] ?? 0) >= seq);
    if (!planning || machines.length) progress.show(state);
    showNotice(state);
    showFound(state.found);
    setText(code, oneLine(state.code));
    code.title = state.code;
    copy.hidden = !state.code;
  }

  function showNotice({ outcome, finding, has_key: hasKey }) {
    notice.hidden = !outcome;
    if (!outcome) return;
    notice.dataset.level = outcome.level;
    setText(noticeTitle, `${outcome.title}. `);
    setText(noticeText, outcome.text);
    setText(noticeHint, outcome.hint);
    const [label] = ACTIONS[outcome.action] ?? [""];
    setText(act, finding && outcome.action === "find out" ? W.findingOut : label);
    act.hidden = !label || !hasKey;
    act.disabled = finding;
  }

  function doAction() {
    const { outcome: { action }, phase, offers } = state;
    if (action === "again" && phase === "rented") say({ type: "back" });
    act.disabled = action === "find out";
    say({ type: action === "again" && !offers.length ? "search" : ACTIONS[action][1] });
  }

  // Once it has been hidden, only something else is shown.
  function showFound({ level, text }) {
    if (found.dataset.level === level && foundText.textContent === text) return;
    found.dataset.level = level;
    setText(foundText, text);
    found.hidden = !level;
  }

  const onMessage = (/** @type {FromKernel} */ message) => {
    if (message.type === "state") show(message);
    else if (message.type === "secret" && message.page === page) fields.reveal(message);
  };
  listen(model, signal, { "msg:custom": onMessage });
  const timer = setInterval(progress.tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  root.classList.add("vnb-unborn");
  watchKernel(model, root, shell, { signal, name: W.theRentForm, more: W.aMachineThatWas });
  sent(model, { type: "ready" });
  return { root };
}

function titleOf({ phase, machines, run, values, offers }) {
  const { gpu } = offers[0];
  const rented = phase === "rented" && machines.length > 0;
  const wanted = rented ? run?.count ?? machines.length : values.count;
  const verb = rented ? W.rented : phase === "renting" ? W.renting : W.rent;
  const many = rented && machines.length < wanted ? W.countOf(machines.length, wanted) : wanted;
  return wanted > 1 ? `${verb} ${many} × ${gpu.replace(/^1× /, "")}` : `${verb} ${gpu}`;
}

// The call alone, without the imports before it.
function oneLine(code) {
  const call = code.slice(Math.max(0, code.indexOf("box =")));
  return call.replace(/\s*\n\s*/g, " ").replace("( ", "(").replace(/, \)$/, ")");
}

export default { render: rendered(rentView) };
