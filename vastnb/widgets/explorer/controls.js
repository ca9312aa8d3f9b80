// The controls of the filter panel. Each shows a value, and tells `onChange` when somebody changes
// it; `set` shows another value without telling.
import { W } from "./words.js";
import { field } from "../kit/fields.js";
import { clickable, freshId, h, setText } from "../kit/dom.js";

// A slider over sensible stops, and beside its label the value, which can also be typed.
export function stops(label, { values, any = null, show, read, hint = "any", title }, onChange) {
  const ends = any === "low" ? [null, ...values] : any === "high" ? [...values, null] : values;
  let value = null;
  const input = h("input", {
    type: "text",
    class: "vnb-value",
    inputmode: "decimal",
    placeholder: hint,
    autocomplete: "off",
    spellcheck: "false",
    "aria-label": label,
  });
  const slider = h("input", { type: "range", min: 0, max: ends.length - 1, step: 1, title });
  const nearest = () => {
    if (value === null) return ends.indexOf(null);
    let best = 0;
    ends.forEach((end, i) => {
      const off = (stop) => (stop === null ? Infinity : Math.abs(Math.log((stop + 1e-9) / (value + 1e-9))));
      if (off(end) < off(ends[best])) best = i;
    });
    return best;
  };
  const paint = () => {
    slider.value = String(nearest());
    slider.style.setProperty("--vnb-fill", `${(100 * Number(slider.value)) / (ends.length - 1)}%`);
    slider.dataset.side = value === null || !any ? "none" : any;
    slider.setAttribute("aria-valuetext", value === null ? hint : show(value));
    input.classList.remove("vnb-invalid");
  };
  const set = (next) => {
    value = next ?? null;
    if (document.activeElement !== input) input.value = value === null ? "" : show(value);
    paint();
  };
  slider.addEventListener("input", () => {
    value = ends[Number(slider.value)];
    input.value = value === null ? "" : show(value);
    paint();
    onChange(value);
  });
  const commit = () => {
    const text = input.value.trim();
    const next = text === "" || text === hint ? (any ? null : values[0]) : read(text);
    if (next !== null && !(next >= 0 && Number.isFinite(next))) {
      input.classList.add("vnb-invalid");
      return;
    }
    if (next !== value) {
      value = next;
      onChange(value);
    }
    input.value = value === null ? "" : show(value);
    paint();
  };
  input.addEventListener("change", commit);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") commit();
    if (event.key === "Escape") set(value);
  });
  input.addEventListener("focus", () => input.select());
  set(null);
  return { node: field(label, slider, input), set };
}

export function toggle(label, title, onChange) {
  const button = h(
    "button",
    { type: "button", class: "vnb-toggle", role: "switch", title },
    h("i", { "aria-hidden": "true" }),
    h("span", { text: label }),
  );
  const set = (on) => button.setAttribute("aria-checked", String(Boolean(on)));
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-checked") !== "true";
    set(on);
    onChange(on);
  });
  set(false);
  return { node: button, set };
}

function squash(text) {
  return text.toLowerCase().replace(/[^a-z0-9]/g, "");
}

// Several out of many, by typing: the choices with how many offers each would show.
export function multiPick(label, { hint, noun }, onChange) {
  let options = [];
  let chosen = [];
  let listed = [];
  let at = 0;
  const listId = freshId("list");
  const chips = h("span", { class: "vnb-chips" });
  const input = h("input", {
    type: "text",
    role: "combobox",
    placeholder: hint,
    autocomplete: "off",
    spellcheck: "false",
    "aria-expanded": "false",
    "aria-controls": listId,
    "aria-autocomplete": "list",
    "aria-label": label,
  });
  const list = h("ul", {
    class: "vnb-options",
    role: "listbox",
    id: listId,
    hidden: true,
    tabindex: -1,
    "aria-label": label,
  });
  const box = h("div", { class: "vnb-multipick" }, h("div", { class: "vnb-picks" }, chips, input), list);

  // An option is `[value, offers, name]`; without a name the value is shown.
  const named = (value) => options.find(([other]) => other === value)?.[2] ?? value;
  const tell = () => {
    showChips();
    onChange([...chosen]);
  };
  const add = (names) => {
    chosen = [...new Set([...chosen, ...names])];
    input.value = "";
    tell();
    close();
  };
  const remove = (name) => {
    chosen = chosen.filter((other) => other !== name);
    tell();
    if (!list.hidden) open();
  };
  const showChips = () => {
    chips.replaceChildren(
      ...chosen.map((name) =>
        h(
          "span",
          { class: "vnb-chip" },
          h("span", { text: named(name) }),
          clickable("×", (event) => {
            event.stopPropagation();
            remove(name);
            input.focus();
          }, { class: null, "aria-label": W.remove(named(name)) }),
        )
      ),
    );
    input.placeholder = chosen.length ? "" : hint;
    box.classList.toggle("vnb-filled", chosen.length > 0);
  };
  const open = () => {
    const wanted = squash(input.value);
    const free = options.filter(([name]) => !chosen.includes(name));
    const hits = free.filter((
      [value, count, name = ""],
    ) => (wanted ? squash(`${value} ${name}`).includes(wanted) : count > 0));
    const starts = ([value, , name = value]) =>
      [value, name].some((text) =>
        squash(text).replace(/^(rtx|gtx)/, "").startsWith(wanted) || squash(text).startsWith(wanted)
      );
    const exact = ([value]) => squash(value) === wanted;
    const rank = (option) => (exact(option) ? 4 : 0) + (option[1] > 0 ? 2 : 0) + (starts(option) ? 1 : 0);
    if (wanted) hits.sort((a, b) => rank(b) - rank(a) || b[1] - a[1]);
    listed = hits.slice(0, 60).map(([value, count, name = value]) => ({
      names: [value],
      text: name,
      count,
      all: false,
    }));
    const present = hits.filter(([, count]) => count > 0);
    if (wanted && present.length > 1 && !present.some(exact)) {
      const count = present.reduce((sum, [, n]) => sum + n, 0);
      listed.push({
        names: present.map(([name]) => name),
        text: W.allMatching(present.length),
        count,
        all: true,
      });
    }
    if (wanted && listed.length === 0) {
      listed = [{
        names: [input.value.trim()],
        text: W.searchFor(input.value.trim()),
        count: null,
        all: false,
      }];
    }
    at = Math.min(at, Math.max(0, listed.length - 1));
    list.replaceChildren(
      ...listed.map((item, i) => {
        const row = h(
          "li",
          {
            role: "option",
            id: `${listId}-${i}`,
            "aria-selected": String(i === at),
            class: item.all ? "vnb-all" : null,
          },
          h("span", { text: item.text }),
          h("span", {
            class: "vnb-count",
            text: item.count === null ? "" : String(item.count),
            title: item.count === 0 ? W.noneInThisResult : null,
          }),
        );
        row.addEventListener("pointerdown", (event) => {
          event.preventDefault();
          add(item.names);
        });
        return row;
      }),
    );
    list.hidden = listed.length === 0 || document.activeElement !== input;
    input.setAttribute("aria-expanded", String(!list.hidden));
    point();
  };
  const point = () => {
    [...list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === at)));
    list.children[at]?.scrollIntoView({ block: "nearest" });
    if (list.hidden) input.removeAttribute("aria-activedescendant");
    else input.setAttribute("aria-activedescendant", `${listId}-${at}`);
  };
  const close = () => {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    at = 0;
  };
  box.addEventListener("pointerdown", (event) => {
    if (!event.target.closest("button, input, ul")) {
      event.preventDefault();
      input.focus();
    }
  });
  input.addEventListener("focus", open);
  input.addEventListener("click", open);
  input.addEventListener("input", () => {
    at = 0;
    open();
  });
  input.addEventListener("blur", () => {
    input.value = "";
    close();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden) open();
      else at = (at + (event.key === "ArrowDown" ? 1 : -1) + listed.length) % listed.length;
      point();
    } else if (event.key === "Enter") {
      if (!list.hidden && listed[at]) add(listed[at].names);
    } else if (event.key === "Escape") {
      input.value = "";
      close();
    } else if (event.key === "Backspace" && input.value === "" && chosen.length) {
      remove(chosen[chosen.length - 1]);
    } else {
      return;
    }
    event.preventDefault();
  });
  const extra = h("span", { class: "vnb-fieldnote" });
  return {
    node: field(label, box, extra),
    set(next) {
      chosen = [...next];
      showChips();
    },
    offer(next) {
      options = next;
      showChips();
      const present = next.filter(([, count]) => count > 0).length;
      setText(extra, present ? `${present} ${present === 1 ? noun[0] : noun[1]}` : "");
      if (!list.hidden) open();
    },
  };
}

export function queryField(label, { hint, title }, onChange) {
  const input = h("input", {
    type: "text",
    class: "vnb-query vnb-mono",
    placeholder: hint,
    title,
    spellcheck: "false",
    autocomplete: "off",
  });
  let sent = "";
  const commit = () => {
    if (input.value.trim() === sent) return;
    sent = input.value.trim();
    onChange(sent);
  };
  input.addEventListener("change", commit);
  input.addEventListener("keydown", (event) => event.key === "Enter" && commit());
  return {
    node: field(label, input),
    set(text) {
      sent = text;
      if (document.activeElement !== input) input.value = text;
    },
    mark(wrong) {
      input.classList.toggle("vnb-invalid", wrong);
    },
  };
}
