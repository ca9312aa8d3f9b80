// What the buttons of a machine do: most ask first, and all that change something are sent as a
// click, stamped with the kernel's time and the price that was shown.
import { W } from "./words.js";
import { copyable, entry } from "../kit/dialog.js";
import { clickable, h, setText } from "../kit/dom.js";
import { hourly } from "../kit/words.js";
import { menuText, nameOf } from "./verbs.js";
import { question } from "./questions.js";

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
    const items = row.verbs.map((verb) => ({
      text: menuText(verb),
      danger: verb === "destroy" || verb === "next",
      run: () => this.act(row, verb, opener),
    }));
    this.dialog.menu(items, opener);
  }

  // What a button does: most ask first.
  act(row, verb, opener) {
    if (verb === "connect") this.openConnect(row, opener);
    else if (verb === "logs") this.openLog(row, opener);
    else if (verb === "label" || verb === "bid") this.openEntry(row, verb, opener);
    else this.confirm(row, verb, opener);
  }

  // Sends a click, stamped with the kernel's time and the price that was shown.
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
    if (verb !== "logs" && verb !== "jupyter") {
      this.pending.set(row.id, key);
      this.hooks.onClick();
    }
    return key;
  }

  confirm(row, verb, opener) {
    const asked = question(row, verb, this.hooks.now());
    const act = asked.verb ?? verb;
    const go = clickable(asked.go, null, {
      class: asked.danger ? "vnb-button vnb-go vnb-dangerous" : "vnb-button vnb-go",
    });
    const body = [...asked.body];
    let typed = null;
    if ((act === "destroy" || act === "next") && !row.ours) {
      typed = entry(W.vastnbDidNotRent(row.id), "", { mono: true });
      body.push(typed.node);
      go.disabled = true;
      typed.input.addEventListener(
        "input",
        () => (go.disabled = typed.input.value.trim() !== String(row.id)),
      );
    }
    const run = () => {
      if (go.disabled) return;
      go.disabled = true;
      const what = typed ? { typed: typed.input.value.trim() } : {};
      this.dialog.close();
      this.click(row, act, what);
    };
    go.addEventListener("click", run);
    typed?.input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    this.dialog.panel({
      title: asked.title,
      body,
      buttons: [go],
      shutText: W.cancel,
      opener,
      focus: typed?.input,
      id: row.id,
    });
  }

  openEntry(row, verb, opener) {
    const bid = verb === "bid";
    const field = bid
      ? entry(W.bidForTheGPUs, row.bid === null ? "" : String(row.bid), { mono: true })
      : entry(W.label, row.label ?? "", { hint: W.none });
    const go = clickable(bid ? W.bid : W.rename, null, { class: "vnb-button vnb-go" });
    const notes = [];
    if (bid) {
      const least = row.min_bid === null ? "" : W.theMinimumBidIs(hourly(row.min_bid));
      notes.push(
        h("p", {
          text: W.whileItRunsYou(least),
        }),
      );
    }
    const run = () => {
      const price = Number(field.input.value.trim().replace("$", ""));
      if (bid && !(price > 0 && Number.isFinite(price))) {
        field.input.classList.add("vnb-invalid");
        return;
      }
      const value = field.input.value.trim();
      this.dialog.close();
      this.click(row, verb, bid ? { price } : { label: value });
    };
    go.addEventListener("click", run);
    field.input.addEventListener("keydown", (event) => event.key === "Enter" && run());
    const title = bid ? W.changeTheBidFor(nameOf(row)) : W.renameOf(nameOf(row));
    this.dialog.panel({
      title,
      body: [h("p", { class: "vnb-facts", text: `${row.gpu} · #${row.id}` }), ...notes, field.node],
      buttons: [go],
      shutText: W.cancel,
      opener,
      focus: field.input,
      id: row.id,
    });
    field.input.select();
  }

  openConnect(row, opener) {
    const body = [h("p", { class: "vnb-facts", text: `${row.gpu} · #${row.id}` })];
    body.push(h("p", { class: "vnb-over", text: W.sshInATerminal }));
    body.push(row.ssh ? copyable(row.ssh) : h("p", { text: W.noSshAddressYet }));
    if (row.config) body.push(h("p", { class: "vnb-over", text: W.forSshConfig }), copyable(row.config));
    body.push(
      h("p", { class: "vnb-over", text: W.fromPython }),
      copyable(`client.show_instance(${row.id})`),
    );
    if (row.jupyter) body.push(h("p", { class: "vnb-over", text: W.jupyter }), this.jupyterLink(row));
    this.dialog.panel({
      title: W.connectTo(nameOf(row)),
      body,
      opener,
      id: row.id,
      onClose: () => (this.answer = null),
    });
  }

  // The address holds a token: it is asked for on the click, lives in this link, and goes with it.
  jupyterLink(row) {
    const place = h("div", { class: "vnb-jupyter" });
    const get = clickable(W.getTheLink);
    get.addEventListener("click", () => {
      get.disabled = true;
      setText(get, W.fetching);
      const key = this.click(row, "jupyter");
      this.answer = (message) => {
        if (message.key !== key) return;
        const ok = message.url && /^https:\/\//.test(message.url);
        const link = ok
          ? h("a", {
            href: message.url,
            target: "_blank",
            rel: "noopener noreferrer",
            class: "vnb-button",
            text: W.openJupyter,
          })
          : h("span", { text: message.failed ?? W.noJupyterLinkYet });
        place.replaceChildren(
          link,
          h("span", {
            class: "vnb-hint",
            text: ok ? W.itContainsAToken : "",
          }),
        );
        link.focus?.();
      };
    });
    place.append(get);
    return place;
  }

  openLog(row, opener) {
    const text = h("pre", { class: "vnb-log", tabindex: 0 });
    const again = clickable(W.refresh);
    const load = () => {
      again.disabled = true;
      setText(text, text.textContent || W.fetchingTheLogThis);
      const key = this.click(row, "logs");
      this.answer = (message) => {
        if (message.key !== key) return;
        again.disabled = false;
        setText(text, message.failed ?? (message.text || W.theLogIsEmpty));
        text.scrollTop = text.scrollHeight;
      };
    };
    again.addEventListener("click", load);
    this.dialog.panel({
      title: W.logOf(nameOf(row)),
      body: [text],
      buttons: [again],
      opener,
      wide: true,
      id: row.id,
      onClose: () => (this.answer = null),
    });
    load();
  }
}
