// The controls of the rent form. Python reads what is typed and says what is wrong with it, so a
// control only shows a value, tells when somebody changes it, and stands by while it is typed in.
import { W } from "./words.js";
import { field, segments } from "../kit/fields.js";
import { clickable, freshId, h, setText } from "../kit/dom.js";

const PAUSE_MS = 250;

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
      return document.activeElement === input || timer !== 0;
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

// A line of text or a number with its unit, and below it what is wrong with it.
export function entry(label, { unit = "", hint = "", mono = false, title = null, chips = false }, onChange) {
  const errorId = freshId("error");
  const input = h("input", {
    type: "text",
    class: mono ? "vnb-input vnb-mono" : "vnb-input",
    placeholder: hint,
    title,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": label,
    "aria-describedby": errorId,
  });
  const wrong = h("span", { class: "vnb-wrong", id: errorId, role: "alert" });
  const offers = chips ? h("span", { class: "vnb-hints" }) : null;
  const box = h(
    "div",
    { class: unit ? "vnb-rentry vnb-united" : "vnb-rentry" },
    input,
    unit ? h("span", { class: "vnb-unitmark", text: unit, "aria-hidden": "true" }) : null,
  );
  const node = field(label, box, offers);
  node.append(wrong);
  const state = told(input, onChange);
  let key = "";
  return {
    node,
    input,
    set(value) {
      if (!state.typing) state.shown(value === null || value === undefined ? "" : String(value));
    },
    error(text) {
      if (text) state.refused();
      setText(wrong, text ?? "");
      input.setAttribute("aria-invalid", String(Boolean(text)));
    },
    // Values worth choosing, each a click.
    suggest(values, show) {
      if (JSON.stringify(values) === key) return;
      key = JSON.stringify(values);
      offers.replaceChildren(
        ...values.map((value) =>
          clickable(show(value), () => {
            state.shown(String(value));
            onChange(String(value));
          }, { class: "vnb-chipbutton" })
        ),
      );
    },
    disable(off) {
      input.disabled = off;
      for (const chip of offers?.children ?? []) chip.disabled = off;
    },
  };
}

export function choice(label, choices, onChange) {
  const { node, set } = segments(label, choices, onChange);
  return {
    node,
    set,
    error() {},
    disable(off) {
      for (const button of node.querySelectorAll("button")) button.disabled = off;
    },
  };
}

// One out of many, by typing; `onChange(null)` for none.
export function single(label, { hint }, onChange) {
  let options = [];
  let chosen = null;
  let listed = [];
  let at = 0;
  const listId = freshId("pick");
  const input = h("input", {
    type: "text",
    class: "vnb-input",
    role: "combobox",
    placeholder: hint,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": label,
    "aria-expanded": "false",
    "aria-controls": listId,
    "aria-autocomplete": "list",
  });
  const clear = clickable("×", null, {
    class: "vnb-clear",
    hidden: true,
    "aria-label": W.noneOf(label.toLowerCase()),
  });
  const list = h("ul", {
    class: "vnb-options",
    role: "listbox",
    id: listId,
    hidden: true,
    tabindex: -1,
    "aria-label": label,
  });
  const box = h("div", { class: "vnb-rentry vnb-single" }, input, clear, list);
  const show = () => {
    input.value = chosen ? chosen[1] : "";
    clear.hidden = !chosen || input.disabled;
  };
  const close = () => {
    list.hidden = true;
    at = 0;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    show();
  };
  const take = (option) => {
    chosen = option;
    close();
    onChange(option);
  };
  const point = () => {
    [...list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    if (listed.length) input.setAttribute("aria-activedescendant", `${listId}-${at}`);
  };
  const open = () => {
    const wanted = chosen && input.value === chosen[1] ? "" : input.value.trim().toLowerCase();
    listed = options.filter(([, name, image]) => `${name} ${image}`.toLowerCase().includes(wanted)).slice(
      0,
      60,
    );
    at = Math.min(at, Math.max(0, listed.length - 1));
    list.replaceChildren(
      ...listed.map((option, i) => {
        const row = h(
          "li",
          { role: "option", id: `${listId}-${i}` },
          h("span", { text: option[1] }),
          h("span", { class: "vnb-count", text: option[2] }),
        );
        row.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          take(option);
        });
        return row;
      }),
    );
    if (!listed.length) {
      list.append(
        h("li", { class: "vnb-optnone", text: options.length ? W.noSuchTemplate : W.noTemplatesLoaded }),
      );
    }
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    point();
  };
  clear.addEventListener("click", () => {
    take(null);
    input.focus();
  });
  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", open);
  input.addEventListener("input", () => {
    at = 0;
    open();
  });
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) open();
      else if (listed.length) {
        at = (at + (event.key === "ArrowDown" ? 1 : -1) + listed.length) % listed.length;
      }
      point();
    } else if (event.key === "Enter") {
      if (!list.hidden && listed[at]) take(listed[at]);
      else open();
    } else if (event.key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const node = field(label, box);
  return {
    node,
    set(option) {
      chosen = option;
      if (document.activeElement !== input) show();
    },
    offer(next) {
      options = next;
      if (!list.hidden) open();
    },
    error() {},
    disable(off) {
      input.disabled = off;
      clear.hidden = off || !chosen;
    },
  };
}

const eyes = { true: W.hide, false: W.show };

// Names with secret values. A value goes to the kernel and does not come back unless somebody asks
// to see it: `was` tells the kernel which value to keep under a name that changed.
export function secrets(label, { onChange, onReveal }) {
  let rows = [];
  let off = false;
  const list = h("div", { class: "vnb-secrets" });
  const add = clickable(W.addOne, () => addRow("", false, true), {
    class: "vnb-link",
    "aria-label": W.addAVariable,
  });
  const node = h(
    "div",
    { class: "vnb-field" },
    h("div", { class: "vnb-fieldhead" }, h("span", { class: "vnb-fieldlabel", text: label }), add),
    list,
  );
  const wrong = h("span", { class: "vnb-wrong", role: "alert" });
  node.append(wrong);
  const empty = clickable(W.noVariablesAddOne, () => addRow("", false, true), { class: "vnb-ghost" });
  const tell = () =>
    onChange(
      rows.map(({ name, value, was, touched }) => ({
        name: name.value.trim(),
        value: touched ? value.value : null,
        was,
      })),
    );
  const addRow = (text, kept, fresh) => {
    const name = h("input", {
      type: "text",
      class: "vnb-input vnb-mono",
      value: text,
      placeholder: W.variable,
      "aria-label": W.variablesName,
      autocomplete: "off",
      spellcheck: "false",
    });
    const value = h("input", {
      type: "password",
      class: "vnb-input vnb-mono",
      placeholder: kept ? W.kept : "value",
      "aria-label": W.variablesValue,
      autocomplete: "new-password",
      spellcheck: "false",
      "data-1p-ignore": true,
      "data-lpignore": true,
    });
    const eye = clickable(W.show, null, { class: "vnb-link vnb-eye", "aria-pressed": "false" });
    const gone = clickable("×", null, { class: "vnb-clear", "aria-label": W.removeTheVariable });
    const row = { name, value, eye, gone, was: text, touched: fresh };
    row.node = h(
      "div",
      { class: "vnb-secret" },
      name,
      h("div", { class: "vnb-rentry vnb-secretvalue" }, value, eye),
      gone,
    );
    const flags = () => {
      const port = name.value.trim().startsWith("-");
      value.disabled = off || port;
      eye.hidden = port;
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
    eye.addEventListener("click", () => {
      const seen = value.type === "password";
      value.type = seen ? "text" : "password";
      setText(eye, eyes[seen]);
      eye.setAttribute("aria-pressed", String(seen));
      if (seen && !row.touched) onReveal(row.was);
    });
    gone.addEventListener("click", () => {
      rows = rows.filter((other) => other !== row);
      row.node.remove();
      empty.hidden = rows.length > 0;
      tell();
      add.focus();
    });
    rows.push(row);
    list.append(row.node);
    empty.hidden = true;
    flags();
    if (fresh) name.focus();
    return row;
  };
  list.append(empty);
  return {
    node,
    // Only another set of names is drawn anew, and never under somebody's hands.
    set(values) {
      const names = values.map(({ name }) => name);
      const mine = rows.map((row) => row.name.value.trim()).filter(Boolean);
      if (JSON.stringify(names) === JSON.stringify(mine)) {
        for (const row of rows) if (row.name.value.trim()) row.was = row.name.value.trim();
        return;
      }
      if (list.contains(document.activeElement)) return;
      rows = [];
      list.replaceChildren(empty);
      for (const { name, set } of values) addRow(name, set, false);
      empty.hidden = rows.length > 0;
    },
    reveal(name, text) {
      for (const row of rows) {
        if (row.was === name && !row.touched && row.value.type === "text") row.value.value = text;
      }
    },
    error: (text) => setText(wrong, text ?? ""),
    disable(next) {
      off = next;
      add.disabled = empty.disabled = off;
      for (const row of rows) for (const part of [row.name, row.value, row.gone]) part.disabled = off;
    },
  };
}

// A script that may hold secrets: covered unless somebody writes in it or asks to see it.
export function script(label, { hint, onChange, onReveal }) {
  const area = h("textarea", {
    class: "vnb-input vnb-mono vnb-script",
    rows: 2,
    placeholder: hint,
    "aria-label": label,
    spellcheck: "false",
    autocomplete: "off",
  });
  const eye = clickable(W.show, null, { class: "vnb-link", hidden: true, "aria-pressed": "false" });
  const wrong = h("span", { class: "vnb-wrong", role: "alert" });
  const node = h(
    "div",
    { class: "vnb-field vnb-scriptfield" },
    h("div", { class: "vnb-fieldhead" }, h("span", { class: "vnb-fieldlabel", text: label }), eye),
    area,
    wrong,
  );
  let seen = false;
  let kept = 0;
  let touched = false;
  const paint = () => {
    area.classList.toggle("vnb-covered", !seen && document.activeElement !== area);
    eye.hidden = !area.value && !kept;
    setText(eye, eyes[seen]);
    eye.setAttribute("aria-pressed", String(seen));
    area.placeholder = kept && !area.value ? W.keptInTheKernel(kept) : hint;
  };
  const state = told(area, (text) => {
    touched = true;
    onChange(text);
  });
  for (const type of ["focus", "blur", "input"]) area.addEventListener(type, paint);
  // What the page does not have must not be typed over unseen.
  area.addEventListener("focus", () => kept && !area.value && !touched && onReveal());
  eye.addEventListener("click", () => {
    seen = !seen;
    paint();
    if (seen && !touched && !area.value) onReveal();
  });
  return {
    node,
    set(lines) {
      kept = lines;
      if (!lines && !state.typing) state.shown("");
      paint();
    },
    reveal(text) {
      if (!touched) state.shown(text);
      paint();
    },
    error: (text) => setText(wrong, text ?? ""),
    disable(off) {
      area.disabled = off;
    },
  };
}
