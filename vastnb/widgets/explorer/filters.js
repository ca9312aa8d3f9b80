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

const plain = (text) => Number(text.replace(/[$,%\s]|gb|mbit\/s|mbps|\/h/gi, ""));
const gigabytes = (v) => `${v} GB`;

export function filterPanel({ signal, onChange, onReset }) {
  let state = {};
  const tell = perFrame(signal, () => onChange(state));
  const change = (name, value) => {
    state = { ...state, [name]: value };
    showReset();
    tell();
  };
  const control = (name, make, label, options) => make(label, options, (value) => change(name, value));
  const reliability = {
    values: TRUST,
    any: "low",
    show: (v) => `${Number((v * 100).toFixed(3))} %`,
    read: (text) => Number((plain(text) / 100).toFixed(6)),
    title: W.atLeast,
  };
  const of = (values, any, show, title, hint = "any") => ({ values, any, show, read: plain, title, hint });
  const disk = of(DISKS, null, gigabytes, W.everyPriceIncludesThis, W.diskHint);
  const controls = Object.fromEntries(
    [
      ["gpu_name", multiPick, W.gpuModel, { hint: W.anyTypeToAdd, noun: ["model", "models"] }],
      ["num_gpus", segments, W.gpus, [
        [null, W.any],
        ...[1, 2, 4, 8].map((n) => [n, String(n), W.exactly(n)]),
      ]],
      ["type", segments, W.rental, [
        ["on-demand", W.onDemand, W.fixedPriceYoursUntil],
        ["bid", W.bid, W.interruptibleCheaperButA],
        ["reserved", W.reserved, W.prepaidForAFixed],
      ]],
      ["max_price", stops, W.maxPrice, of(PRICES, "high", (v) => `$${v}`, W.maxPriceTitle)],
      ["min_vram", stops, W.minVRAM, of(VRAM, "low", gigabytes, W.ofOneGPUAs)],
      ["min_reliability", stops, W.reliability, reliability],
      ["disk", stops, W.disk, disk],
      ["min_down", stops, W.minSpeed, of(SPEEDS, "low", String, W.measuredDownloadSpeedAt)],
      ["country", multiPick, W.regionOrCountry, { hint: W.anywhereEuropeGermany, noun: ["place", "places"] }],
      ["verified", toggle, W.verified, W.onlyMachinesThatVast],
      ["datacenter", toggle, W.datacenter, W.onlyMachinesInDatacenters],
      ["text", queryField, W.moreAsAQuery, { hint: W.queryHint, title: W.anythingElseInVast }],
    ].map(([name, ...rest]) => [name, control(name, ...rest)]),
  );
  const at = (name) => controls[name].node;
  const reset = clickable(W.reset, onReset, { class: "vnb-link", hidden: true });
  const node = h(
    "aside.vnb-panel.vnb-filters",
    { "aria-label": W.filters },
    h(".vnb-filterhead", h("strong", W.filters), reset),
    at("gpu_name"),
    at("num_gpus"),
    at("type"),
    h(".vnb-pair", at("max_price"), at("disk")),
    h(".vnb-pair", at("min_vram"), at("min_down")),
    h(".vnb-pair", at("min_reliability"), h(".vnb-toggles", at("verified"), at("datacenter"))),
    at("country"),
    at("text"),
  );

  const showReset = () => {
    const { gpu_name: gpus, country, text, datacenter, verified } = state;
    const limits = ["num_gpus", "min_vram", "max_price", "min_reliability", "min_down"];
    reset.hidden = !(gpus?.length || country?.length || text || datacenter || verified === false ||
      limits.some((name) => typeof state[name] === "number"));
  };

  const set = (next) => {
    if (JSON.stringify(next) === JSON.stringify(state)) return;
    state = { ...next };
    for (const [name, value] of Object.entries(next)) controls[name]?.set(value);
    showReset();
  };

  const offer = ({ gpus = [], countries = [] }) => {
    controls.gpu_name.offer(gpus);
    controls.country.offer(countries);
  };

  const toggleGpu = (name) => {
    const chosen = state.gpu_name ?? [];
    const next = chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name];
    controls.gpu_name.set(next);
    change("gpu_name", next);
  };

  const markQuery = (wrong) => controls.text.mark(wrong && Boolean(state.text));
  return { node, set, offer, toggleGpu, markQuery };
}
