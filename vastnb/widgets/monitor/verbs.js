// How the monitor writes money, times and states.
import { DASH, UNDER_A_CENT, grouped } from "../kit/dom.js";

// Prices an hour: cents matter where machines cost cents.
export function hourly(value) {
  if (value === null || value === undefined) return DASH;
  if (value > 0 && value < 0.01) return `${UNDER_A_CENT}/h`;
  const places = value === 0 ? 2 : value < 10 ? 3 : 2;
  return `$${grouped(value, places)}/h`;
}

export function dollars(value) {
  if (value === null || value === undefined) return DASH;
  return value > 0 && value < 0.01 ? UNDER_A_CENT : `$${grouped(value, 2)}`;
}

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(s / 3600);
  if (hours < 48) return `${hours} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

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

// What one most likely wants to do about a machine; the rest is in its menu.
export function firstVerbs(row) {
  const wishes =
    {
      running: ["connect", "logs", "stop"],
      starting: ["logs", "stop"],
      outbid: ["bid", "logs", "destroy"],
      stopped: ["start", "destroy"],
      failed: row.advice === "start again" ? ["start", "logs"] : ["destroy", "logs"],
    }[row.state] ?? [];
  const wanted = row.verbs.includes("next") ? ["next", "logs", "destroy"] : [...wishes, "logs", "stop"];
  return [...new Set(wanted)].filter((verb) => row.verbs.includes(verb)).slice(0, 3);
}
