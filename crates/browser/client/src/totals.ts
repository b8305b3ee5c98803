//! How many events of each kind: a channel's totals, or those of a span. Always a Map: a kind may have any name.

/** Counts by kind; kinds with 0 are absent. */
export type Totals = ReadonlyMap<string, number>;
/** Totals that their owner changes. */
export type Counting = Map<string, number>;

export const sum = (totals: Totals): number => {
  let all = 0;
  for (const n of totals.values()) all += n;
  return all;
};

export const addAll = (to: Counting, more: Totals): void => {
  for (const [kind, n] of more) to.set(kind, (to.get(kind) ?? 0) + n);
};

/** What has come since `earlier`, kind by kind; null where a kind has become fewer. */
export const since = (now: Totals, earlier: Totals): Counting | null => {
  const span: Counting = new Map();
  for (const kind of earlier.keys()) if (!now.has(kind)) return null;
  for (const [kind, n] of now) {
    const more = n - (earlier.get(kind) ?? 0);
    if (more < 0) return null;
    if (more > 0) span.set(kind, more);
  }
  return span;
};

export const equal = (a: Totals, b: Totals): boolean =>
  a.size === b.size && [...a].every(([kind, n]) => b.get(kind) === n);
