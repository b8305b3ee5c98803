//! What an application wants of one channel, and what several wishes for the same channel come to.

import { LAST_MAX } from "./limits.js";
import { higher, isChannel, RUNGS, type Rung, TICKS, type TickMs } from "./names.js";

/** How to listen to a channel. */
export interface SubscribeOptions {
  /** The highest rung wanted. Default `full`. */
  readonly rung?: Rung;
  /** Events per second wanted at `full`. Default: the gateway's. More are told as counts. */
  readonly maxRate?: number;
  /** How often a counts frame may come, in ms. Default 250. */
  readonly tickMs?: TickMs;
  /** Counts frames carry the newest events (at most 4, within 8 KiB) as a courtesy copy. */
  readonly tail?: boolean;
  /** Start so far back that at least the newest `last` events come in full; at most 1,000. First attach only. */
  readonly last?: number;
}

/** A checked wish. */
export interface Wish {
  readonly rung: Rung;
  /** Null: the gateway's default. */
  readonly maxRate: number | null;
  readonly tickMs: TickMs;
  readonly tail: boolean;
  readonly last: number;
}

/** Checks what an application gave. Throws a RangeError that names the option and the rule. */
export const checkWish = (channel: string, options: SubscribeOptions): Wish => {
  const { rung = "full", maxRate = null, tickMs = 250, tail = false, last = 0 } = options;
  const check = (fits: boolean, what: string, rule: string): void => {
    if (!fits) throw new RangeError(`${what} must be ${rule}`);
  };
  const checkWord = (value: unknown, what: string, words: readonly unknown[]): void =>
    check(words.includes(value), what, `one of ${words}`);
  const isFrom = (least: number, n: number): boolean => Number.isSafeInteger(n) && n >= least;
  check(
    isChannel(channel),
    `channel ${JSON.stringify(channel)}`,
    "1 to 200 of A-Z a-z 0-9 . _ : @ ~ = + , -",
  );
  checkWord(rung, "rung", RUNGS);
  check(maxRate === null || isFrom(1, maxRate), "maxRate", "an integer from 1");
  checkWord(tickMs, "tickMs", TICKS);
  checkWord(tail, "tail", [true, false]);
  check(isFrom(0, last) && last <= LAST_MAX, "last", `an integer from 0 to ${LAST_MAX}`);
  return { rung, maxRate, tickMs, tail, last };
};

/** Several wishes as one that gives each at least what it asked for. `rateDefault`: of the gateway. */
export const mergeWishes = (wishes: readonly Wish[], rateDefault: number): Wish =>
  wishes.reduce((a, b) => ({
    rung: higher(a.rung, b.rung),
    maxRate: mergeRates(a.maxRate, b.maxRate, rateDefault),
    tickMs: Math.min(a.tickMs, b.tickMs) as TickMs,
    tail: a.tail || b.tail,
    last: Math.max(a.last, b.last),
  }));

const mergeRates = (a: number | null, b: number | null, rateDefault: number): number | null => {
  const most = Math.max(a ?? rateDefault, b ?? rateDefault);
  return most === rateDefault && (a === null || b === null) ? null : most;
};
