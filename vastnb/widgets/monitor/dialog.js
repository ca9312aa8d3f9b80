// What lies over the monitor: the question before something is done, a log, ways to connect, and
// the menu of a machine. One at a time; Escape closes it and gives the focus back.
import { freshId, h, setText } from "../kit/dom.js";
import { VERB_WORDS, dollars, hourly, nameOf, span } from "./verbs.js";

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
    shell.addEventListener("pointerdown", (event) => this.open?.light && !this.open.node.contains(event.target) && this.close(), { signal });
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
    const stops = [...this.open.node.querySelectorAll("button, input, a[href], [tabindex='0']")].filter((stop) => !stop.disabled && stop.offsetParent);
    if (!stops.length) return;
    const at = stops.indexOf(this.shell.getRootNode().activeElement);
    if (event.shiftKey && at <= 0) stops[stops.length - 1].focus();
    else if (!event.shiftKey && at === stops.length - 1) stops[0].focus();
    else return;
    event.preventDefault();
  }

  // A panel in the middle. `body` and `buttons` are nodes; a button that closes it is added.
  panel({ title, body, buttons = [], shutText = "Close", opener, focus, wide = false, id = null, onClose }) {
    this.close();
    const name = freshId("dialog");
    const shut = h("button", { type: "button", class: "vnb-button", text: shutText, onclick: () => this.close() });
    const box = h(
      "div",
      { class: wide ? "vnb-dialog vnb-wide" : "vnb-dialog", role: "dialog", "aria-modal": "true", "aria-labelledby": name },
      h("h3", { id: name, text: title }),
      h("div", { class: "vnb-dialogbody" }, ...body),
      h("div", { class: "vnb-dialogfoot" }, shut, ...buttons),
    );
    const veil = h("div", { class: "vnb-veil" }, box);
    veil.addEventListener("pointerdown", (event) => event.target === veil && this.close());
    this.shell.append(veil);
    this.open = { node: veil, opener, id, onClose };
    (focus ?? shut).focus({ preventScroll: true });
    return box;
  }

  menu(items, opener) {
    this.close();
    const node = h(
      "div",
      { class: "vnb-menu", role: "menu" },
      ...items.map(({ verb, danger, run }) =>
        h("button", {
          type: "button",
          role: "menuitem",
          class: danger ? "vnb-danger" : null,
          text: `${VERB_WORDS[verb]}${verb === "logs" || verb === "connect" ? "" : "…"}`,
          onclick: () => {
            this.close();
            run();
          },
        }),
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
    node.style.left = `${Math.max(4, Math.min(spot.right - frame.left - node.offsetWidth, frame.width - node.offsetWidth - 4))}px`;
    this.open = { node, opener, light: true };
    node.firstChild?.focus({ preventScroll: true });
  }
}

const line = (...parts) => h("p", {}, ...parts.map((part) => (typeof part === "string" ? h("span", { text: part }) : part)));
const strong = (text) => h("b", { text });

// What is asked before something is done: what it is, and what it costs.
export function question(row, verb, now) {
  const facts = [row.gpu, row.vram, row.place, `#${row.id}`].filter(Boolean).join(" · ");
  const held = [h("p", { class: "vnb-facts", text: facts })];
  const soFar = row.spent === null ? "" : `, about ${dollars(row.spent)} so far`;
  const state = line("It is ", strong(row.state), ` (for ${span(now - row.since)}) and costs `, strong(hourly(row.dph)), ` now${soFar}.`);
  const size = row.disk ? ` of ${row.disk} GB` : "";
  if (verb === "destroy") {
    const lost = line("Its disk", size, " and ", strong("everything on it is lost"), ". This cannot be undone.");
    return { title: `Destroy ${nameOf(row)}?`, body: [...held, state, lost], go: "Destroy it", danger: true };
  }
  if (verb === "stop") {
    const gives = line("Its GPUs are released and may be rented by others. Its disk", size, " stays, and ", strong(`${hourly(row.dph_disk)} is still billed`), " until you destroy it.");
    return { title: `Stop ${nameOf(row)}?`, body: [...held, state, gives], go: "Stop it" };
  }
  if (verb === "start") {
    const costs = line("Running, it costs ", strong(hourly(row.dph_run)), ` (${hourly(row.dph)} now). If its GPUs are taken, the start is queued: it may start, and bill, by itself later.`);
    return { title: `Start ${nameOf(row)}?`, body: [...held, costs], go: `Start it for ${hourly(row.dph_run)}` };
  }
  if (verb === "reboot") {
    return { title: `Reboot ${nameOf(row)}?`, body: [...held, state, line("Its container restarts: everything running in it ends. It keeps its GPUs and its price.")], go: "Reboot it" };
  }
  if (verb === "extend") {
    const costs = line("One more hour costs about ", strong(dollars(row.dph_run)), ", without traffic. It is then destroyed in ", strong(span(Math.max(0, row.deadline - now) + 3600)), ".");
    return { title: `Extend ${nameOf(row)} by 1 hour?`, body: [...held, costs], go: "Extend by 1 h" };
  }
  if (verb === "next") {
    if (!row.again) return unknownPurpose(row, held, state);
    const { left, max_dph: most } = row.again;
    const from = left ? `${left} offer${left === 1 ? "" : "s"} left from its rental` : "from a search for the same GPUs";
    return {
      title: `Destroy ${nameOf(row)} and try the next offer?`,
      body: [
        ...held,
        state,
        line("First it is destroyed, with ", strong("everything on its disk"), ". That is confirmed first, in about a minute, so you never pay for two."),
        line(`Then the next offer is rented with the same image, environment and start script (${from}), for `, strong(`up to ${hourly(most)}`), ". If none is available, you have no machine and no bill."),
      ],
      go: `Destroy, then rent for up to ${hourly(most)}`,
      danger: true,
    };
  }
  return null;
}

function unknownPurpose(row, held, state) {
  return {
    title: `Destroy ${nameOf(row)} and try the next offer?`,
    body: [
      ...held,
      state,
      line("It was not rented in this kernel, so its environment and start script are unknown here. ", strong("Destroy it"), ", then rent again with:"),
      copyable(row.code ?? ""),
    ],
    go: "Destroy it",
    verb: "destroy",
    danger: true,
  };
}

export function copyable(text) {
  const code = h("code", { text, tabindex: 0 });
  const button = h("button", { type: "button", class: "vnb-link", text: "Copy" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      setText(button, "Copied");
    } catch {
      getSelection().selectAllChildren(code);
      setText(button, "Press Ctrl+C");
    }
    setTimeout(() => setText(button, "Copy"), 1600);
  });
  return h("div", { class: "vnb-copyable" }, code, button);
}

// A field in a dialog, with its label above.
export function entry(label, value, { hint = "", mono = false } = {}) {
  const id = freshId("entry");
  const input = h("input", { type: "text", id, value, placeholder: hint, autocomplete: "off", spellcheck: "false", class: mono ? "vnb-monofield" : null });
  return { input, node: h("div", { class: "vnb-entry" }, h("label", { for: id, text: label }), input) };
}
