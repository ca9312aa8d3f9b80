// A text entry with a list below it: what is typed says what is listed, keys or a click pick from it.
import { freshId, h, textInput } from "./dom.js";

// `find(text)` gives what is listed, as `{ text, note, title, kind }`; `onPick` gets one of these.
// `none()` may say why nothing is listed, and `onClose()` is told when the list goes away.
export function combobox(label, { hint, find, none = () => "", onPick, onClose }) {
  const listId = freshId("list");
  let listed = [];
  let at = 0;
  const input = textInput({
    role: "combobox",
    placeholder: hint,
    "aria-expanded": "false",
    "aria-controls": listId,
    "aria-autocomplete": "list",
    "aria-label": label,
    onclick: () => open(),
    oninput: () => {
      at = 0;
      open();
    },
    onblur: () => close(),
    onkeydown: onKey,
  });
  const list = h("ul.vnb-options", {
    role: "listbox",
    id: listId,
    hidden: true,
    tabindex: -1,
    "aria-label": label,
  });
  const show = (open) => {
    list.hidden = !open;
    input.ariaExpanded = String(open);
    [...list.children].forEach((row, i) => row.ariaSelected = String(i === at));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    if (open && listed.length) input.setAttribute("aria-activedescendant", `${listId}-${at}`);
    else input.removeAttribute("aria-activedescendant");
  };
  const open = () => {
    listed = find(input.value.trim());
    at = Math.min(at, Math.max(0, listed.length - 1));
    const reason = listed.length ? "" : none();
    list.replaceChildren(
      ...listed.map((item, i) => {
        const onpointerdown = (event) => {
          event.preventDefault();
          pick(item);
        };
        const note = h("span.vnb-count", { title: item.title }, item.note);
        const attributes = { class: item.kind, role: "option", id: `${listId}-${i}`, onpointerdown };
        return h("li", attributes, h("span", item.text), note);
      }),
      ...(reason ? [h("li.vnb-optnone", reason)] : []),
    );
    show(list.children.length > 0 && input.matches(":focus"));
  };
  const close = () => {
    at = 0;
    show(false);
    onClose();
  };
  const pick = (item) => {
    close();
    onPick(item);
  };
  function onKey(event) {
    const { key } = event;
    const step = { ArrowDown: 1, ArrowUp: -1 }[key];
    if (list.hidden ? step || key === "Enter" : step && !listed.length) open();
    else if (step) {
      at = (at + step + listed.length) % listed.length;
      show(true);
    } else if (key === "Enter" && listed[at]) pick(listed[at]);
    else if (key === "Escape" && !list.hidden) close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
  // Looks again at what is listed: there may be more to pick from.
  const refresh = () => list.hidden || open();
  return { input, list, open, refresh };
}
