// The offer table: a fixed pool of row elements that moves over any number of rows. Only rows
// that come into sight are written; sorting, selection and keys need no kernel.
import { W } from "./words.js";
import { DASH } from "../kit/words.js";
import { formatCell } from "./store.js";
import { clickable, freshId, h, perFrame, setText } from "../kit/dom.js";

const ROW = 28;
// On a phone a row is a card of two lines.
const CARD = 52;
const CARDS_BELOW = 520;
const SPARE = 4;

export class Grid {
  constructor(host, store, { signal, label = W.offers, onReset = null }) {
    this.store = store;
    this.signal = signal;
    this.pool = [];
    this.row = ROW;
    this.active = { at: 0, col: 0 };
    this.anchor = null;
    this.gridId = freshId("grid");
    this.build(host, label, onReset);
    this.draw = perFrame(() => this.paint());
    signal.addEventListener("abort", () => this.draw.cancel());
    store.on("load", () => this.buildColumns(), signal);
    store.on("view", () => this.onView(), signal);
    store.on("order", () => this.markOrder(), signal);
    store.on("select", () => this.onSelection(), signal);
    store.on("hover", () => this.markHover(), signal);
    if (store.loaded) {
      this.buildColumns();
      this.onView();
    }
  }

  build(host, label, onReset) {
    const { signal } = this;
    this.head = h("div", { class: "vnb-row vnb-head", role: "row", "aria-rowindex": 1 });
    this.body = h("div", { class: "vnb-rows", role: "rowgroup" });
    this.empty = h(
      "div",
      { class: "vnb-empty", hidden: true },
      this.emptyTitle = h("strong", { text: W.noOfferMatches }),
      this.emptyText = h("span", { text: W.nothingInThisAnswer }),
      onReset &&
        clickable(W.resetFilters, onReset),
    );
    this.canvas = h(
      "div",
      { class: "vnb-canvas" },
      h("div", { role: "rowgroup", class: "vnb-headgroup" }, this.head),
      this.body,
    );
    this.scroll = h(
      "div",
      { class: "vnb-grid", role: "grid", tabindex: 0, "aria-label": label, "aria-multiselectable": "true" },
      this.canvas,
    );
    this.live = h("div", { class: "vnb-hidden", "aria-live": "polite" });
    this.frame = h("div", { class: "vnb-gridframe" }, this.scroll, this.empty, this.live);
    host.append(this.frame);
    this.scroll.addEventListener("scroll", () => this.draw(), { signal, passive: true });
    this.scroll.addEventListener("keydown", (event) => this.onKey(event), { signal });
    this.scroll.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault(), {
      signal,
    });
    this.canvas.addEventListener("click", (event) => this.onClick(event), { signal });
    this.body.addEventListener("mousemove", (event) => this.onHover(event), { signal });
    this.body.addEventListener("mouseleave", () => this.store.hover(null, this), { signal });
    const sizes = new ResizeObserver(() => {
      this.choose();
      this.fitPool();
    });
    sizes.observe(this.scroll);
    signal.addEventListener("abort", () => sizes.disconnect());
  }

  buildColumns() {
    const looks = this.store.looks;
    const key = JSON.stringify(looks);
    if (key === this.columnsKey) return this.forget();
    this.columnsKey = key;
    this.looks = looks;
    const widths = looks.map((look) => `minmax(${look.width}px, ${look.width}fr)`);
    this.scroll.style.setProperty("--vnb-columns", `34px ${widths.join(" ")}`);
    const total = 34 + looks.reduce((sum, look) => sum + look.width, 0);
    this.canvas.style.minWidth = `${total}px`;
    this.scroll.setAttribute("aria-colcount", String(looks.length + 1));
    this.allBox = h("span", { class: "vnb-check", "aria-hidden": "true" });
    const all = h("div", {
      class: "vnb-cell vnb-pick",
      role: "columnheader",
      "aria-label": W.selectAllShown,
      "aria-colindex": 1,
    }, this.allBox);
    all.dataset.col = "-1";
    const heads = looks.map((look, i) => {
      const cell = h(
        "div",
        {
          class: `vnb-cell vnb-${look.form} vnb-c-${look.name}`,
          role: "columnheader",
          title: look.title || look.name,
          "aria-colindex": i + 2,
        },
        h("span", { class: "vnb-label", text: look.label }),
        look.unit ? h("span", { class: "vnb-unit", text: look.unit }) : null,
        h("span", { class: "vnb-arrow", "aria-hidden": "true" }),
      );
      cell.dataset.col = String(i);
      cell.dataset.name = look.name;
      return cell;
    });
    this.head.replaceChildren(all, ...heads);
    this.pool = [];
    this.body.replaceChildren();
    this.fitPool();
    this.markOrder();
    return undefined;
  }

  makeRow() {
    const row = h("div", { class: "vnb-row", role: "row" });
    const pick = h(
      "div",
      { class: "vnb-cell vnb-pick", role: "gridcell" },
      h("span", { class: "vnb-check", "aria-hidden": "true" }),
    );
    pick.dataset.col = "-1";
    const cells = this.looks.map((look, i) => {
      const cell = h("div", { class: `vnb-cell vnb-${look.form} vnb-c-${look.name}`, role: "gridcell" });
      cell.dataset.col = String(i);
      if (look.form === "bar") cell.append(h("i", { class: "vnb-bar" }, h("b")), h("span"));
      else if (look.form === "verification" || look.form === "flag") cell.append(h("span"));
      return cell;
    });
    row.append(pick, ...cells);
    return { row, cells, at: -1 };
  }

  fitPool() {
    if (!this.looks || this.signal.aborted) return;
    const fits = Math.ceil(this.scroll.clientHeight / this.row) + SPARE;
    while (this.pool.length < fits) {
      const item = this.makeRow();
      this.pool.push(item);
      this.body.append(item.row);
    }
    while (this.pool.length > fits) this.pool.pop().row.remove();
    this.forget();
  }

  // Rows where there is room, cards where there is none.
  choose() {
    const row = this.scroll.clientWidth && this.scroll.clientWidth < CARDS_BELOW ? CARD : ROW;
    if (row === this.row) return;
    const first = this.scroll.scrollTop / this.row;
    this.row = row;
    this.frame.classList.toggle("vnb-cards", row === CARD);
    this.body.style.height = `${this.store.view.length * row}px`;
    this.scroll.scrollTop = first * row;
  }

  // Every row must be written anew.
  forget() {
    for (const item of this.pool) item.at = -1;
    this.paint();
  }

  onView() {
    const count = this.store.view.length;
    this.body.style.height = `${count * this.row}px`;
    this.scroll.setAttribute("aria-rowcount", String(count + 1));
    this.empty.hidden = count > 0 || !this.store.loaded;
    if (this.store.notes.empty) {
      setText(this.emptyTitle, this.store.notes.title);
      setText(this.emptyText, this.store.notes.empty);
    }
    this.active.at = Math.min(this.active.at, Math.max(0, count - 1));
    this.markAll();
    this.forget();
  }

  paint() {
    if (!this.looks) return;
    const more = this.scroll.scrollLeft + this.scroll.clientWidth < this.scroll.scrollWidth - 2;
    this.frame.classList.toggle("vnb-more", more);
    this.frame.classList.toggle("vnb-scrolled", this.scroll.scrollLeft > 1);
    const { view } = this.store;
    const first = Math.max(0, Math.floor(this.scroll.scrollTop / this.row) - 1);
    const size = this.pool.length;
    for (let at = first; at < first + size; at++) {
      const item = this.pool[at % size];
      if (item.at === at) continue;
      item.at = at;
      if (at >= view.length) {
        item.row.style.display = "none";
        continue;
      }
      item.row.style.display = "";
      item.row.style.transform = `translateY(${at * this.row}px)`;
      this.write(item, at, view[at]);
    }
  }

  write(item, at, row) {
    const { store } = this;
    item.row.setAttribute("aria-rowindex", String(at + 2));
    item.row.classList.toggle("vnb-odd", at % 2 === 1);
    for (let i = 0; i < this.looks.length; i++) {
      const look = this.looks[i];
      const column = store.columns.get(look.name);
      const cell = item.cells[i];
      const text = formatCell(look, column, row);
      if (look.form === "bar") {
        const value = column.number(row);
        cell.firstChild.firstChild.style.width = value > 0
          ? `${Math.max(3, 100 * Math.sqrt(value / column.most))}%`
          : "0";
        setText(cell.lastChild, text);
      } else if (look.form === "verification") {
        const word = text === DASH ? "unknown" : text;
        cell.firstChild.className = `vnb-pill vnb-${
          /^(verified|unverified|deverified)$/.test(word) ? word : "unverified"
        }`;
        setText(cell.firstChild, text);
      } else if (look.form === "flag") {
        cell.firstChild.className = `vnb-flag vnb-${text === DASH ? "none" : text}`;
        setText(cell.firstChild, text);
      } else {
        setText(cell, text);
        if (look.form === "text") cell.title = text === DASH ? "" : text;
      }
      cell.classList.toggle("vnb-missing", text === DASH);
      if (look.name === "disk_space" || look.name === "dph_total") this.warnOfDisk(cell, row);
    }
    this.mark(item);
  }

  // A price for a disk that the machine cannot give is no price.
  warnOfDisk(cell, row) {
    const { notes, columns } = this.store;
    const room = columns.get("disk_space")?.number(row);
    const short = notes.disk !== undefined && room < notes.disk;
    cell.classList.toggle("vnb-short", short);
    cell.title = short ? W.onlySoMuchDisk(Math.floor(room), notes.disk) : "";
  }

  // What changes without the row's values: selected, hovered, active.
  mark(item) {
    const { store } = this;
    const row = store.view[item.at];
    if (row === undefined) return;
    const selected = store.selected.has(store.ids[row]);
    item.row.setAttribute("aria-selected", String(selected));
    item.row.classList.toggle("vnb-hover", store.hovered === row);
    const here = item.at === this.active.at;
    item.row.classList.toggle("vnb-active", here);
    if (here && this.active.at >= 0) {
      const cell = this.active.col < 0 ? item.row.firstChild : item.cells[this.active.col];
      this.pointAt(cell);
    }
  }

  pointAt(cell) {
    if (this.pointed && this.pointed !== cell) {
      this.pointed.classList.remove("vnb-here");
      this.pointed.removeAttribute("id");
    }
    cell.id = `${this.gridId}-here`;
    cell.classList.add("vnb-here");
    this.pointed = cell;
    this.scroll.setAttribute("aria-activedescendant", cell.id);
  }

  markRows() {
    for (const item of this.pool) this.mark(item);
    if (this.active.at < 0) this.pointAt(this.head.children[this.active.col + 1]);
  }

  markHover() {
    for (const item of this.pool) {
      item.row.classList.toggle("vnb-hover", item.at >= 0 && this.store.view[item.at] === this.store.hovered);
    }
  }

  onSelection() {
    this.markRows();
    this.markAll();
  }

  markAll() {
    if (!this.allBox) return;
    const { store } = this;
    let count = 0;
    for (const row of store.view) if (store.selected.has(store.ids[row])) count += 1;
    const state = count === 0 ? "none" : count === store.view.length ? "all" : "some";
    this.allBox.parentElement.dataset.state = state;
    setText(this.live, store.selected.size ? W.selected(store.selected.size) : "");
  }

  markOrder() {
    const { order } = this.store;
    for (const cell of this.head.children) {
      if (!cell.dataset.name) continue;
      const here = order?.column === cell.dataset.name;
      cell.setAttribute("aria-sort", here ? (order.ascending ? "ascending" : "descending") : "none");
    }
  }

  reveal(at) {
    const top = at * this.row;
    const room = this.scroll.clientHeight - this.head.offsetHeight;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + this.row > this.scroll.scrollTop + room) this.scroll.scrollTop = top + this.row - room;
    this.paint();
  }

  revealRow(row) {
    const at = this.store.view.indexOf(row);
    if (at < 0) return;
    this.active.at = at;
    this.reveal(at);
    this.markRows();
  }

  revealColumn() {
    const [pick, first] = this.head.children;
    const cell = this.head.children[this.active.col + 1];
    if (cell === pick || cell === first) return; // these never leave
    const left = cell.offsetLeft;
    const pinned = pick.offsetWidth + first.offsetWidth;
    if (left - pinned < this.scroll.scrollLeft) this.scroll.scrollLeft = left - pinned;
    const right = left + cell.offsetWidth - this.scroll.clientWidth;
    if (right > this.scroll.scrollLeft) this.scroll.scrollLeft = right;
  }

  idAt(at) {
    return this.store.ids[this.store.view[at]];
  }

  toggle(at) {
    const next = new Set(this.store.selected);
    const id = this.idAt(at);
    if (!next.delete(id)) next.add(id);
    this.anchor = id;
    this.store.select(next, this);
  }

  only(at) {
    this.anchor = this.idAt(at);
    this.store.select([this.anchor], this);
  }

  range(to, keep) {
    const from = this.anchor === null ? to : this.store.view.indexOf(this.store.places.get(this.anchor));
    const start = from < 0 ? to : from;
    const next = new Set(keep ? this.store.selected : []);
    for (let at = Math.min(start, to); at <= Math.max(start, to); at++) next.add(this.idAt(at));
    if (this.anchor === null) this.anchor = this.idAt(to);
    this.store.select(next, this);
  }

  toggleAll() {
    const { store } = this;
    const all = this.allBox.parentElement.dataset.state === "all";
    const next = new Set(store.selected);
    for (const row of store.view) all ? next.delete(store.ids[row]) : next.add(store.ids[row]);
    store.select(next, this);
  }

  onClick(event) {
    const cell = event.target.closest(".vnb-cell");
    if (!cell) return;
    if (this.head.contains(cell)) {
      if (cell.dataset.name) this.store.sortBy(cell.dataset.name);
      else this.toggleAll();
      return;
    }
    const item = this.pool.find(({ row }) => row === cell.parentElement);
    if (!item || item.at >= this.store.view.length) return;
    this.active = { at: item.at, col: Number(cell.dataset.col) };
    const picked = cell.dataset.col === "-1";
    if (event.shiftKey) this.range(item.at, picked || event.ctrlKey || event.metaKey);
    else if (picked || event.ctrlKey || event.metaKey) this.toggle(item.at);
    else this.only(item.at);
  }

  onHover(event) {
    const rowElement = event.target.closest(".vnb-row");
    const item = rowElement && this.pool.find(({ row }) => row === rowElement);
    this.store.hover(item ? this.store.view[item.at] ?? null : null, this);
  }

  onKey(event) {
    const last = this.store.view.length - 1;
    const page = Math.max(1, Math.floor(this.scroll.clientHeight / this.row) - 2);
    const jump = event.ctrlKey || event.metaKey;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page };
    const sideways = { ArrowRight: 1, ArrowLeft: -1 };
    const { active } = this;
    if (event.key in moves || (event.key === "Home" && jump) || (event.key === "End" && jump)) {
      const up = event.key === "ArrowUp" && active.at <= 0;
      let to = active.at + (moves[event.key] ?? 0);
      if (event.key === "Home") to = 0;
      if (event.key === "End") to = last;
      active.at = up ? -1 : Math.min(last, Math.max(0, to));
      if (active.at >= 0) {
        this.reveal(active.at);
        if (event.shiftKey) this.range(active.at, false);
      }
      this.markRows();
    } else if (event.key in sideways || event.key === "Home" || event.key === "End") {
      let to = active.col + (sideways[event.key] ?? 0);
      if (event.key === "Home") to = -1;
      if (event.key === "End") to = this.looks.length - 1;
      active.col = Math.min(this.looks.length - 1, Math.max(-1, to));
      this.revealColumn();
      this.markRows();
    } else if ((event.key === " " || event.key === "Enter") && active.at < 0) {
      if (active.col < 0) this.toggleAll();
      else this.store.sortBy(this.looks[active.col].name);
    } else if (event.key === " " && last >= 0) {
      if (event.shiftKey) this.range(active.at, false);
      else this.toggle(active.at);
    } else if (event.key === "Enter" && last >= 0) {
      this.only(active.at);
    } else if (event.key === "a" && jump) {
      this.store.select(Array.from(this.store.view, (row) => this.store.ids[row]), this);
    } else if (event.key === "Escape") {
      this.store.select([], this);
    } else {
      return;
    }
    event.preventDefault();
  }
}
