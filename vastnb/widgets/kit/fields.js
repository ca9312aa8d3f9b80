// Parts of forms: a labelled field, segments, a button that copies.
import { W } from "./words.js";
import { clickable, h, setText } from "./dom.js";

export function field(label, control, extra = null) {
  const head = h(".vnb-fieldhead", h("span.vnb-fieldlabel", label), extra);
  if (control.matches("input, textarea, [role]")) control.setAttribute("aria-label", label);
  return h(".vnb-field", head, control);
}

export function segments(label, choices, onChange) {
  const group = h(".vnb-segments", { role: "radiogroup" });
  let value;
  const buttons = choices.map(([choice, text, title]) =>
    clickable(text, () => pick(choice), { class: null, role: "radio", title })
  );
  group.append(...buttons);
  const show = () => {
    buttons.forEach((button, i) => {
      const here = choices[i][0] === value;
      button.ariaChecked = String(here);
      button.tabIndex = here ? 0 : -1;
    });
    if (!choices.some(([choice]) => choice === value)) buttons[0].tabIndex = 0;
  };
  const pick = (choice) => {
    value = choice;
    show();
    onChange(choice);
  };
  group.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const at = choices.findIndex(([choice]) => choice === value);
    const next = (at + step + choices.length) % choices.length;
    pick(choices[next][0]);
    buttons[next].focus();
    event.preventDefault();
  });
  const set = (next) => {
    value = next;
    show();
  };
  return { node: field(label, group), set };
}

// Copies a text; where the page may not, it selects what is `shown` of it.
export async function copyText(button, text, shown = null) {
  const label = button.dataset.label ?? button.textContent;
  button.dataset.label = label;
  try {
    await navigator.clipboard.writeText(text);
    setText(button, W.copied);
  } catch {
    if (shown) getSelection().selectAllChildren(shown);
    setText(button, W.pressCtrlC);
  }
  setTimeout(() => setText(button, label), 1600);
}
