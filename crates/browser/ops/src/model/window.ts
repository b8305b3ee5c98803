//! What a chart shows: the stretch of time, and its lines over all gateways or one.

import type { RangeName } from "../route.js";
import { RANGES } from "../route.js";
import { type ColumnName, line, type Series, type Stretch } from "./series.js";

export interface Window {
  readonly stretch: Stretch;
  /** Seconds since 1970 of each point, as uPlot wants them. */
  readonly times: readonly number[];
}

/** At steps of 1 s the newest second is left out: not everybody has spoken of it yet. */
export const windowTo = (range: RangeName, now: number): Window => {
  const { step, slots } = RANGES[range];
  const to = Math.floor(now / 1000 / step) - (step === 1 ? 1 : 0);
  const stretch: Stretch = { step, slots, to };
  return { stretch, times: Array.from({ length: slots }, (_, i) => (to - slots + 1 + i) * step) };
};

/** The share of connections at each rung, stacked from below: summary, with counts, with full. In percent. */
export const shares = (gateways: readonly Series[], stretch: Stretch) => {
  const full = line(gateways, "rung_full", stretch);
  const counts = line(gateways, "rung_counts", stretch);
  const summary = line(gateways, "rung_summary", stretch);
  const of = (read: (i: number) => number) =>
    full.map((onFull, i) => {
      if (onFull === null) return null;
      const all = onFull + (counts[i] ?? 0) + (summary[i] ?? 0);
      return all === 0 ? null : (100 * read(i)) / all;
    });
  const below = (i: number) => (counts[i] ?? 0) + (summary[i] ?? 0);
  return {
    full: of((i) => (full[i] ?? 0) + below(i)),
    counts: of(below),
    summary: of((i) => summary[i] ?? 0),
  };
};

export const lines = (gateways: readonly Series[], names: readonly ColumnName[], stretch: Stretch) =>
  names.map((name) => line(gateways, name, stretch));

/** The top of an axis that holds `max`: 1, 2 or 5 times a power of ten, or a power of two, so that it moves seldom. */
export const niceTop = (max: number, least: number, isBinary: boolean): number => {
  const wanted = Math.max(max, least);
  if (isBinary) return 2 ** Math.ceil(Math.log2(wanted));
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 5, 10].find((one) => one * power >= wanted) ?? 10;
  return step * power;
};
