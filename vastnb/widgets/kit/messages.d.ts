// What page and kernel say to each other in every widget. Checked by `make types`, loaded by nobody.

/** The page's half of a widget: its synced state, and messages of type `Out` to the kernel. */
export interface Model<Out> {
  get(name: string): any;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(message: Out | Ready | Ping): void;
  on(event: string, listener: Function): void;
  off(event: string, listener: Function): void;
  widget_manager: any;
}

/** A page has been opened and listens. */
export interface Ready {
  type: "ready";
}

/** Is anybody there? */
export interface Ping {
  type: "ping";
}

/** Yes. */
export interface Pong {
  type: "pong";
}

/** What the page asked for by changing its state has been answered. */
export interface Answered {
  type: "answered";
}

/** When to ask for the next look at the machines; while one is under way, `asking`. */
export interface Pace {
  type: "pace";
  asking: boolean;
  next_in: number;
  paused: boolean;
  error: string;
}

/** Search again, past the cache. */
export interface Refresh {
  type: "refresh";
}

/** Set an alert below a price, or stop the alert with a number. */
export interface Bell {
  type: "bell";
  below?: number;
  stop?: number;
}

/** What the lines above and below a widget say; times are epoch seconds. */
export interface Status {
  figures: Record<string, number | null>;
  code: string;
  busy: { since: number; until?: number | null } | null;
  problem: { kind: string; title: string; text: string; retry: boolean } | null;
  quota: { used: number; limit: number } | null;
  bells: { number: number; text: string; price: string; hits: number; last: string | null }[];
  answer_query?: string;
  fetched_at?: number;
  from_cache?: boolean;
  stale?: boolean;
  stale_reason?: string | null;
  truncated?: boolean;
  simulated?: boolean;
}
