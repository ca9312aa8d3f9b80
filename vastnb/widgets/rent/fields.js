// The left half of the rent form while it is filled in: candidates, what runs, how and for how long.
import { choice, entry, script, secrets, single } from "./controls.js";
import { h, setText } from "../kit/dom.js";
import { percent } from "../kit/words.js";

const RUNS = [
  [null, "Default", "As the template or Vast.ai says"],
  ["ssh_direct", "SSH", "Log in by SSH; direct if the machine has an open port"],
  ["jupyter_direct", "Jupyter", "JupyterLab in the browser, and SSH"],
  ["args", "Entrypoint", "The image's own entry point; no login"],
];
// For a first rental; later the last image is remembered.
const IMAGES = ["pytorch/pytorch", "vastai/base-image", "ubuntu:24.04"];
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
      image: entry("Image", {
        hint: "e.g. pytorch/pytorch",
        mono: true,
        chips: true,
        title: "A Docker image, with its tag",
      }, change("image")),
      rental: choice(
        "Rental",
        [
          ["on-demand", "On-demand", "Fixed price; yours until you end it"],
          ["bid", "Bid", "Interruptible: cheaper, but a higher bid can stop it"],
        ],
        (kind) => say({ type: "change", field: "bid", value: kind === "bid" ? "min+10%" : null }),
      ),
      bid: entry("Bid, $/h", {
        hint: "min+10%",
        title: "$/h for the GPUs, or above the minimum bid: min+10%, min+0.05",
      }, change("bid")),
      runtype: choice("Run type", RUNS, change("runtype")),
      disk: entry("Disk", {
        unit: "GB",
        title: "Billed until the machine is destroyed, even while it is stopped",
      }, change("disk")),
      count: entry("Machines", { title: "Each from a different offer" }, change("count")),
      max_dph: entry("Highest price", {
        unit: "$/h",
        title:
          "For one machine with its disk. Offers above it are skipped. By default 10 % above the offers you rent",
      }, change("max_dph")),
      label: entry(
        "Label",
        { hint: "none", title: "A name of your own; at most 256 characters" },
        change("label"),
      ),
      hours: entry(
        "Priced for",
        { unit: "h", title: "The hours that the total is for; End after sets them" },
        change("hours"),
      ),
      download_gb: entry(
        "Download",
        { unit: "GB", title: "Traffic to each machine: image, data sets" },
        change("download_gb"),
      ),
      upload_gb: entry("Upload", { unit: "GB", title: "Traffic from each machine" }, change("upload_gb")),
      max_hours: entry("End after", {
        unit: "h",
        hint: "no limit",
        chips: true,
        title: "Every machine is destroyed after this time",
      }, change("max_hours")),
      budget_usd: entry("Budget", {
        unit: "$",
        hint: "no limit",
        chips: true,
        title: "For all machines together; they are destroyed before it is spent. Traffic is extra",
      }, change("budget_usd")),
      env: secrets("Environment and ports", {
        onChange: (rows) => say({ type: "env", rows }),
        onReveal: (name) => say({ type: "reveal", field: "env", name }),
      }),
      onstart: script("Start script", {
        hint: "e.g. pip install -q lightning",
        onChange: change("onstart"),
        onReveal: () => say({ type: "reveal", field: "onstart" }),
      }),
    };
    this.template = single(
      "Template",
      { hint: "None; type to choose" },
      (option) => say({ type: "template", hash: option ? option[0] : null }),
    );
    this.offers = h("div", {
      class: "vnb-cands",
      role: "list",
      tabindex: 0,
      "aria-label": "Offers, tried in this order",
    });
    this.offersNote = h("span", { class: "vnb-fieldnote" });
    const node = (name) => this.controls[name].node;
    this.node = h(
      "div",
      { class: "vnb-rentfields" },
      h(
        "section",
        { class: "vnb-candbox" },
        h(
          "div",
          { class: "vnb-fieldhead" },
          h("span", { class: "vnb-fieldlabel", text: "Offers, tried in this order" }),
          this.offersNote,
        ),
        this.offers,
      ),
      h(
        "div",
        { class: "vnb-rentcolumns" },
        h(
          "section",
          { "aria-label": "What runs" },
          this.template.node,
          node("image"),
          node("runtype"),
          node("env"),
          node("onstart"),
        ),
        h(
          "section",
          { "aria-label": "How and for how long" },
          h("div", { class: "vnb-rentalrow" }, node("rental"), node("bid")),
          h("div", { class: "vnb-three" }, node("disk"), node("count"), node("max_dph")),
          node("label"),
          h("div", { class: "vnb-three" }, node("hours"), node("download_gb"), node("upload_gb")),
          h(
            "div",
            { class: "vnb-guard" },
            h("strong", { text: "Money guard" }),
            h("span", {
              class: "vnb-fieldnote",
              text: "Machines and their disks are destroyed at whichever comes first.",
            }),
            h("div", { class: "vnb-two" }, node("max_hours"), node("budget_usd")),
          ),
        ),
      ),
    );
  }

  show(state) {
    const { values, errors, phase } = state;
    const off = phase !== "plan";
    this.node.classList.toggle("vnb-still", off);
    const plain = [
      "image",
      "disk",
      "count",
      "label",
      "hours",
      "download_gb",
      "upload_gb",
      "max_hours",
      "budget_usd",
      "bid",
      "max_dph",
    ];
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
    this.controls.image.input.placeholder = template ? "from the template" : "e.g. pytorch/pytorch";
    this.controls.max_dph.input.placeholder = state.price.max_dph === null
      ? ""
      : state.price.max_dph.toFixed(4);
    this.controls.image.suggest(template || values.image ? [] : IMAGES, (image) => image.split("/").pop());
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
    const limit = state.price.max_dph;
    const key = JSON.stringify([offers, off, count, limit]);
    if (key === this.offersKey) return;
    this.offersKey = key;
    setText(this.offersNote, count > offers.length ? `and ${count - offers.length} more` : "");
    const many = offers.length > 1;
    this.offers.replaceChildren(
      ...offers.map((offer, i) =>
        h(
          "div",
          {
            class: limit !== null && offer.dph > limit ? "vnb-cand vnb-skipped" : "vnb-cand",
            role: "listitem",
            title: limit !== null && offer.dph > limit ? "Above the highest price: it is skipped" : null,
          },
          h("span", { class: "vnb-candat", text: many ? String(i + 1) : "" }),
          h("b", { text: offer.gpu }),
          h("span", { text: offer.vram ?? "" }),
          h("span", { class: "vnb-candwhere", text: offer.where }),
          h("span", {
            class: "vnb-candtrust",
            text: offer.trust === null ? "" : `${percent(offer.trust)} %`,
            title: "Reliability",
          }),
          h("span", {
            class: "vnb-candmark",
            "data-level": offer.level,
            text: offer.level ? `${MARKS[offer.level]} ${offer.warnings}` : "",
            title: offer.level ? `${offer.warnings} warning${offer.warnings === 1 ? "" : "s"}` : null,
          }),
          h("span", { class: "vnb-candprice", text: `${dollars(offer.dph)}/h` }),
          many
            ? this.offerButtons(offer, i, off)
            : h("span", { class: "vnb-candid", text: String(offer.id) }),
        )
      ),
    );
  }

  offerButtons(offer, at, off) {
    const send = (drop) => () => this.say({ type: "offers", id: offer.id, drop });
    return h(
      "span",
      { class: "vnb-candbuttons" },
      at > 0
        ? h("button", {
          type: "button",
          class: "vnb-link",
          text: "First",
          disabled: off,
          title: "Try this offer first",
          onclick: send(false),
        })
        : null,
      h("button", {
        type: "button",
        class: "vnb-clear",
        text: "×",
        disabled: off,
        "aria-label": `Remove offer ${offer.id}`,
        onclick: send(true),
      }),
    );
  }
}
