import type { Answered, Pong } from "../kit/messages.d.ts";

/** How a column looks. */
export interface Look {
  name: string;
  label: string;
  form: string;
  decimals: number;
  [more: string]: any;
}

/** Where the values of a column are in the buffer. */
export interface Spec {
  name: string;
  kind: "text" | "number" | "flag" | "plain";
  dtype: "u1" | "u2" | "u4" | "f8";
  offset: number;
  base?: number;
  scale?: number;
  values?: string[];
  [more: string]: any;
}

/** A whole answer: columns in the first buffer, which rows are shown in the second. */
export interface Offers {
  type: "offers";
  rev: number;
  looks: Look[];
  columns: Spec[];
  count: number;
  id_column: string;
  shown?: number;
  notes?: Record<string, any>;
}

/** Which rows of the last answer to show. */
export interface Rows {
  type: "rows";
  rev: number;
  shown?: number;
  notes?: Record<string, any>;
}

/** Columns of the last answer whose values have changed. */
export interface Columns {
  type: "columns";
  rev: number;
  columns: Spec[];
  shown?: number;
  notes?: Record<string, any>;
}

export type FromKernel = Offers | Rows | Columns | Answered | Pong;
