// What can be done to a machine, in one table: how it is called, what is asked before it is done, and
// whether something is lost by it. A question says what it is and what it costs.
import { W } from "./words.js";
import { copyable, entry } from "../kit/dialog.js";
import { dollars, hourly, plural, span } from "../kit/words.js";

export const nameOf = (row) => row.label || `Instance ${row.id}`;

const diskOf = (row) => row.disk ? `disk of ${row.disk} GB` : "disk";

function stateOf(row, now) {
  const soFar = row.spent === null ? "" : `, about ${dollars(row.spent)} so far`;
  return `It is **${row.state}** (for ${span(now - row.since)}) and costs **${
    hourly(row.dph)
  }** now${soFar}.`;
}

// A question has a title, a body of lines (**bold** is what matters most) and nodes, and the button
// that does it; `does` is the verb where it is another one. A `field` is read by `read`: what is sent,
// or null if that will not do.
export const VERBS = {
  connect: { text: "Connect" },
  logs: { text: "Logs" },
  next: {
    text: "Try next offer",
    danger: true,
    ask: (row, now) => ({
      title: `Destroy ${nameOf(row)} and try the next offer?`,
      ...(row.again ? nextOffer(row, now) : unknownPurpose(row, now)),
    }),
  },
  bid: {
    text: "Raise bid",
    ask: (row) => ({
      title: W.changeTheBidFor(nameOf(row)),
      body: [W.whileItRunsYou(row.min_bid === null ? "" : W.theMinimumBidIs(hourly(row.min_bid)))],
      go: W.bid,
      field: entry(W.bidForTheGPUs, row.bid === null ? "" : String(row.bid), { mono: true }),
      read: (typed) => {
        const price = Number(typed.replace("$", ""));
        return price > 0 && Number.isFinite(price) ? { price } : null;
      },
    }),
  },
  stop: {
    text: "Stop",
    ask: (row, now) => ({
      title: `Stop ${nameOf(row)}?`,
      body: [
        stateOf(row, now),
        `Its GPUs are released and may be rented by others. Its ${diskOf(row)} stays, and ` +
        `**${hourly(row.dph_disk)} is still billed** until you destroy it.`,
      ],
      go: "Stop it",
    }),
  },
  start: {
    text: "Start",
    ask: (row) => ({
      title: `Start ${nameOf(row)}?`,
      body: [
        `Running, it costs **${hourly(row.dph_run)}** (${hourly(row.dph)} now). ` +
        "If its GPUs are in use, the start is queued: it may start and bill later.",
      ],
      go: `Start it for ${hourly(row.dph_run)}`,
    }),
  },
  reboot: {
    text: "Reboot",
    ask: (row, now) => ({
      title: `Reboot ${nameOf(row)}?`,
      body: [
        stateOf(row, now),
        "Its container restarts: everything running in it ends. It keeps its GPUs and its price.",
      ],
      go: "Reboot it",
    }),
  },
  label: {
    text: "Rename",
    ask: (row) => ({
      title: W.renameOf(nameOf(row)),
      body: [],
      go: W.rename,
      field: entry(W.label, row.label ?? "", { hint: W.none }),
      read: (label) => ({ label }),
    }),
  },
  extend: {
    text: "Extend +1 h",
    ask: (row, now) => ({
      title: `Extend ${nameOf(row)} by 1 hour?`,
      body: [
        `One more hour costs about **${dollars(row.dph_run)}**, without traffic. ` +
        `It is then destroyed in **${span(Math.max(0, row.deadline - now) + 3600)}**.`,
      ],
      go: "Extend by 1 h",
    }),
  },
  destroy: {
    text: "Destroy",
    danger: true,
    ask: (row, now) => ({
      title: `Destroy ${nameOf(row)}?`,
      body: [
        stateOf(row, now),
        `Its ${diskOf(row)} and **everything on it is lost**. This cannot be undone.`,
      ],
      go: "Destroy it",
    }),
  },
};

function nextOffer(row, now) {
  const { left, max_dph: most } = row.again;
  const from = left ? `${plural(left, "offer")} left from its rental` : "from a search for the same GPUs";
  return {
    body: [
      stateOf(row, now),
      "First it is destroyed, with **everything on its disk**. That is confirmed first, in about a minute, so you never pay for two.",
      `Then the next offer is rented with the same image, environment and start script (${from}), ` +
      `for **up to ${hourly(most)}**. If none is available, you have no machine and no bill.`,
    ],
    go: `Destroy, then rent for up to ${hourly(most)}`,
  };
}

function unknownPurpose(row, now) {
  return {
    body: [
      stateOf(row, now),
      "It was not rented in this kernel, so its environment and start script are unknown here. **Destroy it**, then rent again with:",
      copyable(row.code ?? ""),
    ],
    go: "Destroy it",
    does: "destroy",
  };
}

// What one most likely wants to do about a machine, and its end where there is room; the rest is in
// its menu.
export function firstVerbs(row, few = false) {
  const wishes = {
    running: ["connect", "logs", "stop"],
    starting: ["logs", "stop"],
    outbid: ["bid", "logs", "destroy"],
    stopped: ["start", "destroy"],
    failed: row.advice === "start again" ? ["start", "logs"] : ["destroy", "logs"],
  }[row.state] ?? [];
  const wanted = row.verbs.includes("next") ? ["next", "logs", "destroy"] : [...wishes, "logs", "stop"];
  const first = [...new Set(wanted)].filter((verb) => row.verbs.includes(verb)).slice(0, 3);
  return few && row.verbs.includes("destroy") ? [...new Set([...first, "destroy"])] : first;
}
