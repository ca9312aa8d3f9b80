// The controls of the rent form. Python reads what is typed and says what is wrong with it, so a
// control only shows a value, tells when somebody changes it, and stands by while it is typed in.
import { W } from "./words.js";
import { field } from "../kit/fields.js";
import { combobox } from "../kit/combobox.js";
import { clickable, freshId, h, setText, textInput } from "../kit/dom.js";

const PAUSE_MS = 250;

// Draws a list, `draw(row, at, rows)` for each row, unless it says the same as before.
const drawn = new WeakMap();
export function fill(node, rows, draw) {
  const key = JSON.stringify(rows);
  if (drawn.get(node) === key) return;
  drawn.set(node, key);
  node.replaceChildren(...rows.flatMap(draw));
}

// Tells a little after the last key, or at once when the field is left.
function told(input, onChange) {
  let timer = 0;
  let last = null;
  const now = () => {
    clearTimeout(timer);
    timer = 0;
    if (input.value === last) return;
    last = input.value;
    onChange(input.value);
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(now, PAUSE_MS);
  });
  input.addEventListener("change", now);
  input.addEventListener("blur", () => timer && now());
  if (input.tagName === "INPUT") input.addEventListener("keydown", (event) => event.key === "Enter" && now());
  return {
    get typing() {
      return input.matches(":focus") || timer !== 0;
    },
    // The kernel has refused what it was told: whatever comes next is told, even what is shown.
    refused() {
      last = null;
    },
    shown(text) {
      last = text;
      if (input.value !== text) input.value = text;
    },
  };
}

// A labelled control, and below it what is wrong with it.
function labelled(label, control, extra) {
  const wrong = h("span.vnb-wrong", { id: freshId("error"), role: "alert" });
  const node = field(label, control, extra);
  node.append(wrong);
  return { node, wrong, error: (text) => setText(wrong, text ?? "") };
}

// Uncovers what is secret: `onLook(seen)` is told whether it may be seen now.
function eye(onLook) {
  const look = () => {
    const seen = button.ariaPressed !== "true";
    button.ariaPressed = String(seen);
    setText(button, seen ? W.hide : W.show);
    onLook(seen);
  };
  const button = clickable(W.show, look, { class: "vnb-link vnb-eye", "aria-pressed": "false" });
  return button;
}

// A line of text or a number with its unit.
export function entry(label, { unit, hint, title, mono }, onChange) {
  const input = textInput({
    class: mono ? "vnb-input vnb-mono" : "vnb-input",
    placeholder: hint,
    title,
    "aria-label": label,
  });
  const mark = unit ? h("span.vnb-unitmark", { "aria-hidden": "true" }, unit) : null;
  const hints = h("span.vnb-hints");
  const box = h(unit ? ".vnb-rentry.vnb-united" : ".vnb-rentry", input, mark);
  const { node, wrong, error } = labelled(label, box, hints);
  input.setAttribute("aria-describedby", wrong.id);
  const state = told(input, onChange);
  return {
    node,
    input,
    set(value) {
      if (!state.typing) state.shown(String(value ?? ""));
    },
    error(text) {
      if (text) state.refused();
      error(text);
      input.ariaInvalid = String(Boolean(text));
    },
    // Values worth choosing, each a click.
    suggest(values, show) {
      const take = (value) => {
        state.shown(value);
        onChange(value);
      };
      fill(
        hints,
        values,
        (value) => clickable(show(value), () => take(String(value)), { class: "vnb-chipbutton" }),
      );
    },
  };
}

// One out of many (`{ value, text, note }`), by typing; `onChange(null)` for none.
export function single(label, { hint }, onChange) {
  let options = [];
  let chosen = null;
  const show = () => {
    input.value = chosen?.text ?? "";
    clear.hidden = !chosen;
  };
  const take = (option) => {
    chosen = option;
    show();
    onChange(option?.value ?? null);
  };
  const { input, list, refresh } = combobox(label, {
    hint,
    find(typed) {
      const wanted = typed === chosen?.text ? "" : typed.toLowerCase();
      return options.filter(({ text, note }) => `${text} ${note}`.toLowerCase().includes(wanted)).slice(
        0,
        60,
      );
    },
    none: () => options.length ? W.noSuchTemplate : W.noTemplatesLoaded,
    onPick: take,
    onClose: show,
  });
  const onclick = () => {
    take(null);
    input.focus();
  };
  const attributes = { class: "vnb-clear", hidden: true, "aria-label": W.noneOf(label.toLowerCase()) };
  const clear = clickable("×", onclick, attributes);
  input.classList.add("vnb-input");
  input.addEventListener("focus", () => input.select());
  return {
    node: field(label, h(".vnb-rentry.vnb-single", input, clear, list)),
    set(option) {
      chosen = option;
      if (!input.matches(":focus")) show();
    },
    offer(next) {
      options = next;
      refresh();
    },
  };
}

// Names with secret values. A value goes to the kernel and does not come back unless somebody asks
// to see it: `was` tells the kernel which value to keep under a name that changed.
export function secrets(label, { onChange, onReveal }) {
  let rows = [];
  const addOne = () => addRow("", false, true);
  const add = clickable(W.addOne, addOne, { class: "vnb-link", "aria-label": W.addAVariable });
  const empty = clickable(W.noVariablesAddOne, addOne, { class: "vnb-ghost" });
  const list = h(".vnb-secrets", empty);
  const { node, error } = labelled(label, list, add);
  const tell = () =>
    onChange(
      rows.map(({ name, value, was, touched }) => ({
        name: name.value.trim(),
        value: touched ? value.value : null,
        was,
      })),
    );
  const addRow = (text, kept, fresh) => {
    const name = textInput({
      class: "vnb-input vnb-mono",
      value: text,
      placeholder: W.variable,
      "aria-label": W.variablesName,
    });
    const value = textInput({
      type: "password",
      class: "vnb-input vnb-mono",
      placeholder: kept ? W.kept : "value",
      "aria-label": W.variablesValue,
      autocomplete: "new-password",
      "data-1p-ignore": true,
      "data-lpignore": true,
    });
    const row = { name, value, was: text, touched: fresh };
    const look = eye((seen) => {
      value.type = seen ? "text" : "password";
      if (seen && !row.touched) onReveal(row.was);
    });
    const remove = () => {
      rows = rows.filter((other) => other !== row);
      line.remove();
      tell();
      add.focus();
    };
    const gone = clickable("×", remove, { class: "vnb-clear", "aria-label": W.removeTheVariable });
    const line = h(".vnb-secret", name, h(".vnb-rentry.vnb-secretvalue", value, look), gone);
    const flags = () => {
      const port = name.value.trim().startsWith("-");
      value.disabled = look.hidden = port;
      value.toggleAttribute("data-port", port);
      if (port) value.placeholder = W.noValueNeeded;
    };
    told(name, () => {
      flags();
      tell();
    });
    told(value, () => {
      row.touched = true;
      tell();
    });
    rows.push(row);
    list.append(line);
    flags();
    if (fresh) name.focus();
  };
  return {
    node,
    error,
    // Only another set of names is drawn anew, and never under somebody's hands.
    set(values) {
      const names = values.map(({ name }) => name);
      const mine = rows.map((row) => row.name.value.trim()).filter(Boolean);
      if (JSON.stringify(names) === JSON.stringify(mine)) {
        for (const row of rows) row.was = row.name.value.trim() || row.was;
        return;
      }
      if (list.matches(":focus-within")) return;
      rows = [];
      list.replaceChildren(empty);
      for (const { name, set } of values) addRow(name, set, false);
    },
    reveal(text, name) {
      for (const row of rows) {
        if (row.was === name && !row.touched && row.value.type === "text") row.value.value = text;
      }
    },
  };
}

// A script that may hold secrets: covered unless somebody writes in it or asks to see it.
export function script(label, { hint, onChange, onReveal }) {
  let kept = 0;
  let touched = false;
  const paint = () => {
    look.hidden = !area.value && !kept;
    area.placeholder = kept && !area.value ? W.keptInTheKernel(kept) : hint;
  };
  const ask = () => {
    if (!touched && !area.value) onReveal();
  };
  const area = h("textarea.vnb-input.vnb-mono.vnb-script", {
    rows: 2,
    placeholder: hint,
    spellcheck: "false",
    autocomplete: "off",
    oninput: paint,
    // What the page does not have must not be typed over unseen.
    onfocus: () => kept && ask(),
  });
  const look = eye((seen) => seen && ask());
  const { node, error } = labelled(label, area, look);
  node.classList.add("vnb-scriptfield");
  const state = told(area, (text) => {
    touched = true;
    onChange(text);
  });
  return {
    node,
    error,
    set(lines) {
      kept = lines;
      if (!lines && !state.typing) state.shown("");
      paint();
    },
    reveal(text) {
      if (!touched) state.shown(text);
      paint();
    },
  };
}
