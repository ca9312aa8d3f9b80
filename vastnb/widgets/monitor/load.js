// How busy a machine is, as it says itself over the user's own connection. Nothing without one.
import { W } from "./words.js";
import { clockTime, DASH, span } from "../kit/words.js";
import { h, setText } from "../kit/dom.js";
/** @import { Live } from "./messages.d.ts" */

/** @type {[string, string, (live: Live) => [number | null, number | null, string]][]} */
const PARTS = [
  [W.gpu, W.gpuUtilization, (live) => [live.util, 100, " %"]],
  [W.memory, W.gpuMemoryUsedOf, (live) => [live.vram_used, live.vram, " GB"]],
  [W.disk, W.diskOfTheWorkspace, (live) => [live.disk_used, live.disk, " GB"]],
];

const short = (value) => (value < 9.95 ? value.toFixed(1).replace(/\.0$/, "") : value.toFixed(0));

export class LiveLoad {
  constructor() {
    this.at = null;
    this.parts = PARTS.map(([name, title, read]) => {
      const value = h("b");
      const bar = h("i");
      const node = h(
        "span.vnb-meter",
        { title },
        h("span", name),
        value,
        h("i.vnb-meterbar", { "aria-hidden": "true" }, bar),
      );
      return { node, value, bar, read };
    });
    this.age = h("span.vnb-liveage");
    this.age.title = W.askedOverYourSSH;
    this.node = h(".vnb-meters", { hidden: true }, ...this.parts.map(({ node }) => node), this.age);
  }

  // `lost`: there is no kernel any more, so its age is not known.
  show(live, lost) {
    this.at = live && !lost ? live.at : null;
    this.node.hidden = !live;
    if (!live) return;
    for (const { node, value, bar, read } of this.parts) {
      const [used, all, unit] = read(live);
      const share = used === null || !(all > 0) ? null : Math.min(1, Math.max(0, used / all));
      setText(
        value,
        used === null
          ? DASH
          : unit === " %" || all === null
          ? `${short(used)}${unit}`
          : `${short(used)} / ${short(all)}${unit}`,
      );
      bar.style.width = `${(share ?? 0) * 100}%`;
      node.classList.toggle("vnb-full", share !== null && share > 0.9 && unit !== " %");
    }
    if (lost) setText(this.age, W.at(clockTime(live.at)));
  }

  tick(now) {
    if (this.at !== null) setText(this.age, W.ago(span(now - this.at)));
  }
}
