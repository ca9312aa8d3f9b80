// The left half of the rent form while it is filled in: candidates, what runs, how and for how long.
import { W } from "./words.js";
import { choice, entry, script, secrets, single } from "./controls.js";
import { clickable, h, setText } from "../kit/dom.js";
import { exact, percent, plural } from "../kit/words.js";

const RUNS = [
  [null, W.asItComes, W.asTheTemplateOr],
  ["ssh_direct", W.ssh, W.logInBySSH],
  ["jupyter_direct", W.jupyter, W.jupyterLabInTheBrowser],
  ["args", W.entrypoint, W.theImagesOwnEntry],
];
// For a first rental; later the last image is remembered.
const IMAGES = ["pytorch/pytorch", "vastai/base-image", "ubuntu:24.04"];
const MARKS = { bad: "!", warn: "!" };

export class RentFields {
  // `say(message)` tells the kernel.
  constructor(say) {
    this.say = say;
    const change = (name) => (value) => say({ type: "change", field: name, value });
    this.controls = {
      image: entry(W.image, {
        hint: W.imageHint,
        mono: true,
        chips: true,
        title: W.aDockerImageWith,
      }, change("image")),
      rental: choice(
        W.rental,
        [
          ["on-demand", W.onDemand, W.fixedPriceYoursUntil],
          ["bid", W.bid, W.interruptibleCheaperButA],
        ],
        (kind) => say({ type: "change", field: "bid", value: kind === "bid" ? "min+10%" : null }),
      ),
      bid: entry(W.bidPerHour, {
        hint: W.bidHint,
        title: W.bidTitle,
      }, change("bid")),
      runtype: choice(W.runType, RUNS, change("runtype")),
      disk: entry(W.disk, {
        unit: "GB",
        title: W.billedUntilTheMachine,
      }, change("disk")),
      count: entry(W.machines, { title: W.eachFromADifferent }, change("count")),
      max_dph: entry(W.highestPrice, {
        unit: "$/h",
        title: W.forOneMachineWith,
      }, change("max_dph")),
      label: entry(
        W.label,
        { hint: W.none, title: W.aNameOfYour },
        change("label"),
      ),
      hours: entry(
        W.pricedFor,
        { unit: "h", title: W.theHoursThatThe },
        change("hours"),
      ),
      download_gb: entry(
        W.download,
        { unit: "GB", title: W.trafficToEachMachine },
        change("download_gb"),
      ),
      upload_gb: entry(W.upload, { unit: "GB", title: W.trafficFromEachMachine }, change("upload_gb")),
      max_hours: entry(W.endAfter, {
        unit: "h",
        hint: W.noLimit,
        chips: true,
        title: W.everyMachineIsDestroyed,
      }, change("max_hours")),
      budget_usd: entry(W.budget, {
        unit: "$",
        hint: W.noLimit,
        chips: true,
        title: W.forAllMachinesTogether,
      }, change("budget_usd")),
      env: secrets(W.environmentAndPorts, {
        onChange: (rows) => say({ type: "env", rows }),
        onReveal: (name) => say({ type: "reveal", field: "env", name }),
      }),
      onstart: script(W.startScript, {
        hint: W.scriptHint,
        onChange: change("onstart"),
        onReveal: () => say({ type: "reveal", field: "onstart" }),
      }),
    };
    this.template = single(
      W.template,
      { hint: W.noneTypeToChoose },
      (option) => say({ type: "template", hash: option ? option[0] : null }),
    );
    this.offers = h("div", {
      class: "vnb-cands",
      role: "list",
      tabindex: 0,
      "aria-label": W.offersTriedInThis,
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
          h("span", { class: "vnb-fieldlabel", text: W.offersTriedInThis }),
          this.offersNote,
        ),
        this.offers,
      ),
      h(
        "div",
        { class: "vnb-rentcolumns" },
        h(
          "section",
          { "aria-label": W.whatRuns },
          this.template.node,
          node("image"),
          node("runtype"),
          node("env"),
          node("onstart"),
        ),
        h(
          "section",
          { "aria-label": W.howAndForHow },
          h("div", { class: "vnb-rentalrow" }, node("rental"), node("bid")),
          h("div", { class: "vnb-three" }, node("disk"), node("count"), node("max_dph")),
          node("label"),
          h("div", { class: "vnb-three" }, node("hours"), node("download_gb"), node("upload_gb")),
          h(
            "div",
            { class: "vnb-guard" },
            h("strong", { text: W.moneyGuard }),
            h("span", {
              class: "vnb-fieldnote",
              text: W.machinesAndTheirDisks,
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
    this.controls.image.input.placeholder = template ? W.fromTheTemplate : W.imageHint;
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
    setText(this.offersNote, count > offers.length ? W.andMore(count - offers.length) : "");
    const many = offers.length > 1;
    this.offers.replaceChildren(
      ...offers.map((offer, i) =>
        h(
          "div",
          {
            class: limit !== null && offer.dph > limit ? "vnb-cand vnb-skipped" : "vnb-cand",
            role: "listitem",
            title: limit !== null && offer.dph > limit ? W.aboveTheHighestPrice : null,
          },
          h("span", { class: "vnb-candat", text: many ? String(i + 1) : "" }),
          h("b", { text: offer.gpu }),
          h("span", { text: offer.vram ?? "" }),
          h("span", { class: "vnb-candwhere", text: offer.where }),
          h("span", {
            class: "vnb-candtrust",
            text: offer.trust === null ? "" : `${percent(offer.trust)} %`,
            title: W.reliability,
          }),
          h("span", {
            class: "vnb-candmark",
            "data-level": offer.level,
            text: offer.level ? `${MARKS[offer.level]} ${offer.warnings}` : "",
            title: offer.level ? `${plural(offer.warnings, "warning")}` : null,
          }),
          h("span", { class: "vnb-candprice", text: `${exact(offer.dph)}/h` }),
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
        ? clickable(W.tryFirst, send(false), { class: "vnb-link", disabled: off, title: W.tryThisOfferFirst })
        : null,
      clickable("×", send(true), {
        class: "vnb-clear",
        disabled: off,
        "aria-label": W.removeOffer(offer.id),
      }),
    );
  }
}
