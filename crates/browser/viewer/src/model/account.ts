//! A ledger as the four numbers that must add up, and as a plain value for tests and scripts. Pure.

import type { LedgerView, Totals } from "tally-client";
import { sum } from "./words";

/** published = attached + full + counted + summarised. */
export interface Sums {
  readonly published: number;
  readonly attached: number;
  readonly full: number;
  readonly counted: number;
  readonly summarised: number;
  /** The sum holds, kind by kind. */
  readonly closes: boolean;
}

const sumOf = (byWhy: ReadonlyMap<string, Totals>): number => {
  let all = 0;
  for (const totals of byWhy.values()) all += sum(totals);
  return all;
};

export const sumsOf = (ledger: LedgerView): Sums => {
  const sums = {
    published: ledger.cursor,
    attached: ledger.since.seq,
    full: sum(ledger.full),
    counted: sumOf(ledger.counted),
    summarised: sumOf(ledger.summarised),
  };
  const adds = sums.attached + sums.full + sums.counted + sums.summarised === sums.published;
  return { ...sums, closes: adds && ledger.closes() };
};

/** One row per kind: at the attach, in full, counted, summarised, now. */
export type KindRow = readonly [
  kind: string,
  attached: number,
  full: number,
  counted: number,
  summarised: number,
  now: number,
];

export const kindRows = (ledger: LedgerView): KindRow[] => {
  const of = (byWhy: ReadonlyMap<string, Totals>, kind: string): number => {
    let n = 0;
    for (const totals of byWhy.values()) n += totals.get(kind) ?? 0;
    return n;
  };
  return [...ledger.totals].map(([kind, n]) => [
    kind,
    ledger.since.totals.get(kind) ?? 0,
    ledger.full.get(kind) ?? 0,
    of(ledger.counted, kind),
    of(ledger.summarised, kind),
    n,
  ]);
};

/** Not seen in full, by why. */
export const byWhy = (ledger: LedgerView): [string, number][] => {
  const all = new Map<string, number>();
  for (const column of [ledger.counted, ledger.summarised]) {
    for (const [why, totals] of column) all.set(why, (all.get(why) ?? 0) + sum(totals));
  }
  return [...all];
};

/** What `window.tally.account()` gives. */
export const plain = (ledger: LedgerView): object => ({
  channel: ledger.channel,
  epoch: ledger.epoch,
  ...sumsOf(ledger),
  totals: Object.fromEntries(ledger.totals),
  whys: Object.fromEntries(byWhy(ledger)),
});
