// Whether a kernel stands behind a widget. A page that was restored from a file, and one whose
// kernel has been restarted, look like a living widget and are not: what they show is old, and a
// click does nothing. So a widget waits for the kernel's first word, and when the link to it has
// changed it asks (`ping`); without an answer it says so, and nothing in it can be pressed.
import { clockTime, W } from "./words.js";
import { h } from "./dom.js";
import { hideCopy, listen, sent } from "./page.js";

// How long to wait for the first word: the kernel may be busy, or there is none.
const SILENT_MS = 2500;
// How long to wait for an answer when the link has changed.
const DOUBT_MS = 4000;

// `name` is "The explorer"; `more` is said after what has happened; `code()` gives the line that makes
// it again. `onLost()` and `onFound()` are told when the kernel has gone, and when it was there all
// the same.
export function watchKernel(
  model,
  root,
  shell,
  { signal, name, more = "", code = () => "", onLost = () => {}, onFound = () => {} },
) {
  let state = "new";
  let heardAt = null;
  let note = null;
  let hiding = new AbortController();

  // The kernel has spoken.
  const heard = () => {
    clearTimeout(timer);
    heardAt = Date.now() / 1000;
    if (state === "alive") return;
    const before = state;
    state = "alive";
    note?.remove();
    shell.inert = false;
    root.classList.remove("vnb-waiting", "vnb-lost");
    if (hiding.signal.aborted && !signal.aborted) {
      hiding = new AbortController();
      hideCopy(model, hiding.signal);
    }
    if (before === "lost") onFound();
  };

  // Nothing was ever heard: the copy in the notebook is what there is to see.
  const silent = () => {
    state = "silent";
    hiding.abort();
    root.classList.add("vnb-waiting");
    say(W.isNotConnectedTo(name), W.runItsCellIf);
  };

  // The link has changed: whether anybody is there, only an answer tells.
  const check = () => {
    if (state !== "alive") return;
    clearTimeout(timer);
    timer = setTimeout(lose, DOUBT_MS);
    if (!sent(model, { type: "ping" })) lose();
  };

  const lose = () => {
    if (state !== "alive") return;
    clearTimeout(timer);
    state = "lost";
    shell.inert = true;
    root.classList.add("vnb-lost");
    say(W.theKernelWasRestarted, W.whatYouSeeIs(clockTime(heardAt)));
    onLost();
  };

  const say = (title, text) => {
    const line = code();
    note = h(
      ".vnb-saved",
      { role: "status" },
      h("strong", `${title} `),
      h("span", more ? `${text} ${more}` : text),
      line ? h("code", line) : null,
    );
    root.prepend(note);
  };

  let timer = setTimeout(silent, SILENT_MS);
  hideCopy(model, hiding.signal);
  listen(model, signal, { "msg:custom": heard, comm_live_update: check });
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    hiding.abort();
  });
  return {
    heard,
    lose,
    get lost() {
      return state === "lost";
    },
  };
}
