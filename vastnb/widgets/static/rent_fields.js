// The left half of the rent form while it is filled in: candidates, what runs, how and for how long.
import { h, percent, setText } from "./dom.js";
import { choice, entry, script, secrets, single } from "./rent_controls.js";

const RUNS = [
  [null, "Default", "What the template or the service says"],
  ["ssh_direct", "SSH", "Log in by SSH; direct if the machine has an open port"],
  ["jupyter_direct", "Jupyter", "JupyterLab in the browser, and SSH"],
  ["args", "Entrypoint", "The image's own entry point; no login"],
];
const MARKS = { bad: "!", warn: "!" };

function dollars(value, places = 4) {
  return value === null || value === undefined ? "–" : `$${value.toFixed(places)}`;
}

export class RentFields {
  // `say(message)` tells the kernel.
  constructor(say) {
    this.say = say;
    const change = (name) => (value) => say({ type: "change", field: name, value });
    this.controls = {
      image: entry("Image", { hint: "pytorch/pytorch", mono: true, title: "A Docker image, with its tag" }, change("image")),
      rental: choice(
        "Rental",
        [
          ["on-demand", "On-demand", "Fixed price, yours until you end it"],
          ["bid", "Bid", "Interruptible: cheaper, but a higher bid stops it"],
        ],
        (kind) => say({ type: "change", field: "bid", value: kind === "bid" ? "min+10%" : null }),
      ),
      bid: entry("Bid, $/h", { hint: "min+10%", title: "$ an hour for the GPUs, or above the least bid: min+10%, min+0.05" }, change("bid")),
      runtype: choice("Run type", RUNS, change("runtype")),
      disk: entry("Disk", { unit: "GB", title: "Billed while the machine exists, stopped or not" }, change("disk")),
      count: entry("Machines", { title: "Each from another offer" }, change("count")),
      label: entry("Label", { hint: "none", title: "To tell machines apart; at most 256 characters" }, change("label")),
      hours: entry("Hours of use", { unit: "h", title: "What the price is worked out for" }, change("hours")),
      download_gb: entry("Data in", { unit: "GB", title: "Traffic to each machine: image, data sets" }, change("download_gb")),
      upload_gb: entry("Data out", { unit: "GB", title: "Traffic from each machine" }, change("upload_gb")),
      max_hours: entry("End after", { unit: "h", hint: "no limit", chips: true, title: "Machines are destroyed after this time" }, change("max_hours")),
      budget_usd: entry("Budget", { unit: "$", hint: "no limit", chips: true, title: "Machines are destroyed before they cost more, all together; traffic is not in it" }, change("budget_usd")),
      env: secrets("Environment and ports", {
        onChange: (rows) => say({ type: "env", rows }),
        onReveal: (name) => say({ type: "reveal", field: "env", name }),
      }),
      onstart: script("Start script", {
        hint: "pip install -q lightning",
        onChange: change("onstart"),
        onReveal: () => say({ type: "reveal", field: "onstart" }),
      }),
    };
    this.template = single("Template", { hint: "None; type to choose" }, (option) => say({ type: "template", hash: option ? option[0] : null }));
    this.offers = h("div", { class: "vnb-cands", role: "list", "aria-label": "Offers, in the order in which they are tried" });
    this.offersNote = h("span", { class: "vnb-fieldnote" });
    const node = (name) => this.controls[name].node;
    this.node = h(
      "div",
      { class: "vnb-rentfields" },
      h("section", { class: "vnb-candbox" }, h("div", { class: "vnb-fieldhead" }, h("span", { class: "vnb-fieldlabel", text: "Offers, in the order in which they are tried" }), this.offersNote), this.offers),
      h(
        "div",
        { class: "vnb-rentcolumns" },
        h("section", { "aria-label": "What runs" }, this.template.node, node("image"), node("runtype"), node("env"), node("onstart")),
        h(
          "section",
          { "aria-label": "How and for how long" },
          h("div", { class: "vnb-rentalrow" }, node("rental"), node("bid")),
          h("div", { class: "vnb-two" }, node("disk"), node("count")),
          node("label"),
          h("div", { class: "vnb-three" }, node("hours"), node("download_gb"), node("upload_gb")),
          h("div", { class: "vnb-guard" }, h("strong", { text: "Money guard" }), h("span", { class: "vnb-fieldnote", text: "Machines are destroyed, with their disks, at whichever comes first." }), h("div", { class: "vnb-two" }, node("max_hours"), node("budget_usd"))),
        ),
      ),
    );
  }

  show(state) {
    const { values, errors, phase } = state;
    const off = phase !== "plan";
    this.node.classList.toggle("vnb-still", off);
    const plain = ["image", "disk", "count", "label", "hours", "download_gb", "upload_gb", "max_hours", "budget_usd", "bid"];
    for (const name of plain) {
      if (!errors[name]) this.controls[name].set(values[name]);
    }
    const bids = values.bid !== null;
    this.controls.rental.set(bids ? "bid" : "on-demand");
    this.controls.bid.node.hidden = !bids && !errors.bid;
    const [own] = this.controls.runtype.node.querySelectorAll("button");
    own.hidden = !values.template_hash && values.runtype !== null;
    this.controls.runtype.set(values.runtype);
    this.controls.env.set(values.env);
    this.controls.onstart.set(values.onstart_lines);
    for (const [name, control] of Object.entries(this.controls)) {
      control.error(errors[name]);
      control.disable(off);
    }
    const template = values.template_hash;
    this.controls.image.input.placeholder = template ? "the template's" : "pytorch/pytorch";
    this.template.offer(state.templates ?? []);
    this.template.set(template ? [template, values.template || template, ""] : null);
    this.template.disable(off);
    const { max_hours: hours, budget_usd: budget } = state.hints;
    this.controls.max_hours.suggest(hours, (value) => `${value} h`);
    this.controls.budget_usd.suggest(budget, (value) => `$${value}`);
    this.showOffers(state, off);
  }

  showOffers(state, off) {
    const { offers, offers_count: count } = state;
    const key = JSON.stringify([offers, off, count]);
    if (key === this.offersKey) return;
    this.offersKey = key;
    setText(this.offersNote, count > offers.length ? `and ${count - offers.length} more` : "");
    const many = offers.length > 1;
    this.offers.replaceChildren(
      ...offers.map((offer, i) =>
        h(
          "div",
          { class: "vnb-cand", role: "listitem" },
          h("span", { class: "vnb-candat", text: many ? String(i + 1) : "" }),
          h("b", { text: offer.gpu }),
          h("span", { text: offer.vram ?? "" }),
          h("span", { class: "vnb-candwhere", text: offer.where }),
          h("span", { class: "vnb-candtrust", text: offer.trust === null ? "" : `${percent(offer.trust)} %`, title: "Reliability" }),
          h("span", { class: "vnb-candmark", "data-level": offer.level, text: offer.level ? `${MARKS[offer.level]} ${offer.warnings}` : "", title: offer.level ? `${offer.warnings} to know` : null }),
          h("span", { class: "vnb-candprice", text: `${dollars(offer.dph)}/h` }),
          many ? this.offerButtons(offer, i, off) : h("span", { class: "vnb-candid", text: String(offer.id) }),
        ),
      ),
    );
  }

  offerButtons(offer, at, off) {
    const send = (drop) => () => this.say({ type: "offers", id: offer.id, drop });
    return h(
      "span",
      { class: "vnb-candbuttons" },
      at > 0 ? h("button", { type: "button", class: "vnb-link", text: "First", disabled: off, title: "Try this one first", onclick: send(false) }) : null,
      h("button", { type: "button", class: "vnb-clear", text: "×", disabled: off, "aria-label": `Do not try offer ${offer.id}`, onclick: send(true) }),
    );
  }
}
