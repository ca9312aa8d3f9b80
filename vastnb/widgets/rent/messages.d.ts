import type { Pong } from "../kit/messages.d.ts";

/** The whole form. */
export interface State {
  type: "state";
  now: number;
  phase: string;
  simulated: boolean;
  has_key: boolean;
  note: string;
  offers: Record<string, any>[];
  offers_count: number;
  of_bid_search: boolean;
  values: Record<string, any>;
  errors: Record<string, string>;
  price: Record<string, any>;
  bill: Record<string, any> | null;
  guard: string;
  warnings: { code: string; level: string; text: string; [more: string]: any }[];
  account: Record<string, any>;
  hints: Record<string, any>;
  templates: [string, string, string, number | null][] | null;
  code: string;
  confirm: { token: string; offers: number[]; count: number; max_dph: number } | null;
  run: Record<string, any> | null;
  outcome: Record<string, any> | null;
  finding: boolean;
  found: { level: string; text: string; ids: number[] };
  machines: Record<string, any>[];
  acked: Record<string, number>;
}

/** A value that was asked for; nothing keeps it. */
export interface Secret {
  type: "secret";
  value: string;
  field: "env" | "onstart";
  name?: string;
  page: string;
}

export interface Change {
  type: "change";
  field: string;
  value: unknown;
}

export interface Env {
  type: "env";
  rows: Record<string, any>[];
}

export interface Reveal {
  type: "reveal";
  field: "env" | "onstart";
  name?: string;
}

export interface Template {
  type: "template";
  hash: string | null;
}

/** Try an offer first, or not at all. */
export interface Candidates {
  type: "offers";
  id: number;
  drop: boolean;
}

/** A click that rents: its token, the price that was shown, and the kernel's time. */
export interface Confirm {
  type: "confirm";
  token: string;
  offers: number[];
  count: number;
  max_dph: number;
  at: number;
}

export interface Plain {
  type: "review" | "back" | "machines" | "find out" | "search";
}

/** What the form says; the view adds its page, a number and the kernel's time. */
export type Said = Change | Env | Reveal | Template | Candidates | Confirm | Plain;
export type ToKernel = Said & { at: number; page: string; seq: number };
export type FromKernel = State | Secret | Pong;
