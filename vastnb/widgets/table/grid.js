// The offer table: a fixed pool of row elements that moves over any number of rows. Only rows
// that come into sight are written; sorting, selection and keys need no kernel.
import { W } from "./words.js";
import { DASH } from "../kit/words.js";
import { formatCell } from "./store.js";
import { clickable, freshId, h, onResize, perFrame, setText } from "../kit/dom.js";

const ROW = 28;
// On a phone a row is a card of two lines.
const CARD = 52;
const CARDS_BELOW = 520;
const SPARE = 4;
const PICK_WIDTH = 34;
const VERIFICATIONS = ["verified", "unverified", "deverified"];

export function offerGrid(host, store, { signal, label, onReset = null }) {
  const hereId = freshId("here");
  const active = { at: 0, col: 0 };
  let pool = [];
  let looks = null;
  let looksKey = "";
  let rowHeight = ROW;
  let anchor = null;
  let pointed = null;

  const box = () => h("span.vnb-check", { "aria-hidden": "true" });
  const head = h(".vnb-row.vnb-head", { role: "row", "aria-rowindex": 1 });
  const pickAll = h(".vnb-cell.vnb-pick", {
    role: "columnheader",
    "aria-colindex": 1,
    "aria-label": W.selectAllShown,
  }, box());
  const body = h(".vnb-rows", {
    role: "rowgroup",
    onmousemove: ({ target }) => store.hover(store.view[rowOf(target)?.at] ?? null),
    onmouseleave: () => store.hover(null),
  });
  const emptyTitle = h("strong", W.noOfferMatches);
  const emptyText = h("span", W.nothingInThisAnswer);
  const reset = onReset && clickable(W.resetFilters, onReset);
  const empty = h(".vnb-empty", { hidden: true }, emptyTitle, emptyText, reset);
  const canvas = h(
    ".vnb-canvas",
    { onclick: onClick },
    h(".vnb-headgroup", { role: "rowgroup" }, head),
    body,
  );
  const scroll = h(
    ".vnb-grid",
    {
      role: "grid",
      tabindex: 0,
      "aria-label": label,
      "aria-multiselectable": "true",
      onscroll: () => draw(),
      onkeydown: onKey,
      onmousedown: (event) => event.shiftKey && event.preventDefault(),
    },
    canvas,
  );
  const live = h(".vnb-hidden", { "aria-live": "polite" });
  const frame = h(".vnb-gridframe", scroll, empty, live);
  host.append(frame);

  function showColumns() {
    const key = JSON.stringify(store.looks);
    if (key === looksKey) return forget();
    looksKey = key;
    looks = store.looks;
    const widths = looks.map(({ width }) => `minmax(${width}px, ${width}fr)`);
    scroll.style.setProperty("--vnb-columns", `${PICK_WIDTH}px ${widths.join(" ")}`);
    canvas.style.minWidth = `${looks.reduce((sum, { width }) => sum + width, PICK_WIDTH)}px`;
    scroll.ariaColCount = String(looks.length + 1);
    const heads = looks.map(({ name, label, title, unit, form }, i) => {
      const cell = h(
        "div",
        {
          class: `vnb-cell vnb-${form} vnb-c-${name}`,
          role: "columnheader",
          title: title || name,
          "aria-colindex": i + 2,
        },
        h("span.vnb-label", label),
        unit ? h("span.vnb-unit", unit) : null,
        h("span.vnb-arrow", { "aria-hidden": "true" }),
      );
      cell.dataset.name = name;
      return cell;
    });
    head.replaceChildren(pickAll, ...heads);
    pool = [];
    body.replaceChildren();
    fitPool();
    markOrder();
    return undefined;
  }

  function newRow() {
    const cells = looks.map(({ name, form }) => {
      const cell = h("div", { class: `vnb-cell vnb-${form} vnb-c-${name}`, role: "gridcell" });
      if (form === "bar") cell.append(h("i.vnb-bar", h("b")));
      if (["bar", "verification", "flag"].includes(form)) cell.append(h("span"));
      return cell;
    });
    const pick = h(".vnb-cell.vnb-pick", { role: "gridcell" }, box());
    return { row: h(".vnb-row", { role: "row" }, pick, ...cells), cells, at: -1 };
  }

  function fitPool() {
    if (!looks) return;
    const fits = Math.ceil(scroll.clientHeight / rowHeight) + SPARE;
    while (pool.length < fits) {
      pool.push(newRow());
      body.append(pool.at(-1).row);
    }
    while (pool.length > fits) pool.pop().row.remove();
    forget();
  }

  // Rows where there is room, cards where there is none.
  function chooseHeight() {
    const height = scroll.clientWidth && scroll.clientWidth < CARDS_BELOW ? CARD : ROW;
    if (height === rowHeight) return;
    const first = scroll.scrollTop / rowHeight;
    rowHeight = height;
    frame.classList.toggle("vnb-cards", height === CARD);
    body.style.height = `${store.view.length * height}px`;
    scroll.scrollTop = first * height;
  }

  // Every row must be written anew.
  function forget() {
    for (const item of pool) item.at = -1;
    paint();
  }

  function showView() {
    const count = store.view.length;
    body.style.height = `${count * rowHeight}px`;
    scroll.ariaRowCount = String(count + 1);
    empty.hidden = count > 0 || !store.loaded;
    if (store.notes.empty) {
      setText(emptyTitle, store.notes.title);
      setText(emptyText, store.notes.empty);
    }
    active.at = Math.min(active.at, Math.max(0, count - 1));
    markAll();
    forget();
  }

  function paint() {
    if (!looks) return;
    frame.classList.toggle("vnb-more", scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 2);
    frame.classList.toggle("vnb-scrolled", scroll.scrollLeft > 1);
    const first = Math.max(0, Math.floor(scroll.scrollTop / rowHeight) - 1);
    for (let at = first; at < first + pool.length; at++) {
      const item = pool[at % pool.length];
      if (item.at === at) continue;
      item.at = at;
      const shown = at < store.view.length;
      item.row.style.display = shown ? "" : "none";
      if (!shown) continue;
      item.row.style.transform = `translateY(${at * rowHeight}px)`;
      write(item, store.view[at]);
    }
  }

  function write(item, row) {
    item.row.ariaRowIndex = String(item.at + 2);
    item.row.classList.toggle("vnb-odd", item.at % 2 === 1);
    looks.forEach((look, i) => {
      const cell = item.cells[i];
      const column = store.columns.get(look.name);
      const text = formatCell(look, column, row);
      const missing = text === DASH;
      const spot = cell.lastElementChild ?? cell;
      setText(spot, text);
      if (look.form === "bar") {
        const value = column.number(row);
        const share = value > 0 ? Math.max(3, 100 * Math.sqrt(value / column.most)) : 0;
        cell.firstChild.firstChild.style.width = `${share}%`;
      } else if (look.form === "verification") {
        spot.className = `vnb-pill vnb-${VERIFICATIONS.includes(text) ? text : "unverified"}`;
      } else if (look.form === "flag") spot.className = `vnb-flag vnb-${missing ? "none" : text}`;
      else if (look.form === "text") cell.title = missing ? "" : text;
      cell.classList.toggle("vnb-missing", missing);
      if (look.name === "disk_space" || look.name === "dph_total") warnOfDisk(cell, row);
    });
    mark(item);
  }

  // A price for a disk that the machine cannot give is no price.
  function warnOfDisk(cell, row) {
    const { disk } = store.notes;
    const room = store.columns.get("disk_space")?.number(row);
    const short = disk !== undefined && room < disk;
    cell.classList.toggle("vnb-short", short);
    cell.title = short ? W.onlySoMuchDisk(Math.floor(room), disk) : "";
  }

  // What changes without the row's values: selected, hovered, active.
  function mark({ row: node, cells, at }) {
    const row = store.view[at];
    if (row === undefined) return;
    node.ariaSelected = String(store.selected.has(store.ids[row]));
    node.classList.toggle("vnb-hover", store.hovered === row);
    node.classList.toggle("vnb-active", at === active.at);
    if (at === active.at && at >= 0) pointAt(active.col < 0 ? node.firstChild : cells[active.col]);
  }

  function pointAt(cell) {
    if (pointed !== cell) {
      pointed?.classList.remove("vnb-here");
      pointed?.removeAttribute("id");
    }
    cell.id = hereId;
    cell.classList.add("vnb-here");
    pointed = cell;
    scroll.setAttribute("aria-activedescendant", hereId);
  }

  function markRows() {
    for (const item of pool) mark(item);
    if (active.at < 0) pointAt(head.children[active.col + 1]);
  }

  function markHover() {
    for (const { row, at } of pool) {
      row.classList.toggle("vnb-hover", at >= 0 && store.view[at] === store.hovered);
    }
  }

  function markAll() {
    const { view, selected } = store;
    const count = view.reduce((sum, row) => sum + Number(selected.has(store.ids[row])), 0);
    pickAll.dataset.state = count === 0 ? "none" : count === view.length ? "all" : "some";
    setText(live, selected.size ? W.selected(selected.size) : "");
  }

  function markOrder() {
    for (const cell of head.querySelectorAll("[data-name]")) {
      const here = store.order?.column === cell.dataset.name;
      cell.ariaSort = here ? (store.order.ascending ? "ascending" : "descending") : "none";
    }
  }

  function reveal(at) {
    const top = at * rowHeight;
    const room = scroll.clientHeight - head.offsetHeight;
    if (top < scroll.scrollTop) scroll.scrollTop = top;
    else if (top + rowHeight > scroll.scrollTop + room) scroll.scrollTop = top + rowHeight - room;
    paint();
  }

  function revealRow(row) {
    const at = store.view.indexOf(row);
    if (at < 0) return;
    active.at = at;
    reveal(at);
    markRows();
  }

  function revealColumn() {
    const [pick, first] = head.children;
    const cell = head.children[active.col + 1];
    if (cell === pick || cell === first) return; // these never leave
    const left = cell.offsetLeft;
    const pinned = pick.offsetWidth + first.offsetWidth;
    if (left - pinned < scroll.scrollLeft) scroll.scrollLeft = left - pinned;
    const right = left + cell.offsetWidth - scroll.clientWidth;
    if (right > scroll.scrollLeft) scroll.scrollLeft = right;
  }

  const idAt = (at) => store.ids[store.view[at]];

  function toggle(at) {
    const next = new Set(store.selected);
    anchor = idAt(at);
    if (!next.delete(anchor)) next.add(anchor);
    store.select(next);
  }

  function only(at) {
    anchor = idAt(at);
    store.select([anchor]);
  }

  function range(to, keep) {
    anchor ??= idAt(to);
    const from = store.view.indexOf(store.places.get(anchor));
    const start = from < 0 ? to : from;
    const next = new Set(keep ? store.selected : []);
    for (let at = Math.min(start, to); at <= Math.max(start, to); at++) next.add(idAt(at));
    store.select(next);
  }

  function toggleAll() {
    const next = new Set(store.selected);
    const all = pickAll.dataset.state === "all";
    for (const row of store.view) all ? next.delete(store.ids[row]) : next.add(store.ids[row]);
    store.select(next);
  }

  const rowOf = (node) => pool.find(({ row }) => row === node.closest(".vnb-row"));

  function onClick(event) {
    const cell = event.target.closest(".vnb-cell");
    if (!cell) return;
    if (cell === pickAll) return toggleAll();
    if (head.contains(cell)) return store.sortBy(cell.dataset.name);
    const { at, cells } = rowOf(cell);
    active.at = at;
    active.col = cells.indexOf(cell);
    const more = active.col < 0 || event.ctrlKey || event.metaKey;
    if (event.shiftKey) range(at, more);
    else if (more) toggle(at);
    else only(at);
  }

  function onKey(event) {
    const { key, shiftKey } = event;
    const jump = event.ctrlKey || event.metaKey;
    const last = store.view.length - 1;
    const page = Math.max(1, Math.floor(scroll.clientHeight / rowHeight) - 2);
    const ends = { Home: -Infinity, End: Infinity };
    const down = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, ...(jump && ends) }[key];
    const right = { ArrowRight: 1, ArrowLeft: -1, ...ends }[key];
    if (down) {
      // Up from the first row lie the heads.
      const above = key === "ArrowUp" && active.at <= 0;
      active.at = above ? -1 : Math.min(last, Math.max(0, active.at + down));
      if (active.at >= 0) {
        reveal(active.at);
        if (shiftKey) range(active.at, false);
      }
      markRows();
    } else if (right) {
      active.col = Math.min(looks.length - 1, Math.max(-1, active.col + right));
      revealColumn();
      markRows();
    } else if ((key === " " || key === "Enter") && active.at < 0) {
      if (active.col < 0) toggleAll();
      else store.sortBy(looks[active.col].name);
    } else if (key === " " && last >= 0) {
      if (shiftKey) range(active.at, false);
      else toggle(active.at);
    } else if (key === "Enter" && last >= 0) only(active.at);
    else if (key === "a" && jump) store.select(Array.from(store.view, (row) => store.ids[row]));
    else if (key === "Escape") store.select([]);
    else return;
    event.preventDefault();
  }

  const draw = perFrame(signal, paint);
  onResize(signal, scroll, () => {
    chooseHeight();
    fitPool();
  });
  store.on("load", showColumns, signal);
  store.on("view", showView, signal);
  store.on("order", markOrder, signal);
  store.on("select", () => {
    markRows();
    markAll();
  }, signal);
  store.on("hover", markHover, signal);
  if (store.loaded) {
    showColumns();
    showView();
  }
  return { frame, forget, revealRow };
}
