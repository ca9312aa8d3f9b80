import assert from "node:assert/strict";
import { formatCell, OfferStore } from "../../vastnb/widgets/table/store.js";

const LOOKS = [
  { name: "gpu", label: "GPU", form: "text", decimals: 0 },
  { name: "price", label: "Price", form: "usd", decimals: 3 },
  { name: "speed", label: "Speed", form: "bar", decimals: 1 },
];

// Three offers, as `packing.py` sends them: codes, 0 is missing.
function answer(store) {
  const buffer = new ArrayBuffer(64);
  new Float64Array(buffer, 0, 3).set([0.5, NaN, 0.2]);
  new Uint32Array(buffer, 24, 3).set([7, 9, 8].map((id) => id + 1));
  new Uint8Array(buffer, 36, 3).set([2, 1, 0]);
  new Uint8Array(buffer, 40, 3).set([1, 3, 2]);
  store.load(
    {
      type: "offers",
      rev: 1,
      count: 3,
      looks: LOOKS,
      id_column: "id",
      columns: [
        { name: "price", kind: "number", dtype: "f8", offset: 0 },
        { name: "id", kind: "number", dtype: "u4", offset: 24, base: 0, scale: 1 },
        { name: "gpu", kind: "text", dtype: "u1", offset: 36, values: ["RTX 4090", "A100"] },
        { name: "speed", kind: "number", dtype: "u1", offset: 40, base: 100, scale: 10 },
      ],
    },
    [new DataView(buffer)],
  );
  return store;
}

Deno.test("columns are read from their bytes, and what is missing is a dash", () => {
  const store = answer(new OfferStore());
  const cell = (look, row) => formatCell(LOOKS[look], store.columns.get(LOOKS[look].name), row);
  assert.deepEqual([...store.ids], [7, 9, 8]);
  assert.deepEqual([cell(0, 0), cell(0, 1), cell(0, 2)], ["A100", "RTX 4090", "–"]);
  assert.deepEqual([cell(1, 0), cell(1, 1)], ["$0.500", "–"]);
  assert.equal(store.columns.get("speed").number(2), 10.1);
});

Deno.test("what is missing sorts last whichever the direction, and a third click gives the first order", () => {
  const store = answer(new OfferStore());
  store.sortBy("price");
  assert.deepEqual([...store.view], [2, 0, 1]);
  store.sortBy("price");
  assert.deepEqual([...store.view], [0, 2, 1]);
  store.sortBy("price");
  assert.deepEqual([...store.view], [0, 1, 2]);
  store.sortBy("speed");
  assert.deepEqual(store.order, { column: "speed", ascending: false });
});

Deno.test("a filter sends rows only; sorting holds, and so does what is selected", () => {
  const store = answer(new OfferStore());
  store.sortBy("price");
  store.select([8]);
  store.show({ type: "rows", rev: 2, shown: 2 }, new DataView(new Uint32Array([0, 2]).buffer));
  assert.deepEqual([...store.view], [2, 0]);
  assert.ok(store.selected.has(8));
});

Deno.test("bytes that begin anywhere are read right", () => {
  const store = answer(new OfferStore());
  const odd = new Uint8Array(12);
  new DataView(odd.buffer).setUint32(4, 1, true);
  store.show({ type: "rows", rev: 3, shown: 1 }, new DataView(odd.buffer, 4, 4));
  assert.deepEqual([...store.view], [1]);
});
