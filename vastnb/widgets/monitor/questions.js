// What is asked before something is done: what it is, and what it costs.
import { copyable } from "../kit/dialog.js";
import { dollars, hourly, span } from "../kit/words.js";
import { h } from "../kit/dom.js";
import { nameOf } from "./verbs.js";

const line = (...parts) =>
  h("p", {}, ...parts.map((part) => (typeof part === "string" ? h("span", { text: part }) : part)));

const strong = (text) => h("b", { text });

// What is asked before something is done: what it is, and what it costs.
export function question(row, verb, now) {
  const facts = [row.gpu, row.vram, row.place, `#${row.id}`].filter(Boolean).join(" · ");
  const held = [h("p", { class: "vnb-facts", text: facts })];
  const soFar = row.spent === null ? "" : `, about ${dollars(row.spent)} so far`;
  const state = line(
    "It is ",
    strong(row.state),
    ` (for ${span(now - row.since)}) and costs `,
    strong(hourly(row.dph)),
    ` now${soFar}.`,
  );
  const size = row.disk ? ` of ${row.disk} GB` : "";
  if (verb === "destroy") {
    const lost = line(
      "Its disk",
      size,
      " and ",
      strong("everything on it is lost"),
      ". This cannot be undone.",
    );
    return { title: `Destroy ${nameOf(row)}?`, body: [...held, state, lost], go: "Destroy it", danger: true };
  }
  if (verb === "stop") {
    const gives = line(
      "Its GPUs are released and may be rented by others. Its disk",
      size,
      " stays, and ",
      strong(`${hourly(row.dph_disk)} is still billed`),
      " until you destroy it.",
    );
    return { title: `Stop ${nameOf(row)}?`, body: [...held, state, gives], go: "Stop it" };
  }
  if (verb === "start") {
    const costs = line(
      "Running, it costs ",
      strong(hourly(row.dph_run)),
      ` (${hourly(row.dph)} now). If its GPUs are in use, the start is queued: it may start and bill later.`,
    );
    return {
      title: `Start ${nameOf(row)}?`,
      body: [...held, costs],
      go: `Start it for ${hourly(row.dph_run)}`,
    };
  }
  if (verb === "reboot") {
    return {
      title: `Reboot ${nameOf(row)}?`,
      body: [
        ...held,
        state,
        line("Its container restarts: everything running in it ends. It keeps its GPUs and its price."),
      ],
      go: "Reboot it",
    };
  }
  if (verb === "extend") {
    const costs = line(
      "One more hour costs about ",
      strong(dollars(row.dph_run)),
      ", without traffic. It is then destroyed in ",
      strong(span(Math.max(0, row.deadline - now) + 3600)),
      ".",
    );
    return { title: `Extend ${nameOf(row)} by 1 hour?`, body: [...held, costs], go: "Extend by 1 h" };
  }
  if (verb === "next") {
    if (!row.again) return unknownPurpose(row, held, state);
    const { left, max_dph: most } = row.again;
    const from = left
      ? `${left} offer${left === 1 ? "" : "s"} left from its rental`
      : "from a search for the same GPUs";
    return {
      title: `Destroy ${nameOf(row)} and try the next offer?`,
      body: [
        ...held,
        state,
        line(
          "First it is destroyed, with ",
          strong("everything on its disk"),
          ". That is confirmed first, in about a minute, so you never pay for two.",
        ),
        line(
          `Then the next offer is rented with the same image, environment and start script (${from}), for `,
          strong(`up to ${hourly(most)}`),
          ". If none is available, you have no machine and no bill.",
        ),
      ],
      go: `Destroy, then rent for up to ${hourly(most)}`,
      danger: true,
    };
  }
  return null;
}

function unknownPurpose(row, held, state) {
  return {
    title: `Destroy ${nameOf(row)} and try the next offer?`,
    body: [
      ...held,
      state,
      line(
        "It was not rented in this kernel, so its environment and start script are unknown here. ",
        strong("Destroy it"),
        ", then rent again with:",
      ),
      copyable(row.code ?? ""),
    ],
    go: "Destroy it",
    verb: "destroy",
    danger: true,
  };
}
