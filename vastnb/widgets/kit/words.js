// Money, times, ages and shares in words.

export const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

export const DASH = "–";

export const UNDER_A_CENT = "under 1 c";

export function usd(value) {
  if (Number.isNaN(value)) return DASH;
  if (value > 0 && value < 0.01) return UNDER_A_CENT;
  const size = Math.abs(value);
  const places = size >= 100 ? 2 : size >= 0.1 || size === 0 ? 3 : 4;
  return `$${grouped(value, places)}`;
}

const formats = new Map();

export function grouped(value, places = 0) {
  if (!formats.has(places)) {
    const options = { minimumFractionDigits: places, maximumFractionDigits: places };
    formats.set(places, new Intl.NumberFormat("en-US", options));
  }
  return formats.get(places).format(value);
}

export function percent(fraction, places = 1) {
  if (Number.isNaN(fraction)) return DASH;
  // 99.96 % must not be rounded up to a promise that nobody gave.
  const step = 10 ** places;
  const floored = Math.floor(fraction * 100 * step + 1e-9) / step;
  return grouped(floored, floored === 100 ? 0 : places);
}

export function clockTime(seconds) {
  const when = new Date(seconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  return `${two(when.getHours())}:${two(when.getMinutes())}:${two(when.getSeconds())}`;
}

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

// What is estimated: less than a cent needs no sign for it.
export const estimate = (value) => value > 0 && value < 0.01 ? UNDER_A_CENT : `≈ ${dollars(value)}`;

// To four places: what is confirmed is exactly what is paid at most.
export const exact = (value) => value === null || value === undefined ? DASH : `$${grouped(value, 4)}`;

// For what is over in seconds.
export const stopwatch = (seconds) => seconds < 10 ? `${Math.max(0, seconds).toFixed(1)} s` : span(seconds);

export function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s} s`;
  const minutes = Math.round(s / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(s / 3600);
  const rest = Math.floor((s % 3600) / 60);
  if (hours < 48) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function ageText(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 3) return "just now";
  if (s < 90) return `${s} s old`;
  if (s < 5400) return `${Math.round(s / 60)} min old`;
  if (s < 129600) return `${Math.round(s / 3600)} h old`;
  return `${Math.round(s / 86400)} days old`;
}

// What a machine that has ended came to: how long it ran, and what it cost.
export function receipt({ seconds, usd }) {
  const about = usd > 0 && usd < 0.01 ? "" : "about ";
  const cost = usd === null ? "cost unknown" : `cost ${about}${dollars(usd)} (estimate)`;
  return `${seconds === null ? "Ended" : `Ran ${span(seconds)}`}; ${cost}. It is no longer billed.`;
}

// What all widgets say.
export const W = {
  // alive
  isNotConnectedTo: (name) => `${name} is not connected to a kernel.`,
  runItsCellIf:
    "Run its cell (if a cell is running, wait for it). The copy below is from when the cell last ran.",
  theKernelWasRestarted: "The kernel was restarted or has stopped.",
  whatYouSeeIs: (time) => `What you see is from ${time}, and its buttons no longer work. Run the cell again.`,
  // child
  rent: "Rent",
  // dialog
  close: "Close",
  copy: "Copy",
  // fields
  copied: "Copied",
  pressCtrlC: "Press Ctrl+C",
  // status
  simulated: "SIMULATED",
  simulatedMarketNoOffer: "Simulated market: no offer is real and nothing costs money",
  refresh: "Refresh",
  searchAgainNowPast: "Search again now, bypassing the cache",
  alert: "Alert…",
  tellMeWhenA: "Tell me when a search finds one below a price",
  rentOne: "Rent…",
  tryAgain: "Try again",
  hide: "Hide",
  clear: "clear",
  thisCodeGivesThe: "This code returns the same offers",
  priceOfTheAlert: "Price of the alert, $/h",
  tellMeWhenASearch: "Tell me when a search finds one below $",
  setAlert: "Set alert",
  cancel: "Cancel",
  alertBelowFoundLast: (price, hits, last) => `Alert below ${price}: ${hits} found, last ${last}`,
  alertSetBelow: (price) => `Alert set below ${price}`,
  stop: "Stop",
  stopTheAlertFor: (text) => `Stop the alert for ${text}`,
  rentMany: (count) => `Rent ${count}…`,
  selected: (count, hidden) => `${count} selected${hidden ? ` (${hidden} hidden by the filters)` : ""}`,
  selectAnOfferFirst: "Select an offer first",
  opensTheRentForm: "Opens the rent form; nothing is rented by this click",
  offers: (answer) => `${answer} offers`,
  ofOffers: (shown, answer) => `${shown} of ${answer} offers`,
  from: (answerQuery) => `from ${answerQuery}`,
  fromTheWholeMarket: "from the whole market",
  noOffersYet: "no offers yet",
  waiting: (left) => `waiting ${left} s for Vast.ai's rate limit`,
  searchingFor: (passed) => passed >= 2 ? `searching, ${passed} s` : "searching",
  onlyPart: "Vast.ai returned only part of the offers: narrow the filters to see them all",
  stale: (reason) => `Stale: ${reason || "Vast.ai could not be reached"}`,
  fromTheCache: "from the cache",
  quotaUsed: (used, limit) => `${used} of ${limit} rows of today's quota used`,
};
