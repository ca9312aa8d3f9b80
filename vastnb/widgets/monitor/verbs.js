// The names of what can be done to a machine, and which of it comes first.

export function nameOf(row) {
  return row.label || `Instance ${row.id}`;
}

export const VERB_WORDS = {
  connect: "Connect",
  logs: "Logs",
  next: "Try next offer",
  bid: "Raise bid",
  stop: "Stop",
  start: "Start",
  reboot: "Reboot",
  label: "Rename",
  extend: "Extend +1 h",
  destroy: "Destroy",
};

// In the menu: three dots where something is asked first.
export function menuText(verb) {
  return verb === "logs" || verb === "connect" ? VERB_WORDS[verb] : `${VERB_WORDS[verb]}…`;
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
