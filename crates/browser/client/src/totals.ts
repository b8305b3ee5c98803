//! How many events of each kind: a channel's totals, or those of a span. Always a Map: a kind may have any name.

/** Counts by kind; kinds with 0 are absent. */
export type Totals = ReadonlyMap<string, number>;
/** Totals that their owner changes. */
export type Counting = Map<string, number>;

export const sum = (counts: ReadonlyMap<unknown, number>): number => {
  let all = 0;
  for (const n of counts.values()) all += n;
  return all;
};

export const add = <K>(to: Map<K, number>, key: K, n: number): void => {
  to.set(key, (to.get(key) ?? 0) + n);
};

export const addAll = (to: Counting, more: Totals): void => {
  for (const [kind, n] of more) add(to, kind, n);
};

export const equal = (a: Totals, b: Totals): boolean =>
  a.size === b.size && [...a].every(([kind, n]) => b.get(kind) === n);
