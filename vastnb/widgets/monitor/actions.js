// What the buttons of a machine do: most ask first, and all that change something are sent as a
// click, stamped with the kernel's time and the price that was shown.
import { W } from "./words.js";
import { copyable, entry } from "../kit/dialog.js";
import { clickable, h, setText } from "../kit/dom.js";
import { nameOf, VERBS } from "./verbs.js";

function factsOf(row) {
  const facts = [row.gpu, row.vram, row.place, `#${row.id}`].filter(Boolean).join(" · ");
  return h("p.vnb-facts", facts);
}

// A line of a question: every second part is what matters most.
const line = (text) => h("p", ...text.split("**").map((part, i) => h(i % 2 ? "b" : "span", { text: part })));

export class Actions {
  // `send(message)` reaches the kernel, `now()` is its time, `onClick()` is called after a click.
  constructor(dialog, hooks) {
    this.dialog = dialog;
    this.hooks = hooks;
    // Clicks that the kernel has not heard yet, by machine.
    this.pending = new Map();
    this.answer = null;
  }

  // The kernel has heard these clicks.
  heard(keys) {
    for (const [id, key] of this.pending) if (keys.includes(key)) this.pending.delete(id);
  }

  menu(row, opener) {
    const items = row.verbs.map((verb) => {
      const { text, ask, danger } = VERBS[verb];
      return { text: ask ? `${text}…` : text, danger, run: () => this.act(row, verb, opener) };
    });
    this.dialog.menu(items, opener);
  }

  // What a button does.
  act(row, verb, opener) {
    if (VERBS[verb].ask) this.ask(row, verb, opener);
    else if (verb === "connect") this.openConnect(row, opener);
    else this.openLog(row, opener);
  }

  // Sends a click; what asks first changes something, and waits to be heard.
  click(row, verb, more = {}) {
    const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`;
    this.hooks.send({
      type: "act",
      key,
      verb,
      id: row.id,
      at: this.hooks.now(),
      shown: verb === "next" ? row.again?.max_dph : row.dph_run,
      ...more,
    });
    if (VERBS[verb]?.ask) {
      this.pending.set(row.id, key);
      this.hooks.onClick();
    }
    return key;
  }

  // Asks the kernel for what only an open panel is to show.
  request(row, verb, take) {
    const key = this.click(row, verb);
    this.answer = (message) => message.key === key && take(message);
  }

  // A panel about a machine.
  open(row, opener, panel) {
    this.dialog.panel({ opener, id: row.id, onClose: () => (this.answer = null), ...panel });
  }

  ask(row, verb, opener) {
    const { title, body, go: text, does = verb, ...asked } = VERBS[verb].ask(row, this.hooks.now());
    const { danger } = VERBS[does];
    const foreign = danger && !row.ours;
    const field = foreign ? entry(W.vastnbDidNotRent(row.id), "", { mono: true }) : asked.field;
    const read = foreign ? (typed) => (typed === String(row.id) ? { typed } : null) : asked.read;
    const typed = () => field ? read(field.input.value.trim()) : {};
    const run = () => {
      if (go.disabled) return;
      const more = typed();
      if (!more) {
        field.input.classList.add("vnb-invalid");
        return;
      }
      go.disabled = true;
      this.dialog.close();
      this.click(row, does, more);
    };
    const go = clickable(text, run, {
      class: danger ? "vnb-button vnb-go vnb-dangerous" : "vnb-button vnb-go",
      disabled: foreign,
    });
    if (foreign) field.input.addEventListener("input", () => (go.disabled = !typed()));
    field?.input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    const parts = body.map((part) => typeof part === "string" ? line(part) : part);
    this.open(row, opener, {
      title,
      body: [factsOf(row), ...parts, field?.node].filter(Boolean),
      buttons: [go],
      shutText: W.cancel,
      focus: field?.input,
    });
    field?.input.select();
  }

  openConnect(row, opener) {
    const over = (text) => h("p.vnb-over", { text });
    this.open(row, opener, {
      title: W.connectTo(nameOf(row)),
      body: [
        factsOf(row),
        over(W.sshInATerminal),
        row.ssh ? copyable(row.ssh) : h("p", W.noSshAddressYet),
        ...(row.config ? [over(W.forSshConfig), copyable(row.config)] : []),
        over(W.fromPython),
        copyable(`client.show_instance(${row.id})`),
        ...(row.jupyter ? [over(W.jupyter), this.jupyterLink(row)] : []),
      ],
    });
  }

  // The address holds a token: it is asked for on the click, lives in this link, and goes with it.
  jupyterLink(row) {
    const get = clickable(W.getTheLink, () => {
      get.disabled = true;
      setText(get, W.fetching);
      this.request(row, "jupyter", ({ url = "", failed = W.noJupyterLinkYet }) => {
        const ok = /^https:\/\//.test(url);
        const link = ok
          ? h("a", {
            href: url,
            target: "_blank",
            rel: "noopener noreferrer",
            class: "vnb-button",
            text: W.openJupyter,
          })
          : h("span", failed);
        place.replaceChildren(link, h("span.vnb-hint", ok ? W.itContainsAToken : ""));
        link.focus();
      });
    });
    const place = h(".vnb-jupyter", get);
    return place;
  }

  openLog(row, opener) {
    const text = h("pre.vnb-log", { tabindex: 0 });
    const load = () => {
      again.disabled = true;
      setText(text, text.textContent || W.fetchingTheLogThis);
      this.request(row, "logs", (message) => {
        again.disabled = false;
        setText(text, message.failed ?? (message.text || W.theLogIsEmpty));
        text.scrollTop = text.scrollHeight;
      });
    };
    const again = clickable(W.refresh, load);
    this.open(row, opener, { title: W.logOf(nameOf(row)), body: [text], buttons: [again], wide: true });
    load();
  }
}
