// The left half of the rent form once it rents: what has happened, and the monitor of what came of it.
import { W } from "./words.js";
import { child } from "../kit/child.js";
import { h, setText } from "../kit/dom.js";
import { stopwatch } from "../kit/words.js";

const STAGES = [W.checkPrice, W.rent, W.start, W.running];

export class RentProgress {
  constructor(model, host, { kernelTime, signal }) {
    this.kernelTime = kernelTime;
    this.stages = STAGES.map((text) => h("li", {}, h("i", { "aria-hidden": "true" }), h("span", { text })));
    this.steps = h("ol", { class: "vnb-steps", "aria-label": W.logOfThisRental, "aria-live": "polite" });
    this.waiting = h("div", { class: "vnb-stepwait" });
    this.machines = h("div", { class: "vnb-rentedlist" });
    child(model, host, "monitoring", this.machines, { signal });
    this.details = h(
      "details",
      { class: "vnb-history", open: true },
      h("summary", { text: W.logOfThisRental }),
      this.steps,
    );
    this.node = h(
      "div",
      { class: "vnb-rentprogress" },
      h("ol", { class: "vnb-stages" }, ...this.stages),
      this.machines,
      this.waiting,
      this.details,
    );
  }

  show(state) {
    const { run, machines } = state;
    this.state = state;
    const up = machines.filter((one) => one.state === "running").length;
    const rented = machines.length;
    const sent = run?.steps.some((step) => !["checking"].includes(step.kind));
    let at = 0;
    if (sent) at = 1;
    if (rented) at = 2;
    if (rented && up === machines.filter((one) => one.state !== "gone").length) at = 4;
    const stopped = Boolean(run?.ended) && !rented;
    this.stages.forEach((stage, i) => {
      stage.dataset.state = i < at ? "done" : i === at ? (stopped ? "failed" : "now") : "next";
      if (i === at && !stopped) stage.setAttribute("aria-current", "step");
      else stage.removeAttribute("aria-current");
    });
    this.showSteps(run, rented);
    this.tick();
  }

  showSteps(run, rented) {
    const steps = run?.steps ?? [];
    const before = this.steps.children.length;
    if (this.run !== run?.began) this.steps.replaceChildren();
    this.run = run?.began;
    while (this.steps.children.length > steps.length) this.steps.lastChild.remove();
    for (const step of steps.slice(this.steps.children.length)) {
      const words = { good: W.goodMark, warn: W.noteMark, bad: W.carefulMark };
      this.steps.append(
        h(
          "li",
          { "data-level": step.level },
          h("i", { "aria-hidden": "true" }),
          h("span", { class: "vnb-stepat", text: stopwatch(step.at - run.began) }),
          h(
            "span",
            { class: "vnb-steptext" },
            h("span", { class: "vnb-hidden", text: words[step.level] ?? "" }),
            h("span", { text: step.text }),
          ),
        ),
      );
    }
    if (this.steps.children.length !== before) this.steps.lastChild?.scrollIntoView?.({ block: "nearest" });
    if (rented && !this.folded) {
      this.folded = true;
      this.details.open = rented < 3 || steps.some((step) => step.level === "warn");
    }
    this.details.hidden = !steps.length;
  }

  // What passes by itself: called every second.
  tick() {
    const run = this.state?.run;
    if (!run) {
      this.waiting.hidden = true;
      return;
    }
    const now = this.kernelTime();
    const left = run.waits_until ? Math.ceil(run.waits_until - now) : 0;
    const busy = !run.ended;
    setText(
      this.waiting,
      left > 0 ? W.waiting(left) : busy ? W.rentingFor(stopwatch(now - run.began)) : "",
    );
    this.waiting.hidden = !busy;
  }
}
