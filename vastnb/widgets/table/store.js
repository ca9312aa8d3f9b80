// The offers as the page holds them: columns over a binary buffer, which rows are shown, in which
// order, which are selected. One store belongs to one widget model; any number of views draw it.
import { DASH, grouped, percent, usd } from "../kit/words.js";
/** @import { Columns, Offers, Rows } from "./messages.d.ts" */

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f8: Float64Array };

// A view of a message's bytes whose start is aligned as typed arrays need it.
export function alignedBytes(view) {
  if (view instanceof ArrayBuffer) return { buffer: view, start: 0 };
  if (view.byteOffset % 8 === 0) return { buffer: view.buffer, start: view.byteOffset };
  const copy = view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return { buffer: copy, start: 0 };
}

export class Column {
  constructor(spec, bytes, count) {
    this.spec = spec;
    const at = bytes.start + spec.offset;
    this.codes = new ARRAYS[spec.dtype](bytes.buffer, at, count);
    this.plain = spec.dtype === "f8";
    this.ranks = null;
    this.span = null;
  }

  // The value as a number: a flag is 0 or 1, what is missing is NaN.
  number(row) {
    const code = this.codes[row];
    if (this.plain) return code;
    if (code === 0) return NaN;
    if (this.spec.kind === "number") return (this.spec.base + (code - 1)) / this.spec.scale;
    return code - 1;
  }

  text(row) {
    const code = this.codes[row];
    return code === 0 ? null : this.spec.values[code - 1];
  }

  // What to sort by; NaN is missing and goes last, whichever the direction.
  key(row) {
    if (this.spec.kind !== "text") return this.number(row);
    if (this.ranks === null) {
      const values = this.spec.values;
      const order = values.map((_, i) => i);
      // By code points, as pandas sorts: the table and the frame have one order.
      order.sort((a, b) => (values[a] < values[b] ? -1 : 1));
      this.ranks = new Float64Array(values.length);
      order.forEach((value, rank) => (this.ranks[value] = rank));
    }
    const code = this.codes[row];
    return code === 0 ? NaN : this.ranks[code - 1];
  }

  get most() {
    if (this.span === null) {
      let most = 0;
      for (let row = 0; row < this.codes.length; row++) {
        const value = this.number(row);
        if (value > most) most = value;
      }
      this.span = most;
    }
    return this.span;
  }
}

export function formatCell(look, column, row) {
  if (column.spec.kind === "text") return column.text(row) ?? DASH;
  const value = column.number(row);
  if (Number.isNaN(value)) return DASH;
  switch (look.form) {
    case "usd":
      return usd(value);
    case "percent":
      return percent(value, 1);
    case "id":
      return String(value);
    case "days":
      return value > 86400 * 3650 ? "> 10 y" : grouped(value / 86400, value < 864000 ? 1 : 0);
    case "flag":
      return value ? "yes" : "no";
    case "bar":
      return grouped(value, value < 100 ? 1 : 0);
    case "int":
      return grouped(value, 0);
    default:
      return grouped(value, Math.abs(value) >= 10000 ? 0 : look.decimals);
  }
}

export class OfferStore {
  constructor() {
    this.listeners = new Map();
    this.looks = [];
    this.columns = new Map();
    this.count = 0;
    this.rows = new Uint32Array(0);
    this.view = new Uint32Array(0);
    this.order = null;
    this.selected = new Set();
    this.hovered = null;
    this.ids = null;
    this.places = new Map();
    this.loaded = false;
    this.notes = {};
    this.facets = null;
    this.offset = 0;
  }

  on(event, listener, signal) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event).add(listener);
    signal?.addEventListener("abort", () => this.listeners.get(event).delete(listener));
  }

  tell(event, origin = null) {
    for (const listener of this.listeners.get(event) ?? []) listener(origin);
  }

  // A whole answer: columns, how they look, and which rows are shown.
  /** @type {(message: Offers, buffers: DataView[]) => void} */
  load(message, buffers) {
    const bytes = alignedBytes(buffers[0]);
    this.count = message.count;
    this.looks = message.looks;
    this.columns = new Map(
      message.columns.map((spec) => [spec.name, new Column(spec, bytes, message.count)]),
    );
    const ids = this.columns.get(message.id_column);
    this.ids = new Float64Array(this.count);
    this.places = new Map();
    for (let row = 0; row < this.count; row++) {
      const id = ids ? ids.number(row) : row;
      this.ids[row] = id;
      this.places.set(id, row);
    }
    this.loaded = true;
    this.hovered = null;
    this.tell("load");
    this.show(message, buffers[1]);
  }

  // Which rows of the answer are shown; `null` is all of them.
  /** @type {(message: Offers | Rows | Columns, raw: DataView) => void} */
  show(message, buffer) {
    this.notes = message.notes ?? {};
    if (buffer) {
      const { buffer: raw, start } = alignedBytes(buffer);
      this.rows = new Uint32Array(raw, start, message.shown);
    } else {
      this.rows = Uint32Array.from({ length: this.count }, (_, i) => i);
    }
    this.arrange();
  }

  // Columns that changed for the same rows (prices after another disk size).
  /** @type {(message: Columns, buffers: DataView[]) => void} */
  replace(message, buffers) {
    const bytes = alignedBytes(buffers[0]);
    for (const spec of message.columns) {
      this.columns.set(spec.name, new Column(spec, bytes, this.count));
    }
    this.tell("load");
    this.show(message, buffers[1]);
  }

  arrange() {
    const view = this.rows.slice();
    const column = this.order ? this.columns.get(this.order.column) : null;
    if (column) {
      const keys = new Float64Array(this.count);
      for (const row of view) keys[row] = column.key(row);
      const sign = this.order.ascending ? 1 : -1;
      view.sort((a, b) => {
        const x = keys[a];
        const y = keys[b];
        if (x === y) return a - b;
        if (Number.isNaN(x)) return Number.isNaN(y) ? a - b : 1;
        if (Number.isNaN(y)) return -1;
        return sign * (x - y);
      });
    }
    this.view = view;
    this.tell("view");
  }

  // A first click sorts text and prices upwards, and what one wants much of downwards.
  sortBy(name) {
    const { form } = this.looks.find((look) => look.name === name) ?? {};
    const upwards = ["usd", "text", "verification", "id"].includes(form);
    if (this.order?.column !== name) this.order = { column: name, ascending: upwards };
    else if (this.order.ascending === upwards) this.order = { column: name, ascending: !upwards };
    else this.order = null;
    this.arrange();
    this.tell("order");
  }

  setOrder(order) {
    if (JSON.stringify(order) === JSON.stringify(this.order)) return;
    this.order = order;
    this.arrange();
  }

  select(ids, origin) {
    this.selected = new Set(ids);
    this.tell("select", origin);
  }

  hover(row, origin) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.tell("hover", origin);
  }
}
