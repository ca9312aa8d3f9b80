import type { Answered, Bell, Pong, Refresh } from "../kit/messages.d.ts";

/** An element: its tag, its attributes, and its children or its text. */
export type Scene = [string, Record<string, string | number>, Scene[] | string];

/** The charts that have changed, and the models that one can choose. */
export interface Scenes {
  type: "scenes";
  now: number;
  scenes: Record<string, Scene>;
  chips: { name: string; machines: number; colour: string | null; on: boolean }[];
}

/** How wide a chart is, in pixels; the first time it says that the page listens. */
export interface Width {
  type: "ready" | "width";
  width: number;
}

export type ToKernel = Refresh | Bell | Width;
export type FromKernel = Scenes | Answered | Pong;
