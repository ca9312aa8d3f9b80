// The lines above and below: headline numbers, how old and from where, what went wrong, and the
// code that gives the same. Ages and waits tick in the page; the kernel is not asked for them.
import { ageText, DASH, grouped, usd, W } from "./words.js";
import { announcer, clickable, h, setText, textInput } from "./dom.js";
import { copyText } from "./fields.js";
/** @import { Status } from "./messages.d.ts" */

function figureText(value, form, truncated) {
  if (value === undefined || value === null) return DASH;
  if (form === "usd") return `${usd(value)}/h`;
  return `${grouped(value)}${form === "more" && truncated ? "+" : ""}`;
}

// Asking for a price below which to be told, and the alerts that are set.
function alertsOf(onBell, cheapest) {
  let shownKey = "[]";
  const below = textInput({ class: "vnb-below", inputmode: "decimal", "aria-label": W.priceOfTheAlert });
  const button = clickable(W.alert, () => ask(box.hidden), {
    class: "vnb-button vnb-bellbutton",
    title: W.tellMeWhenA,
    "aria-expanded": "false",
  });
  const set = () => {
    const price = Number(below.value.replace(/[$,\s]|\/h/g, ""));
    below.classList.toggle("vnb-invalid", !(price > 0));
    if (!(price > 0)) return;
    onBell({ below: price });
    ask(false);
  };
  below.addEventListener("keydown", ({ key }) => {
    if (key === "Enter") set();
    if (key === "Escape") ask(false);
  });
  const box = h(
    ".vnb-bellbox",
    { hidden: true },
    h("span", W.tellMeWhenASearch),
    below,
    h("span", "/h"),
    clickable(W.setAlert, set),
    clickable(W.cancel, () => ask(false), { class: "vnb-link" }),
  );
  const list = h(".vnb-bells", { hidden: true });
  const ask = (open) => {
    box.hidden = !open;
    button.ariaExpanded = String(open);
    if (!open) return button.focus({ preventScroll: true });
    const from = cheapest();
    below.value = from ? String(Number((from * 0.9).toPrecision(2))) : "";
    below.focus();
    return below.select();
  };
  const show = (bells) => {
    const key = JSON.stringify(bells);
    if (key === shownKey) return;
    shownKey = key;
    list.hidden = !bells.length;
    list.replaceChildren(
      ...bells.map(({ number, text, price, hits, last }) =>
        h(
          "span",
          { class: hits ? "vnb-bell vnb-rang" : "vnb-bell", title: text },
          h("span", hits ? W.alertBelowFoundLast(price, hits, last) : W.alertSetBelow(price)),
          clickable(W.stop, () => onBell({ stop: number }), {
            class: "vnb-link",
            "aria-label": W.stopTheAlertFor(text),
          }),
        )
      ),
    );
  };
  return { button, box, list, show };
}

// `figures` are the headline numbers: name in `status.figures`, label, form.
export function statusBars({ signal, title, figures, onRefresh, onBell, onClear = null, onRent = null }) {
  /** @type {Partial<Status>} */
  let status = {};
  let offset = 0;
  let noticeKey = "";

  const values = figures.map(() => h("b", DASH));
  const simulated = h("span.vnb-badge", { hidden: true, title: W.simulatedMarketNoOffer }, W.simulated);
  const dot = h("i.vnb-live", { "aria-hidden": "true" });
  const age = h("span.vnb-age");
  const refresh = clickable(W.refresh, onRefresh, { title: W.searchAgainNowPast });
  const alerts = alertsOf(onBell, () => status.figures?.cheapest);
  const rent = clickable(W.rentOne, onRent, {
    class: "vnb-button vnb-rentbutton",
    disabled: true,
    hidden: !onRent,
  });
  const top = h(
    "header.vnb-top",
    h("strong.vnb-title", title),
    ...figures.map(([, label], i) => h(".vnb-figure", values[i], h("span", label))),
    h(".vnb-fresh", simulated, h("span.vnb-freshtext", dot, age), refresh, alerts.button, rent),
  );
  const noticeTitle = h("strong");
  const noticeText = h("span");
  const noticeCode = h("pre");
  const retry = clickable(W.tryAgain, onRefresh);
  const notice = h(
    ".vnb-notice",
    { role: "alert", hidden: true },
    h("div", noticeTitle, noticeText, noticeCode),
    retry,
    clickable(W.hide, () => notice.hidden = true, { class: "vnb-link" }),
  );
  const warn = h("span.vnb-warn");
  const line = h("span.vnb-line");
  const announced = announcer();
  const picked = h("span.vnb-picked");
  const clear = clickable(W.clear, onClear, { class: "vnb-link", hidden: true });
  const code = h("code.vnb-code", { tabindex: 0, title: W.thisCodeGivesThe });
  const copy = clickable(W.copy, () => copyText(copy, code.textContent, code), { class: "vnb-link" });
  const foot = h(
    "footer.vnb-foot",
    h(".vnb-footline", warn, line, h("span.vnb-selection", picked, clear)),
    h(".vnb-footline", code, copy),
    announced.node,
  );

  // `ahead` is by how many seconds this page's clock is ahead of the kernel's.
  /** @type {(next: Status, ahead: number) => void} */
  function show(next, ahead) {
    status = next;
    offset = ahead;
    figures.forEach(([name, , form], i) => {
      setText(values[i], figureText(status.figures?.[name], form, status.truncated));
    });
    simulated.hidden = !status.simulated;
    code.title = status.code ?? "";
    setText(code, code.title);
    alerts.show(status.bells ?? []);
    const { problem } = status;
    const key = problem ? `${problem.kind}: ${problem.title} ${problem.text}` : "";
    if (key !== noticeKey) {
      noticeKey = key;
      notice.hidden = !problem;
      const [first, ...rest] = (problem?.text ?? "").split("\n");
      setText(noticeTitle, problem ? `${problem.title} ` : "");
      setText(noticeText, first);
      setText(noticeCode, rest.join("\n"));
      noticeCode.hidden = !rest.length;
      retry.hidden = !problem?.retry;
    }
    tick();
  }

  function selection(count, hidden) {
    setText(picked, count ? W.selected(grouped(count), hidden) : "");
    clear.hidden = rent.disabled = count === 0;
    setText(rent, count > 1 ? W.rentMany(grouped(count)) : W.rentOne);
    rent.title = count ? W.opensTheRentForm : W.selectAnOfferFirst;
  }

  function tick() {
    const now = Date.now() / 1000 - offset;
    const { busy } = status;
    const parts = [];
    const warnings = [];
    if (status.answer_query !== undefined && status.fetched_at) {
      const [shown, answer] = [status.figures.shown, status.figures.answer].map((n) => grouped(n));
      parts.push(shown === answer ? W.offers(answer) : W.ofOffers(shown, answer));
      parts.push(status.answer_query ? W.from(status.answer_query) : W.fromTheWholeMarket);
      if (status.truncated) warnings.push(W.onlyPart);
      if (status.stale) warnings.push(W.stale(status.stale_reason));
      else if (status.from_cache) parts.push(W.fromTheCache);
      if (status.quota) {
        parts.push(W.quotaUsed(grouped(status.quota.used), grouped(status.quota.limit)));
      }
    }
    let when = status.fetched_at ? ageText(now - status.fetched_at) : W.noOffersYet;
    if (busy) {
      const left = busy.until ? Math.ceil(busy.until - now) : 0;
      const passed = Math.floor(now - busy.since);
      when = left > 0 ? W.waiting(left) : W.searchingFor(passed);
    }
    setText(age, when);
    dot.dataset.mood = busy ? "busy" : status.problem ? "bad" : warnings.length ? "warn" : "good";
    refresh.disabled = Boolean(busy);
    warn.title = warnings.join(" · ");
    setText(warn, warn.title);
    if (parts.length && !busy) announced.say([...warnings, parts[0]].join(". "));
    line.title = parts.join(" · ");
    setText(line, line.title);
  }

  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return { top, bellBox: alerts.box, bells: alerts.list, notice, foot, rent, show, selection };
}
