// What lies over a widget: a dialog or a menu. One at a time; Escape closes it and gives the focus back.
import { W } from "./words.js";
import { clickable, freshId, h, textInput } from "./dom.js";
import { copyText } from "./fields.js";

export class Dialog {
  constructor(shell, signal) {
    this.shell = shell;
    this.open = null;
    shell.addEventListener(
      "keydown",
      (event) => {
        if (!this.open) return;
        if (event.key === "Escape") this.close();
        else if (event.key === "Tab") this.holdFocus(event);
      },
      { signal },
    );
    shell.addEventListener(
      "pointerdown",
      (event) => this.open?.light && !this.open.node.contains(event.target) && this.close(),
      { signal },
    );
  }

  close() {
    if (!this.open) return;
    const { node, opener, onClose } = this.open;
    this.open = null;
    node.remove();
    onClose?.();
    if (opener?.isConnected) opener.focus({ preventScroll: true });
  }

  holdFocus(event) {
    const stops = [...this.open.node.querySelectorAll("button, input, a[href], [tabindex='0']")].filter((
      stop,
    ) => !stop.disabled && stop.offsetParent);
    if (!stops.length) return;
    const at = stops.indexOf(this.shell.getRootNode().activeElement);
    if (event.shiftKey && at <= 0) stops[stops.length - 1].focus();
    else if (!event.shiftKey && at === stops.length - 1) stops[0].focus();
    else return;
    event.preventDefault();
  }

  // A panel in the middle. `body` and `buttons` are nodes; a button that closes it is added.
  panel({ title, body, buttons = [], shutText = W.close, opener, focus, wide = false, id = null, onClose }) {
    this.close();
    const name = freshId("dialog");
    const shut = clickable(shutText, () => this.close());
    const box = h(
      "div",
      {
        class: wide ? "vnb-dialog vnb-wide" : "vnb-dialog",
        role: "dialog",
        "aria-modal": "true",
        "aria-labelledby": name,
      },
      h("h3", { id: name, text: title }),
      h(".vnb-dialogbody", ...body),
      h(".vnb-dialogfoot", shut, ...buttons),
    );
    const veil = h(".vnb-veil", box);
    veil.addEventListener("pointerdown", (event) => event.target === veil && this.close());
    this.shell.append(veil);
    this.open = { node: veil, opener, id, onClose };
    (focus ?? shut).focus({ preventScroll: true });
    return box;
  }

  menu(items, opener) {
    this.close();
    const node = h(
      ".vnb-menu",
      { role: "menu" },
      ...items.map(({ text, danger, run }) =>
        clickable(text, () => {
          this.close();
          run();
        }, { role: "menuitem", class: danger ? "vnb-danger" : null })
      ),
    );
    node.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step) return;
      const all = [...node.children];
      const at = all.indexOf(node.getRootNode().activeElement);
      all[(at + step + all.length) % all.length].focus();
      event.preventDefault();
    });
    this.shell.append(node);
    const frame = this.shell.getBoundingClientRect();
    const spot = opener.getBoundingClientRect();
    const below = spot.bottom - frame.top + 4;
    const up = below + node.offsetHeight > frame.height && spot.top - frame.top > node.offsetHeight;
    node.style.top = `${up ? spot.top - frame.top - node.offsetHeight - 4 : below}px`;
    node.style.left = `${
      Math.max(4, Math.min(spot.right - frame.left - node.offsetWidth, frame.width - node.offsetWidth - 4))
    }px`;
    this.open = { node, opener, light: true };
    node.firstChild?.focus({ preventScroll: true });
  }
}

export function copyable(text) {
  const code = h("code", { text, tabindex: 0 });
  const button = clickable(W.copy, null, { class: "vnb-link" });
  button.addEventListener("click", () => copyText(button, text, code));
  return h(".vnb-copyable", code, button);
}

// A field in a dialog, with its label above.
export function entry(label, value, { hint = "", mono = false } = {}) {
  const id = freshId("entry");
  const input = textInput({ id, value, placeholder: hint, class: mono ? "vnb-mono" : null });
  return { input, node: h(".vnb-entry", h("label", { for: id, text: label }), input) };
}
