import type { Bell, Refresh } from "../kit/messages.d.ts";
import type { FromKernel as Table } from "../table/messages.d.ts";

/** All filters as they were at first. */
export interface Reset {
  type: "reset";
}

/** Open the rent form for the selected offers. */
export interface Rent {
  type: "rent";
}

/** What comes beside rows: the kernel's time, and what one can pick with how many offers it has. */
export interface Beside {
  now?: number;
  facets?: { gpus: [string, number][]; countries: [string, number, string][] };
}

export type ToKernel = Refresh | Reset | Rent | Bell;
export type FromKernel = Table & Beside;
