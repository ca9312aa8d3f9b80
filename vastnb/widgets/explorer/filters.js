// The filter panel: one control for each field of the state that Python calls FilterState.
import { W } from "./words.js";
import { clickable, h, perFrame } from "../kit/dom.js";
import { multiPick, queryField, stops, toggle } from "./controls.js";
import { segments } from "../kit/fields.js";

const PRICES = [
  0.05,
  0.1,
  0.15,
  0.2,
  0.25,
  0.3,
  0.4,
  0.5,
  0.6,
  0.8,
  1,
  1.25,
  1.5,
  2,
  2.5,
  3,
  4,
  5,
  7.5,
  10,
  15,
  20,
  30,
  50,
];
const VRAM = [8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180];
const TRUST = [0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999];
const SPEEDS = [50, 100, 200, 500, 1000, 2000, 5000];
const DISKS = [10, 16, 20, 32, 50, 64, 80, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000];

const plain = (text) => Number(text.replace(/[$,%\s]|gb|\/h/gi, ""));

export class FilterPanel {
  constructor(host, { signal, onChange, onReset }) {
    this.state = {};
    const tell = perFrame(() => onChange({ ...this.state }));
    signal.addEventListener("abort", () => tell.cancel());
    const changes = (name) => (value) => {
      this.state = { ...this.state, [name]: value };
      this.showReset();
      tell();
    };
    this.controls = {
      gpu_name: multiPick(
        W.gpuModel,
        { hint: W.anyTypeToAdd, noun: ["model", "models"] },
        changes("gpu_name"),
      ),
      num_gpus: segments(
        W.gpus,
        [[null, W.any], ...[1, 2, 4, 8].map((count) => [count, String(count), W.exactly(count)])],
        changes("num_gpus"),
      ),
      type: segments(
        W.rental,
        [
          ["on-demand", W.onDemand, W.fixedPriceYoursUntil],
          ["bid", W.bid, W.interruptibleCheaperButA],
          ["reserved", W.reserved, W.prepaidForAFixed],
        ],
        changes("type"),
      ),
      max_price: stops(
        W.maxPrice,
        {
          values: PRICES,
          any: "high",
          show: (v) => `$${v}`,
          read: plain,
          title: W.maxPriceTitle,
        },
        changes("max_price"),
      ),
      min_vram: stops(
        W.minVRAM,
        {
          values: VRAM,
          any: "low",
          show: (v) => `${v} GB`,
          read: plain,
          title: W.ofOneGPUAs,
        },
        changes("min_vram"),
      ),
      min_reliability: stops(
        W.reliability,
        {
          values: TRUST,
          any: "low",
          show: (v) => `${Number((v * 100).toFixed(3))} %`,
          read: (text) => Number((plain(text) / 100).toFixed(6)),
          title: W.atLeast,
        },
        changes("min_reliability"),
      ),
      disk: stops(
        W.disk,
        {
          values: DISKS,
          show: (v) => `${v} GB`,
          read: plain,
          hint: W.diskHint,
          title: W.everyPriceIncludesThis,
        },
        changes("disk"),
      ),
      min_down: stops(
        W.minSpeed,
        {
          values: SPEEDS,
          any: "low",
          show: String,
          read: (text) => plain(text.replace(/mbit\/s|mbps/i, "")),
          title: W.measuredDownloadSpeedAt,
        },
        changes("min_down"),
      ),
      country: multiPick(
        W.regionOrCountry,
        { hint: W.anywhereEuropeGermany, noun: ["place", "places"] },
        changes("country"),
      ),
      verified: toggle(W.verified, W.onlyMachinesThatVast, changes("verified")),
      datacenter: toggle(W.datacenter, W.onlyMachinesInDatacenters, changes("datacenter")),
      text: queryField(
        W.moreAsAQuery,
        { hint: W.queryHint, title: W.anythingElseInVast },
        changes("text"),
      ),
    };
    const node = (name) => this.controls[name].node;
    this.reset = clickable(W.reset, onReset, { class: "vnb-link", hidden: true });
    host.append(
      h(
        "aside",
        { class: "vnb-panel vnb-filters", "aria-label": W.filters },
        h("div", { class: "vnb-filterhead" }, h("strong", { text: W.filters }), this.reset),
        node("gpu_name"),
        node("num_gpus"),
        node("type"),
        h("div", { class: "vnb-pair" }, node("max_price"), node("disk")),
        h("div", { class: "vnb-pair" }, node("min_vram"), node("min_down")),
        h(
          "div",
          { class: "vnb-pair" },
          node("min_reliability"),
          h("div", { class: "vnb-toggles" }, node("verified"), node("datacenter")),
        ),
        node("country"),
        node("text"),
      ),
    );
  }

  set(state) {
    this.state = { ...state };
    for (const [name, control] of Object.entries(this.controls)) {
      if (name in state) control.set(state[name]);
    }
    this.showReset();
  }

  showReset() {
    const { state } = this;
    const limited = state.gpu_name?.length || state.country?.length || state.text || state.datacenter ||
      state.verified === false;
    const bounds = ["num_gpus", "min_vram", "max_price", "min_reliability", "min_down"].some((name) =>
      state[name] !== null && state[name] !== undefined
    );
    this.reset.hidden = !(limited || bounds);
  }

  offer(facets) {
    this.controls.gpu_name.offer(facets.gpus ?? []);
    this.controls.country.offer(facets.countries ?? []);
  }

  toggleGpu(name) {
    const chosen = this.state.gpu_name ?? [];
    const next = chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name];
    return { ...this.state, gpu_name: next };
  }

  markQuery(wrong) {
    this.controls.text.mark(wrong);
  }
}
