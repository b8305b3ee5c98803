//! The figures of one gateway that are kept over time, at three steps, by the page's clock; and the lines of a fleet.

import { RINGS, SILENT_AFTER_MS } from "../bounds.js";
import type { HistoryPart } from "../shape/answer.js";
import type { Sample } from "../shape/sample.js";
import { type Merge, Ring } from "./ring.js";

/** `over`: how the points of one gateway in one span come together; `across`: those of the gateways. */
interface Column {
  readonly over: Merge;
  readonly across: "sum" | "max" | "min";
  readonly read: (sample: Sample) => number | null;
}

export const COLUMNS = {
  connections: { over: "mean", across: "sum", read: (it) => it.connections },
  events_in: { over: "mean", across: "sum", read: (it) => it.in.events },
  deliveries: { over: "mean", across: "sum", read: (it) => it.out.frames },
  out_bytes: { over: "mean", across: "sum", read: (it) => it.out.bytes },
  rung_full: { over: "mean", across: "sum", read: (it) => it.connections_by_rung.full },
  rung_counts: { over: "mean", across: "sum", read: (it) => it.connections_by_rung.counts },
  rung_summary: { over: "mean", across: "sum", read: (it) => it.connections_by_rung.summary },
  p50: { over: "mean", across: "max", read: (it) => it.latency?.p50 ?? null },
  p99: { over: "max", across: "max", read: (it) => it.latency?.p99 ?? null },
  probe_ms: { over: "max", across: "max", read: (it) => it.redis?.probe_ms ?? null },
  up: { over: "min", across: "min", read: (it) => (it.redis === null ? null : Number(it.redis.up)) },
  cpu: { over: "mean", across: "max", read: (it) => it.cpu_percent },
  rss: { over: "last", across: "sum", read: (it) => it.rss_bytes },
  lost: { over: "last", across: "sum", read: (it) => it.account.lost },
} as const satisfies Record<string, Column>;

export type ColumnName = keyof typeof COLUMNS;

const NAMES = Object.keys(COLUMNS) as ColumnName[];
const MERGES = NAMES.map((name) => COLUMNS[name].over);
const PLACES = new Map(NAMES.map((name, place) => [name, place]));

/** Seconds between points of a ring. */
export type Step = (typeof RINGS)[number]["step"];

export class Series {
  readonly #rings = RINGS.map(({ step, slots }) => new Ring(step, slots, MERGES));

  /** `at`: of the sample, by the page's clock, in ms. */
  add(sample: Sample, at: number): void {
    const point = NAMES.map((name) => COLUMNS[name].read(sample));
    for (const ring of this.#rings) ring.add(at / 1000, point);
  }

  /** `shift_s`: what the page's clock is ahead of that of the gateway that remembers. */
  fill(step: number, part: HistoryPart, shift_s: number): void {
    const ring = this.#rings.find((one) => one.step === step);
    if (ring === undefined) return;
    const columns = NAMES.map((name) => part.series.get(name));
    for (const [i, at] of part.at.entries()) {
      ring.fill(
        at + shift_s,
        columns.map((column) => column?.[i] ?? null),
      );
    }
  }

  ring(step: Step): Ring {
    const ring = this.#rings.find((one) => one.step === step);
    if (ring === undefined) throw new RangeError(`no series is kept in steps of ${step} s`);
    return ring;
  }
}

/** A stretch of time: `slots` spans of `step` seconds, the last one is `to`. */
export interface Stretch {
  readonly step: Step;
  readonly slots: number;
  readonly to: number;
}

/**
 * One value for each span of the stretch, over all gateways. A gateway without a point takes its last one for as long
 * as it would not be called silent, so that samples a moment early or late make no dents in a sum.
 */
export const line = (gateways: readonly Series[], name: ColumnName, stretch: Stretch): (number | null)[] => {
  const { step, slots, to } = stretch;
  const carry = Math.ceil(SILENT_AFTER_MS / 1000 / step);
  const out = new Array<number | null>(slots).fill(null);
  const across = COLUMNS[name].across;
  for (const series of gateways) {
    const ring = series.ring(step);
    const place = PLACES.get(name) ?? 0;
    let last: number | null = null;
    let age = 0;
    for (let i = -carry; i < slots; i++) {
      const span = to - slots + 1 + i;
      if (ring.has(span)) [last, age] = [ring.read(place, span), 0];
      else if (++age > carry) last = null;
      if (i < 0 || last === null) continue;
      out[i] = joined(across, out[i] ?? null, last);
    }
  }
  return out;
};

const joined = (across: Column["across"], held: number | null, value: number): number => {
  if (held === null) return value;
  switch (across) {
    case "sum":
      return held + value;
    case "max":
      return Math.max(held, value);
    case "min":
      return Math.min(held, value);
  }
};
