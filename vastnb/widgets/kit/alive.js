// Whether a kernel stands behind a widget. A page that was restored from a file, and one whose
// kernel has been restarted, look like a living widget and are not: what they show is old, and a
// click does nothing. So a widget waits for the kernel's first word, and when the link to it has
// changed it asks (`ping`); without an answer it says so, and nothing in it can be pressed.
import { W } from "./words.js";
import { clockTime } from "./words.js";
import { h } from "./dom.js";
import { hideCopy } from "./page.js";

// How long to wait for the first word: the kernel may be busy, or there is none.
const SILENT_MS = 2500;
// How long to wait for an answer when the link has changed.
const DOUBT_MS = 4000;

export class Alive {
  // `name` is "The explorer"; `more` is said after what has happened; `code()` gives the line that makes it again. `onLost()` and `onFound()`
  // are told when the kernel has gone, and when it was there all the same.
  constructor(
    model,
    root,
    shell,
    { signal, name, more = "", code = () => "", onLost = () => {}, onFound = () => {} },
  ) {
    this.model = model;
    this.root = root;
    this.shell = shell;
    this.signal = signal;
    this.name = name;
    this.more = more;
    this.code = code;
    this.onLost = onLost;
    this.onFound = onFound;
    this.state = "new";
    this.heardAt = null;
    this.note = null;
    this.hiding = new AbortController();
    hideCopy(model, this.hiding.signal);
    this.timer = setTimeout(() => this.silent(), SILENT_MS);
    const heard = () => this.heard();
    const check = () => this.check();
    model.on("msg:custom", heard);
    model.on("comm_live_update", check);
    signal.addEventListener("abort", () => {
      model.off("msg:custom", heard);
      model.off("comm_live_update", check);
      clearTimeout(this.timer);
      this.hiding.abort();
    });
  }

  get lost() {
    return this.state === "lost";
  }

  // The kernel has spoken.
  heard() {
    clearTimeout(this.timer);
    this.heardAt = Date.now() / 1000;
    if (this.state === "alive") return;
    const before = this.state;
    this.state = "alive";
    this.note?.remove();
    this.note = null;
    this.shell.inert = false;
    this.root.classList.remove("vnb-waiting", "vnb-lost");
    if (this.hiding.signal.aborted && !this.signal.aborted) {
      this.hiding = new AbortController();
      hideCopy(this.model, this.hiding.signal);
    }
    if (before === "lost") this.onFound();
  }

  // Nothing was ever heard: the copy in the notebook is what there is to see.
  silent() {
    if (this.state !== "new" || this.signal.aborted) return;
    this.state = "silent";
    this.hiding.abort();
    this.root.classList.add("vnb-waiting");
    this.say(
      W.isNotConnectedTo(this.name),
      W.runItsCellIf,
    );
  }

  // The link has changed: whether anybody is there, only an answer tells.
  check() {
    if (this.state !== "alive") return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.lose(), DOUBT_MS);
    try {
      this.model.send({ type: "ping" });
    } catch {
      this.lose();
    }
  }

  lose() {
    if (this.state !== "alive" || this.signal.aborted) return;
    clearTimeout(this.timer);
    this.state = "lost";
    this.shell.inert = true;
    this.root.classList.add("vnb-lost");
    this.say(
      W.theKernelWasRestarted,
      W.whatYouSeeIs(clockTime(this.heardAt)),
    );
    this.onLost();
  }

  say(title, text) {
    const code = this.code();
    this.note = h(
      "div",
      { class: "vnb-saved", role: "status" },
      h("strong", { text: `${title} ` }),
      h("span", { text: `${text}${this.more && ` ${this.more}`}` }),
      code ? h("code", { text: code }) : null,
    );
    this.root.prepend(this.note);
  }
}
