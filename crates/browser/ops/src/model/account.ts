//! The account: what every subscription's cursor moved by, against what was delivered for it. Green only at zero.

import type { Account } from "../shape/sample.js";

export interface Sum {
  readonly gateways: number;
  readonly subscriptions: number;
  readonly advanced: number;
  readonly full: number;
  readonly counted: number;
  readonly summarised: number;
  /** advanced - full - counted - summarised, added up here. */
  readonly residual: number;
  readonly violations: number;
  readonly resets: number;
  /** Gateway by gateway |residual| + violations, so that one's surplus hides no other's loss. */
  readonly lost: number;
}

export const totalOf = (columns: ReadonlyMap<string, number>): number => {
  let sum = 0;
  for (const n of columns.values()) sum += n;
  return sum;
};

export const residualOf = (it: Account): number =>
  it.advanced - it.full - totalOf(it.counted) - totalOf(it.summarised);

/** Trusts no sum that it can make itself; a gateway that says more is believed. */
export const lostOf = (it: Account): number => Math.max(Math.abs(residualOf(it)) + it.violations, it.lost);

export const sumAccounts = (accounts: readonly Account[]): Sum => {
  const add = (read: (it: Account) => number) => accounts.reduce((sum, it) => sum + read(it), 0);
  return {
    gateways: accounts.length,
    subscriptions: add((it) => it.subscriptions),
    advanced: add((it) => it.advanced),
    full: add((it) => it.full),
    counted: add((it) => totalOf(it.counted)),
    summarised: add((it) => totalOf(it.summarised)),
    residual: add(residualOf),
    violations: add((it) => it.violations),
    resets: add((it) => it.resets),
    lost: add(lostOf),
  };
};

/** What was counted or summarised, by why, over all accounts, the largest first. */
export const byWhy = (accounts: readonly Account[]): [why: string, counted: number, summarised: number][] => {
  const sums = new Map<string, [number, number]>();
  for (const it of accounts) {
    for (const [why, n] of it.counted) sums.set(why, plus(sums.get(why), n, 0));
    for (const [why, n] of it.summarised) sums.set(why, plus(sums.get(why), 0, n));
  }
  return [...sums]
    .map(([why, [counted, summarised]]): [string, number, number] => [why, counted, summarised])
    .filter(([, counted, summarised]) => counted + summarised > 0)
    .sort((a, b) => b[1] + b[2] - a[1] - a[2]);
};

const plus = (held: [number, number] | undefined, a: number, b: number): [number, number] => [
  (held?.[0] ?? 0) + a,
  (held?.[1] ?? 0) + b,
];
