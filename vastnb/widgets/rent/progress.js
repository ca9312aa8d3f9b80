// The left half of the rent form once it rents: what has happened, and the monitor of what came of it.
import { W } from "./words.js";
import { child } from "../kit/child.js";
import { h, setText } from "../kit/dom.js";
import { stopwatch } from "../kit/words.js";

const STAGES = [W.checkPrice, W.rent, W.start, W.running];
const MARKS = { good: W.goodMark, warn: W.noteMark, bad: W.carefulMark };

export function rentProgress(model, host, { kernelTime, signal }) {
  let run = null;
  let folded = false;
  const stages = STAGES.map((text) => h("li", h("i", { "aria-hidden": "true" }), h("span", text)));
  const log = h("ol.vnb-steps", { "aria-label": W.logOfThisRental, "aria-live": "polite" });
  const waiting = h(".vnb-stepwait");
  const rented = h(".vnb-rentedlist");
  child(model, host, "monitoring", rented, { signal });
  const details = h("details.vnb-history", { open: true }, h("summary", W.logOfThisRental), log);
  const node = h(".vnb-rentprogress", h("ol.vnb-stages", ...stages), rented, waiting, details);

  function show({ run: next, machines }) {
    const running = machines.filter((one) => one.state === "running").length;
    const gone = machines.filter((one) => one.state === "gone").length;
    let at = 0;
    if (next?.steps.some((step) => step.kind !== "checking")) at = 1;
    if (machines.length) at = running + gone === machines.length ? 4 : 2;
    const stopped = Boolean(next?.ended) && !machines.length;
    stages.forEach((stage, i) => {
      stage.dataset.state = i < at ? "done" : i > at ? "next" : stopped ? "failed" : "now";
      stage.ariaCurrent = i === at && !stopped ? "step" : null;
    });
    if (run?.began !== next?.began) log.replaceChildren();
    run = next;
    showSteps(run?.steps ?? [], machines.length);
    tick();
  }

  function showSteps(steps, count) {
    const before = log.children.length;
    while (log.children.length > steps.length) log.lastChild.remove();
    log.append(
      ...steps.slice(log.children.length).map(({ at, level, text }) =>
        h(
          "li",
          { "data-level": level },
          h("i", { "aria-hidden": "true" }),
          h("span.vnb-stepat", stopwatch(at - run.began)),
          h("span.vnb-steptext", h("span.vnb-hidden", MARKS[level] ?? ""), h("span", text)),
        )
      ),
    );
    if (log.children.length !== before) log.lastChild?.scrollIntoView({ block: "nearest" });
    if (count && !folded) {
      folded = true;
      details.open = count < 3 || steps.some((step) => step.level === "warn");
    }
    details.hidden = !steps.length;
  }

  // What passes by itself: called every second.
  function tick() {
    waiting.hidden = !run || Boolean(run.ended);
    if (waiting.hidden) return;
    const now = kernelTime();
    const left = run.waits_until ? Math.ceil(run.waits_until - now) : 0;
    setText(waiting, left > 0 ? W.waiting(left) : W.rentingFor(stopwatch(now - run.began)));
  }

  return { node, show, tick };
}
