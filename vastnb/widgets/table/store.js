// The offers as the page holds them: columns over a binary buffer, which rows are shown, in which
// order, which are selected. One store belongs to one widget model; any number of views draw it.
import { DASH, grouped, percent, usd } from "../kit/words.js";
/** @import { Columns, Offers, Rows } from "./messages.d.ts" */

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f8: Float64Array };

// The bytes of a message, with a start that typed arrays can use.
function aligned(view) {
  const bytes = ArrayBuffer.isView(view) ? view : new Uint8Array(view);
  const { buffer, byteOffset: start, byteLength: length } = bytes;
  return start % 8 ? new Uint8Array(buffer.slice(start, start + length)) : bytes;
}

class Column {
  constructor(spec, bytes, count) {
    this.spec = spec;
    this.codes = new ARRAYS[spec.dtype](bytes.buffer, bytes.byteOffset + spec.offset, count);
    this.ranks = null;
    this.span = null;
  }

  // The value as a number: a flag is 0 or 1, what is missing is NaN.
  number(row) {
    const code = this.codes[row];
    const { dtype, kind, base, scale } = this.spec;
    if (dtype === "f8") return code;
    if (code === 0) return NaN;
    return kind === "number" ? (base + (code - 1)) / scale : code - 1;
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
    this.span ??= this.codes.reduce((most, _, row) => Math.max(most, this.number(row) || 0), 0);
    return this.span;
  }
}

const DAY = 86400;
const FORMATS = {
  usd,
  percent,
  id: String,
  days: (value) => value > 3650 * DAY ? "> 10 y" : grouped(value / DAY, value < 10 * DAY ? 1 : 0),
  flag: (value) => value ? "yes" : "no",
  bar: (value) => grouped(value, value < 100 ? 1 : 0),
  int: grouped,
};

export function formatCell(look, column, row) {
  if (column.spec.kind === "text") return column.text(row) ?? DASH;
  const value = column.number(row);
  if (Number.isNaN(value)) return DASH;
  const format = FORMATS[look.form];
  return format ? format(value) : grouped(value, Math.abs(value) >= 10000 ? 0 : look.decimals);
}

export class OfferStore extends EventTarget {
  constructor() {
    super();
    this.looks = [];
    this.columns = new Map();
    this.count = 0;
    this.rows = new Uint32Array(0);
    this.view = new Uint32Array(0);
    this.order = null;
    this.selected = new Set();
    this.hovered = null;
    this.idColumn = "";
    this.ids = null;
    this.places = new Map();
    this.loaded = false;
    this.notes = {};
    this.facets = null;
    this.ahead = 0;
  }

  on(event, listener, signal) {
    this.addEventListener(event, listener, { signal });
  }

  tell(event) {
    this.dispatchEvent(new Event(event));
  }

  // A whole answer: columns, how they look, and which rows are shown.
  /** @type {(message: Offers, buffers: DataView[]) => void} */
  load(message, buffers) {
    this.count = message.count;
    this.looks = message.looks;
    this.idColumn = message.id_column;
    this.columns = new Map();
    this.loaded = true;
    this.hovered = null;
    this.replace(message, buffers);
  }

  // Columns that changed for the same rows (prices after another disk size).
  /** @type {(message: Offers | Columns, buffers: DataView[]) => void} */
  replace(message, buffers) {
    const bytes = aligned(buffers[0]);
    for (const spec of message.columns) this.columns.set(spec.name, new Column(spec, bytes, this.count));
    const ids = this.columns.get(this.idColumn);
    this.ids = Float64Array.from({ length: this.count }, (_, row) => ids ? ids.number(row) : row);
    this.places = new Map(Array.from(this.ids, (id, row) => [id, row]));
    this.tell("load");
    this.show(message, buffers[1]);
  }

  // Which rows of the answer are shown; `null` is all of them.
  /** @type {(message: Offers | Rows | Columns, raw: DataView) => void} */
  show(message, buffer) {
    this.notes = message.notes ?? {};
    if (buffer) {
      const bytes = aligned(buffer);
      this.rows = new Uint32Array(bytes.buffer, bytes.byteOffset, message.shown);
    } else {
      this.rows = Uint32Array.from({ length: this.count }, (_, i) => i);
    }
    this.arrange();
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

  select(ids) {
    this.selected = new Set(ids);
    this.tell("select");
  }

  hover(row) {
    if (row === this.hovered) return;
    this.hovered = row;
    this.tell("hover");
  }
}
