import assert from "node:assert/strict";
import {
  assignColours,
  boundsOf,
  frontier,
  logScale,
  logTicks,
} from "../../vastnb/widgets/explorer/scales.js";

Deno.test("a model keeps its colour while it is among those that have one", () => {
  const before = assignColours(["a", "a", "b", "c"], new Map()).colours;
  const after = assignColours(["c", "c", "c", "b", "a", "d"], before).colours;
  for (const name of ["a", "b", "c"]) assert.equal(after.get(name), before.get(name));
  assert.equal(new Set(after.values()).size, after.size);
});

Deno.test("the frontier holds what no other beats, cheapest first", () => {
  const speed = [10, 30, 20, 5, 0];
  const price = [1, 3, 3.5, 2, 0.5];
  assert.deepEqual(frontier([0, 1, 2, 3, 4], speed, price), [0, 1]);
});

Deno.test("bounds stay while an answer fits them, and a lone low value does not squeeze the rest", () => {
  assert.deepEqual(boundsOf([1, 9], [0.9, 10]), [0.9, 10]);
  const [low] = boundsOf([0.001, ...Array.from({ length: 200 }, (_, i) => 1 + i / 100)], null);
  assert.ok(low > 0.5);
  assert.equal(boundsOf([NaN, 0], null), null);
});

Deno.test("equal factors are equal distances, and ticks lie inside", () => {
  const at = logScale([1, 100], 0, 100);
  assert.ok(Math.abs(at(10) - at(1) - (at(100) - at(10))) < 1e-9);
  const ticks = logTicks([1, 100], 6);
  assert.ok(ticks.length > 1 && ticks.length <= 6);
  for (const tick of ticks) assert.ok(tick >= 0.93 && tick <= 107);
});
