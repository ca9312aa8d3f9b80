// Pure helpers of the chart: logarithmic scales, ticks, colours, the frontier of best offers.
import { PALETTE } from "../kit/palette.js";

// The names with most offers get colours; a name that has one keeps it while it is there.
export function assignColours(names, taken) {
  const counts = new Map();
  for (const name of names) if (name) counts.set(name, (counts.get(name) ?? 0) + 1);
  const ranked = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || (a < b ? -1 : 1));
  const top = new Set(ranked.slice(0, PALETTE.length));
  const next = new Map([...taken].filter(([name]) => top.has(name)));
  const free = PALETTE.map((_, i) => i).filter((i) => ![...next.values()].includes(i));
  for (const name of ranked.slice(0, PALETTE.length)) {
    if (!next.has(name)) next.set(name, free.shift());
  }
  return { colours: next, ranked, counts };
}

// The range of an answer's values. Filters do not change it; a new answer keeps the old one while
// it still fits, so that dots stay where they are.
export function boundsOf(values, old) {
  const known = values.filter((value) => value > 0 && Number.isFinite(value)).sort();
  if (known.length === 0) return old;
  const least = known[0];
  // A lone value far below all others would squeeze them into a corner.
  const usual = known[Math.floor(known.length / 100)];
  const low = least * 3 < usual ? usual / 1.5 : least;
  const high = Math.max(known[known.length - 1], low * 1.2);
  const fits = old && low >= old[0] && high <= old[1];
  return fits && Math.log(high / low) > 0.55 * Math.log(old[1] / old[0]) ? old : [low, high];
}

export function logScale([low, high], from, to) {
  const pad = Math.max(0.04 * Math.log(high / low), 0.08);
  const start = Math.log(low) - pad;
  const step = (to - from) / (Math.log(high) + pad - start);
  return (value) => from + (Math.log(value) - start) * step;
}

export function logTicks([low, high], most) {
  for (const marks of [[1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9], [1, 1.5, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); power++) {
      for (const mark of marks) {
        const tick = mark * 10 ** power;
        if (tick >= low * 0.93 && tick <= high * 1.07) ticks.push(Number(tick.toPrecision(2)));
      }
    }
    if (ticks.length <= most || marks.length === 1) return ticks;
  }
  return [];
}

export function tickLabel(value) {
  if (value >= 1000) return `${value / 1000}k`;
  return String(value);
}

// Offers that no other beats: none is both cheaper and faster. Returns rows, cheapest first.
export function frontier(rows, xs, ys) {
  const sorted = [...rows].filter((row) => xs[row] > 0 && ys[row] > 0);
  sorted.sort((a, b) => ys[a] - ys[b] || xs[b] - xs[a]);
  const best = [];
  let most = 0;
  for (const row of sorted) {
    if (xs[row] > most) {
      best.push(row);
      most = xs[row];
    }
  }
  return best;
}
