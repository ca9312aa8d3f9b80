// The left half of the rent form while it is filled in: candidates, what runs, how and for how long.
import { FIELDS, W } from "./words.js";
import { entry, fill, script, secrets, single } from "./controls.js";
import { field, segments } from "../kit/fields.js";
import { clickable, h, setText } from "../kit/dom.js";
import { exact, percent, plural } from "../kit/words.js";

const UNITS = {
  disk: "GB",
  max_dph: "$/h",
  hours: "h",
  download_gb: "GB",
  upload_gb: "GB",
  max_hours: "h",
  budget_usd: "$",
};
const RENTALS = [
  ["on-demand", W.onDemand, W.fixedPriceYoursUntil],
  ["bid", W.bid, W.interruptibleCheaperButA],
];
const RUNS = [
  [null, W.asItComes, W.asTheTemplateOr],
  ["ssh_direct", W.ssh, W.logInBySSH],
  ["jupyter_direct", W.jupyter, W.jupyterLabInTheBrowser],
  ["args", W.entrypoint, W.theImagesOwnEntry],
];
// For a first rental; later the last image is remembered.
const IMAGES = ["pytorch/pytorch", "vastai/base-image", "ubuntu:24.04"];

// `say(message)` tells the kernel.
export function rentFields(say) {
  const change = (name) => (value) => say({ type: "change", field: name, value });
  const plain = Object.fromEntries(
    Object.entries(FIELDS).map(([name, [label, title, hint = ""]]) => {
      const options = { title, hint, unit: UNITS[name], mono: name === "image" };
      return [name, entry(label, options, change(name))];
    }),
  );
  const rental = segments(W.rental, RENTALS, (kind) => change("bid")(kind === "bid" ? "min+10%" : null));
  const runtype = segments(W.runType, RUNS, change("runtype"));
  const env = secrets(W.environmentAndPorts, {
    onChange: (rows) => say({ type: "env", rows }),
    onReveal: (name) => say({ type: "reveal", field: "env", name }),
  });
  const onstart = script(W.startScript, {
    hint: W.scriptHint,
    onChange: change("onstart"),
    onReveal: () => say({ type: "reveal", field: "onstart" }),
  });
  const template = single(
    W.template,
    { hint: W.noneTypeToChoose },
    (hash) => say({ type: "template", hash }),
  );
  const offers = h(".vnb-cands", { role: "list", tabindex: 0 });
  const offersNote = h("span.vnb-fieldnote");
  const candidates = field(W.offersTriedInThis, offers, offersNote);
  candidates.classList.add("vnb-candbox");
  const row = (kind, ...names) => h(kind, ...names.map((name) => plain[name].node));
  const node = h(
    ".vnb-rentfields",
    candidates,
    h(
      ".vnb-rentcolumns",
      h(
        "section",
        { "aria-label": W.whatRuns },
        template.node,
        plain.image.node,
        runtype.node,
        env.node,
        onstart.node,
      ),
      h(
        "section",
        { "aria-label": W.howAndForHow },
        h(".vnb-rentalrow", rental.node, plain.bid.node),
        row(".vnb-three", "disk", "count", "max_dph"),
        plain.label.node,
        row(".vnb-three", "hours", "download_gb", "upload_gb"),
        h(
          ".vnb-guard",
          h("strong", W.moneyGuard),
          h("span.vnb-fieldnote", W.machinesAndTheirDisks),
          row(".vnb-two", "max_hours", "budget_usd"),
        ),
      ),
    ),
  );

  const buttons = (offer, at) => {
    const button = (text, drop, more) =>
      clickable(text, () => say({ type: "offers", id: offer.id, drop }), more);
    return h(
      "span.vnb-candbuttons",
      at > 0 ? button(W.tryFirst, false, { class: "vnb-link", title: W.tryThisOfferFirst }) : null,
      button("×", true, { class: "vnb-clear", "aria-label": W.removeOffer(offer.id) }),
    );
  };
  const candidate = (offer, at, { length }) =>
    h(
      offer.over ? ".vnb-cand.vnb-skipped" : ".vnb-cand",
      { role: "listitem", title: offer.over ? W.aboveTheHighestPrice : null },
      h("span.vnb-candat", length > 1 ? String(at + 1) : ""),
      h("b", offer.gpu),
      h("span", offer.vram ?? ""),
      h("span.vnb-candwhere", offer.where),
      h(
        "span.vnb-candtrust",
        { title: W.reliability },
        offer.trust === null ? "" : `${percent(offer.trust)} %`,
      ),
      h(
        "span.vnb-candmark",
        { "data-level": offer.level, title: offer.level ? plural(offer.warnings, "warning") : null },
        offer.level ? `! ${offer.warnings}` : "",
      ),
      h("span.vnb-candprice", `${exact(offer.dph)}/h`),
      length > 1 ? buttons(offer, at) : h("span.vnb-candid", String(offer.id)),
    );

  function show(state) {
    const { values, errors, hints, price: { max_dph: limit } } = state;
    const off = state.phase !== "plan";
    node.classList.toggle("vnb-still", off);
    for (const [name, control] of Object.entries(plain)) {
      if (!errors[name]) control.set(values[name]);
      control.error(errors[name]);
    }
    env.error(errors.env);
    onstart.error(errors.onstart);
    const bids = values.bid !== null;
    rental.set(bids ? "bid" : "on-demand");
    plain.bid.node.hidden = !bids && !errors.bid;
    const hash = values.template_hash;
    runtype.node.querySelector("button").hidden = !hash && values.runtype !== null;
    runtype.set(values.runtype);
    env.set(values.env);
    onstart.set(values.onstart_lines);
    plain.image.input.placeholder = hash ? W.fromTheTemplate : FIELDS.image[2];
    plain.max_dph.input.placeholder = limit?.toFixed(4) ?? "";
    plain.image.suggest(hash || values.image ? [] : IMAGES, (image) => image.split("/").pop());
    plain.max_hours.suggest(hints.max_hours, (value) => `${value} h`);
    plain.budget_usd.suggest(hints.budget_usd, (value) => `$${value}`);
    template.offer((state.templates ?? []).map(([value, text, note]) => ({ value, text, note })));
    template.set(hash ? { value: hash, text: values.template || hash } : null);
    const more = state.offers_count - state.offers.length;
    setText(offersNote, more > 0 ? W.andMore(more) : "");
    const over = (offer) => limit !== null && offer.dph > limit;
    fill(offers, state.offers.map((offer) => ({ ...offer, over: over(offer) })), candidate);
    // What is hidden may be looked at all the time, and a port never has a value.
    const parts = node.querySelectorAll("input:not([data-port]), textarea, button:not(.vnb-eye)");
    for (const part of parts) part.disabled = off;
  }

  const kept = { env, onstart };
  return { node, show, reveal: (secret) => kept[secret.field].reveal(secret.value, secret.name) };
}
