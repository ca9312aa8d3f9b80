import type { Pace, Pong } from "../kit/messages.d.ts";

/** One machine as it is shown. Times are epoch seconds, prices $/h, sizes GB. */
export interface Row {
  id: number;
  ours: boolean;
  state: string;
  tone: string;
  rank: number;
  reason: string;
  advice: string;
  advice_text: string;
  settled: boolean;
  since: number;
  label: string;
  gpu: string;
  vram: string;
  image: string;
  place: string;
  started: number | null;
  util: number | null;
  temp: number | null;
  trend: (number | null)[];
  dph: number;
  dph_run: number;
  dph_disk: number;
  disk: number | null;
  spent: number | null;
  spent_how: string;
  is_bid: boolean;
  bid: number | null;
  min_bid: number | null;
  ssh: string | null;
  config: string | null;
  jupyter: boolean;
  verbs: string[];
  busy: { verb: string; text: string; since: number } | null;
  unseen: boolean;
  receipt: { seconds: number | null; usd: number | null } | null;
  said: { text: string; level: string } | null;
  deadline: number | null;
  live: Live | null;
  again?: { left: number; max_dph: number } | null;
  code?: string;
}

/** How busy a machine says that it is. Memory and disk in GB; what it does not say is null. */
export interface Live {
  at: number;
  util: number | null;
  vram_used: number | null;
  vram: number | null;
  disk_used: number | null;
  disk: number | null;
}

/** Everything that is shown. */
export interface Picture {
  type: "picture";
  now: number;
  asked_at: number | null;
  error: string;
  doubted: string;
  figures: Record<string, any>;
  rows: Row[];
  notices: Record<string, any>[];
  news: Record<string, any>[];
  acks: string[];
  few: boolean;
  simulated: boolean;
  trouble: string;
}

/** A log, a Jupyter address, or why a click does nothing. */
export interface Answer {
  type: "answer";
  key: string;
  id?: number;
  url?: string;
  text?: string;
  failed?: string;
}

/** Look at the machines now. */
export interface Ask {
  type: "ask";
  at_once: boolean;
}

/** A click on a button of a machine, with the kernel's time and the price that was shown. */
export interface Act {
  type: "act";
  key: string;
  verb: string;
  id: number;
  at: number;
  shown?: number;
  label?: string;
  price?: number;
  typed?: string;
}

export interface Dismiss {
  type: "dismiss";
  id?: number;
  key?: string;
}

export interface Pause {
  type: "pause";
  on: boolean;
}

export type ToKernel = Ask | Act | Dismiss | Pause;
export type FromKernel = Picture | Answer | Pace | Pong;
