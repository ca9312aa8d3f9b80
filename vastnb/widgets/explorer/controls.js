// The controls of the filter panel. Each shows a value, and tells `onChange` when somebody changes
// it; `set` shows another value without telling.
import { W } from "./words.js";
import { field } from "../kit/fields.js";
import { clickable, h, setText, textInput } from "../kit/dom.js";
import { combobox } from "../kit/combobox.js";

// A slider over sensible stops, and beside its label the value, which can also be typed. Its first
// or last stop may mean any value (`any` is "low" or "high").
export function stops(label, { values, any, show, read, hint, title }, onChange) {
  const ends = any === "low" ? [null, ...values] : any === "high" ? [...values, null] : values;
  let value = null;
  const input = textInput({
    class: "vnb-value",
    inputmode: "decimal",
    placeholder: hint,
    "aria-label": label,
    onfocus: () => input.select(),
    onchange: () => commit(),
    onkeydown: ({ key }) => {
      if (key === "Enter") commit();
      if (key === "Escape") write();
    },
  });
  const oninput = () => {
    value = ends[Number(slider.value)];
    write();
    onChange(value);
  };
  const slider = h("input", { type: "range", min: 0, max: ends.length - 1, step: 1, title, oninput });
  const written = () => value === null ? "" : show(value);
  const nearest = () => {
    const off = (end) => end === null ? Infinity : Math.abs(Math.log((end + 1e-9) / (value + 1e-9)));
    return value === null
      ? ends.indexOf(null)
      : ends.reduce((best, end, i) => off(end) < off(ends[best]) ? i : best, 0);
  };
  const paint = () => {
    slider.value = String(nearest());
    slider.style.setProperty("--vnb-fill", `${(100 * Number(slider.value)) / (ends.length - 1)}%`);
    slider.dataset.side = value === null || !any ? "none" : any;
    slider.ariaValueText = written() || hint;
    input.classList.remove("vnb-invalid");
  };
  const write = () => {
    input.value = written();
    paint();
  };
  const set = (next) => {
    value = next ?? null;
    if (input.matches(":focus")) paint();
    else write();
  };
  const commit = () => {
    const text = input.value.trim();
    const next = text === "" || text === hint ? (any ? null : values[0]) : read(text);
    if (next !== null && !(next >= 0 && Number.isFinite(next))) {
      input.classList.add("vnb-invalid");
      return;
    }
    const changed = next !== value;
    value = next;
    write();
    if (changed) onChange(value);
  };
  write();
  return { node: field(label, slider, input), set };
}

export function toggle(label, title, onChange) {
  const onclick = () => {
    const on = button.ariaChecked !== "true";
    set(on);
    onChange(on);
  };
  const attributes = { type: "button", role: "switch", title, onclick };
  const button = h("button.vnb-toggle", attributes, h("i", { "aria-hidden": "true" }), h("span", label));
  const set = (on) => button.ariaChecked = String(Boolean(on));
  set(false);
  return { node: button, set };
}

const squash = (text) => text.toLowerCase().replace(/[^a-z0-9]/g, "");

// What of the options (`[value, offers, name]`; without a name the value is shown) fits a text, best
// first; then all of them at once, or the text itself where nothing fits.
function matching(options, text) {
  const wanted = squash(text);
  const item = ([value, count, name = value]) => ({
    values: [value],
    text: name,
    note: String(count),
    title: count ? null : W.noneInThisResult,
  });
  if (!wanted) return options.filter(([, count]) => count > 0).slice(0, 60).map(item);
  const exact = ([value]) => squash(value) === wanted;
  const starts = ([value, , name = value]) =>
    [value, name].map(squash).some((word) =>
      word.startsWith(wanted) || word.replace(/^(rtx|gtx)/, "").startsWith(wanted)
    );
  const rank = (option) => 4 * Number(exact(option)) + 2 * Number(option[1] > 0) + Number(starts(option));
  const hits = options.filter(([value, , name = ""]) => squash(`${value} ${name}`).includes(wanted));
  hits.sort((a, b) => rank(b) - rank(a) || b[1] - a[1]);
  const listed = hits.slice(0, 60).map(item);
  const present = hits.filter(([, count]) => count > 0);
  if (present.length > 1 && !present.some(exact)) {
    const values = present.map(([value]) => value);
    const note = String(present.reduce((sum, [, count]) => sum + count, 0));
    listed.push({ values, text: W.allMatching(present.length), note, kind: "vnb-all" });
  }
  return listed.length ? listed : [{ values: [text], text: W.searchFor(text), note: "" }];
}

// Several out of many, by typing: the choices with how many offers each would show.
export function multiPick(label, { hint, noun }, onChange) {
  let options = [];
  let chosen = [];
  const { input, list, open, refresh } = combobox(label, {
    hint,
    find: (text) => matching(options.filter(([value]) => !chosen.includes(value)), text),
    onPick: ({ values }) => choose([...new Set([...chosen, ...values])]),
    onClose: () => input.value = "",
  });
  const chips = h("span.vnb-chips");
  const onpointerdown = (event) => {
    if (event.target.closest("button, input, ul")) return;
    event.preventDefault();
    input.focus();
  };
  const box = h(".vnb-multipick", { onpointerdown }, h(".vnb-picks", chips, input), list);
  const extra = h("span.vnb-fieldnote");
  const named = (value) => options.find(([other]) => other === value)?.[2] ?? value;
  const chip = (value) => {
    const drop = (event) => {
      event.stopPropagation();
      remove(value);
      input.focus();
    };
    const cross = clickable("×", drop, { class: null, "aria-label": W.remove(named(value)) });
    return h("span.vnb-chip", h("span", named(value)), cross);
  };
  const showChips = () => {
    chips.replaceChildren(...chosen.map(chip));
    input.placeholder = chosen.length ? "" : hint;
    box.classList.toggle("vnb-filled", chosen.length > 0);
  };
  const choose = (values) => {
    chosen = values;
    showChips();
    onChange([...chosen]);
    refresh();
  };
  const remove = (value) => choose(chosen.filter((other) => other !== value));
  input.addEventListener("focus", open);
  input.addEventListener("keydown", ({ key }) => {
    if (key === "Backspace" && input.value === "" && chosen.length) remove(chosen.at(-1));
  });
  return {
    node: field(label, box, extra),
    set(next) {
      chosen = [...next];
      showChips();
    },
    offer(next) {
      options = next;
      showChips();
      const present = next.filter(([, count]) => count > 0).length;
      setText(extra, present ? `${present} ${present === 1 ? noun[0] : noun[1]}` : "");
      refresh();
    },
  };
}

export function queryField(label, { hint, title }, onChange) {
  let sent = "";
  const commit = () => {
    if (input.value.trim() === sent) return;
    sent = input.value.trim();
    onChange(sent);
  };
  const onkeydown = ({ key }) => key === "Enter" && commit();
  const attributes = { class: "vnb-query vnb-mono", placeholder: hint, title, onchange: commit, onkeydown };
  const input = textInput(attributes);
  return {
    node: field(label, input),
    set(text) {
      sent = text;
      if (!input.matches(":focus")) input.value = text;
    },
    mark(wrong) {
      input.classList.toggle("vnb-invalid", wrong);
    },
  };
}
